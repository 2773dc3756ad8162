/* exceptions.h - what C++ keeps a thread of the exceptions it handles. Whoever moves from stack to
 * stack takes it along; otherwise `throw;` after a park in a handler throws another one's
 * exception. */
#ifndef FB_OS_EXCEPTIONS_H
#define FB_OS_EXCEPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Itanium ABI 2.2.2: __cxa_eh_globals. */
struct exceptions {
	void *caught;
	uintptr_t uncaught;
};

/* In every C++ runtime that follows the Itanium ABI; nowhere in a program without C++. */
extern void *__cxa_get_globals(void) __attribute__((__weak__));

/* The same as a variable, where compilers know no weak references (exceptions_windows.S). */
extern void *(*const exceptions_getter)(void);
#if !defined(EXCEPTIONS_GETTER)
#define EXCEPTIONS_GETTER __cxa_get_globals
#endif

/* Is there C++ in this program? */
static inline bool exceptions_exist(void)
{
	return EXCEPTIONS_GETTER != NULL;
}

/* The calling thread's; NULL in a program without C++. */
static inline struct exceptions *exceptions_here(void)
{
	return exceptions_exist() ? EXCEPTIONS_GETTER() : NULL;
}

#endif
