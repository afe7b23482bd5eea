#ifndef SPY_H
#define SPY_H

#include "locations/location.h"

/*
 * A leaf that writes down what it is asked, and fails when told to. It stands in
 * front of the leaf that it was set on, whose place names it: "/tmp/x/a" is a.
 *
 *	spy_on(subject_leaf(&s, 0)); ...
 *	check_str(spy_log(), "a.read(1 2) b.read(2) a.write(2)");
 *
 * Keys are shown as they were named, or as their first byte. Each pair of brackets
 * is one call; a batch that was taken apart shows as several.
 */
struct spy {
	struct location_kind kind; /* in place of the leaf's */
	const struct location_kind *real;
	const char *name;
	struct spy_label *labels; /* kept here, whatever the leaf can do */
	size_t label_count;

	bool fails;     /* at every call, half way through the value */
	bool declines;  /* writes, and can't remove: it is read-only */
	unsigned slow;  /* microseconds before it fails */
	int fails_at;   /* at this call, the next being 0; -1: none */
	size_t largest; /* batch of reads or writes */
};

struct spy *spy_on(struct location *leaf);
struct spy *spy_of(struct location *leaf); /* NULL: there is none */

/* What all of them were asked since this was last called. */
const char *spy_log(void);

/* Show `key` so. The name is borrowed. */
void spy_name(const struct key *key, const char *name);

#endif
