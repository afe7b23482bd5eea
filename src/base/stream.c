#include "base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pack.h"

ssize_t
source_read(struct source *src, void *data, size_t size, struct error *err)
{
	return src->ops->read(src, data, size, err);
}

int
source_rewind(struct source *src, struct error *err)
{
	return src->ops->rewind(src, err);
}

void
source_close(struct source *src)
{
	if (src)
		src->ops->close(src);
}

int
sink_write(struct sink *sink, const void *data, size_t size, struct error *err)
{
	return sink->ops->write(sink, data, size, err);
}

int
sink_write_file(struct sink *sink, int fd, struct error *err)
{
	char chunk[64 * 1024];
	off_t at = 0;
	ssize_t got;

	if (sink->ops->write_file)
		return sink->ops->write_file(sink, fd, err);
	while ((got = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		if (sink_write(sink, chunk, (size_t)got, err) < 0)
			return -1;
		at += got;
	}
	return got < 0 ? error_errno(err, "cannot read a file") : 0;
}

int
sink_reset(struct sink *sink, struct error *err)
{
	return sink->ops->reset(sink, err);
}

int
sink_commit(struct sink *sink, struct error *err)
{
	return sink->ops->commit(sink, err);
}

bool
sink_is_full(struct sink *sink)
{
	return sink->ops->is_full && sink->ops->is_full(sink);
}

void
sink_close(struct sink *sink)
{
	if (sink)
		sink->ops->close(sink);
}

int
stream_copy(struct source *src, struct sink *sink, struct error *err)
{
	char chunk[64 * 1024];
	ssize_t got;

	while ((got = source_read(src, chunk, sizeof(chunk), err)) > 0) {
		if (sink_write(sink, chunk, (size_t)got, err) < 0)
			return -1;
	}
	return got < 0 ? -1 : 0;
}

/* ---- memory ---- */

struct memory_source {
	struct source base;
	const char *data;
	size_t at;
};

static ssize_t
memory_read(struct source *base, void *data, size_t size, struct error *err)
{
	struct memory_source *src =
	    container_of(base, struct memory_source, base);
	size_t left = (size_t)base->size - src->at;

	if (size > left)
		size = left;
	memcpy(data, src->data + src->at, size);
	src->at += size;
	return (ssize_t)size;
}

static int
memory_rewind(struct source *base, struct error *err)
{
	struct memory_source *src =
	    container_of(base, struct memory_source, base);

	src->at = 0;
	return 0;
}

static void
memory_close(struct source *base)
{
	free(container_of(base, struct memory_source, base));
}

struct source *
source_memory(const void *data, size_t size)
{
	static const struct source_ops ops = {
		.read = memory_read,
		.rewind = memory_rewind,
		.close = memory_close,
	};
	struct memory_source *src = xmalloc(sizeof(*src));

	*src = (struct memory_source){
		.base = { .ops = &ops, .size = size, .fd = -1 },
		.data = data,
	};
	return &src->base;
}

/* ---- a file that is read ---- */

struct file_source {
	struct source base;
	off_t at;
};

static ssize_t
file_read(struct source *base, void *data, size_t size, struct error *err)
{
	struct file_source *src = container_of(base, struct file_source, base);
	ssize_t got = pread(base->fd, data, size, src->at);

	if (got < 0)
		return error_errno(err, "cannot read a file");
	src->at += got;
	return got;
}

static int
file_rewind(struct source *base, struct error *err)
{
	container_of(base, struct file_source, base)->at = 0;
	return 0;
}

static void
file_source_close(struct source *base)
{
	free(container_of(base, struct file_source, base));
}

struct source *
source_file(int fd, uint64_t size)
{
	static const struct source_ops ops = {
		.read = file_read,
		.rewind = file_rewind,
		.close = file_source_close,
	};
	struct file_source *src = xmalloc(sizeof(*src));

	*src = (struct file_source){
		.base = { .ops = &ops, .size = size, .fd = fd }
	};
	return &src->base;
}

/* ---- nowhere ---- */

static int
null_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	return 0;
}

static int
null_nothing(struct sink *base, struct error *err)
{
	return 0;
}

static void
null_close(struct sink *base)
{
}

