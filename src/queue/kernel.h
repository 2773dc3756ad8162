/* kernel.h - what the event queue asks of a system. One file a kernel (epoll.c); Meson chooses.
 *
 * Calls return >= 0 or -errno. What stands for a registration in the kernel is its cookie, which
 * comes back with every event; UINT64_MAX is not used as one. A cookie that was given away by
 * kernel_change or kernel_remove may still come back once: the caller knows which are good.
 * "Flags" are the public interests and mode. Of a one-shot registration there may be further events
 * after its first: the caller drops them. */
#ifndef FB_QUEUE_KERNEL_H
#define FB_QUEUE_KERNEL_H

#include <fiber/queue.h>

struct queue_kernel;

int kernel_open(struct queue_kernel **out);
/* In a forked child nothing that the parent shares is changed. */
void kernel_close(struct queue_kernel *, bool forked);

/* What kernel_ready wants to know of a descriptor; -EBADF: it is not open. */
int kernel_kind(fiber_fd);
/* Any thread; the caller sees to it that no two of them have the same descriptor.
 * kernel_add: 0; or -EEXIST: it is there already, and nothing was done. Where that cannot be told,
 * kernel_still tells before: is the file that was registered under this number, with these flags,
 * and told (a one-shot one) or not, registered still? kernel_change and kernel_remove: 0, or
 * -ENOENT: this file is not registered. */
bool kernel_still(struct queue_kernel *, fiber_fd, unsigned flags, bool told);
int kernel_add(struct queue_kernel *, fiber_fd, uint64_t cookie, unsigned flags);
int kernel_change(struct queue_kernel *, fiber_fd, uint64_t cookie, unsigned flags);
int kernel_remove(struct queue_kernel *, fiber_fd);

/* The waiter's own. Room for so many events: 0, or -ENOMEM. */
int kernel_reserve(struct queue_kernel *, size_t max);
/* Waits until there are events, the bell rings, a signal comes, or `until` has passed (0: looks
 * only; OS_NEVER). How many came; among them may be the bell's, with KERNEL_BELL as cookie. Where
 * there are more than `max` the next wait begins with others. */
int kernel_wait(struct queue_kernel *, size_t max, int64_t until);
#define KERNEL_BELL UINT64_MAX

/* Of the last wait, the event at i: whose, and no two of the same; and what of it matters to a
 * registration with these flags and of this kind: public bits; 0: nothing. Called
 * under a spinlock. */
uint64_t kernel_cookie(const struct queue_kernel *, int i);
unsigned kernel_ready(const struct queue_kernel *, int i, unsigned flags, unsigned kind);

/* The wait that goes on, or else the next, finds an event; so does whoever polls kernel_fd. Any
 * thread, and signal handlers: it leaves errno as it was. */
void kernel_ring(struct queue_kernel *);

/* What to poll for events and the bell; -ENOTSUP: there is nothing of the kind. */
fiber_fd kernel_fd(const struct queue_kernel *);

#endif
