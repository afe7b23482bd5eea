#ifndef LAYOUT_H
#define LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"

/*
 * Where a lake has its blobs, as in the Python library tarn: the key's hexadecimal
 * digits, cut into folders as `levels` of the lake's config.yml says. [1, -1], the
 * usual, is two digits, a slash, and the rest.
 */
#define LAYOUT_PARTS DIGEST_SIZE

struct layout {
	uint8_t count;               /* of parts; 0: none is given */
	bool rest;                   /* the last part was written as -1 */
	uint8_t bytes[LAYOUT_PARTS]; /* their sizes; all of a digest */
};

extern const struct layout layout_default;

/* Do they cut in the same way? */
bool layout_equal(const struct layout *a, const struct layout *b);

/*
 * One part more, in bytes; -1: the rest, as the last. False if that is more than a
 * digest has. layout_whole(): have all parts together as much?
 */
bool layout_add(struct layout *layout, int64_t level);
bool layout_whole(const struct layout *layout);

/* "1,-1"; false, with *layout of no use, unless it is all of a digest. */
bool layout_parse(struct layout *layout, const char *text);

/* "[1, -1]" for "[", ", " and "]". */
void layout_show(const struct layout *layout, struct buf *to,
    const char *before, const char *between, const char *after);

/* `<root>/58/91b5...`; the caller frees it. */
char *layout_path(
    const struct layout *layout, const char *root, const struct digest *digest);

#endif
