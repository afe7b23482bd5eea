#include "base/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/file.h"
#include "base/mem.h"

struct spool_sink {
	struct sink base;
	struct spool *spool; /* borrowed */
};

static struct spool *
spool_of(struct sink *base)
{
	return container_of(base, struct spool_sink, base)->spool;
}

static int
nameless_file(struct error *err)
{
	const char *dir = getenv("TMPDIR");

	return aside_nameless(dir && dir[0] == '/' ? dir : "/tmp", err);
}

/* From now on the bytes go to a file, and so do those we have. */
static int
spill(struct spool *spool, struct error *err)
{
	spool->fd = nameless_file(err);
	if (spool->fd < 0)
		return -1;
	if (file_write_all(spool->fd, spool->data.data, spool->data.len) < 0)
		return error_errno(err, "cannot write a temporary file");
	buf_release(&spool->data);
	return 0;
}

static int
spool_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	struct spool *spool = spool_of(base);

	if (spool->fd < 0 && size > spool->memory - spool->data.len &&
	    spill(spool, err) < 0)
		return -1;
	if (spool->fd < 0)
		buf_add(&spool->data, data, size);
	else if (file_write_all(spool->fd, data, size) < 0)
		return error_errno(err, "cannot write a temporary file");
	spool->size += size;
	return 0;
}

static int
spool_write_file(struct sink *base, int fd, struct error *err)
{
	struct spool *spool = spool_of(base);
	struct stat st;

	spool_release(spool);
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot stat a file");
	spool->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (spool->fd < 0)
		return error_errno(err, "cannot keep a file open");
	spool->size = (uint64_t)st.st_size;
	return 0;
}

static int
spool_reset(struct sink *base, struct error *err)
{
	spool_release(spool_of(base));
	return 0;
}

static int
spool_commit(struct sink *base, struct error *err)
{
	return 0;
}

static void
spool_sink_close(struct sink *base)
{
	free(container_of(base, struct spool_sink, base));
}

struct sink *
sink_spool(struct spool *spool)
{
	static const struct sink_ops ops = {
		.write = spool_write,
		.reset = spool_reset,
		.commit = spool_commit,
		.close = spool_sink_close,
		.write_file = spool_write_file,
	};
	struct spool_sink *sink = xmalloc(sizeof(*sink));

	*sink = (struct spool_sink){ { &ops }, spool };
	return &sink->base;
}

struct source *
spool_source(const struct spool *spool)
{
	if (spool->fd >= 0)
		return source_file(spool->fd, spool->size);
	return source_memory(spool->data.data, spool->data.len);
}

void
spool_release(struct spool *spool)
{
	if (spool->fd >= 0)
		close(spool->fd);
	buf_release(&spool->data);
	spool->fd = -1;
	spool->size = 0;
}
