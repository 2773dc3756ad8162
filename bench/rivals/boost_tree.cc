// Boost.Fiber in the trees of bench/forkjoin.c. Children start at once (launch::dispatch), which
// keeps the live stacks few; on two threads its work_stealing scheduler. Results travel through
// memory that the parent owns, as in ours: a future each would cost an allocation more.
#include "bench.h"

#include <boost/fiber/algo/round_robin.hpp>
#include <boost/fiber/algo/work_stealing.hpp>
#include <boost/fiber/all.hpp>
#include <memory>
#include <thread>

namespace bf = boost::fibers;

enum { FIB_N = 27, FIB_VALUE = 196418, FIB_FIBERS = 317810 };
enum { LEAVES = 1000000, SKYNET_FIBERS = 1111111 };

// A pool for each thread: fibers that moved give their stack back to the pool it came from, so
// with two threads the plain allocator is the safe one.
static thread_local bf::pooled_fixedsize_stack pool(16 * 1024);
static bf::fixedsize_stack plain(16 * 1024);
static bool one_thread;

template <typename F> static bf::fiber spawn(F &&body)
{
	if (one_thread)
		return bf::fiber(bf::launch::dispatch, std::allocator_arg, pool,
				 std::forward<F>(body));
	return bf::fiber(bf::launch::dispatch, std::allocator_arg, plain, std::forward<F>(body));
}

static long fib(long n)
{
	long one = 0;

	if (n < 2)
		return n;
	bf::fiber child = spawn([&one, n] { one = fib(n - 1); });
	long two = fib(n - 2);
	child.join();
	return one + two;
}

static long skynet(long number, long leaves)
{
	bf::fiber children[10];
	long sums[10], sum = 0;

	if (leaves == 1)
		return number;
	for (int i = 0; i < 10; i++)
		children[i] = spawn([&sums, i, number, leaves] {
			sums[i] = skynet(number + i * (leaves / 10), leaves / 10);
		});
	for (int i = 0; i < 10; i++) {
		children[i].join();
		sum += sums[i];
	}
	return sum;
}

static double work(const bench_row *row)
{
	int64_t begin = bench_now();

	if (row->variant)
		BENCH_CHECK(skynet(0, LEAVES) == long(LEAVES) * (LEAVES - 1) / 2);
	else
		BENCH_CHECK(fib(FIB_N) == FIB_VALUE);
	double ms = double(bench_now() - begin) / 1e6;
	if (row->variant)
		bench_figure("peak memory", bench_peak_megabytes(), "MB", 0);
	return ms;
}

static double tree(const bench_row *row)
{
	bf::mutex mutex;
	bf::condition_variable_any end;
	bool over = false;
	double ms;

	one_thread = row->workers == 1;
	if (one_thread)
		return work(row);
	std::thread second([&] {
		bench_pin(1);
		bf::use_scheduling_algorithm<bf::algo::work_stealing>(2);
		std::unique_lock<bf::mutex> lock(mutex);
		end.wait(lock, [&] { return over; });
	});
	bench_pin(0);
	bf::use_scheduling_algorithm<bf::algo::work_stealing>(2);
	ms = work(row);
	{
		std::unique_lock<bf::mutex> lock(mutex);
		over = true;
	}
	end.notify_all();
	second.join();
	return ms;
}

// Cold: a thread may choose its scheduler once only.
static const bench_row rows[] = {
	{"fib(27), one worker", tree, 0, FIB_FIBERS, "ms", 0, 1, false, 0},
	{"fib(27), two workers", tree, 0, FIB_FIBERS, "ms", 0, 2, true, 0},
	{"skynet, one worker", tree, 0, SKYNET_FIBERS, "ms", 0, 1, false, 1},
	{"skynet, two workers", tree, 0, SKYNET_FIBERS, "ms", 0, 2, true, 1},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
