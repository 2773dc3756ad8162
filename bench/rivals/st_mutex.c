/* State Threads in the workload of bench/sync.c: its mutex, which knows no second thread. It has no
 * yield, so nobody can be made to contend without a detour through the kernel. */
#include "bench.h"

#include <st.h>

static long counted;

static double uncontended(const struct bench_row *row)
{
	int64_t begin, end;
	st_mutex_t mutex;

	BENCH_CHECK(st_init() == 0);
	mutex = st_mutex_new();
	counted = 0;
	begin = bench_now();
	for (long i = 0; i < row->n; i++) {
		st_mutex_lock(mutex);
		counted++;
		st_mutex_unlock(mutex);
	}
	end = bench_now();
	BENCH_CHECK(counted == row->n);
	return (double)(end - begin) / row->n;
}

static const struct bench_row rows[] = {
	{"mutex, alone", uncontended, 0, 5000000, .n = 5000000, .cold = true},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
