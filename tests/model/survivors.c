/* survivors.c - orders that could be weaker without any scenario failing, and why they are not. On
 * x86-64 a weaker one would save an instruction nowhere: its loads acquire and its stores release
 * anyway, and every read-modify-write is a barrier. */
#include "weaken.h"

#include <stddef.h>

#define LB											   \
	"it keeps the next use of a slot from overtaking the thief's load of the old one: load "   \
	"buffering, which this model leaves out, and hardware does not"
#define ALONE "nothing is read by it: the owner's own word"
#define NOTHING_READ "who does this reads nothing that the other wrote before"
#define NOTHING_LEFT "who does this leaves nothing behind for the next one to read"
#define ONE_CAS											   \
	"one function for all uses of a CAS: a failed attempt is repeated, and that one acquires"
#define FLAG "a flag: nothing is read because of it that was written before it was set"
#define WAKE "the wake that follows carries it too: a waiter goes on only by that"
#define GENERATION										   \
	"only a generation is compared: what it guards is nothing but the handle's being valid"
#define LATE											   \
	"a late word to an earlier life of a block: only that it is not lost is at stake, and "	   \
	"the scenario has one worker"
#define EITHER "the load and the CAS both acquire: either would do"
#define INFO "for fiber_dump and fiber_info (info.c), which are in no scenario"
#define SETUP "made in setup, so that no scenario can see it half made"
#define LAST											   \
	"over-strong: who counts itself in last sees by that that all are; but a system call "	   \
	"follows"

