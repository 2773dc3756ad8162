/* Listeners of the library's own (fiber_own), on every poller: each connection comes once, and none
 * is left open. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/io.h>
#include <fiber/net.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "law.h"

static void on_every_poller(fiber_fn *law)
{
	static const char *const names[] = {"io_uring", "epoll", "poll", "kqueue"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		fiber_options_t options = {.poller = names[i], .workers = 1};
		fiber_runtime_t *runtime;

		if (fiber_runtime_create(&runtime, &options) < 0)
			continue; /* not here */
		fiber_runtime_free(runtime);
		law_holds_with(&options, law, NULL);
	}
}

struct house {
	fiber_fd listener;
	struct sockaddr_storage name;
	socklen_t size;
	int clients;
	uint64_t seen; /* sum of their numbers */
	_Atomic int left;
};

static void open_house(struct house *h)
{
	char text[64];

	*h = (struct house){.size = sizeof h->name};
	h->listener = law_listener(text, sizeof text);
	cr_expect(h->listener >= 0 && fiber_own(h->listener) == 0);
	getsockname(h->listener, (struct sockaddr *)&h->name, &h->size);
}

static int knock(const struct house *h)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_expect(connect(fd, (const struct sockaddr *)&h->name, h->size) == 0);
	return fd;
}

/* ---- each comes once --------------------------------------------------------------------------*/
static void *visit_all(void *arg)
{
	struct house *h = arg;

	for (int i = 1; i <= h->clients; i++) {
		int fd = knock(h);

		cr_expect(write(fd, &i, sizeof i) == sizeof i);
		close(fd);
	}
	return NULL;
}

static int let_in(void *arg)
{
	struct house *h = arg;
	int sum = 0;

	while (atomic_fetch_sub(&h->left, 1) > 0) {
		int number = 0;
		fiber_fd fd = fiber_accept(h->listener, NULL, NULL);

		cr_expect(fd >= 0, "%d", fd);
		cr_expect(fiber_read_full(fd, &number, sizeof number, NULL) == sizeof number);
		cr_expect(fiber_close(fd) == 0);
		sum += number;
	}
	return sum;
}

static int all_of(void *unused)
{
	enum { DOORMEN = 3 };
	fiber_t doorman[DOORMEN];
	struct house h;
	pthread_t visitors;
	int sum = 0, r = 0;

	(void)unused;
	open_house(&h);
	h.clients = (int)law_rounds(2000);
	atomic_store(&h.left, h.clients);
	pthread_create(&visitors, NULL, visit_all, &h);
	for (int i = 0; i < DOORMEN; i++)
		cr_expect(fiber_spawn(&doorman[i], NULL, let_in, &h) == 0);
	for (int i = 0; i < DOORMEN; i++) {
		cr_expect(fiber_join(doorman[i], &r) == 0);
		sum += r;
	}
	pthread_join(visitors, NULL);
	cr_expect(sum == h.clients * (h.clients + 1) / 2);
	cr_expect(fiber_close(h.listener) == 0);
	return 0;
}

Test(own_listener, each_connection_comes_once, .timeout = 100)
{
	on_every_poller(all_of);
}

/* ---- nobody waits -----------------------------------------------------------------------------*/
static int given_up(void *unused)
{
	fiber_fd fd, client;
	struct house h;

	(void)unused;
	open_house(&h);
	for (int i = 0; i < 100; i++) {
		fd = FIBER_TIMEOUT(1000 * (i % 50), fiber_accept(h.listener, NULL, NULL));
		cr_expect(fd == -ETIMEDOUT, "%d", fd);
		client = knock(&h);
		fd = fiber_accept(h.listener, NULL, NULL);
		cr_expect(fd >= 0, "%d", fd);
		cr_expect(fiber_close(fd) == 0);
		close(client);
	}
	cr_expect(fiber_close(h.listener) == 0);
	return 0;
}

Test(own_listener, who_gave_up_takes_nothing_with_him, .timeout = 60)
{
	on_every_poller(given_up);
}

static int accept_one(void *arg)
{
	return fiber_accept(((struct house *)arg)->listener, NULL, NULL);
}

/* One is let in; the others knock, and nobody opens any more. */
static int burst(void *unused)
{
	enum { N = 20 };
	int client[N], fd = -1;
	struct house h;
	fiber_t doorman;
	char byte;

	(void)unused;
	for (int round = 0; round < 10; round++) {
		open_house(&h);
		for (int i = 0; i < 2; i++) { /* the first tells what it is */
			cr_expect(fiber_spawn(&doorman, NULL, accept_one, &h) == 0);
			fiber_yield();
			for (int j = i ? 1 : 0; j < (i ? N : 1); j++)
				client[j] = knock(&h);
			cr_expect(fiber_join(doorman, &fd) == 0 && fd >= 0, "%d", fd);
			cr_expect(fiber_close(fd) == 0);
		}
		fiber_sleep(round % 2 ? FIBER_MILLISECOND : 1);
		cr_expect(fiber_close(h.listener) == 0);
		for (int j = 0; j < N; j++) {
			cr_expect(recv(client[j], &byte, 1, 0) <= 0); /* the end, or a reset */
			close(client[j]);
		}
	}
	return 0;
}

Test(own_listener, who_was_not_let_in_hears_of_the_close, .timeout = 60)
{
	int descriptors = law_descriptors();

	on_every_poller(burst);
	cr_expect(law_descriptors() == descriptors);
}
