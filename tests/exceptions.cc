// C++ exceptions on fibers: thrown, kept while the fiber is parked in a handler or in a destructor,
// thrown again. What C++ keeps of them is the thread's (two words behind __cxa_get_globals), and
// goes with the fiber.
#include <criterion/criterion.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include <fiber/io.h>

#include "law.h"

namespace {

constexpr int FIBERS = 8;

// Too long to be stored inside the string object: one that is freed too early shows.
std::string message_of(int id, int round)
{
	return "the error of fiber " + std::to_string(id) + " in round " + std::to_string(round) +
	       ", and some words more";
}

//	fiber 0			fiber 1			...
//	throw, catch, park
//				throw, catch, park
//	throw;
//				throw;			each catches its own
void throw_park_rethrow(int id, int round)
{
	const std::string expected = message_of(id, round);
	const std::exception_ptr around = std::current_exception();

	try {
		try {
			throw std::runtime_error(expected);
		} catch (const std::exception &e) {
			fiber_yield();
			cr_expect(expected == e.what());
			throw;
		}
	} catch (const std::runtime_error &e) {
		cr_expect(expected == e.what(), "fiber %d caught \"%s\"", id, e.what());
		fiber_yield();
		cr_expect(expected == e.what());
	}
	cr_expect(std::uncaught_exceptions() == 0);
	cr_expect(std::current_exception() == around);
}

int throws(void *arg)
{
	int id = static_cast<int>(reinterpret_cast<intptr_t>(arg));

	// Of different lengths, so that the fibers' parks do not stay in step.
	for (int round = 0; round < static_cast<int>(law_rounds(200)); round++) {
		throw_park_rethrow(id, round);
		for (int i = 0; i < (id + round) % 3; i++)
			fiber_yield();
	}
	return 0;
}

// A handler inside a handler, a park in each, and the outer one is thrown again.
int nests(void *arg)
{
	int id = static_cast<int>(reinterpret_cast<intptr_t>(arg));

	for (int round = 0; round < static_cast<int>(law_rounds(100)); round++) {
		try {
			try {
				throw message_of(id, round);
			} catch (const std::string &) {
				throw_park_rethrow(id + FIBERS, round);
				fiber_yield();
				throw;
			}
		} catch (const std::string &text) {
			cr_expect(text == message_of(id, round), "\"%s\"", text.c_str());
		}
	}
	return 0;
}

// Parks while its exception is under way, as a destructor does that flushes or says good-bye.
struct parks_at_the_end {
	int expected;

	~parks_at_the_end()
	{
		cr_expect(std::uncaught_exceptions() == expected);
		fiber_yield();
		cr_expect(std::uncaught_exceptions() == expected, "%d are under way, not %d",
			  std::uncaught_exceptions(), expected);
	}
};

int unwinds(void *arg)
{
	int id = static_cast<int>(reinterpret_cast<intptr_t>(arg));

	for (int round = 0; round < static_cast<int>(law_rounds(100)); round++) {
		{
			parks_at_the_end calmly{0};
		}
		try {
			parks_at_the_end first{1}, second{1};

			throw message_of(id, round);
		} catch (const std::string &text) {
			cr_expect(text == message_of(id, round));
		}
	}
	return 0;
}

// An exception that another fiber keeps: it outlives the fiber that threw it.
int throws_for(void *arg)
{
	auto *kept = static_cast<std::exception_ptr *>(arg);

	try {
		throw std::runtime_error(message_of(7, 7));
	} catch (...) {
		fiber_yield();
		*kept = std::current_exception();
	}
	return 0;
}

int keeps(void *)
{
	std::exception_ptr kept;
	fiber_t thrower;

	cr_expect(fiber_spawn(&thrower, nullptr, throws_for, &kept) == 0);
	cr_expect(fiber_join(thrower, nullptr) == 0);
	cr_expect(kept != nullptr);
	try {
		std::rethrow_exception(kept);
	} catch (const std::runtime_error &e) {
		fiber_yield();
		cr_expect(message_of(7, 7) == e.what());
	}
	return 0;
}

// Spawned and first run while its parent is inside a handler: it begins with none of its own.
int begins_without(void *)
{
	cr_expect(!std::current_exception());
	cr_expect(std::uncaught_exceptions() == 0);
	throw_park_rethrow(1, 1);
	return 0;
}

void spawn_and_join(fiber_fn *function)
{
	fiber_t f;

	cr_expect(fiber_spawn(&f, nullptr, function, nullptr) == 0);
	cr_expect(fiber_join(f, nullptr) == 0);
}

int joins_in_a_handler(void *)
{
	for (int round = 0; round < static_cast<int>(law_rounds(100)); round++) {
		try {
			try {
				throw message_of(0, round);
			} catch (...) {
				spawn_and_join(begins_without);
				throw;
			}
		} catch (const std::string &text) {
			cr_expect(text == message_of(0, round));
		}
	}
	return 0;
}

fiber_fn *const kinds[] = {throws, nests, unwinds, keeps, joins_in_a_handler};

// One of each kind and more of the first ones, all interleaved.
int all_at_once(void *arg)
{
	fiber_t fibers[FIBERS];

	for (int i = 0; i < FIBERS; i++)
		cr_expect(fiber_spawn(&fibers[i], static_cast<fiber_attr_t *>(arg),
				      kinds[i % (sizeof kinds / sizeof *kinds)],
				      reinterpret_cast<void *>(static_cast<intptr_t>(i))) == 0);
	for (fiber_t f : fibers) {
		int result = -1;

		cr_expect(fiber_join(f, &result) == 0);
		cr_expect(result == 0);
	}
	return 0;
}

int many_of(void *arg)
{
	fiber_t fibers[FIBERS];

	for (int i = 0; i < FIBERS; i++)
		cr_expect(fiber_spawn(&fibers[i], nullptr, *static_cast<fiber_fn **>(arg),
				      reinterpret_cast<void *>(static_cast<intptr_t>(i))) == 0);
	for (fiber_t f : fibers)
		cr_expect(fiber_join(f, nullptr) == 0);
	return 0;
}

void holds_for_many(fiber_fn *kind)
{
	law_holds(many_of, &kind);
}

} // namespace

