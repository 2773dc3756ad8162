/* A number's next life: closed by close(2) behind our back, given to another file, kept by a dup.
 * Nobody waits for ever, and nobody gets bytes that were meant for the next file. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "law.h"
#include "os/sanitize.h"
#include "waits.h"

struct user {
	fiber_fd fd;
	char byte;
};

static int reads(void *arg)
{
	struct user *u = arg;

	return (int)fiber_read(u->fd, &u->byte, 1);
}

/* The fiber was woken, and before it runs the number is closed and means another file: the byte in
 * that is not for it.
 *
 * main           victim              closer
 *                read(b): parks
 *                                    read(a): parks
 * write to b, a  (both are woken; the last one runs first)
 *                                    close(b); b is another file, and has a byte
 *                goes on: -EBADF */
struct reuse {
	struct user victim, closer;
	fiber_fd other;
};

static int closes_and_reuses(void *arg)
{
	struct reuse *r = arg;

	cr_expect(reads(&r->closer) == 1);
	cr_expect(fiber_close(r->victim.fd) == 0);
	cr_expect(dup2(r->other, r->victim.fd) == r->victim.fd);
	return 0;
}

static int woken_too_late(void *arg)
{
	fiber_fd a[2], b[2], other[2];
	struct reuse r = { 0 };
	fiber_t victim, closer;
	int result;

	(void)arg;
	cr_expect(fiber_pipe(a) == 0 && fiber_pipe(b) == 0 && fiber_pipe(other) == 0);
	r.victim.fd = b[0];
	r.closer.fd = a[0];
	r.other = other[0];
	victim = spawned(reads, &r.victim);
	closer = spawned(closes_and_reuses, &r);
	until_it_waits_for(victim, "read");
	until_it_waits_for(closer, "read");
	cr_expect(write(other[1], "!", 1) == 1);
	cr_expect(write(b[1], "b", 1) == 1);
	cr_expect(write(a[1], "a", 1) == 1);
	cr_expect(result_of(closer) == 0);
	result = result_of(victim); /* on several workers it may have been faster */
	cr_expect(result == -EBADF || (result == 1 && r.victim.byte == 'b'),
		  "the next file's byte went to who read the last: %d %c", result, r.victim.byte);
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_close(a[i]) == 0 && fiber_close(b[i]) == 0 &&
			  fiber_close(other[i]) == 0);
	return 0;
}

Test(io_numbers, a_woken_fiber_does_not_read_the_numbers_next_file, .timeout = 30)
{
	law_holds(woken_too_late, NULL);
}

/* close(2) behind our back: the poller hears of it when one of ours makes the number anew. */
static int closed_plainly(void *arg)
{
	struct user u = { 0 };
	fiber_fd fds[2], again[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	u.fd = fds[0];
	f = spawned(reads, &u);
	until_it_waits_for(f, "read");
	cr_expect(close(fds[0]) == 0);
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, again) == 0);
	cr_expect(again[0] == fds[0], "the lowest free number");
	cr_expect(fiber_write(again[1], "n", 1) == 1);
	cr_expect(result_of(f) == -EBADF);
	cr_expect(reads(&u) == 1 && u.byte == 'n');
	cr_expect(fiber_close(again[0]) == 0 && fiber_close(again[1]) == 0);
	cr_expect(fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_numbers, a_number_given_out_again_tells_who_still_waits, .timeout = 30)
{
	law_holds(closed_plainly, NULL);
}

/* Used again by a call that is not ours: both who waited and who comes now are served. */
static int reused_plainly(void *arg)
{
	struct user old = { 0 }, new = { 0 };
	fiber_t before, after;
	fiber_fd fds[2];
	int again[2], r;

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	old.fd = new.fd = fds[0];
	before = spawned(reads, &old);
	until_it_waits_for(before, "read");
	cr_expect(close(fds[0]) == 0);
	cr_expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, again) == 0);
	cr_expect(again[0] == fds[0]);
	after = spawned(reads, &new);
	until_it_waits_for(after, "read");
	cr_expect(write(again[1], "xy", 2) == 2);
	cr_expect(result_of(after) == 1);
	r = result_of(before);
	cr_expect(r == 1 || r == -EBADF, "%d", r);
	cr_expect(fiber_close(again[0]) == 0 && close(again[1]) == 0);
	return fiber_close(fds[1]);
}

Test(io_numbers, a_number_that_is_used_again_wakes_its_new_readers, .timeout = 30)
{
	law_holds(reused_plainly, NULL);
}

