/* graceful.c - a server that ends well. On SIGTERM (or Ctrl-C) it takes no more connections, and
 * its clients may finish: but not for longer than MILLISECONDS. Those that are still there then are
 * cancelled, and have a moment to say goodbye, behind a shield. A second signal ends their time.
 *
 *	graceful [ADDRESS [MILLISECONDS]]	default tcp:127.0.0.1:7777, 5 seconds
 *
 * A client sends lines, and gets each back in capital letters once it is whole. When the server is
 * about to end, a client's next answer is its last. */
#include <ctype.h>
#include <errno.h>
#include <fiber/net.h>
#include <fiber/reader.h>
#include <fiber/signal.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool ending;

static void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	fflush(stdout);
}

static int answer(fiber_fd fd, char *line, size_t n)
{
	for (size_t i = 0; i < n; i++)
		line[i] = (char)toupper((unsigned char)line[i]);
	return (int)fiber_write_all(fd, line, n, NULL);
}

static int client(fiber_fd fd, void *unused)
{
	static const char goodbye[] = "cut off, sorry\n";
	char memory[1024], *line;
	fiber_reader_t in;
	ssize_t n = fiber_reader_init(&in, fd, memory, sizeof memory);

	(void)unused;
	do
		n = fiber_reader_until(&in, '\n', &line, 0);
	while (n > 0 && (n = answer(fd, line, (size_t)n)) > 0 && !ending);
	if (n == -ECANCELED)
		FIBER_SHIELD(FIBER_SECOND)
			n = fiber_write_all(fd, goodbye, strlen(goodbye), NULL);
	return (int)n;
}

static int serve(void *listener)
{
	int r = fiber_serve(*(fiber_fd *)listener, client, NULL);

	return r == -EINVAL ? 0 : r; /* it was shut down, and all clients have ended */
}

static int second_signal(void *signals)
{
	return fiber_chan_recv(signals, NULL);
}

/* Either of the two ends the other: the last client, a second signal. Or both end with time. */
static int finish(fiber_group_t *group, fiber_chan_t *signals, int64_t patience)
{
	fiber_group_spawn(group, NULL, second_signal, signals);
	return FIBER_TIMEOUT(patience, fiber_group_race(group));
}

static int serve_until_told(fiber_fd listener, fiber_chan_t *signals, int64_t patience)
{
	fiber_group_t group = FIBER_GROUP_INIT;
	fiber_signal_t s;
	int r;

	fiber_group_spawn(&group, NULL, serve, &listener);
	r = fiber_chan_recv(signals, &s);
	if (r == 0)
		say("signal %d: no more clients\n", s.number);
	ending = true;
	fiber_shutdown(listener, SHUT_RD);
	r = finish(&group, signals, patience);
	say(r == -ETIMEDOUT ? "time is up\n" : "done\n");
	return r == -ETIMEDOUT ? 0 : r;
}

static int start(void *arg)
{
	static const int numbers[] = {SIGTERM, SIGINT};
	char **argument = arg, name[FIBER_ADDRESS_BYTES];
	fiber_chan_t *signals;
	fiber_fd listener = fiber_listen(argument[0], NULL);
	int r = listener < 0 ? listener : fiber_signal_open(&signals, numbers, 2);

	if (r < 0)
		return r;
	fiber_local_address(listener, name, sizeof name);
	say("listening on %s\n", name);
	r = serve_until_told(listener, signals, atoll(argument[1]) * FIBER_MILLISECOND);
	fiber_signal_close(signals);
	fiber_close(listener);
	return r;
}

int main(int argc, char **argv)
{
	char *argument[] = {argc > 1 ? argv[1] : "tcp:127.0.0.1:7777", argc > 2 ? argv[2] : "5000"};
	sigset_t set;
	int r;

	/* On the workers to come, too: the library has a thread of its own for it. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	r = fiber_run(NULL, start, argument);
	if (r < 0)
		fprintf(stderr, "graceful: %s\n", fiber_strerror(r));
	return r < 0;
}
