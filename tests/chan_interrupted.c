/* Channels: deadlines, cancellation, plain threads. Who was interrupted has neither sent nor taken
 * anything, and is in nobody's way. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <pthread.h>

#include "law.h"
#include "on_a_thread.h"
#include "waits.h"

static fiber_chan_t *chan_of(size_t item_bytes, size_t capacity)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_chan_create(&c, item_bytes, capacity) == 0);
	return c;
}

struct job {
	fiber_chan_t *chan;
	int value;
	int64_t until;
};

static int send_value(void *arg)
{
	struct job *job = arg;

	return fiber_chan_send_until(job->chan, &job->value, job->until);
}

static int recv_value(void *arg)
{
	struct job *job = arg;

	return fiber_chan_recv_until(job->chan, &job->value, job->until);
}

/* ---- deadlines --------------------------------------------------------------------------------*/
/* Also on plain threads. */
static int timed_out(void *arg)
{
	fiber_chan_t *meeting = chan_of(sizeof(int), 0), *full = chan_of(sizeof(int), 1);
	int got = 17;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		int64_t when = i < 2 ? i : fiber_after(FIBER_MILLISECOND);

		cr_expect(fiber_chan_recv_until(meeting, &got, when) == -ETIMEDOUT && got == 17);
		cr_expect(fiber_chan_send_until(meeting, &got, when) == -ETIMEDOUT);
		cr_expect(fiber_now() >= when);
	}
	cr_expect(fiber_chan_try_send(meeting, &got) == -EAGAIN, "a receiver stayed behind");
	cr_expect(fiber_chan_try_recv(meeting, &got) == -EAGAIN, "a sender stayed behind");
	cr_expect(fiber_chan_send_until(full, &(int){5}, 0) == 0, "what can be done is done");
	cr_expect(fiber_chan_send_until(full, &(int){6}, 0) == -ETIMEDOUT);
	cr_expect(fiber_chan_count(full) == 1);
	cr_expect(fiber_chan_recv_until(full, &got, 0) == 0 && got == 5);
	cr_expect(fiber_chan_recv_until(full, &got, 0) == -ETIMEDOUT);
	fiber_chan_free(meeting);
	fiber_chan_free(full);
	return 0;
}

Test(chan_interrupted, a_call_ends_with_its_time_and_leaves_nothing, .timeout = 20)
{
	law_holds(timed_out, NULL);
	cr_expect(on_a_thread(timed_out, NULL) == 0);
}

/*	main            patient         hasty
 *	                recv: waits
 *	                                recv: waits, and times out
 *	try_send 1                                               <- goes to the patient one
 */
static int time_passes_by(void *arg)
{
	fiber_chan_t *c = chan_of(sizeof(int), 0);
	struct job hasty = {.chan = c, .value = 17}, patient = {.chan = c, .until = FIBER_NEVER};
	fiber_t p = spawned(recv_value, &patient);

	(void)arg;
	until_it_waits_for(p, "chan recv");
	hasty.until = fiber_after(FIBER_MILLISECOND);
	cr_expect(result_of(spawned(recv_value, &hasty)) == -ETIMEDOUT && hasty.value == 17);
	cr_expect(fiber_chan_try_send(c, &(int){1}) == 0);
	cr_expect(result_of(p) == 0 && patient.value == 1);
	fiber_chan_free(c);
	return 0;
}

Test(chan_interrupted, who_gave_up_takes_nobodys_item, .timeout = 20)
{
	law_holds(time_passes_by, NULL);
}

/* ---- cancellation -----------------------------------------------------------------------------*/
static int cancelled(void *arg)
{
	fiber_chan_t *c = chan_of(sizeof(int), 0);
	struct job send = {.chan = c, .value = 1, .until = FIBER_NEVER}, recv = send;
	fiber_t f = spawned(send_value, &send);

	(void)arg;
	until_it_waits_for(f, "chan send");
	cr_expect(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED);
	cr_expect(fiber_chan_try_recv(c, &recv.value) == -EAGAIN, "its item was sent");
	f = spawned(recv_value, &recv);
	until_it_waits_for(f, "chan recv");
	cr_expect(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED);
	cr_expect(fiber_chan_try_send(c, &send.value) == -EAGAIN, "it still waits");
	fiber_chan_free(c);
	return 0;
}

