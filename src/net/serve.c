/* serve.c - a fiber for every connection that arrives.
 *
 * A group (fiber_group_t) would be nearly this, but it cancels everybody at the first negative
 * result and at the first spawn that fails: one client's broken pipe, or a full machine, would end
 * all others. So the server keeps its own account. Every client is in it from its spawn to the end
 * of its fiber, whichever way that ends: the account is closed by the destructor of a fiber-local,
 * which also runs after fiber_exit.
 *
 * `guard` guards every field of struct server below it, and the links of connections. A connection
 * lies in its fiber's copied argument, the server in its caller's frame, which stays until
 * `running` is 0: whoever takes it there leaves the guard and touches the server no more (wait.h:
 * a fiber claimed under the guard is woken after it).
 *
 * The acceptor may not starve those it accepted. Runnable fibers go before new ones and newer
 * before older, so under a flood of connections that never lets accept park, the acceptor would
 * always be before the clients, and the last accepted before the first. Hence it takes at most
 * BATCH connections, and goes on when all of them have begun. They are placed nowhere: idle
 * workers take them. */
#include <errno.h>
#include <fiber/net.h>
#include <pthread.h>

#include "base/list.h"
#include "base/must.h"
#include "os/spin.h"
#include "sched/wait.h"

enum { BATCH = 32, CANCEL_AT_ONCE = 64 };
#define PAUSE_LEAST FIBER_MILLISECOND
#define PAUSE_MOST  (100 * FIBER_MILLISECOND)

struct server {
	int (*client)(fiber_fd, void *);
	void *arg;

	struct spin guard;
	unsigned unstarted;          /* spawned, but their fiber has not begun */
	size_t running;              /* spawned, but their account is not closed */
	bool cancelled;              /* whoever begins now is cancelled */
	struct list clients;         /* begun; not yet cancelled by us */
	struct list told;            /* begun; cancelled by us */
	bool (*met)(const struct server *);  /* what is waited for; NULL: nothing */
	struct fiber *waiting;       /* ... by whom: the serving fiber */
	uint64_t ticket;
};

struct connection {
	struct server *server;
	fiber_fd fd;
	fiber_t fiber;               /* from its begin */
	struct list link;            /* in clients or told, from its begin */
};

/* ---- the serving fiber waits for its clients --------------------------------------------------*/
static bool all_have_begun(const struct server *s)
{
	return s->unstarted == 0;
}

static bool all_have_ended(const struct server *s)
{
	return s->running == 0;
}

/* Under the guard: the serving fiber, if this ends its wait; to be woken after the guard. */
static struct fiber *claim_waiting(struct server *s)
{
	struct fiber *fiber = s->waiting;

	if (!s->met || !s->met(s))
		return NULL;
	s->met = NULL;
	return wait_claim(fiber, s->ticket, 0) ? fiber : NULL;
}

/* 0, or -ECANCELED (not for WAIT_HARD). */
static int wait_until(struct server *s, bool (*met)(const struct server *), enum wait_mode mode)
{
	struct fiber *self = wait_self();
	int r;

	spin_lock(&s->guard);
	if (met(s)) {
		spin_unlock(&s->guard);
		return 0;
	}
	s->met = met;
	s->waiting = self;
	s->ticket = wait_begin(self, WAIT_GROUP, s, mode);
	spin_unlock(&s->guard);
	r = wait_park(self, FIBER_NEVER);
	if (r >= 0)
		return 0;
	spin_lock(&s->guard);
	s->met = NULL;
	spin_unlock(&s->guard);
	return r;
}

/* ---- a client ---------------------------------------------------------------------------------*/
static fiber_key_t key;
static int key_result;

static void begin(struct connection *c)
{
	struct server *s = c->server;
	struct fiber *acceptor;
	bool cancelled;

	c->fiber = fiber_self();
	spin_lock(&s->guard);
	s->unstarted--;
	cancelled = s->cancelled;
	list_append(cancelled ? &s->told : &s->clients, &c->link);
	acceptor = claim_waiting(s);
	spin_unlock(&s->guard);
	if (acceptor)
		wait_wake(acceptor);
	if (cancelled)
		fiber_cancel(c->fiber);
}

static void end(void *arg)
{
	struct connection *c = arg;
	struct server *s = c->server;
	struct fiber *waiting;

	fiber_close(c->fd);
	spin_lock(&s->guard);
	list_remove(&c->link);
	s->running--;
	waiting = claim_waiting(s);
	spin_unlock(&s->guard);
	if (waiting)
		wait_wake(waiting);
}

