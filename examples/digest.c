/* digest.c - checksums and compressed sizes of many files at the same time, while a fiber on the
 * same worker goes on as if nothing happened.
 *
 *	digest FILE...
 *
 * Reading and computing both happen on helper threads: what computes for long holds up a worker as
 * much as what blocks. */
#include <errno.h>
#include <fiber/file.h>
#include <stdlib.h>
#include <zlib.h>

struct job {
	const char *path;
	void *data;
	size_t bytes;
	unsigned long crc, compressed;
};

static struct {
	long beats;                    /* of the heartbeat so far */
	long seen;                     /* how many there were at the last completion */
	int completions, gaps;         /* between two completions there was a beat */
} progress;

/* On a helper thread. */
static int compute(void *arg)
{
	struct job *job = arg;
	unsigned char *out;

	job->compressed = compressBound(job->bytes);
	out = malloc(job->compressed);
	if (!out)
		return -ENOMEM;
	job->crc = crc32(crc32(0, NULL, 0), job->data, (unsigned)job->bytes);
	if (compress2(out, &job->compressed, job->data, job->bytes, 9) != Z_OK)
		job->compressed = 0;
	free(out);
	return 0;
}

static int digest(void *arg)
{
	struct job job = {.path = arg};
	ssize_t n = fiber_read_file(job.path, &job.data, UINT32_MAX);
	int r;

	if (n >= 0) {
		job.bytes = (size_t)n;
		n = fiber_offload(compute, &job);
		free(job.data);
	}
	if (n < 0)
		r = fiber_dprintf(2, "%s: %s\n", job.path, fiber_strerror((int)n));
	else
		r = fiber_printf("%08lx %zu %lu %s\n", job.crc, job.bytes, job.compressed,
				 job.path);
	if (progress.completions++ > 0 && progress.beats > progress.seen)
		progress.gaps++;
	progress.seen = progress.beats;
	return n < 0 ? (int)n : r;
}

static int heartbeat(void *arg)
{
	(void)arg;
	while (fiber_sleep(FIBER_MILLISECOND) == 0)
		progress.beats++;
	return 0;
}

static int all(void *arg)
{
	fiber_group_t group = FIBER_GROUP_INIT;
	fiber_t heart;
	int r = fiber_spawn(&heart, NULL, heartbeat, NULL);

	if (r < 0)
		return r;
	for (char **path = arg; *path; path++)
		fiber_group_spawn(&group, NULL, digest, *path);
	r = fiber_group_wait(&group);
	fiber_cancel(heart);
	fiber_join(heart, NULL);
	if (r < 0)
		return r;
	return fiber_printf("%d files, %ld beats, in %d of %d gaps between completions\n",
			    progress.completions, progress.beats, progress.gaps,
			    progress.completions - 1);
}

int main(int argc, char **argv)
{
	(void)argc;
	return fiber_run(&(fiber_options_t){.workers = 1}, all, argv + 1) < 0;
}
