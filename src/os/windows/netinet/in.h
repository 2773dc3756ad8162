/* netinet/in.h - of POSIX: where Windows has what it declares. */
#ifndef FB_OS_WINDOWS_NETINET_IN_H
#define FB_OS_WINDOWS_NETINET_IN_H

#include <sys/socket.h>

typedef unsigned short in_port_t;

#endif
