/* Names and directories, and files read and written whole: on helpers, while the worker goes on. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fiber/file.h>

#include "law.h"
#include "on_a_thread.h"
#include "worlds.h"

static char folder[] = "file.XXXXXX";

static void make_folder(void)
{
	cr_expect(mkdtemp(folder) != NULL);
}

/* Nothing is left behind, no temporary file either. */
static void remove_folder(void)
{
	cr_expect(rmdir(folder) == 0, "%s", strerror(errno));
}

TestSuite(file, .init = make_folder, .fini = remove_folder, .timeout = 60);

static const char *path_of(const char *name)
{
	static __thread char path[4][300];
	static __thread unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof path[0], "%s/%s", folder, name);
	return p;
}

/* Every law twice: between fibers, and on a plain thread. */
static void holds(fiber_fn *law)
{
	law_holds(law, NULL);
	cr_expect(on_a_thread(law, NULL) == 0);
}

/* ---- names ------------------------------------------------------------------------------------*/
static int names(void *arg)
{
	struct stat about, other;
	fiber_fd fd = fiber_open(path_of("one"), O_RDWR | O_CREAT, 0640);

	(void)arg;
	cr_expect(fiber_write(fd, "12345", 5) == 5);
	cr_expect(fiber_stat(path_of("one"), &about) == 0 && about.st_size == 5);
	cr_expect(fiber_fstat(fd, &other) == 0 && other.st_ino == about.st_ino);
	cr_expect(symlink("one", path_of("link")) == 0);
	cr_expect(fiber_lstat(path_of("link"), &other) == 0 && S_ISLNK(other.st_mode));
	cr_expect(fiber_stat(path_of("link"), &other) == 0 && other.st_ino == about.st_ino);
	cr_expect(fiber_rename(path_of("one"), path_of("two")) == 0);
	cr_expect(fiber_stat(path_of("one"), &other) == -ENOENT);
	cr_expect(fiber_stat(path_of("two"), &other) == 0 && other.st_ino == about.st_ino);
	cr_expect(fiber_unlink(path_of("link")) == 0);
	cr_expect(fiber_mkdir(path_of("sub"), 0700) == 0);
	cr_expect(fiber_mkdir(path_of("sub"), 0700) == -EEXIST);
	cr_expect(fiber_rename(path_of("two"), path_of("sub/two")) == 0);
	cr_expect(fiber_rmdir(path_of("sub")) == -ENOTEMPTY);
	cr_expect(fiber_unlink(path_of("sub/two")) == 0);
	cr_expect(fiber_rmdir(path_of("sub")) == 0);
	return fiber_close(fd);
}

Test(file, names_are_looked_up_changed_and_removed)
{
	holds(names);
}

static int interrupted(void *arg)
{
	const struct dirent *entry;
	fiber_scope_t scope;
	fiber_dir_t *dir;
	struct stat about;
	void *data = NULL;

	(void)arg;
	cr_expect(fiber_opendir(&dir, folder) == 0);
	fiber_within(&scope, 0);
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(fiber_stat(folder, &about) == -ECANCELED);
	cr_expect(fiber_lstat(folder, &about) == -ECANCELED);
	cr_expect(fiber_fstat(0, &about) == -ECANCELED);
	cr_expect(fiber_mkdir(path_of("never"), 0700) == -ECANCELED);
	cr_expect(fiber_rmdir(folder) == -ECANCELED);
	cr_expect(fiber_unlink(folder) == -ECANCELED);
	cr_expect(fiber_rename(folder, "never") == -ECANCELED);
	cr_expect(fiber_readdir(dir, &entry) == -ECANCELED);
	cr_expect(fiber_opendir(&dir, folder) == -ECANCELED);
	cr_expect(fiber_read_file("/proc/self/status", &data, 0) == -ECANCELED && !data);
	cr_expect(fiber_write_file(path_of("never"), "x", 1, 0600) == -ECANCELED);
	cr_expect(fiber_closedir(dir) == 0, "never interrupted");
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	return 0;
}

Test(file, a_known_interruption_comes_before_any_effect)
{
	holds(interrupted);
}

