/* net_unix.c - socket files of the dead and of the living, and descriptors that travel. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/net.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "law.h"

/* ---- a folder for each test -------------------------------------------------------------------*/
static char folder[64];

static void folder_make(void)
{
	snprintf(folder, sizeof folder, "%s/fiber-unix-XXXXXX", P_tmpdir);
	cr_assert(mkdtemp(folder));
}

static void folder_remove(void)
{
	cr_expect(rmdir(folder) == 0, "something was left behind");
}

TestSuite(unix_sockets, .init = folder_make, .fini = folder_remove, .timeout = 30);

/* scheme:folder/name. The path begins behind the colon. */
static const char *at(char *address, const char *scheme, const char *name)
{
	snprintf(address, FIBER_ADDRESS_BYTES, "%s:%s/%s", scheme, folder, name);
	return strchr(address, ':') + 1;
}

/* A socket file whose owner is gone. */
static void bury(const char *path, int type)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(name.sun_path, path);
	cr_expect(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
	close(fd);
}

static void expect_alive(const char *address, fiber_fd listener)
{
	fiber_fd fd = fiber_dial(address, NULL);
	fiber_fd peer = fiber_accept(listener, NULL, NULL);

	cr_expect(fd >= 0 && peer >= 0, "%d %d", fd, peer);
	fiber_close(fd);
	fiber_close(peer);
}

static int replaces(void *arg)
{
	static const struct { const char *scheme; int type; } old[] = {
		{ "unix", SOCK_STREAM },
		{ "unixgram", SOCK_DGRAM },
		{ "unixpacket", SOCK_SEQPACKET },
	};
	char address[FIBER_ADDRESS_BYTES];
	int before = law_descriptors();

	(void)arg;
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; j < 3; j++) {
			const char *path = at(address, old[i].scheme, "sock");

			bury(path, old[j].type);
			fiber_fd listener = fiber_listen(address, NULL);

			cr_expect(listener >= 0, "%s over %s: %d", old[i].scheme, old[j].scheme,
				  listener);
			if (old[i].type != SOCK_DGRAM)
				expect_alive(address, listener);
			cr_expect(fiber_close(listener) == 0);
			cr_expect(unlink(path) == 0);
		}
	}
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(unix_sockets, the_file_of_a_dead_server_is_replaced)
{
	law_holds(replaces, NULL);
	cr_expect(replaces(NULL) == 0, "from a plain thread");
}

static ino_t file_number(const char *path)
{
	struct stat status = { 0 };

	cr_expect(lstat(path, &status) == 0, "%s", path);
	return status.st_ino;
}

static int spares(void *arg)
{
	char address[FIBER_ADDRESS_BYTES], other[FIBER_ADDRESS_BYTES];
	const char *path = at(address, "unix", "sock");
	fiber_fd listener = fiber_listen(address, NULL);
	ino_t number = file_number(path);

	(void)arg;
	cr_expect(fiber_listen(address, NULL) == -EADDRINUSE);
	at(other, "unixgram", "sock");
	cr_expect(fiber_listen(other, NULL) == -EADDRINUSE);
	cr_expect(file_number(path) == number);
	/* The question was a connection of its own. */
	fiber_close(fiber_accept(listener, NULL, NULL));
	expect_alive(address, listener);
	fiber_close(listener);
	unlink(path);
	listener = fiber_listen(other, NULL);
	cr_expect(fiber_listen(address, NULL) == -EADDRINUSE);
	cr_expect(fiber_listen(other, NULL) == -EADDRINUSE);
	fiber_close(listener);
	unlink(path);
	return 0;
}

Test(unix_sockets, a_live_server_keeps_its_address)
{
	law_holds(spares, NULL);
}

static int spares_files(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	const char *path = at(address, "unix", "precious");
	int file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	(void)arg;
	cr_expect(fiber_listen(address, NULL) == -EADDRINUSE);
	cr_expect(unlink(path) == 0 && close(file) == 0);
	cr_expect(symlink("nowhere", path) == 0);
	cr_expect(fiber_listen(address, NULL) == -EADDRINUSE);
	cr_expect(unlink(path) == 0);
	at(address, "unix", "no/such/folder");
	cr_expect(fiber_listen(address, NULL) == -ENOENT);
	return 0;
}

Test(unix_sockets, what_is_no_socket_is_never_removed)
{
	law_holds(spares_files, NULL);
}

/* ---- mode -------------------------------------------------------------------------------------*/
static void expect_mode(unsigned mode, mode_t mask, unsigned expected)
{
	char address[FIBER_ADDRESS_BYTES];
	const char *path = at(address, "unix", "sock");
	mode_t was = umask(mask);
	fiber_fd fd = fiber_listen(address, &(fiber_net_options_t){ .mode = mode });
	struct stat status = { 0 };

	umask(was);
	cr_expect(fd >= 0 && lstat(path, &status) == 0, "%d", fd);
	cr_expect((status.st_mode & 07777) == expected, "%o", status.st_mode & 07777);
	fiber_close(fd);
	unlink(path);
}

static int modes(void *arg)
{
	(void)arg;
	expect_mode(0600, 022, 0600);
	expect_mode(0666, 077, 0666);
	expect_mode(0777, 0, 0777);
	expect_mode(0, 022, 0755);
	expect_mode(0, 077, 0700);
	cr_expect(fiber_listen("unix:@x", &(fiber_net_options_t){ .mode = 0600 }) == -EINVAL);
	return 0;
}

Test(unix_sockets, the_mode_is_exact_whatever_the_umask)
{
	law_holds(modes, NULL);
}

