#ifndef CURSOR_H
#define CURSOR_H

#include <limits.h>

#include "store/pathset.h"

/*
 * Going through an encoded path set, path by path, in one buffer.
 *
 * The encoding is a version byte, then groups until the end. A group is one
 * folder's entries: a byte (place, plus GROUP_ABSENT if FACET_ABSENT is all that
 * counts), the folder's path, the number of entries, the entries. An entry is
 * its facets (not in a GROUP_ABSENT) and its name. Folder and name are written
 * as the number of bytes shared with the one before, the number of new bytes,
 * the new bytes. Numbers are little-endian base 128. A folder's path starts with
 * a slash or is empty; path = place + folder + "/" + name.
 */
#define PATH_SET_VERSION 1
#define GROUP_ABSENT 8
#define CURSOR_PATH (2 * PATH_MAX)

struct cursor {
	const unsigned char *at, *end;
	const char *root;
	uint64_t left; /* entries of this group that are still to come */

	/* The group: */
	enum place place;
	bool absent;    /* GROUP_ABSENT */
	bool first;     /* this entry is its first */
	uint64_t count; /* its entries */

	/* The entry: */
	uint32_t facets;
	size_t base, folder,
	    size;               /* path[0,base) place, [base,folder) folder */
	char path[CURSOR_PATH]; /* absolute; NUL-terminated */
};

/* `root` stands in front of what is relative to it. */
void cursor_init(
    struct cursor *cursor, const void *data, size_t size, const char *root);

/* On to the next entry. 1, or 0 at the end, or -1 if the bytes are damaged. */
int cursor_next(struct cursor *cursor);

/* The name alone: all of a variable's or machine fact's "path". */
const char *cursor_name(const struct cursor *cursor);

#endif
