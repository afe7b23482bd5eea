/*
 * A lake on a disk or a network file system, in the layout of the Python library
 * tarn. lake.h has how it is written, layout.h where blobs are. What has no content
 * for a name (KEY_INDEX) is at <root>/tools/tarn-exec/index/<2 digits>/<62 digits>.
 *
 * A hit costs open, fstat, read and close, and nothing was asked of the system
 * before: config.yml is looked at only when a blob isn't where it usually is.
 *
<<<<<<< HEAD
 * With a `max_size`, a write that takes the lake over it collects, unless another
 * process is at it.
 */
=======
 * With a `max_size` the lake has a running total in <root>/tools/tarn-exec/size,
 * eight bytes, little end first. It is an estimate, since nobody waits long for its
 * lock; a write that takes it over the limit collects, unless another process is at
 * it, and counts anew.
 */
#include <dirent.h>
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
<<<<<<< HEAD
=======
#include <sys/file.h>
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "locations/collect.h"
#include "locations/kinds.h"
#include "locations/lake.h"

#define CHUNK (64 * 1024) /* what is larger goes from file to file */

struct disk {
	struct location base;
	struct lake lake;
	uint64_t max_size; /* bytes; 0: none */
<<<<<<< HEAD
=======
	int64_t uncounted; /* bytes that the total doesn't know yet */
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
};

static struct disk *
disk_of(struct location *loc)
{
	return container_of(loc, struct disk, base);
}

/* ---- opening ---- */

static struct location *
disk_open(const Tarn__Location *config, struct error *err)
{
	size_t len = strlen(config->place);
	struct disk *disk;

	if (config->n_options > 0) {
		error_set(err, ERROR_USAGE, "a lake on disk has no option '%s'",
		    config->options[0]->name);
		return NULL;
	}
	while (len > 0 && config->place[len - 1] == '/')
		len--;
	if (len == 0) {
		error_set(err, ERROR_USAGE, "a lake on disk needs a path");
		return NULL;
	}
	disk = xmalloc(sizeof(*disk));
	*disk = (struct disk){ .base = { .kind = &location_disk },
		.lake = { .root = xasprintf("%.*s", (int)len, config->place),
		    .layout = layout_default },
		.max_size = config->max_size };
	return &disk->base;
}

static void
disk_close(struct location *loc)
{
	struct disk *disk = disk_of(loc);

	lake_release(&disk->lake);
	free(disk);
}

/* ---- where a value is ---- */

typedef enum outcome place_fn(const char *path, void *arg, struct error *err);

static enum outcome
try_place(const struct layout *layout, const char *root,
    const struct digest *digest, place_fn *fn, void *arg, struct error *err)
{
	auto_free char *path = layout_path(layout, root, digest);

	return fn(path, arg, err);
}

<<<<<<< HEAD
=======
static char *
index_root(const struct disk *disk)
{
	return xasprintf("%s/" LAKE_INDEX, disk->lake.root);
}

>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
/* Where it usually is, and if it isn't there, where config.yml says. */
static enum outcome
at_place(struct disk *disk, const struct key *key, place_fn *fn, void *arg,
    struct error *err)
{
	struct lake *lake = &disk->lake;
	auto_free char *index = NULL;
	enum outcome outcome;

	if (key->space == KEY_INDEX) {
<<<<<<< HEAD
		index = lake_index(lake);
=======
		index = index_root(disk);
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
		return try_place(
		    &layout_default, index, &key->digest, fn, arg, err);
	}
	outcome =
	    try_place(&lake->layout, lake->root, &key->digest, fn, arg, err);
	if (outcome != MISS || lake->known)
		return outcome;
	if (lake_layout(lake, err) < 0)
		return FAILED;
	if (layout_equal(&lake->layout, &layout_default))
		return MISS;
	return try_place(&lake->layout, lake->root, &key->digest, fn, arg, err);
}

/* Not there, or not where it would be; else it is an error. */
static enum outcome
absent(const char *what, const char *path, struct error *err)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return MISS;
	return error_errno(err, "cannot %s '%s'", what, path);
}

/* ---- reading ---- */

static enum outcome
read_small(
    int fd, const char *path, size_t size, struct sink *out, struct error *err)
{
	char data[CHUNK];
	size_t len = 0;

	while (len < size) {
		ssize_t got = read(fd, data + len, size - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, "cannot read '%s'", path);
		if (got == 0)
			break;
		len += (size_t)got;
	}
	return sink_write(out, data, len, err) < 0 ? FAILED : HIT;
}

static enum outcome
read_place(const char *path, void *arg, struct error *err)
{
	struct sink *out = arg;
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return absent("open", path, err);
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot stat '%s'", path);
	if (S_ISDIR(st.st_mode)) { /* as old versions of Python's had it */
		auto_free char *data = xasprintf("%s/data", path);

		return read_place(data, arg, err);
	}
	if (!S_ISREG(st.st_mode))
		return error_set(
		    err, ERROR_CORRUPT, "'%s' is not a file", path);
	if (st.st_size <= CHUNK)
		return read_small(fd, path, (size_t)st.st_size, out, err);
	if (sink_write_file(out, fd, err) < 0)
		return error_wrap(err, "'%s'", path);
	return HIT;
}

