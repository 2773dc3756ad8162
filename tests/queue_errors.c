/* The event queue: misuse, and descriptors that change behind its back. */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "queues.h"

enum { TOKEN = 9 };

static int reregister_any(fiber_queue_t *q, int fd)
{
	return fiber_queue_reregister(q, fd, TOKEN, R);
}

/* A datagram socket: always writable, and each is a file of its own. (All eventfds are one inode,
 * so that the stand-in for kqueue can't tell one from another that has its number.) */
static int writable(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int closed_number(void)
{
	int fd = eventfd(0, 0);

	close(fd);
	return fd;
}

Test(queue_errors, a_second_registration_is_refused_and_changes_nothing, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(1, 0);

	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	cr_expect(fiber_queue_register(q, fd, TOKEN + 1, W) == -EEXIST);
	cr_expect(NOW(q, TOKEN) == R);
	cr_expect(fiber_queue_deregister(q, fd) == 0);
	cr_expect(fiber_queue_register(q, fd, TOKEN + 1, W) == 0);
	cr_expect(NOW(q, TOKEN + 1) == W);
	close(fd);
	queue_gone(q);
}

Test(queue_errors, what_is_not_registered_is_unknown, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(1, 0), other = eventfd(1, 0), closed = closed_number();

	cr_expect(reregister_any(q, fd) == -ENOENT);
	cr_expect(fiber_queue_deregister(q, fd) == -ENOENT);
	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	cr_expect(reregister_any(q, other) == -ENOENT);
	cr_expect(fiber_queue_deregister(q, other) == -ENOENT);
	cr_expect(fiber_queue_deregister(q, fd) == 0);
	cr_expect(fiber_queue_deregister(q, fd) == -ENOENT, "twice");
	cr_expect(reregister_any(q, fd) == -ENOENT);
	for (int bad = -1; bad <= closed; bad += closed + 1) {
		cr_expect(fiber_queue_register(q, bad, TOKEN, R) == -EBADF);
		cr_expect(reregister_any(q, bad) == -EBADF);
		cr_expect(fiber_queue_deregister(q, bad) == -EBADF);
	}
	close(fd);
	close(other);
	queue_gone(q);
}

Test(queue_errors, interests_and_modes_are_checked, .timeout = 60)
{
	static const unsigned wrong[] = {0, EDGE, ONCE, R | EDGE | ONCE, R | ERR, RC, R | 1u << 7,
					 1u << 31 | R, R | 1u << 16};
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user;
	int fd = eventfd(1, 0);

	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		cr_expect(fiber_queue_register(q, fd, TOKEN, wrong[i]) == -EINVAL);
		cr_expect(fiber_queue_reregister(q, fd, TOKEN, wrong[i]) == -EINVAL);
	}
	cr_expect(NOW(q, TOKEN) == R, "still as it was");
	cr_expect(fiber_queue_user_add(q, &user, TOKEN, R) == -EINVAL);
	cr_expect(fiber_queue_user_add(q, &user, TOKEN, EDGE | ONCE) == -EINVAL);
	cr_expect(fiber_queue_user_add(q, &user, TOKEN, EDGE) == 0);
	cr_expect(fiber_queue_user_change(q, user, TOKEN, W) == -EINVAL);
	cr_expect(fiber_queue_user_raise(q, user, 0) == -EINVAL);
	cr_expect(fiber_queue_user_raise(q, user, EDGE) == -EINVAL);
	cr_expect(fiber_queue_user_lower(q, user, 1u << 6) == -EINVAL);
	close(fd);
	queue_gone(q);
}

Test(queue_errors, a_wait_for_no_events_is_refused, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_event_t event;

	cr_expect(fiber_queue_wait(q, &event, 0, FIBER_NEVER) == -EINVAL);
	cr_expect(fiber_queue_wait(q, &event, (size_t)INT32_MAX + 1, 0) == -EINVAL);
	cr_expect(fiber_queue_wait(q, NULL, 1, 0) == -EINVAL);
	cr_expect(fiber_queue_wait(q, &event, INT32_MAX, 0) == -ENOMEM);
	cr_expect(fiber_queue_wait(q, &event, 1, 0) == 0, "and nothing is in the way");
	queue_gone(q);
}

