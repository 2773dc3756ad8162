/* single_threaded.h - the explorer's threads all run on one OS thread, and must not be told. */
#ifndef FB_MODEL_SINGLE_THREADED_H
#define FB_MODEL_SINGLE_THREADED_H

#define __libc_single_threaded 0

#endif
