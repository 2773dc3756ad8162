/* machine.h - stackless coroutines by hand: a struct with the state, and a function that goes on
 * from it by a switch, as protothreads do it. A scheduler is a queue of such structs.
 *
 * A body is
 *
 *	static int body(struct machine *m)
 *	{
 *		BEGIN(m);
 *		...
 *		YIELD(m);
 *		...
 *		END(m);
 *	}
 *
 * Nothing of the function's own survives a suspension: what must is in the struct around. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stddef.h>

enum { SUSPENDED, ENDED };

struct machine {
	int (*body)(struct machine *);
	struct machine *behind, *joiner; /* joiner: made ready when this one has ended */
	int state;
};

#define BEGIN(m)      switch ((m)->state) { case 0:
#define SUSPEND(m)    do { (m)->state = __LINE__; return SUSPENDED; case __LINE__:; } while (0)
#define YIELD(m)      do { make_ready(m); SUSPEND(m); } while (0)
/* A machine below: as long as it is suspended, so is this one, and is asked again from the top. */
#define CALL(m, call) do { (m)->state = __LINE__; __attribute__((__fallthrough__)); case __LINE__: \
			   if ((call) == SUSPENDED) return SUSPENDED; } while (0)
/* Until it has ended; it was made ready by hand, or joins nobody. */
#define JOIN(m, it)   do { if ((it)->body) { (it)->joiner = (m); SUSPEND(m); } } while (0)
#define END(m)        } (m)->state = -1; return ENDED

static struct machine *ready_first, **ready_end = &ready_first;

static inline void make_ready(struct machine *m)
{
	m->behind = NULL;
	*ready_end = m;
	ready_end = &m->behind;
}

/* Trees go depth first: what was started last runs first. */
static inline void make_ready_first(struct machine *m)
{
	m->behind = ready_first;
	if (!ready_first)
		ready_end = &m->behind;
	ready_first = m;
}

static inline void prepare(struct machine *m, int (*body)(struct machine *))
{
	*m = (struct machine){.body = body};
}

static inline void ended(struct machine *m)
{
	m->body = NULL;
	if (m->joiner)
		make_ready_first(m->joiner);
}

static inline void run_all(void)
{
	while (ready_first) {
		struct machine *m = ready_first;

		if (!(ready_first = m->behind))
			ready_end = &ready_first;
		if (m->body(m) == ENDED)
			ended(m);
	}
}

#endif
