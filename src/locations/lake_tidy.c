#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/collect.h"
#include "locations/lake.h"

#define FEW 256           /* entries that a writer may count on the way */
#define REST 1            /* seconds from one collector to the next */
#define SWEEP_AGE 3600    /* seconds; nobody takes that long for one write() */
#define SWEEP_EVERY 86400 /* seconds */
#define SWEEP_MOST 10000  /* names that are looked at in one go */

/* ---- counting ---- */

struct few {
	uint64_t entries, bytes;
};

static int
add_few(void *arg, const struct location_entry *entry)
{
	struct few *few = arg;

	few->bytes += entry->size;
	return ++few->entries > FEW;
}

/*
 * A lake that is new, or whose total was lost. A large one is not counted here, nor
 * looked at again with each write until a collector has counted it.
 */
static bool
count_few(struct lake *lake, struct location *leaf, struct lake_total *total)
{
	struct few few = { 0 };
	struct error err;

	if (lake->counted || !lake->ready)
		return false;
	lake->counted = true;
	if (lake_list(lake, leaf, LIST_ALL, add_few, &few, &err))
		return false;
	*total = (struct lake_total){ .bytes = few.bytes };
	lake_set_total(lake, total);
	return true;
}

void
lake_count(
    struct lake *lake, struct location *leaf, uint64_t max_size, int64_t more)
{
	struct lake_total total;
	int known = lake_add_total(lake, more, &total);

	if (!max_size)
		return;
	if (known == 0)
		known = count_few(lake, leaf, &total);
	lake->over = known == 0 ||
	    (known > 0 && total.bytes > max_size && total.bytes > total.again);
}

/* ---- one collector ---- */

static bool
is_fresh(int fd)
{
	struct timespec now;
	struct stat st;
	double since;

	if (fstat(fd, &st) < 0 || st.st_size == 0)
		return false;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	since = difftime(now.tv_sec, st.st_mtim.tv_sec) +
	    (double)(now.tv_nsec - st.st_mtim.tv_nsec) / 1e9;
	return since >= 0 && since < REST;
}

bool
lake_is_collected(struct lake *lake)
{
	auto_free char *path = xasprintf("%s/" LAKE_LOCK, lake->root);
	auto_close int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno != ENOENT;
	return is_fresh(fd) ||
	    (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
}

int
lake_lock(struct lake *lake, struct error *err)
{
	int fd = lake_open_tool(lake, "gc.lock", err);

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		close(fd);
		return error_set(err, ERROR_NONE,
		    "another process collects in '%s'", lake->root);
	}
	(void)!pwrite(fd, "\n", 1, 0); /* for its time, and as a sign of life */
	return fd;
}

/* ---- collecting ---- */

struct collector {
	struct lake *lake;
	const struct lake_collect *collect;
};

static int
list_part(void *arg, size_t part, location_entry_fn *fn, void *fn_arg,
    struct error *err)
{
	struct collector *c = arg;

	return lake_list_part(c->lake, c->collect->leaf, part, fn, fn_arg, err);
}

static enum outcome
remove_entry(void *arg, const struct location_entry *entry, struct error *err)
{
	struct collector *c = arg;

	return c->collect->remove(c->collect->arg, entry, err);
}

static void
count_removed(void *arg, uint64_t bytes)
{
	struct collector *c = arg;
	struct lake_total total;

	if (bytes)
		(void)lake_add_total(c->lake, -(int64_t)bytes, &total);
}

/*
 * What was found, and what others wrote meanwhile, of which a part may have been
 * found: rather too much than too little. What can't be removed is not asked for
 * again before a tenth has come to it.
 */
static void
set_total(struct lake *lake, const struct lake_total *before, uint64_t max_size,
    const struct collect_result *result)
{
	struct lake_total total = *before;

	if (lake_add_total(lake, 0, &total) == 1 &&
	    total.bytes + result->removed_bytes > before->bytes)
		total.bytes += result->removed_bytes - before->bytes;
	else
		total.bytes = 0;
	total.bytes += result->bytes;
	total.again = max_size && result->bytes > max_size
	    ? result->bytes + max_size / 10
	    : 0;
	lake_set_total(lake, &total);
	lake->over = false;
}

