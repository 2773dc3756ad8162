/* producer_consumer.c - one consumer of two producers. It takes from whichever has something, does
 * without the one that has closed its channel, and gives up on the other when that keeps it waiting
 * for too long. The channels hold eight items: a producer that is ahead by more has to wait. */
#include <errno.h>
#include <fiber/chan.h>
#include <stdio.h>

#define PATIENCE (FIBER_SECOND / 2)

static int produce(fiber_chan_t *to, int items)
{
	int r = 0;

	for (int i = 1; i <= items && r == 0; i++)
		r = fiber_chan_send(to, &i);
	return r;
}

static int reliable(void *to)
{
	int r = produce(to, 1000);

	fiber_chan_close(to); /* there will be no more */
	return r;
}

static int sleepy(void *to)
{
	int r = produce(to, 10);

	return r < 0 ? r : fiber_sleep_until(FIBER_NEVER);
}

static int consume(fiber_chan_t *one, fiber_chan_t *other)
{
	int item, count[2] = {0, 0};
	long sum[2] = {0, 0};
	fiber_case_t cases[] = {FIBER_RECV(one, &item), FIBER_RECV(other, &item)};

	for (;;) {
		int at = fiber_select_until(cases, 2, fiber_after(PATIENCE));

		if (at == -ETIMEDOUT)
			break;
		if (at < 0)
			return at;
		if (cases[at].result == -EPIPE) {
			cases[at].op = FIBER_OP_NONE; /* left out from now on */
			printf("producer %d: %d items, sum %ld; closed\n", at, count[at], sum[at]);
			continue;
		}
		count[at]++;
		sum[at] += item;
	}
	for (int i = 0; i < 2; i++)
		if (cases[i].op != FIBER_OP_NONE)
			printf("producer %d: %d items, sum %ld; silent, given up\n", i, count[i],
			       sum[i]);
	return 0;
}

static int start(void *unused)
{
	fiber_group_t producers = FIBER_GROUP_INIT;
	fiber_chan_t *one = NULL, *other = NULL;
	int r = fiber_chan_create(&one, sizeof(int), 8);

	(void)unused;
	if (r == 0)
		r = fiber_chan_create(&other, sizeof(int), 8);
	if (r == 0)
		r = fiber_group_spawn(&producers, NULL, reliable, one);
	if (r == 0)
		r = fiber_group_spawn(&producers, NULL, sleepy, other);
	if (r == 0)
		r = consume(one, other);
	fiber_group_cancel(&producers); /* the sleepy one would sleep for ever */
	if (fiber_group_wait(&producers) != -ECANCELED && r == 0)
		r = -EIO;
	fiber_chan_free(one);
	fiber_chan_free(other);
	return r;
}

int main(void)
{
	int r = fiber_run(NULL, start, NULL);

	if (r < 0)
		fprintf(stderr, "producer_consumer: %s\n", fiber_strerror(r));
	return r < 0;
}
