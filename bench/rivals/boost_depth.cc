// Boost.Fiber in the workload of bench/depth.c; one thread, its round-robin scheduler.
#include "bench.h"

#include <boost/fiber/all.hpp>

static __attribute__((__noinline__)) long descend(long depth, long yields)
{
	if (depth > 1) {
		long below = descend(depth - 1, yields);

		bench_keep(below); // no tail call, no loop
		return below + 1;
	}
	for (long i = 0; i < yields; i++)
		boost::this_fiber::yield();
	return 1;
}

static double depth(const bench_row *row)
{
	long trips = row->variant ? row->operations : 1;
	long yields = row->variant ? 1 : row->operations;
	auto dive = [=] {
		for (long i = 0; i < trips; i++)
			BENCH_CHECK(descend(row->n, yields) == row->n);
	};
	int64_t begin = bench_now();
	boost::fibers::fiber one(dive), two(dive);

	one.join();
	two.join();
	return double(bench_now() - begin) / (2 * row->operations);
}

#define ROW(name, operations, n, way) {name, depth, 0, operations, nullptr, n, 0, false, way}
static const bench_row rows[] = {
	ROW("yield at the bottom of 1 call", 500000, 1, 0),
	ROW("yield at the bottom of 10 calls", 500000, 10, 0),
	ROW("yield at the bottom of 100 calls", 500000, 100, 0),
	ROW("1 call down, a yield, and back", 500000, 1, 1),
	ROW("10 calls down, a yield, and back", 200000, 10, 1),
	ROW("100 calls down, a yield, and back", 20000, 100, 1),
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
