/*
 * A lake on a disk or a network file system, in the layout of the Python library
 * tarn. lake.h has how it is written, layout.h where blobs are. What has no content
 * for a name (KEY_INDEX) is at <root>/tools/tarn-exec/index/<2 digits>/<62 digits>.
 *
 * A hit costs open, fstat, read and close, and nothing was asked of the system
 * before: config.yml is looked at only when a blob isn't where it usually is, or
 * wasn't used for an hour and has to be marked.
 *
 * With a `max_size`, a write notes when the lake holds more; who collects then, and
 * when, is up to the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
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
	uint64_t max_size;       /* bytes; 0: none */
	uint64_t free_disk_size; /* bytes that have to stay free */
	uint64_t own_max_size, own_free_disk_size; /* as configured here */
};

static struct disk *
disk_of(struct location *loc)
{
	return container_of(loc, struct disk, base);
}

/* ---- options ---- */

/* A number that takes up the whole of the text. */
static bool
parse_number(const char *text, int base, uint64_t most, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, base);
	return text[0] >= '0' && text[0] <= '9' && !*end && !errno &&
	    *number <= most;
}

/* "1,-1" */
static bool
set_levels(struct disk *disk, const char *text)
{
	return layout_parse(&disk->lake.wish.config.layout, text);
}

static bool
set_free_disk_size(struct disk *disk, const char *text)
{
	return parse_number(text, 10, UINT64_MAX, &disk->own_free_disk_size);
}

/* Whoever made the lake has to be able to work in it. */
static bool
set_permissions(struct disk *disk, const char *text)
{
	uint64_t mode;

	if (!parse_number(text, 8, 07777, &mode) || (mode & 0700) != 0700)
		return false;
	disk->lake.wish.permissions = (mode_t)mode;
	return true;
}

static bool
set_group(struct disk *disk, const char *text)
{
	uint64_t group;

	if (!parse_number(text, 10, UINT32_MAX - 1, &group))
		return false;
	disk->lake.wish.group = (gid_t)group;
	return true;
}

static bool
set_hash(struct disk *disk, const char *text)
{
	disk->lake.wish.config.hash = true;
	return strcmp(text, "sha256") == 0;
}

static bool
set_usage(struct disk *disk, const char *text)
{
	disk->lake.wish.config.usage = strcmp(text, "1") == 0;
	return true;
}

static bool
set_labels(struct disk *disk, const char *text)
{
	disk->lake.wish.config.labels = strcmp(text, "1") == 0;
	return true;
}

/* It is seen to elsewhere. */
static bool
set_compress(struct disk *disk, const char *text)
{
	return true;
}

static const struct disk_option {
	const char *name;
	bool (*set)(struct disk *disk, const char *text);
	const char *expected;
} disk_options[] = {
	{ "levels", set_levels,
	    "numbers of bytes, 32 together, or -1 at the end" },
	{ "free_disk_size", set_free_disk_size, "a number of bytes" },
	{ "permissions", set_permissions,
	    "octal digits that leave the owner all rights, such as 2770" },
	{ "group", set_group, "the number of a group" },
	{ "hash", set_hash, "sha256" },
	{ "usage", set_usage, "1 or 0" },
	{ "labels", set_labels, "1 or 0" },
	{ LOCATION_COMPRESS, set_compress, "" },
};

static int
set_option(struct disk *disk, const Tarn__Option *option, struct error *err)
{
	for (size_t i = 0; i < sizeof(disk_options) / sizeof(*disk_options);
	     i++) {
		const struct disk_option *known = &disk_options[i];

		if (strcmp(known->name, option->name) != 0)
			continue;
		if (known->set(disk, option->value))
			return 0;
		return error_set(err, ERROR_USAGE,
		    "option '%s' of the lake is '%s'; expected %s",
		    option->name, option->value, known->expected);
	}
	return error_set(err, ERROR_USAGE, "a lake on disk has no option '%s'",
	    option->name);
}

/* ---- opening ---- */

static struct disk *
disk_new(const Tarn__Location *config, size_t len)
{
	struct disk *disk = xmalloc(sizeof(*disk));

	*disk = (struct disk){ .base = { .kind = &location_disk },
		.lake = { .root = xasprintf("%.*s", (int)len, config->place),
		    .wish = { .group = (gid_t)-1 },
		    .layout = layout_default },
		.max_size = config->max_size,
		.own_max_size = config->max_size };
	return disk;
}

static void
disk_close(struct location *loc)
{
	struct disk *disk = disk_of(loc);

	lake_release(&disk->lake);
	free(disk);
}

