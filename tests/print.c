/* fiber_print and its kin: lines stay whole, and a full pipe parks the fiber, not its worker. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fiber/file.h>

#include "law.h"
#include "on_a_thread.h"
#include "others.h"
#include "worlds.h"

/* Standard output is a pipe that blocks, as a shell gives it. */
struct output {
	int fds[2], kept;
};

static void redirect(struct output *o)
{
	cr_expect(pipe2(o->fds, O_CLOEXEC) == 0);
	fflush(stdout);
	o->kept = dup(STDOUT_FILENO);
	dup2(o->fds[1], STDOUT_FILENO);
}

static void restore(struct output *o)
{
	fiber_forget(STDOUT_FILENO);
	dup2(o->kept, STDOUT_FILENO);
	close(o->kept);
	fiber_close(o->fds[0]);
	fiber_close(o->fds[1]);
}

static int texts(void *arg)
{
	char buffer[2048], longer[1500];
	struct output o;
	ssize_t n;

	(void)arg;
	memset(longer, 'y', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	redirect(&o);
	cr_expect(fiber_print("one\n") == 4);
	cr_expect(fiber_print("") == 0);
	cr_expect(fiber_printf("%s %d\n", "two", 2) == 6);
	cr_expect(fiber_dprintf(o.fds[1], "%c", '3') == 1);
	n = read(o.fds[0], buffer, sizeof buffer);
	cr_expect(n == 11 && memcmp(buffer, "one\ntwo 2\n3", 11) == 0);
	cr_expect(fiber_printf("%s.", longer) == 1500, "longer than is kept on the stack");
	n = read(o.fds[0], buffer, sizeof buffer);
	cr_expect(n == 1500 && buffer[1498] == 'y' && buffer[1499] == '.');
	restore(&o);
	cr_expect(fiber_print(NULL) == -EFAULT && fiber_printf(NULL) == -EFAULT);
	cr_expect(fiber_dprintf(-1, "x") == -EBADF);
	return 0;
}

Test(print, text_arrives_whole, .timeout = 30)
{
	law_holds(texts, NULL);
	cr_expect(on_a_thread(texts, NULL) == 0);
}

/* ---- a slow reader ----------------------------------------------------------------------------*/
enum { WRITERS = 8, LINES = 400 };

static int prints_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		if (fiber_printf("writer %d line %03d %0200d end\n", (int)(intptr_t)arg, i, 0) < 0)
			return -1;
	return 0;
}

static bool is_whole(const char *line, int next[WRITERS])
{
	int writer = -1, number = -1;

	if (strlen(line) != strlen("writer 0 line 000  end\n") + 200 ||
	    sscanf(line, "writer %d line %d", &writer, &number) != 2)
		return false;
	return writer >= 0 && writer < WRITERS && number == next[writer]++;
}

static void *reads_lines(void *arg)
{
	struct output *o = arg;
	FILE *in = fdopen(dup(o->fds[0]), "r");
	int next[WRITERS] = { 0 };
	char line[512];
	intptr_t whole = 0;

	for (int i = 0; i < WRITERS * LINES && fgets(line, sizeof line, in); i++)
		whole += is_whole(line, next);
	fclose(in);
	return (void *)whole;
}

/* The pipe holds 64 KiB, a tenth of it all: nobody reads until all writers wait. */
static int slow(void *arg)
{
	struct other other = { 0 };
	struct output o;
	fiber_t f[WRITERS], g = spawned(other_goes_on, &other);
	pthread_t reader;
	void *whole;

	(void)arg;
	redirect(&o);
	for (intptr_t i = 0; i < WRITERS; i++)
		f[i] = spawned(prints_lines, (void *)i);
	for (int i = 0; i < WRITERS; i++)
		until_it_waits_for(f[i], "write");
	others_go_on(&other);
	cr_expect(pthread_create(&reader, NULL, reads_lines, &o) == 0);
	for (int i = 0; i < WRITERS; i++)
		cr_expect(result_of(f[i]) == 0);
	pthread_join(reader, &whole);
	cr_expect((intptr_t)whole == WRITERS * LINES, "%ld", (long)(intptr_t)whole);
	restore(&o);
	atomic_store(&other.stop, true);
	return result_of(g);
}

Test(print, lines_stay_whole_and_a_full_pipe_holds_nobody_else, .timeout = 60)
{
	law_holds(slow, NULL);
}

static int prints_for_ever(void *arg)
{
	int r;

	(void)arg;
	do
		r = fiber_print("0123456789012345678901234567890123456789\n");
	while (r > 0);
	return r;
}

static int interrupted(void *arg)
{
	struct output o;
	fiber_t f;

	(void)arg;
	redirect(&o);
	f = spawned(prints_for_ever, NULL);
	until_it_waits_for(f, "write");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, prints_for_ever(NULL)) == -ETIMEDOUT);
	restore(&o);
	return 0;
}

Test(print, an_interruption_ends_the_wait, .timeout = 30)
{
	law_holds(interrupted, NULL);
}
