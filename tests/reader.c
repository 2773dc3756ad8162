/* The buffered reader: lines and pieces however they arrive, limits, ends, and nothing lost. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/reader.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

struct input {
	fiber_fd fds[2];
	char memory[64];
	fiber_reader_t reader;
};

static void open_input(struct input *in, size_t size)
{
	cr_expect(fiber_pipe(in->fds) == 0);
	cr_expect(fiber_reader_init(&in->reader, in->fds[0], in->memory, size) == 0);
}

static void feed(struct input *in, const char *text)
{
	size_t size = strlen(text);

	cr_expect(fiber_write_all(in->fds[1], text, size, NULL) == (ssize_t)size);
}

static void end_input(struct input *in)
{
	cr_expect(fiber_close(in->fds[1]) == 0);
}

static void expect_line(struct input *in, const char *text)
{
	char *line = NULL;
	ssize_t n = fiber_reader_line(&in->reader, &line, 0);

	cr_expect(n == (ssize_t)strlen(text), "%zd for \"%s\"", n, text);
	cr_expect(n < 0 || strcmp(line, text) == 0, "\"%s\" for \"%s\"", line, text);
}

/* ---- lines ------------------------------------------------------------------------------------*/
static int lines(void *arg)
{
	struct input in;
	char *line;

	(void)arg;
	open_input(&in, sizeof in.memory);
	feed(&in, "one\ntwo\r\n\n\r\nlast\r");
	expect_line(&in, "one");
	cr_expect(fiber_reader_buffered(&in.reader) == 13);
	expect_line(&in, "two");
	expect_line(&in, "");
	expect_line(&in, "");
	feed(&in, "\nfour\rfive\n");
	end_input(&in);
	expect_line(&in, "last");
	expect_line(&in, "four\rfive");
	cr_expect(fiber_reader_line(&in.reader, &line, 0) == -ENODATA);
	cr_expect(fiber_reader_line(&in.reader, &line, 0) == -ENODATA);
	return fiber_close(in.fds[0]);
}

Test(reader, lines_end_in_newline_or_return_and_newline, .timeout = 30)
{
	law_holds(lines, NULL);
}

static int delimiters(void *arg)
{
	struct input in;
	char *out;

	(void)arg;
	open_input(&in, sizeof in.memory);
	cr_expect(fiber_write(in.fds[1], "a:bc\0def\xff", 9) == 9);
	cr_expect(fiber_reader_until(&in.reader, ':', &out, 0) == 2 && memcmp(out, "a:", 2) == 0);
	cr_expect(fiber_reader_until(&in.reader, 0, &out, 0) == 3 && strcmp(out, "bc") == 0);
	cr_expect(fiber_reader_until(&in.reader, 255, &out, 0) == 4 && out[0] == 'd');
	end_input(&in);
	cr_expect(fiber_reader_until(&in.reader, ':', &out, 0) == -ENODATA);
	return fiber_close(in.fds[0]);
}

Test(reader, any_byte_may_be_the_delimiter, .timeout = 30)
{
	law_holds(delimiters, NULL);
}

/* Byte by byte, and many at once, through a buffer that the lines do not divide evenly. */
struct script {
	fiber_fd fd;
	uint64_t state;
	unsigned lines;
};

static int writes_lines(void *arg)
{
	struct script *s = arg;
	uint64_t state = s->state;
	char text[8192];

	for (unsigned i = 0; i < s->lines;) {
		int size = 0, pieces = (int)(law_random(&state) % 40) + 1, sent = 0;

		for (int j = 0; j < pieces && i < s->lines; j++, i++)
			size += sprintf(text + size, "%.*s%u%s", (int)(i % 40),
					"abcdefghijklmnopqrstuvwxyzabcdefghijklmnop", i,
					i % 3 ? "\n" : "\r\n");
		while (sent < size) {
			int n = (int)(law_random(&state) % 100) + 1;

			n = n < size - sent ? n : size - sent;
			cr_expect(fiber_write_all(s->fd, text + sent, (size_t)n, NULL) == n);
			sent += n;
			if (law_random(&state) & 1)
				fiber_yield();
		}
	}
	return fiber_close(s->fd);
}

static int many_lines(void *arg)
{
	struct script s = { .state = *(uint64_t *)arg, .lines = law_rounds(5000) };
	struct input in;
	char expected[64], *line;
	fiber_t f;

	open_input(&in, 61);
	s.fd = in.fds[1];
	f = spawned(writes_lines, &s);
	for (unsigned i = 0; i < s.lines; i++) {
		sprintf(expected, "%.*s%u", (int)(i % 40),
			"abcdefghijklmnopqrstuvwxyzabcdefghijklmnop", i);
		expect_line(&in, expected);
	}
	cr_expect(fiber_reader_line(&in.reader, &line, 0) == -ENODATA);
	cr_expect(result_of(f) == 0);
	return fiber_close(in.fds[0]);
}

Test(reader, lines_arrive_whole_however_they_are_sent, .timeout = 60)
{
	uint64_t seed = law_seed();

	law_holds(many_lines, &seed);
}

