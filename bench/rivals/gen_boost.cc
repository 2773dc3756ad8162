// The workload of bench/gen.c with Boost.Coroutine2: a pull_type whose body gets a push_type.
#include "bench.h"

#include <boost/coroutine2/all.hpp>

using coroutine = boost::coroutines2::coroutine<long>;

static const int LEVELS = 20;

static void count(coroutine::push_type &yield, long n)
{
	for (long i = 0; i < n; i++)
		yield(i);
}

static __attribute__((__noinline__)) void emit(coroutine::push_type &yield, long i)
{
	yield(i);
	__asm__ volatile("");
}

static void count_through_a_call(coroutine::push_type &yield, long n)
{
	for (long i = 0; i < n; i++)
		emit(yield, i);
}

static __attribute__((__noinline__)) void walk(coroutine::push_type &yield, long node, int level)
{
	if (level == 0) {
		yield(node);
		return;
	}
	walk(yield, 2 * node, level - 1);
	walk(yield, 2 * node + 1, level - 1);
}

static __attribute__((__noinline__)) bool next(coroutine::pull_type &values)
{
	values();
	__asm__ volatile("");
	return bool(values);
}

static double took(const bench_row *row, int64_t begin, long sum)
{
	int64_t end = bench_now();

	BENCH_CHECK(sum == row->n * (row->n - 1) / 2);
	return static_cast<double>(end - begin) / row->n;
}

static double values(const bench_row *row)
{
	int64_t begin = bench_now();
	long sum = 0;
	coroutine::pull_type values([=](coroutine::push_type &yield) { count(yield, row->n); });

	for (; values; values())
		sum += values.get();
	return took(row, begin, sum);
}

static double through_a_call(const bench_row *row)
{
	int64_t begin = bench_now();
	long sum = 0;
	coroutine::pull_type values(
		[=](coroutine::push_type &yield) { count_through_a_call(yield, row->n); });

	do
		sum += values.get();
	while (next(values));
	return took(row, begin, sum);
}

static double leaves(const bench_row *row)
{
	int64_t begin = bench_now();
	long sum = 0;
	coroutine::pull_type values([](coroutine::push_type &yield) { walk(yield, 0, LEVELS); });

	for (; values; values())
		sum += values.get();
	return took(row, begin, sum);
}

static double one_value_each(const bench_row *row)
{
	int64_t begin = bench_now();
	long sum = 0;

	for (long i = 0; i < row->n; i++) {
		coroutine::pull_type values(
			[=](coroutine::push_type &yield) { count(yield, i + 1); });

		sum += values.get() + 1;
	}
	BENCH_CHECK(sum == row->n);
	return static_cast<double>(bench_now() - begin) / row->n;
}

static const bench_row rows[] = {
	{"a value", values, 0, 1000000, nullptr, 1000000, 0, false, 0},
	{"a value, through a call on each side", through_a_call, 0, 1000000, nullptr, 1000000, 0,
	 false, 0},
	{"a leaf of a tree of 20 levels", leaves, 0, 1 << LEVELS, nullptr, 1 << LEVELS, 0, false,
	 0},
	{"create, one value, destroy", one_value_each, 0, 20000, nullptr, 20000, 0, false, 0},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
