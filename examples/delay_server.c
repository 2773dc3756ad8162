/* delay_server.c - answers `GET /<ms>/<text>` with the text, after so many milliseconds. It numbers
 * the requests as they come in, so that one can see who overtook whom.
 *
 *	delay_server [ADDRESS]		default tcp:127.0.0.1:8080 */
#include <fiber/reader.h>
#include <stdatomic.h>
#include <string.h>

#include "serve.h"

static atomic_uint requests; /* the clients run on all workers */

/* The first line says what is wanted, an empty one ends the request. */
static ssize_t read_request(fiber_fd fd, unsigned *ms, char text[128])
{
	char memory[1024], *line;
	fiber_reader_t in;
	ssize_t n = fiber_reader_init(&in, fd, memory, sizeof memory);

	if (n == 0 && (n = fiber_reader_line(&in, &line, 0)) >= 0 &&
	    sscanf(line, "GET /%u/%127[^ /] HTTP/1.", ms, text) != 2)
		*text = '\0';
	while (n > 0)
		n = fiber_reader_line(&in, &line, 0);
	return n;
}

static int client(fiber_fd fd, void *unused)
{
	char text[128] = "", answer[512];
	unsigned ms = 0;
	ssize_t n = read_request(fd, &ms, text);
	unsigned number = atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed) + 1;

	(void)unused;
	if (n == 0 && *text)
		n = fiber_sleep(ms * FIBER_MILLISECOND);
	if (n < 0)
		return (int)n;
	n = snprintf(answer, sizeof answer,
		     "HTTP/1.0 %s\r\nContent-Type: text/plain\r\n\r\n%u %s\n",
		     *text ? "200 OK" : "400 Bad Request", number,
		     *text ? text : "GET /<ms>/<text>, please");
	n = fiber_write_all(fd, answer, (size_t)n, NULL);
	return n < 0 ? (int)n : 0;
}

int main(int argc, char **argv)
{
	return serve_main(NULL, argc > 1 ? argv[1] : "tcp:127.0.0.1:8080", client, NULL);
}
