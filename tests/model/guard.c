/* guard.c - who holds os/spin.h or sync/word.h is alone, and sees what the one before did. */
#include "all.h"
#include "os/spin.h"
#include "sync/word.h"

static struct spin spin;
static _Atomic uint64_t word;
static int count;                    /* guarded */
static int wanted[MODEL_THREADS];

static void begin(void)
{
	memset(&spin, 0, sizeof spin);
	atomic_store_explicit(&word, 4, memory_order_relaxed);
	count = 0;
	memset(wanted, 0, sizeof wanted);
}

static void up(void)
{
	count++;
	wanted[model_thread()]++;
}

static void lock(void)
{
	spin_lock(&spin);
	up();
	spin_unlock(&spin);
}

static void lock_twice(void)
{
	lock();
	lock();
}

static void trylock(void)
{
	if (!spin_trylock(&spin))
		return;
	up();
	spin_unlock(&spin);
}

static void counted(void)
{
	law(count == wanted[0] + wanted[1] + wanted[2] + wanted[3]);
	law(spin_trylock(&spin));
}

static void guard(void)
{
	uint64_t value = word_guard(&word);

	up();
	word_release(&word, value + 4);
}

static void guard_twice(void)
{
	guard();
	guard();
}

/* Past the guard, as the uncontended operations do: only while nobody holds it. */
static void past(void)
{
	uint64_t value = atomic_load_explicit(&word, memory_order_relaxed);

	while (!(value & WORD_GUARDED))
		if (atomic_cas64(&word, &value, value + 4)) {
			wanted[model_thread()]++;
			return;
		}
}

static void guard_counts(void)
{
	law(atomic_load_explicit(&word, memory_order_relaxed) >> WORD_SHIFT ==
	    1u + (unsigned)(wanted[0] + wanted[1] + wanted[2] + wanted[3]));
}

const struct scenario scenarios_guard[] = {
	SCENARIO("two lock twice", begin, counted,
		 lock_twice, lock_twice),
	SCENARIO("three lock", begin, counted,
		 lock, lock, lock),
	SCENARIO("two lock, one tries", begin, counted,
		 lock, lock, trylock),
	SCENARIO("two guard twice", begin, guard_counts,
		 guard_twice, guard_twice),
	SCENARIO("three guard", begin, guard_counts,
		 guard, guard, guard),
	SCENARIO("two guard, one goes past", begin, guard_counts,
		 guard, guard, past),
	{ .name = NULL },
};
