/* Broadcast: everybody sees everything, in order, or is told what was missed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/broadcast.h>
#include <pthread.h>
#include <stdatomic.h>

#include "law.h"
#include "on_a_thread.h"
#include "waits.h"

static fiber_broadcast_t *broadcast_of(size_t message_bytes, size_t capacity)
{
	fiber_broadcast_t *b = NULL;

	cr_expect(fiber_broadcast_create(&b, message_bytes, capacity) == 0);
	return b;
}

struct listener {
	fiber_subscriber_t me;
	int got, r;
	int64_t until;
};

static int listen_once(void *arg)
{
	struct listener *l = arg;

	return fiber_broadcast_recv_until(&l->me, &l->got, l->until);
}

/* ---- what is seen -----------------------------------------------------------------------------*/
static int since_then(void *arg)
{
	fiber_broadcast_t *b = broadcast_of(sizeof(int), 4);
	fiber_subscriber_t early, late;
	int got;

	(void)arg;
	cr_expect(fiber_broadcast_send(b, &(int){99}) == 0, "to nobody");
	cr_expect(fiber_subscribe(&early, b) == 0);
	cr_expect(fiber_broadcast_try_recv(&early, &got) == -EAGAIN);
	cr_expect(fiber_broadcast_send(b, &(int){1}) == 0);
	cr_expect(fiber_subscribe(&late, b) == 0);
	cr_expect(fiber_broadcast_send(b, &(int){2}) == 0);
	cr_expect(fiber_broadcast_recv(&early, &got) == 0 && got == 1);
	cr_expect(fiber_broadcast_recv(&early, &got) == 0 && got == 2);
	cr_expect(fiber_broadcast_recv(&late, &got) == 0 && got == 2);
	cr_expect(fiber_broadcast_try_recv(&early, &got) == -EAGAIN);
	cr_expect(fiber_broadcast_try_recv(&late, &got) == -EAGAIN);
	cr_expect(fiber_unsubscribe(&early) == 0 && fiber_unsubscribe(&late) == 0);
	fiber_broadcast_free(b);
	return 0;
}

Test(broadcast, a_subscriber_sees_what_is_sent_from_then_on, .timeout = 20)
{
	law_holds(since_then, NULL);
	cr_expect(on_a_thread(since_then, NULL) == 0);
}

static int fell_behind(void *arg)
{
	fiber_broadcast_t *b = broadcast_of(sizeof(int), 3);
	fiber_subscriber_t slow;
	int got;

	(void)arg;
	cr_expect(fiber_subscribe(&slow, b) == 0);
	for (int sent = 0, behind = 0; behind < 10; behind++) {
		int missed = behind > 3 ? behind - 3 : 0, first = sent + missed;

		for (int i = 0; i < behind; i++, sent++)
			cr_expect(fiber_broadcast_send(b, &sent) == 0);
		for (int i = first; i < sent; i++) {
			cr_expect(fiber_broadcast_recv(&slow, i & 1 ? &got : NULL) == missed);
			cr_expect(!(i & 1) || got == i);
			missed = 0; /* it is told once */
		}
		cr_expect(fiber_broadcast_try_recv(&slow, &got) == -EAGAIN);
	}
	cr_expect(fiber_unsubscribe(&slow) == 0);
	fiber_broadcast_free(b);
	return 0;
}

Test(broadcast, a_slow_subscriber_is_told_how_many_it_missed, .timeout = 20)
{
	law_holds(fell_behind, NULL);
}

enum { LISTENERS = 5 };

/*	listeners           main
 *	recv: all wait
 *	                    send 1, 2, 3        <- a ring of one: 1 is gone before any of them runs,
 *	1, missed nothing                          but it was handed to them
 *	3, missed one
 */
static int handed_over(void *arg)
{
	fiber_broadcast_t *b = broadcast_of(sizeof(int), 1);
	struct listener l[LISTENERS];
	fiber_t f[LISTENERS];

	(void)arg;
	for (int i = 0; i < LISTENERS; i++) {
		l[i] = (struct listener){.until = FIBER_NEVER};
		cr_expect(fiber_subscribe(&l[i].me, b) == 0);
		f[i] = spawned(listen_once, &l[i]);
		until_it_waits_for(f[i], "chan recv");
		cr_expect(fiber_broadcast_try_recv(&l[i].me, NULL) == -EBUSY);
		cr_expect(fiber_unsubscribe(&l[i].me) == -EBUSY);
	}
	for (int i = 1; i <= 3; i++)
		cr_expect(fiber_broadcast_send(b, &i) == 0);
	for (int i = 0; i < LISTENERS; i++) {
		cr_expect(result_of(f[i]) == 0 && l[i].got == 1);
		cr_expect(fiber_broadcast_recv(&l[i].me, &l[i].got) == 1 && l[i].got == 3);
		cr_expect(fiber_unsubscribe(&l[i].me) == 0);
	}
	fiber_broadcast_free(b);
	return 0;
}

Test(broadcast, who_waits_for_a_message_gets_it, .timeout = 20)
{
	law_holds(handed_over, NULL);
}

