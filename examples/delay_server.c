/* delay_server.c - answers `GET /<ms>/<text>` with the text, after so many milliseconds. It numbers
 * the requests as they come in, so that one can see who overtook whom.
 *
 *	delay_server [ADDRESS]		default tcp:127.0.0.1:8080 */
#include <stdatomic.h>
#include <string.h>

#include "serve.h"

static atomic_uint requests; /* the clients run on all workers */

static int client(fiber_fd fd, void *unused)
{
	char request[1024], text[128] = "", answer[512];
	size_t have = 0;
	unsigned ms = 0;
	ssize_t n;

	(void)unused;
	do {
		n = fiber_read(fd, request + have, sizeof request - 1 - have);
		if (n <= 0)
			return (int)n;
		request[have += (size_t)n] = '\0';
	} while (!strstr(request, "\r\n\r\n") && have < sizeof request - 1);

	unsigned number = atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed) + 1;
	bool good = sscanf(request, "GET /%u/%127[^ /\r\n] HTTP/1.", &ms, text) == 2;

	if (good && (n = fiber_sleep(ms * FIBER_MILLISECOND)) < 0)
		return (int)n;
	n = snprintf(answer, sizeof answer,
		     "HTTP/1.0 %s\r\nContent-Type: text/plain\r\n\r\n%u %s\n",
		     good ? "200 OK" : "400 Bad Request", number,
		     good ? text : "GET /<ms>/<text>, please");
	n = fiber_write_all(fd, answer, (size_t)n, NULL);
	return n < 0 ? (int)n : 0;
}

int main(int argc, char **argv)
{
	return serve_main(NULL, argc > 1 ? argv[1] : "tcp:127.0.0.1:8080", client, NULL);
}
