/* http.c - a small HTTP/1.1 server: a fiber per connection, and each reads as if it had a thread.
 *
 *	http [ADDRESS]		default tcp:127.0.0.1:8080 */
#include <string.h>

#include "serve.h"

static int answer(fiber_fd fd, const char *status, const char *said, const char *path)
{
	char text[2304];
	int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
			 "Content-Length: %zu\r\n\r\n%s%s\n",
			 status, strlen(said) + strlen(path) + 1, said, path);
	ssize_t sent = 0;

	FIBER_SHIELD(5 * FIBER_SECOND) /* whoever was heard is answered, even after Ctrl-C */
		sent = fiber_write_all(fd, text, (size_t)n, NULL);
	return sent < 0 ? (int)sent : 0;
}

/* Answers one request, which ends in a zero. 1: the connection is kept for the next. */
static int handle(fiber_fd fd, char *request)
{
	char *headers = request + strcspn(request, "\r\n"), *rest;
	bool keep = !strcasestr(headers, "\nConnection: close");

	*headers = '\0';
	const char *method = strtok_r(request, " ", &rest), *path = strtok_r(NULL, " ", &rest);

	if (!path || strncmp(rest, "HTTP/1.", 7) != 0)
		return answer(fd, "400 Bad Request", "What?", "");
	if (strcmp(method, "GET") != 0)
		return answer(fd, "405 Method Not Allowed", "Only GET", "");
	int r = answer(fd, "200 OK", "You asked for ", path);

	return r < 0 ? r : keep && strcmp(rest, "HTTP/1.1") == 0;
}

static int client(fiber_fd fd, void *unused)
{
	char request[2048], *end;
	size_t have = 0;
	int r;

	(void)unused;
	do {
		while (!(end = memmem(request, have, "\r\n\r\n", 4))) {
			ssize_t n = fiber_read(fd, request + have, sizeof request - have);

			if (n <= 0)
				return (int)n;
			if ((have += (size_t)n) == sizeof request)
				return answer(fd, "431 Request Header Fields Too Large", "", "");
		}
		*end = '\0';
		r = handle(fd, request);
		have -= (size_t)(end + 4 - request);
		memmove(request, end + 4, have); /* the beginning of the next request */
	} while (r == 1);
	return r;
}

int main(int argc, char **argv)
{
	return serve_main(NULL, argc > 1 ? argv[1] : "tcp:127.0.0.1:8080", client, NULL);
}
