/* file_windows.c - files at an offset, and to the disk, on helper threads. */
#include "io/io.h"
#include "os/errno_windows.h"

struct call {
	HANDLE file;
	void *buffer;
	size_t bytes;
	int64_t offset;
	bool out;
	ssize_t result;
};

static ssize_t outcome(const struct call *c, BOOL done, DWORD moved)
{
	DWORD error = done ? 0 : GetLastError();

	if (done || (!c->out && error == ERROR_HANDLE_EOF))
		return moved;
	/* What has no positions refuses the offset. */
	return error == ERROR_INVALID_PARAMETER ? -ESPIPE : os_error(error);
}

static int transfer(void *argument)
{
	struct call *c = argument;
	OVERLAPPED at = { .Offset = (DWORD)c->offset,
			  .OffsetHigh = (DWORD)((uint64_t)c->offset >> 32) };
	DWORD bytes = c->bytes < INT_MAX ? (DWORD)c->bytes : INT_MAX, moved = 0;
	HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
	BOOL done;

	at.hEvent = (HANDLE)((uintptr_t)event | 1); /* no packet to anybody's port */
	done = c->out ? WriteFile(c->file, c->buffer, bytes, NULL, &at)
		      : ReadFile(c->file, c->buffer, bytes, NULL, &at);
	if (done || GetLastError() == ERROR_IO_PENDING)
		done = GetOverlappedResult(c->file, &at, &moved, TRUE);
	c->result = outcome(c, done, moved);
	CloseHandle(event);
	return 0;
}

static ssize_t at_offset(struct call *c)
{
	int r;

	if (GetFileType(c->file) != FILE_TYPE_DISK)
		return GetFileType(c->file) == FILE_TYPE_UNKNOWN ? -EBADF : -ESPIPE;
	r = io_check_time();
	if (r == 0)
		r = wait_offload(transfer, c);
	return r < 0 ? r : c->result;
}

static int check(fiber_fd fd, const void *buffer, size_t bytes, int64_t offset)
{
	int r = io_check(fd, buffer, bytes);

	return r == 0 && offset < 0 ? -EINVAL : r;
}

PUBLIC ssize_t fiber_pread(fiber_fd fd, void *buffer, size_t bytes, int64_t offset)
{
	struct call c = { (HANDLE)fd, buffer, bytes, offset, false, 0 };
	int r = check(fd, buffer, bytes, offset);

	return r < 0 ? r : at_offset(&c);
}

PUBLIC ssize_t fiber_pwrite(fiber_fd fd, const void *buffer, size_t bytes, int64_t offset)
{
	struct call c = { (HANDLE)fd, (void *)buffer, bytes, offset, true, 0 };
	int r = check(fd, buffer, bytes, offset);

	return r < 0 ? r : at_offset(&c);
}

static int flush(void *argument)
{
	struct call *c = argument;

	c->result = FlushFileBuffers(c->file) ? 0 : os_error(GetLastError());
	return 0;
}

PUBLIC int fiber_fsync(fiber_fd fd)
{
	struct call c = { .file = (HANDLE)fd };
	int r = fd < 0 ? -EBADF : io_check_time();

	if (r == 0)
		r = wait_offload(flush, &c);
	return r < 0 ? r : (int)c.result;
}
