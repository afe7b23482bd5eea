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

/* Returns 1, 0 if there are none, or -1: then *labels may have some. */
static int
load(const char *path, struct labels *labels, struct error *err)
{
	auto_buf text = BUF_INIT;
	int there = buf_read_bounded(&text, path, LABELS_MAX, err);

	return there > 0 ? labels_load(labels, text.data, text.len, path, err)
	                 : there;
}

enum outcome
lake_labels(const struct lake *lake, const struct digest *digest,
    location_label_fn *fn, void *arg, struct error *err)
{
	auto_free char *path = path_of(lake, digest);
	auto_labels labels = LABELS_INIT;

	return labels_tell(&labels, load(path, &labels, err), fn, arg);
}

static int
store(struct lake *lake, const char *path, const struct buf *text,
    struct error *err)
{
	auto_lake_file file = LAKE_FILE_INIT;

	if (lake_create(lake, &file, "labels", err) < 0)
		return -1;
	if (file_write_all(file.fd, text->data, text->len) < 0)
		return error_errno(err, "cannot write '%s'", file.temp);
	return lake_publish_tool(lake, &file, "labels", path, err);
}

static int
merge(struct lake *lake, const char *path, const char *const *more,
    struct error *err)
{
	auto_labels had = LABELS_INIT;
	auto_buf text = BUF_INIT;
	int rc = load(path, &had, err);

	rc = labels_merge(&had, rc, more, &text, err);
	return rc > 0 ? store(lake, path, &text, err) : rc;
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