static struct location *
disk_open(const Tarn__Location *config, struct error *err)
{
	size_t len = strlen(config->place);
	struct disk *disk;

	while (len > 0 && config->place[len - 1] == '/')
		len--;
	if (len == 0) {
		error_set(err, ERROR_USAGE, "a lake on disk needs a path");
		return NULL;
	}
	disk = disk_new(config, len);
	for (size_t i = 0; i < config->n_options; i++) {
		if (set_option(disk, config->options[i], err) < 0) {
			disk_close(&disk->base);
			return NULL;
		}
	}
	if (disk->lake.wish.config.layout.count)
		disk->lake.layout = disk->lake.wish.config.layout;
	return &disk->base;
}

/* ---- where a value is ---- */

struct request {
	struct disk *disk;
	const struct key *key;
	struct sink *out; /* of a read */
	struct stat st;   /* of what was found */
	off_t replaced;   /* by a write, bytes */
};

typedef enum outcome place_fn(
    struct request *request, const char *path, struct error *err);

static enum outcome
try_place(struct request *request, const struct layout *layout, place_fn *fn,
    struct error *err)
{
	const struct lake *lake = &request->disk->lake;
	bool blob = request->key->space == KEY_BLOB;
	auto_free char *index = blob ? NULL : lake_index(lake);
	auto_free char *path = layout_path(
	    layout, blob ? lake->root : index, &request->key->digest);

	return fn(request, path, err);
}

/*
 * Where it usually is, or where our own configuration says, and if it isn't there,
 * where config.yml says.
 */
static enum outcome
at_place(struct request *request, place_fn *fn, struct error *err)
{
	struct lake *lake = &request->disk->lake;
	const struct layout tried = lake->layout;
	enum outcome outcome;

	if (request->key->space == KEY_INDEX)
		return try_place(request, &layout_default, fn, err);
	outcome = try_place(request, &tried, fn, err);
	if (outcome != MISS || lake->known)
		return outcome;
	if (lake_layout(lake, err) < 0)
		return FAILED;
	if (layout_equal(&lake->layout, &tried))
		return MISS;
	return try_place(request, &lake->layout, fn, err);
}

/* Not there, or not where it would be; else it is an error. */
static enum outcome
absent(const char *what, const char *path, struct error *err)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return MISS;
	return error_errno(err, "cannot %s '%s'", what, path);
}

/*
 * Old versions of the Python library had folders with the value in `data`. What is
 * neither file nor folder might never end: nobody reads it.
 */
static enum outcome
find_place(struct request *request, const char *path, struct error *err)
{
	auto_free char *data = NULL;

	if (stat(path, &request->st) < 0)
		return absent("stat", path, err);
	if (S_ISDIR(request->st.st_mode)) {
		data = xasprintf("%s/data", path);
		if (stat(data, &request->st) < 0)
			return absent("stat", data, err);
	}
	if (!S_ISREG(request->st.st_mode))
		return error_set(
		    err, ERROR_CORRUPT, "'%s' is not a file", path);
	return HIT;
}

/* ---- when it was used ---- */

#define FRESH 3600 /* seconds, for which another use makes no difference */

/* Another's file in a lake that several share can't be touched: so be it. */
static enum outcome
touch_place(struct request *request, const char *path, struct error *err)
{
	static const struct timespec times[] = { { .tv_nsec = UTIME_NOW },
		{ .tv_nsec = UTIME_OMIT } };

	if (utimensat(AT_FDCWD, path, times, 0) == 0 || errno == EACCES ||
	    errno == EPERM || errno == EROFS)
		return HIT;
	return absent("touch", path, err);
}

static void
mark(struct disk *disk, const struct key *key)
{
	struct error ignored;

	if (key->space == KEY_BLOB && lake_layout(&disk->lake, &ignored) >= 0 &&
	    lake_keeps_marks(&disk->lake))
		lake_mark(&disk->lake, &key->digest);
}

/*
 * After a hit. Many file systems are mounted such that reading a file leaves no
 * trace; but looking at the time of the last one, which we have at hand, is free.
 */
static void
note_use(struct request *request, const char *path)
{
	const struct stat *st = &request->st;
	time_t last = st->st_atime > st->st_mtime ? st->st_atime : st->st_mtime;
	uid_t user;
	struct error ignored;

	if (time(NULL) - last <= FRESH)
		return;
	user = geteuid();
	if (user == 0 || user == st->st_uid)
		(void)touch_place(request, path, &ignored);
	mark(request->disk, request->key);
}

