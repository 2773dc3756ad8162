/* ring.c - the system calls of io_uring: see ring.h. */
#include "poller/ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	/* R_DISABLED: the thread that opens a poller need not be the one that uses it. */
	SETUP = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
		IORING_SETUP_CLAMP,
	FEATURES = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
		   IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP,
};

static int create(unsigned submissions, struct io_uring_params *params)
{
	int fd = (int)syscall(SYS_io_uring_setup, submissions, params);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return -errno;
	default: /* ENOSYS, EPERM: not here; EINVAL: an older kernel */
		return -ENOTSUP;
	}
}

static void *map(int fd, size_t bytes, off_t what)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void find_parts(struct ring *r, const struct io_uring_params *p)
{
	char *base = r->queues;
	unsigned *places = (unsigned *)(base + p->sq_off.array);

	r->sq_head = (_Atomic unsigned *)(base + p->sq_off.head);
	r->sq_tail = (_Atomic unsigned *)(base + p->sq_off.tail);
	r->sq_flags = (_Atomic unsigned *)(base + p->sq_off.flags);
	r->sq_mask = p->sq_entries - 1;
	r->cq_head = (_Atomic unsigned *)(base + p->cq_off.head);
	r->cq_tail = (_Atomic unsigned *)(base + p->cq_off.tail);
	r->cq_mask = p->cq_entries - 1;
	r->cqes = (struct io_uring_cqe *)(base + p->cq_off.cqes);
	r->sqes = r->entries;
	for (unsigned i = 0; i < p->sq_entries; i++)
		places[i] = i; /* submissions are made in the order of their places, always */
}

static int map_parts(struct ring *r, const struct io_uring_params *p)
{
	r->queues_bytes = larger(p->sq_off.array + p->sq_entries * sizeof(unsigned),
				 p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe));
	r->entries_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
	r->queues = map(r->fd, r->queues_bytes, IORING_OFF_SQ_RING);
	if (r->queues == MAP_FAILED)
		return -ENOMEM;
	r->entries = map(r->fd, r->entries_bytes, IORING_OFF_SQES);
	if (r->entries != MAP_FAILED)
		return 0;
	munmap(r->queues, r->queues_bytes);
	return -ENOMEM;
}

int ring_open(struct ring *r, unsigned submissions, unsigned completions)
{
	struct io_uring_params params = {.flags = SETUP, .cq_entries = completions};
	int e = 0;

	*r = (struct ring){.fd = create(submissions, &params)};
	if (r->fd < 0)
		return r->fd;
	if ((params.features & FEATURES) != FEATURES)
		e = -ENOTSUP;
	if (e == 0)
		e = map_parts(r, &params);
	if (e == 0)
		find_parts(r, &params);
	else
		close(r->fd);
	return e;
}

void ring_close(struct ring *r)
{
	munmap(r->entries, r->entries_bytes);
	munmap(r->queues, r->queues_bytes);
	close(r->fd);
}

int ring_register(struct ring *r, unsigned what, void *argument, unsigned n)
{
	long e = syscall(SYS_io_uring_register, r->fd, what, argument, n);

	return e < 0 ? -errno : (int)e;
}

int ring_start(struct ring *r)
{
	return ring_register(r, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int ring_enter(struct ring *r, unsigned want, int64_t ns)
{
	struct __kernel_timespec limit = {ns / 1000000000, ns % 1000000000};
	struct io_uring_getevents_arg wait = {.ts = ns < 0 ? 0 : (uintptr_t)&limit};
	long n;

	/* Release: the submissions; pairs with the kernel's acquire. */
	atomic_store_explicit(r->sq_tail, r->tail, memory_order_release);
	n = syscall(SYS_io_uring_enter, r->fd, ring_pending(r), want,
		    IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &wait, sizeof wait);
	return n < 0 ? -errno : (int)n;
}
