/* Blocking descriptors that came from elsewhere: reading, writing and sending files with them
 * holds up nobody, and none of their flags changes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "law.h"
#include "others.h"
#include "waits.h"

/* ---- sendfile ---------------------------------------------------------------------------------*/
enum { FILE_BYTES = 3 << 20 };

struct sender {
	int out, in;
	int64_t offset;
};

static int sends_file(void *arg)
{
	struct sender *s = arg;
	ssize_t n;

	while ((n = fiber_sendfile(s->out, s->in, &s->offset, FILE_BYTES - s->offset)) > 0)
		;
	return (int)n;
}

static int file_of_pattern(void)
{
	FILE *f = tmpfile();
	int fd;

	for (int i = 0; i < FILE_BYTES / 4; i++)
		fwrite(&i, sizeof i, 1, f);
	fflush(f);
	fd = fcntl(fileno(f), F_DUPFD_CLOEXEC, 0);
	fclose(f);
	return fd;
}

static int received_pattern(int fd)
{
	int *data = malloc(FILE_BYTES), wrong = 0;
	size_t done;

	cr_expect(fiber_read_full(fd, data, FILE_BYTES, &done) == FILE_BYTES, "%zu", done);
	for (int i = 0; i < FILE_BYTES / 4; i++)
		wrong += data[i] != i;
	free(data);
	return wrong;
}

static int sends_blocking(void *arg)
{
	struct other o = { 0 };
	struct sender s = { .in = file_of_pattern() };
	fiber_t other = spawned(other_goes_on, &o), f;
	int fds[2], small = 65536;

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	s.out = fds[1];
	f = spawned(sends_file, &s);
	until_it_waits_for(f, "write"); /* the receiver does not read: it would block here */
	others_go_on(&o);
	cr_expect(received_pattern(fds[0]) == 0);
	cr_expect(result_of(f) == 0 && s.offset == FILE_BYTES);
	cr_expect(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));

	s.offset = 0;
	cr_expect(FIBER_TIMEOUT(10 * FIBER_MILLISECOND, sends_file(&s)) == -ETIMEDOUT);
	cr_expect(s.offset > 0 && s.offset < FILE_BYTES);
	atomic_store(&o.stop, true);
	cr_expect(result_of(other) == 0);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return fiber_close(s.in);
}

Test(io_inherited_flow, sendfile_to_a_blocking_socket, .timeout = 60)
{
	law_holds(sends_blocking, NULL);
}

/* ---- everything else --------------------------------------------------------------------------*/
static int reads_one(void *arg)
{
	char byte;

	return (int)fiber_read(*(int *)arg, &byte, 1);
}

/* A pipe, a socket and a terminal that block, as a program's first three descriptors do. */
static int flags_stay(void *arg)
{
	struct other o = { 0 };
	fiber_t other = spawned(other_goes_on, &o), f;
	int pair[3][2], flags[3][2];
	char byte;

	(void)arg;
	cr_expect(pipe2(pair[0], O_CLOEXEC) == 0);
	cr_expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair[1]) == 0);
	cr_expect(openpty(&pair[2][1], &pair[2][0], NULL, NULL, NULL) == 0);
	for (int i = 0; i < 3; i++) {
		flags[i][0] = fcntl(pair[i][0], F_GETFL);
		flags[i][1] = fcntl(pair[i][1], F_GETFL);
		f = spawned(reads_one, &pair[i][0]);
		until_it_waits_for(f, "read");
		others_go_on(&o);
		cr_expect(fiber_write(pair[i][1], "\n", 1) == 1);
		cr_expect(result_of(f) == 1);
		cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, reads_one(&pair[i][0])) == -ETIMEDOUT);
		cr_expect(fcntl(pair[i][0], F_GETFL) == flags[i][0]);
		cr_expect(fcntl(pair[i][1], F_GETFL) == flags[i][1]);
		if (i < 2)
			cr_expect(fiber_close(pair[i][1]) == 0 &&
				  fiber_read(pair[i][0], &byte, 1) == 0);
		else
			cr_expect(fiber_close(pair[i][1]) == 0);
		cr_expect(fiber_close(pair[i][0]) == 0);
	}
	atomic_store(&o.stop, true);
	return result_of(other);
}

Test(io_inherited_flow, no_flag_of_an_inherited_descriptor_changes, .timeout = 60)
{
	law_holds(flags_stay, NULL);
}

/* Two processes read one terminal: what was ready may be gone, and the read then waits inside a
 * helper, from where a deadline and a close bring it back. */
struct lines {
	int fd;
	_Atomic int lines;
};

static int reads_lines(void *arg)
{
	struct lines *r = arg;
	char line[64];
	ssize_t n;

	while ((n = fiber_read(r->fd, line, sizeof line)) > 0)
		atomic_fetch_add(&r->lines, 1);
	return (int)n;
}

/* Line mode without echo, and a master that takes what goes. */
static void open_terminal(int *master, int *slave)
{
	struct termios mode;

	cr_expect(openpty(master, slave, NULL, NULL, NULL) == 0);
	cr_expect(tcgetattr(*slave, &mode) == 0);
	mode.c_lflag &= ~(tcflag_t)ECHO;
	cr_expect(tcsetattr(*slave, TCSANOW, &mode) == 0);
	fcntl(*master, F_SETFL, O_RDWR | O_NONBLOCK);
}

static void type_line(int master)
{
	ssize_t n = write(master, "x\n", 2);

	cr_expect(n == 2 || errno == EAGAIN);
	fiber_yield();
}

static int terminal_shared(void *arg)
{
	struct lines r = { 0 };
	int master, slave, status;
	pid_t rival;
	fiber_t f;

	(void)arg;
	open_terminal(&master, &slave);
	r.fd = slave;
	rival = fork();
	if (rival == 0) {
		char line[64];

		for (int i = 0; i < 50; i++)
			if (read(slave, line, sizeof line) <= 0)
				_exit(1);
		_exit(0);
	}
	f = spawned(reads_lines, &r);
	while (waitpid(rival, &status, WNOHANG) == 0)
		type_line(master);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	while (atomic_load(&r.lines) < 50)
		type_line(master);
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(fiber_close(slave) == 0 && fiber_close(master) == 0);
	return 0;
}

Test(io_inherited_flow, a_terminal_shared_with_another_process, .timeout = 60)
{
	law_holds(terminal_shared, NULL);
}
