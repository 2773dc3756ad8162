/* Everything at once, by chance: actors spawn, join, cancel, sleep, park, unpark, open scopes and
 * groups, set locals, roam and stay, and look at each other; every act knows what must come of it,
 * and in the end all books are balanced. Bounded by acts, not by time; the seed is printed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "law.h"
#include "until.h"

enum { ACTORS = 40, MISSING = -7000 };

static struct {
	_Atomic uint64_t id;       /* of its handle */
	_Atomic unsigned permit;   /* given to it and not taken */
} actor[ACTORS];

static struct {
	_Atomic unsigned begun, ended;          /* fibers, by their own account */
	_Atomic unsigned given, void_, taken;   /* permits */
	_Atomic unsigned set, destroyed;        /* locals */
	_Atomic unsigned acts, wrong;
} book;

static fiber_key_t key;
static unsigned acts_each;

static void expect(bool right, const char *what, int got)
{
	if (!right && atomic_fetch_add(&book.wrong, 1) < 10)
		cr_expect(false, "%s: %d", what, got);
}

/* ---- what fibers do ---------------------------------------------------------------------------*/
struct role {
	uint64_t random;
	int result;
	unsigned way;
};

static void set_a_local(uint64_t *random)
{
	if (law_random(random) % 4)
		return;
	expect(fiber_setspecific(key, &book) == 0, "setspecific", 0);
	atomic_fetch_add(&book.set, 1);
}

static void destroy(void *value)
{
	expect(value == &book, "another's local", 0);
	fiber_yield();
	atomic_fetch_add(&book.destroyed, 1);
}

static void dawdle(uint64_t *random)
{
	switch (law_random(random) % 4) {
	case 0:
		fiber_yield();
		break;
	case 1:
		fiber_sleep((int64_t)(law_random(random) % 50) * FIBER_MICROSECOND);
		break;
	case 2:
		for (unsigned i = law_random(random) % 10; i > 0; i--)
			fiber_yield();
	}
}

static int play(void *arg)
{
	struct role *r = arg;

	atomic_fetch_add(&book.begun, 1);
	set_a_local(&r->random);
	dawdle(&r->random);
	atomic_fetch_add(&book.ended, 1);
	return r->result;
}

static int play_until_cancelled(void *arg)
{
	struct role *r = arg;
	int ended_by;

	atomic_fetch_add(&book.begun, 1);
	set_a_local(&r->random);
	do {
		ended_by = r->way % 2 ? fiber_park() : fiber_sleep(FIBER_SECOND * 1000);
	} while (ended_by == 0);
	if (r->way % 3 == 0)
		FIBER_SHIELD(FIBER_SECOND * 1000)
			dawdle(&r->random);
	atomic_fetch_add(&book.ended, 1);
	return ended_by == -ECANCELED ? r->result : MISSING;
}

static const fiber_attr_t *some_attr(uint64_t *random, fiber_attr_t *attr)
{
	*attr = (fiber_attr_t){ .copy_bytes = sizeof(struct role) };
	switch (law_random(random) % 6) {
	case 0:
		attr->flags = FIBER_ROAM;
		break;
	case 1:
		attr->flags = FIBER_STAY | FIBER_NO_FPU;
		break;
	case 2:
		attr->worker = (unsigned)(law_random(random) % fiber_workers()) + 1;
		break;
	case 3:
		attr->stack_bytes = 200000;
		attr->name = "large";
	}
	return attr;
}

static struct role some_role(uint64_t *random)
{
	uint64_t r = law_random(random);

	return (struct role){ r, (int)(r >> 40), (unsigned)(r >> 32) & 0xff };
}

/* ---- acts -------------------------------------------------------------------------------------*/
static void spawn_and_join(uint64_t *random)
{
	struct role role = some_role(random);
	int result = MISSING, r;
	fiber_attr_t attr;
	fiber_t f;

	r = fiber_spawn(&f, some_attr(random, &attr), play, &role);
	expect(r == 0, "spawn", r);
	if (law_random(random) % 4 == 0) { /* a joiner that gives up leaves it joinable */
		r = (int)FIBER_TIMEOUT(0, fiber_join(f, &result));
		expect(r == 0 || r == -ETIMEDOUT, "join in no time", r);
		if (r == 0)
			goto joined;
	}
	dawdle(random);
	r = fiber_join(f, &result);
	expect(r == 0, "join", r);
joined:
	expect(result == role.result, "its result", result);
	r = fiber_join(f, NULL);
	expect(r == -ESRCH, "a second join", r);
}

