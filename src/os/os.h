/* os.h - what the library asks of an operating system, and nothing else asks it.
 *
 * One file a noun and system implements it, and Meson chooses: clock_posix.c and thread_posix.c for
 * what every POSIX system shares, pages_linux.c, processors_linux.c, word_linux.c for the rest.
 * Return values: >= 0 or -errno. What errno holds after a call is nobody's business. */
#ifndef FB_OS_H
#define FB_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- time ------------------------------------------------------------------------------------*/
#define OS_NEVER INT64_MAX
int64_t os_now(void); /* nanoseconds, monotonic */

/* ---- pages -----------------------------------------------------------------------------------*/
size_t os_page_bytes(void);
/* Zeroed memory that is committed when touched, not before (MAP_NORESERVE); never huge pages. NULL:
 * none to be had. */
void *os_pages_map(size_t bytes);
/* The same for stacks (MAP_STACK). */
void *os_stacks_map(size_t bytes);
void os_pages_unmap(void *address, size_t bytes);
/* The memory is given back, the address range stays and reads as zeros; guards in it stay too. Only
 * memory that the program locked (mlockall) keeps its contents: whoever does that wants no page
 * faults later. */
void os_pages_discard(void *address, size_t bytes);

/* -fstack-clash-protection touches frames larger than this on their way down; smaller ones may
 * leave so much untouched below the stack pointer. gcc relies on guards of 64 KiB on AArch64, and
 * of a page elsewhere. */
#if defined(__aarch64__)
enum { OS_UNTOUCHED_BYTES = 64 * 1024 };
#else
enum { OS_UNTOUCHED_BYTES = 4 * 1024 };
#endif

struct os_range {
	void *address;
	size_t bytes;
};
/* Make ranges inaccessible without splitting the mapping (MADV_GUARD_INSTALL; batched where the
 * kernel can). -ENOTSUP: this kernel cannot (probed once by faulting, because an emulator may say
 * yes and do nothing), or not with this memory, because it is locked: use os_pages_protect.
 * After an error some of the ranges may be guarded already; to guard them again does no harm. */
int os_guards_install(const struct os_range *, size_t n);
/* os_pages_discard for many. -errno: some were not given back. */
int os_pages_discard_batch(const struct os_range *, size_t n);
/* -ENOMEM: vm.max_map_count, most likely, because each protected range splits its mapping. */
int os_pages_protect(void *address, size_t bytes);
/* Windows only, where memory for stacks has to be asked for page by page: whole pages, the guard of
 * a stack or the rest of it. -ENOMEM. */
int os_stack_commit(void *address, size_t bytes, bool guard);

/* ---- threads ---------------------------------------------------------------------------------*/
struct os_thread; /* an opaque handle */
/* Runs run(argument) on a thread of its own, which keeps the creator's signal mask (thread_posix.c
 * tells why) and shows the first 15 bytes of `name`. -ENOMEM, -EAGAIN. */
int os_thread_start(struct os_thread **out, void (*run)(void *), void *argument, const char *name);
void os_thread_join(struct os_thread *); /* releases the handle too */
unsigned os_processors(void); /* that the caller may use: affinity and cgroup quota; >= 1 */
/* Of this process, now; one that was joined just before may still be counted. 0: cannot tell. */
unsigned os_threads(void);
void os_yield(void);

static inline void os_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/* ---- sleeping on a word ----------------------------------------------------------------------*/
/* Sleeps while *word == value, until woken or `until` (OS_NEVER: no limit). May return early. */
void os_word_sleep(_Atomic uint32_t *word, uint32_t value, int64_t until);
/* Wakes up to n sleepers. The word's memory may be somebody else's by now: they wake in vain. */
void os_word_wake(_Atomic uint32_t *word, int n);

#endif
