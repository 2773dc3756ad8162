/* uring_lend.c - the buffers that are lent to the kernel, for it to receive into: a ring of them,
 * from which it takes the next when bytes come, and to which each goes back when it is empty. */
#include <stdlib.h>
#include <sys/mman.h>

#include "poller/uring.h"

enum {
	BUFFERS = 256, /* a power of two */
	BUFFER_BYTES = 2048,
};

struct uring_buffers {
	struct io_uring_buf_ring *ring; /* what the kernel may take from */
	uint16_t tail;
	char (*memory)[BUFFER_BYTES];
};

static void lend(struct uring_buffers *b, unsigned number)
{
	struct io_uring_buf *entry = &b->ring->bufs[b->tail & (BUFFERS - 1)];

	entry->addr = (uintptr_t)b->memory[number];
	entry->len = BUFFER_BYTES;
	entry->bid = (uint16_t)number;
	b->tail++;
	/* Release: the entry; pairs with the kernel's acquire. */
	atomic_store_explicit((_Atomic uint16_t *)&b->ring->tail, b->tail, memory_order_release);
}

void uring_lend(struct uring *u, unsigned number)
{
	must(number < BUFFERS);
	lend(u->buffers, number);
}

const char *uring_lent(const struct uring *u, unsigned number)
{
	must(number < BUFFERS);
	return u->buffers->memory[number];
}

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void release(struct uring_buffers *b)
{
	if (b->ring)
		munmap(b->ring, BUFFERS * sizeof(struct io_uring_buf));
	if (b->memory)
		munmap(b->memory, BUFFERS * sizeof *b->memory);
	free(b);
}

COLD bool uring_make_buffers(struct uring *u)
{
	struct uring_buffers *b = calloc(1, sizeof *b);
	struct io_uring_buf_reg wish = {.ring_entries = BUFFERS, .bgid = URING_LENT};

	if (!b)
		return false;
	b->ring = map(BUFFERS * sizeof(struct io_uring_buf));
	b->memory = map(BUFFERS * sizeof *b->memory);
	wish.ring_addr = (uintptr_t)b->ring;
	if (!b->ring || !b->memory ||
	    ring_register(&u->ring, IORING_REGISTER_PBUF_RING, &wish, 1) < 0) {
		release(b);
		return false;
	}
	for (unsigned i = 0; i < BUFFERS; i++)
		lend(b, i);
	u->buffers = b;
	return true;
}

void uring_free_buffers(struct uring *u)
{
	release(u->buffers);
	u->buffers = NULL;
}
