/* quiet.c - SIGPIPE, and SIGXFSZ from a file that would grow beyond RLIMIT_FSIZE. */
#include "io/quiet.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

/* The signal that may come with this result; 0: none. sendfile(2), and a write to a pipe that
 * blocks, may move some, find the other end gone, raise SIGPIPE, and return what they moved. */
static int signal_of(ssize_t result, size_t asked)
{
	if (result == -EPIPE || (result > 0 && (size_t)result < asked))
		return SIGPIPE;
	return result == -EFBIG ? SIGXFSZ : 0;
}

static void both(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGPIPE);
	sigaddset(set, SIGXFSZ);
}

/* They were sent to this thread, so no other can have taken them. If none was sent: nothing. */
static void consume(int number)
{
	static const struct timespec now = { 0, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
		;
}

void quiet_begin(struct quiet *q)
{
	sigset_t set;

	both(&set);
	pthread_sigmask(SIG_BLOCK, &set, &q->before);
	sigpending(&q->pending);
}

ssize_t quiet_end(struct quiet *q, ssize_t result, size_t asked)
{
	int number = signal_of(result, asked);

	if (number && !sigismember(&q->pending, number))
		consume(number);
	pthread_sigmask(SIG_SETMASK, &q->before, NULL);
	return result;
}

ssize_t quiet_helper(ssize_t result, size_t asked)
{
	int number = signal_of(result, asked);

	if (number)
		consume(number);
	return result;
}