static int misuse(void *arg)
{
	const struct dirent *entry;
	fiber_dir_t *dir;
	struct stat about;
	void *data;

	(void)arg;
	cr_expect(fiber_stat(NULL, &about) == -EFAULT && fiber_stat(folder, NULL) == -EFAULT);
	cr_expect(fiber_lstat(NULL, &about) == -EFAULT && fiber_fstat(-1, &about) == -EBADF);
	cr_expect(fiber_fstat(0, NULL) == -EFAULT && fiber_unlink(NULL) == -EFAULT);
	cr_expect(fiber_mkdir(NULL, 0) == -EFAULT && fiber_rmdir(NULL) == -EFAULT);
	cr_expect(fiber_rename(NULL, "x") == -EFAULT && fiber_rename("x", NULL) == -EFAULT);
	cr_expect(fiber_opendir(NULL, folder) == -EFAULT && fiber_opendir(&dir, NULL) == -EFAULT);
	cr_expect(fiber_opendir(&dir, path_of("absent")) == -ENOENT);
	cr_expect(fiber_readdir(NULL, &entry) == -EFAULT && fiber_closedir(NULL) == -EFAULT);
	cr_expect(fiber_read_file(NULL, &data, 0) == -EFAULT);
	cr_expect(fiber_read_file("x", NULL, 0) == -EFAULT);
	cr_expect(fiber_write_file(NULL, "x", 1, 0) == -EFAULT);
	cr_expect(fiber_write_file("x", NULL, 1, 0) == -EFAULT);
	cr_expect(fiber_write_file("x", "x", SIZE_MAX, 0) == -EINVAL);
	return 0;
}

Test(file, misuse_is_told)
{
	holds(misuse);
}

/* ---- directories ------------------------------------------------------------------------------*/
enum { ENTRIES = 200 };

static int directory(void *arg)
{
	const struct dirent *entry;
	unsigned seen = 0, dots = 0;
	fiber_dir_t *dir;
	char name[16];
	int r;

	(void)arg;
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof name, "e%d", i);
		cr_expect(fiber_close(fiber_open(path_of(name), O_CREAT | O_RDWR, 0600)) == 0);
	}
	cr_expect(fiber_opendir(&dir, folder) == 0);
	while ((r = fiber_readdir(dir, &entry)) == 1) {
		dots += entry->d_name[0] == '.';
		seen += entry->d_name[0] == 'e';
		if (entry->d_name[0] == 'e')
			cr_expect(unlink(path_of(entry->d_name)) == 0, "each once");
	}
	cr_expect(r == 0 && fiber_readdir(dir, &entry) == 0, "the end stays");
	cr_expect(seen == ENTRIES && dots == 2, "%u, %u", seen, dots);
	return fiber_closedir(dir);
}

Test(file, a_directory_gives_each_entry_once)
{
	holds(directory);
}

/* ---- whole files ------------------------------------------------------------------------------*/
static int expect_contents(const char *path, const char *expected, size_t bytes)
{
	void *data;
	ssize_t n = fiber_read_file(path, &data, 0);

	cr_expect(n == (ssize_t)bytes, "%zd of %zu", n, bytes);
	if (n < 0)
		return (int)n;
	cr_expect(memcmp(data, expected, bytes) == 0 && ((char *)data)[n] == 0);
	free(data);
	return 0;
}

static int whole(void *arg)
{
	enum { BYTES = 3000001 };
	char *data = malloc(BYTES);
	struct stat about;

	(void)arg;
	for (int i = 0; i < BYTES; i++)
		data[i] = (char)(i * 7 + i / 1000);
	umask(022);
	cr_expect(fiber_write_file(path_of("whole"), data, BYTES, 0666) == 0);
	cr_expect(fiber_stat(path_of("whole"), &about) == 0 && (about.st_mode & 07777) == 0644);
	expect_contents(path_of("whole"), data, BYTES);
	cr_expect(chmod(path_of("whole"), 0604) == 0);
	cr_expect(symlink("whole", path_of("link")) == 0);
	cr_expect(fiber_write_file(path_of("link"), "short", 5, 0) == 0);
	cr_expect(fiber_lstat(path_of("link"), &about) == 0 && S_ISLNK(about.st_mode));
	cr_expect(fiber_lstat(path_of("whole"), &about) == 0 && S_ISREG(about.st_mode));
	cr_expect((about.st_mode & 07777) == 0604, "the mode is kept: %o", about.st_mode);
	expect_contents(path_of("link"), "short", 5);
	cr_expect(fiber_write_file(path_of("whole"), NULL, 0, 0) == 0);
	expect_contents(path_of("whole"), "", 0);
	cr_expect(unlink(path_of("link")) == 0 && unlink(path_of("whole")) == 0);
	free(data);
	return 0;
}

Test(file, is_written_and_read_whole)
{
	holds(whole);
}

