/* uring_stream.c - streams of the library's own (fiber_own), which are received ahead.
 *
 * One submission receives again and again, into buffers that are lent to the kernel, so a reader
 * costs no submission and no wait of its own in the kernel, and what is there already costs not
 * even a park. Bytes go from the lent buffer straight to a reader who waits, or else into memory of
 * the stream's own, and the buffer is the kernel's again at once: nobody holds one.
 *
 * It would swallow what other code's poll() and recv() expect; hence only on what was declared the
 * library's own, and whatever else receives there is refused (-EBUSY).
 *
 * A stream hangs on its slot (`ahead`), and its guard guards all of it. Its submission, `shot`, is
 * in flight like any operation, with nobody to be told. It belongs to `home`, the poller of the
 * reader that started it; readers elsewhere are served by it as well. When nobody reads and more
 * than AHEAD_MOST bytes are waiting, or the kernel has no buffer left, it ends until somebody reads
 * again. Only while it flies does anybody wait:
 *
 *	shot flies    readers may wait; they are served when it lands
 *	it does not   nobody waits: who comes takes bytes, or starts it
 *
 * A stream that was given up (`gone`) is off its slot, and freed when its shot lands. So is one
 * that comes to rest with nothing to tell. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "poller/ahead.h"
#include "poller/uring.h"

enum { AHEAD_MOST = 64 * 1024 };

struct stream {
	struct ahead ahead;        /* first */
	struct poller_op shot;
	struct uring *home;        /* whose the shot is, while it flies */
	struct list readers;       /* that wait */
	char *memory;              /* `ahead.bytes` of it from `start` on are to be read */
	size_t start, room;
	int end;                   /* what comes after the bytes, if `ended`: 0 or -errno */
	bool flies, ended, gone;
};

