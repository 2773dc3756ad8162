/* sys/un.h - of POSIX: where Windows has what it declares. */
#ifndef FB_OS_WINDOWS_SYS_UN_H
#define FB_OS_WINDOWS_SYS_UN_H

#include <fiber/windows.h>
#include <afunix.h>

/* There are streams only; the others are refused when a socket is made. */
#endif