/* A dup keeps the file open, and with it what the kernel watches under the old number. */
static int dup_lives(void *arg)
{
	(void)arg;
	for (int plain = 0; plain < 2; plain++) {
		struct user u = { 0 }, twin = { 0 }, next = { 0 };
		fiber_fd fds[2], again[2];
		fiber_t f, g;

		cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
		u.fd = fds[0];
		f = spawned(reads, &u);
		until_it_waits_for(f, "read");
		twin.fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
		if (plain)
			cr_expect(close(fds[0]) == 0);
		else
			cr_expect(fiber_close(fds[0]) == 0);
		cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, again) == 0);
		cr_expect(again[0] == fds[0]);
		cr_expect(result_of(f) == -EBADF);
		next.fd = again[0];
		f = spawned(reads, &next);
		until_it_waits_for(f, "read");
		g = spawned(reads, &twin);
		until_it_waits_for(g, "read");
		cr_expect(fiber_write(fds[1], "o", 1) == 1); /* to the old file */
		cr_expect(result_of(g) == 1 && twin.byte == 'o');
		cr_expect(fiber_write(again[1], "n", 1) == 1);
		cr_expect(result_of(f) == 1 && next.byte == 'n');
		cr_expect(fiber_close(twin.fd) == 0 && fiber_close(fds[1]) == 0);
		cr_expect(fiber_close(again[0]) == 0 && fiber_close(again[1]) == 0);
	}
	return 0;
}

Test(io_numbers, a_dup_keeps_the_file_and_not_the_number, .timeout = 30)
{
	law_holds(dup_lives, NULL);
}

static int forgotten(void *arg)
{
	struct user u = { 0 };
	fiber_fd fds[2], other[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0 && fiber_pipe(other) == 0);
	u.fd = fds[0];
	f = spawned(reads, &u);
	until_it_waits_for(f, "read");
	cr_expect(fiber_forget(fds[0]) == 0);
	cr_expect(result_of(f) == -EBADF);
	cr_expect(dup2(other[0], fds[0]) == fds[0]);
	f = spawned(reads, &u);
	until_it_waits_for(f, "read");
	cr_expect(write(other[1], "o", 1) == 1);
	cr_expect(result_of(f) == 1 && u.byte == 'o');
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_close(fds[i]) == 0 && fiber_close(other[i]) == 0);
	return 0;
}

Test(io_numbers, a_forgotten_number_may_be_given_away, .timeout = 30)
{
	law_holds(forgotten, NULL);
}

/* ---- under load -------------------------------------------------------------------------------*/
/* Readers loop on a number that is closed and made again, thousands of times: each byte that was
 * written to a life of the number is read by somebody who asked during that life, or dropped with
 * it; and everyone always comes back. ThreadSanitizer watches numbers too, and calls that a race,
 * which it is. */
#if !defined(FB_TSAN)
enum { READERS = 4 };

struct life {
	_Atomic fiber_fd fd;
	_Atomic bool over;
	_Atomic unsigned long reads;
};

static int reads_whatever_it_is(void *arg)
{
	struct life *life = arg;
	char byte;

	while (!atomic_load(&life->over)) {
		ssize_t n = fiber_read(atomic_load(&life->fd), &byte, 1);

		cr_expect(n == 1 || n == 0 || n == -EBADF, "%zd", n);
		if (n == 1)
			atomic_fetch_add(&life->reads, 1);
		else
			fiber_yield();
	}
	return 0;
}

static int many_lives(void *arg)
{
	unsigned rounds = law_rounds(3000);
	struct life life = { 0 };
	fiber_t f[READERS];
	fiber_fd fds[2];

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	atomic_store(&life.fd, fds[0]);
	for (int i = 0; i < READERS; i++)
		f[i] = spawned(reads_whatever_it_is, &life);
	/* On a slow machine nobody may have read anything by then. */
	for (unsigned i = 0; i < rounds || (!atomic_load(&life.reads) && i < 100 * rounds); i++) {
		if (i % 3)
			cr_expect(fiber_write(fds[1], "12345", 1 + i % 5) > 0);
		if (i % 2)
			fiber_yield();
		cr_expect(fiber_close(fds[0]) == 0);
		cr_expect(fiber_close(fds[1]) == 0);
		cr_expect(fiber_pipe(fds) == 0);
		atomic_store(&life.fd, fds[0]);
	}
	atomic_store(&life.over, true);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	for (int i = 0; i < READERS; i++)
		cr_expect(result_of(f[i]) == 0);
	cr_expect(atomic_load(&life.reads) > 0);
	return 0;
}

Test(io_numbers, thousands_of_closes_beside_readers, .timeout = 120)
{
	law_holds(many_lives, NULL);
}
#endif
