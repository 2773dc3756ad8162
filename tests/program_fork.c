/* fork(2) in the middle of things: the child says -ECHILD to all calls and touches nothing of the
 * parent, who goes on; then it may start a runtime of its own. exec(2) inherits no descriptor. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulated/emulated.h"
#include "expect.h"
#include "os/sanitize.h"

enum { STEPS = 200, FINE = 23 };

static _Atomic int steps;
static _Atomic bool over;
static fiber_t parked;
static fiber_key_t key;
static const char *program;

static int status_of(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, WNOHANG) == 0)
		fiber_sleep(FIBER_MILLISECOND);
	return status;
}

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

static int park(void *arg)
{
	(void)arg;
	return fiber_park();
}

/* ---- the child --------------------------------------------------------------------------------*/
static void calls_say_echild(fiber_runtime_t *parents)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	fiber_stats_t stats;
	fiber_info_t info;
	fiber_t f;

	EXPECT(fiber_self().id == 0 && fiber_worker() == 0 && fiber_runtime() == NULL);
	EXPECT(fiber_workers() == 0);
	EXPECT(fiber_spawn(&f, NULL, return_argument, NULL) == -ECHILD);
	EXPECT(fiber_go(return_argument, NULL) == -ECHILD);
	EXPECT(fiber_join(parked, NULL) == -ECHILD);
	EXPECT(fiber_detach(parked) == -ECHILD);
	EXPECT(fiber_cancel(parked) == -ECHILD);
	EXPECT(fiber_unpark(parked) == -ECHILD);
	EXPECT(fiber_sleep(1) == -ECHILD && fiber_sleep_until(1) == -ECHILD);
	EXPECT(fiber_park() == -ECHILD && fiber_check() == -ECHILD);
	EXPECT(FIBER_TIMEOUT(FIBER_SECOND, fiber_sleep(1)) == -ECHILD);
	EXPECT(fiber_set_name("child") == -ECHILD);
	EXPECT(fiber_group_spawn(&g, NULL, return_argument, NULL) == -ECHILD);
	EXPECT(fiber_group_wait(&g) == -ECHILD && fiber_group_race(&g) == -ECHILD);
	EXPECT(fiber_setspecific(key, &key) == -ECHILD && fiber_getspecific(key) == NULL);
	EXPECT(fiber_info(parked, &info) == -ECHILD);
	EXPECT(fiber_stats(parents, &stats) == -ECHILD);
	EXPECT(fiber_dump(stdout) == -ECHILD);
	EXPECT(fiber_block_on(parents, return_argument, NULL) == -ECHILD);
	EXPECT(fiber_runtime_free(parents) == -ECHILD);
	fiber_runtime_cancel(parents);
	fiber_yield();
	EXPECT(!fiber_pin());
}

/* Handles of the parent's fibers mean nobody here. */
static int live_on(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	fiber_info_t info;

	for (intptr_t i = 0; i < 100; i++)
		EXPECT(fiber_group_spawn(&g, NULL, return_argument, (void *)i) == 0);
	EXPECT(fiber_group_wait(&g) == 0);
	EXPECT(fiber_sleep(FIBER_MILLISECOND) == 0);
	EXPECT(fiber_join(parked, NULL) == -ESRCH && fiber_cancel(parked) == -ESRCH);
	EXPECT(fiber_unpark(parked) == -ESRCH && fiber_info(parked, &info) == -ESRCH);
	EXPECT(fiber_setspecific(key, &key) == 0 && fiber_getspecific(key) == &key);
	return (int)(intptr_t)arg;
}

static int be_the_child(fiber_runtime_t *parents, unsigned workers)
{
	fiber_options_t options = { .workers = workers };

	alarm(20);
	calls_say_echild(parents);
	EXPECT(fiber_run(&options, live_on, (void *)FINE) == FINE);
	EXPECT(fiber_run(&options, live_on, (void *)FINE) == FINE);
	return expect_status() ? 1 : FINE;
}

static int fork_and_use(void *arg)
{
	fiber_runtime_t *parents = fiber_runtime();
	unsigned workers = fiber_workers();
	pid_t child = fork();
	int status;

	(void)arg;
	if (child == 0)
		_exit(be_the_child(parents, workers));
	status = status_of(child);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == FINE);
	return 0;
}

/* The child comes back through all that the fiber had begun, and returns from its function. */
static int fork_and_return(void *arg)
{
	fiber_scope_t s;
	pid_t child = -1;

	fiber_within(&s, fiber_after(100 * FIBER_SECOND));
	FIBER_SHIELD(100 * FIBER_SECOND) {
		child = fork();
		if (child == 0)
			break;
	}
	EXPECT(fiber_scope_end(&s, FINE) == FINE);
	if (child == 0 && arg)
		fiber_exit(FINE);
	if (child == 0)
		return FINE;
	return WEXITSTATUS(status_of(child)) == FINE ? 0 : -1;
}

/* The same with a runtime in between, which is gone when the old scope ends. */
static int fork_run_and_return(void *arg)
{
	fiber_options_t options = { .workers = 2 };
	pid_t child = -1;
	int r = 0;

	(void)arg;
	FIBER_WITHIN(100 * FIBER_SECOND) {
		child = fork();
		if (child == 0)
			r = fiber_run(&options, live_on, (void *)FINE);
	}
	if (child == 0)
		return r;
	return WEXITSTATUS(status_of(child)) == FINE ? 0 : -1;
}

