/*
 * `tarn verify`: all that is kept, read and held against what it should be: how a
 * location keeps it, blobs against their keys, records and lists against their
 * checks, records' blobs against what is there. Blobs come before the index, so
 * that a record whose blob was just removed is found, too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/spool.h"
#include "cli/cmd.h"
#include "cli/format.h"
#include "cli/tree.h"
#include "cli/verify.h"
#include "store/index.h"

#define IN_MEMORY ((size_t)1 << 20) /* of a value to be repaired, in bytes */
#define BATCH 512       /* blobs that are asked for together; none is held */
#define PACKED_BATCH 64 /* where each of them needs what unpacks it */

struct verify {
	struct findings findings;
	struct tree tree;
	struct tree_node *leaf;
	size_t leaves;
	bool *failed; /* a leaf can't be looked at, which was told */
	const struct tree_node *at; /* the one that is looked at */
	enum key_space space;
	bool named_by_content;              /* its blobs, as far as is known */
	struct location_read_request *blob; /* BATCH, to be read together */
	size_t blobs;
	struct sink *nowhere; /* that takes what they are */
};

/* ---- telling ---- */

static void
add_text(struct buf *to, const struct finding *finding)
{
	char hex[DIGEST_HEX + 1];

	buf_addf(to, "%s: ", finding->location);
	if (finding->path)
		buf_addf(to, "%s", finding->path);
	else
		buf_addf(to, "%s %s", format_space(finding->key->space),
		    digest_hex(&finding->key->digest, hex));
	buf_addf(to, ": %s; expected %s", finding->found, finding->expected);
	if (finding->done)
		buf_addf(to, ": %s", finding->done);
	if (finding->error)
		buf_addf(to, ": not repaired: %s", finding->error);
}

static void
add_json(struct buf *to, const struct finding *finding)
{
	buf_add(to, "{", 1);
	format_json_text(to, "location", finding->location);
	format_json_text(to, "path", finding->path);
	if (finding->key) {
		format_json_text(
		    to, "space", format_space(finding->key->space));
		format_json_key(to, "key", &finding->key->digest);
	}
	format_json_text(to, "found", finding->found);
	format_json_text(to, "expected", finding->expected);
	format_json_text(to, "repair", finding->done);
	format_json_text(to, "error", finding->error);
	buf_add(to, "}", 1);
}

void
findings_add(struct findings *findings, const struct finding *finding)
{
	auto_buf line = BUF_INIT;

	findings->damaged++;
	findings->repaired += finding->done != NULL;
	progress_hide(&findings->progress);
	(findings->as_json ? add_json : add_text)(&line, finding);
	format_print(&line);
}

static void
tell_damage(
    void *arg, struct location *leaf, const struct location_damage *damage)
{
	struct verify *verify = arg;
	const struct finding finding = {
		.location = leaf->label,
		.path = damage->path,
		.found = damage->found,
		.expected = damage->expected,
		.done = damage->mended ? "mended" : NULL,
		.error = damage->why,
	};

	findings_add(&verify->findings, &finding);
}

/* ---- is a value what it should be? ---- */

/* HIT if it is whole, MISS if it isn't there, FAILED with what is wrong. A whole
 * one of the index may be wanted in *value, to be released. */
static enum outcome
read_index(struct location *leaf, const struct key *key, struct sink *out,
    struct index_value *value, struct error *err)
{
	auto_buf data = BUF_INIT;
	auto_sink *sink = sink_buf(&data, RECORD_MAX);
	enum outcome outcome = location_read(leaf, key, sink, err);

	if (outcome != HIT)
		return outcome;
	if (index_decode(value, &key->digest, data.data, data.len, err) < 0)
		return FAILED;
	if (sink_write(out, data.data, data.len, err) == 0)
		return HIT;
	index_release(value);
	return FAILED;
}

static enum outcome
read_whole(struct location *leaf, const struct key *key, struct sink *out,
    struct error *err)
{
	struct index_value *value = NULL;
	auto_sink *verify = NULL;
	enum outcome outcome;

