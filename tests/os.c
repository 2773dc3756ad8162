/* What the library asks of the system: pages, guards, threads, processors, the word to sleep on. */
#include "os/os.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "law.h"
#include "os/quota.h"

/* ---- pages ------------------------------------------------------------------------------------*/

/* The kernel reads the byte for us: EFAULT where we would fault. */
static bool accessible(const void *address)
{
	int out[2];
	bool readable;

	if (pipe(out) < 0)
		return false;
	readable = write(out[1], address, 1) == 1;
	close(out[0]);
	close(out[1]);
	return readable;
}

/* Ends in a child, so that the fault can be real. */
static int signal_of_touching(volatile char *address)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		*address = 1;
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(os, fresh_pages_are_zero_and_writable, .timeout = 10)
{
	size_t bytes = 64 * os_page_bytes();
	char *pages[2] = { os_pages_map(bytes), os_stacks_map(bytes) };

	for (int i = 0; i < 2; i++) {
		cr_assert(pages[i]);
		for (size_t at = 0; at < bytes; at += 512)
			cr_expect(pages[i][at] == 0);
		memset(pages[i], 0xff, bytes);
		os_pages_unmap(pages[i], bytes);
	}
}

Test(os, no_memory_is_null_and_nothing_worse, .timeout = 10)
{
	cr_expect(os_pages_map((size_t)1 << 60) == NULL);
	cr_expect(os_stacks_map((size_t)1 << 60) == NULL);
}

Test(os, discarded_pages_are_zero_and_still_there, .timeout = 10)
{
	enum { RANGES = 700 }; /* more than fit into one call to the kernel */
	static struct os_range ranges[RANGES];
	size_t page = os_page_bytes(), bytes = 2 * RANGES * page;
	char *pages = os_pages_map(bytes);
	unsigned wrong = 0;

	cr_assert(pages);
	memset(pages, 0xff, bytes);
	os_pages_discard(pages, page);
	cr_expect(pages[0] == 0 && pages[page - 1] == 0);
	cr_expect((unsigned char)pages[page] == 0xff);
	for (size_t i = 0; i < RANGES; i++)
		ranges[i] = (struct os_range){ pages + 2 * i * page, page };
	pages[0] = 1;
	cr_expect(os_pages_discard_batch(ranges, RANGES) == 0);
	for (size_t i = 0; i < RANGES; i++) {
		wrong += pages[2 * i * page] != 0;
		wrong += (unsigned char)pages[(2 * i + 1) * page] != 0xff;
	}
	cr_expect(wrong == 0, "%u pages hold something else", wrong);
	os_pages_unmap(pages, bytes);
}

/* One, a few, and more than one call takes. */
static void guards_fault(size_t n)
{
	size_t page = os_page_bytes(), bytes = 4 * n * page;
	struct os_range *ranges = calloc(n, sizeof *ranges);
	char *pages = os_stacks_map(bytes);
	unsigned wrong = 0;
	int r;

	cr_assert(ranges && pages);
	memset(pages, 0xff, bytes);
	for (size_t i = 0; i < n; i++)
		ranges[i] = (struct os_range){ pages + 4 * i * page, 2 * page };
	r = os_guards_install(ranges, n);
	cr_expect(r == 0 || r == -ENOTSUP, "%d", r);
	if (r == -ENOTSUP)
		cr_log_info("this kernel has no guard advice");
	for (size_t i = 0; r == 0 && i < n; i++) {
		wrong += accessible(pages + 4 * i * page);
		wrong += accessible(pages + (4 * i + 2) * page - 1);
		wrong += pages[(4 * i + 2) * page] != (char)0xff;
	}
	cr_expect(wrong == 0, "%u bytes are not as they should be", wrong);
	if (r == 0) {
		cr_expect(signal_of_touching(pages) == SIGSEGV);
		cr_expect(signal_of_touching(pages + 2 * page) == 0);
		os_pages_discard(pages, bytes);
		cr_expect(!accessible(pages), "a guard survives its neighbours' discard");
		cr_expect(accessible(pages + 2 * page));
	}
	os_pages_unmap(pages, bytes);
	free(ranges);
}

