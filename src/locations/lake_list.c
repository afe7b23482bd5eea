#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/lake.h"

struct walk {
	location_entry_fn *fn;
	void *arg;
	struct error *err;
	const struct layout *layout;
	const struct lake *marks; /* this lake has marks of use; or NULL */
	enum key_space space;
	struct location *leaf;
	char hex[DIGEST_HEX + 1];
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
	entry.leaf = walk->leaf;
	return walk->fn(walk->arg, &entry);
}

static int walk_folder(struct walk *walk, int fd, size_t part, size_t at);

static int
walk_name(struct walk *walk, int dir, const char *name, size_t part, size_t at)
{
	size_t digits = 2 * (size_t)walk->layout->bytes[part];
	int fd;

	if (strlen(name) != digits ||
	    strspn(name, "0123456789abcdef") != digits)
		return 0;
	memcpy(walk->hex + at, name, digits);
	if (part + 1 == walk->layout->count)
		return walk_object(walk, dir, name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ENOENT))
		return 0;
	if (fd < 0)
		return error_errno(walk->err, "cannot open folder '%.*s'",
		    (int)(at + digits), walk->hex);
	return walk_folder(walk, fd, part + 1, at + digits);
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
		rc = walk_name(walk, dirfd(dir), entry->d_name, part, at);
	}
	if (rc == 0 && errno)
		rc = error_errno(walk->err, "cannot list a folder");
	closedir(dir);
	return rc;
}

static int
walk_root(struct walk *walk, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return error_errno(walk->err, "cannot open '%s'", path);
	return walk_folder(walk, fd, 0, 0);
}

int
lake_list(struct lake *lake, struct location *leaf, location_entry_fn *fn,
    void *arg, struct error *err)
{
	auto_free char *index = lake_index(lake);
	struct walk walk = { .fn = fn, .arg = arg, .err = err, .leaf = leaf };
	int rc;

	if (lake_layout(lake, err) < 0)
		return -1;
	walk.space = KEY_INDEX;
	walk.layout = &layout_default;
	rc = walk_root(&walk, index);
	if (rc)
		return rc;
	walk.space = KEY_BLOB;
	walk.marks = lake_keeps_marks(lake) ? lake : NULL;
	walk.layout = &lake->layout;
	return walk_root(&walk, lake->root);
}
