/* serve.c - see serve.h. */
#include "serve.h"

#include <errno.h>
#include <fiber/signal.h>
#include <signal.h>
#include <sys/resource.h>

struct service {
	sigset_t interrupt;
	fiber_chan_t *signals;
	const char *address;
	int (*client)(fiber_fd, void *);
	void *arg;
	fiber_t server;
};

/* The second Ctrl-C kills: nobody asks for it any more. */
static int watch(void *arg)
{
	struct service *service = arg;
	int r = fiber_chan_recv(service->signals, NULL);

	fiber_signal_close(service->signals);
	pthread_sigmask(SIG_UNBLOCK, &service->interrupt, NULL);
	return r < 0 ? r : fiber_cancel(service->server);
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
	static const int interrupt = SIGINT;
	struct service *service = arg;
	char name[FIBER_ADDRESS_BYTES];
	fiber_fd listener = fiber_listen(service->address, NULL);
	int r;

	if (listener < 0)
		return listener;
	service->server = fiber_self();
	if ((r = fiber_signal_open(&service->signals, &interrupt, 1)) < 0 ||
	    (r = fiber_go(watch, service)) < 0)
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
	struct service service = {.address = address, .client = client, .arg = arg};

	raise_limit();
	/* On the workers to come, too: the library has a thread of its own for it. */
	sigemptyset(&service.interrupt);
	sigaddset(&service.interrupt, SIGINT);
	pthread_sigmask(SIG_BLOCK, &service.interrupt, NULL);
	int r = fiber_run(options, serve, &service);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", address, fiber_strerror(r));
	return r < 0;
}
