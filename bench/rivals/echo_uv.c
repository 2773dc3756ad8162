/* echo_uv.c - callbacks on libuv. uv_try_write first, which needs no request; what it leaves over
 * (never seen with 64 bytes) would be queued. */
#include <string.h>
#include <uv.h>

#include "../echo/listen.h"

static char shared[1024]; /* read and written before the next callback runs */

static void closed(uv_handle_t *handle)
{
	free(handle);
}

static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
	(void)handle;
	(void)wanted;
	*out = uv_buf_init(shared, sizeof shared);
}

static void written(uv_write_t *request, int status)
{
	(void)status;
	free(request);
}

static void write_later(uv_stream_t *stream, const char *bytes, size_t n)
{
	uv_write_t *request = malloc(sizeof *request + n);
	uv_buf_t buffer = uv_buf_init((char *)(request + 1), (unsigned)n);

	memcpy(request + 1, bytes, n);
	uv_write(request, stream, &buffer, 1, written);
}

static void echo(uv_stream_t *stream, ssize_t n, const uv_buf_t *in)
{
	uv_buf_t out;
	int done;

	if (n < 0) {
		uv_close((uv_handle_t *)stream, closed);
		return;
	}
	if (n == 0)
		return;
	out = uv_buf_init(in->base, (unsigned)n);
	done = uv_try_write(stream, &out, 1);
	if (done < n)
		write_later(stream, in->base + (done > 0 ? done : 0),
			    (size_t)n - (size_t)(done > 0 ? done : 0));
}

static void admit(uv_stream_t *listener, int status)
{
	uv_tcp_t *client = malloc(sizeof *client);

	if (status < 0 || !client)
		exit(1);
	uv_tcp_init(listener->loop, client);
	if (uv_accept(listener, (uv_stream_t *)client)) {
		uv_close((uv_handle_t *)client, closed);
		return;
	}
	uv_tcp_nodelay(client, 1);
	uv_read_start((uv_stream_t *)client, give_buffer, echo);
}

int main(void)
{
	uv_loop_t *loop = uv_default_loop();
	struct sockaddr_in address;
	uv_tcp_t listener;
	uv_os_fd_t fd;

	raise_descriptors();
	uv_tcp_init(loop, &listener);
	uv_ip4_addr("127.0.0.1", 0, &address);
	if (uv_tcp_bind(&listener, (struct sockaddr *)&address, 0) ||
	    uv_listen((uv_stream_t *)&listener, 4096, admit) ||
	    uv_fileno((uv_handle_t *)&listener, &fd))
		return 1;
	announce(fd);
	return uv_run(loop, UV_RUN_DEFAULT);
}
