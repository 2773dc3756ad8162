/* plain.c - accesses that are not atomic. Whatever the model compiles is compiled with
 * -fsanitize=thread, which has each of them call a function of these names; the sanitizer's own
 * library is not linked. Two accesses of different threads, one of them a write, neither known to
 * have happened before the other: a data race, and the run has failed. */
#include <stdio.h>
#include <string.h>

#include "inside.h"

enum { CELLS = 1 << 15, IGNORED = 8 };

/* What happened to one byte in this run: each thread's latest, by its own clock. */
static struct cell {
	uintptr_t address;
	uint32_t run;
	uint8_t writer;
	bool freed;
	uint16_t written;
	uint16_t read[THREADS];
} cell[CELLS];
static uint32_t run;
static unsigned used;
static struct {
	uintptr_t begin, end;
} ignored[IGNORED];
static unsigned n_ignored;

void plain_reset(void)
{
	run++;
	used = n_ignored = 0;
}

void plain_ignore(const void *p, size_t bytes)
{
	if (n_ignored == IGNORED)
		model_fail("more than %d variables of threads", IGNORED);
	ignored[n_ignored].begin = (uintptr_t)p;
	ignored[n_ignored++].end = (uintptr_t)p + bytes;
}

static struct cell *cell_of(uintptr_t address)
{
	for (uintptr_t i = address * 0x9e3779b97f4a7c15u >> 40;; i++) {
		struct cell *c = &cell[i % CELLS];

		if (c->run != run) {
			if (++used > CELLS / 2)
				model_fail("too much memory is touched");
			memset(c, 0, sizeof *c);
			c->address = address;
			c->run = run;
			return c;
		}
		if (c->address == address)
			return c;
	}
}

static bool happened(unsigned who, unsigned when)
{
	return thread[running].now.clock[who] >= when;
}

static const char *whereabouts(uintptr_t address, char *text, size_t bytes)
{
	const struct location *near = NULL;

	for (int i = 0; i < locations; i++)
		if ((uintptr_t)memory[i].address <= address &&
		    (!near || memory[i].address > near->address))
			near = &memory[i];
	if (near && address - (uintptr_t)near->address < 256)
		snprintf(text, bytes, "%zu bytes after %s",
			 (size_t)(address - (uintptr_t)near->address), near->name);
	else
		snprintf(text, bytes, "%p", (void *)address);
	return text;
}

static void race(uintptr_t address, const char *what, unsigned other, const char *did,
		 const void *caller)
{
	char text[100];

	model_fail("data race: thread %d %s at %s what thread %d %s; %s", running - 1, what,
		   whereabouts(address, text, sizeof text), (int)other - 1, did,
		   report_code(caller));
}

static void look(uintptr_t address, bool write, bool atomic, const void *caller)
{
	struct cell *c = cell_of(address);

	if (c->freed)
		race(address, "uses", c->writer, "has freed", caller);
	if (c->written && c->writer != running && !happened(c->writer, c->written))
		race(address, write ? "writes" : "reads", c->writer, "has written", caller);
	for (unsigned i = 1; write && !atomic && i < THREADS; i++)
		if (c->read[i] && i != (unsigned)running && !happened(i, c->read[i]))
			race(address, "writes", i, "has read", caller);
	if (write && !atomic) {
		c->writer = (uint8_t)running;
		c->written = thread[running].now.clock[running];
	} else {
		c->read[running] = thread[running].now.clock[running];
	}
}

static void access_bytes(const volatile void *p, size_t bytes, bool write, const void *caller)
{
	uintptr_t address = (uintptr_t)p;

	if (running <= 0)
		return;
	for (unsigned i = 0; i < n_ignored; i++)
		if (address >= ignored[i].begin && address < ignored[i].end)
			return;
	for (size_t i = 0; i < bytes; i++)
		look(address + i, write, false, caller);
}

/* Its first byte stands for all. An atomic write is noted as if it read: atomics may meet. */
void plain_atomic(const volatile void *p)
{
	if (running > 0)
		look((uintptr_t)p, false, true, __builtin_return_address(0));
}

void plain_initialises(const volatile void *p, size_t bytes)
{
	access_bytes(p, bytes, true, __builtin_return_address(0));
}

void plain_freed(const void *p, size_t bytes)
{
	access_bytes(p, bytes, true, __builtin_return_address(0));
	for (size_t i = 0; running > 0 && i < bytes; i++)
		cell_of((uintptr_t)p + i)->freed = true;
}

/* ---- what the compiler calls ------------------------------------------------------------------*/
#define HOOK(name, bytes, write)                                                                   \
	void __tsan_##name(void *p);                                                               \
	void __tsan_##name(void *p)                                                                \
	{                                                                                          \
		access_bytes(p, bytes, write, __builtin_return_address(0));                        \
	}
HOOK(read1, 1, false)
HOOK(read2, 2, false)
HOOK(read4, 4, false)
HOOK(read8, 8, false)
HOOK(read16, 16, false)
HOOK(write1, 1, true)
HOOK(write2, 2, true)
HOOK(write4, 4, true)
HOOK(write8, 8, true)
HOOK(write16, 16, true)
HOOK(read_write1, 1, true)
HOOK(read_write2, 2, true)
HOOK(read_write4, 4, true)
HOOK(read_write8, 8, true)
HOOK(unaligned_read2, 2, false)
HOOK(unaligned_read4, 4, false)
HOOK(unaligned_read8, 8, false)
HOOK(unaligned_read16, 16, false)
HOOK(unaligned_write2, 2, true)
HOOK(unaligned_write4, 4, true)
HOOK(unaligned_write8, 8, true)
HOOK(unaligned_write16, 16, true)

void __tsan_read_range(void *p, size_t bytes);
void __tsan_read_range(void *p, size_t bytes)
{
	access_bytes(p, bytes, false, __builtin_return_address(0));
}

void __tsan_write_range(void *p, size_t bytes);
void __tsan_write_range(void *p, size_t bytes)
{
	access_bytes(p, bytes, true, __builtin_return_address(0));
}

void *__tsan_memcpy(void *to, const void *from, size_t bytes);
void *__tsan_memcpy(void *to, const void *from, size_t bytes)
{
	access_bytes(from, bytes, false, __builtin_return_address(0));
	access_bytes(to, bytes, true, __builtin_return_address(0));
	return memcpy(to, from, bytes);
}

void *__tsan_memset(void *to, int byte, size_t bytes);
void *__tsan_memset(void *to, int byte, size_t bytes)
{
	access_bytes(to, bytes, true, __builtin_return_address(0));
	return memset(to, byte, bytes);
}

/* Builtins on a variable that is plain otherwise (fiber.flags): no race with each other, and a race
 * with plain accesses that they may meet. They are no operations: what is read is what was stored
 * last. Any others do not link. */
uint32_t __tsan_atomic32_load(const volatile void *p, int order);
uint32_t __tsan_atomic32_load(const volatile void *p, int order)
{
	if (order != __ATOMIC_RELAXED)
		model_fail("a builtin that is not relaxed");
	plain_atomic(p);
	return *(const volatile uint32_t *)p;
}

void __tsan_atomic32_store(volatile void *p, uint32_t value, int order);
void __tsan_atomic32_store(volatile void *p, uint32_t value, int order)
{
	if (order != __ATOMIC_RELAXED)
		model_fail("a builtin that is not relaxed");
	plain_atomic(p);
	*(volatile uint32_t *)p = value;
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}
