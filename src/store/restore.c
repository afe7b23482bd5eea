#include "store/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/content.h"

/* An output on its way: finished aside, then put in place. */
struct piece {
	const struct output *output;
	char *path; /* owned */
	struct aside file;
	mode_t mode;
	bool there; /* something is to be replaced: */
	struct stat old;
	bool same;    /* it is all that it is to be, but for its time */
	bool fetched; /* its bytes are there */
};

struct job {
	const struct restore *restore;
	const struct record *record;
	struct piece *piece; /* one for each output */
};

/* ---- a sink that ends in a file, sharing its storage if it can ---- */

struct blob_sink {
	struct sink base;
	int fd;
	struct hasher hasher;
	bool shared; /* with a file that the digest table vouches for */
	struct digest digest;
	const struct digest *want;
	uint64_t size, most; /* no more is kept of what has no end */
	struct table *table;
};

static int
blob_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	struct blob_sink *sink = container_of(base, struct blob_sink, base);

	sink->size += size;
	if (sink->size > sink->most)
		return 0;
	hasher_add(&sink->hasher, data, size);
	if (file_write_all(sink->fd, data, size) < 0)
		return error_errno(err, "cannot write an output");
	return 0;
}

static int
blob_reset(struct sink *base, struct error *err)
{
	struct blob_sink *sink = container_of(base, struct blob_sink, base);

	hasher_init(&sink->hasher);
	sink->shared = false;
	sink->size = 0;
	if (ftruncate(sink->fd, 0) < 0 || lseek(sink->fd, 0, SEEK_SET) < 0)
		return error_errno(err, "cannot empty an output");
	return 0;
}

/* The digest of an open file of a lake, from the table if it was ever taken. */
static bool
take_digest(struct blob_sink *sink, int fd)
{
	struct content content;
	struct error err;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (content_of(&content, sink->table, AT_FDCWD, path, &err) < 0)
		return false;
	sink->digest = content.digest;
	return true;
}

