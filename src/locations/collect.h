#ifndef COLLECT_H
#define COLLECT_H

#include "locations/location.h"

/*
 * Make room in a location: what has not been used for longest goes first.
 *
 * Two walks through location_list(): the first counts the bytes by age, in steps
 * that grow with it (seconds up to a minute, then 3 %), the second removes. So a
 * few KiB of memory do for any number of entries, and "longest" is exact within
 * one step. What was used in the last minute stays unless nothing else is left.
 */
struct collect_request {
	uint64_t max_size; /* bytes; above it, go down to 80 %; 0: any size */
	uint64_t max_age;  /* seconds since the last use; 0: any age */
	bool dry_run;      /* only say what would go */
};

struct collect_result {
	uint64_t entries, bytes; /* what stays */
	uint64_t removed, removed_bytes;
};

/*
 * Returns 0, or -1 if the listing failed or entries could not be removed (the
 * last such error; the others were tried).
 */
int location_collect(struct location *loc,
    const struct collect_request *request, struct collect_result *result,
    struct error *err);

#endif
