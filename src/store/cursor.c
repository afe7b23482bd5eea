#include "store/cursor.h"

#include <string.h>

void
cursor_init(
    struct cursor *cursor, const void *data, size_t size, const char *root)
{
	cursor->at = data;
	cursor->end = cursor->at + size;
	cursor->root = root;
	cursor->left = 0;
	cursor->count = 0;
	cursor->place = PLACES;
	cursor->base = cursor->folder = cursor->size = 0;
	if (size == 0 || *cursor->at != PATH_SET_VERSION)
		cursor->at = NULL; /* cursor_next() says so */
	else
		cursor->at++;
}

static bool
number(struct cursor *cursor, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 63 && cursor->at < cursor->end;
	     shift += 7) {
		unsigned char byte = *cursor->at++;

		*value |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return true;
	}
	return false;
}

/* Replace what follows path[from + shared], where the old text ends at `*end`. */
static bool
front_coded(struct cursor *cursor, size_t from, size_t *end)
{
	uint64_t shared, fresh;

	if (!number(cursor, &shared) || !number(cursor, &fresh) ||
	    shared > *end - from ||
	    fresh > (size_t)(cursor->end - cursor->at) || fresh > PATH_MAX ||
	    from + shared + fresh + 2 > CURSOR_PATH ||
	    memchr(cursor->at, '\0', fresh))
		return false;
	memcpy(cursor->path + from + shared, cursor->at, fresh);
	cursor->at += fresh;
	*end = from + shared + fresh;
	return true;
}

static bool
group(struct cursor *cursor)
{
	unsigned char byte = *cursor->at++;

	if ((byte & ~GROUP_ABSENT) >= PLACES)
		return false;
	if ((byte & ~GROUP_ABSENT) != cursor->place) {
		cursor->place = byte & ~GROUP_ABSENT;
		cursor->base = 0;
		if (cursor->place == PLACE_ROOT) {
			cursor->base = strlen(cursor->root);
			if (cursor->base > PATH_MAX)
				return false;
			memcpy(cursor->path, cursor->root, cursor->base);
		}
		cursor->folder = cursor->base;
	}
	cursor->absent = byte & GROUP_ABSENT;
	if (!front_coded(cursor, cursor->base, &cursor->folder) ||
	    !number(cursor, &cursor->count) || cursor->count == 0 ||
	    (cursor->folder > cursor->base &&
	        cursor->path[cursor->base] != '/'))
		return false;
	cursor->path[cursor->folder] = '/';
	cursor->size = cursor->folder + 1;
	cursor->left = cursor->count;
	return true;
}

int
cursor_next(struct cursor *cursor)
{
	uint64_t facets = FACET_ABSENT;

	if (!cursor->at)
		return -1;
	if (cursor->left > 0)
		cursor->path[cursor->folder] = '/';
	cursor->first = cursor->left == 0;
	if (cursor->first) {
		if (cursor->at == cursor->end)
			return 0;
		if (!group(cursor))
			return -1;
	}
	if ((!cursor->absent && !number(cursor, &facets)) || facets == 0 ||
	    facets > FACETS ||
	    !front_coded(cursor, cursor->folder + 1, &cursor->size))
		return -1;
	cursor->path[cursor->size] = '\0';
	if (cursor->size == cursor->folder + 1 && cursor->folder > 0)
		cursor->path[cursor->folder] = '\0'; /* the folder itself */
	cursor->facets = (uint32_t)facets;
	cursor->left--;
	return 1;
}

const char *
cursor_name(const struct cursor *cursor)
{
	return cursor->path + cursor->folder + 1;
}
