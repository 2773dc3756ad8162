/* steps.c - by breakpoints, because a program can't single-step itself here: armed, the function
 * consists of nothing else, and each instruction comes back when its breakpoint was hit. */
#include "steps.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include "base/must.h"
#include "os/fault.h"

enum { INSTRUCTIONS_MOST = 256 };
static const uint32_t BRK = 0xd4200000;

static steps_fn *each;
static uint32_t *code; /* what is armed, or was */
static size_t n;
static uint32_t original[INSTRUCTIONS_MOST];

static void put(size_t i, uint32_t instruction)
{
	code[i] = instruction;
	__builtin___clear_cache((char *)&code[i], (char *)&code[i + 1]);
}

static void trap(int signal, siginfo_t *info, void *context)
{
	uintptr_t pc = os_fault_pc(context);
	size_t i = (pc - (uintptr_t)code) / sizeof *code;

	(void)signal, (void)info;
	must(i < n);
	put(i, original[i]);
	each(pc, os_fault_sp(context));
}

void steps_begin(steps_fn *given)
{
	static char alternate[256 * 1024];
	struct sigaction action = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	each = given;
	sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = sizeof alternate }, NULL);
	sigaction(SIGTRAP, &action, NULL);
}

/* The unwind tables know where it ends; they are looked up with "return address - 1". */
static void choose(const void *function)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first, last;

	code = (uint32_t *)(uintptr_t)function;
	for (n = 0; _Unwind_FindEnclosingFunction((char *)&code[n] + 1) == function; n++)
		must(n < INSTRUCTIONS_MOST);
	memcpy(original, code, n * sizeof *code);
	first = (uintptr_t)code & ~(page - 1);
	last = ((uintptr_t)&code[n] + page - 1) & ~(page - 1);
	must(mprotect((void *)first, last - first, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
}

void steps_arm(const void *function)
{
	if (code != function) {
		if (code)
			steps_end();
		choose(function);
	}
	for (size_t i = 0; i < n; i++)
		put(i, BRK);
}

void steps_end(void)
{
	for (size_t i = 0; i < n; i++)
		put(i, original[i]);
}
