/* sys/socket.h - of POSIX: where Windows has what it declares. */
#ifndef FB_OS_WINDOWS_SYS_SOCKET_H
#define FB_OS_WINDOWS_SYS_SOCKET_H

#include <fiber/windows.h>

#define SO_REUSEPORT 0x10000 /* is refused: socket_windows.c */

#endif
