// The five delayed requests with the coroutines of C++20, over an epoll loop written by hand.
#include <coroutine>
#include <sys/epoll.h>

#include "delay.h"

enum { QUESTIONS = 5 };

static int epoll_fd, left = QUESTIONS;

struct client {
	struct promise_type {
		client get_return_object() { return {}; }
		std::suspend_never initial_suspend() { return {}; }
		std::suspend_never final_suspend() noexcept { return {}; }
		void return_void() { left--; }
		void unhandled_exception() { abort(); }
	};
};

// Once the loop has resumed it, there is something to read, now and every time after.
struct readable {
	int fd;
	bool &registered;

	bool await_ready() { return false; }
	void await_suspend(std::coroutine_handle<> h)
	{
		struct epoll_event event = {};

		event.events = EPOLLIN;
		event.data.ptr = h.address();
		if (!registered && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
			exit(1);
		registered = true;
	}
	void await_resume() {}
};

static client question(const char *address, int ms)
{
	long asked = milliseconds();
	bool registered = false;
	char answer[512];
	size_t bytes = 0;
	ssize_t n;
	int fd = dial(address);

	ask(fd, ms);
	do {
		co_await readable{fd, registered};
		n = recv(fd, answer + bytes, sizeof answer - 1 - bytes, 0);
		if (n < 0)
			exit(1);
		bytes += size_t(n);
	} while (n > 0);
	answer[bytes] = '\0';
	print(answer, asked);
	close(fd);
}

int main(int argc, char **argv)
{
	struct epoll_event events[QUESTIONS];

	if (argc != 3)
		return 2;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (int i = QUESTIONS; i > 0; i--)
		question(argv[1], i * atoi(argv[2]));
	while (left > 0) {
		int n = epoll_wait(epoll_fd, events, QUESTIONS, -1);

		for (int i = 0; i < n; i++)
			std::coroutine_handle<>::from_address(events[i].data.ptr).resume();
	}
	return 0;
}
