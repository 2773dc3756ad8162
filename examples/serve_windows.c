/* serve_windows.c - see serve.h. Ctrl-C cancels the server; the second one ends the process. */
#include "serve.h"

#include <errno.h>
#include <stdatomic.h>
#include <winsock2.h>

struct service {
	const char *address;
	int (*client)(fiber_fd, void *);
	void *arg;
};

static fiber_t server;
static atomic_bool interrupted;

/* On a thread of the system's. */
static BOOL WINAPI on_event(DWORD event)
{
	if (event != CTRL_C_EVENT || atomic_exchange(&interrupted, true))
		return FALSE;
	fiber_cancel(server);
	return TRUE;
}

static int serve(void *arg)
{
	struct service *service = arg;
	char name[FIBER_ADDRESS_BYTES];
	fiber_fd listener = fiber_listen(service->address, NULL);
	int r;

	if (listener < 0)
		return (int)listener;
	server = fiber_self();
	SetConsoleCtrlHandler(on_event, TRUE);
	fiber_local_address(listener, name, sizeof name);
	printf("listening on %s\n", name);
	fflush(stdout);
	r = fiber_serve(listener, service->client, service->arg);
	return r == -ECANCELED ? 0 : r;
}

int serve_main(const fiber_options_t *options, const char *address,
	       int (*client)(fiber_fd, void *), void *arg)
{
	struct service service = { .address = address, .client = client, .arg = arg };
	int r = fiber_run(options, serve, &service);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", address, fiber_strerror(r));
	return r < 0;
}
