// The shapes of bench/switch.c with Boost.Context's jump_fcontext, the assembly that its public
// classes and the libraries built on it come down to. It keeps the control words.
#include "bench.h"

#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <cstdlib>

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

enum { CONTEXTS = 8, STACK_BYTES = 64 * 1024, SWITCHES = 8000000 };

static fcontext_t contexts[CONTEXTS + 1]; // the last one: main's
static long counts[CONTEXTS], current, n, turns, turns_max;

// Whoever lands learns where its predecessor was left, and stores it; the data is who that was.
static inline void landed(transfer_t from)
{
	contexts[reinterpret_cast<intptr_t>(from.data)] = from.fctx;
}

static inline void jump(long to, long me)
{
	landed(jump_fcontext(contexts[to], reinterpret_cast<void *>(me)));
}

static void finish()
{
	jump(CONTEXTS, current);
	std::abort();
}

static __attribute__((__noinline__)) void yield()
{
	long me = current;

	current = me + 1 == n ? 0 : me + 1;
	jump(current, me);
}

static void ring(transfer_t from)
{
	long me = current;

	landed(from);
	for (;; yield()) {
		if (++turns > turns_max)
			finish();
		counts[me]++;
	}
}

static void ping(transfer_t from)
{
	for (landed(from);;) {
		if (++turns > turns_max)
			finish();
		counts[0]++;
		jump(1, 0);
	}
}

static void pong(transfer_t from)
{
	for (landed(from);;) {
		if (++turns > turns_max)
			finish();
		counts[1]++;
		jump(0, 1);
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

static void mixed(transfer_t from)
{
	long me = current;

	landed(from);
	for (;; deeper(me & 3)) {
		if (++turns > turns_max)
			finish();
		counts[me]++;
	}
}

static double run(const bench_row *row, void (*even)(transfer_t), void (*odd)(transfer_t))
{
	static char *stacks;
	int64_t begin;

	if (!stacks)
		stacks = static_cast<char *>(aligned_alloc(4096, (size_t)CONTEXTS * STACK_BYTES));
	n = row->n;
	turns = 0;
	current = 0;
	turns_max = row->operations;
	for (long i = 0; i < n; i++) {
		char *top = stacks + (i + 1) * STACK_BYTES - 64 - i * 192;

		contexts[i] = make_fcontext(top, STACK_BYTES - 4096, i & 1 ? odd : even);
		counts[i] = 0;
	}
	begin = bench_now();
	jump(0, CONTEXTS);
	double ns = static_cast<double>(bench_now() - begin) / row->operations;
	bench_fair(counts, n, row->operations, true);
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
