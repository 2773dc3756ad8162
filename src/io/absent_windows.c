/* absent_windows.c - not there on Windows so far: files by name, what is known of them,
 * directories, stdio, sendfile, fiber_own. Every call says so, -ENOSYS, whatever it is given. */
#include <errno.h>
#include <fiber/file.h>
#include <fiber/io.h>

#include "base/must.h"

/* Nothing is looked at. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

PUBLIC int fiber_stat(const char *path, struct stat *out)
{
	return -ENOSYS;
}

PUBLIC int fiber_lstat(const char *path, struct stat *out)
{
	return -ENOSYS;
}

PUBLIC int fiber_fstat(fiber_fd fd, struct stat *out)
{
	return -ENOSYS;
}

PUBLIC int fiber_rename(const char *from, const char *to)
{
	return -ENOSYS;
}

PUBLIC int fiber_unlink(const char *path)
{
	return -ENOSYS;
}

PUBLIC int fiber_mkdir(const char *path, mode_t mode)
{
	return -ENOSYS;
}

PUBLIC int fiber_rmdir(const char *path)
{
	return -ENOSYS;
}

PUBLIC int fiber_opendir(fiber_dir_t **out, const char *path)
{
	return -ENOSYS;
}

PUBLIC int fiber_readdir(fiber_dir_t *dir, const struct dirent **entry)
{
	return -ENOSYS;
}

PUBLIC int fiber_closedir(fiber_dir_t *dir)
{
	return -ENOSYS;
}

PUBLIC ssize_t fiber_read_file(const char *path, void **out, size_t most)
{
	return -ENOSYS;
}

PUBLIC int fiber_write_file(const char *path, const void *data, size_t size, mode_t mode)
{
	return -ENOSYS;
}

PUBLIC int fiber_fdopen(FILE **out, fiber_fd fd, const char *mode)
{
	return -ENOSYS;
}

PUBLIC int fiber_print(const char *text)
{
	return -ENOSYS;
}

PUBLIC int fiber_printf(const char *format, ...)
{
	return -ENOSYS;
}

PUBLIC int fiber_dprintf(fiber_fd fd, const char *format, ...)
{
	return -ENOSYS;
}

PUBLIC ssize_t fiber_sendfile(fiber_fd out, fiber_fd in, int64_t *offset, size_t size)
{
	return -ENOSYS;
}

PUBLIC int fiber_own(fiber_fd fd)
{
	return -ENOSYS;
}
