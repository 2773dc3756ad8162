// cxx20.h - what the coroutines of C++20 need before they do anything: a task, a scheduler, a
// channel. As little as can be, written by hand: one thread, one queue.
//
// Whoever suspends goes on with the next one directly (symmetric transfer), never by way of a loop.
// A task starts when it is awaited or spawned, and resumes whoever awaits it when it ends.
#ifndef BENCH_CXX20_H
#define BENCH_CXX20_H

#include <coroutine>
#include <cstdlib>
#include <utility>
#include <vector>

namespace cxx20 {

using handle = std::coroutine_handle<>;

// A ring that grows; newest_first makes it a stack, which trees want.
template <bool newest_first> class ready_queue {
	std::vector<handle> at = std::vector<handle>(1024);
	size_t head = 0, count = 0;

	void grow()
	{
		std::vector<handle> more(2 * at.size());

		for (size_t i = 0; i < count; i++)
			more[i] = at[(head + i) & (at.size() - 1)];
		at.swap(more);
		head = 0;
	}

public:
	bool empty() const { return count == 0; }
	void push(handle h)
	{
		if (count == at.size())
			grow();
		at[(head + count++) & (at.size() - 1)] = h;
	}
	handle pop()
	{
		if (newest_first)
			return at[(head + --count) & (at.size() - 1)];
		handle h = at[head];
		head = (head + 1) & (at.size() - 1);
		count--;
		return h;
	}
};

#ifdef CXX20_NEWEST_FIRST
inline ready_queue<true> ready;
#else
inline ready_queue<false> ready;
#endif

// Where to go on for somebody who cannot: back to run() when there is nobody.
inline handle next()
{
	return ready.empty() ? std::noop_coroutine() : ready.pop();
}

inline void run()
{
	while (!ready.empty())
		ready.pop().resume();
}

struct yield {
	bool await_ready() { return false; }
	handle await_suspend(handle h)
	{
		ready.push(h);
		return next();
	}
	void await_resume() {}
};

// Parks; whoever finds the handle in `where` makes it ready.
struct park {
	handle &where;

	bool await_ready() { return false; }
	handle await_suspend(handle h)
	{
		where = h;
		return next();
	}
	void await_resume() {}
};

class task {
public:
	struct promise_type {
		long value = 0;
		handle parent;
		bool started = false, done = false;

		task get_return_object()
		{
			return task(std::coroutine_handle<promise_type>::from_promise(*this));
		}
		std::suspend_always initial_suspend() noexcept { return {}; }
		struct ended {
			bool await_ready() noexcept { return false; }
			handle await_suspend(std::coroutine_handle<promise_type> h) noexcept
			{
				h.promise().done = true;
				return h.promise().parent ? h.promise().parent : next();
			}
			void await_resume() noexcept {}
		};
		ended final_suspend() noexcept { return {}; }
		void return_value(long v) { value = v; }
		void unhandled_exception() { std::abort(); }
	};

	task() = default;
	explicit task(std::coroutine_handle<promise_type> handle) : h(handle) {}
	task(task &&other) noexcept : h(std::exchange(other.h, nullptr)) {}
	task &operator=(task &&other) noexcept
	{
		std::swap(h, other.h);
		return *this;
	}
	~task()
	{
		if (h)
			h.destroy();
	}

	void spawn()
	{
		h.promise().started = true;
		ready.push(h);
	}
	bool done() const { return h.promise().done; }
	long value() const { return h.promise().value; }

	bool await_ready() { return done(); }
	handle await_suspend(handle parent)
	{
		h.promise().parent = parent;
		if (std::exchange(h.promise().started, true))
			return next();
		return h;
	}
	long await_resume() { return value(); }

private:
	std::coroutine_handle<promise_type> h;
};

// Many may send and many receive; what is sent first comes first.
class channel {
	struct waiter {
		handle h;
		long value;
		waiter *behind;
	};
	struct line {
		waiter *first = nullptr, **end = &first;

		void push(waiter *w)
		{
			w->behind = nullptr;
			*end = w;
			end = &w->behind;
		}
		waiter *pop()
		{
			waiter *w = first;

			if (!(first = w->behind))
				end = &first;
			return w;
		}
	};
	line senders, receivers;
	std::vector<long> buffer;
	size_t head = 0, count = 0;

	void put(long value)
	{
		size_t at = head + count++;

		buffer[at < buffer.size() ? at : at - buffer.size()] = value;
	}

public:
	explicit channel(size_t capacity) : buffer(capacity) {}
	channel(const channel &) = delete; // its lines end in themselves

	struct send {
		channel &c;
		waiter mine;

		send(channel &to, long value) : c(to), mine{{}, value, nullptr} {}
		bool await_ready()
		{
			if (c.receivers.first) {
				waiter *w = c.receivers.pop();

				w->value = mine.value;
				ready.push(w->h);
				return true;
			}
			if (c.count == c.buffer.size())
				return false;
			c.put(mine.value);
			return true;
		}
		handle await_suspend(handle h)
		{
			mine.h = h;
			c.senders.push(&mine);
			return next();
		}
		void await_resume() {}
	};

	struct recv {
		channel &c;
		waiter mine{};

		explicit recv(channel &from) : c(from) {}
		bool await_ready()
		{
			if (c.count) {
				mine.value = c.buffer[c.head];
				c.head = c.head + 1 == c.buffer.size() ? 0 : c.head + 1;
				c.count--;
				if (c.senders.first) {
					waiter *w = c.senders.pop();

					c.put(w->value);
					ready.push(w->h);
				}
				return true;
			}
			if (!c.senders.first)
				return false;
			waiter *w = c.senders.pop();

			mine.value = w->value;
			ready.push(w->h);
			return true;
		}
		handle await_suspend(handle h)
		{
			mine.h = h;
			c.receivers.push(&mine);
			return next();
		}
		long await_resume() { return mine.value; }
	};
};

} // namespace cxx20

#endif
