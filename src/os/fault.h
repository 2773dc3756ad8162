/* fault.h - where a signal interrupted its thread: program counter and stack pointer. `context`
 * is the third argument of a signal handler. */
#ifndef FB_OS_FAULT_H
#define FB_OS_FAULT_H

#include <stdint.h>
#include <ucontext.h>

static inline uintptr_t os_fault_pc(const void *context)
{
	const mcontext_t *m = &((const ucontext_t *)context)->uc_mcontext;

#if defined(__x86_64__)
	return (uintptr_t)m->gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)m->pc;
#else
#error "which register is the program counter?"
#endif
}

static inline uintptr_t os_fault_sp(const void *context)
{
	const mcontext_t *m = &((const ucontext_t *)context)->uc_mcontext;

#if defined(__x86_64__)
	return (uintptr_t)m->gregs[REG_RSP];
#elif defined(__aarch64__)
	return (uintptr_t)m->sp;
#endif
}

#endif
