/* stdio streams over descriptors: their reads and writes park, and two fibers in one are told. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fiber/file.h>

#include "law.h"
#include "on_a_thread.h"
#include "others.h"
#include "worlds.h"

static void stream_pair(FILE **one, FILE **two)
{
	fiber_fd fds[2];

	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	cr_expect(fiber_fdopen(one, fds[0], "r+") == 0);
	cr_expect(fiber_fdopen(two, fds[1], "r+") == 0);
}

/* ---- success ----------------------------------------------------------------------------------*/
static int answers(void *arg)
{
	FILE *stream = arg;
	char line[64];
	int n = 0;

	while (fgets(line, sizeof line, stream)) {
		cr_expect(fprintf(stream, "%d: you said %s", ++n, line) > 0);
		cr_expect(fflush(stream) == 0);
	}
	cr_expect(feof(stream) && !ferror(stream));
	return fclose(stream) == 0 ? n : -errno;
}

static int talks(void *arg)
{
	struct other other = { 0 };
	char *line = NULL, expected[64];
	size_t size = 0;
	FILE *mine, *theirs;
	fiber_t f, o = spawned(other_goes_on, &other);

	(void)arg;
	stream_pair(&mine, &theirs);
	f = spawned(answers, theirs);
	for (int i = 1; i <= 100; i++) {
		fprintf(mine, "word %d\n", i);
		cr_expect(fflush(mine) == 0);
		cr_expect(getline(&line, &size, mine) > 0);
		snprintf(expected, sizeof expected, "%d: you said word %d\n", i, i);
		cr_expect(strcmp(line, expected) == 0, "%s", line);
	}
	cr_expect(fclose(mine) == 0);
	cr_expect(result_of(f) == 100);
	atomic_store(&other.stop, true);
	free(line);
	return result_of(o);
}

Test(fdopen, lines_go_to_and_fro_while_others_go_on, .timeout = 30)
{
	law_holds(talks, NULL);
}

/* Much more than buffers and sockets hold: both ends park in the middle of a stdio call. */
enum { MUCH = 1000000 };

static int writes_much(void *arg)
{
	FILE *stream = arg;

	for (int i = 0; i < MUCH; i++)
		if (putc('a' + i % 26, stream) == EOF)
			return -errno;
	return fclose(stream) == 0 ? 0 : -errno;
}

static int much(void *arg)
{
	FILE *mine, *theirs;
	fiber_t f;
	int wrong = 0, n = 0;

	(void)arg;
	stream_pair(&mine, &theirs);
	f = spawned(writes_much, theirs);
	for (int c; (c = getc(mine)) != EOF; n++)
		wrong += c != 'a' + n % 26;
	cr_expect(n == MUCH && wrong == 0, "%d, %d", n, wrong);
	cr_expect(fclose(mine) == 0);
	return result_of(f);
}

Test(fdopen, every_byte_comes_once_and_in_order, .timeout = 60)
{
	law_holds(much, NULL);
}

static int in_a_file(void *arg)
{
	char path[] = "fdopen.XXXXXX", text[64] = "";
	FILE *f;
	fiber_fd fd = mkstemp(path);

	(void)arg;
	cr_expect(fiber_fdopen(&f, fd, "w+be") == 0);
	cr_expect(fputs("hello world", f) >= 0 && fseek(f, 6, SEEK_SET) == 0);
	cr_expect(fputs("there", f) >= 0 && ftell(f) == 11);
	rewind(f);
	cr_expect(fgets(text, sizeof text, f) && strcmp(text, "hello there") == 0, "%s", text);
	cr_expect(fclose(f) == 0);
	fd = fiber_open(path, O_RDWR);
	cr_expect(fiber_fdopen(&f, fd, "a") == 0);
	cr_expect(fputs("!", f) >= 0 && fclose(f) == 0);
	fd = fiber_open(path, O_RDONLY);
	cr_expect(fiber_fdopen(&f, fd, "r") == 0);
	cr_expect(fread(text, 1, sizeof text, f) == 12 && memcmp(text, "hello there!", 12) == 0);
	cr_expect(fclose(f) == 0);
	cr_expect(fcntl(fd, F_GETFD) < 0, "closed with it");
	return unlink(path);
}

Test(fdopen, in_a_file_it_seeks_and_appends, .timeout = 30)
{
	law_holds(in_a_file, NULL);
	cr_expect(on_a_thread(in_a_file, NULL) == 0);
}