/* ---- the parent -------------------------------------------------------------------------------*/
static int walk(void *arg)
{
	for (int i = 0; i < STEPS; i++) {
		if ((intptr_t)arg % 2)
			fiber_yield();
		else
			fiber_sleep(50 * FIBER_MICROSECOND);
		atomic_fetch_add(&steps, 1);
	}
	return 0;
}

static int fork_in_the_middle(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	steps = 0;
	EXPECT(fiber_spawn(&parked, NULL, park, NULL) == 0);
	for (intptr_t i = 0; i < 10; i++)
		fiber_group_spawn(&g, NULL, walk, (void *)i);
	fiber_yield();
	fiber_group_spawn(&g, NULL, fork_and_use, NULL);
	fiber_group_spawn(&g, NULL, fork_and_return, NULL);
	fiber_group_spawn(&g, NULL, fork_and_return, "exit");
	fiber_group_spawn(&g, NULL, fork_run_and_return, NULL);
	EXPECT(fiber_group_wait(&g) == 0);
	EXPECT(steps == 10 * STEPS);
	EXPECT(fiber_unpark(parked) == 0 && fiber_join(parked, NULL) == 0);
	return (int)(intptr_t)arg;
}

/* ---- from a plain thread, while others hold every lock there is -------------------------------*/
static int churn(void *arg)
{
	while (!atomic_load(&over)) {
		fiber_key_t own;
		fiber_t f;

		if (fiber_key_create(&own, NULL) == 0) {
			fiber_setspecific(own, &own);
			fiber_key_delete(own);
		}
		if (fiber_spawn(&f, &(fiber_attr_t){ .stack_bytes = 1 << 18 }, walk, NULL) == 0) {
			fiber_cancel(f);
			fiber_join(f, NULL);
		}
		fiber_info(fiber_self(), &(fiber_info_t){ 0 });
	}
	return (int)(intptr_t)arg;
}

static int churn_on_all(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	for (int i = 0; i < 16; i++)
		fiber_group_spawn(&g, NULL, churn, arg);
	return fiber_group_wait(&g);
}

static void *churn_in_a_thread(void *arg)
{
	fiber_options_t options = { .workers = 4 };

	EXPECT(fiber_run(&options, churn_on_all, arg) == 0);
	return NULL;
}

static void fork_from_a_thread(void)
{
	pthread_t thread;

	atomic_store(&over, false);
	atomic_store(&steps, 0);
	EXPECT(!pthread_create(&thread, NULL, churn_in_a_thread, NULL));
	while (atomic_load(&steps) == 0)
		fiber_sleep(FIBER_MILLISECOND);
	for (int i = 0; i < 40; i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			fiber_key_t own;

			alarm(20); /* a lock was lost */
			EXPECT(fiber_key_create(&own, NULL) == 0);
			EXPECT(fiber_sleep(1) == -ECHILD);
			_exit(be_the_child(NULL, 2));
		}
		status = status_of(child);
		EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == FINE);
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
}

/* Nothing died with the parent then. */
static void fork_when_all_has_ended(void)
{
	pid_t child;
	int status;

	EXPECT(fiber_run(NULL, return_argument, (void *)3) == 3);
	child = fork();
	if (child == 0) {
		EXPECT(fiber_sleep(1) == 0 && fiber_setspecific(key, &key) == 0);
		EXPECT(fiber_run(NULL, return_argument, (void *)3) == 3);
		_exit(expect_status() ? 1 : FINE);
	}
	status = status_of(child);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == FINE);
}

/* ---- exec -------------------------------------------------------------------------------------*/
static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n - 3; /* . and .., and the directory itself */
}

static int exec_in_a_fiber(void *arg)
{
	char expected[20];
	pid_t child;

	snprintf(expected, sizeof expected, "%d", *(int *)arg);
	child = fork();
	if (child == 0) {
		execl(program, program, "count", expected, (char *)NULL);
		_exit(1);
	}
	EXPECT(WEXITSTATUS(status_of(child)) == FINE);
	return 0;
}

/* How many a program has that inherits none but 0, 1 and 2: a stand-in may open one by itself. */
static int descriptors_at_start(void)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		execl(program, program, "tell", (char *)NULL);
		_exit(255);
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

int main(int count, char **argument)
{
	static const unsigned workers[] = { 1, 2, 8 };
	int descriptors;

	program = argument[0];
	if (count == 3)
		return count_descriptors() == atoi(argument[2]) ? FINE : 1;
	if (count == 2)
		return count_descriptors();
#if defined(FB_TSAN)
	return 77; /* it knows no threads in a forked child */
#endif
	if (emulated_kernel()) {
		puts("skipped: qemu-user dies of a fork in a process with threads");
		return 77;
	}
	alarm(50);
	for (int fd = 3; fd < 1024; fd++) /* whoever started us may have left some open */
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	descriptors = descriptors_at_start();
	EXPECT(descriptors < 10);
	EXPECT(fiber_key_create(&key, NULL) == 0);
	fork_when_all_has_ended();
	for (int i = 0; i < 3; i++) {
		fiber_options_t options = { .workers = workers[i] };

		EXPECT(fiber_run(&options, fork_in_the_middle, (void *)5) == 5);
		EXPECT(fiber_run(&options, exec_in_a_fiber, &descriptors) == 0);
	}
	fork_from_a_thread();
	return expect_status();
}
