#!/usr/bin/env python3
"""foreign_fuzz.py - writes functions of random signatures, in C, for tests/foreign_fuzz.c.

	tests/foreign_fuzz.py COUNT SEED >generated.c

Each takes its arguments together into a number, and makes its result of that; beside it stand the
code that makes random arguments and calls it as the compiler does, and through the library. The
same seed gives the same file."""
import random
import sys

# Letters of the signature -> C's type.
SCALARS = {
    "b": "bool", "c": "char", "C": "unsigned char", "s": "short", "S": "unsigned short",
    "i": "int", "I": "unsigned", "l": "long", "L": "unsigned long", "q": "long long",
    "Q": "unsigned long long", "n": "ssize_t", "N": "size_t", "i8": "int8_t", "i16": "int16_t",
    "i32": "int32_t", "i64": "int64_t", "I8": "uint8_t", "I16": "uint16_t", "I32": "uint32_t",
    "I64": "uint64_t", "f": "float", "d": "double", "D": "long double", "p": "void *",
}
UNPROMOTED = {"b", "c", "C", "s", "S", "i8", "i16", "I8", "I16", "f"}
FLOATING = {"f", "d", "D"}
HEAD = """/* Written by tests/foreign_fuzz.py. */
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"

/* Not inlined: there are thousands of calls. */
#define UNUSED __attribute__((__unused__, __noinline__))

static inline uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}
"""


class Type:
    """What stands in a signature for it, its name in C, and the functions make_ID and hash_ID."""

    def __init__(self, text, name, ident, depth=0):
        self.text, self.name, self.ident, self.depth = text, name, ident, depth


def scalar_code(letter, name):
    ident = f"t_{letter}"
    if letter in FLOATING:
        made = f"({name})((int32_t)mix(*seed, 1) / 16 + 0.25)"
        # Twice, so that what a double cannot hold of a long double counts.
        taken = f"double high = (double)value, low = (double)(value - ({name})high);\n" \
                "\tuint64_t bits[2];\n\n" \
                "\tmemcpy(&bits[0], &high, 8);\n\tmemcpy(&bits[1], &low, 8);\n" \
                "\treturn mix(mix(hash, bits[0]), bits[1]);"
        if letter == "D":
            made = "(long double)(int64_t)mix(*seed, 1) / 3"
    elif letter == "p":
        made, taken = "(void *)(uintptr_t)mix(*seed, 1)", "return mix(hash, (uintptr_t)value);"
    else:
        made = "mix(*seed, 1) & 1" if letter == "b" else f"({name})mix(*seed, 1)"
        taken = "return mix(hash, (uint64_t)value);"
    return f"""
UNUSED static {name} make_{ident}(uint64_t *seed)
{{
	*seed = mix(*seed, 3);
	return {made};
}}

UNUSED static uint64_t hash_{ident}(uint64_t hash, {name} value)
{{
	{taken}
}}
"""


def struct_code(ident, members):
    """members: (type, length of the array or 0)"""
    fields = "".join(f"\t{t.name} m{i}{f'[{n}]' if n else ''};\n"
                     for i, (t, n) in enumerate(members))
    make, take = "", ""
    for i, (t, n) in enumerate(members):
        for place in [f"m{i}[{j}]" for j in range(n)] or [f"m{i}"]:
            make += f"\tvalue.{place} = make_{t.ident}(seed);\n"
            take += f"\thash = hash_{t.ident}(hash, value.{place});\n"
    return f"""
struct {ident} {{
{fields}}};

UNUSED static struct {ident} make_{ident}(uint64_t *seed)
{{
	struct {ident} value;

	memset(&value, 0, sizeof value);
{make}	return value;
}}

UNUSED static uint64_t hash_{ident}(uint64_t hash, struct {ident} value)
{{
{take}	return hash;
}}
"""


