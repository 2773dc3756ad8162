/* Fibers without a stack, used wrongly: each mistake is told. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <fiber/ready.h>

#include "law.h"
#include "os/sanitize.h"

static int tell(void *arg)
{
	(void)arg;
	return fiber_became_ready();
}

static fiber_t dormant(fiber_fd fd, short events, int64_t when)
{
	fiber_t f = {0};

	cr_expect(fiber_spawn_ready_until(&f, NULL, fd, events, tell, NULL, when) == 0);
	return f;
}

static int result_of(fiber_t f)
{
	int result = 0;

	cr_expect(fiber_join(f, &result) == 0);
	return result;
}

static int misused(void *arg)
{
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fiber_t f;

	(void)arg;
	cr_expect(fiber_spawn_ready(&f, NULL, file, 0, tell, NULL) == -EINVAL);
	cr_expect(fiber_spawn_ready(&f, NULL, file, POLLHUP, tell, NULL) == -EINVAL);
	cr_expect(fiber_spawn_ready(&f, NULL, file, POLLIN, NULL, NULL) == -EINVAL);
	cr_expect(fiber_spawn_ready(&f, &(fiber_attr_t){.worker = 99}, file, POLLIN, tell, NULL) ==
		  -EINVAL);
	cr_expect(result_of(dormant(-1, POLLIN, FIBER_NEVER)) == -EBADF);
	cr_expect(result_of(dormant(file, POLLIN, FIBER_NEVER)) == POLLIN, "always ready");
	close(file);
	cr_expect(result_of(dormant(file, POLLIN, FIBER_NEVER)) == -EBADF);
	return 0;
}

Test(dormant_misused, what_cannot_be_waited_for_is_told, .timeout = 20)
{
	law_holds(misused, NULL);
}

#if !defined(FB_TSAN) /* which allows no threads in a forked child */
#include "death.h"

static int in_a_scope(void *arg)
{
	fiber_scope_t scope;

	fiber_within(&scope, FIBER_NEVER);
	fiber_become_ready(0, POLLIN, tell, arg);
}

static int die_in_a_scope(void)
{
	return fiber_run(NULL, in_a_scope, NULL);
}

static int die_on_a_thread(void)
{
	fiber_become_ready(0, POLLIN, tell, NULL);
}

Test(dormant_misused, who_cannot_give_up_its_stack_is_told, .timeout = 30)
{
	static struct death death;

	die_of(die_in_a_scope, &death);
	cr_expect(death.signal == SIGABRT && strstr(death.text, "scope"), "%s", death.text);
	die_of(die_on_a_thread, &death);
	cr_expect(death.signal == SIGABRT && strstr(death.text, "become_ready"), "%s", death.text);
}
#endif