/* ---- bytes ------------------------------------------------------------------------------------*/
/* The first piece of memory to read into; a short read is a read. */
static void *target(const struct poller_op *op, size_t *bytes)
{
	if (op->kind == IO_RECV) {
		*bytes = op->bytes;
		return op->buffer;
	}
	for (int i = 0; i < op->iov_count; i++)
		if (op->iov[i].iov_len) {
			*bytes = op->iov[i].iov_len;
			return op->iov[i].iov_base;
		}
	*bytes = 0;
	return NULL;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* What it reads out of memory of ours. */
static ssize_t read_ahead(struct stream *t, const struct poller_op *op)
{
	size_t bytes;
	void *to = target(op, &bytes);

	bytes = least(bytes, t->ahead.bytes);
	memcpy(to, t->memory + t->start, bytes);
	t->start += bytes;
	t->ahead.bytes -= bytes;
	return (ssize_t)bytes;
}

/* False: no memory. */
static bool make_room(struct stream *t, size_t more)
{
	size_t wish = t->ahead.bytes + more;
	char *memory;

	if (t->start + wish <= t->room)
		return true;
	if (t->ahead.bytes)
		memmove(t->memory, t->memory + t->start, t->ahead.bytes);
	t->start = 0;
	if (wish <= t->room)
		return true;
	memory = realloc(t->memory, 2 * wish);
	if (!memory)
		return false;
	t->memory = memory;
	t->room = 2 * wish;
	return true;
}

static void finish(struct stream *t, int why)
{
	t->ended = true;
	t->end = why;
}

/* Bytes that are lost end the stream: what comes behind them is not to be read. */
static void keep(struct stream *t, const char *bytes, size_t count)
{
	if (t->ended)
		return;
	if (!make_room(t, count)) {
		finish(t, -ENOMEM);
		return;
	}
	memcpy(t->memory + t->start + t->ahead.bytes, bytes, count);
	t->ahead.bytes += count;
}

static unsigned give_reader(struct stream *t, ssize_t result, struct list *back)
{
	struct list *node = list_pop(&t->readers);
	struct poller_op *op = container_of(node, struct poller_op, link);

	op->again = result == POLLER_RETRY;
	op->result = result;
	op->state = URING_BACK;
	list_append(back, &op->link);
	return 1;
}

/* Straight into the memory of those who wait, and what is left over into ours. */
static unsigned distribute(struct stream *t, const char *bytes, size_t count, struct list *back)
{
	unsigned n = 0;

	while (count && !list_empty(&t->readers)) {
		struct poller_op *op = container_of(t->readers.next, struct poller_op, link);
		size_t room;
		void *to = target(op, &room);

		room = least(room, count);
		memcpy(to, bytes, room);
		bytes += room;
		count -= room;
		n += give_reader(t, (ssize_t)room, back);
	}
	if (count)
		keep(t, bytes, count);
	return n;
}

/* ---- the shot ---------------------------------------------------------------------------------*/
void uring_prepare_stream(struct io_uring_sqe *sqe, const struct slot *s)
{
	sqe->opcode = IORING_OP_RECV;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->ioprio = IORING_RECV_MULTISHOT | (s->drained ? IORING_RECVSEND_POLL_FIRST : 0);
	sqe->buf_group = URING_LENT;
}

static void release(struct stream *t)
{
	free(t->memory);
	free(t);
}

/* It has landed for good. */
static unsigned come_to_rest(struct uring *u, struct stream *t, int r, struct list *back)
{
	unsigned n = 0;

	uring_unlink(u, &t->shot);
	t->flies = false;
	if (t->gone)
		return 0;
	if (r == 0 || (r < 0 && r != -ENOBUFS && t->shot.state != URING_LEAVING && r != -EINTR &&
		       r != -ECANCELED))
		finish(t, r);
	while (!list_empty(&t->readers))
		n += give_reader(t, t->ended ? t->end : POLLER_RETRY, back);
	return n;
}

static bool has_too_much(const struct stream *t)
{
	return t->flies && !t->gone && t->ahead.bytes > AHEAD_MOST &&
	       t->shot.state == URING_KERNEL;
}

/* At rest, and given up, or with nothing to tell: the next reader makes another. */
static bool let_go(const struct stream *t, struct slot *s)
{
	if (t->flies)
		return false;
	if (t->gone)
		return true;
	if (t->ended || t->ahead.bytes)
		return false;
	s->ahead = NULL;
	return true;
}

unsigned uring_land_stream(struct uring *u, struct poller_op *op, int r, unsigned flags,
			   struct list *back)
{
	struct stream *t = container_of(op, struct stream, shot);
	unsigned number = flags >> IORING_CQE_BUFFER_SHIFT, n = 0;
	bool lent = flags & IORING_CQE_F_BUFFER, full, last;
	struct slot *s = op->slot;

	spin_lock(&s->guard);
	if (lent && r > 0 && !t->gone) {
		n = distribute(t, uring_lent(u, number), (size_t)r, back);
		s->drained = !(flags & IORING_CQE_F_SOCK_NONEMPTY);
	}
	if (!(flags & IORING_CQE_F_MORE))
		n += come_to_rest(u, t, r, back);
	full = has_too_much(t);
	last = let_go(t, s); /* who gives it up later, when it rests, frees it himself */
	spin_unlock(&s->guard);
	if (lent)
		uring_lend(u, number);
	if (full)
		uring_cancel_later(u, op, URING_LEAVING);
	if (last)
		release(t);
	return n;
}

/* ---- the life of a stream ---------------------------------------------------------------------*/
static void end(struct slot *s, struct list *back)
{
	struct stream *t = container_of(s->ahead, struct stream, ahead);

	s->ahead = NULL;
	while (!list_empty(&t->readers))
		give_reader(t, -EBADF, back);
	t->gone = true;
	if (!t->flies)
		release(t); /* else our caller gives up the shot, and it lands */
}

static struct held *stop(struct slot *s)
{
	struct stream *t = container_of(s->ahead, struct stream, ahead);

	if (!t->flies || t->shot.given_up)
		return NULL;
	t->shot.given_up = true;
	t->home->held.ask(&t->home->held, s);
	return &t->home->held;
}

static struct stream *make(struct uring *u, struct slot *s)
{
	struct stream *t;

	if (!u->buffers && !uring_make_buffers(u))
		return NULL;
	t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->ahead.end = end;
	t->ahead.stop = stop;
	list_init(&t->readers);
	s->ahead = &t->ahead;
	return t;
}

/* ---- reading ----------------------------------------------------------------------------------*/
static int done(struct poller_op *op, ssize_t result)
{
	op->result = result;
	return POLLER_DONE;
}

/* Does it take bytes, or wait for some? */
static bool wants_bytes(const struct poller_op *op)
{
	switch (op->kind) {
	case IO_READ:
	case IO_RECV:
	case IO_RECVMSG:
		return true;
	case IO_POLL:
		return op->events & POLLIN;
	default:
		return false;
	}
}

static bool is_read(const struct poller_op *op)
{
	size_t bytes;

	if (op->kind == IO_READ)
		return target(op, &bytes) != NULL;
	return op->kind == IO_RECV && op->bytes && !(op->flags & ~MSG_DONTWAIT);
}

static int wait_for_bytes(struct slot *s, struct stream *t, struct poller_op *op)
{
	op->way = URING_STREAMS;
	op->slot = s;
	op->poller = t->home;
	op->forgets = s->forgets;
	op->state = URING_AHEAD;
	list_append(&t->readers, &op->link);
	return POLLER_IN_FLIGHT;
}

static int read_stream(struct uring *u, struct slot *s, struct stream *t, struct poller_op *op)
{
	if (t->ahead.bytes)
		return done(op, read_ahead(t, op));
	if (t->ended) {
		int why = t->end;

		t->end = 0; /* an error is told once, as the kernel does */
		return done(op, why);
	}
	if (op->flags & MSG_DONTWAIT)
		return t->flies ? done(op, -EAGAIN) : URING_NOT_AHEAD;
	if (!t->flies) {
		if (op->again || (!u->buffers && !uring_make_buffers(u)))
			return URING_NOT_AHEAD; /* the kernel had no buffers: without */
		t->home = u;
		t->flies = true;
		t->shot.fd = op->fd;
		uring_fly(u, s, &t->shot, URING_STREAMS, &u->old);
	}
	return wait_for_bytes(s, t, op);
}

int uring_receive(struct uring *u, struct slot *s, struct poller_op *op)
{
	struct stream *t = s->ahead ? container_of(s->ahead, struct stream, ahead) : NULL;

	if (s->ahead && s->ahead->connections)
		return op->kind == IO_POLL && wants_bytes(op) ? done(op, -EBUSY) : URING_NOT_AHEAD;
	if (is_read(op)) {
		t = t ? t : make(u, s);
		return t ? read_stream(u, s, t, op) : URING_NOT_AHEAD;
	}
	return t && wants_bytes(op) ? done(op, -EBUSY) : URING_NOT_AHEAD;
}