static int closed(void *arg)
{
	fiber_broadcast_t *b = broadcast_of(sizeof(int), 4);
	struct listener waits = {.until = FIBER_NEVER, .got = 17};
	fiber_subscriber_t behind, after;
	fiber_t f;
	int got = 17;

	(void)arg;
	cr_expect(fiber_subscribe(&behind, b) == 0);
	cr_expect(fiber_broadcast_send(b, &(int){1}) == 0);
	cr_expect(fiber_subscribe(&waits.me, b) == 0);
	f = spawned(listen_once, &waits);
	until_it_waits_for(f, "chan recv");
	cr_expect(fiber_broadcast_close(b) == 0 && fiber_broadcast_close(b) == -EALREADY);
	cr_expect(result_of(f) == -EPIPE && waits.got == 17);
	cr_expect(fiber_broadcast_send(b, &got) == -EPIPE);
	cr_expect(fiber_broadcast_recv(&behind, &got) == 0 && got == 1, "what was sent before");
	cr_expect(fiber_broadcast_recv(&behind, &got) == -EPIPE && got == 1);
	cr_expect(fiber_broadcast_try_recv(&behind, &got) == -EPIPE);
	cr_expect(fiber_subscribe(&after, b) == 0);
	cr_expect(fiber_broadcast_recv(&after, &got) == -EPIPE);
	fiber_broadcast_free(b); /* the subscribers keep it */
	cr_expect(fiber_broadcast_recv(&after, &got) == -EPIPE);
	cr_expect(fiber_unsubscribe(&behind) == 0 && fiber_unsubscribe(&after) == 0);
	cr_expect(fiber_unsubscribe(&waits.me) == 0);
	return 0;
}

Test(broadcast, closing_ends_it_after_what_was_sent, .timeout = 20)
{
	law_holds(closed, NULL);
}

/* ---- interruptions ----------------------------------------------------------------------------*/
static int interrupted(void *arg)
{
	fiber_broadcast_t *b = broadcast_of(sizeof(int), 4);
	struct listener l = {.until = FIBER_NEVER};
	fiber_scope_t scope;
	int got = 17, r;

	(void)arg;
	cr_expect(fiber_subscribe(&l.me, b) == 0);
	for (int i = 0; i < 3; i++) {
		int64_t when = i < 2 ? i : fiber_after(FIBER_MILLISECOND);

		cr_expect(fiber_broadcast_recv_until(&l.me, &got, when) == -ETIMEDOUT);
		cr_expect(got == 17 && fiber_now() >= when);
	}
	cr_expect(fiber_broadcast_send(b, &(int){1}) == 0);
	fiber_within(&scope, fiber_now());
	cr_expect(fiber_check() == -ECANCELED);
	r = fiber_broadcast_recv(&l.me, &got);
	cr_expect(r == -ECANCELED && got == 17, "before any effect");
	cr_expect(fiber_scope_end(&scope, r) == -ETIMEDOUT);
	cr_expect(fiber_broadcast_recv_until(&l.me, &got, 0) == 0 && got == 1, "it is still there");
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	r = fiber_broadcast_recv(&l.me, &got);
	cr_expect(fiber_scope_end(&scope, r) == -ETIMEDOUT);
	cr_expect(fiber_unsubscribe(&l.me) == 0);
	fiber_broadcast_free(b);
	return 0;
}

static int cancelled(void *arg)
{
	fiber_broadcast_t *b = broadcast_of(sizeof(int), 4);
	struct listener l = {.until = FIBER_NEVER};
	fiber_t f;

	(void)arg;
	cr_expect(fiber_subscribe(&l.me, b) == 0);
	f = spawned(listen_once, &l);
	until_it_waits_for(f, "chan recv");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(fiber_broadcast_send(b, &(int){5}) == 0);
	cr_expect(result_of(f) == -ECANCELED || l.got == 5);
	if (l.got != 5)
		cr_expect(fiber_broadcast_recv(&l.me, &l.got) == 0 && l.got == 5, "it is lost");
	cr_expect(fiber_unsubscribe(&l.me) == 0);
	fiber_broadcast_free(b);
	return 0;
}

