// The shapes of bench/switch.c with the coroutines of C++20: each suspends and resumes the next one
// directly. For the mixed depths, each further call is a coroutine, made anew every turn: that is
// what a call costs where it may suspend.
#include "cxx20.h"

#include "bench.h"

using cxx20::handle;
using cxx20::task;

enum { CONTEXTS = 8, SWITCHES = 8000000 };

static long counts[CONTEXTS], current, n, turns, turns_max;
static handle resumed[CONTEXTS];

// To the next in the ring; at the end, back to who resumed the first one.
struct hand_on {
	bool await_ready() { return false; }
	handle await_suspend(handle h)
	{
		resumed[current] = h;
		current = current + 1 == n ? 0 : current + 1;
		return turns == turns_max ? std::noop_coroutine() : resumed[current];
	}
	void await_resume() {}
};

static task ring(long me)
{
	for (;;) {
		counts[me]++;
		turns++;
		co_await hand_on{};
	}
	co_return 0;
}

static task pong()
{
	for (;;) {
		turns++;
		counts[1]++;
		co_await hand_on{};
	}
	co_return 0;
}

static task deeper(long depth)
{
	if (depth)
		co_await deeper(depth - 1);
	else
		co_await hand_on{};
	co_return 0;
}

static task mixed(long me)
{
	for (;;) {
		counts[me]++;
		turns++;
		if (me & 3)
			co_await deeper((me & 3) - 1);
		else
			co_await hand_on{};
	}
	co_return 0;
}

static task make(const bench_row *row, long i)
{
	if (row->variant == 2)
		return mixed(i);
	return row->variant && i & 1 ? pong() : ring(i);
}

// A task starts when somebody awaits it; this one never ends, and is destroyed from outside.
struct start {
	task &which;

	bool await_ready() { return false; }
	handle await_suspend(handle h) { return which.await_suspend(h); }
	void await_resume() {}
};

static task first(std::vector<task> &all, long i)
{
	co_await start{all[i]};
	co_return 0;
}

static double run(const bench_row *row)
{
	std::vector<task> all, starters;
	int64_t begin;

	n = row->n;
	turns = current = 0;
	turns_max = row->operations + n;
	for (long i = 0; i < n; i++) {
		counts[i] = 0;
		all.push_back(make(row, i));
	}
	// The first turn of each only leaves its handle behind.
	for (long i = 0; i < n; i++)
		starters.push_back(first(all, i));
	for (long i = 0; i < n; i++) {
		handle self = starters[i].await_suspend(std::noop_coroutine());

		turns_max = turns + 1; // it comes back at once
		current = i;
		self.resume();
	}
	turns_max = row->operations + n;
	current = 0;
	begin = bench_now();
	resumed[0].resume();
	begin = bench_now() - begin;
	bench_fair(counts, n, turns, true);
	BENCH_CHECK(turns == turns_max);
	return double(begin) / row->operations;
}

#define ROW(name, n, variant) {name, run, 0, SWITCHES, nullptr, n, 0, false, variant}
static const bench_row rows[] = {
	ROW("ring of 8", 8, 0),
	ROW("ping-pong", 2, 1),
	ROW("mixed depth", 8, 2),
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
