/* quit_signal_windows.c - Ctrl-Break; see quit_signal.h. The system calls the handler on a thread
 * of its own. Other console events go to whoever comes next. */
#include "sched/quit_signal.h"

#include <windows.h>

static BOOL WINAPI on_event(DWORD event)
{
	if (event != CTRL_BREAK_EVENT)
		return FALSE;
	quit_arrived();
	return TRUE;
}

void quit_signal_take(void)
{
	SetConsoleCtrlHandler(on_event, TRUE);
}

void quit_signal_give(void)
{
	SetConsoleCtrlHandler(on_event, FALSE);
}
