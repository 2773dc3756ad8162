/* uring.c - the poller of Linux 6.1 and later: the kernel performs the operations (uring.h).
 *
 * A ring for each worker. Submissions are queued while fibers run, and handed over by the call that
 * also takes the completions and sleeps: a turn of the worker is one system call. Where io_uring is
 * missing or forbidden, as in many containers, it does not open.
 *
 * A wait that lasts is checked once, for the reason told in young.c: its number may mean another
 * file by now, or none, and the kernel holds the file that was meant and would never say so. It is
 * cancelled and submitted anew, as long as nothing else is to be done with it. */
#include "poller/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "poller/backends.h"
#include "poller/number.h"
#include "poller/orphans.h"
#include "poller/young.h"

enum {
	SUBMISSIONS = 256,
	COMPLETIONS = 2048, /* beyond that the kernel keeps them in memory of its own */
	ALLOWANCE = 8,      /* checks in an epoch */
	IDLE_ALLOWANCE = 64,
};

/* ---- the bell ---------------------------------------------------------------------------------*/
void uring_ring(struct uring *u)
{
	uint64_t one = 1;

	if (atomic_swap32(&u->rung, 1) == 0)
		must(write(u->bell, &one, sizeof one) == sizeof one);
}

static void hush(struct uring *u)
{
	if (atomic_load_explicit(&u->rung, memory_order_relaxed))
		atomic_swap32(&u->rung, 0);
}

/* Each write to it makes a completion; it is never read. */
void uring_hear(struct uring *u)
{
	struct io_uring_sqe *sqe;

	uring_make_room(u);
	sqe = ring_next(&u->ring);
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = u->bell;
	sqe->len = IORING_POLL_ADD_MULTI;
	sqe->poll32_events = POLLIN;
	sqe->user_data = URING_BELL;
}

/* ---- life -------------------------------------------------------------------------------------*/
static int open_poller(struct poller **out)
{
	struct uring *u = calloc(1, sizeof *u);
	int e = -ENOMEM;

	if (!u)
		return e;
	u->held.ask = uring_ask;
	u->held.settle = uring_settle;
	e = ring_open(&u->ring, SUBMISSIONS, COMPLETIONS);
	if (e < 0)
		goto no_ring;
	u->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = -errno;
	if (u->bell < 0)
		goto no_bell;
	*out = (struct poller *)u;
	return 0;
no_bell:
	ring_close(&u->ring);
no_ring:
	free(u);
	return e;
}

COLD void uring_first(struct uring *u)
{
	must(ring_start(&u->ring) == 0);
	atomic_store_explicit(&u->held.thread, held_thread(), memory_order_relaxed);
	uring_hear(u);
}

static void close_poller(struct poller *p)
{
	struct uring *u = uring_of(p);

	uring_close_streams(u);
	must(u->flying == 0 && list_empty(&u->early));
	ring_close(&u->ring);
	close(u->bell);
	free(u);
}

/* ---- turns ------------------------------------------------------------------------------------*/
/* Any other error would be ours: operations would be lost in silence. */
static int enter(struct uring *u, unsigned want, int64_t ns)
{
	int e;

	count_up(&u->calls);
	e = ring_enter(&u->ring, want, ns);
	must(e >= 0 || e == -ETIME || e == -EINTR || e == -EBUSY || e == -EAGAIN);
	return e;
}

void uring_turn(struct uring *u, struct list *back)
{
	enter(u, 0, -1);
	uring_take(u, back);
}

/* The kernel refuses submissions only while completions are not taken, or memory is short. */
COLD void uring_flush(struct uring *u)
{
	while (ring_pending(&u->ring) > u->ring.sq_mask)
		uring_turn(u, &u->early);
}

unsigned uring_take_early(struct uring *u, struct list *back)
{
	struct list *node;
	unsigned n = 0;

	while ((node = list_pop(&u->early))) {
		list_append(back, node);
		n++;
	}
	return n;
}