Test(queue_errors, no_queue_is_an_error, .timeout = 60)
{
	fiber_queue_user_t user = {0};
	fiber_queue_event_t event = {0};
	fiber_queue_t *q = queue_new();

	cr_expect(fiber_queue_create(NULL) == -EINVAL);
	cr_expect(fiber_queue_destroy(NULL) == 0);
	cr_expect(fiber_queue_register(NULL, 0, 0, R) == -EINVAL);
	cr_expect(fiber_queue_reregister(NULL, 0, 0, R) == -EINVAL);
	cr_expect(fiber_queue_deregister(NULL, 0) == -EINVAL);
	cr_expect(fiber_queue_wait(NULL, &event, 1, 0) == -EINVAL);
	cr_expect(!fiber_queue_current(NULL, &event));
	cr_expect(fiber_queue_wake(NULL) == -EINVAL);
	cr_expect(fiber_queue_fd(NULL) == -EINVAL);
	cr_expect(fiber_queue_user_add(NULL, &user, 0, 0) == -EINVAL);
	cr_expect(fiber_queue_user_raise(NULL, user, R) == -EINVAL);
	cr_expect(fiber_queue_user_lower(NULL, user, R) == -EINVAL);
	cr_expect(fiber_queue_user_change(NULL, user, 0, 0) == -EINVAL);
	cr_expect(fiber_queue_user_remove(NULL, user) == -EINVAL);
	cr_expect(fiber_queue_user_add(q, NULL, 0, 0) == -EINVAL);
	cr_expect(!fiber_queue_current(q, NULL));
	cr_expect(!fiber_queue_current(q, &event), "zero bytes are no event");
	cr_expect(fiber_queue_user_raise(q, user, R) == -ENOENT, "zero bytes are no user event");
	user.private_ = UINT64_MAX;
	cr_expect(fiber_queue_user_raise(q, user, R) == -ENOENT);
	queue_gone(q);
}

Test(queue_errors, files_that_are_always_ready_cannot_be_registered, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	FILE *file = tmpfile();
	int folder = open("/", O_RDONLY | O_DIRECTORY);

	cr_expect(fiber_queue_register(q, fileno(file), TOKEN, R) == -EPERM);
	cr_expect(fiber_queue_register(q, folder, TOKEN, R) == -EPERM);
	cr_expect(fiber_queue_deregister(q, folder) == -ENOENT);
	fclose(file);
	close(folder);
	queue_gone(q);
}

Test(queue_errors, a_queue_is_registered_in_others_but_never_in_itself, .timeout = 60)
{
	fiber_queue_t *outer = queue_new(), *inner = queue_new();
	int fd = eventfd(0, 0);

	cr_expect(fiber_queue_register(outer, fiber_queue_fd(outer), TOKEN, R) == -EINVAL);
	cr_expect(fiber_queue_register(outer, fiber_queue_fd(inner), TOKEN, R) == 0);
	cr_expect(fiber_queue_register(inner, fiber_queue_fd(outer), TOKEN, R) == -ELOOP);
	cr_expect(fiber_queue_register(inner, fd, TOKEN + 1, R) == 0);
	cr_expect(NOW(outer, TOKEN) == 0);
	cr_expect(eventfd_write(fd, 1) == 0);
	cr_expect(SOON(outer, TOKEN) == R);
	cr_expect(SOON(inner, TOKEN + 1) == R);
	close(fd);
	cr_expect(fiber_queue_destroy(inner) == 0);
	queue_gone(outer);
}

Test(queue_errors, a_process_without_descriptors_left_gets_no_queue, .timeout = 60)
{
	struct rlimit was, none;
	fiber_queue_t *q;
	int before = law_descriptors(), open_now = dup(0), missing = 1;

	cr_expect(getrlimit(RLIMIT_NOFILE, &was) == 0);
	none = was;
	none.rlim_cur = (rlim_t)open_now; /* the lowest free number */
	cr_expect(setrlimit(RLIMIT_NOFILE, &none) == 0);
	close(open_now);
	cr_expect(fiber_queue_create(&q) == -EMFILE);
	for (int r = -EMFILE; r == -EMFILE && missing < 10; missing++) {
		none.rlim_cur++;
		cr_expect(setrlimit(RLIMIT_NOFILE, &none) == 0);
		r = fiber_queue_create(&q);
		cr_expect(r == 0 || r == -EMFILE, "%s", fiber_strerror(r));
	}
	cr_expect(missing <= 3, "two at most");
	cr_expect(fiber_queue_destroy(q) == 0);
	cr_expect(setrlimit(RLIMIT_NOFILE, &was) == 0);
	cr_expect(law_descriptors() == before);
	law_no_leaks();
}