struct sink *
sink_null(void)
{
	static const struct sink_ops ops = {
		.write = null_write,
		.reset = null_nothing,
		.commit = null_nothing,
		.close = null_close,
	};
	static struct sink sink = { &ops };

	return &sink;
}

static int
counter_write(
    struct sink *base, const void *data, size_t size, struct error *err)
{
	container_of(base, struct sink_counter, base)->bytes += size;
	return 0;
}

static int
counter_reset(struct sink *base, struct error *err)
{
	container_of(base, struct sink_counter, base)->bytes = 0;
	return 0;
}

void
sink_counter_init(struct sink_counter *counter)
{
	static const struct sink_ops ops = {
		.write = counter_write,
		.reset = counter_reset,
		.commit = null_nothing,
		.close = null_close,
	};

	*counter = (struct sink_counter){ .base = { &ops } };
}

/* ---- buffer ---- */

struct buf_sink {
	struct sink base;
	struct buf *buf;
	size_t start, max;
};

static int
buf_sink_write(
    struct sink *base, const void *data, size_t size, struct error *err)
{
	struct buf_sink *sink = container_of(base, struct buf_sink, base);

	if (sink->buf->len - sink->start > sink->max ||
	    size > sink->max - (sink->buf->len - sink->start))
		return error_set(err, ERROR_CORRUPT,
		    "a value of more than %zu bytes", sink->max);
	buf_add(sink->buf, data, size);
	return 0;
}

static int
buf_sink_reset(struct sink *base, struct error *err)
{
	struct buf_sink *sink = container_of(base, struct buf_sink, base);

	sink->buf->len = sink->start;
	return 0;
}

static int
buf_sink_commit(struct sink *base, struct error *err)
{
	struct buf_sink *sink = container_of(base, struct buf_sink, base);

	sink->start = sink->buf->len;
	return 0;
}

static void
buf_sink_close(struct sink *base)
{
	struct buf_sink *sink = container_of(base, struct buf_sink, base);

	sink->buf->len = sink->start;
	free(sink);
}

struct sink *
sink_buf(struct buf *buf, size_t max)
{
	static const struct sink_ops ops = {
		.write = buf_sink_write,
		.reset = buf_sink_reset,
		.commit = buf_sink_commit,
		.close = buf_sink_close,
	};
	struct buf_sink *sink = xmalloc(sizeof(*sink));

	*sink = (struct buf_sink){
		.base = { &ops }, .buf = buf, .start = buf->len, .max = max
	};
	return &sink->base;
}

/* ---- file ---- */

struct file_sink {
	struct sink base;
	char *path;
	struct aside file;
};

static int
file_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	struct file_sink *sink = container_of(base, struct file_sink, base);

	if (file_write_all(sink->file.fd, data, size) < 0)
		return error_errno(err, "cannot write '%s'", sink->path);
	return 0;
}

static int
file_reset(struct sink *base, struct error *err)
{
	struct file_sink *sink = container_of(base, struct file_sink, base);

	if (ftruncate(sink->file.fd, 0) < 0 ||
	    lseek(sink->file.fd, 0, SEEK_SET) < 0)
		return error_errno(err, "cannot empty '%s'", sink->path);
	return 0;
}

static int
file_commit(struct sink *base, struct error *err)
{
	struct file_sink *sink = container_of(base, struct file_sink, base);

	return aside_put(&sink->file, sink->path, false, err);
}

static int
file_write_file(struct sink *base, int fd, struct error *err)
{
	struct file_sink *sink = container_of(base, struct file_sink, base);

	if (file_copy(fd, sink->file.fd, err) < 0)
		return error_wrap(err, "'%s'", sink->path);
	return 0;
}

static void
file_close(struct sink *base)
{
	struct file_sink *sink = container_of(base, struct file_sink, base);

	aside_release(&sink->file);
	free(sink->path);
	free(sink);
}

struct sink *
sink_file(const char *path, mode_t mode, struct error *err)
{
	static const struct sink_ops ops = {
		.write = file_write,
		.reset = file_reset,
		.commit = file_commit,
		.close = file_close,
		.write_file = file_write_file,
	};
	auto_aside file = ASIDE_INIT;
	struct file_sink *sink;

	if (aside_start(&file, path, 0600, err) < 0)
		return NULL;
	if (fchmod(file.fd, mode) < 0) {
		error_errno(err, "cannot create '%s'", path);
		return NULL;
	}
	sink = xmalloc(sizeof(*sink));
	*sink = (struct file_sink){ { &ops }, xstrdup(path), file };
	file = (struct aside)ASIDE_INIT;
	return &sink->base;
}

