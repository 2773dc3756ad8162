/* user.c - user events: sources whose readiness the program sets. They follow epoll's rules for
 * descriptors: `ready` is a state; a raise is an arrival, also where nothing changes. */
#include "queue/queue.h"

/* Under the guard: is it to be told? Then it goes to the end of the line. */
static void line_up(fiber_queue_t *q, struct source *s)
{
	if (s->ready == 0 || s->told || list_linked(&s->raised))
		return;
	list_append(&q->raised, &s->raised);
	q->raised_count++;
}

static void step_back(fiber_queue_t *q, struct source *s)
{
	if (!list_linked(&s->raised))
		return;
	list_remove(&s->raised);
	q->raised_count--;
}

int user_take(fiber_queue_t *q, fiber_queue_event_t *events, size_t max, uint32_t among)
{
	int n = 0;

	for (; among > 0 && (size_t)n < max; among--) {
		struct source *s = container_of(q->raised.next, struct source, raised);

		step_back(q, s);
		events[n++] = (fiber_queue_event_t){s->token, source_id(s), s->ready};
		s->told = (s->flags & FIBER_QUEUE_ONESHOT) != 0;
		if (!(s->flags & FIBER_QUEUE_EDGE))
			line_up(q, s);
	}
	return n;
}

/* Under either lock. */
static struct source *find(fiber_queue_t *q, fiber_queue_user_t user)
{
	struct source *s = sources_at(&q->sources, user.private_);

	return s && s->type == SOURCE_USER ? s : NULL;
}

/* ---- the calls --------------------------------------------------------------------------------*/
PUBLIC int fiber_queue_user_add(fiber_queue_t *q, fiber_queue_user_t *out, uint64_t token,
				unsigned mode)
{
	struct source *s;
	int r = queue_check(q);

	if (r < 0)
		return r;
	if (!out || !queue_mode_valid(mode))
		return -EINVAL;
	must(pthread_mutex_lock(&q->changes) == 0);
	r = sources_reserve(&q->sources);
	spin_lock(&q->guard);
	if (r == 0) {
		s = sources_take_user(&q->sources);
		s->token = token;
		s->flags = (uint16_t)mode;
		out->private_ = source_id(s);
	}
	queue_unlock(q);
	return r;
}

static int set(fiber_queue_t *q, fiber_queue_user_t user, unsigned raise, unsigned lower)
{
	struct source *s;
	bool ring = false;
	int r = queue_check(q);

	if (r < 0)
		return r;
	if ((raise | lower) == 0 || (raise | lower) & ~(unsigned)QUEUE_READY)
		return -EINVAL;
	spin_lock(&q->guard);
	s = find(q, user);
	if (s) {
		s->ready = (uint8_t)((s->ready | raise) & ~lower);
		if (raise)
			line_up(q, s);
		if (s->ready == 0)
			step_back(q, s);
		ring = list_linked(&s->raised) && queue_owes_ring(q);
	}
	spin_unlock(&q->guard);
	if (ring)
		kernel_ring(q->kernel);
	return s ? 0 : -ENOENT;
}

PUBLIC int fiber_queue_user_raise(fiber_queue_t *q, fiber_queue_user_t user, unsigned ready)
{
	return set(q, user, ready, 0);
}

PUBLIC int fiber_queue_user_lower(fiber_queue_t *q, fiber_queue_user_t user, unsigned ready)
{
	return set(q, user, 0, ready);
}

PUBLIC int fiber_queue_user_change(fiber_queue_t *q, fiber_queue_user_t user, uint64_t token,
				   unsigned mode)
{
	struct source *s;
	bool ring = false;
	int r = queue_check(q);

	if (r < 0)
		return r;
	if (!queue_mode_valid(mode))
		return -EINVAL;
	queue_lock(q);
	s = find(q, user);
	if (s) {
		s->token = token;
		s->flags = (uint16_t)mode;
		s->told = false;
		line_up(q, s);
		ring = list_linked(&s->raised) && queue_owes_ring(q);
	}
	queue_unlock(q);
	if (ring)
		kernel_ring(q->kernel);
	return s ? 0 : -ENOENT;
}

PUBLIC int fiber_queue_user_remove(fiber_queue_t *q, fiber_queue_user_t user)
{
	struct source *s;
	int r = queue_check(q);

	if (r < 0)
		return r;
	queue_lock(q);
	s = find(q, user);
	if (s) {
		step_back(q, s);
		sources_give(&q->sources, s);
	}
	queue_unlock(q);
	return s ? 0 : -ENOENT;
}
