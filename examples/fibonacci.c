/* fibonacci.c - generators, without any runtime. First Fibonacci numbers below a limit: each is
 * yielded, and the body's result, which is something else, says how many there were. Then two trees
 * are compared leaf by leaf, whatever their shape, by a generator for each: it walks its tree
 * recursively, and stops in the middle of the recursion. */
#include <fiber/gen.h>
#include <stdio.h>
#include <stdlib.h>

/* *arg is the limit. A value points into this frame, and is good until the next resume. */
static void *fibonacci(fiber_gen_t *self, void *arg)
{
	uint64_t a = 0, b = 1, limit = *(uint64_t *)arg;
	intptr_t count = 0;

	for (; a <= limit; count++) {
		uint64_t next = a + b;

		if (fiber_gen_yield(self, &a, NULL) < 0)
			break;
		a = b;
		b = next;
	}
	return (void *)count;
}

static int print_fibonacci(uint64_t limit)
{
	fiber_gen_t *gen;
	void *value;
	int r = fiber_gen_create(&gen, NULL, fibonacci, &limit);

	if (r < 0)
		return r;
	while ((r = fiber_gen_resume(gen, NULL, &value)) > 0)
		printf("%llu\n", (unsigned long long)*(uint64_t *)value);
	printf("%ld numbers\n", (long)(intptr_t)value);
	return fiber_gen_destroy(gen);
}

/* ---- the same fringe? ------------------------------------------------------------------------*/
struct tree {
	const char *leaf; /* or two branches */
	const struct tree *left, *right;
};

#define LEAF(text) &(const struct tree){ text, NULL, NULL }
#define NODE(l, r) &(const struct tree){ NULL, l, r }

static int walk(fiber_gen_t *self, const struct tree *t)
{
	int r;

	if (t->leaf)
		return fiber_gen_yield(self, (void *)t->leaf, NULL);
	r = walk(self, t->left);
	return r < 0 ? r : walk(self, t->right);
}

static void *leaves(fiber_gen_t *self, void *tree)
{
	walk(self, tree);
	return NULL;
}

/* Stops at the first difference; what has not been walked by then never is. */
static int same_fringe(const struct tree *one, const struct tree *other)
{
	fiber_gen_t *a = NULL, *b = NULL;
	void *x = NULL, *y = NULL;
	int same = fiber_gen_create(&a, NULL, leaves, (void *)one), more;

	if (same == 0)
		same = fiber_gen_create(&b, NULL, leaves, (void *)other);
	if (same == 0) {
		do {
			more = fiber_gen_resume(a, NULL, &x);
			fiber_gen_resume(b, NULL, &y); /* NULL once there are no more */
		} while (more > 0 && x == y);
		same = x == y;
	}
	fiber_gen_destroy(a);
	fiber_gen_destroy(b);
	return same;
}

static void print_fringes(void)
{
	static const char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
	const struct tree *deep = NODE(NODE(NODE(LEAF(a), LEAF(b)), LEAF(c)), LEAF(d));
	const struct tree *flat = NODE(NODE(LEAF(a), LEAF(b)), NODE(LEAF(c), LEAF(d)));
	const struct tree *swapped = NODE(NODE(LEAF(b), LEAF(a)), NODE(LEAF(c), LEAF(d)));
	const struct tree *longer = NODE(deep, LEAF(a));

	printf("deep and flat: %s fringe\n", same_fringe(deep, flat) == 1 ? "same" : "another");
	printf("deep and swapped: %s fringe\n",
	       same_fringe(deep, swapped) == 1 ? "same" : "another");
	printf("deep and longer: %s fringe\n", same_fringe(deep, longer) == 1 ? "same" : "another");
}

int main(int argc, char **argv)
{
	int r = print_fibonacci(argc > 1 ? strtoull(argv[1], NULL, 10) : 1000);

	if (r < 0)
		fprintf(stderr, "fibonacci: %s\n", fiber_strerror(r));
	else
		print_fringes();
	return r < 0;
}
