/* netinet/tcp.h - of POSIX: where Windows has what it declares. */
#ifndef FB_OS_WINDOWS_NETINET_TCP_H
#define FB_OS_WINDOWS_NETINET_TCP_H

#include <fiber/windows.h>

#endif
