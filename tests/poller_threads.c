/* Two threads, a poller each, on the same descriptors: every byte and every operation is counted.
 * */
#include "hands.h"

#include "poller/slot.h"

/* ---- moving from poller to poller -------------------------------------------------------------*/
enum { CONNECTIONS = 8, TURNS = 16 };

struct connection {
	int fd, peer;
	_Atomic unsigned rounds; /* left */
};

struct relay {
	struct connection connection[CONNECTIONS];
	struct hand *hands;
	_Atomic int turn[CONNECTIONS]; /* whose it is */
};

struct relay_arg {
	struct relay *relay;
	int number;
};

/* Serves a connection for some rounds, then leaves it to the other thread. */
static bool serve(struct hand *self, struct connection *c)
{
	uint64_t word;

	for (int i = 0; i < TURNS; i++) {
		self->op = (struct poller_op){
			.kind = IO_RECV, .fd = c->fd, .buffer = &word, .bytes = sizeof word};
		ssize_t n = hand_perform(self, 0);

		if (n == 0)
			return false;
		cr_expect(n == sizeof word);
		self->bytes += sizeof word;
		self->op = (struct poller_op){
			.kind = IO_SEND, .fd = c->fd, .buffer = &word, .bytes = sizeof word};
		cr_expect(hand_perform(self, 0) == sizeof word);
	}
	return true;
}

static void *serve_all(void *arg)
{
	struct hand *self = arg;
	struct relay_arg *a = self->arg;
	struct relay *r = a->relay;
	int open = CONNECTIONS;

	while (open) {
		open = 0;
		for (int i = 0; i < CONNECTIONS; i++) {
			/* Acquire: pairs with the release of the one who left it. */
			int turn = atomic_load_explicit(&r->turn[i], memory_order_acquire);

			open += turn >= 0;
			if (turn != a->number)
				continue;
			bool goes_on = serve(self, &r->connection[i]);
			atomic_store_explicit(&r->turn[i], goes_on ? !a->number : -1,
					      memory_order_release);
		}
		hand_look(self, 0);
	}
	return hand_retire(self);
}

static void *ask(void *arg)
{
	struct connection *c = arg;

	for (uint64_t i = 1; i <= c->rounds; i++) {
		uint64_t answer = 0;

		cr_expect(write(c->peer, &i, sizeof i) == sizeof i);
		cr_expect(read(c->peer, &answer, sizeof answer) == sizeof answer && answer == i);
	}
	shutdown(c->peer, SHUT_WR);
	return NULL;
}

POLLER_LAW(poller_threads, a_connection_handed_to_and_fro_loses_nothing)
{
	struct hand hands[2];
	struct relay relay = {.hands = hands};
	struct relay_arg args[2] = {{&relay, 0}, {&relay, 1}};
	pthread_t clients[CONNECTIONS];
	unsigned rounds = law_rounds(5000);

	hands_open(st, hands, 2, 0);
	for (int i = 0; i < CONNECTIONS; i++) {
		int pair[2];

		cr_assert(law_tcp_pair(pair) == 0);
		relay.connection[i] = (struct connection){pair[0], pair[1], rounds};
		atomic_init(&relay.turn[i], i % 2);
		pthread_create(&clients[i], NULL, ask, &relay.connection[i]);
	}
	for (int i = 0; i < 2; i++)
		hands[i].arg = &args[i];
	hands_start(hands, 2, serve_all);
	for (int i = 0; i < CONNECTIONS; i++)
		pthread_join(clients[i], NULL);
	hands_join(hands, 2);
	cr_expect(hands[0].bytes + hands[1].bytes == 8ul * CONNECTIONS * rounds);
	for (int i = 0; i < CONNECTIONS; i++) {
		stage_forget(st, relay.connection[i].fd);
		close(relay.connection[i].fd);
		close(relay.connection[i].peer);
	}
	hands_close(hands, 2);
}

/* ---- forget against a call in progress --------------------------------------------------------*/
struct forgetting {
	const struct poller_ops *ops;
	int fd;
	_Atomic bool returned;
};

static void *forget_it(void *arg)
{
	struct forgetting *f = arg;
	struct list back = {0};

	f->ops->forget(f->fd, &back);
	atomic_store(&f->returned, true);
	return NULL;
}

/*	a fiber			another thread
 *	counts its use
 *				forget: new generation
 *	  its system call	  waits
 *	counts it off
 *				  returns, and close(2) */
