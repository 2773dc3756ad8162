/* fiber/io.h - the POSIX calls, parking.
 * SPDX-License-Identifier: MIT
 *
 * They take plain descriptors of the system, do what the POSIX call of the same name does, and
 * where that would block the thread they park the fiber: the worker goes on with others. From a
 * plain thread they block the thread. Any number of fibers and threads may use one descriptor at
 * the same time.
 *
 * What all of them have in common:
 *
 *  Results     >= 0, or -errno. errno itself is not set, and what it holds after a call means
 *              nothing. EINTR is never seen, and EAGAIN not for what could be waited for, save
 *              where a flag asks for it.
 *  Interrupted A call that parks is a cancellation point: with a cancellation or a passed deadline
 *              (fiber_within) already known it fails before any effect, and while parked it is
 *              ended by them, both with -ECANCELED. What was moved by then is returned
 *              instead, and the interruption shows at the next call: no byte, datagram or
 *              connection is ever lost.
 *              On a plain thread only deadlines interrupt.
 *  SIGPIPE     is never raised; the call gives -EPIPE. Disposition and mask stay as they are.
 *  Inherited   The flags of a descriptor that was not made here are never changed, nor is
 *              O_NONBLOCK needed: sockets, pipes and terminals are asked for each call not to
 *              block. Where the kernel has no such form (accept, connect, terminals, sendfile,
 *              regular files) the call runs on a helper thread. To interrupt one that sits there
 *              the helper gets a real-time signal, the highest that the program does not use.
 *  New ones    are close-on-exec from their first moment, and non-blocking.
 *  Closing     fiber_close ends the calls in progress on the descriptor with -EBADF. Before it is
 *              closed by other means, call fiber_forget.
 *
 * What all of them may return, beside what each names, and beside the errors of the POSIX call:
 *
 *	-EBADF       the descriptor is negative or not open, or was closed meanwhile
 *	-EFAULT      a pointer that must not be NULL is
 *	-EINVAL      a size beyond SSIZE_MAX
 *	-ECANCELED   interrupted (those that park)
 *	-ENOMEM, -ENOSPC  no memory or no watches left to wait with (those that park)
 *	-EAGAIN      no helper thread could be started (those that use one)
 *	-ECHILD      in a forked child of a process that has run fibers, before a new fiber_run
 *	             (save the calls that close descriptors, or make them without parking)
 *
 * A buffer on the fiber's own stack that reaches over the stack's end is reported as the stack
 * overflow it is. */
#ifndef FIBER_IO_H
#define FIBER_IO_H
#include <fiber.h>
#ifdef _WIN32
#include <fiber/windows.h>
#else
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
typedef int fiber_fd;
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* ---- read and write ---------------------------------------------------------------------------*/

/* Reads at most `size` bytes, from a descriptor of any kind: waits until there is at least one, or
 * the end.
 *
 * Parks. A cancellation point. Regular files are read on a helper thread; such a read is not
 * interrupted once it has begun.
 *
 * Returns the number of bytes, which may be fewer than asked for; 0 at the end of the file or
 * stream, or if size is 0; or as read(2), -ECONNRESET and so on.
 *
 *	while ((n = fiber_read(fd, buffer, sizeof buffer)) > 0)
 *		fiber_write_all(fd, buffer, n, NULL); */
ssize_t fiber_read(fiber_fd fd, void *buffer, size_t size);

/* Writes at most `size` bytes: waits until at least one could be written, and writes what goes at
 * once.
 *
 * Parks. A cancellation point. Regular files are written on a helper thread, uninterrupted once
 * begun.
 *
 * Returns the number of bytes, which may be fewer than asked for (fiber_write_all writes all); or
 * as write(2): -EPIPE, -ECONNRESET, -EMSGSIZE, -EFBIG (without SIGXFSZ), ... */
ssize_t fiber_write(fiber_fd fd, const void *buffer, size_t size);

/* The same into and out of `count` pieces of memory, in order: readv(2), writev(2).
 *
 * -EINVAL: count is negative or beyond IOV_MAX, or the sizes add up to more than SSIZE_MAX. */
