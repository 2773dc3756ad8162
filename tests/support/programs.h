/* programs.h - small random programs of sends, receives, closes and selects, and an oracle: by
 * brute force over every interleaving, could a run of the program have ended as it did?
 *
 * Actor 0 is the one that closes every channel, so that every program ends. If it is `patient` it
 * closes one only when nobody else can do anything. */
#ifndef TESTS_PROGRAMS_H
#define TESTS_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>

enum { CHANNELS = 2, MOST_ACTORS = 4, MOST_OPS = 4, MOST_CASES = 3, MOST_CAPACITY = 2 };

enum act { SEND, RECV, CLOSE };

struct op {
	struct { enum act act; int chan, value; } cases[MOST_CASES];
	int n;
	bool select;            /* else by the channel's own call; then n is 1 */
	bool now;               /* without waiting */
};

struct outcome {
	int at;                 /* which case; or -EAGAIN */
	int result;             /* 0, -EPIPE, -EALREADY */
	int value;              /* received; else 0 */
};

struct program {
	int capacity[CHANNELS];
	int actors, ops[MOST_ACTORS];
	bool patient;
	struct op op[MOST_ACTORS][MOST_OPS];
	struct outcome seen[MOST_ACTORS][MOST_OPS];
};

struct program program_random(uint64_t *random);
/* Is `seen` one of the outcomes that this program may have? */
bool program_permits(const struct program *);
/* In the notation of the source, for messages. */
void program_print(const struct program *);

#endif
