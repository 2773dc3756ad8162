// Boost.Fiber in the workload of bench/sync.c; one thread, its round-robin scheduler. Its mutex has
// a spinlock of atomics inside, whether or not the process has a second thread.
#include "bench.h"

#include <boost/fiber/all.hpp>
#include <vector>

namespace bf = boost::fibers;

static bf::mutex mutex;
static long counted;

static double uncontended(const bench_row *row)
{
	counted = 0;
	int64_t begin = bench_now();
	for (long i = 0; i < row->n; i++) {
		mutex.lock();
		counted++;
		mutex.unlock();
	}
	int64_t end = bench_now();
	BENCH_CHECK(counted == row->n);
	return double(end - begin) / row->n;
}

static void lock_yield_unlock(long n)
{
	for (; n > 0; n--) {
		mutex.lock();
		long before = counted;

		boost::this_fiber::yield();
		counted = before + 1;
		mutex.unlock();
	}
}

static double four_fibers(const bench_row *row)
{
	std::vector<bf::fiber> fibers;

	counted = 0;
	int64_t begin = bench_now();
	for (int i = 0; i < 4; i++)
		fibers.emplace_back(lock_yield_unlock, row->n / 4);
	for (auto &fiber : fibers)
		fiber.join();
	int64_t end = bench_now();
	BENCH_CHECK(counted == row->n);
	return double(end - begin) / row->n;
}

static const bench_row rows[] = {
	{"mutex, alone", uncontended, 0, 5000000, nullptr, 5000000, 0, false, 0},
	{"mutex, with a second thread", uncontended, 0, 5000000, nullptr, 5000000, 0, false, 0},
	{"mutex, four fibers contend", four_fibers, 0, 400000, nullptr, 400000, 0, false, 0},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
