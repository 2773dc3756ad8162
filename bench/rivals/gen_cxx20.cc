// The workload of bench/gen.c with the coroutines of C++20, which have no stack: only the body
// itself can yield, so the walk of a tree is one coroutine for each node on the way, resumed
// directly at the innermost one (as std::generator of C++23 does it).
#include "bench.h"

#include <coroutine>
#include <cstdlib>
#include <utility>

static const int LEVELS = 20;

struct generator {
	struct promise_type {
		promise_type *root = this, *parent = nullptr;
		std::coroutine_handle<promise_type> innermost; // of a root
		long value = 0;

		std::coroutine_handle<promise_type> handle()
		{
			return std::coroutine_handle<promise_type>::from_promise(*this);
		}
		promise_type() { innermost = handle(); }
		generator get_return_object() { return generator{handle()}; }
		std::suspend_always initial_suspend() noexcept { return {}; }
		void return_void() {}
		void unhandled_exception() { std::abort(); }
		std::suspend_always yield_value(long v)
		{
			root->value = v;
			return {};
		}

		// co_yield of a generator: goes on in it, and comes back when it has ended.
		struct nested {
			std::coroutine_handle<promise_type> inner;

			~nested() { inner.destroy(); }
			bool await_ready() { return false; }
			std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h)
			{
				promise_type &mine = h.promise(), &its = inner.promise();

				its.root = mine.root;
				its.parent = &mine;
				mine.root->innermost = inner;
				return inner;
			}
			void await_resume() {}
		};
		nested yield_value(generator &&g) { return nested{std::exchange(g.h, nullptr)}; }

		struct ended {
			bool await_ready() noexcept { return false; }
			std::coroutine_handle<> await_suspend(
				std::coroutine_handle<promise_type> h) noexcept
			{
				promise_type &mine = h.promise();

				if (!mine.parent)
					return std::noop_coroutine();
				mine.root->innermost = mine.parent->handle();
				return mine.root->innermost;
			}
			void await_resume() noexcept {}
		};
		ended final_suspend() noexcept { return {}; }
	};

	std::coroutine_handle<promise_type> h;

	explicit generator(std::coroutine_handle<promise_type> handle) : h(handle) {}
	generator(generator &&other) noexcept : h(std::exchange(other.h, nullptr)) {}
	~generator()
	{
		if (h)
			h.destroy();
	}
	bool next()
	{
		h.promise().innermost.resume();
		return !h.done();
	}
	long value() { return h.promise().value; }
};

static __attribute__((__noinline__)) generator count(long n)
{
	for (long i = 0; i < n; i++)
		co_yield i;
}

static __attribute__((__noinline__)) generator walk(long node, int level)
{
	if (level == 0) {
		co_yield node;
		co_return;
	}
	co_yield walk(2 * node, level - 1);
	co_yield walk(2 * node + 1, level - 1);
}

static double sum_up(const bench_row *row, generator g)
{
	int64_t begin = bench_now(), end;
	long sum = 0;

	while (g.next())
		sum += g.value();
	end = bench_now();
	BENCH_CHECK(sum == row->n * (row->n - 1) / 2);
	return static_cast<double>(end - begin) / row->n;
}

static double values(const bench_row *row) { return sum_up(row, count(row->n)); }
static double leaves(const bench_row *row) { return sum_up(row, walk(0, LEVELS)); }

static double one_value_each(const bench_row *row)
{
	int64_t begin = bench_now();
	long sum = 0;

	for (long i = 0; i < row->n; i++) {
		generator g = count(i + 1);

		BENCH_CHECK(g.next());
		sum += g.value() + 1;
	}
	BENCH_CHECK(sum == row->n);
	return static_cast<double>(bench_now() - begin) / row->n;
}

static const bench_row rows[] = {
	{"a value", values, 0, 1000000, nullptr, 1000000, 0, false, 0},
	{"a leaf of a tree of 20 levels", leaves, 0, 1 << LEVELS, nullptr, 1 << LEVELS, 0, false,
	 0},
	{"create, one value, destroy", one_value_each, 0, 200000, nullptr, 200000, 0, false, 0},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
