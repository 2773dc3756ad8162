// The shapes of bench/switch.c with Boost.Context as its users write it: boost::context::fiber. It
// keeps the control words, and moves an owning object with every switch.
#include "bench.h"

#include <boost/context/fiber.hpp>
#include <memory>
#include <utility>

using boost::context::fiber;

enum { CONTEXTS = 8, SWITCHES = 4000000 };

static fiber contexts[CONTEXTS + 1]; // the last one: main's
static long counts[CONTEXTS], current, previous, n, turns, turns_max;

// resume() returns whoever came here last; that one is kept under its own number.
static inline void go(long to, long me)
{
	previous = me;
	fiber from = std::move(contexts[to]).resume();
	contexts[previous] = std::move(from);
}

static inline bool finished()
{
	return ++turns > turns_max;
}

static __attribute__((__noinline__)) void yield()
{
	long me = current;

	current = me + 1 == n ? 0 : me + 1;
	go(current, me);
}

// A body that ends returns the context to go on with. The others are unwound by their destructors.
static fiber back_to_main()
{
	previous = current;
	return std::move(contexts[CONTEXTS]);
}

static fiber ring(fiber &&from)
{
	long me = current;

	contexts[previous] = std::move(from);
	for (;; yield()) {
		if (finished())
			return back_to_main();
		counts[me]++;
	}
}

static fiber ping(fiber &&from)
{
	for (contexts[previous] = std::move(from);;) {
		if (finished())
			return back_to_main();
		counts[0]++;
		current = 1;
		go(1, 0);
	}
}

static fiber pong(fiber &&from)
{
	for (contexts[previous] = std::move(from);;) {
		if (finished())
			return back_to_main();
		counts[1]++;
		current = 0;
		go(0, 1);
	}
}

static __attribute__((__noinline__)) void deeper(long depth)
{
	if (depth)
		deeper(depth - 1);
	else
		yield();
	__asm__ volatile("");
}

static fiber mixed(fiber &&from)
{
	long me = current;

	contexts[previous] = std::move(from);
	for (;; deeper(me & 3)) {
		if (finished())
			return back_to_main();
		counts[me]++;
	}
}

static double run(const bench_row *row, fiber (*even)(fiber &&), fiber (*odd)(fiber &&))
{
	int64_t begin;

	n = row->n;
	turns = 0;
	current = 0;
	turns_max = row->operations;
	for (long i = 0; i < n; i++) {
		contexts[i] = fiber(i & 1 ? odd : even);
		counts[i] = 0;
	}
	begin = bench_now();
	go(0, CONTEXTS);
	double ns = static_cast<double>(bench_now() - begin) / row->operations;
	bench_fair(counts, n, row->operations, true);
	for (long i = 0; i < n; i++)
		contexts[i] = fiber();
	return ns;
}

static double run_ring(const bench_row *row) { return run(row, ring, ring); }
static double run_ping_pong(const bench_row *row) { return run(row, ping, pong); }
static double run_mixed(const bench_row *row) { return run(row, mixed, mixed); }

static const bench_row rows[] = {
	{"ring of 8", run_ring, 0, SWITCHES, nullptr, 8, 0, false, 0},
	{"ping-pong", run_ping_pong, 0, SWITCHES, nullptr, 2, 0, false, 0},
	{"mixed depth", run_mixed, 0, SWITCHES, nullptr, 8, 0, false, 0},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
