/* fiber/io.h - the POSIX calls, parking. From a plain thread they block the thread. */
#ifndef FIBER_IO_H
#define FIBER_IO_H
#include <fiber.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
typedef intptr_t fiber_fd;                             /* SOCKET or HANDLE; negative: -errno        */
struct iovec { void *iov_base; size_t iov_len; };
struct msghdr;
typedef unsigned long nfds_t;
#else
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
typedef int fiber_fd;
#endif
#ifdef __cplusplus
extern "C" {
#endif
ssize_t  fiber_read(fiber_fd, void *, size_t);
ssize_t  fiber_write(fiber_fd, const void *, size_t);
ssize_t  fiber_readv(fiber_fd, const struct iovec *, int);
ssize_t  fiber_writev(fiber_fd, const struct iovec *, int);
ssize_t  fiber_pread(fiber_fd, void *, size_t, int64_t offset);
ssize_t  fiber_pwrite(fiber_fd, const void *, size_t, int64_t offset);
ssize_t  fiber_recv(fiber_fd, void *, size_t, int flags);
ssize_t  fiber_send(fiber_fd, const void *, size_t, int flags);
ssize_t  fiber_recvfrom(fiber_fd, void *, size_t, int flags, struct sockaddr *, socklen_t *);
ssize_t  fiber_sendto(fiber_fd, const void *, size_t, int flags, const struct sockaddr *, socklen_t);
ssize_t  fiber_recvmsg(fiber_fd, struct msghdr *, int flags);
ssize_t  fiber_sendmsg(fiber_fd, const struct msghdr *, int flags);
ssize_t  fiber_sendfile(fiber_fd out, fiber_fd in, int64_t *offset, size_t);
/* All of it or an error; *done (may be NULL) tells how far it came either way. read_full: short at EOF. */
ssize_t  fiber_read_full(fiber_fd, void *, size_t, size_t *done);
ssize_t  fiber_write_all(fiber_fd, const void *, size_t, size_t *done);
int      fiber_poll(struct pollfd *, nfds_t, int timeout_ms);     /* -1: until the ambient deadline */
int      fiber_wait_fd(fiber_fd, short events);                   /* one descriptor; what is ready  */
fiber_fd fiber_accept(fiber_fd, struct sockaddr *, socklen_t *);  /* close-on-exec                  */
int      fiber_connect(fiber_fd, const struct sockaddr *, socklen_t);
int      fiber_shutdown(fiber_fd, int how);
int      fiber_close(fiber_fd);                                   /* never interrupted; wakes waiters with -EBADF */
/* Before plain close(2), dup2(2) onto it, or giving it to another process or library: the runtime
 * forgets all it believes about the number. */
int      fiber_forget(fiber_fd);
fiber_fd fiber_socket(int domain, int type, int protocol);
fiber_fd fiber_open(const char *path, int flags, ...);
int      fiber_pipe(fiber_fd out[2]);
int      fiber_socketpair(int domain, int type, int protocol, fiber_fd out[2]);
int      fiber_fsync(fiber_fd);
/* Blocking calls on helper threads. The caller waits for the call itself, whatever its deadline. */
int      fiber_offload(fiber_fn *, void *arg);
#ifdef __cplusplus
}
#endif
#endif
