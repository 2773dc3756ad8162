// C++ in generators: exceptions thrown, caught and kept across a yield, on whichever side; and
// bodies that end by an exception of their own when they are destroyed early.
#include <criterion/criterion.h>
#include <cerrno>
#include <exception>
#include <fiber/gen.h>
#include <memory>
#include <stdexcept>
#include <string>

#include "law.h"

namespace {

// Too long to be stored inside the string object: one that is freed too early shows.
std::string message_of(int id)
{
	return "the error of number " + std::to_string(id) + ", and some words more";
}

fiber_gen_t *created(fiber_gen_fn *fn, void *arg)
{
	fiber_gen_t *gen = nullptr;

	cr_expect(fiber_gen_create(&gen, nullptr, fn, arg) == 0);
	return gen;
}

//	resumer				body
//					throw, catch, yield
//	throw, catch
//					throw;
//	throw;				each catches its own
void *rethrows_after_a_yield(fiber_gen_t *self, void *arg)
{
	int id = *static_cast<int *>(arg);

	for (int i = 0; i < 10; i++) {
		cr_expect(std::current_exception() == nullptr);
		try {
			try {
				throw std::runtime_error(message_of(id + i));
			} catch (const std::exception &) {
				fiber_gen_yield(self, nullptr, nullptr);
				throw;
			}
		} catch (const std::runtime_error &e) {
			cr_expect(message_of(id + i) == e.what());
			fiber_gen_yield(self, nullptr, nullptr);
			cr_expect(message_of(id + i) == e.what());
		}
	}
	return nullptr;
}

void resume_in_a_handler(fiber_gen_t *gen, int id)
{
	try {
		try {
			throw std::runtime_error(message_of(id));
		} catch (const std::exception &) {
			cr_expect(fiber_gen_resume(gen, nullptr, nullptr) == 1);
			fiber_yield();
			throw;
		}
	} catch (const std::runtime_error &e) {
		cr_expect(message_of(id) == e.what());
	}
	cr_expect(std::current_exception() == nullptr);
}

int keeps_both_apart(void *arg)
{
	int id = static_cast<int>(reinterpret_cast<intptr_t>(arg));
	fiber_gen_t *gen = created(rethrows_after_a_yield, &id);

	for (int i = 0; i < 10; i++) {
		resume_in_a_handler(gen, -id - i);
		cr_expect(fiber_gen_resume(gen, nullptr, nullptr) == 1);
		cr_expect(std::uncaught_exceptions() == 0);
	}
	cr_expect(fiber_gen_resume(gen, nullptr, nullptr) == 0);
	return fiber_gen_destroy(gen);
}

int many_keep_them_apart(void *)
{
	fiber_t fibers[16];

	for (intptr_t i = 0; i < 16; i++)
		cr_expect(fiber_spawn(&fibers[i], nullptr, keeps_both_apart,
				      reinterpret_cast<void *>(1000 * i)) == 0);
	for (fiber_t f : fibers) {
		int result = -1;

		cr_expect(fiber_join(f, &result) == 0 && result == 0);
	}
	return 0;
}

// Begun inside a handler of one fiber, ended inside one of another.
int resumes_in_its_own_handler(void *arg)
{
	resume_in_a_handler(static_cast<fiber_gen_t *>(arg), 5);
	return 0;
}

int passes_it_on(void *)
{
	int id = 100;
	fiber_gen_t *gen = created(rethrows_after_a_yield, &id);

	for (int i = 0; i < 20; i++) {
		fiber_attr_t attr = {};
		fiber_t f;

		attr.worker = i % fiber_workers() + 1;
		cr_expect(fiber_spawn(&f, &attr, resumes_in_its_own_handler, gen) == 0);
		cr_expect(fiber_join(f, nullptr) == 0);
	}
	return fiber_gen_destroy(gen);
}

// Yields while its exception is under way.
struct yields_at_the_end {
	fiber_gen_t *self;

	~yields_at_the_end()
	{
		cr_expect(std::uncaught_exceptions() == 1);
		fiber_gen_yield(self, this, nullptr);
		cr_expect(std::uncaught_exceptions() == 1);
	}
};

void *yields_while_unwinding(fiber_gen_t *self, void *)
{
	try {
		yields_at_the_end first{self}, second{self};

		throw std::string("unwinds");
	} catch (const std::string &text) {
		cr_expect(text == "unwinds");
	}
	return nullptr;
}

// The body's own way out: destructors run.
struct ended_early {};

void *unwinds_when_destroyed(fiber_gen_t *self, void *arg)
{
	auto held = std::make_unique<std::string>(message_of(1));

	try {
		for (;;) {
			auto more = std::make_unique<std::string>(message_of(2));

			if (fiber_gen_yield(self, held.get(), nullptr) == -ECANCELED)
				throw ended_early();
		}
	} catch (const ended_early &) {
		++*static_cast<int *>(arg);
	}
	return nullptr;
}

} // namespace

Test(gen_exceptions, both_sides_keep_their_own, .timeout = 20)
{
	cr_expect(keeps_both_apart(nullptr) == 0, "on a plain thread");
	law_holds(many_keep_them_apart, nullptr);
}

Test(gen_exceptions, they_go_with_the_generator_from_fiber_to_fiber, .timeout = 20)
{
	law_holds(passes_it_on, nullptr);
}

Test(gen_exceptions, a_destructor_may_yield_while_its_exception_is_under_way, .timeout = 20)
{
	fiber_gen_t *gen = created(yields_while_unwinding, nullptr);

	for (int i = 0; i < 2; i++) {
		cr_expect(fiber_gen_resume(gen, nullptr, nullptr) == 1);
		cr_expect(std::uncaught_exceptions() == 0);
	}
	cr_expect(fiber_gen_resume(gen, nullptr, nullptr) == 0);
	cr_expect(fiber_gen_destroy(gen) == 0);
}

Test(gen_exceptions, destroyed_early_a_body_may_unwind_by_one_of_its_own, .timeout = 20)
{
	int ended = 0;

	for (int i = 0; i < 10; i++) {
		fiber_gen_t *gen = created(unwinds_when_destroyed, &ended);

		cr_expect(fiber_gen_resume(gen, nullptr, nullptr) == 1);
		cr_expect(fiber_gen_destroy(gen) == 0);
		cr_expect(std::current_exception() == nullptr);
	}
	cr_expect(ended == 10);
	law_no_leaks();
}