static enum outcome
disk_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	return at_place(disk_of(loc), key, read_place, out, err);
}

static enum outcome
find_place(const char *path, void *arg, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return absent("stat", path, err);
	if (S_ISDIR(st.st_mode)) {
		auto_free char *data = xasprintf("%s/data", path);

		return find_place(data, arg, err);
	}
	return HIT;
}

static enum outcome
disk_contains(struct location *loc, const struct key *key, struct error *err)
{
	return at_place(disk_of(loc), key, find_place, NULL, err);
}

/* ---- removing, touching ---- */

static enum outcome
remove_place(const char *path, void *arg, struct error *err)
{
	auto_free char *data = NULL;

	if (unlink(path) == 0)
		return HIT;
	if (errno != EISDIR)
		return absent("remove", path, err);
	data = xasprintf("%s/data", path);
	if (unlink(data) < 0)
		return absent("remove", data, err);
	(void)rmdir(path);
	return HIT;
}

static enum outcome
disk_remove(struct location *loc, const struct key *key, struct error *err)
{
	return at_place(disk_of(loc), key, remove_place, NULL, err);
}

/* Another's file in a lake that several share can't be touched: so be it. */
static enum outcome
touch_place(const char *path, void *arg, struct error *err)
{
	if (utimensat(AT_FDCWD, path, NULL, 0) == 0 || errno == EACCES ||
	    errno == EPERM || errno == EROFS)
		return HIT;
	return absent("touch", path, err);
}

static enum outcome
disk_touch(struct location *loc, const struct key *key, struct error *err)
{
	return at_place(disk_of(loc), key, touch_place, NULL, err);
}

/* ---- listing ---- */

<<<<<<< HEAD
=======
struct walk {
	location_entry_fn *fn;
	void *arg;
	struct error *err;
	const struct layout *layout;
	enum key_space space;
	char hex[DIGEST_HEX + 1];
};

static time_t
last_use(const struct stat *st)
{
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
	entry.last_used = last_use(&st);
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

>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
static int
disk_list(
    struct location *loc, location_entry_fn *fn, void *arg, struct error *err)
{
<<<<<<< HEAD
	return lake_list(&disk_of(loc)->lake, fn, arg, err);
=======
	struct disk *disk = disk_of(loc);
	auto_free char *index = index_root(disk);
	struct walk walk = { .fn = fn, .arg = arg, .err = err };
	int rc;

	if (lake_layout(&disk->lake, err) < 0)
		return -1;
	walk.space = KEY_INDEX;
	walk.layout = &layout_default;
	rc = walk_root(&walk, index);
	if (rc)
		return rc;
	walk.space = KEY_BLOB;
	walk.layout = &disk->lake.layout;
	return walk_root(&walk, disk->lake.root);
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
}

/* ---- keeping to a size ---- */

<<<<<<< HEAD
=======
/* Nobody waits for this lock: a busy second is no reason to hold up a build. */
static int
lock_soon(int fd)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (int tries = 0; tries < 20; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		(void)nanosleep(&nap, NULL);
	}
	return -1;
}

static uint64_t
decode(const unsigned char bytes[static 8])
{
	uint64_t number = 0;

	for (size_t i = 8; i-- > 0;)
		number = number << 8 | bytes[i];
	return number;
}

static int
write_total(int fd, uint64_t total)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(total >> (8 * i));
	return pwrite(fd, bytes, 8, 0) == 8 ? 0 : -1;
}

/* Add what isn't counted to the total. Is it over the limit, or not known? */
static bool
over_limit(struct disk *disk, struct error *err)
{
	auto_close int fd = lake_open_tool(&disk->lake, "size", err);
	unsigned char bytes[8];
	uint64_t total;
	ssize_t got;

	if (fd < 0 || lock_soon(fd) < 0)
		return false; /* the next write counts this one too */
	got = pread(fd, bytes, 8, 0);
	if (got != 8)
		return got >= 0;
	total = decode(bytes) + (uint64_t)disk->uncounted;
	if (write_total(fd, total) == 0)
		disk->uncounted = 0;
	return total > disk->max_size;
}

>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
/*
 * What could not be removed is not asked for again at each write: then the total
 * says that a tenth is free.
 */
