/* chan.c - channels between plain threads, and between fibers, which go a shorter way
 * (sched/hot.h): what is sent is received once, in order, and seen. */
#include <errno.h>
#include <fiber/chan.h>

#include "bottle.h"

static fiber_chan_t *chan;
static int sent[2], got[2], end;
static struct message {
	int content;
} message[2];

static void begin(size_t capacity)
{
	bottle_begin(1);
	bottle_plain_blocks();
	law(fiber_chan_create(&chan, sizeof(void *), capacity) == 0);
	memset(sent, 0, sizeof sent);
	memset(got, 0, sizeof got);
	memset(message, 0, sizeof message);
	end = 0;
}

static void begin_rendezvous(void)
{
	begin(0);
}

static void begin_buffered(void)
{
	begin(1);
}

static void send_as(int i)
{
	struct message *m = &message[i];

	bottle_be_plain();
	m->content = i + 1;
	sent[i] = fiber_chan_send(chan, &m);
}

static void send_0(void)
{
	send_as(0);
}

static void send_both(void)
{
	send_as(0);
	send_as(1);
}

static void try_send_0(void)
{
	struct message *m = &message[0];

	bottle_be_plain();
	m->content = 1;
	sent[0] = fiber_chan_try_send(chan, &m);
}

static void note(int r, const struct message *m)
{
	if (r < 0)
		return;
	law(m == &message[0] || m == &message[1]);
	law(m->content == m - message + 1);
	got[m - message]++;
}

static void receive(void)
{
	struct message *m = NULL;

	bottle_be_plain();
	end = fiber_chan_recv(chan, &m);
	note(end, m);
}

static void receive_until(void)
{
	struct message *m = NULL;

	bottle_be_plain();
	model_has_deadline();
	end = fiber_chan_recv_until(chan, &m, 5);
	law(end == 0 || end == -ETIMEDOUT);
	note(end, m);
}

static void receive_twice(void)
{
	receive();
	receive();
}

static void close_it(void)
{
	bottle_be_plain();
	law(fiber_chan_close(chan) == 0);
}

static void took_0(void)
{
	law(sent[0] == 0 && got[0] == 1 && fiber_chan_count(chan) == 0);
	fiber_chan_free(chan);
}

static void took_both(void)
{
	law(sent[1] == 0 && got[1] == 1);
	took_0();
}

static void took_if_sent(void)
{
	law(sent[0] == 0 || sent[0] == -EAGAIN);
	law((sent[0] == 0) == (got[0] + (int)fiber_chan_count(chan) == 1));
}

static void took_or_closed(void)
{
	law(sent[0] == 0 || sent[0] == -EPIPE);
	law((sent[0] == 0) == (got[0] == 1) && (end == 0) == (got[0] == 1));
}

/* ---- fibers: each on the one worker of a runtime of its own -----------------------------------*/
static int send_in_fiber(void *arg)
{
	struct message *m = &message[0];

	(void)arg;
	m->content = 1;
	return sent[0] = fiber_chan_send(chan, &m);
}

static int receive_in_fiber(void *arg)
{
	struct message *m = NULL;

	(void)arg;
	end = fiber_chan_recv(chan, &m);
	note(end, m);
	return end;
}

static void begin_fibers(size_t capacity)
{
	begin(capacity);
	bottle_begin_apart();
	bottle_plain_blocks();
	for (int i = 0; i < 2; i++) {
		struct worker *w = &bottle_worker[i];
		struct fiber *f = bottle_fiber(w, 0, i ? receive_in_fiber : send_in_fiber, NULL);

		law(deque_push(&w->unstarted, f) == 0);
	}
}

static void begin_fibers_rendezvous(void)
{
	begin_fibers(0);
}

static void begin_fibers_buffered(void)
{
	begin_fibers(1);
}

static void run_sender(void)
{
	worker_loop(bottle_be_worker(0));
}

static void run_receiver(void)
{
	worker_loop(bottle_be_worker(1));
}

#define FIBERS(title, begin, end, ...)                                                             \
	{ .name = title, .setup = begin, .check = end, .thread = { __VA_ARGS__ },                  \
	  .may_sleep = true }

const struct scenario scenarios_chan[] = {
	SCENARIO("a rendezvous", begin_rendezvous, took_0, send_0, receive),
	SCENARIO("a buffered message", begin_buffered, took_0, send_0, receive),
	SCENARIO("two messages through one place", begin_buffered, took_both, send_both,
		 receive_twice),
	SCENARIO("a rendezvous against a deadline", begin_rendezvous, took_if_sent, try_send_0,
		 receive_until),
	SCENARIO("a rendezvous against the close", begin_rendezvous, took_or_closed, send_0,
		 receive, close_it),
	FIBERS("a rendezvous of fibers", begin_fibers_rendezvous, took_0, run_sender, run_receiver),
	FIBERS("a buffered message between fibers", begin_fibers_buffered, took_0, run_sender,
	       run_receiver),
	FIBERS("a rendezvous of a fiber and a thread", begin_fibers_rendezvous, took_0, run_sender,
	       receive),
	{ .name = NULL },
};
