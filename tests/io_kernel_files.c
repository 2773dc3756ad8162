/* Files without helper threads, where the kernel performs what is done with them; and an open that
 * is cancelled while it succeeds, wherever it is made. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/file.h>
#include <fiber/io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "law.h"

static char folder[] = "io_kernel_files.XXXXXX";

static void make_folder(void)
{
	cr_assert(mkdtemp(folder));
}

static void remove_folder(void)
{
	cr_expect(rmdir(folder) == 0);
}

TestSuite(io_kernel_files, .init = make_folder, .fini = remove_folder, .timeout = 60);

static const char *path_of(char out[64], const char *name)
{
	snprintf(out, 64, "%s/%s", folder, name);
	return out;
}

/* ---- no helpers -------------------------------------------------------------------------------*/
static int each_kind(void *unused)
{
	char path[64], other[64], bytes[8] = "";
	struct stat about, same;
	fiber_stats_t before, after;
	fiber_fd fd;

	(void)unused;
	path_of(path, "one");
	path_of(other, "two");
	cr_expect(fiber_stats(NULL, &before) == 0);
	fd = fiber_open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
	cr_expect(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_expect(fiber_open(path, O_RDWR | O_CREAT | O_EXCL, 0640) == -EEXIST);
	cr_expect(fiber_pwrite(fd, "kernel", 6, 2) == 6);
	cr_expect(fiber_pread(fd, bytes, sizeof bytes, 2) == 6 && strcmp(bytes, "kernel") == 0);
	cr_expect(fiber_pread(fd, bytes, sizeof bytes, 8) == 0);
	cr_expect(fiber_fsync(fd) == 0);
	cr_expect(fiber_fstat(fd, &about) == 0 && fstat(fd, &same) == 0);
	cr_expect(memcmp(&about, &same, sizeof about) == 0);
	cr_expect(fiber_stat(path, &about) == 0 && memcmp(&about, &same, sizeof about) == 0);
	cr_expect(fiber_stat(other, &about) == -ENOENT);
	cr_expect(fiber_rename(path, other) == 0 && fiber_rename(path, other) == -ENOENT);
	cr_expect(symlink(other, path) == 0);
	cr_expect(fiber_lstat(path, &about) == 0 && S_ISLNK(about.st_mode));
	cr_expect(fiber_unlink(path) == 0 && fiber_unlink(other) == 0);
	cr_expect(fiber_mkdir(path, 0700) == 0 && fiber_mkdir(path, 0700) == -EEXIST);
	cr_expect(fiber_rmdir(path) == 0 && fiber_rmdir(path) == -ENOENT);
	cr_expect(fiber_close(fd) == 0);
	cr_expect(fiber_stats(NULL, &after) == 0);
	cr_expect(after.offloaded == before.offloaded, "%lu calls on helpers",
		  (unsigned long)(after.offloaded - before.offloaded));
	return 0;
}

Test(io_kernel_files, each_kind_without_helper_threads)
{
	fiber_options_t options = {.poller = "io_uring"};

	options.workers = 1;
	if (fiber_run(&options, each_kind, NULL) == -ENOTSUP)
		cr_skip_test("no io_uring here");
	law_holds_with(&options, each_kind, NULL);
}

/* ---- cancelled and yet opened -----------------------------------------------------------------*/
static int open_fifo(void *path)
{
	return fiber_open(path, O_RDONLY);
}

struct tally {
	unsigned opened, cancelled;
	uint64_t seed;
};

/*	opener			main			kernel
 *	open, waits
 *				opens the other end	wakes the opener's call
 *				cancels
 *	a descriptor or
 *	-ECANCELED		closes */
static void one_round(struct tally *t, const char *path)
{
	fiber_t opener;
	int other, r = -1;

	cr_expect(fiber_spawn(&opener, NULL, open_fifo, (void *)path) == 0);
	do { /* until it waits in the call */
		other = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		fiber_yield();
	} while (other < 0 && law_random(&t->seed) % 64);
	for (uint64_t yields = law_random(&t->seed) % 4; yields; yields--)
		fiber_yield();
	cr_expect(fiber_cancel(opener) == 0);
	cr_expect(fiber_join(opener, &r) == 0);
	cr_expect(r >= 0 || r == -ECANCELED, "%d", r);
	t->opened += r >= 0;
	t->cancelled += r == -ECANCELED;
	if (r >= 0)
		cr_expect(fiber_close(r) == 0);
	if (other >= 0)
		close(other);
}

static int many_rounds(void *arg)
{
	struct tally *t = arg;
	char path[64];
	int before;

	cr_expect(mkfifo(path_of(path, "fifo"), 0600) == 0);
	one_round(t, path); /* whatever is made for good is there now */
	before = law_descriptors();
	for (unsigned i = law_rounds(2000); i; i--)
		one_round(t, path);
	cr_expect(law_descriptors() == before);
	cr_expect(unlink(path) == 0);
	return 0;
}

Test(io_kernel_files, a_cancelled_open_that_succeeded_leaves_no_descriptor)
{
	struct tally tally = {.seed = law_seed()};

	law_holds(many_rounds, &tally);
	cr_expect(tally.opened > 0 && tally.cancelled > 0, "%u opened, %u cancelled", tally.opened,
		  tally.cancelled);
}
