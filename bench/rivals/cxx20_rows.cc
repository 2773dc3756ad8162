// The coroutines of C++20 in the workloads of bench/yield.c, spawn.c, depth.c and the memory of
// sleep.c, on the scheduler of cxx20.h.
#include "cxx20.h"

#include "bench.h"

using cxx20::task;

static std::vector<cxx20::handle> parked_at;

static void make_all_ready()
{
	for (cxx20::handle h : parked_at)
		cxx20::ready.push(h);
}

// ---- yield

static struct {
	long turns, next_mark, end_at;
	int64_t begin, end;
	bool over;
} ring;

static __attribute__((__noinline__)) void mark()
{
	if (ring.turns == ring.end_at) {
		ring.end = bench_now();
		ring.over = true;
		return;
	}
	ring.next_mark = ring.end_at;
	ring.begin = bench_now();
}

template <int caller> static task turn(long *count, long me)
{
	long mine = 0;

	co_await cxx20::park{parked_at[me]};
	while (!ring.over) {
		mine++;
		if (++ring.turns == ring.next_mark)
			mark();
		co_await cxx20::yield{};
	}
	*count = mine;
	co_return 0;
}

static double yields(const bench_row *row)
{
	std::vector<task> tasks;
	std::vector<long> counts(row->n);

	ring = {};
	ring.next_mark = row->operations / 4;
	ring.end_at = ring.next_mark + row->operations;
	parked_at.assign(row->n, {});
	for (long i = 0; i < row->n; i++) {
		tasks.push_back(row->variant && i & 1 ? turn<1>(&counts[i], i)
						      : turn<0>(&counts[i], i));
		tasks.back().spawn();
	}
	cxx20::run();
	make_all_ready();
	cxx20::run();
	bench_fair(counts.data(), row->n, ring.turns, true);
	return double(ring.end - ring.begin) / row->operations;
}

// ---- spawn and join

static long ran, took;

static task nothing(long i)
{
	ran++;
	co_return i;
}

static task park_once(long i)
{
	co_await cxx20::park{parked_at[i]};
	ran++;
	co_return i;
}

static task one_by_one(long n)
{
	int64_t begin = bench_now();

	for (long i = 0; i < n; i++) {
		task child = nothing(i);

		child.spawn();
		BENCH_CHECK(co_await child == i);
	}
	took = bench_now() - begin;
	co_return 0;
}

static task batch(long n)
{
	std::vector<task> children(n);
	int64_t begin = bench_now();

	for (long i = 0; i < n; i++)
		(children[i] = nothing(i)).spawn();
	for (long i = 0; i < n; i++) {
		task &child = children[i];

		BENCH_CHECK(co_await child == i);
	}
	children.clear();
	took = bench_now() - begin;
	co_return 0;
}

static task all_alive(long n)
{
	std::vector<task> children(n);
	int64_t begin = bench_now();

	parked_at.assign(n, {});
	for (long i = 0; i < n; i++)
		(children[i] = park_once(i)).spawn();
	co_await cxx20::yield{};
	make_all_ready();
	for (long i = 0; i < n; i++) {
		task &child = children[i];

		BENCH_CHECK(co_await child == i);
	}
	children.clear();
	took = bench_now() - begin;
	co_return 0;
}

template <task life(long)> static double lives(const bench_row *row)
{
	task main = life(row->n);

	ran = 0;
	main.spawn();
	cxx20::run();
	BENCH_CHECK(main.done() && ran == row->n);
	return double(took) / row->n;
}

// ---- memory of a parked task: its frame, and what a wait needs to find it again

static double memory(const bench_row *row)
{
	int64_t before = bench_resident() + bench_page_tables();
	std::vector<task> *tasks = new std::vector<task>(row->n);

	parked_at.assign(row->n, {});
	for (long i = 0; i < row->n; i++)
		((*tasks)[i] = park_once(i)).spawn();
	cxx20::run();
	before = bench_resident() + bench_page_tables() - before;
	bench_figure("", double(before) / row->n, "bytes", 0);
	make_all_ready();
	ran = 0;
	cxx20::run();
	BENCH_CHECK(ran == row->n);
	delete tasks;
	return BENCH_NO_FIGURE;
}

// ---- depth: every call that may suspend is a coroutine with a frame from the heap

static task descend(long depth, long yields)
{
	if (depth > 1)
		co_return 1 + co_await descend(depth - 1, yields);
	for (long i = 0; i < yields; i++)
		co_await cxx20::yield{};
	co_return 1;
}

static task stay(const bench_row *row)
{
	BENCH_CHECK(co_await descend(row->n, row->operations) == row->n);
	co_return 0;
}

static task come_and_go(const bench_row *row)
{
	for (long i = 0; i < row->operations; i++)
		BENCH_CHECK(co_await descend(row->n, 1) == row->n);
	co_return 0;
}

template <task one(const bench_row *)> static double depth(const bench_row *row)
{
	task first = one(row), second = one(row);
	int64_t begin = bench_now();

	first.spawn();
	second.spawn();
	cxx20::run();
	BENCH_CHECK(first.done() && second.done());
	return double(bench_now() - begin) / (2 * row->operations);
}

#define ROW(name, run, operations, n) {name, run, 0, operations, nullptr, n, 0, false, 0}
#define COLD(name, run, n) {name, run, 0, 1, "bytes", n, 0, true, 0}
static const bench_row rows[] = {
	ROW("2 fibers", yields, 4000000, 2),
	{"2 fibers, two callers", yields, 0, 4000000, nullptr, 2, 0, false, 1},
	ROW("100 fibers", yields, 4000000, 100),
	ROW("10,000 fibers", yields, 4000000, 10000),
	ROW("100,000 fibers", yields, 2000000, 100000),
	ROW("1,000,000 fibers", yields, 4000000, 1000000),
	ROW("one by one", lives<one_by_one>, 1000000, 1000000),
	ROW("batch of 100,000", lives<batch>, 100000, 100000),
	ROW("100,000 alive, parked once", lives<all_alive>, 100000, 100000),
	COLD("10,000 parked", memory, 10000),
	COLD("100,000 parked", memory, 100000),
	COLD("1,000,000 parked", memory, 1000000),
	ROW("yield at the bottom of 1 call", depth<stay>, 1000000, 1),
	ROW("yield at the bottom of 10 calls", depth<stay>, 1000000, 10),
	ROW("yield at the bottom of 100 calls", depth<stay>, 1000000, 100),
	ROW("1 call down, a yield, and back", depth<come_and_go>, 1000000, 1),
	ROW("10 calls down, a yield, and back", depth<come_and_go>, 200000, 10),
	ROW("100 calls down, a yield, and back", depth<come_and_go>, 20000, 100),
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