/* ---- starting at the same time ----------------------------------------------------------------*/
enum { STARTERS = 8 };

struct start {
	const char *address;
	_Atomic unsigned ready;
	_Atomic fiber_fd winner;
	_Atomic unsigned winners;
};

/* One after the other has its turn as soon as all are there. */
static int start_up(void *arg)
{
	struct start *start = arg;
	fiber_fd fd;

	atomic_fetch_add(&start->ready, 1);
	while (atomic_load(&start->ready) < STARTERS)
		fiber_yield();
	fd = fiber_listen(start->address, NULL);
	cr_expect(fd >= 0 || fd == -EADDRINUSE, "%d", fd);
	if (fd >= 0) {
		atomic_fetch_add(&start->winners, 1);
		atomic_store(&start->winner, fd);
	}
	return 0;
}

static int start_together(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	const char *path = at(address, "unix", "sock");

	(void)arg;
	for (unsigned round = 0; round < law_rounds(50); round++) {
		struct start start = { .address = address, .winner = -1 };
		fiber_group_t group = FIBER_GROUP_INIT;

		bury(path, SOCK_STREAM);
		for (int i = 0; i < STARTERS; i++)
			fiber_group_spawn(&group, NULL, start_up, &start);
		cr_expect(fiber_group_wait(&group) == 0);
		cr_expect(atomic_load(&start.winners) == 1, "%u", atomic_load(&start.winners));
		fiber_fd fd = fiber_dial(address, NULL);

		cr_expect(fd >= 0, "the winner is not at its address: %d", fd);
		fiber_close(fd);
		fiber_close(start.winner);
		unlink(path);
	}
	return 0;
}

Test(unix_sockets, of_servers_that_start_together_one_lives_and_is_reached)
{
	law_holds(start_together, NULL);
}

/*	main                        starter
 *	locks the folder            listens, waits for the lock
 *	unlocks it                  has it                      */
static int wait_for_lock(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	const char *path = at(address, "unix", "sock");
	int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int before = law_descriptors();

	(void)arg;
	cr_expect(flock(directory, LOCK_EX) == 0);
	int r = (int)FIBER_TIMEOUT(10 * FIBER_MILLISECOND, fiber_listen(address, NULL));

	cr_expect(r == -ETIMEDOUT, "%d", r);
	cr_expect(access(path, F_OK) < 0 && law_descriptors() == before);
	flock(directory, LOCK_UN);
	fiber_fd fd = fiber_listen(address, NULL);

	cr_expect(fd >= 0, "%d", fd);
	cr_expect(flock(directory, LOCK_EX | LOCK_NB) == 0, "the lock outlives the call");
	fiber_close(fd);
	close(directory);
	unlink(path);
	return 0;
}

Test(unix_sockets, a_server_waits_for_another_that_is_starting)
{
	law_holds(wait_for_lock, NULL);
}

/* ---- descriptors ------------------------------------------------------------------------------*/
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(fiber_fd through, int fd)
{
	union control control = { .room = "" };
	struct iovec byte = { "x", 1 };
	struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof control };

	control.header = (struct cmsghdr){ CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	cr_expect(fiber_sendmsg(through, &message, 0) == 1);
}

static int receive_descriptor(fiber_fd through)
{
	union control control;
	char byte;
	struct iovec room = { &byte, 1 };
	struct msghdr message = { .msg_iov = &room, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof control };
	int fd = -1;

	cr_expect(fiber_recvmsg(through, &message, MSG_CMSG_CLOEXEC) == 1 && byte == 'x');
	if (message.msg_controllen >= CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

struct pass {
	fiber_fd from, to;
};

/* Sends the reading end of a pipe, and only then writes into it. */
static int sender(void *arg)
{
	struct pass *pass = arg;

	for (unsigned i = 0; i < 100; i++) {
		fiber_fd pipe[2];

		cr_expect(fiber_pipe(pipe) == 0);
		send_descriptor(pass->from, pipe[0]);
		fiber_close(pipe[0]);
		cr_expect(fiber_write(pipe[1], &i, sizeof i) == sizeof i);
		fiber_close(pipe[1]);
	}
	return 0;
}

static int receiver(void *arg)
{
	struct pass *pass = arg;

	for (unsigned i = 0; i < 100; i++) {
		int fd = receive_descriptor(pass->to);
		unsigned got = 0;

		cr_expect(fd >= 0);
		cr_expect(fiber_read(fd, &got, sizeof got) == sizeof got && got == i);
		cr_expect(fiber_read(fd, &got, sizeof got) == 0);
		fiber_close(fd);
	}
	return 0;
}

static int pass_descriptors(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	const char *path = at(address, arg, "sock");
	fiber_fd listener = fiber_listen(address, NULL);
	struct pass pass = { .from = fiber_dial(address, NULL) };
	fiber_group_t group = FIBER_GROUP_INIT;
	int before = law_descriptors();

	pass.to = strcmp(arg, "unixgram") ? fiber_accept(listener, NULL, NULL) : listener;
	fiber_group_spawn(&group, NULL, receiver, &pass);
	fiber_group_spawn(&group, NULL, sender, &pass);
	cr_expect(fiber_group_wait(&group) == 0);
	cr_expect(law_descriptors() == before + (pass.to != listener));
	fiber_close(pass.from);
	if (pass.to != listener)
		fiber_close(pass.to);
	fiber_close(listener);
	unlink(path);
	return 0;
}

Test(unix_sockets, descriptors_travel_in_order_with_their_bytes)
{
	law_holds(pass_descriptors, "unix");
	law_holds(pass_descriptors, "unixgram");
	law_holds(pass_descriptors, "unixpacket");
}