static enum outcome
collect_locked(struct collector *c, const struct collect_request *request,
    struct collect_result *result, struct error *err)
{
	struct collect_parts parts = {
		.count = lake_parts(c->lake),
		.list = list_part,
		.remove = remove_entry,
		.removed = count_removed,
		.arg = c,
	};
	struct lake_total before = { .bytes = UINT64_MAX };
	enum outcome outcome;

	if (lake_add_total(c->lake, 0, &before) == 1)
		parts.bytes = before.bytes;
	outcome = collect_parts(&parts, request, result, err);
	if (!request->dry_run)
		set_total(c->lake, &before, c->collect->max_size, result);
	return outcome;
}

enum outcome
lake_collect(struct lake *lake, const struct lake_collect *collect,
    const struct collect_request *request, struct collect_result *result,
    struct error *err)
{
	struct collector c = { .lake = lake, .collect = collect };
	struct collect_request own = *request;
	auto_close int lock = -1;
	struct stat st;
	int there = lake_layout(lake, err);

	if (there <= 0)
		return there < 0 ? FAILED : HIT; /* no lake, nothing in it */
	if (own.own_size && !own.max_size)
		own.max_size = collect->max_size;
	if (own.dry_run)
		return collect_locked(&c, &own, result, err);
	if (lake_prepare(lake, err) < 0)
		return FAILED;
	err->kind = ERROR_NONE;
	lock = lake_lock(lake, err);
	if (lock < 0)
		return err->kind == ERROR_NONE ? MISS : FAILED;
	if (fstat(lock, &st) == 0) /* just written: its server's clock */
		lake_sweep(lake, st.st_mtime);
	return collect_locked(&c, &own, result, err);
}

/* ---- what the dead left ---- */

#define DEEPEST 40 /* folders in one another: more than any layout has */

static void
empty_folder(int at, const char *name, int depth)
{
	int fd =
	    openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *inner = entry->d_name;

		if (strcmp(inner, ".") == 0 || strcmp(inner, "..") == 0 ||
		    unlinkat(fd, inner, 0) == 0 || depth == DEEPEST)
			continue;
		empty_folder(fd, inner, depth + 1);
		(void)unlinkat(fd, inner, AT_REMOVEDIR);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

int
lake_remove_left(int at, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	bool batch = strlen(name) == LAKE_BATCH_NAME &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz") == LAKE_BATCH_NAME;

	if (unlinkat(at, path, 0) == 0)
		return 0;
	if (errno != EISDIR)
		return -1;
	if (batch)
		empty_folder(at, path, 0);
	return unlinkat(at, path, AT_REMOVEDIR);
}

void
lake_sweep(struct lake *lake, time_t now)
{
	auto_free char *path = xasprintf("%s/.tmp", lake->root);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat st;

	for (int i = 0; dir && i < SWEEP_MOST && (entry = readdir(dir)); i++) {
		if (fstatat(dirfd(dir), entry->d_name, &st,
		        AT_SYMLINK_NOFOLLOW) < 0 ||
		    now - st.st_mtime <= SWEEP_AGE || entry->d_name[0] == '.')
			continue;
		if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
			(void)lake_remove_left(dirfd(dir), entry->d_name);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

/* A new lake has nothing to sweep, and gets no mark. */
static bool
was_swept(const struct lake *lake, const char *mark)
{
	auto_free char *config = xasprintf("%s/" LAKE_CONFIG_FILE, lake->root);
	struct stat st;

	return (stat(mark, &st) == 0 || stat(config, &st) == 0) &&
	    llabs((long long)(time(NULL) - st.st_mtime)) < SWEEP_EVERY;
}

void
lake_sweep_daily(struct lake *lake)
{
	auto_free char *mark = xasprintf("%s/" LAKE_TOOLS "/swept", lake->root);
	auto_close int fd = -1;
	struct error err;
	struct stat st;

	if (lake->swept)
		return;
	lake->swept = true;
	if (was_swept(lake, mark))
		return;
	fd = lake_open_tool(lake, "swept", &err);
	/* The file system's own clock, which may be another host's. */
	if (fd >= 0 && futimens(fd, NULL) == 0 && fstat(fd, &st) == 0)
		lake_sweep(lake, st.st_mtime);
}