Test(os, guards_really_fault_and_what_lies_between_does_not, .timeout = 20)
{
	guards_fault(1);
	guards_fault(7);
	guards_fault(8);
	guards_fault(512);
	guards_fault(1100);
}

Test(os, a_wrong_range_in_a_batch_is_an_error, .timeout = 10)
{
	enum { RANGES = 20 };
	struct os_range ranges[RANGES];
	size_t page = os_page_bytes();
	char *pages = os_stacks_map(RANGES * page), *gone = os_stacks_map(page);

	cr_assert(pages && gone);
	os_pages_unmap(gone, page);
	for (size_t i = 0; i < RANGES; i++)
		ranges[i] = (struct os_range){ pages + i * page, page };
	ranges[11].address = gone;
	cr_expect(os_pages_discard_batch(ranges, RANGES) == -ENOMEM);
	int r = os_guards_install(ranges, RANGES);
	cr_expect(r == -ENOMEM || r == -ENOTSUP, "%d", r);
	os_pages_unmap(pages, RANGES * page);
}

Test(os, protected_pages_fault, .timeout = 10)
{
	size_t page = os_page_bytes();
	char *pages = os_stacks_map(3 * page);

	cr_assert(pages);
	cr_expect(os_pages_protect(pages + page, page) == 0);
	cr_expect(accessible(pages));
	cr_expect(!accessible(pages + page));
	cr_expect(accessible(pages + 2 * page));
	cr_expect(signal_of_touching(pages + page) == SIGSEGV);
	os_pages_unmap(pages, 3 * page);
}

/* ---- threads ----------------------------------------------------------------------------------*/

struct seen {
	sigset_t mask;
	char name[16];
	unsigned threads;
	pid_t id;
};

static void look(void *argument)
{
	struct seen *seen = argument;

	pthread_sigmask(SIG_BLOCK, NULL, &seen->mask);
	pthread_getname_np(pthread_self(), seen->name, sizeof seen->name);
	seen->threads = os_threads();
	seen->id = (pid_t)syscall(SYS_gettid);
}

Test(os, a_thread_has_its_name_and_its_creators_signal_mask, .timeout = 10)
{
	struct os_thread *thread;
	struct seen seen = { 0 };
	sigset_t mask, before;
	unsigned threads = os_threads();

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &mask, &before);
	cr_assert(os_thread_start(&thread, look, &seen, "a name that is too long") == 0);
	os_thread_join(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (int s = 1; s < SIGRTMIN; s++)
		cr_expect(sigismember(&seen.mask, s) == sigismember(&mask, s), "signal %d", s);
	cr_expect(strcmp(seen.name, "a name that is ") == 0, "\"%s\"", seen.name);
	cr_expect(seen.threads == threads + 1, "%u threads, then %u", threads, seen.threads);
	law_no_leaks();
}

static _Atomic pid_t handled_by;
static _Atomic unsigned here;
static _Atomic uint32_t asked; /* for that many signals */
enum { SIGNALS = 100 };

static void note_thread(int signal)
{
	(void)signal;
	atomic_store(&handled_by, (pid_t)syscall(SYS_gettid));
}

/* Four threads with the signal open; the first of them sends it. */
static void stay(void *sends)
{
	atomic_fetch_add(&here, 1);
	for (uint32_t sent = 0; sent < SIGNALS; sent++) {
		while (atomic_load(&asked) == sent)
			os_word_sleep(&asked, sent, OS_NEVER);
		if (sends)
			kill(getpid(), SIGUSR1);
	}
}

/* What thread_posix.c counts on: though every thread has the signal open, the main one gets it,
 * also if another sends it. All are there before the first: at their start they change their
 * mask. */
