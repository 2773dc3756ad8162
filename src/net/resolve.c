/* resolve.c - names to addresses, by getaddrinfo on a helper thread.
 *
 * getaddrinfo may take minutes and cannot be stopped, and the fiber that asked may want to leave
 * sooner: at its deadline, or cancelled. A helper's caller waits whatever happens (sched/wait.h),
 * so the caller is a fiber of its own, the lookup's, and the asking fiber joins it, which can be
 * interrupted.
 *
 *	asking fiber                 lookup's fiber              helper thread
 *	spawn, join ................ offload ................... getaddrinfo
 *	interrupted: detach, leave
 *	                                                         the resolver gives up
 *	                             leave: the last, so free
 *
 * All they share is one allocation, struct lookup. Nothing in it points into the asking fiber's
 * memory, and whoever leaves last frees it together with the list that nobody took: `left` counts.
 * After a join the asking fiber owns it alone. */
#include "net/resolve.h"

#include <errno.h>
#include <fiber/net.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "sched/wait.h"

enum { HOST_MOST = 1024, SERVICE_MOST = 255 };

struct lookup {
	const char *host, *service;  /* into text, or NULL */
	struct addrinfo hints;
	int result;                  /* written before the helper ends */
	struct addrinfo *list;
	_Atomic unsigned left;       /* how many of the two fibers touch it no more */
	char text[];
};

resolve_fn *resolve_lookup = getaddrinfo;

static void take_hints(struct addrinfo *out, const struct addrinfo *hints)
{
	memset(out, 0, sizeof *out);
	if (!hints)
		return;
	out->ai_flags = hints->ai_flags;
	out->ai_family = hints->ai_family;
	out->ai_socktype = hints->ai_socktype;
	out->ai_protocol = hints->ai_protocol;
}

/* Numbers need no helper. True: *result is the answer. */
static NOINLINE bool answer_at_once(const char *host, const char *service,
				    const struct addrinfo *hints, struct addrinfo **out,
				    int *result)
{
	struct addrinfo numeric;

	take_hints(&numeric, hints);
	numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
	int code = getaddrinfo(host, service, &numeric, out);
	int error = errno;

	if (code)
		*out = NULL;
	*result = resolve_error(code, error);
	/* "No such name" only says: not numeric, which is the answer if no more was allowed. */
	return code != EAI_NONAME || (hints && (hints->ai_flags & AI_NUMERICHOST) &&
				      (!service || (hints->ai_flags & AI_NUMERICSERV)));
}

static struct lookup *lookup_create(const char *host, const char *service,
				    const struct addrinfo *hints)
{
	size_t host_bytes = host ? strlen(host) + 1 : 0;
	size_t service_bytes = service ? strlen(service) + 1 : 0;
	struct lookup *l = calloc(1, sizeof *l + host_bytes + service_bytes);

	if (!l)
		return NULL;
	take_hints(&l->hints, hints);
	if (host)
		l->host = memcpy(l->text, host, host_bytes);
	if (service)
		l->service = memcpy(l->text + host_bytes, service, service_bytes);
	return l;
}

static void lookup_free(struct lookup *l)
{
	fiber_resolve_free(l->list);
	free(l);
}

/* The exchange orders what either did with the lookup before the other's free. */
static void lookup_leave(struct lookup *l)
{
	if (atomic_fetch_add_explicit(&l->left, 1, memory_order_acq_rel) == 1)
		lookup_free(l);
}

/* On a helper thread. Not inlined, because it reads errno: socket.c. */
static NOINLINE int look_up(void *arg)
{
	struct lookup *l = arg;
	int code = resolve_lookup(l->host, l->service, &l->hints, &l->list);
	int error = errno;

	if (code)
		l->list = NULL;
	l->result = resolve_error(code, error);
	return 0;
}

static int lookup_fiber(void *arg)
{
	struct lookup *l = arg;
	int r = wait_offload(look_up, l);

	if (r < 0)
		l->result = r;
	lookup_leave(l);
	return 0;
}

/* The lookup is the caller's again after 0; otherwise it is left to its fiber. */
static int run_interruptibly(struct lookup *l)
{
	/* With its stack, or it could end without having run, and who would free the lookup? */
	static const fiber_attr_t attr = { .name = "resolve", .flags = FIBER_STACK_NOW };
	fiber_t fiber;
	int r = fiber_spawn(&fiber, &attr, lookup_fiber, l);

	if (r < 0) {
		lookup_free(l);
		return r;
	}
	r = fiber_join(fiber, NULL);
	if (r < 0) {
		fiber_detach(fiber);
		lookup_leave(l);
		return r;
	}
	return 0;
}

static int ask(const char *host, const char *service, const struct addrinfo *hints,
	       struct addrinfo **out)
{
	struct lookup *l = lookup_create(host, service, hints);

	if (!l)
		return -ENOMEM;
	/* A plain thread has no fibers to leave behind, and may block. */
	int r = wait_on_fiber() ? run_interruptibly(l) : look_up(l);

	if (r < 0)
		return r;
	r = l->result;
	*out = l->list;
	free(l);
	return r;
}

int resolve_address(const struct address *a, int family, bool passive, struct addrinfo **out)
{
	struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = a->type,
		.ai_flags = passive ? AI_PASSIVE : 0,
	};

	must(a->family == AF_UNSPEC);
	return fiber_resolve(a->any ? NULL : a->host, a->service, &hints, out);
}

PUBLIC int fiber_resolve(const char *host, const char *service, const struct addrinfo *hints,
			 struct addrinfo **out)
{
	int r;

	if (out)
		*out = NULL;
	if (!out || (!host && !service))
		return -EINVAL;
	if ((host && strlen(host) > HOST_MOST) || (service && strlen(service) > SERVICE_MOST))
		return -ENAMETOOLONG;
	r = wait_check();
	if (r < 0)
		return r;
	if (answer_at_once(host, service, hints, out, &r)) {
		wait_done();
		return r;
	}
	return ask(host, service, hints, out);
}

PUBLIC void fiber_resolve_free(struct addrinfo *list)
{
	if (list)
		freeaddrinfo(list);
}
