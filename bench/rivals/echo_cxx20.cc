// TCP echo with the coroutines of C++20 over level-triggered epoll, written by hand: a coroutine
// for each connection, resumed by the loop when its descriptor is readable.
#include <cerrno>
#include <coroutine>
#include <sys/epoll.h>
#include <unistd.h>

#include "../echo/listen.h"

static const int EVENTS = 512;
static int epoll_fd;

// Starts at once, and takes itself apart at its end.
struct connection {
	struct promise_type {
		connection get_return_object() { return {}; }
		std::suspend_never initial_suspend() { return {}; }
		std::suspend_never final_suspend() noexcept { return {}; }
		void return_void() {}
		void unhandled_exception() { abort(); }
	};
};

// The descriptor stays registered from the first wait on; the coroutine is the same every time.
struct readable {
	int fd;
	bool &registered;

	bool await_ready() { return false; }
	void await_suspend(std::coroutine_handle<> h)
	{
		struct epoll_event event = {};

		if (registered)
			return;
		registered = true;
		event.events = EPOLLIN;
		event.data.ptr = h.address();
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
			exit(1);
	}
	void await_resume() {}
};

static connection serve(int fd)
{
	bool registered = false;
	char buffer[1024];

	no_delay(fd);
	for (;;) {
		co_await readable{fd, registered};
		ssize_t n = recv(fd, buffer, sizeof buffer, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		// 64 bytes always fit into the buffer of a socket whose peer waits for them.
		if (n <= 0 || send(fd, buffer, size_t(n), MSG_NOSIGNAL) != n)
			break;
	}
	close(fd);
}

static connection take_all(int listener)
{
	bool registered = false;

	for (;;) {
		co_await readable{listener, registered};
		int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			serve(fd);
	}
}

int main()
{
	struct epoll_event events[EVENTS];

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	take_all(listen_loopback(SOCK_NONBLOCK));
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			std::coroutine_handle<>::from_address(events[i].data.ptr).resume();
	}
}
