/* serve.c - see serve.h. */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

struct service {
	const char *address;
	int (*client)(fiber_fd, void *);
	void *arg;
};

static int interrupted[2]; /* a pipe: writing is all that a signal handler may do */

/* The second Ctrl-C finds the default action, and kills. */
static void on_interrupt(int signal)
{
	int saved = errno;
	ssize_t n = write(interrupted[1], "", signal > 0);

	(void)n;
	errno = saved;
}

static int watch(void *server)
{
	char byte;
	ssize_t n = fiber_read(interrupted[0], &byte, 1);

	return n == 1 ? fiber_cancel(*(fiber_t *)server) : (int)n;
}

/* A client is a descriptor: as many as the system allows. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int serve(void *arg)
{
	struct service *service = arg;
	char name[FIBER_ADDRESS_BYTES];
	fiber_t self = fiber_self();
	fiber_fd listener = fiber_listen(service->address, NULL);
	int r = listener < 0 ? listener : fiber_pipe(interrupted);

	if (r < 0)
		return r;
	sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND},
		  NULL);
	if ((r = fiber_go(watch, &self)) < 0)
		return r;
	fiber_local_address(listener, name, sizeof name);
	printf("listening on %s\n", name);
	fflush(stdout);
	r = fiber_serve(listener, service->client, service->arg);
	return r == -ECANCELED ? 0 : r;
}

int serve_main(const fiber_options_t *options, const char *address,
	       int (*client)(fiber_fd, void *), void *arg)
{
	raise_limit();
	int r = fiber_run(options, serve, &(struct service){address, client, arg});

	if (r < 0)
		fprintf(stderr, "%s: %s\n", address, fiber_strerror(r));
	return r < 0;
}
