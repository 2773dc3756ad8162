/* errno_windows.h - what Windows and Winsock call an error, as POSIX does. */
#ifndef FB_OS_ERRNO_WINDOWS_H
#define FB_OS_ERRNO_WINDOWS_H

#include <stdint.h>

/* -errno of a number that GetLastError or WSAGetLastError gave; -EIO for what has no other name. */
int os_error(uint32_t error);
/* The same of what an operation in the kernel ended with (NTSTATUS); >= 0: it succeeded. */
int os_status(uint32_t status);

/* Winsock is ready for use, once and for all. */
void os_sockets_begin(void);

#endif