ssize_t fiber_readv(fiber_fd fd, const struct iovec *pieces, int count);
ssize_t fiber_writev(fiber_fd fd, const struct iovec *pieces, int count);

/* Reads or writes at `offset` of a regular file (block device, ...) without moving its position:
 * pread(2), pwrite(2). What is in the page cache is read at once; everything else happens on a
 * helper thread.
 *
 * Park. Cancellation points before they begin, not afterwards.
 *
 * Return the number of bytes; reads 0 at or behind the end of the file, and fewer than `size` only
 * at the end or if an error came after the first bytes; or
 *	-EINVAL      offset is negative
 *	-ESPIPE      no file that has positions: a pipe, socket, terminal
 *	-EISDIR, -EIO, -ENOSPC, -EFBIG, ...  as pread(2), pwrite(2) */
ssize_t fiber_pread(fiber_fd fd, void *buffer, size_t size, int64_t offset);
ssize_t fiber_pwrite(fiber_fd fd, const void *buffer, size_t size, int64_t offset);

/* Reads until `size` bytes are there or the stream ends. *done (it may be NULL) tells how many
 * were read, whatever is returned: after an interruption or an error the caller can go on behind
 * them.
 *
 * Parks. Each read it is made of is a cancellation point.
 *
 * Returns `size`; less, if the end came before; or as fiber_read. */
ssize_t fiber_read_full(fiber_fd fd, void *buffer, size_t size, size_t *done);

/* Writes all `size` bytes. *done (it may be NULL) tells how many were written, whatever is
 * returned.
 *
 * Parks. Each write it is made of is a cancellation point. When several fibers write to one
 * descriptor their pieces may mix; take a mutex.
 *
 * Returns `size`, or as fiber_write; -EIO: the device takes nothing and does not say why. */
ssize_t fiber_write_all(fiber_fd fd, const void *buffer, size_t size, size_t *done);

/* ---- messages ---------------------------------------------------------------------------------*/

/* recv(2) and send(2): fiber_read and fiber_write on sockets, with flags. Also:
 *
 *	MSG_DONTWAIT           never parks; -EAGAIN if there is nothing, or no room
 *	MSG_OOB, MSG_ERRQUEUE  receiving: never parks either, as recv(2) does not
 *	MSG_WAITALL            receiving: waits until `size` bytes are there, the stream ends, an
 *	                       error or an interruption comes; what was received by then is
 *	                       returned, and the next call finds the interruption, or the end.
 *	                       Ignored together with the flags above and MSG_PEEK
 *
 * Park. Cancellation points.
 *
 * Return the number of bytes (receiving: 0 at the end of the stream, or for an empty datagram), or
 * as recv(2), send(2): -ENOTSOCK, -ENOTCONN, -EPIPE, -EMSGSIZE, -ECONNREFUSED, ... */
ssize_t fiber_recv(fiber_fd fd, void *buffer, size_t size, int flags);
ssize_t fiber_send(fiber_fd fd, const void *buffer, size_t size, int flags);

/* The same with the peer's address: recvfrom(2), sendto(2). recvfrom writes up to *address_size
 * bytes of it, and its full size to *address_size; address may be NULL, for nobody asked. With an
 * address MSG_WAITALL has no effect. */
ssize_t fiber_recvfrom(fiber_fd fd, void *buffer, size_t size, int flags,
                       struct sockaddr *address, socklen_t *address_size);
ssize_t fiber_sendto(fiber_fd fd, const void *buffer, size_t size, int flags,
                     const struct sockaddr *address, socklen_t address_size);

/* The same with addresses, several pieces of memory and control messages: recvmsg(2), sendmsg(2).
 * Descriptors that come with a message (SCM_RIGHTS) are close-on-exec, but keep their other flags,
 * which belong to their sender too. MSG_WAITALL has no effect.
 *
 * -EINVAL: more than IOV_MAX pieces, or they add up to more than SSIZE_MAX. */