const struct survivor survivors[] = {
	{ "deque.c top_moves: &d->top", "without acquire", NOTHING_READ },
	{ "deque.c top_moves: &d->top", "without release", LB },
	{ "deque.c top_moves: &d->top", "without seq_cst",
	  "the two barriers order it; it is what the proof in the paper stands on" },
	{ "deque.h deque_push_count: &d->top", "without acquire", LB },
	{ "deque.c grow: &d->top", "without acquire", LB },
	{ "deque.c deque_steal: &d->top", "without acquire",
	  "the barrier behind it acquires; but ThreadSanitizer knows no fences" },
	{ "deque.c deque_pop_last: &d->bottom", "without release",
	  "nothing is left below this bottom; every store of it is a release, so that one "
	  "sentence tells it" },
	{ "inbox.h inbox_put: &box->head", "without acquire", NOTHING_READ },
	{ "inbox.h inbox_sleep: &box->head", "without acquire", ALONE },
	{ "inbox.h inbox_sleep: &box->head", "without release",
	  "become_idle's barrier comes between it and all that matters" },
	{ "inbox.h inbox_rouse: &box->head", "without acquire", NOTHING_READ },
	{ "inbox.h inbox_take: &box->head", "without release", NOTHING_LEFT },
	{ "inbox.h inbox_close: &box->head", "without release", NOTHING_LEFT },
	{ "spin.h spin_trylock: swap32 &s->word", "without release", NOTHING_LEFT },
	{ "word.h word_guard: cas64 word", "without release", NOTHING_LEFT },
	{ "word.h word_guard: cas64 word", "without acquire when it fails", ONE_CAS },
	{ "idle.c idle_search: &rt->searching", "without acquire", FLAG },
	{ "idle.c idle_search: &rt->searching", "without release", FLAG },
	{ "idle.c idle_sleep: &rt->stopping", "without acquire", FLAG },
	{ "idle.c is_urgent: &w->runtime->stopping", "without acquire", FLAG },
	{ "idle.c all_are_idle: &rt->idle_count", "without acquire",
	  "runtime_quiet takes idle_guard before it reads anything" },
	{ "idle.c sleep_in_poller: os_barrier", "without seq_cst", LAST },
	{ "idle.c sleep_in_poller: os_barrier", "without the fence", LAST },
	{ "quiet.c runtime_quiet: &rt->ending", "without acquire", FLAG },
	{ "worker.h runtime_must_note: &w->runtime->cancelled", "without acquire", FLAG },
	{ "worker.c worker_post: &f->home", "without acquire", SETUP },
	{ "worker.c redirect: swap32 &f->reasons", "without acquire", LATE },
	{ "worker.c redirect: swap32 &f->reasons", "without release", LATE },
	{ "worker.c redirect: &f->home", "without acquire", LATE },
	{ "worker.c redirect: &closed->inbox.head", "without acquire", LATE },
	{ "enter.c close_inbox: swap32 &f->reasons", "without acquire", LATE },
	{ "enter.c close_inbox: swap32 &f->reasons", "without release", LATE },
	{ "enter.c close_inbox: &f->home", "without acquire", LATE },
	{ "claim.h claim_begin: &self->claim", "without release",
	  "a fiber that has moved has passed a barrier since (idle_offer, idle_search)" },
	{ "claim.h claim_end: cas64 &f->claim", "without acquire", WAKE },
	{ "claim.h claim_end: cas64 &f->claim", "without acquire when it fails", ONE_CAS },
	{ "claim.h claim_end: cas64 &f->claim", "without release", WAKE },
	{ "claim.h claim_grant: cas64 &f->claim", "without acquire", WAKE },
	{ "claim.h claim_grant: cas64 &f->claim", "without acquire when it fails", ONE_CAS },
	{ "claim.h claim_grant: cas64 &f->claim", "without release", WAKE },
	{ "hot.h hot_park: &self->claim", "without acquire", WAKE },
	{ "wait.c wait_outcome: &self->claim", "without acquire", WAKE },
	{ "wait.c wait_request: &f->home", "without acquire", NOTHING_READ },
	{ "wait.c wait_request: &f->state", "without acquire",
	  "what the requester wrote is acquired by take_permit" },
	{ "fiber.h fiber_moves_to: or64 &f->state", "without acquire",
	  "what the requester wrote is acquired by take_permit" },
	{ "park.c request: cas64 &f->state", "without acquire when it fails", ONE_CAS },
	{ "park.c take_permit: and64 &self->state", "without release", NOTHING_LEFT },
	{ "fiber.h fiber_at: &fiber_chunk[index / FIBER_CHUNK_BLOCKS]", "without acquire", SETUP },
	{ "fiber.h fiber_find: &f->state", "without acquire", GENERATION },
	{ "fiber.h fiber_block_put: &f->state", "without release", GENERATION },
	{ "fiber.h fiber_block_open: &f->state", "without release", INFO },
	{ "life.c life_begin: &f->begun", "without release", INFO },
	{ "spawn.c fill: &f->function", "without release", INFO },
	{ "life.c publish: cas64 &f->join", "without acquire when it fails", ONE_CAS },
	{ "join.c refuse: &f->state", "without acquire", GENERATION },
	{ "join.c await: &f->join", "without acquire", EITHER },
	{ "join.c await: cas64 &f->join", "without acquire", EITHER },
	{ "join.c await: cas64 &f->join", "without acquire when it fails", ONE_CAS },
	{ "join.c fiber_detach: &f->join", "without acquire", EITHER },
	{ "join.c fiber_detach: cas64 &f->join", "without acquire", EITHER },
	{ "join.c fiber_detach: cas64 &f->join", "without release", NOTHING_LEFT },
	{ "join.c fiber_detach: cas64 &f->join", "without acquire when it fails", ONE_CAS },
	{ "lock.h lock_take_at_once: cas64 &l->queue.word", "without release", NOTHING_LEFT },
	{ "lock.h lock_take_at_once: cas64 &l->queue.word", "without acquire when it fails",
	  ONE_CAS },
	{ "lock.h lock_leave_at_once: cas64 &l->queue.word", "without acquire", NOTHING_READ },
	{ "lock.h lock_leave_at_once: cas64 &l->queue.word", "without acquire when it fails",
	  ONE_CAS },
	{ "lock.c lock_barge: cas64 &l->queue.word", "without release", NOTHING_LEFT },
	{ "lock.c lock_barge: cas64 &l->queue.word", "without acquire when it fails", ONE_CAS },
	{ "sem.c fiber_sem_post: cas64 &q->word", "without acquire", NOTHING_READ },
	{ "sem.c fiber_sem_post: cas64 &q->word", "without acquire when it fails", ONE_CAS },
	{ "sem.c take_at_once: cas64 &q->word", "without release", NOTHING_LEFT },
	{ "sem.c take_at_once: cas64 &q->word", "without acquire when it fails", ONE_CAS },
	{ NULL, NULL, NULL },
};
