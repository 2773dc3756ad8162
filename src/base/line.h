/* line.h - a line of text put together without the C library, and written in one call: for
 * signal handlers and for places where a stack or a lock may be in no state to run printf. What
 * does not fit is cut off. */
#ifndef FB_LINE_H
#define FB_LINE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

struct line {
	size_t length;
	char text[504];
};

static inline void line_bytes(struct line *l, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n && l->length < sizeof l->text; i++)
		l->text[l->length++] = bytes[i];
}

static inline void line_text(struct line *l, const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	line_bytes(l, text, n);
}

/* `base` is 10 or 16. */
static inline void line_number(struct line *l, uint64_t number, unsigned base)
{
	char digits[20];
	size_t first = sizeof digits;

	do
		digits[--first] = "0123456789abcdef"[number % base];
	while (number /= base);
	line_bytes(l, digits + first, sizeof digits - first);
}

static inline void line_address(struct line *l, const void *address)
{
	line_text(l, "0x");
	line_number(l, (uintptr_t)address, 16);
}

/* Writes it out and begins anew. Nobody can be told of an error, so there is none. errno is left as
 * it was. */
static inline void line_flush(struct line *l, int fd)
{
	size_t written = 0;
	int was = errno;

	while (written < l->length) {
		ssize_t n = write(fd, l->text + written, l->length - written);

		if (n > 0)
			written += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	l->length = 0;
	errno = was;
}

#endif