static enum outcome
disk_touch(struct location *loc, const struct key *key, struct error *err)
{
	struct request request = { .disk = disk_of(loc), .key = key };
	enum outcome outcome = at_place(&request, touch_place, err);

	if (outcome == HIT)
		mark(request.disk, key);
	return outcome;
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
read_open(struct request *request, int fd, const char *path, struct error *err)
{
	const struct stat *st = &request->st;

	if (!S_ISREG(st->st_mode))
		return error_set(
		    err, ERROR_CORRUPT, "'%s' is not a file", path);
	if (st->st_size <= CHUNK) {
		if (read_small(fd, path, (size_t)st->st_size, request->out,
		        err) != HIT)
			return FAILED;
	} else if (sink_write_file(request->out, fd, err) < 0) {
		return error_wrap(err, "'%s'", path);
	}
	note_use(request, path);
	return HIT;
}

#define QUIETLY (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

static enum outcome
read_place(struct request *request, const char *path, struct error *err)
{
	auto_close int fd = open(path, QUIETLY);
	auto_close int data_fd = -1;
	auto_free char *data = NULL;

	if (fd < 0)
		return absent("open", path, err);
	if (fstat(fd, &request->st) < 0)
		return error_errno(err, "cannot stat '%s'", path);
	if (!S_ISDIR(request->st.st_mode))
		return read_open(request, fd, path, err);
	data = xasprintf("%s/data", path);
	data_fd = openat(fd, "data", QUIETLY);
	if (data_fd < 0)
		return absent("open", data, err);
	if (fstat(data_fd, &request->st) < 0)
		return error_errno(err, "cannot stat '%s'", data);
	return read_open(request, data_fd, data, err);
}

static enum outcome
disk_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct request request = {
		.disk = disk_of(loc), .key = key, .out = out
	};

	return at_place(&request, read_place, err);
}

static enum outcome
disk_contains(struct location *loc, const struct key *key, struct error *err)
{
	struct request request = { .disk = disk_of(loc), .key = key };

	return at_place(&request, find_place, err);
}

/* ---- removing ---- */

static enum outcome
remove_place(struct request *request, const char *path, struct error *err)
{
	return lake_remove_object(path, err);
}

/* The value and all that belongs to it; it is not counted. */
static enum outcome
discard(struct disk *disk, const struct key *key, struct error *err)
{
	struct request request = { .disk = disk, .key = key };
	enum outcome outcome = at_place(&request, remove_place, err);

	if (outcome == HIT && key->space == KEY_BLOB) {
		lake_unmark(&disk->lake, &key->digest);
		lake_remove_labels(&disk->lake, &key->digest);
	}
	return outcome;
}

/* ---- labels ---- */

/* Nothing stays for a value that went meanwhile. */
static enum outcome
disk_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	struct lake *lake = &disk_of(loc)->lake;
	enum outcome there =
	    key->space == KEY_BLOB ? disk_contains(loc, key, err) : MISS;

	if (there != HIT)
		return there;
	if (lake_add_labels(lake, &key->digest, labels, err) != HIT)
		return FAILED;
	there = disk_contains(loc, key, err);
	if (there == MISS)
		lake_remove_labels(lake, &key->digest);
	return there;
}

static enum outcome
disk_labels(struct location *loc, const struct key *key, location_label_fn *fn,
    void *arg, struct error *err)
{
	if (key->space != KEY_BLOB)
		return MISS;
	return lake_labels(&disk_of(loc)->lake, &key->digest, fn, arg, err);
}

/* ---- listing ---- */

static int
disk_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	return lake_list(&disk_of(loc)->lake, loc, wanted, fn, arg, err);
}

static int
disk_inspect(struct location *loc, bool mend, location_damage_fn *fn, void *arg,
    struct error *err)
{
	return lake_inspect(&disk_of(loc)->lake, loc, mend, fn, arg, err);
}

/* ---- keeping to a size ---- */

/* What config.yml says counts for everybody, what our own does for us. */
static void
learn_limits(struct disk *disk)
{
	const struct lake_config *config = &disk->lake.config;
	uint64_t max_size = disk->own_max_size;

	if (config->max_size && (!max_size || config->max_size < max_size))
		max_size = config->max_size;
	disk->max_size = max_size;
	disk->free_disk_size = config->free_disk_size > disk->own_free_disk_size
	    ? config->free_disk_size
	    : disk->own_free_disk_size;
}

static void
count_change(struct disk *disk, int64_t more)
{
	lake_count(&disk->lake, &disk->base, disk->max_size, more);
}

static bool
disk_is_over(struct location *loc, bool idle)
{
	struct lake *lake = &disk_of(loc)->lake;

	return lake->over && !(idle && lake_is_collected(lake));
}

static enum outcome
remove_entry(void *arg, const struct location_entry *entry, struct error *err)
{
	return discard(arg, &entry->key, err);
}