/* ---- waits that last --------------------------------------------------------------------------*/
static int64_t coarse_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void tick(struct uring *u)
{
	uint16_t epoch = (uint16_t)(coarse_now() / URING_EPOCH_NS);

	if (epoch == u->epoch)
		return;
	u->epoch = epoch;
	u->allowance = ALLOWANCE;
}

/* The oldest that has waited for so many epochs; NULL: none. */
static struct poller_op *oldest(const struct uring *u, const struct list *list, unsigned epochs)
{
	struct poller_op *op;

	if (list_empty(list))
		return NULL;
	op = container_of(list->next, struct poller_op, age);
	return (uint16_t)(u->epoch - op->since) >= epochs ? op : NULL;
}

static void check(struct uring *u, bool idle)
{
	struct poller_op *op;

	if (idle)
		u->allowance = IDLE_ALLOWANCE;
	while (u->allowance && (op = oldest(u, &u->young, URING_EPOCHS))) {
		u->allowance--;
		list_remove(&op->age);
		list_append(&u->old, &op->age);
		if (young_checks && op->state == URING_KERNEL)
			uring_cancel_later(u, op, URING_CHECKED);
	}
}

static unsigned try_again(struct uring *u, struct list *back)
{
	struct poller_op *op;
	unsigned n = 0;

	while ((op = oldest(u, &u->timed, URING_EPOCHS))) {
		uring_give(u, op, POLLER_RETRY, back);
		n++;
	}
	return n;
}

/* ---- waiting ----------------------------------------------------------------------------------*/
/* Nanoseconds that may be slept: negative: no limit. */
static int64_t patience(const struct uring *u, int64_t until)
{
	bool naps = !list_empty(&u->young) || !list_empty(&u->timed);
	int64_t left = until == OS_NEVER ? -1 : until - os_now();

	if (until != OS_NEVER && left < 0)
		left = 0;
	return naps && (left < 0 || left > URING_NAP_NS) ? URING_NAP_NS : left;
}

enum ending { HAPPENED, NAPPED, OVER };

static enum ending sleep_once(struct uring *u, int64_t until)
{
	int e;

	if (until == 0) {
		enter(u, 0, -1);
		return OVER;
	}
	e = enter(u, 1, patience(u, until));
	if (ring_peek(&u->ring))
		return HAPPENED;
	if (e == -EINTR)
		return OVER;
	return until != OS_NEVER && os_now() >= until ? OVER : NAPPED;
}

/* Nothing to hand over and nothing to take. */
static bool nothing_to_look_for(const struct uring *u, int64_t until)
{
	return until == 0 && !ring_pending(&u->ring) && !ring_has_news(&u->ring) &&
	       list_empty(&u->timed);
}

static int wait_poller(struct poller *p, int64_t until, struct list *back)
{
	struct uring *u = uring_of(p);
	unsigned given = 0;
	enum ending ending;

	uring_begin(u);
	do {
		given += uring_take_early(u, back) + uring_answer(u, back);
		if (given || u->rang)
			until = 0;
		if (unlikely(!list_empty(&u->idle_doors)))
			uring_rest_doors(u);
		if (nothing_to_look_for(u, until))
			break;
		ending = sleep_once(u, until);
		given += uring_take(u, back);
		tick(u);
		check(u, ending == NAPPED);
		given += try_again(u, back);
		u->lonely = given <= 1;
	} while (!given && !u->rang && ending != OVER && until != 0);
	u->rang = false;
	hush(u);
	return (int)(given + orphans_take(back));
}

/* ---- the table --------------------------------------------------------------------------------*/
static void wake(struct poller *p)
{
	uring_ring(uring_of(p));
}

static uint64_t syscalls(const struct poller *p)
{
	return count_read(&((const struct uring *)p)->calls);
}

const struct poller_ops poller_uring = {
	.name = "io_uring",
	.performs = true,
	.files = true,
	.open = open_poller,
	.close = close_poller,
	.submit = uring_submit,
	.cancel = uring_cancel,
	.wait = wait_poller,
	.wake = wake,
	.forget = number_forget,
	.syscalls = syscalls,
};
