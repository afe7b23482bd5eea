#ifndef TOTALS_H
#define TOTALS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Event lines added up, in constant memory: each table has room for so many
 * names. Of kinds and locations that are more, the rest is counted as "(others)";
 * of reasons, the rarest one makes room.
 */
enum totals_outcome {
	TOTALS_HIT,
	TOTALS_MISS,
	TOTALS_UNCACHEABLE,
	TOTALS_FAILED,
	TOTALS_DISABLED,
	TOTALS_ERROR,
	TOTALS_OUTCOMES
};

extern const char *const totals_outcome_names[TOTALS_OUTCOMES];

#define TOTALS_KINDS 16
#define TOTALS_LOCATIONS 64
#define TOTALS_REASONS 256
#define TOTALS_TOP 5 /* reasons shown */

struct totals_kind {
	char *name; /* owned */
	uint64_t counts[TOTALS_OUTCOMES];
};

struct totals_location {
	char *name; /* owned */
	uint64_t reads, hits, writes, errors, us;
};

struct totals_reason {
	char *text; /* owned */
	uint64_t count;
};

struct totals_reasons {
	struct totals_reason item[TOTALS_REASONS];
	size_t count;
};

/* All zero is an empty one. Times are in microseconds. */
struct totals {
	uint64_t actions, unreadable, bytes, saved_us, wall_us;
	uint64_t outcomes[TOTALS_OUTCOMES];
	char since[40]; /* time of the first line; empty: there is none */
	struct totals_kind kinds[TOTALS_KINDS];
	struct totals_location locations[TOTALS_LOCATIONS];
	size_t kind_count, location_count;
	struct totals_reasons missed, refused;
};

/* One line without its newline; what is no event is counted as unreadable. */
void totals_add_line(struct totals *totals, const char *line, size_t len);

/* hits / (hits + misses), or -1 if there was neither. */
double totals_hit_rate(const struct totals *totals);

/* Most frequent reasons first, then by text; do it before showing them. */
void totals_sort(struct totals *totals);

void totals_text(const struct totals *totals, struct buf *to);
void totals_json(const struct totals *totals, struct buf *to);

void totals_release(struct totals *totals);

#endif
