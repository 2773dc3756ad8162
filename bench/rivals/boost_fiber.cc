// Boost.Fiber in the workloads of bench/yield.c, spawn.c and sleep.c; one thread, its round-robin
// scheduler. Stacks are 16 KiB from a pool, where it is fastest; the row about memory has the
// default ones. Its trees are in boost_tree.cc.
#include "bench.h"

#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <vector>

namespace bf = boost::fibers;
using boost::this_fiber::yield;

static bf::pooled_fixedsize_stack pool(16 * 1024);

template <typename F> static bf::fiber spawn(F &&body)
{
	return bf::fiber(std::allocator_arg, pool, std::forward<F>(body));
}

// ---- yield --------------------------------------------------------------------------------------

static long turns, next_mark, end_at;
static int64_t begin_ns, end_ns;
static bool over;

static __attribute__((__noinline__)) void mark()
{
	if (turns == end_at) {
		end_ns = bench_now();
		over = true;
		return;
	}
	next_mark = end_at;
	begin_ns = bench_now();
}

static void turn(long *count)
{
	long mine = 0;

	while (!over) {
		mine++;
		if (++turns == next_mark)
			mark();
		yield();
	}
	*count = mine;
}

static void other_turn(long *count)
{
	long mine = 0;

	while (!over) {
		mine++;
		if (++turns == next_mark)
			mark();
		yield();
		__asm__ volatile("nop");
	}
	*count = mine;
}

static double yields(const bench_row *row)
{
	std::vector<long> counts(row->n);
	std::vector<bf::fiber> fibers;

	turns = 0;
	over = false;
	next_mark = row->operations / 4;
	end_at = next_mark + row->operations;
	for (long i = 0; i < row->n; i++)
		fibers.push_back(spawn([row, i, &counts] {
			row->variant && i & 1 ? other_turn(&counts[i]) : turn(&counts[i]);
		}));
	for (auto &fiber : fibers)
		fiber.join();
	bench_fair(counts.data(), row->n, turns, true);
	return double(end_ns - begin_ns) / row->operations;
}

// ---- spawn and join -----------------------------------------------------------------------------

static long ran;

static void one_by_one(long n)
{
	for (long i = 0; i < n; i++)
		spawn([] { ran++; }).join();
}

static void batch(long n)
{
	std::vector<bf::fiber> fibers;

	fibers.reserve(n);
	for (long i = 0; i < n; i++)
		fibers.push_back(spawn([] { ran++; }));
	for (auto &fiber : fibers)
		fiber.join();
}

static void all_alive(long n)
{
	std::vector<bf::fiber> fibers;
	bf::barrier all(n);

	fibers.reserve(n);
	for (long i = 0; i < n; i++)
		fibers.push_back(spawn([&all] {
			all.wait();
			ran++;
		}));
	for (auto &fiber : fibers)
		fiber.join();
}

static double lives(const bench_row *row)
{
	static void (*const ways[])(long) = {one_by_one, batch, all_alive};

	ran = 0;
	int64_t begin = bench_now();
	ways[row->variant](row->n);
	int64_t end = bench_now();
	BENCH_CHECK(ran == row->n);
	return double(end - begin) / row->n;
}

// ---- sleep --------------------------------------------------------------------------------------

static double memory(const bench_row *row)
{
	std::vector<bf::fiber> fibers;
	int64_t before = bench_resident() + bench_page_tables();
	long asleep = 0;

	fibers.reserve(row->n);
	for (long i = 0; i < row->n; i++)
		fibers.emplace_back([&asleep] {
			asleep++;
			boost::this_fiber::sleep_for(std::chrono::hours(1));
		});
	while (asleep < row->n)
		yield();
	double each = double(bench_resident() + bench_page_tables() - before) / row->n;
	bench_figure("", each, "bytes", 0);
	for (auto &fiber : fibers)
		fiber.detach(); // the child process ends here, with all of them
	return BENCH_NO_FIGURE;
}

static double random_sleeps(const bench_row *row)
{
	int64_t begin = bench_cpu();
	uint64_t seed = 1;
	long ended = 0;
	bf::mutex mutex;
	bf::condition_variable all;
	std::unique_lock<bf::mutex> lock(mutex);

	for (long i = 0; i < row->n; i++) {
		int64_t ns = bench_random(&seed) % 1000000000;

		spawn([&, ns] {
			int64_t slept = bench_now();

			boost::this_fiber::sleep_for(std::chrono::nanoseconds(ns));
			BENCH_CHECK(bench_now() - slept >= ns);
			if (++ended == row->n)
				all.notify_one();
		}).detach();
	}
	all.wait(lock, [&] { return ended == row->n; });
	return double(bench_cpu() - begin) / 1e9;
}

static const bench_row rows[] = {
	{"2 fibers", yields, 0, 2000000, nullptr, 2, 0, false, 0},
	{"2 fibers, two callers", yields, 0, 2000000, nullptr, 2, 0, false, 1},
	{"100 fibers", yields, 0, 2000000, nullptr, 100, 0, false, 0},
	{"10,000 fibers", yields, 0, 2000000, nullptr, 10000, 0, false, 0},
	{"100,000 fibers", yields, 0, 1000000, nullptr, 100000, 0, false, 0},
	{"one by one", lives, 0, 200000, nullptr, 200000, 0, false, 0},
	{"batch of 100,000", lives, 0, 100000, nullptr, 100000, 0, false, 1},
	{"100,000 alive, parked once", lives, 0, 100000, nullptr, 100000, 0, false, 2},
	{"10,000 parked", memory, 0, 1, "bytes", 10000, 0, true, 0},
	{"100,000 parked", memory, 0, 1, "bytes", 100000, 0, true, 0},
	{"100,000 random sleeps", random_sleeps, 0, 100000, "s", 100000, 0, true, 0},
	{"1,000,000 random sleeps", random_sleeps, 0, 1000000, "s", 1000000, 0, true, 0},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
