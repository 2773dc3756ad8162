/* parse.h - from the string of a signature to libffi's types. */
#ifndef FB_FOREIGN_PARSE_H
#define FB_FOREIGN_PARSE_H

#include "foreign/signature.h"

struct parsed {
	ffi_type *result;
	ffi_type *types[SIGNATURE_ARGS];
	uint32_t at[SIGNATURE_ARGS];       /* where each stands in the string */
	unsigned count;
	unsigned fixed;                    /* of them before the dot; count: there is no dot */
	uint32_t end;                      /* the ')' */
	struct signature_struct *structs;  /* all that were made, also after an error */
};

/* 0; -EINVAL: *error points at what is wrong; -ENOMEM. */
int parse_signature(const char *text, struct parsed *out, fiber_signature_error_t *error);
void parse_free_structs(struct signature_struct *);

#endif
