/* Cancelling what may just have come, from two threads: every byte is counted. */
#include "hands.h"

/* ---- cancel against arriving data -------------------------------------------------------------*/
struct stream {
	int fd, peer;
	uint64_t bytes, seed;
};

static void *send_all(void *arg)
{
	struct stream *s = arg;
	static const char bytes[64];

	for (uint64_t sent = 0; sent < s->bytes;) {
		size_t n = law_random(&s->seed) % sizeof bytes + 1;

		n = n < s->bytes - sent ? n : s->bytes - sent;
		ssize_t r = send(s->peer, bytes, n, 0);
		cr_expect(r == (ssize_t)n);
		sent += n;
		if (law_random(&s->seed) % 4 == 0)
			sched_yield();
	}
	shutdown(s->peer, SHUT_WR);
	return NULL;
}

static void *receive_all(void *arg)
{
	struct hand *self = arg;
	struct stream *s = self->arg;
	char buffer[256];

	for (;;) {
		self->op = (struct poller_op){.kind = IO_RECV,
					      .fd = s->fd,
					      .buffer = buffer,
					      .bytes = law_random(&self->seed) % 256 + 1};
		ssize_t n = hand_perform(self, 2);

		if (n == 0)
			return hand_retire(self);
		if (n == -ECANCELED) {
			self->canceled++;
			continue;
		}
		cr_expect(n > 0, "%zd", n);
		if (n < 0)
			return hand_retire(self);
		self->completed++;
		self->bytes += (uint64_t)n;
	}
}

/*	reader A	reader B	sender
 *	submit		submit		write
 *	cancel		wait: pops A's operation
 *	  too late?	  wakes A
 *	await		submit		write
 * Whatever cancel says, the bytes that came are the bytes that were sent. */
static void cancel_against_data(struct stage *st, int (*pair)(int out[2]))
{
	struct hand hands[2];
	int ends[2];
	uint64_t seed = law_seed();
	unsigned rounds = law_rounds(100000), canceled = 0, completed = 0;

	while (canceled + completed < rounds) {
		struct stream s = {.bytes = 100000, .seed = ++seed};
		pthread_t sender;
		uint64_t bytes = 0;

		hands_open(st, hands, 2, seed); /* a poller is one thread's */
		cr_assert(pair(ends) == 0);
		s.fd = ends[0];
		s.peer = ends[1];
		for (int i = 0; i < 2; i++)
			hands[i].arg = &s;
		hands_start(hands, 2, receive_all);
		pthread_create(&sender, NULL, send_all, &s);
		hands_join(hands, 2);
		for (int i = 0; i < 2; i++) {
			bytes += hands[i].bytes;
			canceled += hands[i].canceled;
			completed += hands[i].completed;
		}
		pthread_join(sender, NULL);
		hands_close(hands, 2);
		cr_expect(bytes == s.bytes, "%lu of %lu bytes", (unsigned long)bytes,
			  (unsigned long)s.bytes);
		if (bytes != s.bytes)
			break;
		stage_forget(st, ends[0]);
		fiber_close(ends[0]);
		fiber_close(ends[1]);
	}
	cr_expect(canceled > 0 && completed > 0);
}

static int unix_pair(int out[2])
{
	stage_unix_pair(SOCK_STREAM, out);
	return 0;
}

POLLER_LAW(poller_threads, cancel_against_data_loses_no_byte_of_tcp)
{
	cancel_against_data(st, law_tcp_pair);
}

POLLER_LAW(poller_threads, cancel_against_data_loses_no_byte_of_a_unix_stream)
{
	cancel_against_data(st, unix_pair);
}
