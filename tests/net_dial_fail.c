/* net_dial_fail.c - connections that fail, and what is left of them: nothing. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/net.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "law.h"

/* ---- nobody answers ---------------------------------------------------------------------------*/
/* A listener whose queue is full: the kernel drops what else arrives, as a host that is gone
 * does. */
struct hole {
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener, filler[4];
};

static void hole_open(struct hole *h)
{
	h->listener = fiber_listen("tcp:127.0.0.1:0", &(fiber_net_options_t){ .backlog = 1 });
	cr_expect(fiber_local_address(h->listener, h->address, sizeof h->address) > 0);
	for (size_t i = 0; i < sizeof h->filler / sizeof *h->filler; i++)
		h->filler[i] = (fiber_fd)FIBER_TIMEOUT(100 * FIBER_MILLISECOND,
						       fiber_dial(h->address, NULL));
	cr_expect(h->filler[3] == -ETIMEDOUT, "the queue takes %d", h->filler[3]);
}

static void hole_close(struct hole *h)
{
	for (size_t i = 0; i < sizeof h->filler / sizeof *h->filler; i++)
		if (h->filler[i] >= 0)
			fiber_close(h->filler[i]);
	fiber_close(h->listener);
}

static int dial_it(void *address)
{
	fiber_fd fd = fiber_dial(address, NULL);

	if (fd >= 0)
		fiber_close(fd);
	return fd < 0 ? fd : 0;
}

static void wait_until_parked(fiber_t fiber)
{
	fiber_info_t info = { .state = "" };

	while (fiber_info(fiber, &info) == 0 && strcmp(info.state, "parked") != 0)
		fiber_sleep(FIBER_MILLISECOND);
}

static int interrupt_dials(void *arg)
{
	struct hole hole;
	fiber_t fiber;
	int result = 0, before;

	(void)arg;
	hole_open(&hole);
	before = law_descriptors();
	int r = (int)FIBER_TIMEOUT(30 * FIBER_MILLISECOND, fiber_dial(hole.address, NULL));

	cr_expect(r == -ETIMEDOUT, "%d", r);
	cr_expect(fiber_spawn(&fiber, NULL, dial_it, hole.address) == 0);
	wait_until_parked(fiber);
	cr_expect(fiber_cancel(fiber) == 0);
	cr_expect(fiber_join(fiber, &result) == 0 && result == -ECANCELED, "%d", result);
	cr_expect(law_descriptors() == before);
	hole_close(&hole);
	return 0;
}

Test(dial_fail, a_deadline_and_a_cancellation_leave_no_descriptor_behind, .timeout = 60)
{
	law_holds(interrupt_dials, NULL);
}

static int dial_when_cancelled(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener = law_listener(address, sizeof address);

	(void)arg;
	fiber_cancel(fiber_self());
	cr_expect(fiber_dial(address, NULL) == -ECANCELED);
	cr_expect(accept(listener, NULL, NULL) == -1, "something was dialed");
	close(listener);
	return 0;
}

Test(dial_fail, a_known_interruption_comes_before_any_effect, .timeout = 30)
{
	law_holds(dial_when_cancelled, NULL);
}

/*	main                        dialer
 *	the queue is full           dials, has to wait
 *	accepts one                 gets in                 */
static int dial_full_unix(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener, first, second, accepted;
	fiber_t fiber;
	int result = -1;

	(void)arg;
	snprintf(address, sizeof address, "unix:@fiber-full-%d", getpid());
	listener = fiber_listen(address, &(fiber_net_options_t){ .backlog = 1 });
	first = fiber_dial(address, NULL);
	second = fiber_dial(address, NULL);
	cr_expect(first >= 0 && second >= 0, "%d %d", first, second);
	cr_expect(fiber_spawn(&fiber, NULL, dial_it, address) == 0);
	wait_until_parked(fiber);
	accepted = fiber_accept(listener, NULL, NULL);
	cr_expect(fiber_join(fiber, &result) == 0 && result == 0, "%d", result);
	fiber_close(accepted);
	fiber_close(first);
	fiber_close(second);
	fiber_close(listener);
	return 0;
}

Test(dial_fail, a_unix_server_whose_queue_is_full_is_waited_for, .timeout = 30)
{
	law_holds(dial_full_unix, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static void expect_refused(const char *address, fiber_net_options_t options, int error)
{
	fiber_fd fd = fiber_dial(address, &options);

	cr_expect(fd == error, "%s: %d, expected %d", address ? address : "NULL", fd, error);
}

static int misuse(void *arg)
{
	fiber_net_options_t none = { 0 };
	int before = law_descriptors();

	(void)arg;
	expect_refused(NULL, none, -EINVAL);
	expect_refused("", none, -EINVAL);
	expect_refused("http:localhost:80", none, -EAFNOSUPPORT);
	expect_refused("tcp:*:80", none, -EINVAL);
	expect_refused("udp:127.0.0.1:0", none, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .flags = 1u << 9 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .mode = 01000 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .backlog = -1 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .reserved = { 0, 1 } }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "" }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "udp:*:0" }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "unix:@x" }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "tcp:[::1]:0" },
		       -EADDRNOTAVAIL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "tcp:192.0.2.77:0" },
		       -EADDRNOTAVAIL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .flags = FIBER_V6ONLY }, -ENOENT);
	expect_refused("unix:@x", (fiber_net_options_t){ .flags = FIBER_REUSEPORT }, -EOPNOTSUPP);
	expect_refused("unix:/nowhere/at/all", none, -ENOENT);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(dial_fail, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
}

static int dial_without_descriptors(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener = law_listener(address, sizeof address);
	struct rlimit was, none;
	int before = law_descriptors();

	(void)arg;
	getrlimit(RLIMIT_NOFILE, &was);
	none = (struct rlimit){ 3, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	fiber_fd fd = fiber_dial(address, NULL);

	setrlimit(RLIMIT_NOFILE, &was);
	cr_expect(fd == -EMFILE, "%d", fd);
	cr_expect(law_descriptors() == before);
	close(listener);
	return 0;
}

Test(dial_fail, without_descriptors_says_so, .timeout = 30)
{
	law_holds(dial_without_descriptors, NULL);
}
