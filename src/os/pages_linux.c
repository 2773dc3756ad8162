/* pages_linux.c - memory from the kernel: mapped, guarded, given back.
 *
 * Guards. MADV_GUARD_INSTALL (Linux 6.13) marks page table entries, so any number of guards leave
 * the mapping whole, where mprotect splits it at every guard until vm.max_map_count ends it.
 * Whether the kernel has it is not asked but tried, once: qemu-user says yes to every advice and
 * does nothing, and a guard that is believed in and not there is worse than none.
 *
 * Batches. process_madvise takes many ranges a call; 1.7 us a cold guarded stack against 2.3. It
 * names the process by a pidfd, which is opened for each batch: kept open, it would still name the
 * parent in a forked child. Where it is refused (seccomp, no descriptor left, an older kernel that
 * allows only some advice) the ranges are advised one at a time. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "os/os.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
	BATCH_MOST = 512, /* the kernel takes 1024, and was no faster with them */
	BATCH_LEAST = 8,  /* fewer do not pay for opening and closing the pidfd */
};

/* Ranges go to the kernel as they are. */
_Static_assert(sizeof(struct os_range) == sizeof(struct iovec), "a range is an iovec");
_Static_assert(offsetof(struct os_range, address) == offsetof(struct iovec, iov_base), "its base");
_Static_assert(offsetof(struct os_range, bytes) == offsetof(struct iovec, iov_len), "its length");

size_t os_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void *map(size_t bytes, int flags)
{
	void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

	if (address == MAP_FAILED)
		return NULL;
	/* A huge page would commit two megabytes for the first byte. Refused only where there are
	 * none. */
	madvise(address, bytes, MADV_NOHUGEPAGE);
	return address;
}

void *os_pages_map(size_t bytes)
{
	return map(bytes, 0);
}

void *os_stacks_map(size_t bytes)
{
	return map(bytes, MAP_STACK);
}

void os_pages_unmap(void *address, size_t bytes)
{
	must(munmap(address, bytes) == 0);
}

void os_pages_discard(void *address, size_t bytes)
{
	madvise(address, bytes, MADV_DONTNEED);
}

int os_pages_protect(void *address, size_t bytes)
{
	return mprotect(address, bytes, PROT_NONE) == 0 ? 0 : -errno;
}

static int advise_each(const struct os_range *ranges, size_t n, int advice)
{
	for (size_t i = 0; i < n; i++)
		if (madvise(ranges[i].address, ranges[i].bytes, advice) != 0)
			return -errno;
	return 0;
}

/* How many ranges, counted from the first, were advised as a whole; 0 if the kernel would not. */
static size_t advise_batch(int self, const struct os_range *ranges, size_t n, int advice)
{
	ssize_t advised = syscall(SYS_process_madvise, self, ranges, n, advice, 0);
	size_t whole = 0;

	while (whole < n && advised >= (ssize_t)ranges[whole].bytes)
		advised -= (ssize_t)ranges[whole++].bytes;
	return whole;
}

static int advise(const struct os_range *ranges, size_t n, int advice)
{
	size_t done = 0;
	int self;

	if (n < BATCH_LEAST)
		return advise_each(ranges, n, advice);
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	while (self >= 0 && done < n) {
		size_t some = n - done < BATCH_MOST ? n - done : BATCH_MOST;
		size_t whole = advise_batch(self, ranges + done, some, advice);

		if (!whole)
			break;
		done += whole;
	}
	if (self >= 0)
		close(self);
	/* What is left: all of it, or what begins with a range that can tell what is wrong. */
	return advise_each(ranges + done, n - done, advice);
}

enum guards { GUARDS_UNKNOWN, GUARDS_HOLD, GUARDS_NONE };

/* The kernel is made to write into a guarded page. It answers EFAULT where a store would have
 * killed us, so no signal handler is needed. An emulator does not spoil the answer: it checks
 * against the pages it knows of, and it knows of no guard. */
static enum guards guards_try(void)
{
	size_t bytes = os_page_bytes();
	void *page = map(bytes, 0);
	bool hold;

	if (!page)
		return GUARDS_UNKNOWN;
	hold = madvise(page, bytes, MADV_GUARD_INSTALL) == 0 &&
	       syscall(SYS_clock_gettime, CLOCK_MONOTONIC, page) == -1 && errno == EFAULT;
	os_pages_unmap(page, bytes);
	return hold ? GUARDS_HOLD : GUARDS_NONE;
}

int os_guards_install(const struct os_range *ranges, size_t n)
{
	static _Atomic int known = GUARDS_UNKNOWN; /* two may find out at once: the same */
	int guards = atomic_load_explicit(&known, memory_order_relaxed);
	int result;

	if (guards == GUARDS_UNKNOWN) {
		guards = guards_try();
		atomic_store_explicit(&known, guards, memory_order_relaxed);
	}
	if (guards != GUARDS_HOLD)
		return guards == GUARDS_NONE ? -ENOTSUP : -ENOMEM;
	result = advise(ranges, n, MADV_GUARD_INSTALL);
	/* Memory locked by a mlockall that came after the trial: not this mapping, but others. */
	return result == -EINVAL ? -ENOTSUP : result;
}

int os_pages_discard_batch(const struct os_range *ranges, size_t n)
{
	return advise(ranges, n, MADV_DONTNEED);
}
