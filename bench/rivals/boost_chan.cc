// Boost.Fiber in the workload of bench/chan.c; one thread, its round-robin scheduler. Its channels
// have atomics inside, whether or not the process has a second thread, and it has no select.
#include "bench.h"

#include <boost/fiber/all.hpp>
#include <deque>
#include <vector>

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

static double pipeline(const bench_row *row)
{
	long stages = row->n, messages = row->operations / row->n;
	std::deque<bf::unbuffered_channel<long>> channels(stages + 1);
	std::vector<bf::fiber> fibers;
	int64_t begin = bench_now();

	for (long s = 0; s < stages; s++)
		fibers.emplace_back([&, s] {
			long message;

			for (long i = 0; i < messages; i++) {
				BENCH_CHECK(ok(channels[s].pop(message)));
				BENCH_CHECK(ok(channels[s + 1].push(message + 1)));
			}
		});
	fibers.emplace_back([&] {
		for (long i = 0; i < messages; i++)
			BENCH_CHECK(ok(channels[0].push(i)));
	});
	for (long i = 0; i < messages; i++) {
		long message;

		BENCH_CHECK(ok(channels[stages].pop(message)) && message == i + stages);
	}
	int64_t end = bench_now();
	for (bf::fiber &fiber : fibers)
		fiber.join();
	return double(end - begin) / row->operations;
}

#define CHAIN(name, n) {name, pipeline, 0, 500000, nullptr, n, 0, false, 0}
#define ROW(name, run, n) {name, run, 0, n, nullptr, n, 0, false, 0}
static const bench_row rows[] = {
	ROW("rendezvous round trip, alone", meeting, 500000),
	ROW("rendezvous round trip, with a second thread", meeting, 500000),
	ROW("buffered message, alone", buffered, 4000000),
	ROW("buffered message, with a second thread", buffered, 4000000),
	CHAIN("pipeline of 10 stages, alone", 10),
	CHAIN("pipeline of 100 stages, alone", 100),
	CHAIN("pipeline of 1,000 stages, alone", 1000),
	CHAIN("pipeline of 10 stages, with a second thread", 10),
	CHAIN("pipeline of 100 stages, with a second thread", 100),
	CHAIN("pipeline of 1,000 stages, with a second thread", 1000),
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
