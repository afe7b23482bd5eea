#include "store/pathset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/cursor.h"

struct observation *
path_set_add(
    struct path_set *set, enum place place, uint32_t facets, const char *path)
{
	struct observation *item;

	if (set->count == set->cap) {
		set->cap = set->cap ? 2 * set->cap : 64;
		set->item = xrealloc(set->item, set->cap, sizeof(*set->item));
	}
	item = &set->item[set->count++];
	*item = (struct observation){
		.place = place, .facets = facets, .path = xstrdup(path)
	};
	return item;
}

void
path_set_release(struct path_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		free(set->item[i].path);
	free(set->item);
	*set = (struct path_set){ 0 };
}

/* The folder's part of a path: all before the last slash, or nothing. */
static size_t
folder_size(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static const char *
name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool
absent_only(const struct observation *item)
{
	return item->facets == FACET_ABSENT;
}

static int
compare_folders(const struct observation *a, const struct observation *b)
{
	size_t size_a = folder_size(a->path), size_b = folder_size(b->path);
	int order = memcmp(a->path, b->path, size_a < size_b ? size_a : size_b);

	if (a->place != b->place)
		return (int)a->place - (int)b->place;
	if (order)
		return order;
	if (size_a != size_b)
		return size_a < size_b ? -1 : 1;
	return absent_only(a) - absent_only(b);
}

static int
compare(const void *a, const void *b)
{
	const struct observation *left = a, *right = b;
	int order = compare_folders(left, right);

	return order ? order
	             : strcmp(name_of(left->path), name_of(right->path));
}

static int
compare_paths(const void *a, const void *b)
{
	const struct observation *left = a, *right = b;

	if (left->place != right->place)
		return (int)left->place - (int)right->place;
	return strcmp(left->path, right->path);
}

/* Entries for one path become one that has the facets of all. */
static void
join(struct path_set *set)
{
	size_t kept = 0;

	if (set->count > 0)
		qsort(set->item, set->count, sizeof(*set->item), compare_paths);
	for (size_t i = 0; i < set->count; i++) {
		struct observation *item = &set->item[i];

		if (kept > 0 &&
		    compare_paths(&set->item[kept - 1], item) == 0) {
			set->item[kept - 1].facets |= item->facets;
			free(item->path);
		} else
			set->item[kept++] = *item;
	}
	set->count = kept;
}

static void
add_number(struct buf *to, uint64_t value)
{
	unsigned char bytes[10];
	size_t size = 0;

	do {
		bytes[size] =
		    (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
		size++;
		value >>= 7;
	} while (value);
	buf_add(to, bytes, size);
}

static void
add_front_coded(struct buf *to, const char *old, size_t old_size,
    const char *text, size_t size)
{
	size_t shared = 0;

	while (
	    shared < old_size && shared < size && old[shared] == text[shared])
		shared++;
	add_number(to, shared);
	add_number(to, size - shared);
	buf_add(to, text + shared, size - shared);
}

static size_t
group_size(const struct path_set *set, size_t from)
{
	size_t to = from + 1;

	while (to < set->count &&
	    compare_folders(&set->item[from], &set->item[to]) == 0)
		to++;
	return to - from;
}

static void
add_group(struct buf *to, const struct observation *item, size_t count,
    const struct observation *before)
{
	bool same_place = before && before->place == item->place;
	const char *old = "";

	add_number(
	    to, (uint64_t)item->place | (absent_only(item) ? GROUP_ABSENT : 0));
	add_front_coded(to, same_place ? before->path : "",
	    same_place ? folder_size(before->path) : 0, item->path,
	    folder_size(item->path));
	add_number(to, count);
	for (size_t i = 0; i < count; i++) {
		const char *name = name_of(item[i].path);

		if (!absent_only(item))
			add_number(to, item[i].facets);
		add_front_coded(to, old, strlen(old), name, strlen(name));
		old = name;
	}
}

void
path_set_encode(struct path_set *set, struct buf *to)
{
	const struct observation *before = NULL;

	join(set);
	if (set->count > 0)
		qsort(set->item, set->count, sizeof(*set->item), compare);
	add_number(to, PATH_SET_VERSION);
	for (size_t i = 0; i < set->count;) {
		size_t count = group_size(set, i);

		add_group(to, &set->item[i], count, before);
		before = &set->item[i];
		i += count;
	}
}

int
path_set_each(const void *data, size_t size, path_set_entry_fn *fn, void *arg,
    struct error *err)
{
	auto_free struct cursor *cursor = xmalloc(sizeof(*cursor));
	int more;

	cursor_init(cursor, data, size, "");
	while ((more = cursor_next(cursor)) > 0) {
		bool path = cursor->place == PLACE_ROOT ||
		    cursor->place == PLACE_ABSOLUTE;
		int stop = fn(arg, cursor->place, cursor->facets,
		    path ? cursor->path : cursor_name(cursor));

		if (stop)
			return stop;
	}
	if (more < 0)
		return error_set(err, ERROR_CORRUPT, "a damaged path set");
	return 0;
}
