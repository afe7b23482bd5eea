/*
 * Labels of blobs, in tools/labels/ as the Python library tarn has them. Its readers
 * look at them if config.yml says so; for all others they do no harm.
 *
 * A list is read, merged and replaced as a whole, under one lock for all of a lake, which
 * costs little since only people label, never builds. The Python library locks
 * elsewhere, if at all: of two additions in the same millisecond one may be lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "locations/labels.h"
#include "locations/lake.h"

#define LOCK_SECONDS 10

static char *
path_of(const struct lake *lake, const struct digest *digest)
{
	return lake_tool_path(lake, "labels", digest, ".json");
}

static int
read_text(const char *path, struct buf *text, struct error *err)
{
	auto_close int fd =
	    open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char chunk[4096];
	ssize_t got;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR
		    ? 0
		    : error_errno(err, "cannot open '%s'", path);
	while ((got = read(fd, chunk, sizeof(chunk))) > 0) {
		buf_add(text, chunk, (size_t)got);
		if (text->len > LABELS_MAX)
			return error_set(err, ERROR_CORRUPT,
			    "'%s': expected labels of at most %zu bytes", path,
			    LABELS_MAX);
	}
	return got < 0 ? error_errno(err, "cannot read '%s'", path) : 1;
}

/* Returns 1, 0 if there are none, or -1: then *labels may have some. */
static int
load(const char *path, struct labels *labels, struct error *err)
{
	auto_buf text = BUF_INIT;
	int there = read_text(path, &text, err);

	if (there <= 0)
		return there;
	if (labels_parse(labels, text.data, text.len, err) < 0)
		return error_wrap(err, "labels in '%s' are damaged", path);
	labels_sort(labels);
	return labels->count > 0;
}

enum outcome
lake_labels(const struct lake *lake, const struct digest *digest,
    location_label_fn *fn, void *arg, struct error *err)
{
	auto_free char *path = path_of(lake, digest);
	auto_labels labels = LABELS_INIT;
	int there = load(path, &labels, err);

	if (there <= 0)
		return there < 0 ? FAILED : MISS;
	for (size_t i = 0; i < labels.count; i++) {
		if (fn(arg, labels.item[i]))
			break;
	}
	return HIT;
}

static int
store(struct lake *lake, const char *path, const struct labels *labels,
    struct error *err)
{
	auto_lake_file file = LAKE_FILE_INIT;
	auto_buf text = BUF_INIT;

	labels_format(labels, &text);
	if (text.len > LABELS_MAX)
		return error_set(err, ERROR_USAGE,
		    "too many labels: they take more than %zu bytes",
		    LABELS_MAX);
	if (lake_create(lake, &file, "labels", err) < 0)
		return -1;
	if (file_write_all(file.fd, text.data, text.len) < 0)
		return error_errno(err, "cannot write '%s'", file.temp);
	return lake_publish_tool(lake, &file, "labels", path, err);
}

static int
merge(struct lake *lake, const char *path, const char *const *more,
    struct error *err)
{
	auto_labels had = LABELS_INIT;
	auto_labels labels = LABELS_INIT;
	struct error damage = { 0 };
	int there = load(path, &had, &damage);

	if (there < 0 && damage.kind != ERROR_CORRUPT) {
		*err = damage;
		return -1;
	}
	for (size_t i = 0; there > 0 && i < had.count; i++)
		labels_add(&labels, had.item[i]);
	for (; *more; more++)
		labels_add(&labels, *more);
	labels_sort(&labels);
	if (there > 0 && labels_equal(&had, &labels))
		return 0;
	return store(lake, path, &labels, err);
}

static int
lock(int fd, struct error *err)
{
	const struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };

	for (int tries = 0; tries < LOCK_SECONDS * 200; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_errno(err, "cannot lock the labels");
		(void)nanosleep(&nap, NULL);
	}
	return error_set(err, ERROR_SYSTEM,
	    "another process has had the lock of the labels for %d seconds",
	    LOCK_SECONDS);
}

enum outcome
lake_add_labels(struct lake *lake, const struct digest *digest,
    const char *const *labels, struct error *err)
{
	auto_free char *path = path_of(lake, digest);
	auto_close int fd = -1;

	if (!*labels)
		return HIT;
	if (lake_prepare(lake, err) < 0)
		return FAILED;
	fd = lake_open_tool(lake, "labels.lock", err);
	if (fd < 0 || lock(fd, err) < 0)
		return FAILED;
	return merge(lake, path, labels, err) < 0 ? FAILED : HIT;
}

void
lake_remove_labels(const struct lake *lake, const struct digest *digest)
{
	auto_free char *path = path_of(lake, digest);

	(void)unlink(path);
}
