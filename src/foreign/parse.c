/* parse.c - reads the string of a signature, from left to right, a function for each thing that can
 * stand there. The first thing that is wrong ends it: `why` is set, and `at` stays there. */
#include "foreign/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum {
	MEMBERS = 4096,            /* of one struct, arrays counted element by element */
	DEPTH = 16,                /* of structs in structs */
};

struct reader {
	const char *text, *at;
	const char *why;           /* NULL: nothing is wrong so far */
	bool no_memory;
	unsigned depth;
	struct signature_struct *structs;
};

/* The members of a struct that is being read. */
struct members {
	ffi_type **type;
	size_t n, room;
};

static bool fail(struct reader *r, const char *why)
{
	if (!r->why)
		r->why = why;
	return false;
}

static char peek(struct reader *r)
{
	while (*r->at == ' ')
		r->at++;
	return *r->at;
}

/* ---- letters ----------------------------------------------------------------------------------*/
#define INTEGER(type)                                                                              \
	((type)-1 < (type)1 ? integer(sizeof(type), true) : integer(sizeof(type), false))

static ffi_type *integer(size_t bytes, bool is_signed)
{
	switch (bytes) {
	case 1:
		return is_signed ? &ffi_type_sint8 : &ffi_type_uint8;
	case 2:
		return is_signed ? &ffi_type_sint16 : &ffi_type_uint16;
	case 4:
		return is_signed ? &ffi_type_sint32 : &ffi_type_uint32;
	default:
		return is_signed ? &ffi_type_sint64 : &ffi_type_uint64;
	}
}