static void spawn_and_cancel(uint64_t *random)
{
	struct role role = some_role(random);
	int result = MISSING, r;
	fiber_attr_t attr;
	fiber_t f;

	r = fiber_spawn(&f, some_attr(random, &attr), play_until_cancelled, &role);
	expect(r == 0, "spawn", r);
	dawdle(random);
	fiber_unpark(f); /* ends no sleep, and its loop goes on parking */
	r = fiber_cancel(f);
	expect(r == 0, "cancel", r);
	r = fiber_join(f, &result);
	expect(r == 0 && result == role.result, "the cancelled one's result", result);
}

static void leave_one(uint64_t *random)
{
	struct role role = some_role(random);
	fiber_attr_t attr;
	int r = fiber_spawn(NULL, some_attr(random, &attr), play, &role);

	expect(r == 0, "spawn, detached", r);
}

static void park_a_while(unsigned self, uint64_t *random)
{
	int64_t patience = (int64_t)(law_random(random) % 40) * FIBER_MICROSECOND;
	int r = (int)FIBER_TIMEOUT(patience, fiber_park());

	expect(r == 0 || r == -ETIMEDOUT, "park", r);
	if (r == 0) {
		expect(atomic_exchange(&actor[self].permit, 0) == 1, "a park without permit", 0);
		atomic_fetch_add(&book.taken, 1);
	}
}

static void unpark_somebody(uint64_t *random)
{
	unsigned i = (unsigned)(law_random(random) % ACTORS), none = 0;
	fiber_t f = { atomic_load(&actor[i].id) };

	if (f.id == 0 || !atomic_compare_exchange_strong(&actor[i].permit, &none, 1))
		return;
	atomic_fetch_add(&book.given, 1);
	if (fiber_unpark(f) != 0) { /* it has ended */
		atomic_store(&actor[i].permit, 0);
		atomic_fetch_add(&book.void_, 1);
	}
}

static void all_of_a_group(uint64_t *random)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	unsigned n = (unsigned)(law_random(random) % 6);
	unsigned failing = (unsigned)(law_random(random) % 8);
	fiber_attr_t attr;
	int r;

	if (law_random(random) % 4 == 0)
		fiber_group_limit(&g, 2);
	for (unsigned i = 0; i < n; i++) {
		struct role role = some_role(random);

		role.result = i == failing ? -EPIPE : (int)i;
		r = fiber_group_spawn(&g, some_attr(random, &attr), play, &role);
		expect(r == 0, "spawn into a group", r);
	}
	r = fiber_group_wait(&g);
	expect(r == (failing < n ? -EPIPE : 0), "a group's result", r);
}

static void race_in_a_group(uint64_t *random)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	fiber_attr_t attr;
	struct role role;
	int r;

	for (unsigned i = law_random(random) % 4; i > 0; i--) {
		role = some_role(random);
		role.result = -ECANCELED;
		fiber_group_spawn(&g, some_attr(random, &attr), play_until_cancelled, &role);
	}
	role = some_role(random);
	role.result = 77;
	fiber_group_spawn(&g, some_attr(random, &attr), play, &role);
	r = fiber_group_race(&g);
	expect(r == 77, "a race's result", r);
}

static void give_up_on_a_group(uint64_t *random)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	unsigned before = atomic_load(&book.ended), n = (unsigned)(law_random(random) % 4) + 1;
	fiber_attr_t attr;
	int r;

	for (unsigned i = 0; i < n; i++) {
		struct role role = some_role(random);

		role.result = 0;
		fiber_group_spawn(&g, some_attr(random, &attr), play_until_cancelled, &role);
	}
	r = (int)FIBER_TIMEOUT((int64_t)(law_random(random) % 30) * FIBER_MICROSECOND,
			       fiber_group_wait(&g));
	expect(r == -ETIMEDOUT, "an interrupted wait", r);
	expect(atomic_load(&book.ended) - before >= n, "members still run", 0);
}

static void open_scopes(uint64_t *random)
{
	int64_t near = (int64_t)(law_random(random) % 20) * FIBER_MICROSECOND;
	fiber_scope_t outer, shield, inner;
	ssize_t r;

	fiber_within(&outer, fiber_after(near));
	fiber_shield(&shield, FIBER_NEVER);
	fiber_within(&inner, fiber_after(near / 2));
	r = fiber_sleep(1000 * FIBER_SECOND);
	expect(r == -ECANCELED, "a sleep inside", (int)r);
	r = fiber_scope_end(&inner, r);
	expect(r == -ETIMEDOUT, "the inner scope", (int)r);
	expect(fiber_sleep(near) == 0, "a sleep behind the shield", 0);
	fiber_scope_end(&shield, 0);
	r = fiber_scope_end(&outer, fiber_sleep(1000 * FIBER_SECOND));
	expect(r == -ETIMEDOUT, "the outer scope", (int)r);
	expect(fiber_deadline() == FIBER_NEVER, "a deadline is left", 0);
}

