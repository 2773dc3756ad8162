/* netdb.h - of POSIX: where Windows has what it declares. */
#ifndef FB_OS_WINDOWS_NETDB_H
#define FB_OS_WINDOWS_NETDB_H

#include <fiber/windows.h>

#endif
