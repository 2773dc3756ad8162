/* sort.c - the C library's qsort with a comparator that yields: it has no idea that fibers exist,
 * and another one goes on while it sorts.
 *
 *	sort NUMBER...
 *
 * The comparator is a closure, so its handler sees the argument that qsort has no place for. */
#include <fiber/foreign.h>
#include <stdlib.h>

struct sorting {
	long *numbers;
	size_t n;
	long comparisons, turns;
	int done;
};

static void compare(void *context, void *result, void *const *args)
{
	struct sorting *s = context;
	const long *a = FIBER_GIVEN(const long *, args, 0), *b = FIBER_GIVEN(const long *, args, 1);

	s->comparisons++;
	fiber_yield();
	*(int *)result = (*a > *b) - (*a < *b);
}

static int take_turns(void *arg)
{
	struct sorting *s = arg;

	for (; !s->done; s->turns++)
		fiber_yield();
	return 0;
}

static int sort(struct sorting *s)
{
	fiber_signature_t *sig;
	fiber_closure_t *closure;
	fiber_foreign_fn *code;
	int r = fiber_signature_create(&sig, "i(pp)", NULL);

	if (r < 0)
		return r;
	r = fiber_closure_create(&closure, &code, sig, NULL, compare, s);
	if (r == 0) {
		qsort(s->numbers, s->n, sizeof *s->numbers,
		      (int (*)(const void *, const void *))code);
		fiber_closure_free(closure);
	}
	fiber_signature_free(sig);
	return r;
}

static int both(void *arg)
{
	struct sorting *s = arg;
	fiber_t other;
	int r = fiber_spawn(&other, NULL, take_turns, s);

	if (r < 0)
		return r;
	r = sort(s);
	s->done = 1;
	fiber_join(other, NULL);
	for (size_t i = 0; i < s->n; i++)
		printf("%ld ", s->numbers[i]);
	printf("\n%ld comparisons, %ld turns of another fiber\n", s->comparisons, s->turns);
	return r;
}

int main(int argc, char **argv)
{
	struct sorting s = {.n = (size_t)argc - 1};
	int r;

	s.numbers = calloc(s.n + 1, sizeof *s.numbers);
	if (!s.numbers)
		return 1;
	for (size_t i = 0; i < s.n; i++)
		s.numbers[i] = atol(argv[i + 1]);
	r = fiber_run(&(fiber_options_t){.workers = 1}, both, &s);
	free(s.numbers);
	return r < 0;
}