static void look_around(uint64_t *random)
{
	fiber_t f = { atomic_load(&actor[law_random(random) % ACTORS].id) };
	fiber_info_t info;
	int r = fiber_info(f, &info);

	expect(r == 0 || r == -ESRCH, "info", r);
}

static void act(unsigned self, uint64_t *random)
{
	bool was;

	atomic_fetch_add(&book.acts, 1);
	switch (law_random(random) % 12) {
	case 0: spawn_and_join(random); break;
	case 1: spawn_and_cancel(random); break;
	case 2: leave_one(random); break;
	case 3: park_a_while(self, random); break;
	case 4: unpark_somebody(random); break;
	case 5: all_of_a_group(random); break;
	case 6: race_in_a_group(random); break;
	case 7: give_up_on_a_group(random); break;
	case 8: open_scopes(random); break;
	case 9: look_around(random); break;
	case 10:
		was = fiber_pin();
		dawdle(random);
		fiber_unpin(was);
		break;
	default: dawdle(random);
	}
}

/* ---- the play ---------------------------------------------------------------------------------*/
static int be_an_actor(void *arg)
{
	const struct role *role = arg;
	uint64_t random = role->random;

	atomic_fetch_add(&book.begun, 1);
	atomic_store(&actor[role->way].id, fiber_self().id);
	for (unsigned i = 0; i < acts_each; i++)
		act(role->way, &random);
	atomic_store(&actor[role->way].id, 0);
	atomic_fetch_add(&book.ended, 1);
	return role->result;
}

static void balance(void)
{
	fiber_stats_t stats;
	unsigned left = 0;

	UNTIL(fiber_stats(NULL, &stats) == 0 && stats.fibers == 1);
	for (unsigned i = 0; i < ACTORS; i++)
		left += atomic_load(&actor[i].permit);
	cr_expect(book.wrong == 0, "%u were wrong", book.wrong);
	cr_expect(book.acts == ACTORS * acts_each);
	cr_expect(book.begun == book.ended, "%u begun, %u ended", book.begun, book.ended);
	cr_expect(book.given == book.taken + book.void_ + left, "%u permits given, %u taken, "
		  "%u void, %u left", book.given, book.taken, book.void_, left);
	cr_expect(book.set == book.destroyed, "%u set, %u destroyed", book.set, book.destroyed);
	cr_expect(stats.spawned == stats.ended + 1 && stats.spawned == book.begun + 1);
	cr_expect(stats.parked == 0);
}

static int perform(void *arg)
{
	uint64_t random = *(uint64_t *)arg;
	int result = 0;
	fiber_t f[ACTORS];

	memset(&book, 0, sizeof book);
	memset(actor, 0, sizeof actor);
	for (unsigned i = 0; i < ACTORS; i++) {
		fiber_attr_t attr;
		struct role role = { law_random(&random), (int)i, i };

		cr_expect(fiber_spawn(&f[i], some_attr(&random, &attr), be_an_actor, &role) == 0);
	}
	for (unsigned i = 0; i < ACTORS; i++)
		cr_expect(fiber_join(f[i], &result) == 0 && result == (int)i);
	balance();
	return 0;
}

static void stress(fiber_options_t options)
{
	uint64_t seed = law_seed();

	acts_each = law_rounds(6000);
	cr_assert(fiber_key_create(&key, destroy) == 0);
	law_holds_with(&options, perform, &seed);
}

Test(stress_sched, everything_at_once_balances, .timeout = 300)
{
	stress((fiber_options_t){ 0 });
}

Test(stress_sched, everything_at_once_balances_though_all_roam, .timeout = 300)
{
	stress((fiber_options_t){ .flags = FIBER_ALL_ROAM });
}

Test(stress_sched, everything_at_once_balances_though_every_park_is_a_move, .timeout = 300)
{
	setenv("FIBER_TEST_MOVE", "1", 1);
	stress((fiber_options_t){ .flags = FIBER_ALL_ROAM });
}

Test(stress_sched, everything_at_once_balances_with_workers_that_spin, .timeout = 300)
{
	stress((fiber_options_t){ .idle_spin_ns = 20000, .fibers_max = 1000 });
}