static enum outcome
disk_collect(struct location *loc, const struct collect_request *request,
    struct collect_result *result, struct error *err)
{
	struct disk *disk = disk_of(loc);
	struct lake_collect collect = {
		.leaf = loc, .remove = remove_entry, .arg = disk
	};

	if (lake_layout(&disk->lake, err) < 0)
		return FAILED;
	learn_limits(disk);
	collect.max_size = disk->max_size;
	return lake_collect(&disk->lake, &collect, request, result, err);
}

static enum outcome
disk_remove(struct location *loc, const struct key *key, struct error *err)
{
	struct disk *disk = disk_of(loc);
	struct request request = { .disk = disk, .key = key };
	bool sized = at_place(&request, find_place, err) == HIT;
	enum outcome outcome = discard(disk, key, err);

	if (outcome == HIT && sized)
		count_change(disk, -request.st.st_size);
	return outcome;
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

/* An empty folder in an object's place is nothing, but in the way of everything. */
static int
publish(struct disk *disk, struct lake_file *file, const char *path,
    bool replace, struct error *err)
{
	int rc = lake_publish(&disk->lake, file, path, 0444, replace, err);

	if (rc > 0 || (rc < 0 && err->sys != EISDIR) || rmdir(path) < 0)
		return rc;
	return lake_publish(&disk->lake, file, path, 0444, replace, err);
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
	rc = publish(disk, &file, path, replace, err);
	if (rc < 0)
		return FAILED;
	return rc ? STORED : KEPT;
}

static enum outcome
check_room(struct disk *disk, uint64_t size, struct error *err)
{
	struct statvfs fs;
	uint64_t free_size;

	if (disk->max_size && size > disk->max_size) {
		error_set(err, ERROR_NONE,
		    "it is larger than all of '%s' may be, %llu bytes",
		    disk->lake.root, (unsigned long long)disk->max_size);
		return DECLINED;
	}
	if (!disk->free_disk_size)
		return HIT;
	if (statvfs(disk->lake.root, &fs) < 0)
		return error_errno(
		    err, "cannot find the free space of '%s'", disk->lake.root);
	free_size = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free_size >= size && free_size - size >= disk->free_disk_size)
		return HIT;
	error_set(err, ERROR_NONE,
	    "'%s' has %llu bytes free, of which %llu are to stay free",
	    disk->lake.root, (unsigned long long)free_size,
	    (unsigned long long)disk->free_disk_size);
	return DECLINED;
}

/*
 * Blobs are never replaced, since their bytes are what their name says; but for one
 * of the wrong size, which was damaged.
 */
static enum outcome
write_place(struct request *request, const char *path, struct source *in,
    bool replace, struct error *err)
{
	struct disk *disk = request->disk;
	struct error ignored;
	enum outcome there =
	    find_place(request, path, replace ? &ignored : err);

	if (there == FAILED && !replace)
		return FAILED;
	request->replaced = there == HIT ? request->st.st_size : 0;
	if (there == HIT && !replace && request->key->space == KEY_BLOB &&
	    (uint64_t)request->st.st_size != in->size) {
		replace = true;
		/* It may be a folder. */
		(void)lake_remove_object(path, &ignored);
	} else if (there == HIT && !replace) {
		note_use(request, path);
		return KEPT;
	}
	there = check_room(disk, in->size, err);
	return there == HIT ? store(disk, path, request->key, in, replace, err)
	                    : there;
}

static enum outcome
try_write(struct disk *disk, const struct key *key, struct source *in,
    enum write_mode mode, off_t *replaced, struct error *err)
{
	struct request request = { .disk = disk, .key = key };
	enum outcome outcome;
	bool blob = key->space == KEY_BLOB;
	auto_free char *path = NULL;
	auto_free char *index = NULL;

	if (lake_prepare(&disk->lake, err) < 0)
		return FAILED;
	learn_limits(disk);
	index = blob ? NULL : lake_index(&disk->lake);
	path = layout_path(blob ? &disk->lake.layout : &layout_default,
	    blob ? disk->lake.root : index, &key->digest);
	outcome = write_place(
	    &request, path, in, mode == WRITE_REPLACE && !blob, err);
	*replaced = request.replaced;
	return outcome;
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
	off_t replaced = 0;
	enum outcome outcome = try_write(disk, key, in, mode, &replaced, err);

	if (outcome == STORED) {
		mark(disk, key);
		count_change(disk, (int64_t)in->size - replaced);
		lake_sweep_daily(&disk->lake);
	}
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
	.add_labels = disk_add_labels,
	.labels = disk_labels,
	.inspect = disk_inspect,
	.collect = disk_collect,
	.is_over = disk_is_over,
};
