/*
 * `tarn write`: a file into the content store, by way of the location tree. It is
 * read twice, for its key and for its bytes; if it changes in between, nothing
 * is kept.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/config_json.h"
#include "locations/collect.h"

/* The bytes of `next`; the last of them fail unless all add up to `want`. */
struct checked {
	struct source base;
	struct source *next; /* borrowed */
	struct hasher hasher;
	struct digest want;
	uint64_t at;
};

static int
check_end(struct checked *src, struct error *err)
{
	struct hasher h = src->hasher;
	struct digest sum;

	hasher_finish(&h, &sum);
	if (digest_equal(&sum, &src->want))
		return 0;
	return error_set(err, ERROR_CORRUPT, "the file changed meanwhile");
}

static ssize_t
checked_read(struct source *base, void *data, size_t size, struct error *err)
{
	struct checked *src = container_of(base, struct checked, base);
	ssize_t got = source_read(src->next, data, size, err);

	if (got < 0)
		return -1;
	hasher_add(&src->hasher, data, (size_t)got);
	src->at += (size_t)got;
	/* Whoever knows the size may never ask for the end. */
	if ((src->at >= base->size || (got == 0 && size > 0)) &&
	    check_end(src, err) < 0)
		return -1;
	return got;
}

static int
checked_rewind(struct source *base, struct error *err)
{
	struct checked *src = container_of(base, struct checked, base);

	hasher_init(&src->hasher);
	src->at = 0;
	return source_rewind(src->next, err);
}

static void
checked_close(struct source *base)
{
}

static const struct source_ops checked_ops = {
	.read = checked_read,
	.rewind = checked_rewind,
	.close = checked_close,
};

static int
digest_of(
    struct source *in, struct digest *digest, uint64_t *size, struct error *err)
{
	char chunk[64 * 1024];
	struct hasher h;
	ssize_t got;

	*size = 0;
	hasher_init(&h);
	while ((got = source_read(in, chunk, sizeof(chunk), err)) > 0) {
		hasher_add(&h, chunk, (size_t)got);
		*size += (size_t)got;
	}
	hasher_finish(&h, digest);
	return got < 0 ? -1 : source_rewind(in, err);
}

static int
write_source(struct location *loc, struct source *in, struct digest *digest,
    struct error *err)
{
	struct checked src = {
		.base = { &checked_ops, 0, -1 }, /* no sharing of storage */
		.next = in,
	};
	struct key key = { .space = KEY_BLOB };
	enum outcome outcome;

	if (digest_of(in, digest, &src.base.size, err) < 0)
		return -1;
	src.want = key.digest = *digest;
	hasher_init(&src.hasher);
	outcome = location_write(loc, &key, &src.base, WRITE_IF_ABSENT, err);
	if (outcome == DECLINED)
		return err->text[0]
		    ? error_wrap(err, "no location takes it")
		    : error_set(err, ERROR_NONE, "no location takes it");
	return outcome == FAILED ? -1 : 0;
}

static int
write_file(struct location *loc, const char *path, struct digest *digest,
    struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	auto_source *in = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_USAGE, "'%s' is no file", path);
	in = source_file(fd, (uint64_t)st.st_size);
	if (write_source(loc, in, digest, err) < 0)
		return error_wrap(err, "'%s'", path);
	return 0;
}

static int
add_labels(struct location *loc, const struct digest *digest,
    const struct cmd_values *labels, struct error *err)
{
	struct key key = { KEY_BLOB, *digest };
	enum outcome outcome;

	if (!labels->count)
		return 0;
	outcome = location_add_labels(loc, &key, labels->item, err);
	if (outcome == HIT)
		return 0;
	if (outcome == MISS)
		error_set(err, ERROR_NONE, "no location keeps labels");
	return error_wrap(err, "the file is stored, but not its labels");
}

static int
check_labels(const struct cmd_values *labels)
{
	for (size_t i = 0; i < labels->count; i++) {
		if (!labels->item[i][0])
			return cmd_usage(&cmd_write, "a label is empty");
	}
	return CMD_OK;
}

static int
run(int argc, char **argv)
{
	const char *file = NULL;
	struct cmd_values labels = { 0 };
	const struct cmd_option options[] = {
		{ "label", .values = &labels },
		{ "config", .value = &file },
		{ 0 },
	};
	char hex[DIGEST_HEX + 1];
	struct location *loc;
	struct digest digest;
	struct error err = { 0 };
	int status;

	if (cmd_options(&cmd_write, argv, options, (struct cmd_words){ 1, 1 },
	        &status) < 0)
		return status;
	status = check_labels(&labels);
	if (status != CMD_OK)
		return status;
	loc = config_json_open(file, &err);
	if (!loc)
		return cmd_fail(&err);
	status = write_file(loc, argv[1], &digest, &err);
	if (status == 0)
		puts(digest_hex(&digest, hex));
	if (status == 0)
		status = add_labels(loc, &digest, &labels, &err);
	location_collect_over(loc, false);
	location_close(loc);
	return status < 0 ? cmd_fail(&err) : CMD_OK;
}

const struct cmd cmd_write = {
	.name = "write",
	.args = "FILE [--label TEXT]... [--config FILE]",
	.summary =
	    "put a file into the content store and print its SHA-256 key",
	.details = "  --label TEXT   a label for it, beside those that it has\n"
	           "  --config FILE  this configuration file only\n",
	.run = run,
};
