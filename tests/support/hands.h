/* hands.h - threads that use pollers at the same time, each its own, with one operation in flight;
 * plays the workers and their inboxes. */
#ifndef TESTS_HANDS_H
#define TESTS_HANDS_H

#include <pthread.h>
#include <sched.h>

#include "stage.h"

struct hand {
	const struct poller_ops *ops;
	struct poller *poller;
	pthread_t thread;
	struct poller_op op;
	uint64_t seed;
	uint64_t bytes;                /* received */
	unsigned canceled, completed;
	void *arg;
};

void hands_open(struct stage *, struct hand *, unsigned n, uint64_t seed);
void hands_close(struct hand *, unsigned n);
/* run(&hands[i]) on a thread each. It ends with hand_retire. */
void hands_start(struct hand *, unsigned n, void *(*run)(void *));
void hands_join(struct hand *, unsigned n);

/* Performs self->op; one time in so many (0: never) it is cancelled while in flight. Its result. */
ssize_t hand_perform(struct hand *self, unsigned cancel_one_in);
/* Looks what has come, for oneself and others. */
void hand_look(struct hand *self, int64_t until);
/* What came back is told its owners. */
void hand_deliver(struct hand *self, struct list *back);
/* Others may still have operations on descriptors that our poller watches: goes on looking, as
 * workers do, until all have ended. */
void *hand_retire(struct hand *self);

#endif