POLLER_LAW(poller_threads, forget_returns_when_no_call_is_in_progress)
{
	struct forgetting f = {.ops = st->ops};
	struct slot_use use;
	struct slot *s;
	pthread_t thread;
	int pair[2];
	uint32_t generation;

	stage_unix_pair(SOCK_STREAM, pair);
	f.fd = pair[0];
	s = slot_get(f.fd);
	spin_lock(&s->guard);
	use = slot_use(s);
	spin_unlock(&s->guard);
	pthread_create(&thread, NULL, forget_it, &f);
	do {
		sched_yield();
		spin_lock(&s->guard);
		generation = s->generation;
		spin_unlock(&s->guard);
	} while (generation == use.generation);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	cr_expect(!atomic_load(&f.returned));
	spin_lock(&s->guard);
	slot_unuse(s, &use);
	spin_unlock(&s->guard);
	pthread_join(thread, NULL);
	close(pair[0]);
	close(pair[1]);
}

/* ---- closed and opened again under the reader -------------------------------------------------*/
struct churn {
	int number, source;
	_Atomic bool over;
};

static void *read_on(void *arg)
{
	struct hand *self = arg;
	struct churn *c = self->arg;
	char buffer[16];

	while (!atomic_load(&c->over)) {
		self->op = (struct poller_op){
			.kind = IO_RECV, .fd = c->number, .buffer = buffer, .bytes = sizeof buffer};
		ssize_t n = hand_perform(self, 0);

		cr_expect(n == 1 || n == 0 || n == -EBADF || n == -ECONNRESET, "%zd", n);
		self->completed++;
	}
	return hand_retire(self);
}

/* The number is given up and taken again as fast as can be. No operation hangs, none hears of
 * anything but data, the end, and -EBADF. */
POLLER_LAW(poller_threads, a_number_closed_and_reused_under_its_readers)
{
	struct hand hands[2];
	struct churn churn = {0};
	unsigned rounds = law_rounds(20000);
	int pair[2];

	stage_check_numbers();
	stage_unix_pair(SOCK_STREAM, pair);
	churn.number = pair[0];
	hands_open(st, hands, 2, 0);
	hands[0].arg = hands[1].arg = &churn;
	hands_start(hands, 2, read_on);
	for (unsigned i = 0; i < rounds; i++) {
		struct hand self = {.ops = st->ops};
		struct list back = {0};
		int next[2];

		cr_expect(write(pair[1], "x", 1) == 1);
		st->ops->forget(churn.number, &back);
		hand_deliver(&self, &back);
		while (poller_leaving(churn.number))
			sched_yield();
		stage_unix_pair(SOCK_STREAM, next);
		cr_expect(dup2(next[0], churn.number) == churn.number);
		poller_born(churn.number, i % 2 ? BORN_STREAM_UNIX : BORN_UNKNOWN);
		close(next[0]);
		close(pair[1]);
		pair[1] = next[1];
	}
	atomic_store(&churn.over, true);
	shutdown(pair[1], SHUT_WR); /* whoever waits sees the end */
	hands_join(hands, 2);
	cr_expect(hands[0].completed > 0 && hands[1].completed > 0);
	stage_forget(st, churn.number);
	close(churn.number);
	close(pair[1]);
	hands_close(hands, 2);
}

/* ---- one listener -----------------------------------------------------------------------------*/
struct door {
	int listener;
	_Atomic unsigned left;
};

static void *accept_some(void *arg)
{
	struct hand *self = arg;
	struct door *d = self->arg;

	while (atomic_fetch_sub(&d->left, 1) - 1 < UINT32_MAX / 2) {
		struct list back = {0};

		self->op = (struct poller_op){.kind = IO_ACCEPT, .fd = d->listener};
		ssize_t fd = hand_perform(self, 0);
		cr_expect(fd >= 0, "%zd", fd);
		self->ops->forget((int)fd, &back);
		close((int)fd);
		self->completed++;
	}
	return hand_retire(self);
}

POLLER_LAW(poller_threads, two_threads_accept_every_connection_once)
{
	enum { N = 2000 };
	struct hand hands[2];
	struct door door = {.left = N};
	struct sockaddr_storage name;
	socklen_t bytes = sizeof name;
	char text[64];

	door.listener = law_listener(text, sizeof text);
	getsockname(door.listener, (struct sockaddr *)&name, &bytes);
	hands_open(st, hands, 2, 0);
	hands[0].arg = hands[1].arg = &door;
	hands_start(hands, 2, accept_some);
	for (int i = 0; i < N; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		cr_expect(connect(fd, (struct sockaddr *)&name, bytes) == 0);
		close(fd);
	}
	hands_join(hands, 2);
	cr_expect(hands[0].completed + hands[1].completed == N);
	stage_forget(st, door.listener);
	close(door.listener);
	hands_close(hands, 2);
}
