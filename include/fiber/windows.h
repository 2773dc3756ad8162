/* fiber/windows.h - what POSIX declares, and Windows does not, for fiber/io.h.
 * SPDX-License-Identifier: MIT
 *
 * Descriptors are SOCKETs, and HANDLEs of files and pipes, as signed numbers; negative ones are
 * errors, -errno. Everything else keeps the names of POSIX. */
#ifndef FIBER_WINDOWS_H
#define FIBER_WINDOWS_H

#ifdef _WIN32
#include <stddef.h>
#include <stdint.h>
#include <winsock2.h>
#include <ws2tcpip.h>

typedef intptr_t fiber_fd;
typedef unsigned long nfds_t;

struct iovec {
	void *iov_base;
	size_t iov_len;
};

/* The control part is as WSARecvMsg and WSASendMsg have it (WSACMSGHDR). */
struct msghdr {
	void *msg_name;
	socklen_t msg_namelen;
	struct iovec *msg_iov;
	size_t msg_iovlen;
	void *msg_control;
	size_t msg_controllen;
	int msg_flags;
};

/* Flags of POSIX systems that mean something to fiber_recv, fiber_send and the like here too: never
 * waiting is done by the library, and there is no SIGPIPE. There is no error queue: -ENOTSUP. */
#define MSG_DONTWAIT 0x10000000
#define MSG_NOSIGNAL 0x20000000
#define MSG_ERRQUEUE 0x40000000
#define MSG_CMSG_CLOEXEC 0

/* Never reported. */
#define POLLRDHUP 0x2000

#define SHUT_RD   SD_RECEIVE
#define SHUT_WR   SD_SEND
#define SHUT_RDWR SD_BOTH

#if !defined(IOV_MAX)
#define IOV_MAX 1024
#endif
#endif

#endif
