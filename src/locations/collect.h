#ifndef COLLECT_H
#define COLLECT_H

#include "locations/location.h"

/*
 * Make room in a location: what has not been used for longest goes first.
 *
 * Nothing is sorted and nothing remembered of single entries: bytes are added up by
 * age, in steps that grow with it (seconds up to a minute, then 3 %), and from the
 * sums comes the age from which on entries go. So a few KiB of memory do for any
 * number of entries, and "longest" is exact within one step. Up to some ten thousand
 * entries the sums are those of all of them. Of more, they are those of a share of
 * the keys, which are digests and so alike everywhere, and become better with each
 * part of the location that is walked through: one walk does. It stops to remove
 * when what is known to be too much is gone, and should it leave more than it may,
 * another follows, whose sums are exact.
 *
 * Records, path sets and blobs are told apart by nothing but their age. What was
 * used in the last minute stays unless nothing else is left; of it only so much goes
 * that 5 % are free.
 *
 * It may be killed at any time: what is removed is removed. Each run starts with
 * another part, so that many that are killed early do the work of one.
 */
struct collect_request {
	uint64_t max_size; /* bytes; above it, go down to 80 %; 0: any size */
	uint64_t max_age;  /* seconds since the last use; 0: any age */
	bool own_size;     /* with a max_size of 0: the location's own */
	bool dry_run;      /* only say what would go */
	bool gentle;       /* pause often, so that others get at the disk */

	/* Optional: called for each entry in each walk. */
	void (*progress)(void *arg, const struct location_entry *entry);
	void *arg;
};

struct collect_result {
	uint64_t entries, bytes; /* what stays */
	uint64_t removed, removed_bytes;
};

/*
 * HIT: done. MISS: another process is at it, or with *err, why nothing can be removed
 * there. FAILED: parts could not be listed or
 * entries not be removed (the last such error; the others were tried).
 */
enum outcome location_collect(struct location *loc,
    const struct collect_request *request, struct collect_result *result,
    struct error *err);

/*
 * A write never makes room by itself. Whoever has written does it afterwards where a
 * leaf of the tree holds more than it may. To ask costs nothing; the answer is no,
 * too, while somebody is at it and for a second after, so that a new process for it
 * is not started in vain. How it went shows in the leaf's count of errors.
 */
bool location_is_over(struct location *tree);
void location_collect_over(struct location *tree, bool gentle);

/* For kinds: a location as parts with about as many entries each, of like ages. */
struct collect_parts {
	size_t count;
	uint64_t bytes; /* in all of them, as far as known; 0: not known */
	int (*list)(void *arg, size_t part, location_entry_fn *fn, void *fn_arg,
	    struct error *err);
	enum outcome (*remove)(
	    void *arg, const struct location_entry *entry, struct error *err);
	/* Optional: after each part, what was removed since the last call. */
	void (*removed)(void *arg, uint64_t bytes);
	void *arg;
};

enum outcome collect_parts(const struct collect_parts *parts,
    const struct collect_request *request, struct collect_result *result,
    struct error *err);

#endif