Test(broadcast, an_interrupted_wait_misses_nothing, .timeout = 20)
{
	law_holds(interrupted, NULL);
	cr_expect(on_a_thread(interrupted, NULL) == 0);
	law_holds(cancelled, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misused(void *arg)
{
	fiber_subscriber_t nothing = FIBER_SUBSCRIBER_INIT, s;
	fiber_broadcast_t *b = NULL;
	int got;

	(void)arg;
	cr_expect(fiber_broadcast_create(NULL, 4, 4) == -EINVAL);
	cr_expect(fiber_broadcast_create(&b, 4, 0) == -EINVAL && b == NULL);
	cr_expect(fiber_broadcast_create(&b, SIZE_MAX, 2) == -ENOMEM && b == NULL);
	cr_expect(fiber_broadcast_create(&b, 1, SIZE_MAX) == -ENOMEM && b == NULL);
	cr_expect(fiber_broadcast_send(NULL, &got) == -EINVAL);
	cr_expect(fiber_broadcast_close(NULL) == -EINVAL);
	cr_expect(fiber_broadcast_recv(NULL, &got) == -EINVAL);
	cr_expect(fiber_broadcast_recv(&nothing, &got) == -EINVAL);
	cr_expect(fiber_broadcast_recv_until(&nothing, &got, 0) == -EINVAL);
	cr_expect(fiber_broadcast_try_recv(&nothing, &got) == -EINVAL);
	cr_expect(fiber_broadcast_try_recv(NULL, &got) == -EINVAL);
	cr_expect(fiber_unsubscribe(NULL) == -EINVAL && fiber_unsubscribe(&nothing) == -EINVAL);
	cr_expect(fiber_broadcast_ref(NULL) == NULL);
	fiber_broadcast_free(NULL);
	b = broadcast_of(4, 1);
	cr_expect(fiber_broadcast_send(b, NULL) == -EINVAL);
	cr_expect(fiber_subscribe(NULL, b) == -EINVAL && fiber_subscribe(&s, NULL) == -EINVAL);
	cr_expect(fiber_subscribe(&s, b) == 0 && fiber_unsubscribe(&s) == 0);
	cr_expect(fiber_unsubscribe(&s) == -EINVAL, "once");
	fiber_broadcast_free(b);
	b = broadcast_of(0, SIZE_MAX); /* messages without bytes */
	cr_expect(fiber_subscribe(&s, b) == 0 && fiber_broadcast_send(b, NULL) == 0);
	cr_expect(fiber_broadcast_recv(&s, NULL) == 0 && fiber_unsubscribe(&s) == 0);
	fiber_broadcast_free(b);
	return 0;
}

Test(broadcast, misuse_is_answered, .timeout = 20)
{
	law_holds(misused, NULL);
}

/* ---- pressure ---------------------------------------------------------------------------------*/
enum { SENDERS = 3, READERS = 6 };

static struct {
	fiber_broadcast_t *broadcast;
	unsigned rounds;
	_Atomic unsigned wrong;
} crowd;

static int send_numbers(void *arg)
{
	for (uint64_t i = 1; i <= crowd.rounds; i++) {
		uint64_t message = (uint64_t)(uintptr_t)arg << 32 | i;

		crowd.wrong += fiber_broadcast_send(crowd.broadcast, &message) != 0;
		if (i % 8 == 0)
			fiber_yield();
	}
	return 0;
}

/* What was seen and what was missed is all there was, and each sender's in order. */
static int read_numbers(void *arg)
{
	fiber_subscriber_t *me = arg;
	uint64_t last[SENDERS] = {0}, seen = 0, message, random = (uintptr_t)arg | 1;

	for (;;) {
		int64_t when = law_random(&random) % 4 ? FIBER_NEVER : fiber_after(20000);
		int r = fiber_broadcast_recv_until(me, &message, when);

		if (r == -ETIMEDOUT)
			continue;
		if (r < 0) {
			crowd.wrong += r != -EPIPE;
			break;
		}
		seen += 1 + (unsigned)r;
		crowd.wrong += (message & 0xffffffff) <= last[message >> 32];
		last[message >> 32] = message & 0xffffffff;
	}
	crowd.wrong += seen != (uint64_t)SENDERS * crowd.rounds;
	crowd.wrong += fiber_unsubscribe(me) != 0;
	return 0;
}

static void *read_on_a_thread(void *arg)
{
	read_numbers(arg);
	return NULL;
}

static int pressure(void *arg)
{
	fiber_subscriber_t s[READERS];
	fiber_t f[READERS], senders[SENDERS];
	pthread_t threads[2];

	(void)arg;
	crowd.broadcast = broadcast_of(sizeof(uint64_t), 16);
	crowd.rounds = law_rounds(20000);
	for (int i = 0; i < READERS; i++) {
		cr_expect(fiber_subscribe(&s[i], crowd.broadcast) == 0);
		if (i < 2)
			pthread_create(&threads[i], NULL, read_on_a_thread, &s[i]);
		else
			f[i] = spawned(read_numbers, &s[i]);
	}
	for (uintptr_t i = 0; i < SENDERS; i++)
		senders[i] = spawned(send_numbers, (void *)i);
	for (int i = 0; i < SENDERS; i++)
		cr_expect(result_of(senders[i]) == 0);
	cr_expect(fiber_broadcast_close(crowd.broadcast) == 0);
	for (int i = 0; i < READERS; i++)
		cr_expect((i < 2 ? pthread_join(threads[i], NULL) : result_of(f[i])) == 0);
	fiber_broadcast_free(crowd.broadcast);
	cr_expect(crowd.wrong == 0, "%u were wrong", crowd.wrong);
	return 0;
}

Test(broadcast, seen_and_missed_is_all_there_was, .timeout = 50)
{
	law_holds(pressure, NULL);
	law_holds_with(&(fiber_options_t){.flags = FIBER_ALL_ROAM}, pressure, NULL);
}