Test(queue_errors, a_queue_whose_own_descriptor_was_closed_says_so, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_event_t event;
	int fd = eventfd(1, 0);

	close(fiber_queue_fd(q));
	cr_expect(fiber_queue_wait(q, &event, 1, FIBER_NEVER) == -EBADF);
	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == -EBADF);
	close(fd);
	queue_gone(q);
}

/* ---- plain close ------------------------------------------------------------------------------*/
Test(queue_errors, a_descriptor_closed_by_plain_close_is_told_no_more, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = writable();

	cr_expect(fiber_queue_register(q, fd, TOKEN, W) == 0);
	close(fd);
	cr_expect(NOW(q, TOKEN) == 0);
	cr_expect(fiber_queue_deregister(q, fd) == -EBADF, "tells that it was closed");
	cr_expect(writable() == fd);
	cr_expect(fiber_queue_deregister(q, fd) == -ENOENT, "and forgets it");
	close(fd);
	queue_gone(q);
}

Test(queue_errors, a_number_that_was_closed_and_given_out_anew_is_registered_anew, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = writable(), again;

	for (uint64_t i = 0; i < 300; i++) {
		cr_expect(fiber_queue_register(q, fd, i, W) == 0);
		cr_expect(NOW(q, i) == W);
		close(fd);
		again = writable();
		cr_expect(again == fd);
		if (i % 3 == 0)
			cr_expect(reregister_any(q, fd) == -ENOENT, "it is another file");
		else if (i % 3 == 1)
			cr_expect(fiber_queue_deregister(q, fd) == -ENOENT);
	}
	close(fd);
	queue_gone(q);
}

/* What the documentation says of duplicates: where the system goes on with the old one, its token
 * lives until the number is registered anew, and no longer. */
Test(queue_errors, a_closed_number_whose_duplicate_lives_keeps_its_token_to_itself, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = writable(), copy = dup(fd), pipes[2];
	unsigned old;

	cr_expect(fiber_queue_register(q, fd, TOKEN, W) == 0);
	close(fd);
	old = NOW(q, TOKEN);
	cr_expect(old == W || old == 0, "%x", old);
	cr_expect(pipe(pipes) == 0 && pipes[0] == fd);
	cr_expect(fiber_queue_register(q, fd, TOKEN + 1, R) == 0);
	cr_expect(NOW(q, TOKEN + 1) == 0, "neither the old token nor the new one");
	put(pipes[1], "a");
	cr_expect(SOON(q, TOKEN + 1) == R);
	cr_expect(NOW(q, TOKEN + 1) == R);
	pair_close(pipes);
	close(copy);
	queue_gone(q);
}

/* ---- fork -------------------------------------------------------------------------------------*/
static int child_of(fiber_queue_t *q, int fd, fiber_queue_user_t user)
{
	fiber_queue_event_t event = {0};

	if (fiber_queue_register(q, fd, 0, R) != -ECHILD ||
	    fiber_queue_reregister(q, fd, 0, R) != -ECHILD ||
	    fiber_queue_deregister(q, fd) != -ECHILD ||
	    fiber_queue_wait(q, &event, 1, FIBER_NEVER) != -ECHILD ||
	    fiber_queue_user_raise(q, user, R) != -ECHILD ||
	    fiber_queue_user_remove(q, user) != -ECHILD || fiber_queue_wake(q) != -ECHILD ||
	    fiber_queue_fd(q) != -ECHILD || fiber_queue_current(q, &event))
		return 1;
	if (fiber_queue_destroy(q) != 0 || fiber_queue_create(&q) != 0)
		return 2;
	/* One of its own works. */
	if (fiber_queue_register(q, fd, 0, R) != 0 || fiber_queue_wait(q, &event, 1, 0) != 1)
		return 3;
	return fiber_queue_destroy(q) == 0 ? 0 : 4;
}

Test(queue_errors, a_forked_child_leaves_its_parents_queue_alone, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user;
	int fd = eventfd(1, 0), status = -1;
	pid_t child;

	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	cr_expect(fiber_queue_user_add(q, &user, TOKEN, 0) == 0);
	child = fork();
	if (child == 0)
		_exit(child_of(q, fd, user));
	cr_expect(waitpid(child, &status, 0) == child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
	cr_expect(NOW(q, TOKEN) == R, "the parent goes on");
	cr_expect(fiber_queue_deregister(q, fd) == 0);
	close(fd);
	queue_gone(q);
}
