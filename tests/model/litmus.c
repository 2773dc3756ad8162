/* litmus.c - the explorer on programs whose outcomes are known: all that C11 permits (RC11, without
 * load buffering), and nothing else. */
#include <stdatomic.h>

#include "all.h"

static _Atomic int x, y;
static int data, r[4];

#define GET(p, order) atomic_load_explicit(p, memory_order_##order)
#define PUT(p, v, order) atomic_store_explicit(p, v, memory_order_##order)
#define ADD(p, v, order) atomic_fetch_add_explicit(p, v, memory_order_##order)
#define FENCE(order) atomic_thread_fence(memory_order_##order)

static void begin(void)
{
	PUT(&x, 0, relaxed);
	PUT(&y, 0, relaxed);
	data = 0;
	for (int i = 0; i < 4; i++)
		r[i] = -1;
}

static void report_1(void)
{
	model_report("%d", r[0]);
}

static void report_2(void)
{
	model_report("%d%d", r[0], r[1]);
}

static void report_3(void)
{
	model_report("%d%d%d", r[0], r[1], r[2]);
}

static void report_4(void)
{
	model_report("%d%d%d%d", r[0], r[1], r[2], r[3]);
}

static void report_memory(void)
{
	model_report("%d%d", GET(&x, relaxed), GET(&y, relaxed));
}

/* Functions of one line, or two. */
#define DO(name, ...)                                                                              \
	static void name(void)                                                                     \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}

/* ---- store buffering, message passing, load buffering -----------------------------------------*/
DO(x_then_y, PUT(&x, 1, relaxed); r[0] = GET(&y, relaxed))
DO(y_then_x, PUT(&y, 1, relaxed); r[1] = GET(&x, relaxed))
DO(x_then_y_release, PUT(&x, 1, release); r[0] = GET(&y, acquire))
DO(y_then_x_release, PUT(&y, 1, release); r[1] = GET(&x, acquire))
DO(x_then_y_total, PUT(&x, 1, seq_cst); r[0] = GET(&y, seq_cst))
DO(y_then_x_total, PUT(&y, 1, seq_cst); r[1] = GET(&x, seq_cst))
DO(x_fence_y, PUT(&x, 1, relaxed); FENCE(seq_cst); r[0] = GET(&y, relaxed))
DO(y_fence_x, PUT(&y, 1, relaxed); FENCE(seq_cst); r[1] = GET(&x, relaxed))
DO(y_weak_fence_x, PUT(&y, 1, relaxed); FENCE(acq_rel); r[1] = GET(&x, relaxed))
DO(send, PUT(&x, 1, relaxed); PUT(&y, 1, relaxed))
DO(send_release, PUT(&x, 1, relaxed); PUT(&y, 1, release))
DO(send_fence, PUT(&x, 1, relaxed); FENCE(release); PUT(&y, 1, relaxed))
DO(receive, r[0] = GET(&y, relaxed); r[1] = GET(&x, relaxed))
DO(receive_acquire, r[0] = GET(&y, acquire); r[1] = GET(&x, relaxed))
DO(receive_fence, r[0] = GET(&y, relaxed); FENCE(acquire); r[1] = GET(&x, relaxed))
DO(load_x_put_y, r[0] = GET(&x, relaxed); PUT(&y, 1, relaxed))
DO(load_y_put_x, r[1] = GET(&y, relaxed); PUT(&x, 1, relaxed))

/* ---- release sequences ------------------------------------------------------------------------*/
DO(add_to_y, ADD(&y, 1, relaxed))
DO(see_two, r[0] = GET(&y, acquire); r[1] = GET(&x, relaxed))
DO(send_and_again, PUT(&x, 1, relaxed); PUT(&y, 1, release); PUT(&y, 2, relaxed))

/* ---- coherence --------------------------------------------------------------------------------*/
DO(put_1, PUT(&x, 1, relaxed))
DO(put_2, PUT(&x, 2, relaxed))
DO(read_twice, r[0] = GET(&x, relaxed); r[1] = GET(&x, relaxed))
DO(read_twice_too, r[2] = GET(&x, relaxed); r[3] = GET(&x, relaxed))
DO(x_1_y_2, PUT(&x, 1, relaxed); PUT(&y, 2, relaxed))
DO(y_1_x_2, PUT(&y, 1, relaxed); PUT(&x, 2, relaxed))
DO(x_1_y_2_release, PUT(&x, 1, release); PUT(&y, 2, release))
DO(y_1_x_2_release, PUT(&y, 1, release); PUT(&x, 2, release))
DO(x_1_y_2_total, PUT(&x, 1, seq_cst); PUT(&y, 2, seq_cst))
DO(y_1_x_2_total, PUT(&y, 1, seq_cst); PUT(&x, 2, seq_cst))

/* ---- three and four threads -------------------------------------------------------------------*/
DO(put_y, PUT(&y, 1, relaxed))
DO(put_x_total, PUT(&x, 1, seq_cst))
DO(put_y_total, PUT(&y, 1, seq_cst))
DO(put_x_release, PUT(&x, 1, release))
DO(put_y_release, PUT(&y, 1, release))
DO(see_x_y, r[0] = GET(&x, acquire); r[1] = GET(&y, acquire))
DO(see_y_x, r[2] = GET(&y, acquire); r[3] = GET(&x, acquire))
DO(see_x_y_total, r[0] = GET(&x, seq_cst); r[1] = GET(&y, seq_cst))
DO(see_y_x_total, r[2] = GET(&y, seq_cst); r[3] = GET(&x, seq_cst))
DO(see_x_fence_y, r[0] = GET(&x, relaxed); FENCE(seq_cst); r[1] = GET(&y, relaxed))
DO(see_y_fence_x, r[2] = GET(&y, relaxed); FENCE(seq_cst); r[3] = GET(&x, relaxed))
DO(relay, r[0] = GET(&x, relaxed); PUT(&y, 1, relaxed))
DO(relay_release, r[0] = GET(&x, acquire); PUT(&y, 1, release))
DO(end_of_relay, r[1] = GET(&y, acquire); r[2] = GET(&x, relaxed))