Test(exceptions, a_rethrow_after_a_park_throws_the_fibers_own, .timeout = 30)
{
	holds_for_many(throws);
}

Test(exceptions, a_handler_inside_a_handler_may_park_too, .timeout = 30)
{
	holds_for_many(nests);
}

Test(exceptions, a_destructor_may_park_while_its_exception_is_under_way, .timeout = 30)
{
	holds_for_many(unwinds);
}

Test(exceptions, an_exception_outlives_the_fiber_that_threw_it, .timeout = 30)
{
	holds_for_many(keeps);
}

Test(exceptions, a_new_fiber_begins_with_none, .timeout = 30)
{
	holds_for_many(joins_in_a_handler);
}

Test(exceptions, they_go_with_a_fiber_to_another_thread, .timeout = 30)
{
	fiber_attr_t attr = {};

	setenv("FIBER_TEST_MOVE", "1", 1);
	attr.flags = FIBER_ROAM;
	law_holds(all_at_once, &attr);
}

Test(exceptions, fibers_that_leave_the_control_words_alone_keep_theirs, .timeout = 30)
{
	fiber_attr_t attr = {};

	attr.flags = FIBER_NO_FPU;
	law_holds(all_at_once, &attr);
}

namespace {

int goes_to_a_helper(void *arg)
{
	int id = static_cast<int>(reinterpret_cast<intptr_t>(arg));
	const std::string expected = message_of(id, 0);

	try {
		try {
			throw std::runtime_error(expected);
		} catch (const std::exception &) {
			cr_expect(fiber_blocking_begin() == 0);
			nests(arg);
			throw;
		}
	} catch (const std::runtime_error &e) {
		cr_expect(expected == e.what(), "fiber %d caught \"%s\"", id, e.what());
		cr_expect(fiber_blocking_end() == 0);
		cr_expect(expected == e.what());
	}
	cr_expect(std::uncaught_exceptions() == 0 && !std::current_exception());
	return 0;
}

int all_go_to_helpers(void *)
{
	fiber_group_t group = FIBER_GROUP_INIT;

	for (intptr_t id = 0; id < FIBERS; id++)
		fiber_group_spawn(&group, nullptr, goes_to_a_helper, reinterpret_cast<void *>(id));
	return fiber_group_wait(&group);
}

} // namespace

Test(exceptions, they_go_with_a_fiber_to_a_helper_and_back, .timeout = 30)
{
	law_holds(all_go_to_helpers, nullptr);
}

namespace {

int throws_out(void *)
{
	throw std::runtime_error("nobody catches this");
}

int spawns_one_that_throws_out(void *)
{
	fiber_t f;

	return fiber_spawn(&f, nullptr, throws_out, nullptr) == 0 ? fiber_join(f, nullptr) : -1;
}

} // namespace

// Nothing could catch it: below the fiber's function there is no C++.
Test(exceptions, one_that_leaves_its_fiber_ends_the_process, .timeout = 30, .signal = SIGABRT)
{
	fclose(stderr); // what std::terminate says
	law_run(1, spawns_one_that_throws_out, nullptr);
}
