/* run.c - a program from start to end, with all that it reads and writes.
 *
 * One loop feeds and drains whichever pipe is ready. To write all of the input first would stop
 * for ever when the program's output has filled its pipe meanwhile, and to read one of its outputs
 * to the end when the other has. Whatever was ready can be read or written without waiting, because
 * nobody else has our ends. */
#include <errno.h>
#include <fiber/process.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum { LIMIT = 1024 * 1024, PIECE = 4096 };

struct sink {
	char *bytes;                   /* NULL until something came */
	size_t used, room, limit;
};

struct exchange {
	fiber_process_t process;
	const char *input;
	size_t input_bytes;
	struct sink out, err;
};

static void close_end(fiber_fd *fd)
{
	fiber_close(*fd);
	*fd = -1;
}

/* 0, or -errno. */
static int feed(struct exchange *x)
{
	ssize_t n = fiber_write(x->process.in, x->input, x->input_bytes);

	if (n == -EPIPE) /* it does not want more */
		x->input_bytes = 0;
	else if (n < 0)
		return (int)n;
	else {
		x->input += n;
		x->input_bytes -= (size_t)n;
	}
	if (x->input_bytes == 0)
		close_end(&x->process.in);
	return 0;
}

/* Room for a piece more and a zero behind, or for one byte beyond the limit. */
static int make_room(struct sink *s)
{
	size_t room = s->room ? 2 * s->room : PIECE;
	char *bytes;

	if (s->room - s->used > PIECE / 4 || s->room > s->limit + 1)
		return 0;
	if (room > s->limit + 2)
		room = s->limit + 2;
	bytes = realloc(s->bytes, room);
	if (!bytes)
		return -ENOMEM;
	s->bytes = bytes;
	s->room = room;
	return 0;
}

static int drain(fiber_fd *fd, struct sink *s)
{
	int r = make_room(s);
	ssize_t n;

	if (r < 0)
		return r;
	n = fiber_read(*fd, s->bytes + s->used, s->room - s->used - 1);
	if (n < 0)
		return (int)n;
	if (n == 0)
		close_end(fd);
	s->used += (size_t)n;
	s->bytes[s->used] = 0;
	return s->used > s->limit ? -EMSGSIZE : 0;
}

/* Until all pipes are closed. */
static int pump(struct exchange *x)
{
	fiber_process_t *p = &x->process;
	int r = 0;

	if (p->in >= 0 && x->input_bytes == 0)
		close_end(&p->in);
	while (r >= 0 && (p->in >= 0 || p->out >= 0 || p->err >= 0)) {
		struct pollfd set[] = { { .fd = p->in, .events = POLLOUT },
					{ .fd = p->out, .events = POLLIN },
					{ .fd = p->err, .events = POLLIN } };

		r = fiber_poll(set, 3, -1);
		if (r >= 0 && set[0].revents)
			r = feed(x);
		if (r >= 0 && set[1].revents)
			r = drain(&p->out, &x->out);
		if (r >= 0 && set[2].revents)
			r = drain(&p->err, &x->err);
	}
	return r < 0 ? r : 0;
}

static int exchange(struct exchange *x, const fiber_process_options_t *options,
		    fiber_process_status_t *status)
{
	int r = fiber_process_start(&x->process, options);

	if (r < 0)
		return r;
	r = pump(x);
	if (r == 0)
		r = fiber_process_wait(&x->process, status);
	fiber_process_close(&x->process);
	return r;
}

PUBLIC int fiber_process_run(fiber_process_result_t *out, const fiber_process_options_t *options,
			     const void *input, size_t input_bytes, size_t limit)
{
	struct exchange x = { .input = input, .input_bytes = input_bytes };
	fiber_process_status_t status;
	int r;

	if (!out || !options || (!input && input_bytes))
		return -EINVAL;
	if (input_bytes && options->in.kind != FIBER_STDIO_PIPE)
		return -EINVAL;
	limit = limit ? limit : LIMIT;
	x.out.limit = x.err.limit = limit < SIZE_MAX / 4 ? limit : SIZE_MAX / 4;
	r = exchange(&x, options, &status);
	if (r < 0) {
		free(x.out.bytes);
		free(x.err.bytes);
		return r;
	}
	*out = (fiber_process_result_t){ .status = status, .out = x.out.bytes, .err = x.err.bytes,
					 .out_bytes = x.out.used, .err_bytes = x.err.used };
	return 0;
}

PUBLIC void fiber_process_result_free(fiber_process_result_t *result)
{
	if (!result)
		return;
	free(result->out);
	free(result->err);
	result->out = result->err = NULL;
}
