/* stage_posix.c - what the stage asks of POSIX systems; see stage.h. */
#include <fcntl.h>
#include <sys/uio.h>

#include "poller/young.h"
#include "stage.h"

void stage_trust_numbers(void)
{
	young_checks = false;
}

void stage_check_numbers(void)
{
	young_checks = true;
}

void stage_unix_pair(int type, int out[2])
{
	cr_assert(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, out) == 0);
}

bool stage_pipes_can_be_tried(void)
{
	char byte;
	struct iovec iov = {&byte, 1};
	int ends[2];
	bool can;

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	can = preadv2(ends[0], &iov, 1, -1, RWF_NOWAIT) < 0 && errno == EAGAIN;
	close(ends[0]);
	close(ends[1]);
	return can;
}