ssize_t fiber_recvmsg(fiber_fd fd, struct msghdr *message, int flags);
ssize_t fiber_sendmsg(fiber_fd fd, const struct msghdr *message, int flags);

/* ---- from a file to a socket ------------------------------------------------------------------*/

/* Sends at most `size` bytes of the file `in` (a regular file or block device) to `out` (a socket,
 * pipe, file): from *offset, which moves on by what was sent, or from the file's own position if
 * offset is NULL, which moves likewise. Without copying, where `out` does not block or is a file.
 * To an `out` that blocks (inherited), the bytes are read and sent in pieces.
 *
 * Waits until something could be sent, and sends what goes then: like sendfile(2) on a socket that
 * does not block, it returns short counts (256 KiB at the most). Call it again for the rest. If it
 * is interrupted, nothing was sent.
 *
 * Parks: for room, and for the disk. A cancellation point.
 *
 * Returns the number of bytes, 0 at the end of the file (or for a size of 0), or
 *	-EINVAL      `in` is no file; offset is negative; `out` was opened with O_APPEND
 *	-EBADF       either descriptor; not open for reading, or writing
 *	-EPIPE, -ECONNRESET, -EIO, ...  as sendfile(2)
 *
 *	int64_t offset = 0;
 *	while ((n = fiber_sendfile(client, file, &offset, size - offset)) > 0)
 *		; */
ssize_t fiber_sendfile(fiber_fd out, fiber_fd in, int64_t *offset, size_t size);

/* ---- readiness --------------------------------------------------------------------------------*/

/* poll(2): waits until one of `count` descriptors is ready. Each entry's events, revents and
 * negative descriptors mean what they mean there; a descriptor that is not open, or is closed
 * meanwhile, has POLLNVAL. Readiness is no promise: another fiber or process may be faster.
 *
 * timeout_ms: 0 looks only, negative waits until the ambient deadline.
 *
 * Parks. A cancellation point.
 *
 * Returns the number of entries whose revents is not 0; 0 after timeout_ms; or
 *	-EINVAL      count is beyond the limit of descriptors (RLIMIT_NOFILE)
 *	-ENOMEM      no memory to wait with */
int fiber_poll(struct pollfd *set, nfds_t count, int timeout_ms);

/* Waits until one descriptor is ready for one of `events` (POLLIN, POLLOUT, POLLPRI), or has
 * failed or hung up.
 *
 * Parks. A cancellation point.
 *
 * Returns what is ready, as revents of poll(2), never 0; or
 *	-EINVAL      events is 0 or has others than these */
int fiber_wait_fd(fiber_fd fd, short events);

/* ---- connections ------------------------------------------------------------------------------*/

/* Takes a connection from a listening socket: accept(2). Connections that end before they are
 * taken (ECONNABORTED) are skipped.
 *
 * Parks. A cancellation point.
 *
 * Returns a descriptor (close-on-exec, non-blocking), with the peer's address in *address unless
 * it is NULL, as fiber_recvfrom; or as accept(2):
 *	-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM  no descriptors or memory left; the connection waits on
 *	-EINVAL      the socket does not listen
 *	-ENOTSOCK, -EOPNOTSUPP  it is none that could */
fiber_fd fiber_accept(fiber_fd listener, struct sockaddr *address, socklen_t *address_size);

/* Connects a socket: connect(2). A Unix server whose backlog is full is waited for.
 *
 * Parks. A cancellation point; after an interruption the attempt may still succeed by itself, so
 * close the socket.
 *
 * Returns 0, or as connect(2): -ECONNREFUSED, -ENETUNREACH, -EADDRNOTAVAIL, -EISCONN, ...;
 *	-ETIMEDOUT   the peer does not answer, says the network (after minutes: set a deadline) */
int fiber_connect(fiber_fd fd, const struct sockaddr *address, socklen_t address_size);

/* Ends one or both directions of a connection: shutdown(2), with SHUT_RD, SHUT_WR, SHUT_RDWR.
 * Fibers that wait on it find the end. Never parks. No cancellation point. Returns 0 or as
 * shutdown(2). */
