/* Stacks on Windows: they grow by guard pages as a thread's own does, in one frame and in many, and
 * end with a report; unwinding leads through a fiber's frames to its beginning. */
#include <criterion/criterion.h>
#include <winsock2.h>

#include "law.h"

enum { DEEP = 512 * 1024, STACK = 1024 * 1024 };

/* ---- growth -----------------------------------------------------------------------------------*/
static __attribute__((__noinline__)) int one_frame(void)
{
	volatile char frame[DEEP];

	frame[0] = 7;
	return frame[0];
}

static __attribute__((__noinline__)) int many_frames(int bytes)
{
	volatile char frame[1000];

	frame[0] = (char)bytes;
	if (bytes > 0)
		return many_frames(bytes - 1000) + frame[0] - (char)bytes;
	return 0;
}

static int go_deep(void *in_one)
{
	for (int i = 0; i < 3; i++) {
		if (in_one)
			cr_expect(one_frame() == 7);
		else
			many_frames(DEEP);
		fiber_yield();
	}
	return 0;
}

static int each_way(void *arg)
{
	fiber_attr_t attr = { .stack_bytes = STACK };
	fiber_t f[4];

	/* Twice: the second time on stacks that have grown before. */
	for (int round = 0; round < 2; round++) {
		for (intptr_t i = 0; i < 4; i++)
			cr_expect(fiber_spawn(&f[i], &attr, go_deep, (void *)(i % 2)) == 0);
		for (int i = 0; i < 4; i++)
			cr_expect(fiber_join(f[i], NULL) == 0);
	}
	(void)arg;
	return 0;
}

Test(stack_windows, a_stack_grows_in_one_frame_and_in_many, .timeout = 60)
{
	law_holds(each_way, NULL);
}

static int add_up(void *copy)
{
	unsigned char *bytes = copy;
	int sum = 0;

	for (int i = 0; i < 100000; i++)
		sum += bytes[i];
	many_frames(50000);
	return sum;
}

static int large_copy(void *arg)
{
	static unsigned char bytes[100000];
	fiber_attr_t attr = { .copy_bytes = sizeof bytes };
	fiber_t f;
	int sum = 0;

	(void)arg;
	memset(bytes, 3, sizeof bytes);
	for (int i = 0; i < 3; i++) {
		cr_expect(fiber_spawn(&f, &attr, add_up, bytes) == 0);
		cr_expect(fiber_join(f, &sum) == 0 && sum == 300000);
	}
	return 0;
}

Test(stack_windows, a_large_argument_is_copied_where_the_stack_had_no_memory, .timeout = 20)
{
	law_holds(large_copy, NULL);
}

/* ---- the end of a stack -----------------------------------------------------------------------*/
static int overflow(void *arg)
{
	(void)arg;
	return many_frames(INT32_MAX);
}

static int spawn_one_that_overflows(void *arg)
{
	fiber_attr_t attr = { .name = "deep one" };
	fiber_t f;

	(void)arg;
	cr_expect(fiber_spawn(&f, &attr, overflow, NULL) == 0);
	return fiber_join(f, NULL);
}

/* This test again, in a process of its own: what it writes, and the code it ends with. */
static DWORD again(const char *test, char *text, DWORD size)
{
	SECURITY_ATTRIBUTES inherited = { sizeof inherited, NULL, TRUE };
	STARTUPINFOA about = { .cb = sizeof about, .dwFlags = STARTF_USESTDHANDLES };
	PROCESS_INFORMATION process;
	char self[MAX_PATH], line[MAX_PATH + 100];
	DWORD length = 0, n, code = 0;
	HANDLE from, to;

	GetModuleFileNameA(NULL, self, sizeof self);
	snprintf(line, sizeof line, "\"%s\" --only %s", self, test);
	SetEnvironmentVariableA("FIBER_TEST_AGAIN", "1");
	CreatePipe(&from, &to, &inherited, 0);
	SetHandleInformation(from, HANDLE_FLAG_INHERIT, 0);
	about.hStdError = about.hStdOutput = to;
	CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &about, &process);
	CloseHandle(to);
	while (ReadFile(from, text + length, size - 1 - length, &n, NULL) && n > 0)
		length += n;
	text[length] = 0;
	WaitForSingleObject(process.hProcess, INFINITE);
	GetExitCodeProcess(process.hProcess, &code);
	return code;
}

Test(stack_windows, an_overflow_is_reported_with_the_fiber_and_its_frames, .timeout = 60)
{
	static char text[64 * 1024];
	DWORD code;

	if (getenv("FIBER_TEST_AGAIN")) {
		fiber_run(NULL, spawn_one_that_overflows, NULL);
		return;
	}
	code = again("stack_windows::an_overflow_is_reported_with_the_fiber_and_its_frames", text,
		     sizeof text);
	cr_expect(code == (DWORD)EXCEPTION_STACK_OVERFLOW, "it ended with %#lx", code);
	cr_expect(strstr(text, "fiber: stack overflow: fiber ") && strstr(text, "\"deep one\""),
		  "it said: %.300s", text);
	cr_expect(strstr(text, "backtrace, innermost first:") && strstr(text, " frames"));
}

/* ---- walks ------------------------------------------------------------------------------------*/
static unsigned walk(void)
{
	CONTEXT context;
	unsigned frames = 0;

	RtlCaptureContext(&context);
	while (context.Rip && frames < 100) {
		DWORD64 image, frame;
		void *handler;
		PRUNTIME_FUNCTION f = RtlLookupFunctionEntry(context.Rip, &image, NULL);

		if (!f)
			return 0;
		RtlVirtualUnwind(0, image, context.Rip, f, &context, &handler, &frame, NULL);
		frames++;
	}
	return context.Rip ? 0 : frames;
}

static int walk_before_and_after(void *arg)
{
	unsigned before = walk();

	(void)arg;
	fiber_yield();
	fiber_sleep(FIBER_MICROSECOND);
	cr_expect(before > 2 && walk() == before, "%u frames", before);
	return 0;
}

Test(stack_windows, a_walk_from_inside_a_fiber_ends_at_its_beginning, .timeout = 20)
{
	law_holds(walk_before_and_after, NULL);
}
