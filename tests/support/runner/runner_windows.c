/* runner_windows.c - processes of tests on Windows; see runner.h. */
#include "runner.h"

#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include "plain_words.h"

struct runner_process {
	HANDLE handle;
	ULONGLONG end; /* by GetTickCount64 */
};

struct runner_process *runner_start(const char *argument, double seconds)
{
	struct runner_process *p = malloc(sizeof *p);
	STARTUPINFOA about = { .cb = sizeof about, .dwFlags = STARTF_USESTDHANDLES };
	PROCESS_INFORMATION process;
	char self[MAX_PATH], line[MAX_PATH + 512];

	if (!p)
		return NULL;
	GetModuleFileNameA(NULL, self, sizeof self);
	snprintf(line, sizeof line, "\"%s\" --only %s", self, argument);
	about.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
	about.hStdOutput = about.hStdError = GetStdHandle(STD_ERROR_HANDLE);
	SetHandleInformation(about.hStdError, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
	fflush(NULL);
	if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &about, &process)) {
		free(p);
		return NULL;
	}
	CloseHandle(process.hThread);
	p->handle = process.hProcess;
	p->end = GetTickCount64() + (ULONGLONG)(seconds * 1000);
	return p;
}

static void end_by(DWORD code, int *status, char *how, size_t how_bytes)
{
	*status = (int)code;
	snprintf(how, how_bytes, code < 256 ? "" : " (exception %#lx)", code);
}

size_t runner_wait(struct runner_process **all, size_t n, int *status, char *how, size_t how_bytes)
{
	HANDLE handles[MAXIMUM_WAIT_OBJECTS];
	ULONGLONG now = GetTickCount64();
	size_t first = 0;
	DWORD r, code = 0;

	for (size_t i = 0; i < n; i++) {
		handles[i] = all[i]->handle;
		first = all[i]->end < all[first]->end ? i : first;
	}
	r = WaitForMultipleObjects((DWORD)n, handles, FALSE,
				   all[first]->end > now ? (DWORD)(all[first]->end - now) : 0);
	how[0] = 0;
	if (r < n) {
		first = r;
		GetExitCodeProcess(all[first]->handle, &code);
		end_by(code, status, how, how_bytes);
	} else {
		TerminateProcess(all[first]->handle, 1);
		*status = RUNNER_TIMED_OUT;
	}
	CloseHandle(all[first]->handle);
	free(all[first]);
	return first;
}

unsigned runner_processors(void)
{
	SYSTEM_INFO about;

	GetSystemInfo(&about);
	return about.dwNumberOfProcessors;
}

/* ---- what tests call, and POSIX has -----------------------------------------------------------*/
int setenv(const char *name, const char *value, int overwrite)
{
	return !overwrite && getenv(name) ? 0 : _putenv_s(name, value);
}

int unsetenv(const char *name)
{
	return _putenv_s(name, "");
}