int fiber_shutdown(fiber_fd fd, int how);

/* ---- the life of a descriptor -----------------------------------------------------------------*/

/* Closes a descriptor of any kind. Everything that waits on it, in fibers and plain threads, ends
 * with -EBADF; what is in a system call on it is waited for, and ends with what it has reached.
 * Then the number is free.
 *
 * Is never interrupted: to clean up needs no shield. Parks only while a helper thread is in a call
 * on the descriptor, or (on io_uring) until another worker has taken its operations back. Blocks
 * the thread where close(2) does: with SO_LINGER, or on network file systems; fiber_shutdown first,
 * or close it in fiber_offload.
 *
 * Returns 0, or
 *	-EBADF       not open: closed twice. With threads about the number may be another's by then
 *	-EIO, -ENOSPC, -EDQUOT  an earlier write failed; the descriptor is closed all the same */
int fiber_close(fiber_fd fd);

/* Before a descriptor is closed by close(2), replaced by dup2(2) or given to another library or
 * process that will read it: forgets all that is known about the number. What waits on it ends
 * with -EBADF. (Without it, those who waited already go on waiting, until the number is used
 * again.)
 *
 * Parks and returns as fiber_close; any number may be passed. Also
 *	-EBUSY       it is owned (fiber_own), and bytes were received that nobody has read yet:
 *	             nothing was forgotten; read them first */
int fiber_forget(fiber_fd fd);

/* Declares a stream socket the library's own: from now on only reads of fibers take bytes from it
 * (fiber_read, fiber_readv, fiber_recv without flags, and what is made of them), until it is closed
 * or forgotten. That lets the library receive ahead (on io_uring): a busy connection then costs
 * less processor time. Not for what is handed to other code that reads it, such as a TLS library.
 *
 * Where bytes are received ahead, everything else that would take them or wait for them - plain
 * threads, fiber_recvmsg, MSG_PEEK, fiber_poll for POLLIN - answers -EBUSY. Writing is as before.
 *
 * A listener may be owned too: then only fibers take connections from it, by fiber_accept, and
 * while one waits there the library accepts ahead. Connections that nobody has taken by then are
 * closed with the listener.
 *
 * Never parks. No cancellation point. Returns 0, or
 *	-ENOTSOCK, -EOPNOTSUPP  it is no socket; no stream
 *	-EBUSY       fibers wait on it already */
int fiber_own(fiber_fd fd);

/* New descriptors, as socket(2), pipe(2), socketpair(2). Never park. No cancellation points.
 * out[0] of a pipe is for reading, out[1] for writing.
 *
 * Return the descriptor, 0 for two, or as those calls: -EMFILE, -ENFILE, -EAFNOSUPPORT, ... */
fiber_fd fiber_socket(int domain, int type, int protocol);
int      fiber_pipe(fiber_fd out[2]);
int      fiber_socketpair(int domain, int type, int protocol, fiber_fd out[2]);

/* Opens a path on a helper thread: open(2). With O_CREAT or O_TMPFILE a third argument gives the
 * mode. A FIFO is waited for until its other end is opened, unless O_NONBLOCK is among the flags.
 *
 * Parks. A cancellation point.
 *
 * Returns the descriptor, or as open(2): -ENOENT, -EACCES, -EMFILE, ... */
fiber_fd fiber_open(const char *path, int flags, ...);

/* Waits until what was written to a file is on the disk: fsync(2), on a helper thread.
 *
 * Parks. A cancellation point before it begins, not afterwards. Returns 0, or as fsync(2):
 * -EIO, -ENOSPC, -EINVAL for what cannot be synchronised. */
int fiber_fsync(fiber_fd fd);

/* ---- blocking calls of others -----------------------------------------------------------------*/

