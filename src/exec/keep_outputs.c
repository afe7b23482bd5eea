/* From what a command left behind to a record, with larger outputs stored. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "exec/keeping.h"
#include "store/content.h"
#include "store/stamp.h"

static bool
store_blob(
    struct keeping *k, const struct digest *digest, int fd, uint64_t size)
{
	struct key key = { KEY_BLOB, *digest };
	struct error err = { 0 };
	auto_source *source = source_file(fd, size);
	enum outcome outcome =
	    location_write(k->job->tree, &key, source, WRITE_IF_ABSENT, &err);

	if (outcome == STORED || outcome == KEPT)
		return true;
	snprintf(k->text, sizeof(k->text), "it could not be stored: %.350s",
	    err.text[0] ? err.text : "every location declined");
	return false;
}

/* The depfile of a compile, without root and line breaks if it has them. */
static bool
unroot(struct keeping *k, struct output *output, const char *path)
{
	const struct action *action = &k->job->action;
	auto_buf text = BUF_INIT;

	if (!action->depfile || strcmp(path, action->depfile) != 0 ||
	    !action->kind->unroot || strlen(k->job->root) < 2 ||
	    !memmem(output->contents.data, output->size, k->job->root,
	        strlen(k->job->root)) ||
	    !action->kind->unroot(
	        output->contents.data, output->size, k->job->root, &text) ||
	    text.len > RECORD_INLINE)
		return false;
	buf_reset(&output->contents);
	buf_add(&output->contents, text.data, text.len);
	output->size = text.len;
	digest_bytes(&output->digest, text.data, text.len);
	output->flags |= OUTPUT_REWRITE;
	return true;
}

static bool
keep_small(struct keeping *k, struct output *output, int fd, const char *path)
{
	char data[RECORD_INLINE];
	ssize_t got = pread(fd, data, sizeof(data), 0);

	if (got != (ssize_t)output->size)
		return keeping_refuse(
		    k, path, "changed when the command had ended");
	buf_add(&output->contents, data, (size_t)got);
	digest_bytes(&output->digest, data, (size_t)got);
	(void)unroot(k, output, path);
	scan_bytes(&k->scan, output->contents.data, output->size);
	return true;
}

static bool
keep_large(struct keeping *k, struct output *output, int fd, const char *path)
{
	struct content content;
	struct error err;

	if (content_of(&content, k->job->table, AT_FDCWD, path, &err) < 0 ||
	    content.stamp.size != output->size)
		return keeping_refuse(
		    k, path, "changed when the command had ended");
	output->digest = content.digest;
	scan_file(&k->scan, fd);
	return store_blob(k, &output->digest, fd, output->size);
}

/* Does another process have it open for writing? A lease could not be had then.
 * Where there are none, nobody knows. */
static bool
is_being_written(int fd)
{
	struct statfs fs;

	if (fcntl(fd, F_SETSIG, SIGURG) < 0 ||
	    fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		return false;
	}
	return errno == EAGAIN && fstatfs(fd, &fs) == 0 &&
	    fs.f_type != NFS_SUPER_MAGIC;
}

static bool
is_still(int fd, const struct stat *then)
{
	struct stamp a, b;
	struct stat now;

	if (fstat(fd, &now) < 0)
		return false;
	stamp_of(&a, then);
	stamp_of(&b, &now);
	return stamp_equal(&a, &b);
}

static bool
keep_content(struct keeping *k, struct output *output, int fd, const char *path)
{
	return output->size <= RECORD_INLINE ? keep_small(k, output, fd, path)
	                                     : keep_large(k, output, fd, path);
}

static bool
keep_file(struct keeping *k, struct output *output, const char *path,
    const struct stat *st)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	output->size = (uint64_t)st->st_size;
	output->mtime_ns =
	    st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
	if (fd < 0)
		return keeping_refuse(k, path, "can't be read");
	if (is_being_written(fd))
		return keeping_refuse(
		    k, path, "is written by another process too");
	return keep_plain_archive(k, fd, path) &&
	    keep_content(k, output, fd, path) &&
	    (is_still(fd, st) ||
	        keeping_refuse(k, path, "changed when the command had ended"));
}

static bool
keep_link(struct keeping *k, struct output *output, const char *path)
{
	char target[PATH_MAX];
	ssize_t size = readlink(path, target, sizeof(target) - 1);

	if (size < 0)
		return keeping_refuse(
		    k, path, "changed when the command had ended");
	target[size] = '\0';
	output->target = xstrdup(target);
	scan_bytes(&k->scan, target, (size_t)size);
	return true;
}

