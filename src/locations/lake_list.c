#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/lake.h"

/*
 * Names are looked at by the number of their inode, so many at a time: in a cold
 * cache that is the order on the disk, and far from that of the names.
 */
#define AT_ONCE 512

struct name {
	ino_t inode;
	char text[DIGEST_HEX + 1];
};

struct walk {
	location_entry_fn *fn;
	void *arg;
	struct error *err;
	const struct layout *layout;
	unsigned wanted;
	const struct lake *marks; /* this lake has marks of use; or NULL */
	bool unlabelled;          /* nothing in it has labels */
	enum key_space space;
	struct location *leaf;
	char hex[DIGEST_HEX + 1];
	struct name *names; /* AT_ONCE of them; the objects of a folder */
	size_t count;
};

/* A mark is exact; a file system may note any reading, or none. */
static time_t
last_use(
    const struct walk *walk, const struct digest *digest, const struct stat *st)
{
	time_t marked = walk->marks ? lake_marked(walk->marks, digest) : 0;

	if (marked)
		return marked;
	return st->st_atime > st->st_mtime ? st->st_atime : st->st_mtime;
}

/* An object, or a folder with one named "data". 0: it's something else. */
static int
walk_object(struct walk *walk, int dir, const char *name)
{
	struct location_entry entry = { .key = { .space = walk->space } };
	auto_free char *data = NULL;
	struct stat st;

	if (!digest_parse(&entry.key.digest, walk->hex) ||
	    fstatat(dir, name, &st, 0) < 0)
		return 0;
	if (S_ISDIR(st.st_mode)) {
		data = xasprintf("%s/data", name);
		if (fstatat(dir, data, &st, 0) < 0)
			return 0;
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	entry.size = (uint64_t)st.st_size;
	entry.last_used = last_use(walk, &entry.key.digest, &st);
	entry.unlabelled = walk->unlabelled;
	entry.leaf = walk->leaf;
	return walk->fn(walk->arg, &entry);
}

/* ---- folders ---- */

static int
compare_inodes(const void *a, const void *b)
{
	ino_t x = ((const struct name *)a)->inode;
	ino_t y = ((const struct name *)b)->inode;

	return x < y ? -1 : x > y;
}

static int
walk_objects(struct walk *walk, int dir, size_t at)
{
	int rc = 0;

	qsort(walk->names, walk->count, sizeof(*walk->names), compare_inodes);
	for (size_t i = 0; rc == 0 && i < walk->count; i++) {
		strcpy(walk->hex + at, walk->names[i].text);
		rc = walk_object(walk, dir, walk->names[i].text);
	}
	walk->count = 0;
	return rc;
}

static int walk_folder(struct walk *walk, int fd, size_t part, size_t at);

static int
enter(struct walk *walk, int dir, const char *name, size_t part, size_t at)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOTDIR || errno == ENOENT))
		return 0;
	strcpy(walk->hex + at, name);
	at += strlen(name);
	if (fd < 0)
		return error_errno(
		    walk->err, "cannot open folder '%s'", walk->hex);
	return walk_folder(walk, fd, part + 1, at);
}

/* Objects are only noted, a folder is entered. */
static int
walk_name(struct walk *walk, int dir, const struct dirent *entry, size_t part,
    size_t at)
{
	size_t digits = 2 * (size_t)walk->layout->bytes[part];
	struct name *name = &walk->names[walk->count];

	if (strlen(entry->d_name) != digits ||
	    strspn(entry->d_name, "0123456789abcdef") != digits)
		return 0;
	if (part + 1 < walk->layout->count)
		return enter(walk, dir, entry->d_name, part, at);
	name->inode = entry->d_ino;
	memcpy(name->text, entry->d_name, digits + 1);
	return ++walk->count == AT_ONCE ? walk_objects(walk, dir, at) : 0;
}

/* Takes over `fd`. `at` is how much of the key is known. */
static int
walk_folder(struct walk *walk, int fd, size_t part, size_t at)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		close(fd);
		return error_errno(walk->err, "cannot list a folder");
	}
	while (rc == 0) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		rc = walk_name(walk, dirfd(dir), entry, part, at);
	}
	if (rc == 0 && errno)
		rc = error_errno(walk->err, "cannot list a folder");
	if (rc == 0)
		rc = walk_objects(walk, dirfd(dir), at);
	closedir(dir);
	return rc;
}

/* ---- all of it, or a part ---- */

/* The folders of a first level of two bytes whose names start with `first`. */
static int
enter_each(struct walk *walk, int dir, const char *first)
{
	char name[8];
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 256; i++) {
		snprintf(name, sizeof(name), "%s%02x", first, i);
		rc = enter(walk, dir, name, 0, 0);
	}
	return rc;
}

/* `first` is two digits, or NULL: everything. */
static int
walk_root(struct walk *walk, const char *path, const char *first)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return error_errno(walk->err, "cannot open '%s'", path);
	if (!first)
		return walk_folder(walk, fd, 0, 0);
	rc = walk->layout->bytes[0] == 1 ? enter(walk, fd, first, 0, 0)
	                                 : enter_each(walk, fd, first);
	close(fd);
	return rc;
}

static int
walk_both(struct lake *lake, struct walk *walk, const char *first)
{
	auto_free char *index = lake_index(lake);
	int rc = 0;

	walk->space = KEY_INDEX;
	walk->layout = &layout_default;
	if (walk->wanted & LIST_INDEX)
		rc = walk_root(walk, index, first);
	if (rc || !(walk->wanted & LIST_BLOBS))
		return rc;
	walk->space = KEY_BLOB;
	walk->marks =
	    (walk->wanted & LIST_USES) && lake_keeps_marks(lake) ? lake : NULL;
	walk->layout = &lake->layout;
	return walk_root(walk, lake->root, first);
}

static int
list(struct lake *lake, const char *first, struct walk *walk)
{
	auto_free char *labels = xasprintf("%s/tools/labels", lake->root);
	int rc;

	if (lake_layout(lake, walk->err) < 0)
		return -1;
	walk->unlabelled = (walk->wanted & LIST_LABELS) &&
	    access(labels, F_OK) < 0 && errno == ENOENT;
	walk->names = xrealloc(NULL, AT_ONCE, sizeof(*walk->names));
	rc = walk_both(lake, walk, first);
	free(walk->names);
	return rc;
}

int
lake_list(struct lake *lake, struct location *leaf, unsigned wanted,
    location_entry_fn *fn, void *arg, struct error *err)
{
	struct walk walk = {
		.fn = fn, .arg = arg, .err = err, .leaf = leaf, .wanted = wanted
	};

	return list(lake, NULL, &walk);
}

size_t
lake_parts(const struct lake *lake)
{
	const struct layout *layout = &lake->layout;

	return layout->count > 1 && layout->bytes[0] <= 2 ? 256 : 1;
}

int
lake_list_part(struct lake *lake, struct location *leaf, size_t first,
    location_entry_fn *fn, void *arg, struct error *err)
{
	struct walk walk = { .fn = fn,
		.arg = arg,
		.err = err,
		.leaf = leaf,
		.wanted = LIST_ALL };
	char digits[8];

	snprintf(digits, sizeof(digits), "%02x", (unsigned)(first & 0xff));
	return list(lake, lake_parts(lake) > 1 ? digits : NULL, &walk);
}