static int live(void *arg)
{
	struct connection *c = arg;
	int r;

	begin(c);
	r = fiber_setspecific(key, c);
	if (r < 0) {
		end(c);
		return r;
	}
	c->server->client(c->fd, c->server->arg);
	return 0;
}

static void make_key(void)
{
	key_result = fiber_key_create(&key, end);
}

/* ---- accepting --------------------------------------------------------------------------------*/
static void count(struct server *s, int n)
{
	spin_lock(&s->guard);
	s->unstarted += (unsigned)n;
	s->running += (size_t)n;
	spin_unlock(&s->guard);
}

/* The connection is the client's, or closed. */
static int spawn_client(struct server *s, fiber_fd fd)
{
	struct connection c = { .server = s, .fd = fd };
	/* With its stack, or the fiber could end without having run, and the account stay open. */
	fiber_attr_t attr = { .name = "client", .copy_bytes = sizeof c, .flags = FIBER_STACK_NOW };
	fiber_t fiber;
	int r;

	count(s, 1);
	r = fiber_spawn(&fiber, &attr, live, &c);
	if (r < 0) {
		count(s, -1);
		fiber_close(fd);
		return r;
	}
	fiber_detach(fiber);
	return 0;
}

enum verdict { SKIP, TRY_LATER, GIVE_UP };

static enum verdict judge(int error)
{
	switch (-error) {
	case ECONNABORTED:
	case EPROTO:
		return SKIP;         /* that connection is gone, and with it the cause */
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EAGAIN:
		return TRY_LATER;    /* something ran short */
	case EPERM:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ENOPROTOOPT:
	case ETIMEDOUT:
		return TRY_LATER;    /* Linux: an error of the new connection; or a firewall's */
	default:
		return GIVE_UP;
	}
}

static int accept_one(struct server *s, fiber_fd listener)
{
	fiber_fd fd = fiber_accept(listener, NULL, NULL);

	return fd < 0 ? (int)fd : spawn_client(s, fd);
}

static bool batch_is_full(struct server *s)
{
	bool full;

	spin_lock(&s->guard);
	full = s->unstarted >= BATCH;
	spin_unlock(&s->guard);
	return full;
}

static int64_t longer(int64_t pause)
{
	pause = pause ? 2 * pause : PAUSE_LEAST;
	return pause < PAUSE_MOST ? pause : PAUSE_MOST;
}

/* Until interrupted, or the listener fails: why. */
static int accept_all(struct server *s, fiber_fd listener)
{
	int64_t pause = 0;

	for (;;) {
		int r = accept_one(s, listener);

		if (r >= 0) {
			pause = 0;
			if (batch_is_full(s))
				r = wait_until(s, all_have_begun, WAIT_INTERRUPTIBLE);
		} else if (judge(r) == TRY_LATER) {
			pause = longer(pause);
			r = fiber_sleep(pause);
		} else if (judge(r) == SKIP) {
			r = 0;
		}
		if (r < 0)
			return r;
	}
}

/* ---- the end ----------------------------------------------------------------------------------*/
/* Handles, not connections, because those may be gone when the guard is left. */
static unsigned take_untold(struct server *s, fiber_t *out)
{
	unsigned n = 0;
	struct list *link;

	spin_lock(&s->guard);
	s->cancelled = true;
	while (n < CANCEL_AT_ONCE && (link = list_pop(&s->clients))) {
		list_append(&s->told, link);
		out[n++] = container_of(link, struct connection, link)->fiber;
	}
	spin_unlock(&s->guard);
	return n;
}

static void cancel_clients(struct server *s)
{
	fiber_t fibers[CANCEL_AT_ONCE];
	unsigned n;

	while ((n = take_untold(s, fibers)) > 0)
		while (n > 0)
			fiber_cancel(fibers[--n]);
}

static int drain(struct server *s, int why)
{
	if (why != -ECANCELED)
		if (wait_until(s, all_have_ended, WAIT_INTERRUPTIBLE) < 0)
			why = -ECANCELED;
	cancel_clients(s);
	wait_until(s, all_have_ended, WAIT_HARD);
	return why;
}

PUBLIC int fiber_serve(fiber_fd listener, int (*client)(fiber_fd, void *), void *arg)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct server server = { .client = client, .arg = arg };

	if (!client)
		return -EINVAL;
	if (!wait_on_fiber())
		return -EPERM;
	pthread_once(&once, make_key);
	if (key_result < 0)
		return key_result;
	return drain(&server, accept_all(&server, listener));
}
