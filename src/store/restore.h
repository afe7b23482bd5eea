#ifndef RESTORE_H
#define RESTORE_H

#include "locations/location.h"
#include "store/record.h"

/*
 * Putting a record's outputs where the command would have put them, so that
 * nobody can tell the difference: each file appears whole and at once, with the
 * present as its time, and shares no storage that a later write could damage. Who
 * is killed half way leaves some outputs in place and the others untouched.
 *
 * A record is not trusted: a path that is none of ours to write is ERROR_CORRUPT.
 */
struct restore_blob; /* below */

struct restore {
	struct location *tree; /* where blobs are */
	bool mend;             /* locations forget what is damaged */
	bool far;              /* blobs may be far away: ask for all at once */
	struct restore_blob *others; /* what else is to be there first */
	size_t other_count;
	const struct world *world;
	mode_t umask;

	/* May the action write there? */
	bool (*allowed)(void *arg, const char *path);
	void *arg;

	/* Told of a damaged blob that another location had whole; may be NULL. */
	void (*note)(void *arg, const char *text);

	/* Lays out what is OUTPUT_REWRITE; NULL: nothing can. */
	bool (*rewrite)(
	    const char *text, size_t size, const char *root, struct buf *to);
};

/*
 * HIT: all is there. MISS, with the reason in *err: the place is not as the
 * record has it (a link is in the way, a folder is missing), so only the command
 * itself can do as it does. FAILED: a blob is missing or damaged. After either,
 * nothing was changed, but for what went wrong at the very end.
 */
enum outcome restore_outputs(const struct restore *restore,
    const struct record *record, struct error *err);

/* A blob that is no output, and comes with theirs, into the open file `fd`. */
struct restore_blob {
	const struct digest *digest;
	uint64_t size;
	int fd;
	bool fetched;
};

/* Copy a blob of `size` bytes into the open file `fd`, verified; of one that turns
 * out to be larger, no more than that is kept on the way. */
enum outcome restore_blob(const struct restore *restore,
    const struct digest *digest, uint64_t size, int fd, struct error *err);

/* Where the output is to be, absolute; NULL if it names no proper place. The
 * caller frees it. */
char *restore_path(const struct world *world, const struct output *output);

#endif
