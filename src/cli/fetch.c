/*
 * `tarn fetch`: what is kept under these keys, and the blobs that it names, is read
 * through the whole tree. So what was far is then near, for a build that will be
 * offline, say.
 */
#include <limits.h>
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/format.h"
#include "cli/tree.h"
#include "store/index.h"

struct fetch {
	struct location *loc;
	bool as_json;
	bool failed; /* something was told */

	/* Of one key: */
	size_t values;
	uint64_t bytes;
};

/* Something is there, but not whole, or could not be read. Returns FAILED. */
static enum outcome
tell(struct fetch *fetch, const struct digest *digest, const char *why)
{
	char hex[DIGEST_HEX + 1];

	fprintf(stderr, "tarn: %s: %s\n", digest_hex(digest, hex), why);
	fetch->failed = true;
	return FAILED;
}

static bool
is_right(void *verify)
{
	struct digest sum;

	return sink_verified(verify, &sum);
}

static enum outcome
fetch_blob(struct fetch *fetch, const struct digest *digest)
{
	const struct key key = { KEY_BLOB, *digest };
	struct sink_counter counter;
	auto_sink *verify = sink_verify(&counter.base, digest);
	struct location_check check = {
		.is_whole = is_right, .arg = verify, .mend = true
	};
	struct error err;
	enum outcome outcome;

	sink_counter_init(&counter);
	outcome = location_read_checked(fetch->loc, &key, verify, &check, &err);
	if (outcome == FAILED)
		return tell(fetch, digest, err.text);
	fetch->values += outcome == HIT;
	fetch->bytes += outcome == HIT ? counter.bytes : 0;
	return outcome;
}

/* One that a record names: without it, the record is of no use. */
static int
fetch_named(void *arg, const struct digest *digest, uint64_t size)
{
	struct fetch *fetch = arg;

	if (fetch_blob(fetch, digest) == MISS)
		tell(fetch, digest, "no location has this blob of the record");
	return 0;
}

struct read_value {
	const struct digest *key;
	struct buf data;
};

static bool
is_understood(void *arg)
{
	const struct read_value *read = arg;
	struct index_value value;
	struct error err;

	if (index_decode(
	        &value, read->key, read->data.data, read->data.len, &err) < 0)
		return false;
	index_release(&value);
	return true;
}

static enum outcome
fetch_index(struct fetch *fetch, const struct digest *digest)
{
	const struct key key = { KEY_INDEX, *digest };
	struct read_value read = { .key = digest, .data = BUF_INIT };
	auto_sink *out = sink_buf(&read.data, RECORD_MAX);
	struct location_check check = {
		.is_whole = is_understood, .arg = &read, .mend = true
	};
	struct index_value value;
	struct error err;
	enum outcome outcome =
	    location_read_checked(fetch->loc, &key, out, &check, &err);

	if (outcome == FAILED)
		tell(fetch, digest, err.text);
	if (outcome == HIT &&
	    index_decode(&value, digest, read.data.data, read.data.len, &err) ==
	        0) {
		fetch->values++;
		fetch->bytes += read.data.len;
		(void)index_each_blob(&value, fetch_named, fetch);
		index_release(&value);
	}
	buf_release(&read.data);
	return outcome;
}

static void
report(const struct fetch *fetch, const struct digest *digest)
{
	char hex[DIGEST_HEX + 1];
	auto_buf line = BUF_INIT;

	if (fetch->as_json) {
		buf_addf(&line, "{");
		format_json_key(&line, "key", digest);
		format_json_number(&line, "values", fetch->values);
		format_json_number(&line, "bytes", fetch->bytes);
		buf_addf(&line, "}");
	} else {
		buf_addf(&line, "%s: %zu %s, ", digest_hex(digest, hex),
		    fetch->values, fetch->values == 1 ? "value" : "values");
		format_size(&line, fetch->bytes);
	}
	format_print(&line);
}

static void
fetch_key(struct fetch *fetch, const struct digest *digest)
{
	enum outcome index, blob;

	fetch->values = 0;
	fetch->bytes = 0;
	index = fetch_index(fetch, digest);
	blob = fetch_blob(fetch, digest);
	if (index == MISS && blob == MISS)
		tell(fetch, digest, "no location has it");
	else if (fetch->values > 0)
		report(fetch, digest);
}

static int
run(int argc, char **argv)
{
	struct fetch fetch = { 0 };
	const char *file = NULL;
	const struct cmd_option options[] = {
		{ "json", .flag = &fetch.as_json },
		{ "config", .value = &file },
		{ 0 },
	};
	struct digest digest;
	struct error err = { 0 };
	int count, status;

	count = cmd_options(&cmd_fetch, argv, options,
	    (struct cmd_words){ 1, INT_MAX }, &status);
	if (count < 0)
		return status;
	for (int i = 1; i <= count; i++) {
		if (!cmd_key(&cmd_fetch, argv[i], &digest))
			return CMD_USAGE;
	}
	fetch.loc = config_json_open(file, &err);
	if (!fetch.loc)
		return cmd_fail(&err);
	for (int i = 1; i <= count; i++) {
		if (digest_parse(&digest, argv[i]))
			fetch_key(&fetch, &digest);
	}
	location_close(fetch.loc);
	return fetch.failed ? CMD_FAILED : CMD_OK;
}

const struct cmd cmd_fetch = {
	.name = "fetch",
	.args = "KEY... [--json] [--config FILE]",
	.summary = "pull what is kept under these keys into the nearer levels",
	.details =
	    "  --json         an object a line: key, values, bytes\n"
	    "  --config FILE  this configuration file only\n"
	    "\nThe key of an event brings the record and all blobs that it "
	    "names; that\nof an action its path sets; any other key a blob. "
	    "A level with\n\"replicate\": false gets nothing.\n",
	.run = run,
};
