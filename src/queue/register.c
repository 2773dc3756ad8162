/* register.c - descriptors of an event queue. All under `changes`, so no two threads are at one
 * descriptor. Every source is in the table before the kernel hears of it: the event that comes
 * at once must find it. */
#include "queue/queue.h"

static int check(const fiber_queue_t *q, unsigned flags)
{
	int r = queue_check(q);

	if (r < 0)
		return r;
	if (flags & ~(unsigned)(QUEUE_INTERESTS | QUEUE_MODES) || !(flags & QUEUE_INTERESTS) ||
	    !queue_mode_valid(flags & QUEUE_MODES))
		return -EINVAL;
	return 0;
}

static void begin(fiber_queue_t *q)
{
	must(pthread_mutex_lock(&q->changes) == 0);
}

static int end(fiber_queue_t *q, int result)
{
	must(pthread_mutex_unlock(&q->changes) == 0);
	return result;
}

static void forget(fiber_queue_t *q, struct source *s)
{
	spin_lock(&q->guard);
	sources_give(&q->sources, s);
	spin_unlock(&q->guard);
}

static bool is_still_there(fiber_queue_t *q, const struct source *s)
{
	bool told;

	spin_lock(&q->guard);
	told = s->told;
	spin_unlock(&q->guard);
	return kernel_still(q->kernel, s->fd, s->flags, told);
}

/* The kernel alone knows whether `old`, what the table says of the number, is this file, or one
 * that was closed behind our back. Only then does the new one take its place. */
static int add(fiber_queue_t *q, fiber_fd fd, uint64_t token, unsigned flags)
{
	struct source *s, *old = sources_find(&q->sources, fd);
	int r = sources_reserve(&q->sources), kind = kernel_kind(fd);

	if (kind < 0 || r < 0)
		return kind < 0 ? kind : r;
	if (old && is_still_there(q, old))
		return -EEXIST;
	spin_lock(&q->guard);
	s = sources_take_descriptor(&q->sources, fd);
	s->token = token;
	s->flags = (uint16_t)flags;
	s->kind = (uint8_t)kind;
	spin_unlock(&q->guard);
	r = kernel_add(q->kernel, fd, source_id(s), flags);
	if (r < 0)
		forget(q, s);
	else if (old)
		forget(q, old);
	return r;
}

PUBLIC int fiber_queue_register(fiber_queue_t *q, fiber_fd fd, uint64_t token, unsigned interests)
{
	int r = check(q, interests);

	if (r < 0)
		return r;
	begin(q);
	return end(q, add(q, fd, token, interests));
}

/* What is fetched from here on and is of before, is void; what still holds the kernel tells again,
 * because it arms anew. */
static int change(fiber_queue_t *q, struct source *s, uint64_t token, unsigned flags)
{
	int r;

	spin_lock(&q->guard);
	source_renew(s);
	s->token = token;
	s->flags = (uint16_t)flags;
	s->told = false;
	spin_unlock(&q->guard);
	r = kernel_change(q->kernel, s->fd, source_id(s), flags);
	if (r < 0) {
		kernel_remove(q->kernel, s->fd); /* its events would find nobody */
		forget(q, s);
	}
	return r;
}

/* Nothing is registered under this number. */
static int unknown(fiber_fd fd)
{
	int kind = kernel_kind(fd);

	return kind < 0 ? kind : -ENOENT;
}

PUBLIC int fiber_queue_reregister(fiber_queue_t *q, fiber_fd fd, uint64_t token,
				  unsigned interests)
{
	struct source *s;
	int r = check(q, interests);

	if (r < 0)
		return r;
	begin(q);
	s = sources_find(&q->sources, fd);
	return end(q, s ? change(q, s, token, interests) : unknown(fd));
}

PUBLIC int fiber_queue_deregister(fiber_queue_t *q, fiber_fd fd)
{
	struct source *s;
	int r = queue_check(q);

	if (r < 0)
		return r;
	begin(q);
	s = sources_find(&q->sources, fd);
	if (!s)
		return end(q, unknown(fd));
	r = kernel_remove(q->kernel, fd);
	forget(q, s);
	return end(q, r);
}