static ffi_type *letter(char c)
{
	switch (c) {
	case 'b': return INTEGER(bool);
	case 'c': return INTEGER(char);
	case 'C': return INTEGER(unsigned char);
	case 's': return INTEGER(short);
	case 'S': return INTEGER(unsigned short);
	case 'i': return INTEGER(int);
	case 'I': return INTEGER(unsigned);
	case 'l': return INTEGER(long);
	case 'L': return INTEGER(unsigned long);
	case 'q': return INTEGER(long long);
	case 'Q': return INTEGER(unsigned long long);
	case 'n': return INTEGER(ssize_t);
	case 'N': return INTEGER(size_t);
	case 'f': return &ffi_type_float;
	case 'd': return &ffi_type_double;
	case 'D': return &ffi_type_longdouble;
	case 'p': return &ffi_type_pointer;
	default: return NULL;
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number; too large a one stays too large. */
static unsigned number(struct reader *r)
{
	unsigned n = 0;

	for (; is_digit(*r->at); r->at++)
		n = n > MEMBERS ? n : n * 10 + (unsigned)(*r->at - '0');
	return n;
}

/* The digits after i or I. */
static bool width(struct reader *r, bool is_signed, ffi_type **out)
{
	const char *digits = r->at;
	unsigned bits = number(r);

	if (bits != 8 && bits != 16 && bits != 32 && bits != 64) {
		r->at = digits;
		return fail(r, "integers have 8, 16, 32 or 64 bits");
	}
	*out = integer(bits / 8, is_signed);
	return true;
}

static bool read_struct(struct reader *r, ffi_type **out);

static bool read_type(struct reader *r, ffi_type **out)
{
	char c = peek(r);

	if (c == '{')
		return read_struct(r, out);
	*out = letter(c);
	if (!*out)
		return fail(r, c == 0     ? "a type is missing"
			       : c == 'v' ? "void is a result only"
			       : c == '[' ? "an array is a member of a struct only"
					  : "no type has this letter");
	r->at++;
	if ((c == 'i' || c == 'I') && is_digit(*r->at))
		return width(r, c == 'i', out);
	return true;
}

/* ---- structs ----------------------------------------------------------------------------------*/
static bool add(struct reader *r, struct members *m, ffi_type *type)
{
	ffi_type **more;

	if (m->n == MEMBERS)
		return fail(r, "a struct of so many members is beyond the limit");
	if (m->n == m->room) {
		m->room = m->room ? 2 * m->room : 8;
		more = realloc(m->type, m->room * sizeof *more);
		if (!more) {
			r->no_memory = true;
			return fail(r, "no memory");
		}
		m->type = more;
	}
	m->type[m->n++] = type;
	return true;
}

/* [8c]: for libffi an array is so many members. */
static bool read_array(struct reader *r, struct members *m)
{
	ffi_type *type;
	unsigned n;

	r->at++;
	peek(r);
	n = number(r);
	if (n == 0)
		return fail(r, "an array begins with the number of its elements");
	if (!read_type(r, &type))
		return false;
	if (peek(r) != ']')
		return fail(r, "here should be a ]");
	for (; n > 0; n--)
		if (!add(r, m, type))
			return false;
	r->at++;
	return true;
}

static bool read_members(struct reader *r, struct members *m)
{
	ffi_type *type;
	char c;

	while ((c = peek(r)) != '}') {
		if (c == '[') {
			if (!read_array(r, m))
				return false;
		} else if (!read_type(r, &type) || !add(r, m, type)) {
			return false;
		}
	}
	return m->n > 0 || fail(r, "a struct has members");
}

static bool keep(struct reader *r, const struct members *m, ffi_type **out)
{
	struct signature_struct *s = malloc(sizeof *s + (m->n + 1) * sizeof *s->elements);

	if (!s) {
		r->no_memory = true;
		return fail(r, "no memory");
	}
	memcpy(s->elements, m->type, m->n * sizeof *s->elements);
	s->elements[m->n] = NULL;
	s->type = (ffi_type){ .type = FFI_TYPE_STRUCT, .elements = s->elements };
	s->next = r->structs;
	r->structs = s;
	*out = &s->type;
	return true;
}

static bool read_struct(struct reader *r, ffi_type **out)
{
	struct members m = {0};
	bool done;

	if (r->depth == DEPTH)
		return fail(r, "structs so deep in structs are beyond the limit");
	r->at++;
	r->depth++;
	done = read_members(r, &m) && keep(r, &m, out);
	r->depth--;
	free(m.type);
	if (done)
		r->at++;
	return done;
}

/* ---- the whole --------------------------------------------------------------------------------*/
/* What the caller of a function without a prototype promotes cannot arrive there. */
static bool is_promoted(const ffi_type *type)
{
	return type == &ffi_type_float ||
	       (type->type != FFI_TYPE_STRUCT && type->size < sizeof(int));
}

static bool read_argument(struct reader *r, struct parsed *out, bool dots)
{
	ffi_type *type;

	if (out->count == SIGNATURE_ARGS)
		return fail(r, "more than 127 arguments");
	out->at[out->count] = (uint32_t)(r->at - r->text);
	if (!read_type(r, &type))
		return false;
	if (dots && is_promoted(type)) {
		r->at = r->text + out->at[out->count];
		return fail(r, type == &ffi_type_float ? "after the . a float is promoted: say d"
						       : "after the . it is promoted: say i");
	}
	out->types[out->count++] = type;
	return true;
}

static bool read_arguments(struct reader *r, struct parsed *out)
{
	bool dots = false;
	char c;

	while ((c = peek(r)) != ')') {
		if (c == 0)
			return fail(r, "here should be a )");
		if (c != '.') {
			if (!read_argument(r, out, dots))
				return false;
			continue;
		}
		if (dots)
			return fail(r, "there is a . already");
		if (out->count == 0)
			return fail(r, "before the . stands a named argument");
		dots = true;
		out->fixed = out->count;
		r->at++;
	}
	if (!dots)
		out->fixed = out->count;
	out->end = (uint32_t)(r->at - r->text);
	r->at++;
	return true;
}

static bool read_result(struct reader *r, ffi_type **out)
{
	if (peek(r) != 'v')
		return read_type(r, out);
	*out = &ffi_type_void;
	r->at++;
	return true;
}

static bool read_all(struct reader *r, struct parsed *out)
{
	if (!read_result(r, &out->result))
		return false;
	if (peek(r) != '(')
		return fail(r, "here should be a (");
	r->at++;
	if (!read_arguments(r, out))
		return false;
	return peek(r) == 0 || fail(r, "here it should end");
}

int parse_signature(const char *text, struct parsed *out, fiber_signature_error_t *error)
{
	struct reader r = { .text = text, .at = text };

	*out = (struct parsed){0};
	if (read_all(&r, out))
		*error = (fiber_signature_error_t){0};
	else
		*error = (fiber_signature_error_t){ (size_t)(r.at - text), r.why };
	out->structs = r.structs;
	return r.no_memory ? -ENOMEM : r.why ? -EINVAL : 0;
}

void parse_free_structs(struct signature_struct *s)
{
	struct signature_struct *next;

	for (; s; s = next) {
		next = s->next;
		free(s);
	}
}
