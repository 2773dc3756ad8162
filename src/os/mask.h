/* mask.h - which signals a thread lets in, as an opaque value. Nothing where there are none. */
#ifndef FB_OS_MASK_H
#define FB_OS_MASK_H

struct os_mask {
	_Alignas(8) unsigned char bytes[128];
};

/* The calling thread's. */
void os_mask_get(struct os_mask *);
/* What the calling thread lets in from now on; *before (it may be NULL) what it did. */
void os_mask_set(const struct os_mask *, struct os_mask *before);
/* Keeps everything out. */
void os_mask_all(struct os_mask *);
/* Keeps out what comes from elsewhere; faults, and what stops a job at its terminal, come in. */
void os_mask_all_but_faults(struct os_mask *);

#endif