static bool
keep_output(
    struct keeping *k, const char *path, const struct stat *st, uint32_t flags)
{
	enum output_type type = S_ISREG(st->st_mode) ? OUTPUT_FILE
	    : S_ISDIR(st->st_mode)                   ? OUTPUT_FOLDER
	                                             : OUTPUT_LINK;
	struct output *output;
	const char *rest;

	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) &&
	    !S_ISLNK(st->st_mode))
		return keeping_refuse(k, path, "is an output but no file");
	if (!job_allows(k->job, path))
		return keeping_refuse(k, path,
		    "is an output outside of the root, the working directory "
		    "and the arguments");
	output = record_add_output(&k->record, type);
	output->place = keeping_place(k->job, path, &rest);
	output->path = xstrdup(rest);
	output->mode = st->st_mode & 07777;
	output->flags = flags;
	if (type == OUTPUT_FILE)
		return keep_file(k, output, path, st);
	if (type == OUTPUT_LINK)
		return keep_link(k, output, path);
	return true;
}

/* A folder that was renamed into place: everything in it. */
static struct keeping *walking;

static int
keep_found(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const struct touched *t = trace_find(walking->trace, path);

	if (t && t->written)
		return 0; /* in its own turn */
	return keep_output(walking, path, st, 0) ? 0 : 1;
}

static bool
keep_written(struct keeping *k, const struct touched *t)
{
	uint32_t flags = (t->fresh ? 0 : OUTPUT_IN_PLACE) |
	    (t->probed && t->before == 0 ? OUTPUT_LOOKED_FOR : 0) |
	    (t->mode_set ? OUTPUT_MODE_SET : 0) |
	    (t->time_set ? OUTPUT_TIME_SET : 0);
	struct stat st;

	if (lstat(t->path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return keeping_refuse(k, t->path, "can't be looked at");
		if (t->before == 0)
			return true; /* it came and went */
		return keeping_refuse(k, t->path,
		    "was deleted by the command, which "
		    "had not made it");
	}
	if (!keep_output(k, t->path, &st, flags))
		return false;
	walking = k;
	return !t->tree || nftw(t->path, keep_found, 16, FTW_PHYS) == 0;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp((*(const struct touched *const *)a)->path,
	    (*(const struct touched *const *)b)->path);
}

/* Sorted, so that folders come before what is in them. */
bool
keep_outputs(struct keeping *k)
{
	auto_free const struct touched **sorted =
	    xmalloc((k->trace->count + 1) * sizeof(*sorted));
	size_t count = 0;

	for (size_t i = 0; i < k->trace->count; i++) {
		if (k->trace->touched[i].written)
			sorted[count++] = &k->trace->touched[i];
	}
	qsort(sorted, count, sizeof(*sorted), by_path);
	for (size_t i = 0; i < count; i++) {
		if (!keep_written(k, sorted[i]))
			return false;
	}
	return true;
}

static bool
keep_printed(
    struct keeping *k, struct printed *printed, struct capture *capture)
{
	struct content content;
	struct error err;
	char path[64];

	printed->size = capture->size;
	printed->data = (struct buf)BUF_INIT;
	if (capture->size <= RECORD_INLINE) {
		buf_add(&printed->data, capture->data.data, capture->data.len);
		scan_bytes(&k->scan, printed->data.data, printed->data.len);
		return true;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", capture->fd);
	if (content_of(&content, NULL, AT_FDCWD, path, &err) < 0)
		return keeping_refuse(k, "what was printed", err.text);
	printed->digest = content.digest;
	scan_file(&k->scan, capture->fd);
	return store_blob(k, &printed->digest, capture->fd, printed->size);
}

bool
keep_all_printed(struct keeping *k)
{
	return keep_printed(k, &k->record.out, &k->trace->out) &&
	    keep_printed(k, &k->record.err, &k->trace->err);
}

/* ---- declared ---- */

static int
keep_tree(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return keep_output(walking, path, st, 0) ? 0 : 1;
}

static void
keep_one_declared(struct job *job, void *arg, const char *path)
{
	struct keeping *k = arg;
	struct stat st;

	if (k->text[0])
		return;
	if (lstat(path, &st) < 0) {
		(void)keeping_refuse(
		    k, path, "is a declared output that was not made");
		return;
	}
	if (k->trace->observe)
		return; /* it was seen and kept */
	walking = k;
	(void)nftw(path, keep_tree, 16, FTW_PHYS);
}

bool
keep_declared_outputs(struct keeping *k)
{
	const struct action *action = &k->job->action;

	if (!k->trace->observe && action->compiler && action->output)
		keep_one_declared(k->job, k, action->output);
	declared_outputs(k->job, keep_one_declared, k);
	return !k->text[0];
}
