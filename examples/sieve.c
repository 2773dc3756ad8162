/* sieve.c - the primes below a limit, by a chain of channels. Each prime has a fiber that passes on
 * what it does not divide; what comes out at the end of the chain is the next prime. When the
 * numbers end, so does one channel after the other, and with it its fiber. */
#include <errno.h>
#include <fiber/chan.h>
#include <stdio.h>
#include <stdlib.h>

struct link {
	fiber_chan_t *from, *to; /* one reference to each is its own */
	int number;              /* the first one's: the limit; the others': their prime */
};

static int count(void *arg)
{
	struct link *link = arg;
	int r = 0;

	for (int i = 2; i < link->number && r == 0; i++)
		r = fiber_chan_send(link->to, &i);
	fiber_chan_close(link->to);
	fiber_chan_free(link->to);
	return r;
}

static int filter(void *arg)
{
	struct link *link = arg;
	int i, r;

	while ((r = fiber_chan_recv(link->from, &i)) == 0)
		if (i % link->number != 0 && (r = fiber_chan_send(link->to, &i)) < 0)
			break;
	fiber_chan_close(link->to);
	fiber_chan_free(link->from);
	fiber_chan_free(link->to);
	return r == -EPIPE ? 0 : r;
}

/* Starts a fiber that writes to a new channel. Its reading end replaces *end. */
static int add(fiber_fn *fn, fiber_chan_t **end, int number)
{
	struct link link = {.from = *end, .number = number};
	fiber_attr_t attr = {.copy_bytes = sizeof link};
	int r = fiber_chan_create(&link.to, sizeof(int), 16);

	if (r < 0)
		return r;
	*end = fiber_chan_ref(link.to);
	r = fiber_spawn(NULL, &attr, fn, &link);
	if (r < 0) {
		fiber_chan_free(link.from);
		fiber_chan_free(link.to);
	}
	return r;
}

static int sieve(void *limit)
{
	fiber_chan_t *end = NULL;
	int prime, r = add(count, &end, *(int *)limit);

	while (r == 0 && (r = fiber_chan_recv(end, &prime)) == 0) {
		printf("%d\n", prime);
		r = add(filter, &end, prime);
	}
	fiber_chan_free(end);
	return r == -EPIPE ? 0 : r;
}

int main(int argc, char **argv)
{
	int limit = argc > 1 ? atoi(argv[1]) : 100;
	int r = fiber_run(NULL, sieve, &limit);

	if (r < 0)
		fprintf(stderr, "sieve: %s\n", fiber_strerror(r));
	return r < 0;
}
