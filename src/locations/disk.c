/*
 * A lake on a disk or a network file system, in the layout of the Python library
 * tarn. lake.h has how it is written, layout.h where blobs are. What has no content
 * for a name (KEY_INDEX) is at <root>/tools/tarn-exec/index/<2 digits>/<62 digits>.
 *
 * A hit costs open, fstat, read and close, and nothing was asked of the system
 * before: config.yml is looked at only when a blob isn't where it usually is.
 *
 * With a `max_size`, a write that takes the lake over it collects, unless another
 * process is at it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

/* Where it usually is, and if it isn't there, where config.yml says. */
static enum outcome
at_place(struct disk *disk, const struct key *key, place_fn *fn, void *arg,
    struct error *err)
{
	struct lake *lake = &disk->lake;
	auto_free char *index = NULL;
	enum outcome outcome;

	if (key->space == KEY_INDEX) {
		index = lake_index(lake);
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

static int
disk_list(
    struct location *loc, location_entry_fn *fn, void *arg, struct error *err)
{
	return lake_list(&disk_of(loc)->lake, loc, fn, arg, err);
}

/* ---- keeping to a size ---- */

/*
 * What could not be removed is not asked for again at each write: then the total
 * says that a tenth is free.
 */
static void
collect(struct disk *disk, struct error *err)
{
	struct collect_request request = { .max_size = disk->max_size };
	struct collect_result result;
	auto_close int lock = lake_lock(&disk->lake, "gc.lock", err);

	if (lock < 0)
		return;
	lake_sweep(&disk->lake);
	if (location_collect(&disk->base, &request, &result, err) < 0)
		disk->base.counts.errors++;
	if (result.bytes > disk->max_size)
		result.bytes = disk->max_size - disk->max_size / 10;
	lake_set_total(&disk->lake, result.bytes);
}

static void
keep_to_size(struct disk *disk, uint64_t more)
{
	struct error err = { 0 }; /* the value is stored whatever happens */

	if (disk->max_size &&
	    lake_add_total(&disk->lake, more) > disk->max_size)
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
	index = blob ? NULL : lake_index(&disk->lake);
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
