/* bench.h - what every harness shares: rows, repetitions, a core to run on, and the lines they
 * print.
 *
 * A harness is a program with a table of rows. Each repetition of a row runs in a forked child of
 * its own, so memory figures begin at nothing and a row cannot spoil the next one. The child runs
 * the row once to warm up and once for the figure (a cold row only once), checks its own work,
 * and dies loudly when that is wrong.
 *
 *	bench-yield                             every row, nine repetitions, a line each, for people
 *	bench-yield --row "100 fibers"          one row
 *	bench-yield --row R --samples 1         for bench/run: name, figure, value, unit, target and
 *	                                        operations, separated by tabs
 *	bench-yield --list                      the rows' names
 *
 * The rivals in C and C++ are built with this file too; those in other languages print the same
 * lines. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_row {
	const char *name;
	/* One repetition: returns the figure, in `unit`; BENCH_NO_FIGURE: it has told its figures
	 * itself. */
	double (*run)(const struct bench_row *);
	double target;       /* what the issue asks for; 0: nothing */
	long operations;     /* in one repetition */
	const char *unit;    /* NULL: nanoseconds for each operation */
	long n;              /* the row's own number: fibers, leaves, ... */
	unsigned workers;    /* 0: one, and the process stays on one core */
	bool cold;           /* no warm-up: the row starts with an empty process */
	long variant;        /* the row's own choice between ways to do it */
};

#define BENCH_NO_FIGURE (-1.0)

int bench_main(int argc, char **argv, const struct bench_row *rows, size_t n);

/* A further figure of the row that runs, beside the one it returns. */
void bench_figure(const char *figure, double value, const char *unit, double target);
/* Something the reader of the table should know. */
void bench_note(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));

/* Wrong work is no figure: says what and where, and ends the program. */
#define BENCH_CHECK(x) ((x) ? (void)0 : bench_fail(#x, __FILE__, __LINE__))
void bench_fail(const char *what, const char *file, int line) __attribute__((__noreturn__));

int64_t bench_now(void);         /* nanoseconds, monotonic */
int64_t bench_cpu(void);         /* nanoseconds of processor time of this process, all threads */
/* Bytes of this process in memory: resident, and its page tables. */
int64_t bench_resident(void);
int64_t bench_page_tables(void);
long bench_mappings(void);       /* lines of /proc/self/maps */
double bench_peak_megabytes(void);
/* Whether so many of so many bytes would not fit into the memory that is free; then a note says
 * so. */
bool bench_lacks_memory(long count, long bytes);
/* How many processors this process may use; to be called once before bench_pin narrows it. */
unsigned bench_processors(void);
/* Keeps the calling thread on one of the processors that the process was started with. */
void bench_pin(unsigned core);

/* Counts of tasks that should have had equal turns: their sum must be `total`. Within one of each
 * other, or it fails; with `promised` false (a rival that never said so) it becomes a note. */
void bench_fair(const long *counts, long n, long total, bool promised);

/* xorshift64: the same sequence for each program. */
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* The compiler must believe that somebody reads x. */
#define bench_keep(x) __asm__ volatile("" : : "r"(x) : "memory")

#ifdef __cplusplus
}
#endif
#endif