static int refused(void *arg)
{
	void *data = &data;

	(void)arg;
	cr_expect(fiber_read_file(path_of("absent"), &data, 0) == -ENOENT && !data);
	cr_expect(fiber_read_file(folder, &data, 0) == -EISDIR);
	cr_expect(fiber_read_file("/dev/zero", &data, 0) == -EINVAL);
	cr_expect(mkfifo(path_of("fifo"), 0600) == 0);
	cr_expect(fiber_read_file(path_of("fifo"), &data, 0) == -EINVAL, "not waited for");
	cr_expect(fiber_write_file(path_of("fifo"), "x", 1, 0600) == -EINVAL);
	cr_expect(unlink(path_of("fifo")) == 0);
	cr_expect(fiber_write_file(folder, "x", 1, 0600) == -EISDIR);
	cr_expect(fiber_write_file(path_of("absent/x"), "x", 1, 0600) == -ENOENT);
	cr_expect(fiber_write_file(path_of("most"), "1234567890", 10, 0600) == 0);
	cr_expect(fiber_read_file(path_of("most"), &data, 9) == -EFBIG);
	cr_expect(fiber_read_file(path_of("most"), &data, 10) == 10);
	free(data);
	cr_expect(unlink(path_of("most")) == 0);
	cr_expect(fiber_read_file("/proc/self/status", &data, 0) > 0, "of size 0, it says");
	free(data);
	cr_expect(fiber_read_file("/proc/self/status", &data, 10) == -EFBIG && !data);
	return 0;
}

Test(file, what_is_no_regular_file_is_refused)
{
	holds(refused);
}

/* Beyond RLIMIT_FSIZE: an error, no signal, the old contents, and nothing left behind. */
static int too_large(void *arg)
{
	char *data = calloc(1, 100000);

	(void)arg;
	cr_expect(fiber_write_file(path_of("kept"), "old", 3, 0600) == 0);
	cr_expect(fiber_write_file(path_of("kept"), data, 100000, 0600) == -EFBIG);
	expect_contents(path_of("kept"), "old", 3);
	cr_expect(unlink(path_of("kept")) == 0);
	free(data);
	return 0;
}

Test(file, one_that_cannot_be_written_leaves_the_old)
{
	cr_expect(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 65536, 65536 }) == 0);
	holds(too_large);
}

/* ---- against interruptions --------------------------------------------------------------------*/
enum { LARGE = 8 << 20 };
static char raced[64]; /* path_of is for one fiber at a time */

static int writes_large(void *data)
{
	return fiber_write_file(raced, data, LARGE, 0600);
}

/* Old or new, whole; and the writer knows which. */
static int written_or_not(void *arg)
{
	uint64_t state = *(uint64_t *)arg;
	char *old = malloc(LARGE), *new = malloc(LARGE);

	snprintf(raced, sizeof raced, "%s/raced", folder);
	memset(old, 'o', LARGE);
	memset(new, 'n', LARGE);
	for (int i = 0; i < 10; i++) {
		fiber_t f;
		int r;

		cr_expect(fiber_write_file(raced, old, LARGE, 0600) == 0);
		f = spawned(writes_large, new);
		fiber_sleep((int64_t)(law_random(&state) % (8 * FIBER_MILLISECOND)));
		cr_expect(fiber_cancel(f) == 0);
		r = result_of(f);
		cr_expect(r == 0 || r == -ECANCELED, "%d", r);
		expect_contents(raced, r == 0 ? new : old, LARGE);
	}
	cr_expect(unlink(raced) == 0);
	free(old);
	free(new);
	return 0;
}

Test(file, a_cancelled_write_changes_nothing_or_all)
{
	uint64_t seed = law_seed();

	law_holds(written_or_not, &seed);
}

/* Many at one name: each reader finds one writer's, whole. */
enum { WRITERS = 6, SIZE = 50000 };
static char shared[64]; /* path_of is for one fiber at a time */

static int writes_its_letter(void *arg)
{
	char *data = malloc(SIZE);
	int r = 0;

	memset(data, (int)(intptr_t)arg, SIZE);
	for (int i = 0; i < 10 && r == 0; i++)
		r = fiber_write_file(shared, data, SIZE, 0600);
	free(data);
	return r;
}

static int reads_one_letter(void *arg)
{
	void *data;
	ssize_t n;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		n = fiber_read_file(shared, &data, 0);
		cr_expect(n == SIZE);
		for (int k = 1; k < SIZE && n == SIZE; k++)
			if (((char *)data)[k] != ((char *)data)[0]) {
				cr_expect(false, "mixed at %d", k);
				break;
			}
		free(data);
	}
	return 0;
}

static int writers_and_readers(void *arg)
{
	fiber_t f[2 * WRITERS];

	(void)arg;
	snprintf(shared, sizeof shared, "%s/shared", folder);
	cr_expect(writes_its_letter((void *)'z') == 0);
	for (intptr_t i = 0; i < WRITERS; i++) {
		f[2 * i] = spawned(writes_its_letter, (void *)('a' + i));
		f[2 * i + 1] = spawned(reads_one_letter, NULL);
	}
	for (int i = 0; i < 2 * WRITERS; i++)
		cr_expect(result_of(f[i]) == 0);
	return fiber_unlink(shared);
}

Test(file, a_reader_finds_one_writers_contents_whole)
{
	law_holds(writers_and_readers, NULL);
}
