/* bench.c - rows are run and printed here (bench.h); what they measure with is in measure.c.
 *
 * Figures travel from the child to its parent through a pipe, as the lines that bench/run reads.
 * With --samples the parent hands them on; without, it collects them and prints a table. */
#include "bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIGURES = 8, SAMPLES = 64, NAME_BYTES = 96 };

struct figure {
	char name[NAME_BYTES];
	char unit[16];
	double target;
	long operations;
	double samples[SAMPLES];
	int count;
};

static const struct bench_row *running;
static FILE *lines; /* in the child: where its lines go */

void bench_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "bench: %s: wrong work: %s (%s:%d)\n", running ? running->name : "", what,
		file, line);
	_exit(1);
}

/* ---- in the child: a line for each figure*/

void bench_figure(const char *figure, double value, const char *unit, double target)
{
	fprintf(lines, "%s\t%s\t%.9g\t%s\t%g\t%ld\n", running->name, figure, value, unit, target,
		running->operations);
}

void bench_note(const char *format, ...)
{
	va_list list;

	fprintf(lines, "%s\tnote\t", running->name);
	va_start(list, format);
	vfprintf(lines, format, list);
	va_end(list);
	fputc('\n', lines);
}

static void nothing(const struct bench_row *row, int out)
{
	lines = fdopen(out, "w");
	BENCH_CHECK(lines);
	bench_note("needs %u processors", row->workers);
	BENCH_CHECK(fclose(lines) == 0);
}

/* A note of the warm-up would appear twice, so its lines go nowhere. */
static void repeat(const struct bench_row *row, int out)
{
	double value;

	running = row;
	if (row->workers > bench_processors())
		return nothing(row, out);
	if (row->workers < 2)
		bench_pin(0);
	if (!row->cold) {
		lines = fopen("/dev/null", "w");
		BENCH_CHECK(lines);
		row->run(row);
		fclose(lines);
	}
	lines = fdopen(out, "w");
	BENCH_CHECK(lines);
	value = row->run(row);
	if (value >= 0)
		bench_figure("", value, row->unit ? row->unit : "ns", row->target);
	BENCH_CHECK(fclose(lines) == 0);
}

/* ---- in the parent*/

static FILE *start(const struct bench_row *row, pid_t *child)
{
	int ends[2];
	FILE *from;

	fflush(stdout);
	BENCH_CHECK(pipe(ends) == 0);
	*child = fork();
	BENCH_CHECK(*child >= 0);
	if (*child == 0) {
		close(ends[0]);
		repeat(row, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	from = fdopen(ends[0], "r");
	BENCH_CHECK(from);
	return from;
}

static void finish(FILE *from, pid_t child, const struct bench_row *row)
{
	int status;

	fclose(from);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	fprintf(stderr, "bench: %s: %s %d\n", row->name,
		WIFSIGNALED(status) ? "died by signal" : "failed with status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	exit(1);
}

/* For bench/run: the lines as they are. */
static void hand_on(const struct bench_row *row, int samples)
{
	char line[512];
	pid_t child;

	for (int i = 0; i < samples; i++) {
		FILE *from = start(row, &child);

		while (fgets(line, sizeof line, from))
			fputs(line, stdout);
		finish(from, child, row);
	}
}

static struct figure *figure_of(struct figure *figures, int *count, const char *name)
{
	for (int i = 0; i < *count; i++)
		if (!strcmp(figures[i].name, name))
			return &figures[i];
	BENCH_CHECK(*count < FIGURES);
	snprintf(figures[*count].name, NAME_BYTES, "%s", name);
	return &figures[(*count)++];
}

/* Splits at tabs, in place; empty fields count, which strtok would skip. */
static int split(char *line, char **fields, int most)
{
	int n = 0;
	char *next;

	line[strcspn(line, "\n")] = 0;
	do {
		next = strchr(line, '\t');
		if (next)
			*next++ = 0;
		fields[n++] = line;
		line = next;
	} while (line && n < most);
	return n;
}

static void collect(struct figure *figures, int *count, char *line)
{
	char *field[6];
	struct figure *f;
	int n = split(line, field, 6);

	if (n == 3)
		printf("%-44s %s\n", field[0], field[2]);
	if (n < 6)
		return;
	f = figure_of(figures, count, field[1]);
	snprintf(f->unit, sizeof f->unit, "%s", field[3]);
	f->target = atof(field[4]);
	f->operations = atol(field[5]);
	BENCH_CHECK(f->count < SAMPLES);
	f->samples[f->count++] = atof(field[2]);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const struct bench_row *row, struct figure *f)
{
	int width = 44 - printf("%s%s%s", row->name, f->name[0] ? ", " : "", f->name);

	qsort(f->samples, f->count, sizeof f->samples[0], compare);
	printf("%*s %10ld  min %10.2f  median %10.2f  max %10.2f %s",
	       width > 0 ? width : 1, "", f->operations,
	       f->samples[0], f->samples[f->count / 2], f->samples[f->count - 1], f->unit);
	if (f->target > 0)
		printf("  (target %g)", f->target);
	putchar('\n');
}

static void tabulate(const struct bench_row *row, int samples)
{
	struct figure figures[FIGURES] = {0};
	char line[512];
	int count = 0;
	pid_t child;

	for (int i = 0; i < samples; i++) {
		FILE *from = start(row, &child);

		while (fgets(line, sizeof line, from))
			collect(figures, &count, line);
		finish(from, child, row);
	}
	for (int i = 0; i < count; i++)
		print(row, &figures[i]);
}

int bench_main(int argc, char **argv, const struct bench_row *rows, size_t n)
{
	const char *only = NULL;
	int samples = 0, matched = 0;
	bool list = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--row") && i + 1 < argc)
			only = argv[++i];
		else if (!strcmp(argv[i], "--samples") && i + 1 < argc)
			samples = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--list"))
			list = true;
		else
			return fprintf(stderr, "usage: %s [--list] [--row NAME] [--samples N]\n",
				       argv[0]), 2;
	}
	bench_processors();
	for (size_t i = 0; i < n; i++) {
		if (only && strcmp(only, rows[i].name))
			continue;
		matched++;
		if (list)
			puts(rows[i].name);
		else if (samples)
			hand_on(&rows[i], samples);
		else
			tabulate(&rows[i], 9);
	}
	return matched ? 0 : 3; /* 3: no such row here, which bench/run shows as an empty cell */
}