/* ---- verify ---- */

struct verify_sink {
	struct sink base;
	struct sink *next;
	struct hasher hasher;
	struct digest want;
	unsigned char head[PACK_MARK]; /* the first bytes, `held` of them */
	size_t held;
};

static void
verify_add(struct verify_sink *sink, const void *data, size_t size)
{
	size_t room = sizeof(sink->head) - sink->held;

	hasher_add(&sink->hasher, data, size);
	if (room == 0)
		return;
	if (size < room)
		room = size;
	memcpy(sink->head + sink->held, data, room);
	sink->held += room;
}

static int
verify_write(
    struct sink *base, const void *data, size_t size, struct error *err)
{
	struct verify_sink *sink = container_of(base, struct verify_sink, base);

	verify_add(sink, data, size);
	return sink_write(sink->next, data, size, err);
}

/* Twice through the file, once for its digest and once for what is next, if that
 * is better served by a file than by its bytes. */
static int
verify_write_file(struct sink *base, int fd, struct error *err)
{
	struct verify_sink *sink = container_of(base, struct verify_sink, base);
	bool whole = sink->next->ops->write_file != NULL;
	char chunk[64 * 1024];
	off_t at = 0;
	ssize_t got;

	while ((got = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		verify_add(sink, chunk, (size_t)got);
		if (!whole &&
		    sink_write(sink->next, chunk, (size_t)got, err) < 0)
			return -1;
		at += got;
	}
	if (got < 0)
		return error_errno(err, "cannot read a file");
	return whole ? sink_write_file(sink->next, fd, err) : 0;
}

static int
verify_reset(struct sink *base, struct error *err)
{
	struct verify_sink *sink = container_of(base, struct verify_sink, base);

	hasher_init(&sink->hasher);
	sink->held = 0;
	return sink_reset(sink->next, err);
}

static bool
verify_is_full(struct sink *base)
{
	return sink_is_full(container_of(base, struct verify_sink, base)->next);
}

bool
sink_verified(struct sink *verify, struct digest *sum)
{
	struct verify_sink *sink =
	    container_of(verify, struct verify_sink, base);
	struct hasher hasher = sink->hasher; /* it may have to go on */

	hasher_finish(&hasher, sum);
	return digest_equal(sum, &sink->want);
}

bool
sink_packed(struct sink *verify, struct error *err)
{
	struct verify_sink *sink =
	    container_of(verify, struct verify_sink, base);

	if (!pack_is_marked(sink->head, sink->held))
		return false;
	error_set(err, ERROR_USAGE,
	    "it is stored compressed; set \"compress\" for this location");
	return true;
}

static int
verify_commit(struct sink *base, struct error *err)
{
	struct verify_sink *sink = container_of(base, struct verify_sink, base);
	char want[DIGEST_HEX + 1], got[DIGEST_HEX + 1];
	struct digest sum;

	if (!sink_verified(base, &sum) && sink_packed(base, err))
		return -1;
	if (!sink_verified(base, &sum))
		return error_set(err, ERROR_CORRUPT, "expected blob %s, got %s",
		    digest_hex(&sink->want, want), digest_hex(&sum, got));
	return sink_commit(sink->next, err);
}

static void
verify_close(struct sink *base)
{
	struct verify_sink *sink = container_of(base, struct verify_sink, base);

	free(sink);
}

struct sink *
sink_verify(struct sink *next, const struct digest *want)
{
	static const struct sink_ops ops = {
		.write = verify_write,
		.reset = verify_reset,
		.commit = verify_commit,
		.close = verify_close,
		.write_file = verify_write_file,
		.is_full = verify_is_full,
	};
	struct verify_sink *sink = xmalloc(sizeof(*sink));

	*sink = (struct verify_sink){
		.base = { &ops }, .next = next, .want = *want
	};
	hasher_init(&sink->hasher);
	return &sink->base;
}
