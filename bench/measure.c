/* measure.c - what rows measure with: clocks, memory, the processor they stay on, fairness. */
#include "bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static cpu_set_t allowed; /* what this process was started with */

int64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t bench_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t status_kilobytes(const char *key)
{
	char line[256];
	long value = -1;
	FILE *file = fopen("/proc/self/status", "r");

	BENCH_CHECK(file);
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, key, strlen(key)))
			value = atol(line + strlen(key));
	fclose(file);
	BENCH_CHECK(value >= 0);
	return value;
}

int64_t bench_resident(void)
{
	return status_kilobytes("VmRSS:") * 1024;
}

int64_t bench_page_tables(void)
{
	return status_kilobytes("VmPTE:") * 1024;
}

long bench_mappings(void)
{
	long count = 0;
	int c;
	FILE *file = fopen("/proc/self/maps", "r");

	BENCH_CHECK(file);
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

double bench_peak_megabytes(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss / 1024.0;
}

bool bench_lacks_memory(long count, long bytes)
{
	char line[256];
	double free_kilobytes = 0, needed = (double)count * (double)bytes / 1024;
	FILE *file = fopen("/proc/meminfo", "r");

	BENCH_CHECK(file);
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, "MemAvailable:", 13))
			free_kilobytes = atof(line + 13);
	fclose(file);
	if (needed < 0.9 * free_kilobytes)
		return false;
	bench_note("needs %.0f MB of memory", needed / 1024);
	return true;
}

unsigned bench_processors(void)
{
	if (CPU_COUNT(&allowed) == 0)
		BENCH_CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
	return (unsigned)CPU_COUNT(&allowed);
}

void bench_pin(unsigned core)
{
	cpu_set_t one;
	int skip = (int)(core % bench_processors());

	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &allowed) && skip-- == 0) {
			CPU_ZERO(&one);
			CPU_SET(i, &one);
			BENCH_CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
			return;
		}
}

void bench_fair(const long *counts, long n, long total, bool promised)
{
	long least = counts[0], most = counts[0], sum = 0;

	for (long i = 0; i < n; i++) {
		least = counts[i] < least ? counts[i] : least;
		most = counts[i] > most ? counts[i] : most;
		sum += counts[i];
	}
	BENCH_CHECK(sum == total);
	if (most - least <= 1)
		return;
	if (promised)
		fprintf(stderr, "bench: turns of one task: %ld to %ld\n", least, most);
	BENCH_CHECK(!promised);
	bench_note("unfair: turns of one task %ld to %ld", least, most);
}
