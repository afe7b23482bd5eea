/*
 * `tarn read`: a blob by its key. Nothing is shown before all of it has been
 * verified, so what goes to stdout passes through a spool: a level that breaks off
 * half way can then be followed by the next.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/spool.h"
#include "cli/cmd.h"
#include "cli/config_json.h"
#include "locations/location.h"

/* Larger ones are spooled to a file, in bytes. */
#define IN_MEMORY ((size_t)1 << 20)

static struct sink *
open_output(const char *path, struct spool *spool, struct error *err)
{
	mode_t mask;

	if (!path)
		return sink_spool(spool);
	mask = umask(0);
	umask(mask);
	return sink_file(path, 0666 & ~mask, err);
}

static int
print(const struct spool *spool, struct error *err)
{
	auto_source *in = spool_source(spool);
	char chunk[64 * 1024];
	ssize_t got;

	while ((got = source_read(in, chunk, sizeof(chunk), err)) > 0) {
		if (file_write_all(STDOUT_FILENO, chunk, (size_t)got) < 0)
			return error_errno(err, "cannot write the output");
	}
	return got < 0 ? -1 : 0;
}

static bool
is_whole(void *verify)
{
	struct digest sum;

	return sink_verified(verify, &sum);
}

static enum outcome
read_blob(struct location *loc, const struct digest *digest, const char *path,
    struct error *err)
{
	struct key key = { KEY_BLOB, *digest };
	auto_spool spool = SPOOL_INIT(IN_MEMORY);
	auto_sink *out = open_output(path, &spool, err);
	auto_sink *verify = out ? sink_verify(out, digest) : NULL;
	struct location_check check = {
		.is_whole = is_whole, .arg = verify, .mend = true
	};
	enum outcome outcome;

	if (!out)
		return FAILED;
	outcome = location_read_checked(loc, &key, verify, &check, err);
	if (check.damage.kind != ERROR_NONE && outcome == HIT)
		fprintf(stderr, "tarn: %s\n", check.damage.text);
	if (outcome != HIT)
		return outcome;
	if (sink_commit(verify, err) < 0 || (!path && print(&spool, err) < 0))
		return FAILED;
	return HIT;
}

static int
run(int argc, char **argv)
{
	const char *file = NULL, *path = NULL;
	const struct cmd_option options[] = {
		{ "output", 'o', .value = &path },
		{ "config", .value = &file },
		{ 0 },
	};
	struct location *loc;
	struct digest digest;
	struct error err = { 0 };
	enum outcome outcome;
	int status;

	if (cmd_options(&cmd_read, argv, options, (struct cmd_words){ 1, 1 },
	        &status) < 0)
		return status;
	if (!cmd_key(&cmd_read, argv[1], &digest))
		return CMD_USAGE;
	loc = config_json_open(file, &err);
	if (!loc)
		return cmd_fail(&err);
	outcome = read_blob(loc, &digest, path, &err);
	location_close(loc);
	if (outcome == MISS)
		error_set(&err, ERROR_NONE, "no location has %s", argv[1]);
	return outcome == HIT ? CMD_OK : cmd_fail(&err);
}

const struct cmd cmd_read = {
	.name = "read",
	.args = "KEY [-o FILE] [--config FILE]",
	.summary =
	    "write the content with this SHA-256 key to stdout or a file",
	.details = "  -o, --output FILE  to FILE, which appears whole or not\n"
	           "  --config FILE      this configuration file only\n",
	.run = run,
};
