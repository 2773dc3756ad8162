// Boost.Fiber in the workload of bench/chan.c; one thread, its round-robin scheduler. Its channels
// have atomics inside, whether or not the process has a second thread, and it has no select.
#include "bench.h"

#include <boost/fiber/all.hpp>

namespace bf = boost::fibers;

static bool ok(bf::channel_op_status status)
{
	return status == bf::channel_op_status::success;
}

static double meeting(const bench_row *row)
{
	long n = row->n;
	bf::unbuffered_channel<long> there, back;
	bf::fiber other([&] {
		long message;

		for (long i = 0; i < n; i++) {
			BENCH_CHECK(ok(there.pop(message)));
			BENCH_CHECK(ok(back.push(message + 1)));
		}
	});
	int64_t begin = bench_now();
	for (long i = 0; i < n; i++) {
		long message;

		BENCH_CHECK(ok(there.push(i)));
		BENCH_CHECK(ok(back.pop(message)) && message == i + 1);
	}
	int64_t end = bench_now();
	other.join();
	return double(end - begin) / n;
}

static double buffered(const bench_row *row)
{
	long n = row->n;
	bf::buffered_channel<long> there(64);
	int64_t begin = bench_now();
	bf::fiber other([&] {
		for (long i = 0; i < n; i++)
			BENCH_CHECK(ok(there.push(i)));
	});
	for (long i = 0; i < n; i++) {
		long message;

		BENCH_CHECK(ok(there.pop(message)) && message == i);
	}
	int64_t end = bench_now();
	other.join();
	return double(end - begin) / n;
}

#define ROW(name, run, n) {name, run, 0, n, nullptr, n, 0, false, 0}
static const bench_row rows[] = {
	ROW("rendezvous round trip, alone", meeting, 500000),
	ROW("rendezvous round trip, with a second thread", meeting, 500000),
	ROW("buffered message, alone", buffered, 4000000),
	ROW("buffered message, with a second thread", buffered, 4000000),
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
