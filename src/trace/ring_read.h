#ifndef RING_READ_H
#define RING_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "trace/ring.h"

/*
 * The supervisor's side of the accelerator's log. Whoever runs under the supervisor
 * can write to that memory, also while we read it, so nothing in it is believed
 * twice: an entry is copied before it is looked at, and a log that can't be what
 * its writers agreed on is damaged for good.
 */
#define RING_UNFINISHED_MAX 256

/* Where entry is and how long, as it said when it was first seen. */
struct ring_place {
	uint32_t at, size;
};

struct ring_reader {
	char *ring;  /* RING_SIZE bytes, borrowed; NULL: nothing to read */
	uint32_t at; /* what was read of it, but for ... */
	struct ring_place unfinished[RING_UNFINISHED_MAX]; /* ... these */
	size_t unfinished_count;
	int patience; /* how often to look whether a claimed entry has a size */
	bool damaged;
};

/* `entry` is a copy, its path ends where it says, and there is no NUL before. */
typedef void ring_entry_fn(void *arg, const struct ring_entry *entry);

/* Write the head of a fresh log. */
void ring_init(struct ring_reader *reader, char *ring);

/*
 * Call `fn` for what was logged since. An entry whose call still goes on is passed
 * over and taken later, so that it holds up nothing behind it; each is taken once.
 * False if the log is damaged.
 */
bool ring_drain(struct ring_reader *reader, ring_entry_fn *fn, void *arg);

#endif
