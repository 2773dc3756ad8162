/* limits.h - what libffi 3.4.4 gets wrong, and what is therefore refused. */
#ifndef FB_FOREIGN_LIMITS_H
#define FB_FOREIGN_LIMITS_H

#include "foreign/signature.h"

/* Would a call of this signature, which libffi has prepared, go wrong? */
bool limits_forbid(const struct fiber_signature *);

#endif
