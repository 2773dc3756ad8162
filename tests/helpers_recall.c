/* Jobs of helper threads that are asked back in the middle of a system call: they come, with
 * -EINTR or with what they had reached, and nothing is lost. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "law.h"
#include "os/os.h"
#include "sched/helpers.h"
#include "waits.h"

struct reading {
	struct helpers_job job;
	int fd;
	char byte;
	_Atomic uint32_t begun;
};

static int reads_blocking(void *arg)
{
	struct reading *r = arg;
	ssize_t n;

	atomic_store(&r->begun, 1);
	do {
		if (atomic_load(&r->job.stop))
			return -EINTR;
		n = read(r->fd, &r->byte, 1);
	} while (n < 0 && errno == EINTR);
	return (int)n;
}

static int offloads_reading(void *arg)
{
	struct reading *r = arg;

	r->job = (struct helpers_job){ .run = reads_blocking, .argument = r,
				       .flags = HELPERS_STOPPABLE, .what = WAIT_READ };
	return helpers_call(&r->job);
}

static int asked_back(void *arg)
{
	struct reading r = { 0 };
	int fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(pipe2(fds, O_CLOEXEC) == 0);
	r.fd = fds[0];
	f = spawned(offloads_reading, &r);
	while (atomic_load(&r.begun) == 0)
		fiber_yield();
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, offloads_reading(&r)) == -ETIMEDOUT);
	r.begun = 0;
	f = spawned(offloads_reading, &r);
	while (atomic_load(&r.begun) == 0)
		fiber_yield();
	for (int i = 0; i < 20; i++) { /* one may come too early */
		helpers_recall(&r.job);
		fiber_sleep(FIBER_MILLISECOND);
	}
	cr_expect(result_of(f) == -EINTR);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

Test(helpers_recall, a_stoppable_job_comes_back_from_its_system_call, .timeout = 30)
{
	law_holds(asked_back, NULL);
}

/* The signal that does it is one that the program has not taken. */
static _Atomic int taken;

static void counts(int number)
{
	(void)number;
	atomic_fetch_add(&taken, 1);
}

Test(helpers_recall, a_signal_that_the_program_uses_is_not_taken, .timeout = 30)
{
	struct sigaction ours = { .sa_handler = counts }, now;

	for (int number = SIGRTMAX; number > SIGRTMAX - 3; number--)
		cr_expect(sigaction(number, &ours, NULL) == 0);
	cr_expect(signal(SIGRTMAX - 3, SIG_IGN) == SIG_DFL);
	law_holds(asked_back, NULL);
	cr_expect(atomic_load(&taken) == 0);
	for (int number = SIGRTMAX; number > SIGRTMAX - 3; number--) {
		cr_expect(sigaction(number, NULL, &now) == 0);
		cr_expect(now.sa_handler == counts);
	}
	cr_expect(signal(SIGRTMAX - 3, SIG_DFL) == SIG_IGN);
}

/* A call that lasts until it is let go. */
struct stage {
	_Atomic uint32_t begun, go;
};

static int plays(void *arg)
{
	struct stage *s = arg;

	atomic_store(&s->begun, 1);
	while (atomic_load(&s->go) == 0)
		os_word_sleep(&s->go, 0, OS_NEVER);
	return 0;
}

static int goes_on_stage(void *arg)
{
	return wait_offload(plays, arg);
}

/* Behind jobs that fill the pool. */
static int never_begun(void *arg)
{
	struct stage s = { 0 };
	struct reading r = { .fd = -1 };
	fiber_t f = spawned(goes_on_stage, &s), g;

	(void)arg;
	while (atomic_load(&s.begun) == 0)
		fiber_yield();
	g = spawned(offloads_reading, &r);
	until_it_waits_for(g, "read");
	cr_expect(fiber_cancel(g) == 0);
	cr_expect(result_of(g) == -ECANCELED);
	g = spawned(offloads_reading, &r);
	until_it_waits_for(g, "read");
	helpers_recall(&r.job);
	cr_expect(result_of(g) == -EINTR);
	cr_expect(atomic_load(&r.begun) == 0);
	cr_expect(helpers_queued() == 0);
	atomic_store(&s.go, 1);
	os_word_wake(&s.go, 1);
	return result_of(f);
}

Test(helpers_recall, a_queued_job_comes_back_unrun, .timeout = 30)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, never_begun, NULL);
}

/* A byte against an interruption: it was read, or is still there. */
static int success_is_success(void *arg)
{
	unsigned rounds = law_rounds(2000), returned = 0, sent = 0;
	uint64_t state = *(uint64_t *)arg;
	int fds[2];

	cr_expect(pipe2(fds, O_CLOEXEC) == 0);
	for (unsigned i = 0; i < rounds; i++) {
		struct reading r = { .fd = fds[0] };
		unsigned how = (unsigned)law_random(&state);
		fiber_t f = spawned(offloads_reading, &r);
		int result;

		for (unsigned j = how % 4; j > 0; j--)
			fiber_yield();
		if (how & 16)
			cr_expect(fiber_cancel(f) == 0);
		cr_expect(write(fds[1], "x", 1) == 1);
		sent++;
		fiber_cancel(f);
		cr_expect(fiber_join(f, &result) == 0);
		cr_expect(result == 1 || result == -ECANCELED, "%d", result);
		returned += result == 1;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	for (char byte; read(fds[0], &byte, 1) == 1;)
		returned++;
	cr_expect(returned == sent, "%u of %u", returned, sent);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

Test(helpers_recall, a_success_is_a_success_whatever_was_asked, .timeout = 120)
{
	uint64_t seed = law_seed();

	law_holds(success_is_success, &seed);
}

/* A plain thread waits for a stoppable job in its sleep, under its own deadline. */
Test(helpers_recall, a_plain_thread_waits_too, .timeout = 30)
{
	struct reading r = { 0 };
	int fds[2];

	cr_expect(pipe2(fds, O_CLOEXEC) == 0);
	r.fd = fds[0];
	cr_expect(FIBER_TIMEOUT(10 * FIBER_MILLISECOND, offloads_reading(&r)) == -ETIMEDOUT);
	cr_expect(write(fds[1], "x", 1) == 1);
	cr_expect(offloads_reading(&r) == 1 && r.byte == 'x');
	close(fds[0]);
	close(fds[1]);
	helpers_stop();
	cr_expect(helpers_threads() == 0);
	law_no_leaks();
}