	if (key->space == KEY_BLOB) {
		verify = sink_verify(out, &key->digest);
		outcome = location_read(leaf, key, verify, err);
		if (outcome == HIT && sink_commit(verify, err) < 0)
			return FAILED;
		return outcome;
	}
	value = xmalloc(sizeof(*value));
	outcome = read_index(leaf, key, out, value, err);
	if (outcome == HIT)
		index_release(value);
	free(value);
	return outcome;
}

/* ---- repairing ---- */

/* A whole one from another leaf into `spool`. Which; NULL: there is none. */
static struct location *
find_good(struct verify *verify, const struct key *key, struct spool *spool)
{
	for (size_t i = 0; i < verify->leaves; i++) {
		struct location *leaf = verify->leaf[i].loc;
		auto_sink *out = sink_spool(spool);
		struct error err = { 0 };

		if (leaf == verify->at->loc)
			continue;
		if (read_whole(leaf, key, out, &err) == HIT)
			return leaf;
		if (sink_reset(out, &err) < 0)
			return NULL;
	}
	return NULL;
}

/* What was done, owned by the caller; NULL with *err set. */
static char *
replace(struct verify *verify, const struct key *key, struct error *err)
{
	auto_spool spool = SPOOL_INIT(IN_MEMORY);
	struct location *leaf = verify->at->loc;
	struct location *good = find_good(verify, key, &spool);
	auto_source *in = NULL;

	if (location_remove(leaf, key, err) != HIT) {
		if (!err->text[0])
			(void)error_set(
			    err, ERROR_SYSTEM, "it can't be removed");
		return NULL;
	}
	if (!good)
		return xstrdup("removed");
	in = spool_source(&spool);
	if (location_write(leaf, key, in, WRITE_IF_ABSENT, err) == STORED)
		return xasprintf("fetched from %s", good->label);
	return xstrdup("removed");
}

/*
 * Not to read it may be a matter of rights, of the network, or of what this process
 * may have open: then it isn't ours to remove. What the disk lost is.
 */
static bool
is_ours(const struct verify *verify, const struct key *key,
    const struct error *damage, struct error *err)
{
	if (!verify->at->may_change)
		return error_set(err, ERROR_DENIED, "its level is only read") ==
		    0;
	if (key->space == KEY_BLOB && !verify->named_by_content)
		return error_set(err, ERROR_DENIED,
		           "nothing here is named by its content, as in an "
		           "index of the Python library") == 0;
	if (damage->kind != ERROR_CORRUPT &&
	    (damage->kind != ERROR_SYSTEM || damage->sys != EIO))
		return error_set(err, ERROR_DENIED, "it can't be read") == 0;
	return true;
}

/* `damage` is what was found. */
static void
tell_value(struct verify *verify, const struct key *key,
    const struct error *damage, const char *expected)
{
	struct error err = { 0 };
	auto_free char *done = NULL;
	struct finding finding = {
		.location = verify->at->loc->label,
		.key = key,
		.found = damage->text,
		.expected = expected,
	};

	if (verify->findings.repair && is_ours(verify, key, damage, &err))
		done = replace(verify, key, &err);
	finding.done = done;
	finding.error = err.text[0] && !done ? err.text : NULL;
	findings_add(&verify->findings, &finding);
}

/* ---- every value ---- */

struct need {
	struct verify *verify;
	struct digest missing;
};

/* All leaves have to be sure: one that doesn't answer now may have it. */
static int
is_missing(void *arg, const struct digest *digest, uint64_t size)
{
	struct need *need = arg;
	const struct key key = { KEY_BLOB, *digest };
	struct error err;

	need->missing = *digest;
	for (size_t i = 0; i < need->verify->leaves; i++) {
		if (location_contains(need->verify->leaf[i].loc, &key, &err) !=
		    MISS)
			return 0;
	}
	return 1;
}

static void
check_record(struct verify *verify, const struct key *key,
    const struct index_value *value)
{
	struct need need = { .verify = verify };
	char hex[DIGEST_HEX + 1];
	struct error damage;

	if (index_each_blob(value, is_missing, &need) == 0)
		return;
	(void)error_set(&damage, ERROR_CORRUPT, "its blob %s is missing",
	    digest_hex(&need.missing, hex));
	tell_value(verify, key, &damage, "all of its blobs to be there");
}

