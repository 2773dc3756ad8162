/* kick.h - makes a system call in which another thread of ours is blocked return EINTR. */
#ifndef FB_SCHED_KICK_H
#define FB_SCHED_KICK_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

/* Takes the highest real-time signal that the program does not use; -1: it uses all. */
int kick_install(void (*handler)(int), int flags);
/* Has it been taken so? */
bool kick_owns(int number);

/* The signal that does it, installed at the first call. 0: the program uses them all. */
int kick_signal(void);
/* The calling thread lets itself be kicked. */
void kick_allow(void);
/* The thread must be alive. A kick that comes just before the system call is lost: repeat. */
void kick_send(pthread_t);

#endif
