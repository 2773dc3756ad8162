// The coroutines of C++20 in the workload of bench/chan.c, over the channel of cxx20.h. It has one
// thread and locks nothing, so it takes part alone.
#include "cxx20.h"

#include "bench.h"

#include <deque>

using cxx20::channel;
using cxx20::task;

static task answer(channel &there, channel &back, long n)
{
	for (long i = 0; i < n; i++) {
		long message = co_await channel::recv(there);

		co_await channel::send(back, message + 1);
	}
	co_return 0;
}

static task ask(channel &there, channel &back, long n)
{
	for (long i = 0; i < n; i++) {
		co_await channel::send(there, i);
		BENCH_CHECK(co_await channel::recv(back) == i + 1);
	}
	co_return 0;
}

static task produce(channel &there, long n)
{
	for (long i = 0; i < n; i++)
		co_await channel::send(there, i);
	co_return 0;
}

static task consume(channel &there, long n, long more)
{
	for (long i = 0; i < n; i++)
		BENCH_CHECK(co_await channel::recv(there) == i + more);
	co_return 0;
}

static task stage(channel &from, channel &to, long n)
{
	for (long i = 0; i < n; i++) {
		long message = co_await channel::recv(from);

		co_await channel::send(to, message + 1);
	}
	co_return 0;
}

static double run_all(std::vector<task> tasks, long operations)
{
	int64_t begin = bench_now();

	for (task &one : tasks)
		one.spawn();
	cxx20::run();
	for (task &one : tasks)
		BENCH_CHECK(one.done());
	return double(bench_now() - begin) / operations;
}

static double meeting(const bench_row *row)
{
	channel there(0), back(0);
	std::vector<task> tasks;

	tasks.push_back(answer(there, back, row->n));
	tasks.push_back(ask(there, back, row->n));
	return run_all(std::move(tasks), row->operations);
}

static double buffered(const bench_row *row)
{
	channel there(64);
	std::vector<task> tasks;

	tasks.push_back(produce(there, row->n));
	tasks.push_back(consume(there, row->n, 0));
	return run_all(std::move(tasks), row->operations);
}

static double pipeline(const bench_row *row)
{
	std::deque<channel> channels;
	std::vector<task> tasks;
	long messages = row->operations / row->n;

	for (long i = 0; i <= row->n; i++)
		channels.emplace_back(0);
	for (long i = 0; i < row->n; i++)
		tasks.push_back(stage(channels[i], channels[i + 1], messages));
	tasks.push_back(produce(channels[0], messages));
	tasks.push_back(consume(channels[row->n], messages, row->n));
	return run_all(std::move(tasks), row->operations);
}

#define ROW(name, run, operations, n) {name, run, 0, operations, nullptr, n, 0, false, 0}
static const bench_row rows[] = {
	ROW("rendezvous round trip, alone", meeting, 1000000, 1000000),
	ROW("buffered message, alone", buffered, 4000000, 4000000),
	ROW("pipeline of 10 stages, alone", pipeline, 1000000, 10),
	ROW("pipeline of 100 stages, alone", pipeline, 1000000, 100),
	ROW("pipeline of 1,000 stages, alone", pipeline, 1000000, 1000),
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
