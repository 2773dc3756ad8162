/* number.h - the life of a descriptor's number: given out by one of our calls, given up. */
#ifndef FB_POLLER_NUMBER_H
#define FB_POLLER_NUMBER_H

#include "base/list.h"

/* As poller_ops.forget. */
void number_forget(int fd, struct list *back);
/* A new generation, of that nature (enum nature; 0: unknown). */
void number_born(int fd, unsigned nature);

#endif
