/* arpa/inet.h - of POSIX: where Windows has what it declares. */
#ifndef FB_OS_WINDOWS_ARPA_INET_H
#define FB_OS_WINDOWS_ARPA_INET_H

#include <fiber/windows.h>

#endif