static void
check_index(struct verify *verify, const struct key *key)
{
	struct index_value *value = xmalloc(sizeof(*value));
	auto_sink *out = sink_null();
	struct error damage = { 0 };
	enum outcome outcome =
	    read_index(verify->at->loc, key, out, value, &damage);

	if (outcome == FAILED)
		tell_value(verify, key, &damage,
		    "a whole record or list of path sets");
	if (outcome == HIT) {
		check_record(verify, key, value);
		index_release(value);
	}
	free(value);
}

static void
judge_blob(struct verify *verify, const struct location_read_request *read)
{
	struct error damage = read->err;
	const char *got;

	if (read->outcome == MISS ||
	    (read->outcome == HIT && sink_commit(read->out, &damage) == 0))
		return;
	got = strstr(damage.text, ", got ");
	if (damage.kind == ERROR_CORRUPT && got)
		(void)error_set(&damage, ERROR_CORRUPT, "content with digest%s",
		    got + strlen(", got"));
	tell_value(
	    verify, &read->key, &damage, "content with its key's digest");
}

/* Those that wait, which are all of one leaf. */
static void
check_blobs(struct verify *verify)
{
	location_read_batch(verify->at->loc, verify->blob, verify->blobs);
	for (size_t i = 0; i < verify->blobs; i++) {
		judge_blob(verify, &verify->blob[i]);
		sink_close(verify->blob[i].out);
	}
	verify->blobs = 0;
}

static void
check_blob(struct verify *verify, const struct key *key)
{
	struct location_read_request *read = &verify->blob[verify->blobs++];

	*read = (struct location_read_request){ .key = *key };
	read->out = sink_verify(verify->nowhere, &read->key.digest);
	if (verify->blobs == (verify->at->loc->packer ? PACKED_BATCH : BATCH))
		check_blobs(verify);
}

static int
check_entry(void *arg, const struct location_entry *entry)
{
	struct verify *verify = arg;
	struct key key = entry->key;

	if (key.space != verify->space)
		return 0;
	if (key.space == KEY_BLOB)
		check_blob(verify, &key);
	else
		check_index(verify, &key);
	progress_add(&verify->findings.progress, entry->size);
	return ferror(stdout) ? 1 : 0;
}

/* ---- all of it ---- */

/* What can't be looked at can't be vouched for. */
static void
tell_failure(struct verify *verify, const struct error *err)
{
	size_t leaf = (size_t)(verify->at - verify->leaf);
	const struct finding finding = {
		.location = verify->at->loc->label,
		.path = verify->at->loc->label,
		.found = err->text,
		.expected = "a location that can be listed",
	};

	verify->failed[leaf] = true;
	findings_add(&verify->findings, &finding);
}

#define SAMPLE 100 /* blobs */

struct sample {
	struct location *leaf;
	bool sound;
	unsigned count;
};

static int
try_sample(void *arg, const struct location_entry *entry)
{
	struct sample *sample = arg;
	auto_sink *out = sink_null();
	struct error err;

	sample->sound = entry->key.space == KEY_INDEX ||
	    read_whole(sample->leaf, &entry->key, out, &err) == HIT;
	return sample->sound || ++sample->count == SAMPLE;
}

/*
 * The Python library keeps its indexes in lakes that look like any other, but for
 * the names, which are digests of something else. Where tarn has an index, or one
 * of the first blobs has the name of its content, the others have, too.
 */
static bool
is_named_by_content(struct location *leaf)
{
	struct sample sample = { .leaf = leaf };
	struct error err;

	(void)location_list_some(
	    leaf, LIST_BLOBS | LIST_INDEX, try_sample, &sample, &err);
	return sample.sound;
}

static void
check_space(struct verify *verify, struct location *part, enum key_space space)
{
	verify->space = space;
	for (size_t i = 0; i < verify->leaves; i++) {
		struct error err = { 0 };

		verify->at = &verify->leaf[i];
		if (verify->failed[i] || !tree_has_leaf(part, verify->at->loc))
			continue;
		verify->named_by_content = space == KEY_BLOB &&
		    verify->findings.repair &&
		    is_named_by_content(verify->at->loc);
		if (location_list_some(verify->at->loc,
		        space == KEY_BLOB ? LIST_BLOBS : LIST_INDEX,
		        check_entry, verify, &err) < 0)
			tell_failure(verify, &err);
		if (verify->blobs > 0)
			check_blobs(verify);
	}
}

