/* steps.c - by the trap flag, which stops after every instruction until it is cleared. */
#include "steps.h"

#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>
#include <unwind.h>

#include "os/fault.h"

enum { TRAP_FLAG = 0x100 };

static steps_fn *each;
static const void *armed;
static bool inside;

/* By the unwind tables, which are looked up with "return address - 1". */
static bool in_function(uintptr_t pc)
{
	return _Unwind_FindEnclosingFunction((void *)(pc + 1)) == armed;
}

static void trap(int signal, siginfo_t *info, void *context)
{
	uintptr_t pc = os_fault_pc(context);
	bool was_inside = inside;

	(void)signal, (void)info;
	inside = in_function(pc);
	if (inside)
		each(pc, os_fault_sp(context));
	else if (was_inside) /* and not on the way there */
		((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

void steps_begin(steps_fn *given)
{
	static char alternate[256 * 1024];
	struct sigaction action = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	each = given;
	sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = sizeof alternate }, NULL);
	sigaction(SIGTRAP, &action, NULL);
}

/* The flags are pushed below the red zone. */
__attribute__((__noinline__, __no_sanitize__("address"))) void steps_arm(const void *function)
{
	armed = function;
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\torq %0, (%%rsp)\n\tpopfq\n\t"
			 "leaq 128(%%rsp), %%rsp"
			 :
			 : "i"(TRAP_FLAG)
			 : "memory", "cc");
}

void steps_end(void)
{
	sigaction(SIGTRAP, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}
