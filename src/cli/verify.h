#ifndef VERIFY_H
#define VERIFY_H

#include "cli/progress.h"
#include "locations/location.h"

/* What `tarn verify` has found so far, and how it is told: a line for each. */
struct findings {
	bool repair, as_json;
	struct progress progress;
	uint64_t damaged, repaired;
};

struct finding {
	const char *location;  /* its name; or TARN_DIR's path */
	const char *path;      /* where; NULL if `key` says it */
	const struct key *key; /* or NULL */
	const char *found, *expected;
	const char *done;  /* what the repair did; NULL: nothing */
	const char *error; /* why it could not; or NULL */
};

void findings_add(struct findings *findings, const struct finding *finding);

/* The files of TARN_DIR that are nobody's results but speed things up. All can be
 * made anew, so to repair one is to remove it. */
void verify_home(struct findings *findings, const char *tarn_dir);

#endif