/* ---- interruptions ----------------------------------------------------------------------------*/
static int interrupted(void *arg)
{
	FILE *mine, *theirs;
	fiber_scope_t scope;
	char line[64];

	(void)arg;
	stream_pair(&mine, &theirs);
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	cr_expect(fgets(line, sizeof line, mine) == NULL && errno == ECANCELED);
	cr_expect(ferror(mine) && fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	clearerr(mine);
	fputs("late\n", theirs);
	fflush(theirs);
	cr_expect(fgets(line, sizeof line, mine) && strcmp(line, "late\n") == 0);
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	errno = 0;
	for (int i = 0; i < MUCH && !ferror(theirs); i++)
		putc('x', theirs);
	cr_expect(ferror(theirs) && errno == ECANCELED);
	fiber_scope_end(&scope, 0);
	fclose(mine);
	fclose(theirs); /* what it still held cannot be written any more */
	return 0;
}

Test(fdopen, an_interruption_is_an_error_of_stdio, .timeout = 30)
{
	law_holds(interrupted, NULL);
	cr_expect(on_a_thread(interrupted, NULL) == 0);
}

/* ---- two fibers in one ------------------------------------------------------------------------*/
static int kept_stderr;
static FILE *said_file;

static void listen_to_stderr(void)
{
	kept_stderr = dup(STDERR_FILENO);
	said_file = tmpfile();
	dup2(fileno(said_file), STDERR_FILENO);
}

/* Did the library complain of it? */
static bool stop_listening(void)
{
	char said[4096];
	size_t n;

	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	rewind(said_file);
	n = fread(said, 1, sizeof said - 1, said_file);
	said[n] = 0;
	fclose(said_file);
	return strstr(said, "used by two fibers at the same time") != NULL;
}

static int reads_a_line(void *stream)
{
	char line[64];

	return fgets(line, sizeof line, stream) ? 0 : -errno;
}

static int two_readers(void *arg)
{
	fiber_attr_t here = { .worker = fiber_worker() };
	FILE *mine, *theirs;
	fiber_t f;

	(void)arg;
	stream_pair(&mine, &theirs);
	listen_to_stderr();
	cr_expect(fiber_spawn(&f, &here, reads_a_line, mine) == 0);
	until_it_waits_for(f, "read");
	errno = 0;
	cr_expect(getc(mine) == EOF && errno == EBUSY);
	cr_expect(stop_listening());
	clearerr(mine);
	fputs("line\n", theirs);
	fflush(theirs);
	cr_expect(result_of(f) == 0, "who came first is not harmed");
	return fclose(mine) | fclose(theirs);
}

Test(fdopen, a_second_reader_is_told, .timeout = 30)
{
	law_holds(two_readers, NULL);
}

/* stdio forgets what is added to a buffer that is being written. */
static int flushes_much(void *arg)
{
	FILE *stream = arg;

	for (int i = 0; i < MUCH && !ferror(stream); i++)
		putc('x', stream);
	return ferror(stream) ? -errno : 0;
}

static int reads_all(void *stream)
{
	while (getc(stream) != EOF)
		;
	return 0;
}

static int two_writers(void *arg)
{
	fiber_attr_t here = { .worker = fiber_worker() };
	FILE *mine, *theirs;
	fiber_t f, g;
	int failed;

	(void)arg;
	stream_pair(&mine, &theirs);
	setvbuf(mine, NULL, _IOFBF, 4096);
	listen_to_stderr();
	cr_expect(fiber_spawn(&f, &here, flushes_much, mine) == 0);
	until_it_waits_for(f, "write");
	failed = fputs("in between", mine) < 0;
	g = spawned(reads_all, theirs);
	failed += result_of(f) == -EBUSY;
	cr_expect(failed > 0);
	cr_expect(stop_listening());
	fclose(mine);
	cr_expect(result_of(g) == 0);
	return fclose(theirs);
}

Test(fdopen, a_second_writer_is_told, .timeout = 30)
{
	law_holds(two_writers, NULL);
}

static int hands_on(void *arg)
{
	FILE *mine, *theirs;
	char line[64];
	fiber_t f;

	(void)arg;
	stream_pair(&mine, &theirs);
	fputs("one\ntwo\n", theirs);
	fflush(theirs);
	cr_expect(fgets(line, sizeof line, mine) && strcmp(line, "one\n") == 0);
	f = spawned(reads_a_line, mine);
	cr_expect(result_of(f) == 0, "between two calls it may be handed on");
	return fclose(mine) | fclose(theirs);
}

Test(fdopen, a_stream_may_be_handed_on, .timeout = 30)
{
	law_holds(hands_on, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	fiber_fd fds[2];
	FILE *f;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_fdopen(NULL, fds[0], "r") == -EFAULT);
	cr_expect(fiber_fdopen(&f, -1, "r") == -EBADF);
	cr_expect(fiber_fdopen(&f, fds[0], NULL) == -EINVAL);
	cr_expect(fiber_fdopen(&f, fds[0], "") == -EINVAL);
	cr_expect(fiber_fdopen(&f, fds[0], "rx") == -EINVAL);
	cr_expect(fiber_fdopen(&f, fds[0], "q") == -EINVAL);
	cr_expect(fiber_fdopen(&f, fds[0], "w") == -EINVAL);
	cr_expect(fiber_fdopen(&f, fds[0], "r+") == -EINVAL);
	cr_expect(fiber_fdopen(&f, fds[1], "r") == -EINVAL);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	cr_expect(fiber_fdopen(&f, fds[0], "r") == -EBADF);
	return 0;
}

Test(fdopen, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
	cr_expect(on_a_thread(misuse, NULL) == 0);
}

static int roams(void *arg)
{
	fiber_fd fds[2];
	FILE *f;
	bool was;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_write(fds[1], "x\n", 2) == 2);
	cr_expect(fiber_fdopen(&f, fds[0], "r") == -ENOTSUP);
	was = fiber_pin();
	cr_expect(fiber_fdopen(&f, fds[0], "r") == 0);
	cr_expect(getc(f) == 'x');
	fiber_unpin(was);
	cr_expect(getc(f) == '\n', "which is in the buffer");
	errno = 0;
	cr_expect(getc(f) == EOF && errno == ENOTSUP);
	cr_expect(fclose(f) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

static int one_that_roams(void *arg)
{
	fiber_t f;

	(void)arg;
	cr_expect(fiber_spawn(&f, &(fiber_attr_t){ .flags = FIBER_ROAM }, roams, NULL) == 0);
	return result_of(f);
}

Test(fdopen, is_not_for_fibers_that_roam, .timeout = 30)
{
	law_holds(one_that_roams, NULL);
}