/* ---- limits -----------------------------------------------------------------------------------*/
static int limits(void *arg)
{
	struct input in;
	char *line, bytes[64];

	(void)arg;
	open_input(&in, 8);
	feed(&in, "1234567\n");
	cr_expect(fiber_reader_line(&in.reader, &line, 7) == -EMSGSIZE);
	cr_expect(fiber_reader_line(&in.reader, &line, 8) == 7, "nothing was lost");
	feed(&in, "123456789\nx\n");
	cr_expect(fiber_reader_line(&in.reader, &line, 0) == -EMSGSIZE, "the buffer is the limit");
	cr_expect(fiber_reader_line(&in.reader, &line, 1000) == -EMSGSIZE);
	cr_expect(fiber_reader_line(&in.reader, &line, 0) == -EMSGSIZE, "as often as one likes");
	cr_expect(fiber_reader_read(&in.reader, bytes, 4) == 4 && memcmp(bytes, "1234", 4) == 0);
	expect_line(&in, "56789");
	expect_line(&in, "x");
	feed(&in, "abcdefghijk\n");
	cr_expect(fiber_reader_line(&in.reader, &line, 3) == -EMSGSIZE);
	cr_expect(fiber_reader_skip(&in.reader, 3) == 3);
	cr_expect(fiber_reader_skip(&in.reader, 1000) == 5, "what was read, and no more");
	expect_line(&in, "ijk");
	end_input(&in);
	return fiber_close(in.fds[0]);
}

Test(reader, a_line_too_long_is_told_and_kept, .timeout = 30)
{
	law_holds(limits, NULL);
}

/* ---- ends -------------------------------------------------------------------------------------*/
static int partial(void *arg)
{
	struct input in;
	char *line, bytes[8];
	size_t done;

	(void)arg;
	open_input(&in, sizeof in.memory);
	feed(&in, "whole\npart");
	end_input(&in);
	expect_line(&in, "whole");
	cr_expect(fiber_reader_line(&in.reader, &line, 0) == -EBADMSG);
	cr_expect(fiber_reader_until(&in.reader, 'x', &line, 0) == -EBADMSG);
	cr_expect(fiber_reader_buffered(&in.reader) == 4);
	cr_expect(fiber_reader_peek(&in.reader, &line, 10) == 4 && memcmp(line, "part", 4) == 0);
	cr_expect(fiber_reader_read_full(&in.reader, bytes, 8, &done) == 4 && done == 4);
	cr_expect(memcmp(bytes, "part", 4) == 0);
	cr_expect(fiber_reader_line(&in.reader, &line, 0) == -ENODATA, "and now a clean end");
	cr_expect(fiber_reader_read(&in.reader, bytes, 8) == 0);
	cr_expect(fiber_reader_peek(&in.reader, &line, 1) == 0);
	cr_expect(fiber_reader_read_full(&in.reader, bytes, 8, NULL) == 0);
	return fiber_close(in.fds[0]);
}

Test(reader, an_end_within_a_line_is_told_from_a_clean_one, .timeout = 30)
{
	law_holds(partial, NULL);
}

/* ---- pieces -----------------------------------------------------------------------------------*/
/* A head, and a body of known length: part of it came with the head. */
static int head_and_body(void *arg)
{
	struct input in;
	char body[300], *at;
	size_t done = 99;

	(void)arg;
	open_input(&in, sizeof in.memory);
	feed(&in, "POST / HTTP/1.1\r\nContent-Length: 260\r\n\r\n0123456789");
	expect_line(&in, "POST / HTTP/1.1");
	expect_line(&in, "Content-Length: 260");
	expect_line(&in, "");
	for (int i = 1; i < 26; i++)
		feed(&in, "0123456789");
	feed(&in, "GET / HTTP/1.1\r\n");
	cr_expect(fiber_reader_read_full(&in.reader, body, 260, &done) == 260 && done == 260);
	for (int i = 0; i < 260; i++)
		cr_expect(body[i] == '0' + i % 10);
	cr_expect(fiber_reader_peek(&in.reader, &at, 3) >= 3 && memcmp(at, "GET", 3) == 0);
	cr_expect(fiber_reader_peek(&in.reader, &at, 0) ==
		  (ssize_t)fiber_reader_buffered(&in.reader));
	expect_line(&in, "GET / HTTP/1.1");
	cr_expect(fiber_reader_buffered(&in.reader) == 0);
	cr_expect(fiber_reader_peek(&in.reader, &at, 0) == 0, "and does not wait");
	feed(&in, "xy");
	cr_expect(fiber_reader_read(&in.reader, body, 1) == 1 && body[0] == 'x');
	cr_expect(fiber_reader_read(&in.reader, body, 300) == 1 && body[0] == 'y', "at most");
	end_input(&in);
	return fiber_close(in.fds[0]);
}

Test(reader, a_body_follows_its_head, .timeout = 30)
{
	law_holds(head_and_body, NULL);
}

