/* print.c - lines of text to a descriptor, put together first, and then written in one call, as one
 * piece where the kernel allows it; fiber_write knows how to wait for a slow pipe or terminal. */
#include <fiber/file.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"

enum { SHORT = 512 };

static int write_text(fiber_fd fd, const char *text, size_t bytes)
{
	size_t done;
	ssize_t r = fiber_write_all(fd, text, bytes, &done);

	return done > 0 ? (int)done : (int)r;
}

/* A text that does not fit the stack's. */
static int print_long(fiber_fd fd, int bytes, const char *format, va_list arguments)
{
	char *text = malloc((size_t)bytes + 1);
	int r;

	if (!text)
		return -ENOMEM;
	vsnprintf(text, (size_t)bytes + 1, format, arguments);
	r = write_text(fd, text, (size_t)bytes);
	free(text);
	return r;
}

static int print(fiber_fd fd, const char *format, va_list arguments)
{
	char text[SHORT];
	va_list again;
	int n, r;

	if (!format)
		return -EFAULT;
	va_copy(again, arguments);
	n = vsnprintf(text, sizeof text, format, arguments);
	if (n < 0)
		r = -EINVAL;
	else if (n < SHORT)
		r = write_text(fd, text, (size_t)n);
	else
		r = print_long(fd, n, format, again);
	va_end(again);
	return r;
}

PUBLIC int fiber_print(const char *text)
{
	size_t bytes = text ? strlen(text) : 0;

	if (!text)
		return -EFAULT;
	return bytes > INT_MAX ? -EINVAL : write_text(STDOUT_FILENO, text, bytes);
}

PUBLIC int fiber_printf(const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = print(STDOUT_FILENO, format, arguments);
	va_end(arguments);
	return r;
}

PUBLIC int fiber_dprintf(fiber_fd fd, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = print(fd, format, arguments);
	va_end(arguments);
	return r;
}
