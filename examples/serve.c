/* serve.c - see serve.h. */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

struct service {
	sigset_t signals;
	const char *address;
	int (*client)(fiber_fd, void *);
	void *arg;
	fiber_t server;
};

/* Ctrl-C is read, so nothing has to be done in a signal handler. The second one kills. */
static int watch(void *arg)
{
	struct service *service = arg;
	struct signalfd_siginfo info;
	int fd = signalfd(-1, &service->signals, SFD_NONBLOCK | SFD_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : fiber_read(fd, &info, sizeof info);

	if (fd >= 0)
		fiber_close(fd);
	if (n < 0)
		return (int)n;
	pthread_sigmask(SIG_UNBLOCK, &service->signals, NULL);
	return fiber_cancel(service->server);
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
	fiber_fd listener = fiber_listen(service->address, NULL);
	int r;

	if (listener < 0)
		return listener;
	service->server = fiber_self();
	if ((r = fiber_go(watch, service)) < 0)
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
	sigemptyset(&service.signals);
	sigaddset(&service.signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &service.signals, NULL); /* on the workers to come, too */
	int r = fiber_run(options, serve, &service);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", address, fiber_strerror(r));
	return r < 0;
}
