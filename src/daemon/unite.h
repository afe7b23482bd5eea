#ifndef UNITE_H
#define UNITE_H

#include "base/buf.h"
#include "locations/location.h"

/*
 * A list of path sets that is to replace the one at the far end comes from somebody
 * who may never have seen that one. So it goes there along with what only that one
 * has, behind its own. Two machines that do so at the same moment may still lose a
 * set, which costs a run some day.
 */
struct unite {
	struct digest key;
	struct source *in; /* borrowed; what is to be written, a list or not */

	/* Out: it is there as it is to be; or, if not empty, what to write instead. */
	bool there;
	struct buf value;
};

/* Reads what is in the index of `loc` under all of these keys at once, if there are
 * lists for them. -1 with *err: it can't be reached. */
int unite_lists(
    struct location *loc, struct unite *lists, size_t count, struct error *err);

#endif