static int
copy_open_file(struct sink *base, int fd, struct error *err)
{
	char chunk[64 * 1024];
	off_t at = 0;
	ssize_t got;

	while ((got = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		if (blob_write(base, chunk, (size_t)got, err) < 0)
			return -1;
		at += got;
	}
	return got < 0 ? error_errno(err, "cannot read a blob") : 0;
}

static int
blob_write_file(struct sink *base, int fd, struct error *err)
{
	struct blob_sink *sink = container_of(base, struct blob_sink, base);

	if (ioctl(sink->fd, FICLONE, fd) < 0)
		return copy_open_file(base, fd, err);
	sink->shared = take_digest(sink, fd);
	if (sink->shared)
		return 0;
	return blob_reset(base, err) < 0 ? -1 : copy_open_file(base, fd, err);
}

static bool
blob_is_full(struct sink *base)
{
	struct blob_sink *sink = container_of(base, struct blob_sink, base);

	return sink->size > sink->most;
}

static int
blob_commit(struct sink *base, struct error *err)
{
	return 0;
}

static void
blob_close(struct sink *base)
{
}

static bool
is_wanted(void *arg)
{
	struct blob_sink *sink = arg;

	if (!sink->shared)
		hasher_finish(&sink->hasher, &sink->digest);
	return sink->size <= sink->most &&
	    digest_equal(&sink->digest, sink->want);
}

static void
blob_sink_init(struct blob_sink *sink, const struct restore *restore,
    const struct digest *digest, uint64_t size, int fd)
{
	static const struct sink_ops ops = {
		.write = blob_write,
		.reset = blob_reset,
		.commit = blob_commit,
		.close = blob_close,
		.write_file = blob_write_file,
		.is_full = blob_is_full,
	};

	*sink = (struct blob_sink){ .base = { &ops },
		.fd = fd,
		.table = restore->world->table,
		.want = digest,
		.most = size };
	hasher_init(&sink->hasher);
}

enum outcome
restore_blob(const struct restore *restore, const struct digest *digest,
    uint64_t size, int fd, struct error *err)
{
	struct blob_sink sink;
	struct location_check check = {
		.is_whole = is_wanted, .arg = &sink, .mend = restore->mend
	};
	struct key key = { KEY_BLOB, *digest };
	char hex[DIGEST_HEX + 1];
	enum outcome outcome;

	blob_sink_init(&sink, restore, digest, size, fd);
	outcome =
	    location_read_checked(restore->tree, &key, &sink.base, &check, err);
	if (outcome == HIT && check.damage.kind != ERROR_NONE && restore->note)
		restore->note(restore->arg, check.damage.text);
	if (outcome == MISS)
		return error_set(err, ERROR_CORRUPT, "blob %s is missing",
		    digest_hex(digest, hex));
	return outcome;
}

/* ---- where ---- */

static bool
has_dots(const char *path)
{
	for (const char *at = path; (at = strstr(at, "/..")); at++) {
		if (at[3] == '/' || at[3] == '\0')
			return true;
	}
	return false;
}

char *
restore_path(const struct world *world, const struct output *output)
{
	if (output->place == PLACE_OUTPUT)
		return world->outputs[0] && strcmp(output->path, "0") == 0
		    ? xstrdup(world->outputs[0])
		    : NULL;
	if (output->path[0] != '/' || has_dots(output->path))
		return NULL;
	if (output->place == PLACE_ROOT)
		return xasprintf("%s%s", world->root, output->path);
	return xstrdup(output->path);
}

static int
not_as_recorded(struct error *err, const char *path, const char *what)
{
	(void)error_set(err, ERROR_NONE, "'%s' %s", path, what);
	return MISS;
}

/* A folder that this record makes itself? */
static bool
makes_folder(const struct job *job, const char *path, size_t size)
{
	for (size_t i = 0; i < job->record->count; i++) {
		const struct piece *piece = &job->piece[i];

		if (piece->output->type == OUTPUT_FOLDER && piece->path &&
		    strlen(piece->path) == size &&
		    memcmp(piece->path, path, size) == 0)
			return true;
	}
	return false;
}

/* The folder to build in: the nearest above `path` that is there. Its size. */
static size_t
standing_folder(const struct job *job, const char *path)
{
	size_t size = (size_t)(strrchr(path, '/') - path);

	while (size > 0 && makes_folder(job, path, size)) {
		while (size > 0 && path[--size] != '/')
			;
	}
	return size;
}

/* ---- what is in the way ---- */

static int
fit_file(const struct job *job, struct piece *piece, const struct stat *there,
    struct error *err)
{
	const struct output *output = piece->output;

	piece->mode = output->mode;
	if (!there)
		return HIT;
	if (!S_ISREG(there->st_mode))
		return not_as_recorded(
		    err, piece->path, "is in the way and no file");
	if (!(output->flags & OUTPUT_IN_PLACE))
		return HIT;
	if (there->st_nlink > 1)
		return not_as_recorded(err, piece->path, "has other names");
	if (faccessat(AT_FDCWD, piece->path, W_OK, AT_EACCESS) < 0)
		return not_as_recorded(err, piece->path, "can't be written");
	if (output->flags & OUTPUT_MODE_SET)
		return HIT;
	piece->mode = there->st_mode & 07777;
	if ((output->flags & OUTPUT_LOOKED_FOR) && piece->mode != output->mode)
		return not_as_recorded(
		    err, piece->path, "is there with another mode");
	return HIT;
}

static int
fit(struct job *job, struct piece *piece, struct error *err)
{
	struct stat st;
	bool there = lstat(piece->path, &st) == 0;

	piece->there = there;
	if (there)
		piece->old = st;
	switch (piece->output->type) {
	case OUTPUT_FILE: return fit_file(job, piece, there ? &st : NULL, err);
	case OUTPUT_LINK:
		if (there)
			return not_as_recorded(
			    err, piece->path, "is in the way");
		return HIT;
	case OUTPUT_FOLDER:
		if (there)
			return not_as_recorded(
			    err, piece->path, "is there already");
		return HIT;
	}
	return MISS;
}

/* ---- building ---- */

static int
fill_rewritten(const struct job *job, const struct output *output, int fd,
    struct error *err)
{
	auto_buf text = BUF_INIT;

	if (output->size > RECORD_INLINE || !job->restore->rewrite ||
	    !job->restore->rewrite(output->contents.data, output->size,
	        job->restore->world->root, &text))
		return not_as_recorded(
		    err, output->path, "can't be laid out for this root");
	if (file_write_all(fd, text.data, text.len) < 0)
		return error_errno(err, "cannot write '%s'", output->path);
	return HIT;
}

static int
fill(const struct job *job, const struct piece *piece, struct error *err)
{
	const struct output *output = piece->output;
	int fd = piece->file.fd;

	if (output->flags & OUTPUT_REWRITE)
		return fill_rewritten(job, output, fd, err);
	if (output->size > RECORD_INLINE)
		return piece->fetched
		    ? HIT
		    : restore_blob(
		          job->restore, &output->digest, output->size, fd, err);
	if (file_write_all(fd, output->contents.data, output->size) < 0)
		return error_errno(err, "cannot write '%s'", output->path);
	return HIT;
}

/*
 * Is what is there already what is to come? Then it only needs a new time, which
 * costs a third of a new file. It must be a file of our own, with no other name.
 */
static bool
is_same(const struct piece *piece)
{
	const struct output *output = piece->output;
	char data[RECORD_INLINE];
	auto_close int fd = -1;

	if (!piece->there || output->size > RECORD_INLINE ||
	    (output->flags & (OUTPUT_REWRITE | OUTPUT_TIME_SET)) ||
	    (uint64_t)piece->old.st_size != output->size ||
	    (piece->old.st_mode & 07777) != piece->mode ||
	    piece->old.st_nlink != 1 || piece->old.st_uid != geteuid())
		return false;
	fd = open(piece->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 &&
	    read(fd, data, sizeof(data)) == (ssize_t)output->size &&
	    memcmp(data, output->contents.data, output->size) == 0;
}

/* Writing took set-id bits away, and the umask what it does. */
static int
set_mode(const struct job *job, struct piece *piece, struct error *err)
{
	bool opened = piece->file.name && (piece->mode & 0600) != 0600;

	if ((opened || (piece->mode & (job->restore->umask | 07000)) != 0) &&
	    fchmod(piece->file.fd, piece->mode) < 0)
		return error_errno(
		    err, "cannot set the mode of '%s'", piece->path);
	return HIT;
}

static int
set_time(struct piece *piece, struct error *err)
{
	const struct output *output = piece->output;
	struct timespec times[2] = { { 0, UTIME_OMIT },
		{ output->mtime_ns / 1000000000,
		    output->mtime_ns % 1000000000 } };

	if ((output->flags & OUTPUT_TIME_SET) &&
	    futimens(piece->file.fd, times) < 0)
		return error_errno(
		    err, "cannot set the time of '%s'", piece->path);
	return HIT;
}

/* Files only: folders and links are made in their place, in no time. */
static int
begin(struct job *job, struct piece *piece, struct error *err)
{
	struct error why = { 0 };

	if (piece->output->type != OUTPUT_FILE)
		return HIT;
	piece->same = is_same(piece);
	if (piece->same)
		return HIT;
	if (aside_open(&piece->file, piece->path,
	        standing_folder(job, piece->path), piece->mode, &why) < 0)
		return not_as_recorded(err, piece->path, strerror(why.sys));
	return HIT;
}

static int
finish(struct job *job, struct piece *piece, struct error *err)
{
	int outcome;

	if (piece->output->type != OUTPUT_FILE || piece->same)
		return HIT;
	outcome = fill(job, piece, err);
	if (outcome == HIT)
		outcome = set_mode(job, piece, err);
	return outcome == HIT ? set_time(piece, err) : outcome;
}

static int
build(struct job *job, struct piece *piece, struct error *err)
{
	int outcome = begin(job, piece, err);

	return outcome == HIT ? finish(job, piece, err) : outcome;
}

static int
each(struct job *job,
    int (*fn)(struct job *job, struct piece *piece, struct error *err),
    struct error *err)
{
	int outcome = HIT;

	for (size_t i = 0; outcome == HIT && i < job->record->count; i++)
		outcome = fn(job, &job->piece[i], err);
	return outcome;
}

/* ---- all blobs at once ---- */

static bool
wants_blob(const struct piece *piece)
{
	const struct output *output = piece->output;

	return output->type == OUTPUT_FILE && !piece->same &&
	    output->size > RECORD_INLINE && !(output->flags & OUTPUT_REWRITE);
}

struct fetch {
	const struct restore *restore;
	size_t count;
	struct blob_sink *sink;
	struct location_read_request *read;
	bool **fetched;
};

static void
fetch_add(struct fetch *fetch, const struct digest *digest, uint64_t size,
    int fd, bool *fetched)
{
	size_t i = fetch->count++;

	blob_sink_init(&fetch->sink[i], fetch->restore, digest, size, fd);
	fetch->read[i] = (struct location_read_request){
		.key = { KEY_BLOB, *digest },
		.out = &fetch->sink[i].base,
	};
	fetch->fetched[i] = fetched;
}

/* What did not come like this, or not whole, is asked for once more, by itself. */
static void
fetch_all(struct fetch *fetch)
{
	struct error err;

	location_read_batch(fetch->restore->tree, fetch->read, fetch->count);
	for (size_t i = 0; i < fetch->count; i++) {
		*fetch->fetched[i] =
		    fetch->read[i].outcome == HIT && is_wanted(&fetch->sink[i]);
		if (!*fetch->fetched[i])
			(void)blob_reset(&fetch->sink[i].base, &err);
	}
}

static void
fetch_blobs(struct job *job)
{
	const struct restore *restore = job->restore;
	size_t most = job->record->count + restore->other_count + 1;
	auto_free struct blob_sink *sinks = xmalloc(most * sizeof(*sinks));
	auto_free struct location_read_request *reads =
	    xmalloc(most * sizeof(*reads));
	auto_free bool **fetched = xmalloc(most * sizeof(*fetched));
	struct fetch fetch = { .restore = restore,
		.sink = sinks,
		.read = reads,
		.fetched = fetched };

	for (size_t i = 0; i < restore->other_count; i++) {
		struct restore_blob *other = &restore->others[i];

		fetch_add(&fetch, other->digest, other->size, other->fd,
		    &other->fetched);
	}
	for (size_t i = 0; i < job->record->count; i++) {
		struct piece *piece = &job->piece[i];

		if (wants_blob(piece))
			fetch_add(&fetch, &piece->output->digest,
			    piece->output->size, piece->file.fd,
			    &piece->fetched);
	}
	fetch_all(&fetch);
}

static int
have_others(const struct restore *restore, struct error *err)
{
	for (size_t i = 0; i < restore->other_count; i++) {
		const struct restore_blob *other = &restore->others[i];

		if (!other->fetched &&
		    restore_blob(restore, other->digest, other->size, other->fd,
		        err) != HIT)
			return FAILED;
	}
	return HIT;
}

static int
build_all(struct job *job, struct error *err)
{
	int outcome = HIT;

	if (job->restore->far) {
		outcome = each(job, begin, err);
		if (outcome == HIT)
			fetch_blobs(job);
	}
	if (outcome == HIT)
		outcome = have_others(job->restore, err);
	if (outcome != HIT)
		return outcome;
	return each(job, job->restore->far ? finish : build, err);
}

/* ---- into place ---- */

/* Closed at once: a program that is open for writing can't be run. */
static int
put_file(struct piece *piece, struct error *err)
{
	int status;

	if (!piece->same) {
		status =
		    aside_put(&piece->file, piece->path, piece->there, err);
		aside_release(&piece->file);
		return status;
	}
	if (utimensat(AT_FDCWD, piece->path, NULL, 0) < 0)
		return error_errno(
		    err, "cannot set the time of '%s'", piece->path);
	return 0;
}

static int
put(struct job *job, struct piece *piece, struct error *err)
{
	const struct output *output = piece->output;

	switch (output->type) {
	case OUTPUT_FILE: return put_file(piece, err) < 0 ? FAILED : HIT;
	case OUTPUT_FOLDER:
		if (mkdir(piece->path, output->mode | 0700) < 0)
			return error_errno(
			    err, "cannot create folder '%s'", piece->path);
		break;
	case OUTPUT_LINK:
		if (symlink(output->target, piece->path) < 0)
			return error_errno(
			    err, "cannot create link '%s'", piece->path);
	}
	return HIT;
}

/* When all is in it, since it may be one that can't be written. */
static int
finish_folder(struct job *job, struct piece *piece, struct error *err)
{
	const struct output *output = piece->output;

	if (output->type == OUTPUT_FOLDER &&
	    ((output->mode & job->restore->umask) != 0 ||
	        (output->mode & 0700) != 0700))
		(void)chmod(piece->path, output->mode);
	return HIT;
}

static int
prepare(struct job *job, struct error *err)
{
	for (size_t i = 0; i < job->record->count; i++) {
		struct piece *piece = &job->piece[i];

		piece->path = restore_path(job->restore->world, piece->output);
		if (!piece->path ||
		    !job->restore->allowed(job->restore->arg, piece->path))
			return error_set(err, ERROR_CORRUPT,
			    "the record would write '%s'", piece->output->path);
	}
	return HIT;
}

/* All files are open until they are in place. */
#define FEW 200

static void
allow_files(const struct record *record, struct rlimit *before)
{
	struct rlimit limit;

	before->rlim_max = 0;
	if (record->count <= FEW || getrlimit(RLIMIT_NOFILE, before) < 0)
		return;
	limit = *before;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void
release(struct job *job)
{
	for (size_t i = 0; i < job->record->count; i++) {
		aside_release(&job->piece[i].file);
		free(job->piece[i].path);
	}
	free(job->piece);
}

static int
restore_all(struct job *job, struct error *err)
{
	int outcome = prepare(job, err);

	if (outcome == HIT)
		outcome = each(job, fit, err);
	if (outcome == HIT)
		outcome = build_all(job, err);
	if (outcome == HIT)
		outcome = each(job, put, err);
	if (outcome == HIT)
		outcome = each(job, finish_folder, err);
	return outcome;
}

enum outcome
restore_outputs(const struct restore *restore, const struct record *record,
    struct error *err)
{
	struct job job = { .restore = restore, .record = record };
	struct rlimit before;
	int outcome;

	job.piece = xmalloc(record->count * sizeof(*job.piece) + 1);
	for (size_t i = 0; i < record->count; i++)
		job.piece[i] = (struct piece){ .output = &record->outputs[i],
			.file = ASIDE_INIT };
	allow_files(record, &before);
	outcome = restore_all(&job, err);
	release(&job);
	if (before.rlim_max)
		(void)setrlimit(RLIMIT_NOFILE, &before);
	return outcome;
}