static int large_pieces(void *arg)
{
	enum { BYTES = 32768 };
	struct input in;
	char *sent = malloc(BYTES), *got = malloc(BYTES);
	size_t done;

	(void)arg;
	for (int i = 0; i < BYTES; i++)
		sent[i] = (char)(i * 31);
	open_input(&in, 16);
	cr_expect(fiber_write_all(in.fds[1], sent, BYTES, NULL) == BYTES);
	cr_expect(fiber_reader_read_full(&in.reader, got, 3, NULL) == 3);
	cr_expect(fiber_reader_read_full(&in.reader, got + 3, BYTES - 3, &done) == BYTES - 3);
	cr_expect(memcmp(sent, got, BYTES) == 0);
	end_input(&in);
	free(sent);
	free(got);
	return fiber_close(in.fds[0]);
}

Test(reader, a_piece_may_be_larger_than_the_buffer, .timeout = 30)
{
	law_holds(large_pieces, NULL);
}

/* ---- interruptions ----------------------------------------------------------------------------*/
static int reads_line(void *arg)
{
	struct input *in = arg;
	char *line;

	return (int)fiber_reader_line(&in->reader, &line, 0);
}

static int interrupted(void *arg)
{
	struct input in;
	char bytes[8], *at;
	size_t done = 99;
	fiber_t f;

	(void)arg;
	open_input(&in, sizeof in.memory);
	feed(&in, "begin");
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, reads_line(&in)) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_reader_peek(&in.reader, &at, 6)) ==
		  -ETIMEDOUT);
	f = spawned(reads_line, &in);
	until_it_waits_for(f, "read");
	feed(&in, "ning");
	until_it_waits_for(f, "read");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	feed(&in, "\nend");
	expect_line(&in, "beginning");
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_reader_read_full(&in.reader, bytes, 8,
									  &done)) == -ETIMEDOUT);
	cr_expect(done == 3 && memcmp(bytes, "end", 3) == 0, "and these are the caller's");
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_reader_read(&in.reader, bytes, 8)) ==
		  -ETIMEDOUT);
	end_input(&in);
	return fiber_close(in.fds[0]);
}

Test(reader, an_interruption_loses_nothing, .timeout = 30)
{
	law_holds(interrupted, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	fiber_reader_t r;
	char memory[8], *out;
	size_t done = 7;

	(void)arg;
	cr_expect(fiber_reader_init(NULL, 0, memory, 8) == -EINVAL);
	cr_expect(fiber_reader_init(&r, 0, NULL, 8) == -EINVAL);
	cr_expect(fiber_reader_init(&r, 0, memory, 0) == -EINVAL);
	cr_expect(fiber_reader_init(&r, -1, memory, 8) == -EBADF);
	cr_expect(fiber_reader_init(&r, 1 << 20, memory, 8) == 0);
	cr_expect(fiber_reader_line(NULL, &out, 0) == -EINVAL);
	cr_expect(fiber_reader_line(&r, NULL, 0) == -EINVAL);
	cr_expect(fiber_reader_line(&r, &out, 0) == -EBADF);
	cr_expect(fiber_reader_until(NULL, 0, &out, 0) == -EINVAL);
	cr_expect(fiber_reader_until(&r, 0, NULL, 0) == -EINVAL);
	cr_expect(fiber_reader_until(&r, -1, &out, 0) == -EINVAL);
	cr_expect(fiber_reader_until(&r, 256, &out, 0) == -EINVAL);
	cr_expect(fiber_reader_until(&r, 0, &out, SIZE_MAX) == -EBADF);
	cr_expect(fiber_reader_read(NULL, memory, 1) == -EINVAL);
	cr_expect(fiber_reader_read(&r, NULL, 1) == -EFAULT);
	cr_expect(fiber_reader_read(&r, NULL, 0) == 0);
	cr_expect(fiber_reader_read(&r, &done, SIZE_MAX) == -EINVAL);
	cr_expect(fiber_reader_read_full(NULL, memory, 1, &done) == -EINVAL && done == 0);
	done = 7;
	cr_expect(fiber_reader_read_full(&r, NULL, 1, &done) == -EFAULT && done == 0);
	cr_expect(fiber_reader_read_full(&r, NULL, 0, NULL) == 0);
	cr_expect(fiber_reader_peek(NULL, &out, 1) == -EINVAL);
	cr_expect(fiber_reader_peek(&r, NULL, 1) == -EINVAL);
	cr_expect(fiber_reader_peek(&r, &out, 9) == -EMSGSIZE);
	cr_expect(fiber_reader_peek(&r, &out, SIZE_MAX) == -EMSGSIZE);
	cr_expect(fiber_reader_peek(&r, &out, 8) == -EBADF);
	cr_expect(fiber_reader_skip(NULL, 1) == 0);
	cr_expect(fiber_reader_skip(&r, SIZE_MAX) == 0);
	cr_expect(fiber_reader_buffered(NULL) == 0);
	cr_expect(fiber_reader_buffered(&r) == 0);
	return 0;
}

Test(reader, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
	misuse(NULL);
}