Test(os, a_signal_for_the_process_goes_to_its_main_thread, .timeout = 10)
{
	struct os_thread *thread[4];
	pid_t main_thread = (pid_t)syscall(SYS_gettid);

	if (main_thread != getpid())
		cr_skip_test("this test is not on the main thread");
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = note_thread }, NULL);
	for (int i = 0; i < 4; i++)
		cr_assert(os_thread_start(&thread[i], stay, i ? NULL : thread, "stays") == 0);
	while (atomic_load(&here) < 4)
		os_yield();
	for (int i = 0; i < SIGNALS; i++) {
		atomic_store(&handled_by, 0);
		atomic_fetch_add(&asked, 1);
		os_word_wake(&asked, INT_MAX);
		while (!atomic_load(&handled_by))
			os_yield();
		cr_expect(atomic_load(&handled_by) == main_thread);
	}
	for (int i = 0; i < 4; i++)
		os_thread_join(thread[i]);
}

/* ---- the word ---------------------------------------------------------------------------------*/

Test(os, a_word_that_has_changed_is_not_slept_on, .timeout = 10)
{
	_Atomic uint32_t word = 2;

	os_word_sleep(&word, 1, OS_NEVER);
	os_word_sleep(&word, 1, os_now() + INT64_C(3600000000000));
}

Test(os, a_sleep_ends_at_its_time_and_not_before, .timeout = 10)
{
	static const int64_t after[] = { 0, 1, 999999, 20000000, 1100000000 };
	_Atomic uint32_t word = 0;

	os_word_sleep(&word, 0, 0);
	os_word_sleep(&word, 0, -5);
	os_word_sleep(&word, 0, INT64_MIN);
	for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
		int64_t until = os_now() + after[i];

		os_word_sleep(&word, 0, until);
		cr_expect(os_now() >= until);
	}
}

/*	pinger				ponger
 *	word = 1, wake			sleep while 0
 *	sleep while 1			word = 0, wake		... each must be woken every time */
static _Atomic uint32_t turn;
static unsigned rounds;

static void take_turns(uint32_t mine)
{
	for (unsigned i = 0; i < rounds; i++) {
		while (atomic_load_explicit(&turn, memory_order_acquire) != mine)
			os_word_sleep(&turn, !mine, OS_NEVER);
		atomic_store_explicit(&turn, !mine, memory_order_release);
		os_word_wake(&turn, 1);
	}
}

static void pong(void *argument)
{
	(void)argument;
	take_turns(1);
}

Test(os, a_wake_reaches_who_sleeps, .timeout = 30)
{
	struct os_thread *thread;

	rounds = law_rounds(50000);
	cr_assert(os_thread_start(&thread, pong, NULL, "pong") == 0);
	take_turns(0);
	os_thread_join(thread);
	cr_expect(atomic_load(&turn) == 0);
}

Test(os, a_wake_of_memory_that_is_gone_does_no_harm, .timeout = 10)
{
	_Atomic uint32_t *word = os_pages_map(os_page_bytes());

	cr_assert(word);
	os_pages_unmap(word, os_page_bytes());
	os_word_wake(word, 1);
}

/* ---- processors -------------------------------------------------------------------------------*/

Test(os, processors_are_those_of_the_affinity_mask, .timeout = 10)
{
	cpu_set_t all, one;
	int first = 0;

	cr_assert(sched_getaffinity(0, sizeof all, &all) == 0);
	cr_expect(os_processors() >= 1);
	cr_expect(os_processors() <= (unsigned)CPU_COUNT(&all));
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	cr_assert(sched_setaffinity(0, sizeof one, &one) == 0);
	cr_expect(os_processors() == 1);
	sched_setaffinity(0, sizeof all, &all);
}

Test(os, the_clock_does_not_go_back, .timeout = 10)
{
	int64_t last = os_now();

	cr_expect(last > 0);
	for (int i = 0; i < 100000; i++) {
		int64_t now = os_now();

		if (now < last)
			cr_expect(false, "%ld after %ld", (long)now, (long)last);
		last = now;
	}
}
