/* http.c - a small HTTP/1.1 server: a fiber per connection, and each reads as if it had a thread.
 *
 *	http [ADDRESS]		default tcp:127.0.0.1:8080 */
#include <errno.h>
#include <fiber/reader.h>
#include <string.h>

#include "serve.h"

static int answer(fiber_fd fd, const char *status, const char *said, const char *path)
{
	char text[1280];
	int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
			 "Content-Length: %zu\r\n\r\n%s%s\n",
			 status, strlen(said) + strlen(path) + 1, said, path);
	ssize_t sent = 0;

	FIBER_SHIELD(5 * FIBER_SECOND) /* whoever was heard is answered, even after Ctrl-C */
		sent = fiber_write_all(fd, text, (size_t)n, NULL);
	return sent < 0 ? (int)sent : 0;
}

/* Reads one request and answers it. 1: the connection is kept for the next. */
static int serve_one(fiber_fd fd, fiber_reader_t *in)
{
	char request[1024], *line, *rest;
	bool keep = true;
	ssize_t n = fiber_reader_line(in, &line, sizeof request);

	if (n < 0)
		return n == -EMSGSIZE ? answer(fd, "414 URI Too Long", "Too long", "") : (int)n;
	memcpy(request, line, (size_t)n + 1);
	while ((n = fiber_reader_line(in, &line, 0)) > 0)
		if (strcasecmp(line, "Connection: close") == 0)
			keep = false;
	if (n < 0)
		return n == -EMSGSIZE ? answer(fd, "431 Header Too Large", "Too long", "") : (int)n;

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
	char memory[2048];
	fiber_reader_t in;
	int r = fiber_reader_init(&in, fd, memory, sizeof memory);

	(void)unused;
	if (r == 0)
		while ((r = serve_one(fd, &in)) == 1)
			;
	return r == -ENODATA ? 0 : r; /* the client has said all it wanted */
}

int main(int argc, char **argv)
{
	return serve_main(NULL, argc > 1 ? argv[1] : "tcp:127.0.0.1:8080", client, NULL);
}
