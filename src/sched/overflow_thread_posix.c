/* overflow_thread_posix.c - a stack for the handler of overflows: the one that overflowed has no
 * room for it.
 *
 * An alternate stack that the program gave the thread is kept if the report fits on it; a
 * smaller one is exchanged and put back in the end. Sized by what this processor's signal frame
 * takes, which grows with its registers (3.3 KiB here, 11 with AMX tiles), not by the constant
 * SIGSTKSZ. */
#include <errno.h>
#include <signal.h>
#include <sys/auxv.h>

#include "os/os.h"
#include "sched/overflow.h"

#if !defined(AT_MINSIGSTKSZ)
#define AT_MINSIGSTKSZ 51
#endif

enum {
	LEAST_BYTES = 16 * 1024, /* the report, with the dynamic linker binding its calls: 5 KiB */
	OUR_BYTES = 64 * 1024,   /* and what a handler beneath ours may want */
};

static _Thread_local struct {
	char *memory;    /* our stack, the lowest page inaccessible; NULL: none needed */
	size_t bytes;
	stack_t before;
	unsigned entered;
} alternate;

static size_t frame_bytes(void)
{
	unsigned long bytes = getauxval(AT_MINSIGSTKSZ);

	return bytes > 2048 ? bytes : 2048; /* kernels before 5.14 do not say on x86 */
}

static int exchange(void)
{
	size_t page = os_page_bytes();
	size_t bytes = (page + frame_bytes() + OUR_BYTES + page - 1) & ~(page - 1);
	char *memory = os_pages_map(bytes);
	stack_t ours;

	if (!memory)
		return -ENOMEM;
	/* Without the protection, for want of mappings, it is still better than nothing. */
	(void)os_pages_protect(memory, page);
	ours = (stack_t){ .ss_sp = memory + page, .ss_size = bytes - page };
	must(sigaltstack(&ours, NULL) == 0);
	alternate.memory = memory;
	alternate.bytes = bytes;
	return 0;
}

int overflow_thread_enter(void)
{
	if (!OVERFLOW_INSTALLS || alternate.entered++ > 0)
		return 0;
	must(sigaltstack(NULL, &alternate.before) == 0);
	if ((alternate.before.ss_flags & SS_DISABLE) ||
	    alternate.before.ss_size < frame_bytes() + LEAST_BYTES)
		return exchange();
	return 0;
}

void overflow_thread_leave(void)
{
	stack_t now;

	if (!OVERFLOW_INSTALLS)
		return;
	must(alternate.entered > 0);
	if (--alternate.entered > 0 || !alternate.memory)
		return;
	must(sigaltstack(NULL, &now) == 0);
	/* The program may have given the thread another one since. */
	if (now.ss_sp == alternate.memory + os_page_bytes())
		must(sigaltstack(&alternate.before, NULL) == 0);
	os_pages_unmap(alternate.memory, alternate.bytes);
	alternate.memory = NULL;
}
