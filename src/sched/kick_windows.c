/* kick_windows.c - another thread's system call is made to come back by CancelSynchronousIo; see
 * kick.h. */
#include "sched/kick.h"

#include <windows.h>

int kick_signal(void)
{
	return 0;
}

void kick_allow(void)
{
}

void kick_send(pthread_t thread)
{
	CancelSynchronousIo(pthread_gethandle(thread));
}

int kick_chosen(void)
{
	return 0;
}
