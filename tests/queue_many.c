/* The event queue: very many sources, turns among them, and a model of what is to be told. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "queues.h"

/* ---- thousands --------------------------------------------------------------------------------*/
enum { MANY = 5000 };

static int open_many(int *fds, int n)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < n; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK);
		if (fds[i] < 0)
			return i;
	}
	return n;
}

static void close_many(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

/* Waits until `total` were told, `max` at a time; each token once. */
static void each_once(fiber_queue_t *q, int total, size_t max)
{
	fiber_queue_event_t *events = malloc(max * sizeof *events);
	char *seen = calloc((size_t)total, 1);
	int n, all = 0;

	while (all < total && (n = fiber_queue_wait(q, events, max, PATIENCE)) > 0) {
		cr_expect((size_t)n <= max);
		for (int i = 0; i < n; i++) {
			cr_expect(events[i].token < (uint64_t)total && events[i].ready == R);
			cr_expect(!seen[events[i].token]++, "twice");
		}
		all += n;
	}
	cr_expect(all == total);
	cr_expect(fiber_queue_wait(q, events, max, 0) == 0);
	free(seen);
	free(events);
}

Test(queue_many, of_thousands_each_is_told_once, .timeout = 60)
{
	static const size_t maxima[] = {1, 7, 64, 4 * MANY};
	static int fds[MANY];
	fiber_queue_t *q = queue_new();
	int n = open_many(fds, MANY);

	cr_expect(n > 500, "%d descriptors", n);
	for (int i = 0; i < n; i++)
		cr_expect(fiber_queue_register(q, fds[i], (uint64_t)i, R | EDGE) == 0);
	for (size_t m = 0; m < 4; m++) {
		for (int i = 0; i < n; i++)
			cr_expect(eventfd_write(fds[i], 1) == 0);
		each_once(q, n, maxima[m]);
	}
	for (int i = 0; i < n; i += 2)
		cr_expect(fiber_queue_deregister(q, fds[i]) == 0);
	for (int i = 1; i < n; i += 2)
		cr_expect(fiber_queue_register(q, fds[i], 0, R) == -EEXIST);
	close_many(fds, n);
	queue_gone(q);
}

Test(queue_many, of_thousands_of_user_events_each_is_told_once, .timeout = 60)
{
	static fiber_queue_user_t users[4 * MANY];
	fiber_queue_t *q = queue_new();

	for (uint64_t i = 0; i < 4 * MANY; i++)
		cr_expect(fiber_queue_user_add(q, &users[i], i, i % 2 ? EDGE : ONCE) == 0);
	for (int i = 4 * MANY - 1; i >= 0; i--)
		cr_expect(fiber_queue_user_raise(q, users[i], R) == 0);
	each_once(q, 4 * MANY, 100);
	queue_gone(q);
}

/* ---- turns ------------------------------------------------------------------------------------*/
enum { FEW = 40 };

static void nobody_starves(int fds_n, int users_n, size_t max)
{
	unsigned counts[2 * FEW] = {0}, least = -1u, most = 0, sums[2] = {0};
	fiber_queue_t *q = queue_new();
	fiber_queue_event_t events[8];
	fiber_queue_user_t user;
	int fds[FEW], n, rounds = 2000;

	cr_expect(open_many(fds, fds_n) == fds_n);
	for (int i = 0; i < fds_n; i++) {
		cr_expect(eventfd_write(fds[i], 1) == 0);
		cr_expect(fiber_queue_register(q, fds[i], (uint64_t)i, R) == 0);
	}
	for (int i = fds_n; i < fds_n + users_n; i++) {
		cr_expect(fiber_queue_user_add(q, &user, (uint64_t)i, 0) == 0);
		cr_expect(fiber_queue_user_raise(q, user, R) == 0);
	}
	for (int i = 0; i < rounds; i++) {
		n = fiber_queue_wait(q, events, max, 0);
		cr_expect((size_t)n == max);
		for (int j = 0; j < n; j++)
			counts[events[j].token]++;
	}
	for (int i = 0; i < fds_n + users_n; i++)
		sums[i >= fds_n] += counts[i];
	for (int i = 0; i < fds_n; i++) {
		least = counts[i] < least ? counts[i] : least;
		most = counts[i] > most ? counts[i] : most;
	}
	cr_expect(most - least <= 1, "descriptors: %u to %u", least, most);
	least = -1u, most = 0;
	for (int i = fds_n; i < fds_n + users_n; i++) {
		least = counts[i] < least ? counts[i] : least;
		most = counts[i] > most ? counts[i] : most;
	}
	cr_expect(most - least <= 1, "user events: %u to %u", least, most);
	cr_expect(sums[0] * 3 >= sums[1] && sums[1] * 3 >= sums[0], "%u, %u", sums[0], sums[1]);
	close_many(fds, fds_n);
	queue_gone(q);
}

Test(queue_many, few_events_at_a_time_are_taken_in_turns, .timeout = 60)
{
	for (size_t max = 1; max <= 8; max++)
		nobody_starves(FEW, FEW, max);
	nobody_starves(FEW, 8, 8);
	nobody_starves(8, FEW, 8);
}

/* ---- a model ----------------------------------------------------------------------------------*/
enum { SOURCES = 24, STEPS = 20000 };

struct model {
	bool is_user, known, ready;
	bool news;                      /* edge: to be told; one-shot: armed */
	unsigned mode;
	int fd;
	fiber_queue_user_t user;
};

static bool to_be_told(struct model *m)
{
	bool told = m->known && m->ready && (m->mode == 0 || m->news);

	if (told || m->mode == EDGE)
		m->news = false;
	return told;
}

static void set_ready(fiber_queue_t *q, struct model *m, bool ready)
{
	int r;

	if (!m->is_user)
		r = ready ? eventfd_write(m->fd, 1) : (int)drain(m->fd) * 0;
	else if (ready)
		r = fiber_queue_user_raise(q, m->user, R);
	else
		r = fiber_queue_user_lower(q, m->user, R);
	cr_expect(r == (m->is_user && !m->known ? -ENOENT : 0));
	if (m->is_user && !m->known)
		return;
	m->ready = ready;
	if (ready && m->mode == EDGE)
		m->news = true;
}

static void toggle(fiber_queue_t *q, struct model *m, uint64_t token, unsigned mode)
{
	if (m->known) {
		cr_expect((m->is_user ? fiber_queue_user_remove(q, m->user) :
					fiber_queue_deregister(q, m->fd)) == 0);
		m->known = false;
		return;
	}
	cr_expect((m->is_user ? fiber_queue_user_add(q, &m->user, token, mode) :
				fiber_queue_register(q, m->fd, token, R | mode)) == 0);
	m->known = m->news = true;
	m->mode = mode;
	m->ready = m->ready && !m->is_user;
}

static void rearm(fiber_queue_t *q, struct model *m, uint64_t token, unsigned mode)
{
	int r = m->is_user ? fiber_queue_user_change(q, m->user, token, mode) :
			     fiber_queue_reregister(q, m->fd, token, R | mode);

	cr_expect(r == (m->known ? 0 : -ENOENT));
	if (!m->known)
		return;
	m->mode = mode;
	m->news = true;
}

static void agrees(fiber_queue_t *q, struct model *models, unsigned step)
{
	fiber_queue_event_t events[SOURCES];
	uint64_t told = 0, expected = 0;
	int n = fiber_queue_wait(q, events, SOURCES, 0);

	for (int i = 0; i < n; i++) {
		cr_expect(!(told >> events[i].token & 1), "twice in one wait");
		told |= UINT64_C(1) << events[i].token;
	}
	for (int i = 0; i < SOURCES; i++)
		expected |= (uint64_t)to_be_told(&models[i]) << i;
	cr_expect(told == expected, "step %u: %llx, not %llx", step, (unsigned long long)told,
		  (unsigned long long)expected);
}

Test(queue_many, it_tells_what_a_model_says, .timeout = 120)
{
	static const unsigned modes[] = {0, EDGE, ONCE};
	static struct model models[SOURCES];
	fiber_queue_t *q = queue_new();
	uint64_t state = law_seed();

	for (int i = 0; i < SOURCES; i++) {
		models[i].is_user = i % 2;
		models[i].fd = eventfd(0, EFD_NONBLOCK);
	}
	for (unsigned step = 0; step < law_rounds(STEPS); step++) {
		uint64_t which = law_random(&state) % SOURCES, what = law_random(&state) % 8;
		unsigned mode = modes[law_random(&state) % 3];
		struct model *m = &models[which];

		if (what < 2)
			set_ready(q, m, what);
		else if (what == 2)
			toggle(q, m, which, mode);
		else if (what == 3)
			rearm(q, m, which, mode);
		else if (what < 6)
			set_ready(q, m, true);
		else
			agrees(q, models, step);
	}
	for (int i = 0; i < SOURCES; i++)
		close(models[i].fd);
	queue_gone(q);
}