static void
check_structure(struct verify *verify, struct location *part)
{
	for (size_t i = 0; i < verify->leaves; i++) {
		struct error err = { 0 };

		verify->at = &verify->leaf[i];
		if (!tree_has_leaf(part, verify->at->loc))
			continue;
		if (location_inspect(verify->at->loc,
		        verify->findings.repair && verify->at->may_change,
		        tell_damage, verify, &err) < 0)
			tell_failure(verify, &err);
	}
}

static void
show_sum(const struct findings *findings)
{
	const struct progress *progress = &findings->progress;
	auto_buf line = BUF_INIT;

	if (findings->as_json) {
		buf_add(&line, "{", 1);
		format_json_number(&line, "entries", progress->entries);
		format_json_number(&line, "bytes", progress->bytes);
		format_json_number(&line, "damaged", findings->damaged);
		format_json_number(&line, "repaired", findings->repaired);
		buf_add(&line, "}", 1);
	} else {
		buf_addf(
		    &line, "verified %" PRIu64 " entries, ", progress->entries);
		format_size(&line, progress->bytes);
		if (findings->damaged)
			buf_addf(&line,
			    ": %" PRIu64 " damaged, %" PRIu64 " repaired",
			    findings->damaged, findings->repaired);
		else
			buf_addf(&line, ": all sound");
	}
	format_print(&line);
}

static int
verify_part(struct verify *verify, const char *name, const char *tarn_dir)
{
	struct findings *findings = &verify->findings;
	struct error err = { 0 };
	struct location *part = tree_part(&verify->tree, name, &err);

	if (!part)
		return cmd_fail(&err);
	verify->leaves = tree_leaves(&verify->tree, &verify->leaf);
	verify->failed = xrealloc(NULL, verify->leaves, sizeof(bool));
	memset(verify->failed, 0, verify->leaves * sizeof(bool));
	check_structure(verify, part);
	verify->nowhere = sink_null();
	verify->blob = xrealloc(NULL, BATCH, sizeof(*verify->blob));
	check_space(verify, part, KEY_BLOB);
	check_space(verify, part, KEY_INDEX);
	sink_close(verify->nowhere);
	free(verify->blob);
	if (!name)
		verify_home(findings, tarn_dir);
	progress_end(&findings->progress);
	show_sum(findings);
	free(verify->failed);
	free(verify->leaf);
	return findings->damaged > findings->repaired ? CMD_FAILED : CMD_OK;
}

static int
run(int argc, char **argv)
{
	struct verify verify = { .space = KEY_BLOB };
	const char *file = NULL, *name = NULL;
	bool progress = false;
	const struct cmd_option options[] = {
		{ "repair", .flag = &verify.findings.repair },
		{ "location", .value = &name },
		{ "json", .flag = &verify.findings.as_json },
		{ "progress", .flag = &progress },
		{ "config", .value = &file },
		{ 0 },
	};
	auto_free char *dir = NULL;
	struct error err = { 0 };
	int status;

	if (cmd_options(&cmd_verify, argv, options, (struct cmd_words){ 0, 0 },
	        &status) < 0)
		return status;
	dir = cmd_dir();
	if (!dir)
		return CMD_FAILED;
	if (tree_open(&verify.tree, file, &err) < 0)
		return cmd_fail(&err);
	progress_start(&verify.findings.progress, "verified", progress);
	status = verify_part(&verify, name, dir);
	tree_close(&verify.tree);
	return status;
}

const struct cmd cmd_verify = {
	.name = "verify",
	.args = "[--repair] [--location NAME] [--json] [--progress]"
	        " [--config FILE]",
	.summary = "read all that is kept and report what is damaged",
	.details =
	    "  --repair         put it right: fetch it from another location,\n"
	    "                   remove it, mend modes and places\n"
	    "  --location NAME  only the location or level of this name\n"
	    "  --json           an object a line for each damage, then one "
	    "with\n"
	    "                   the totals\n"
	    "  --progress       tell on stderr how far it is\n"
	    "  --config FILE    this configuration file only\n"
	    "\nThe exit status is 0 if nothing is damaged, or nothing any "
	    "more.\n"
	    "Without --repair nothing is changed.\n",
	.run = run,
};
