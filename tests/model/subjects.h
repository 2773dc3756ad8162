/* subjects.h - what is static in the library, and the scenarios must reach. */
#ifndef FB_MODEL_SUBJECTS_H
#define FB_MODEL_SUBJECTS_H

struct fiber;

/* Where a plain thread keeps its block. */
struct fiber **subject_thread_block(void);

#endif
