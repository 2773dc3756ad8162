/* bottle.c - see bottle.h. */
#include "bottle.h"

#include "arch.h"
#include "subjects.h"

enum { STACKS = 4, STACK_BYTES = 48 * 1024 };

struct runtime bottle;
struct worker bottle_worker[BOTTLE_WORKERS];
static _Alignas(128) struct fiber chunk[BOTTLE_BLOCKS + JOIN_CODES];
static unsigned blocks;
static _Alignas(64) char stacks[BOTTLE_WORKERS][STACKS][STACK_BYTES];

/* What a poller is here. `open` is plain: whoever wakes a worker whose poller is closed is in a
 * race with that. */
static struct poller {
	struct bell bell;
	bool open;
	unsigned watches;            /* sleeps with a limit: two, or a run would never end */
} poller[BOTTLE_WORKERS];

static bool stay_down;

static int wait_for_bell(struct poller *p, int64_t until, struct list *back)
{
	static struct bell never;

	(void)back;
	if (until == 0)
		bell_hush(&p->bell);
	else if (stay_down)
		bell_wait(&never);
	else if (until == OS_NEVER || p->watches == 2)
		bell_wait(&p->bell);
	else if (++p->watches)
		bell_wait_limited(&p->bell);
	return 0;
}

static void wake(struct poller *p)
{
	law(p->open);
	bell_ring(&p->bell);
}

static const struct poller_ops ops = { .name = "bell", .wait = wait_for_bell, .wake = wake };

void bottle_close_poller(unsigned number)
{
	poller[number].open = false;
}

/* ---- beginning --------------------------------------------------------------------------------*/
static void give_stacks(struct worker *w, unsigned number)
{
	list_init(&w->stacks.free);
	for (unsigned i = 0; i < STACKS; i++) {
		char *begin = stacks[number][i], *end = begin + STACK_BYTES;
		struct stack *s = (struct stack *)(void *)(end - sizeof *s);

		*s = (struct stack){ .bottom = begin, .bytes = STACK_BYTES - sizeof *s };
		list_append(&w->stacks.free, &s->link);
	}
	w->stacks.count = w->stacks.low = STACKS;
	w->stacks.puts = 1000;
}

static struct fiber *block(void)
{
	struct fiber *f = &chunk[JOIN_CODES + blocks];

	law(blocks < BOTTLE_BLOCKS);
	*f = (struct fiber){ .index = JOIN_CODES + blocks++ };
	return f;
}

static void begin_worker(unsigned i)
{
	struct worker *w = &bottle_worker[i];

	memset(w, 0, sizeof *w);
	poller[i] = (struct poller){ .open = true };
	w->runtime = &bottle;
	w->number = i + 1;
	w->poller = &poller[i];
	w->ops = &ops;
	w->loop.flags = F_LOOP | F_STARTED;
	atomic_init(&w->loop.cold, &w->loop_cold);
	atomic_init(&w->place.running, &w->loop);
	w->control_words = bottle.control_words;
	law(deque_init(&w->unstarted) == 0);
	give_stacks(w, i);
}

void bottle_begin(unsigned workers)
{
	memset(&bottle, 0, sizeof bottle);
	bottle.workers = workers;
	bottle.worker = bottle_worker;
	bottle.control_words = arch_control_words();
	bottle.options.flags = FIBER_NO_FAULT_REPORT | FIBER_NO_DEADLOCK;
	list_init(&bottle.idle);
	blocks = 0;
	stay_down = false;
	atomic_init(&fiber_chunk[0], chunk);
	for (unsigned i = 0; i < workers; i++) {
		begin_worker(i);
		bottle_worker[i].blocks.free = block();
		bottle_worker[i].blocks.count = 1;
	}
	worker_mine = NULL;
	*subject_thread_block() = NULL;
	model_local(&worker_mine, sizeof worker_mine);
	model_local(subject_thread_block(), sizeof(struct fiber *));
}

void bottle_begin_apart(void)
{
	static struct runtime other;

	bottle_begin(2);
	bottle.workers = 1;
	memset(&other, 0, sizeof other);
	other.workers = 1;
	other.worker = &bottle_worker[1];
	other.control_words = bottle.control_words;
	other.options.flags = bottle.options.flags;
	list_init(&other.idle);
	bottle_worker[1].runtime = &other;
}

struct fiber *bottle_fiber(struct worker *home, uint32_t flags, fiber_fn *function, void *arg)
{
	struct fiber *f = block();

	fiber_block_open(f);
	atomic_init(&f->function, function);
	f->argument = arg;
	f->flags = flags;
	atomic_init(&f->home, home);
	return f;
}

struct fiber *bottle_started(struct worker *home, uint32_t flags)
{
	struct fiber *f = bottle_fiber(home, flags | F_STARTED, NULL, NULL);

	f->wake_at = OS_NEVER;
	f->scope = NULL;
	atomic_init(&f->deadline, OS_NEVER);
	atomic_init(&f->cold, NULL);
	atomic_init(&f->begun, 1);
	return f;
}

void bottle_lay_down(unsigned number)
{
	struct worker *w = &bottle_worker[number];

	law(inbox_sleep(&w->inbox));
	list_append(&bottle.idle, &w->idle);
	atomic_init(&bottle.idle_count, 1 + atomic_load_explicit(&bottle.idle_count,
								  memory_order_relaxed));
}

void bottle_stays_down(void)
{
	stay_down = true;
}

void bottle_is_watched(void)
{
	atomic_init(&bottle.watching, true);
}

void bottle_answer(unsigned number)
{
	struct worker *w = bottle_be_worker(number);

	bell_wait(&poller[number].bell);
	inbox_wake_up(&w->inbox);
	spin_lock(&bottle.idle_guard); /* as become_busy does */
	if (list_linked(&w->idle)) {
		list_remove(&w->idle);
		atomic_fetch_sub_explicit(&bottle.idle_count, 1, memory_order_relaxed);
	}
	spin_unlock(&bottle.idle_guard);
	worker_take_inbox(w);
}

bool bottle_rung(unsigned number)
{
	return poller[number].bell.rung;
}

/* ---- being ------------------------------------------------------------------------------------*/
struct worker *bottle_be_worker(unsigned number)
{
	worker_set_self(&bottle_worker[number]);
	return &bottle_worker[number];
}

static struct fiber *plain_block[MODEL_THREADS];

void bottle_plain_blocks(void)
{
	for (int i = 0; i < MODEL_THREADS; i++) {
		plain_block[i] = block();
		plain_block[i]->flags = F_THREAD | F_STARTED;
		plain_block[i]->wake_at = OS_NEVER;
		atomic_init(&plain_block[i]->deadline, OS_NEVER);
	}
}

struct fiber *bottle_be_plain(void)
{
	return *subject_thread_block() = plain_block[model_thread()];
}

struct fiber *bottle_next(struct worker *w)
{
	for (;;) {
		struct fiber *f;

		if (!inbox_empty(&w->inbox))
			worker_take_inbox(w);
		f = worker_pick_queued(w);
		if (!f)
			f = idle_search(w);
		if (f)
			return f;
		law(idle_sleep(w));
		model_pause_on(&bottle.searching, 0); /* it was refused: not before that is over */
	}
}