/* Calls fn(arg) on a helper thread and waits until it has returned: for libraries that block, and
 * for what computes for long. On a plain thread it just calls fn. fn runs on another thread than
 * its fiber: it has other thread-locals, fiber calls in it are those of a plain thread, and it
 * must not fork and return. Its signal mask is its caller's.
 *
 * Up to options.helpers_max (64) calls run at once, the others wait their turn, first come first
 * served; fiber_stats tells how many. Helpers are started as they are needed, and end when they
 * were idle for ten seconds.
 *
 * Parks. A cancellation point until fn begins. From then on deadline and cancellation wait for it:
 * arg may lie on the caller's stack.
 *
 * Returns what fn returned, or, without having called it,
 *	-EINVAL      fn is NULL
 *	-EAGAIN      there is no helper thread, and none could be started
 *	-ECANCELED   interrupted before
 *
 *	static int parse(void *document) { ... }
 *	r = fiber_offload(parse, &document); */
int fiber_offload(fiber_fn *fn, void *arg);

/* The same for functions that tell their failures by errno, which is the helper thread's own:
 * *error (it may be NULL) gets what errno held when fn returned. It is 0 when fn begins; and 0
 * comes back if fn was not called.
 *
 *	r = fiber_offload_errno(look, &query, &error);      r < 0: error says why */
int fiber_offload_errno(fiber_fn *fn, void *arg, int *error);

/* The same for calls that may last longer than anybody wants to wait: deadline and cancellation end
 * the wait, and leave the call to itself on its helper, which it keeps until it returns. So arg
 * must not lie on the caller's stack. It belongs to the call, which gives it up by release(arg),
 * exactly once, whatever is returned here:
 *
 *	fn was called    on the helper thread, after fn has returned. Before this call returns,
 *	                 unless that was interrupted; else some time later, perhaps when the
 *	                 runtime has ended
 *	it was not       before this call returns, on the caller's thread: it was interrupted
 *	                 while it waited for its turn, or another error below
 *
 * Who wants to look at arg afterwards has release drop a reference. release may be NULL; it runs
 * under the same rules as fn, and must not park.
 *
 * Parks. A cancellation point. On a plain thread a helper is used only under a deadline.
 *
 * Returns what fn returned; or -EINVAL, -EAGAIN as above, -ENOMEM, or
 *	-ECANCELED   interrupted: fn runs on, or was never called */
int fiber_offload_leave(fiber_fn *fn, void *arg, void (*release)(void *));

/* From here to fiber_blocking_end this fiber runs on a helper thread, and may block it: the other
 * fibers of its worker stay and go on. For code that blocks in places too many to wrap, with the
 * frames and locals of the caller at hand:
 *
 *	r = fiber_blocking_begin();
 *	if (r == 0) {
 *		n = old_library_call(database, &row);      blocks as it likes
 *		fiber_blocking_end();
 *	}
 *
 * In between the code is on a plain thread. It has that thread's thread-locals, errno too (copy
 * what you need before the end), and the fiber's signal mask. fiber_self is no fiber, fiber calls
 * block the thread, spawns need attr.runtime, fiber-locals and scopes are the thread's: close a
 * scope, and unlock what you lock, on the side where you opened or locked it. The fiber's own
 * deadline and cancellation wait until the end. fiber_run is refused (-EBUSY). fiber_info shows
 * the fiber as "blocking". A function that returns, or a fiber_exit, in between ends the fiber at
 * home, as if fiber_blocking_end had been called. The child of a fork has only this thread.
 *
 * Compilers keep the address of thread-locals, errno's above all, within one function. Put what
 * blocks into a function of its own that is not inlined. And each fiber in between holds one of
 * options.helpers_max threads: do not wait there for what itself needs one.
 *
 * Begin parks until a helper is free; a cancellation point. On a plain thread both do nothing.
 *
 * Begin returns 0, or
 *	-EALREADY    it has begun already; it does not nest
 *	-EAGAIN      there is no helper thread, and none could be started
 *	-ECANCELED   interrupted; nothing has changed
 *	-ENOMEM      no memory
 *
 * End parks until its worker has it back; no cancellation point. Returns 0, or -EINVAL: it has not
 * begun. */
FIBER_CHECKED int fiber_blocking_begin(void);
int fiber_blocking_end(void);

#ifdef __cplusplus
}
#endif
#endif