class Writer:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.structs = []
        self.out = [HEAD]
        self.scalars = [Type(letter, name, f"t_{letter}") for letter, name in SCALARS.items()]
        self.out += [scalar_code(letter, name) for letter, name in SCALARS.items()]

    def struct(self):
        """A new struct, or one that was there already."""
        pick = self.random
        if self.structs and pick.random() < 0.5:
            return pick.choice(self.structs)
        few = pick.choice([self.scalars, [t for t in self.scalars if t.text in FLOATING],
                           [pick.choice(self.scalars)]])
        members, text = [], ""
        for _ in range(pick.choice([1, 1, 2, 2, 3, 4, 6])):
            nested = [t for t in self.structs if t.depth < 3]
            t = pick.choice(nested) if nested and pick.random() < 0.15 else pick.choice(few)
            n = pick.choice([2, 3, 5]) if pick.random() < 0.15 else 0
            members.append((t, n))
            text += f"[{n}{t.text}]" if n else t.text
        ident = f"s_{len(self.structs)}"
        made = Type("{" + text + "}", f"struct {ident}", ident,
                    1 + max(t.depth for t, _ in members))
        self.out.append(struct_code(ident, members))
        self.structs.append(made)
        return made

    def type(self):
        return self.struct() if self.random.random() < 0.25 else self.random.choice(self.scalars)

    def signature(self):
        """(result or None, arguments, how many are named)"""
        pick = self.random
        result = None if pick.random() < 0.1 else self.type()
        if result and result.text.strip("{}") == "D" and result.depth:
            result = None  # which libffi cannot return
        args = [self.type() for _ in range(pick.choice([0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 20]))]
        fixed = len(args)
        if args and pick.random() < 0.15:
            fixed = pick.randrange(1, len(args) + 1)
            args = [t for i, t in enumerate(args) if i < fixed or t.text not in UNPROMOTED]
            if args[fixed - 1].text in UNPROMOTED:  # va_start wants another one
                args[fixed - 1] = self.scalars[-1]
        return result, args, fixed

    def case(self, number):
        result, args, fixed = self.signature()
        if result is None:  # where it tells what it was given
            args, fixed = [Type("p", "uint64_t *", "out")] + args, fixed + 1
        dots = fixed < len(args)
        text = "v" if result is None else result.text
        text += "(" + "".join(("." if dots and i == fixed else "") + t.text
                              for i, t in enumerate(args)) + ")"
        self.out.append(case_code(number, result, args, fixed))
        return f'\t{{ "{text}", call_{number}, call_back_{number}, handle_{number} }},\n'


def function_code(number, result, args, fixed):
    """The function that is called, its parameters' types, and how its result is made."""
    name = result.name if result else "void"
    dots = fixed < len(args)
    parameters = ", ".join([f"{t.name} a{i}" for i, t in enumerate(args[:fixed])] +
                           (["..."] if dots else [])) or "void"
    before, body = "", ""
    if dots:
        before = "\tva_list list;\n"
        body = f"\tva_start(list, a{fixed - 1});\n"
    for i, t in enumerate(args):
        if t.ident == "out":
            continue
        value = f"a{i}" if i < fixed else f"va_arg(list, {t.name})"
        body += f"\thash = hash_{t.ident}(hash, {value});\n"
    if dots:
        body += "\tva_end(list);\n"
    body += f"\treturn make_{result.ident}(&hash);" if result else "\t*a0 = hash;"
    return f"""
static {name} f_{number}({parameters})
{{
	uint64_t hash = {number};
{before}
{body}
}}
"""


def case_code(number, result, args, fixed):
    name = result.name if result else "void"
    types = ", ".join([t.name for t in args[:fixed]] + (["..."] if fixed < len(args) else []))
    values = ", ".join(f"a{i}" for i in range(len(args)))
    given = ", ".join(f"*({t.name} *)args[{i}]" for i, t in enumerate(args))
    make = "".join(f"\t{t.name} a{i} = " +
                   ("&got;\n" if t.ident == "out" else f"make_{t.ident}(&seed);\n")
                   for i, t in enumerate(args))
    places = ", ".join(f"{{ &a{i}, sizeof a{i}, {1 if t.text in FLOATING else 2} }}"
                       for i, t in enumerate(args)) or "{ NULL, 0, 0 }"
    if result:
        got = "\tgot = hash_{0}(0, r);\n".format(result.ident)
        declare, into, direct = f"\t{name} r;\n", "&r", f"r = f_{number}({values});\n{got}"
        back = f"r = (({name} (*)({types or 'void'}))(void *)code)({values});\n{got}"
        handle = f"{name} r = f_{number}({given});\n\n\tmemcpy(result, &r, sizeof r);"
    else:
        declare, into, direct = "", "NULL", f"f_{number}({values});\n"
        got = ""
        back = f"((void (*)({types or 'void'}))(void *)code)({values});\n"
        handle = f"(void)result;\n\tf_{number}({given});"
    return function_code(number, result, args, fixed) + f"""
static int call_{number}(uint64_t seed, fuzz_way *way, const fiber_signature_t *sig, void *context)
{{
	uint64_t got = 0, expected;
{make}	fiber_arg_t args[] = {{ {places} }};
{declare}	int called;

	(void)seed;
	{direct}	expected = got;
	got = 0;
	called = way(sig, FIBER_FOREIGN(f_{number}), {into}, args, {len(args)}, context);
	if (called < 0)
		return called;
{got}	return got == expected;
}}

static int call_back_{number}(uint64_t seed, fiber_foreign_fn *code)
{{
	uint64_t got = 0, expected;
{make}{declare}
	(void)seed;
	{direct}	expected = got;
	got = 0;
	{back}	return got == expected;
}}

static void handle_{number}(void *context, void *result, void *const *args)
{{
	fuzz_pause(context);
	(void)args;
	{{
	{handle}
	}}
}}
"""


def main():
    count, writer = int(sys.argv[1]), Writer(int(sys.argv[2]))
    table = "".join(writer.case(number) for number in range(count))
    writer.out.append(f"\nconst struct fuzz_case fuzz_cases[] = {{\n{table}}};\n"
                      f"const unsigned fuzz_count = {count};\n")
    sys.stdout.write("".join(writer.out))


if __name__ == "__main__":
    main()
