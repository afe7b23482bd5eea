#ifndef DIFFERENCE_H
#define DIFFERENCE_H

#include <stdint.h>

#include "base/error.h"
#include "base/stream.h"

/*
 * How two values differ that should have been the same, and what the likely cause
 * is: the bytes around each place where they part are looked at. In one pass and
 * constant memory.
 */
enum difference_cause {
	CAUSE_TIME = 1 << 0, /* a date, a time, seconds since the epoch */
	CAUSE_PATH = 1 << 1, /* a path */
	CAUSE_BUILD_ID =
	    1 << 2,           /* the note that a linker makes of all the rest */
	CAUSE_ORDER = 1 << 3, /* the same bytes or lines in another order */
	CAUSE_UNKNOWN = 1 << 4,
};

struct difference {
	uint64_t size[2];
	uint64_t first;  /* offset of the first byte that differs */
	uint64_t bytes;  /* that differ, as far as both go */
	uint64_t places; /* runs of such bytes, not more than 8 bytes apart */
	uint32_t causes; /* enum difference_cause; 0: they are the same */
	char sample[2][100]; /* around the first: text, or hexadecimal */
};

/* Both are read to their ends. Returns 0 or -1. */
int difference_find(struct difference *d, struct source *a, struct source *b,
    struct error *err);

/* "time stamp, path", in a buffer of at least 64 bytes. */
const char *difference_causes(uint32_t causes, char *to);

#endif