/* ---- read-modify-writes, and what is not atomic -----------------------------------------------*/
DO(add_to_x, r[0] = ADD(&x, 1, relaxed))
DO(add_to_x_too, r[1] = ADD(&x, 1, relaxed))
DO(add_to_x_as_well, r[2] = ADD(&x, 1, relaxed))
DO(write_data, data = 1; PUT(&x, 1, release))
DO(await_data, while (!GET(&x, acquire)) os_pause(); r[0] = data)

#define LITMUS(title, permitted, report, ...)                                                      \
	{ .name = title, .setup = begin, .check = report, .outcomes = permitted,                   \
	  .thread = { __VA_ARGS__ } }

const struct scenario scenarios_litmus[] = {
	LITMUS("store buffering, relaxed", "00 01 10 11 ", report_2, x_then_y, y_then_x),
	LITMUS("store buffering, release and acquire", "00 01 10 11 ", report_2, x_then_y_release,
	       y_then_x_release),
	LITMUS("store buffering, seq_cst", "01 10 11 ", report_2, x_then_y_total, y_then_x_total),
	LITMUS("store buffering, fences", "01 10 11 ", report_2, x_fence_y, y_fence_x),
	LITMUS("store buffering, one fence too weak", "00 01 10 11 ", report_2, x_fence_y,
	       y_weak_fence_x),
	LITMUS("store buffering, a fence and seq_cst accesses", "01 10 11 ", report_2,
	       x_fence_y, y_then_x_total),
	LITMUS("message passing, relaxed", "00 01 10 11 ", report_2, send, receive),
	LITMUS("message passing, only release", "00 01 10 11 ", report_2, send_release, receive),
	LITMUS("message passing, only acquire", "00 01 10 11 ", report_2, send, receive_acquire),
	LITMUS("message passing, release and acquire", "00 01 11 ", report_2, send_release,
	       receive_acquire),
	LITMUS("message passing, fences", "00 01 11 ", report_2, send_fence, receive_fence),
	LITMUS("message passing, release fence, acquire load", "00 01 11 ", report_2, send_fence,
	       receive_acquire),
	LITMUS("message passing, release store, acquire fence", "00 01 11 ", report_2,
	       send_release, receive_fence),
	LITMUS("load buffering: C11 permits 11 as well, this model does not", "00 01 10 ", report_2,
	       load_x_put_y, load_y_put_x),
	LITMUS("a release sequence goes on by read-modify-writes", "00 01 10 11 21 ", report_2,
	       send_release, add_to_y, see_two),
	LITMUS("a release sequence ends with a plain store", "00 01 11 20 21 ", report_2,
	       send_and_again, see_two),
	LITMUS("coherence: nobody reads backwards", "00 01 02 11 12 21 22 ", report_2, put_1, put_2,
	       read_twice),
	LITMUS("coherence: all agree on the order of one location's stores",
	       "0000 0001 0002 0011 0012 0021 0022 0100 0101 0102 0111 0112 0121 0122 0200 "
	       "0201 0202 0211 0212 0221 0222 1100 1101 1102 1111 1112 1121 1122 1200 1201 "
	       "1202 1211 1212 1222 2100 2101 2102 2111 2121 2122 2200 2201 2202 2211 2212 "
	       "2221 2222 ",
	       report_4, put_1, put_2, read_twice, read_twice_too),
	LITMUS("two stores each, relaxed", "11 12 21 22 ", report_memory, x_1_y_2, y_1_x_2),
	LITMUS("two stores each, release", "11 12 21 22 ", report_memory, x_1_y_2_release,
	       y_1_x_2_release),
	LITMUS("two stores each, seq_cst", "12 21 22 ", report_memory, x_1_y_2_total,
	       y_1_x_2_total),
	LITMUS("independent reads of independent writes, acquire",
	       "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1010 1011 1100 1101 1110 1111 ",
	       report_4, put_x_release, put_y_release, see_x_y, see_y_x),
	LITMUS("independent reads of independent writes, seq_cst",
	       "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 1100 1101 1110 1111 ",
	       report_4, put_x_total, put_y_total, see_x_y_total, see_y_x_total),
	LITMUS("independent reads of independent writes, fences",
	       "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 1100 1101 1110 1111 ",
	       report_4, put_1, put_y, see_x_fence_y, see_y_fence_x),
	LITMUS("write to read causality", "000 001 010 011 100 101 111 ", report_3, put_x_release,
	       relay_release, end_of_relay),
	LITMUS("write to read causality, relaxed", "000 001 010 011 100 101 110 111 ", report_3,
	       put_1, relay, end_of_relay),
	LITMUS("three add one each", "012 021 102 120 201 210 ", report_3, add_to_x, add_to_x_too,
	       add_to_x_as_well),
	LITMUS("who awaits a flag reads what was written before it", "1 ", report_1, write_data,
	       await_data),
	{ .name = NULL },
};
