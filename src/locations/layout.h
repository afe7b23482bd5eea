#ifndef LAYOUT_H
#define LAYOUT_H

#include "base/digest.h"
#include "base/error.h"

/*
 * Where a lake has its blobs, as in the Python library tarn: the key's hexadecimal
 * digits, cut into folders as `levels` of the lake's config.yml says. [1, -1], the
 * usual, is two digits, a slash, and the rest.
 */
#define LAYOUT_FILE "config.yml"
#define LAYOUT_DEFAULT "levels:\n- 1\n- -1\n" /* what a new lake has in it */
#define LAYOUT_PARTS 8

struct layout {
	size_t count;                      /* of parts */
	unsigned char bytes[LAYOUT_PARTS]; /* their sizes; all of a digest */
};

extern const struct layout layout_default;

bool layout_equal(const struct layout *a, const struct layout *b);

/*
 * From the text of a config.yml, of which `levels` counts and what else the Python
 * library knows is skipped. Only the forms that it writes, and `levels: [1, -1]`,
 * are understood. Returns 0, or -1 with ERROR_CORRUPT.
 */
int layout_parse(
    struct layout *layout, const char *config_yml, struct error *err);

/* `<root>/58/91b5...`; the caller frees it. */
char *layout_path(
    const struct layout *layout, const char *root, const struct digest *digest);

#endif