Test(chan_interrupted, a_cancelled_wait_leaves_nothing, .timeout = 20)
{
	law_holds(cancelled, NULL);
}

/* Law 1 of interruptions. */
static int known_before(void *arg)
{
	fiber_chan_t *c = chan_of(sizeof(int), 2);
	fiber_scope_t scope;
	int item = 5, r;

	(void)arg;
	cr_expect(fiber_chan_send(c, &item) == 0);
	fiber_within(&scope, fiber_now());
	cr_expect(fiber_check() == -ECANCELED); /* looks at the clock: now it is known */
	cr_expect(fiber_chan_send(c, &item) == -ECANCELED);
	cr_expect(fiber_chan_recv(c, &item) == -ECANCELED);
	cr_expect(fiber_chan_count(c) == 1);
	cr_expect(fiber_chan_try_send(c, &item) == 0, "no cancellation point");
	cr_expect(fiber_chan_try_recv(c, &item) == 0, "no cancellation point");
	r = fiber_chan_recv(c, &item);
	cr_expect(fiber_scope_end(&scope, r) == -ETIMEDOUT);
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	cr_expect(fiber_chan_recv(c, &item) == 0, "a success is a success");
	r = fiber_chan_recv(c, &item);
	cr_expect(r == -ECANCELED);
	cr_expect(fiber_scope_end(&scope, r) == -ETIMEDOUT);
	fiber_chan_free(c);
	return 0;
}

Test(chan_interrupted, a_known_interruption_fails_before_any_effect, .timeout = 20)
{
	law_holds(known_before, NULL);
	cr_expect(on_a_thread(known_before, NULL) == 0);
}

/*	receiver        main
 *	recv: waits
 *	                try_send: claims it       <- one worker: it has not run yet
 *	                cancel                    <- too late: the item is its own
 */
static int granted_then_cancelled(void *arg)
{
	fiber_chan_t *c = chan_of(sizeof(int), 0);
	struct job job = {.chan = c, .until = FIBER_NEVER};
	fiber_t f = spawned(recv_value, &job);

	(void)arg;
	until_it_waits_for(f, "chan recv");
	cr_expect(fiber_chan_try_send(c, &(int){9}) == 0);
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == 0 && job.value == 9);
	f = spawned(recv_value, &job);
	until_it_waits_for(f, "chan recv");
	cr_expect(fiber_cancel(f) == 0); /* done by its home worker, which we are */
	cr_expect(fiber_chan_try_send(c, &(int){10}) == -EAGAIN);
	cr_expect(result_of(f) == -ECANCELED && job.value == 9);
	fiber_chan_free(c);
	return 0;
}

Test(chan_interrupted, grant_or_interruption_whichever_was_first, .timeout = 20)
{
	cr_expect(law_run(1, granted_then_cancelled, NULL) == 0);
	law_no_leaks();
}

/* ---- threads ----------------------------------------------------------------------------------*/
enum { MANY = 2000 };

static void *thread_echo(void *arg)
{
	fiber_chan_t **c = arg;
	long item, wrong = 0;

	while (fiber_chan_recv(c[0], &item) == 0)
		wrong += fiber_chan_send(c[1], &item) != 0;
	wrong += fiber_chan_close(c[1]) != 0;
	return (void *)wrong;
}

static int meet_a_thread(void *arg)
{
	fiber_chan_t *c[2] = {chan_of(sizeof(long), 0), chan_of(sizeof(long), 0)};
	long got = -1;
	void *wrong = NULL;
	pthread_t thread;

	(void)arg;
	cr_expect(pthread_create(&thread, NULL, thread_echo, c) == 0);
	for (long i = 0; i < MANY; i++) {
		cr_expect(fiber_chan_send(c[0], &i) == 0);
		cr_expect(fiber_chan_recv(c[1], &got) == 0 && got == i);
	}
	cr_expect(fiber_chan_close(c[0]) == 0);
	cr_expect(fiber_chan_recv(c[1], &got) == -EPIPE);
	pthread_join(thread, &wrong);
	cr_expect(wrong == NULL);
	fiber_chan_free(c[0]);
	fiber_chan_free(c[1]);
	return 0;
}

Test(chan_interrupted, fibers_and_threads_meet, .timeout = 40)
{
	law_holds(meet_a_thread, NULL);
	cr_expect(on_a_thread(meet_a_thread, NULL) == 0, "two threads");
	law_no_leaks();
}