static void
collect(struct disk *disk, struct error *err)
{
<<<<<<< HEAD
	struct collect_request request = { .max_size = disk->max_size };
	struct collect_result result;
	auto_close int lock = lake_lock(&disk->lake, "gc.lock", err);

	if (lock < 0)
=======
	auto_close int lock = lake_open_tool(&disk->lake, "gc.lock", err);
	auto_close int fd = lake_open_tool(&disk->lake, "size", err);
	struct collect_request request = { .max_size = disk->max_size };
	struct collect_result result;

	if (lock < 0 || fd < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
		return;
	lake_sweep(&disk->lake);
	if (location_collect(&disk->base, &request, &result, err) < 0)
		disk->base.counts.errors++;
	if (result.bytes > disk->max_size)
		result.bytes = disk->max_size - disk->max_size / 10;
<<<<<<< HEAD
	lake_set_total(&disk->lake, result.bytes);
=======
	if (lock_soon(fd) == 0 && write_total(fd, result.bytes) == 0)
		disk->uncounted = 0;
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
}

static void
keep_to_size(struct disk *disk, uint64_t more)
{
	struct error err = { 0 }; /* the value is stored whatever happens */

<<<<<<< HEAD
	if (disk->max_size &&
	    lake_add_total(&disk->lake, more) > disk->max_size)
=======
	if (!disk->max_size)
		return;
	disk->uncounted += (int64_t)more;
	if (over_limit(disk, &err))
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
		collect(disk, &err);
}

/* ---- writing ---- */

static int
fill(struct lake_file *file, struct source *in, struct error *err)
{
	char chunk[CHUNK];
	ssize_t got;

	if (in->fd >= 0)
		return file_copy(in->fd, file->fd, err);
	while ((got = source_read(in, chunk, sizeof(chunk), err)) > 0) {
		if (file_write_all(file->fd, chunk, (size_t)got) < 0)
			return error_errno(
			    err, "cannot write '%s'", file->temp);
	}
	return got < 0 ? -1 : 0;
}

/* A file that was changed meanwhile, or a disk that tells stories. */
static int
check_size(
    const struct lake_file *file, const struct source *in, struct error *err)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return error_errno(err, "cannot stat '%s'", file->temp);
	if ((uint64_t)st.st_size != in->size)
		return error_set(err, ERROR_CORRUPT,
		    "'%s' got %lld bytes instead of %llu", file->temp,
		    (long long)st.st_size, (unsigned long long)in->size);
	return 0;
}

static enum outcome
store(struct disk *disk, const char *path, const struct key *key,
    struct source *in, bool replace, struct error *err)
{
	auto_lake_file file = LAKE_FILE_INIT;
	char hex[DIGEST_HEX + 1];
	int rc;

	if (lake_create(
	        &disk->lake, &file, digest_hex(&key->digest, hex), err) < 0 ||
	    fill(&file, in, err) < 0 || check_size(&file, in, err) < 0)
		return FAILED;
	rc = lake_publish(&disk->lake, &file, path, 0444, replace, err);
	if (rc < 0)
		return FAILED;
	return rc ? STORED : KEPT;
}

/* Blobs are never replaced: their bytes are what their name says. */
static enum outcome
try_write(struct disk *disk, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	bool blob = key->space == KEY_BLOB;
	bool replace = mode == WRITE_REPLACE && !blob;
	auto_free char *path = NULL;
	auto_free char *index = NULL;
	enum outcome there;

	if (lake_prepare(&disk->lake, err) < 0)
		return FAILED;
<<<<<<< HEAD
	index = blob ? NULL : lake_index(&disk->lake);
=======
	index = blob ? NULL : index_root(disk);
>>>>>>> e443bb323705ea74bcd3f5eb35a85e7e451ea373
	path = layout_path(blob ? &disk->lake.layout : &layout_default,
	    blob ? disk->lake.root : index, &key->digest);
	there = replace ? MISS : find_place(path, NULL, err);
	if (there != MISS)
		return there == HIT ? KEPT : FAILED;
	return store(disk, path, key, in, replace, err);
}

static bool
refused(const struct error *err)
{
	static const int reasons[] = { EROFS, EACCES, EPERM, ENOSPC, EDQUOT,
		EFBIG };

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (err->kind == ERROR_SYSTEM && err->sys == reasons[i])
			return true;
	}
	return false;
}

static enum outcome
disk_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct disk *disk = disk_of(loc);
	bool was_ready = disk->lake.ready;
	enum outcome outcome;

	if (disk->max_size && in->size > disk->max_size)
		return DECLINED;
	outcome = try_write(disk, key, in, mode, err);
	if (outcome == FAILED && was_ready && err->sys == ENOENT &&
	    access(disk->lake.root, F_OK) < 0) { /* removed meanwhile */
		disk->lake.ready = disk->lake.known = false;
		if (source_rewind(in, err) < 0)
			return FAILED;
		outcome = try_write(disk, key, in, mode, err);
	}
	if (outcome == STORED)
		keep_to_size(disk, in->size);
	return outcome == FAILED && refused(err) ? DECLINED : outcome;
}

const struct location_kind location_disk = {
	.name = "disk",
	.open = disk_open,
	.close = disk_close,
	.read = disk_read,
	.write = disk_write,
	.contains = disk_contains,
	.remove = disk_remove,
	.touch = disk_touch,
	.list = disk_list,
};
