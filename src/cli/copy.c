/*
 * `tarn copy`: all that one location has into another: blobs first, then records,
 * then lists of path sets, so that whoever reads there meanwhile never meets a
 * name whose content is missing. What is there already is passed over, so a copy
 * that was cut short is finished by starting it again.
 *
 * Values go over in batches; only a batch is ever in memory, and of large values
 * not even that.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/spool.h"
#include "cli/cmd.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/tree.h"
#include "locations/collect.h"
#include "store/index.h"

#define BATCH 256
#define IN_MEMORY ((size_t)256 << 10)    /* of one value, in bytes */
#define BATCH_MEMORY ((uint64_t)8 << 20) /* of a batch */
#define GIVE_UP 16                       /* failures in a row */
#define SMALL ((uint64_t)64 << 10)       /* bytes that may be read in vain */

enum pass { BLOBS, RECORDS, PATH_SETS_LAST, PASSES };

struct piece {
	struct location *leaf;
	struct spool spool;
	bool unlabelled;
};

struct copy {
	struct location *from, *to;
	enum pass pass;
	bool as_json, dry_run;
	struct progress progress;

	struct piece piece[BATCH];
	struct location_write_request write[BATCH];
	size_t count;
	uint64_t held; /* bytes that these have in memory */

	struct location_entry found[BATCH]; /* blobs to be looked for there */
	size_t waiting;
	uint64_t expected; /* bytes that they will have in memory */
	bool lacks_all; /* of the last that were looked for, none was there */
	bool has_index; /* the source, as far as was seen with the blobs */

	uint64_t blobs, values, bytes; /* copied */
	uint64_t there, declined, damaged, incomplete, failed;
	unsigned in_a_row;  /* failures */
	struct error first; /* why something was declined */
};

static void
complain(struct copy *copy, const struct location *at, const struct key *key,
    struct error *err)
{
	char hex[DIGEST_HEX + 1];

	error_wrap(err, "'%s': %s %s", at->label, format_space(key->space),
	    digest_hex(&key->digest, hex));
	progress_hide(&copy->progress);
	(void)cmd_fail(err);
}

static void
fail(struct copy *copy, const struct key *key, struct error *err)
{
	copy->failed++;
	copy->in_a_row++;
	complain(copy, copy->to, key, err);
}

/* ---- labels ---- */

struct labels {
	char **text;
	size_t count;
};

static int
add_label(void *arg, const char *label)
{
	struct labels *labels = arg;

	labels->text =
	    xrealloc(labels->text, labels->count + 2, sizeof(*labels->text));
	labels->text[labels->count++] = xstrdup(label);
	labels->text[labels->count] = NULL;
	return 0;
}

/* A location that keeps none is no reason to complain. */
static void
copy_labels(struct copy *copy, struct location *leaf, const struct key *key)
{
	struct labels labels = { 0 };
	struct error err = { 0 };

	if (key->space != KEY_BLOB || copy->dry_run)
		return;
	(void)location_labels(leaf, key, add_label, &labels, &err);
	if (labels.count > 0 &&
	    location_add_labels(copy->to, key, (const char *const *)labels.text,
	        &err) == FAILED)
		fail(copy, key, &err);
	for (size_t i = 0; i < labels.count; i++)
		free(labels.text[i]);
	free(labels.text);
}

/* ---- a batch ---- */

static void
settle(struct copy *copy, struct piece *piece,
    struct location_write_request *write)
{
	bool stored = write->outcome == STORED;

	if (write->outcome == FAILED) {
		fail(copy, &write->key, &write->err);
		return;
	}
	copy->in_a_row = 0;
	if (write->outcome == DECLINED) {
		copy->declined++;
		if (copy->first.kind == ERROR_NONE)
			copy->first = write->err;
		return;
	}
	copy->there += !stored;
	copy->lacks_all &= stored;
	copy->blobs += stored && write->key.space == KEY_BLOB;
	copy->values += stored && write->key.space == KEY_INDEX;
	copy->bytes += stored ? write->in->size : 0;
	if (!piece->unlabelled)
		copy_labels(copy, piece->leaf, &write->key);
}

static void
flush(struct copy *copy)
{
	location_write_batch(copy->to, copy->write, copy->count);
	for (size_t i = 0; i < copy->count; i++) {
		settle(copy, &copy->piece[i], &copy->write[i]);
		source_close(copy->write[i].in);
		spool_release(&copy->piece[i].spool);
	}
	copy->count = 0;
	copy->held = 0;
	location_collect_over(copy->to, false);
}

static uint64_t
in_memory(uint64_t size)
{
	return size < IN_MEMORY ? size : IN_MEMORY;
}

/* The next to be written, from what its spool has got. */
static void
push(struct copy *copy, const struct key *key, enum write_mode mode)
{
	struct piece *piece = &copy->piece[copy->count];

	copy->write[copy->count++] = (struct location_write_request){
		.key = *key, .in = spool_source(&piece->spool), .mode = mode
	};
	copy->held += in_memory(piece->spool.size);
	if (copy->count == BATCH || copy->held >= BATCH_MEMORY)
		flush(copy);
}

static struct spool *
next_spool(struct copy *copy, const struct location_entry *entry)
{
	struct piece *piece = &copy->piece[copy->count];

	*piece = (struct piece){ entry->leaf, SPOOL_INIT(IN_MEMORY),
		entry->unlabelled };
	return &piece->spool;
}

/* ---- blobs ---- */

/* What came of a read: the next to be written, or nothing. */
static void
keep(struct copy *copy, const struct location_entry *blob,
    struct location_read_request *read, struct spool *spool)
{
	if (read->outcome == HIT && sink_commit(read->out, &read->err) == 0) {
		*next_spool(copy, blob) = *spool;
		push(copy, &read->key, WRITE_IF_ABSENT);
		return;
	}
	spool_release(spool);
	/* It went meanwhile, or was told of when the blobs were listed. */
	if (read->outcome == MISS || copy->pass != BLOBS)
		return;
	copy->damaged++;
	complain(copy, blob->leaf, &read->key, &read->err);
}

/* All of one leaf. */
static void
copy_blobs(struct copy *copy, const struct location_entry *blobs, size_t count)
{
	struct location_read_request read[BATCH];
	struct spool spool[BATCH];
	struct sink *out[BATCH];

	for (size_t i = 0; i < count; i++) {
		spool[i] = (struct spool)SPOOL_INIT(IN_MEMORY);
		out[i] = sink_spool(&spool[i]);
		read[i] = (struct location_read_request){ .key = blobs[i].key };
		read[i].out = sink_verify(out[i], &blobs[i].key.digest);
	}
	location_read_batch(blobs->leaf, read, count);
	for (size_t i = 0; i < count; i++) {
		keep(copy, &blobs[i], &read[i], &spool[i]);
		sink_close(read[i].out);
		sink_close(out[i]);
	}
}

/* It is there; maybe labels are not. */
static void
pass_over(struct copy *copy, const struct location_entry *entry)
{
	copy->there++;
	if (!entry->unlabelled)
		copy_labels(copy, entry->leaf, &entry->key);
}

/* Of those that wait, the ones to be brought stay. */
static void
leave_out(struct copy *copy)
{
	struct location_contains_request look[BATCH];
	size_t count = 0;

	for (size_t i = 0; i < copy->waiting; i++)
		look[i] = (struct location_contains_request){
			.key = copy->found[i].key
		};
	location_contains_batch(copy->to, look, copy->waiting);
	for (size_t i = 0; i < copy->waiting && copy->in_a_row < GIVE_UP; i++) {
		const struct location_entry entry = copy->found[i];

		if (look[i].outcome == FAILED) {
			fail(copy, &entry.key, &look[i].err);
		} else if (look[i].outcome == HIT) {
			pass_over(copy, &entry);
		} else if (copy->dry_run) {
			copy->blobs++;
			copy->bytes += entry.size;
		} else {
			copy->found[count++] = entry;
		}
	}
	copy->lacks_all = count == copy->waiting;
	copy->waiting = count;
}

/*
 * A new location has nothing, and says of each value that it is written when it is there
 * after all. Composites are asked: what one member has is not for the others.
 */
static bool
is_taken_for_new(const struct copy *copy)
{
	bool small = true;

	for (size_t i = 0; i < copy->waiting; i++)
		small &= copy->found[i].size <= SMALL;
	return small && copy->lacks_all && !copy->dry_run &&
	    !copy->to->kind->member;
}

/* All that wait are of one leaf. */
static void
bring(struct copy *copy)
{
	if (!is_taken_for_new(copy))
		leave_out(copy);
	if (copy->waiting > 0)
		copy_blobs(copy, copy->found, copy->waiting);
	copy->waiting = 0;
	copy->expected = 0;
}

static void
take_blob(struct copy *copy, const struct location_entry *entry)
{
	if (copy->waiting == BATCH || copy->expected >= BATCH_MEMORY ||
	    (copy->waiting > 0 && copy->found[0].leaf != entry->leaf))
		bring(copy);
	copy->found[copy->waiting++] = *entry;
	copy->expected += in_memory(entry->size);
}

/* ---- the index ---- */

struct need {
	struct copy *copy;
	struct digest missing;
};

static void
fetch_blob(void *arg, struct location *leaf)
{
	struct need *need = arg;
	const struct location_entry blob = { .key = { KEY_BLOB, need->missing },
		.leaf = leaf };
	struct error err;

	if (location_contains(need->copy->to, &blob.key, &err) != HIT &&
	    location_contains(leaf, &blob.key, &err) == HIT)
		copy_blobs(need->copy, &blob, 1);
	flush(need->copy);
}

/* What came since the blobs were listed is brought now. */
static int
need_blob(void *arg, const struct digest *digest, uint64_t size)
{
	struct need *need = arg;
	struct copy *copy = need->copy;
	struct key key = { KEY_BLOB, *digest };
	struct error err;

	need->missing = *digest;
	if (location_contains(copy->to, &key, &err) == HIT)
		return 0;
	if (copy->dry_run)
		return location_contains(copy->from, &key, &err) != HIT;
	location_each_leaf(copy->from, fetch_blob, need);
	return location_contains(copy->to, &key, &err) != HIT;
}

static void
put_value(struct copy *copy, const struct location_entry *entry,
    const struct buf *data, enum write_mode mode)
{
	struct error err = { 0 };
	struct spool *spool;
	auto_sink *out = NULL;

	if (copy->dry_run) {
		copy->values++;
		copy->bytes += data->len;
		return;
	}
	spool = next_spool(copy, entry);
	out = sink_spool(spool);
	if (sink_write(out, data->data, data->len, &err) == 0) {
		push(copy, &entry->key, mode);
		return;
	}
	spool_release(spool);
	fail(copy, &entry->key, &err);
}

static void
take_record(struct copy *copy, const struct location_entry *entry,
    const struct index_value *value, const struct buf *data)
{
	struct need need = { .copy = copy };
	uint64_t declined = copy->declined;
	char hex[DIGEST_HEX + 1];
	struct error err = { 0 };
	enum outcome there = location_contains(copy->to, &entry->key, &err);

	if (there == FAILED)
		fail(copy, &entry->key, &err);
	copy->there += there == HIT;
	if (there != MISS)
		return;
	flush(copy); /* it may be among those that wait */
	if (index_each_blob(value, need_blob, &need) == 0) {
		put_value(copy, entry, data, WRITE_IF_ABSENT);
		return;
	}
	if (copy->declined > declined) /* it's of no use there without */
		return;
	copy->incomplete++;
	(void)error_set(&err, ERROR_NONE,
	    "left out, since its blob %s isn't there",
	    digest_hex(&need.missing, hex));
	complain(copy, entry->leaf, &entry->key, &err);
}

static void
take_sets(struct copy *copy, const struct location_entry *entry,
    const struct index_value *value, const struct buf *data)
{
	struct path_sets sets = { .count = 0 };
	auto_buf old = BUF_INIT;
	auto_buf joined = BUF_INIT;
	auto_sink *out = sink_buf(&old, RECORD_MAX);
	struct error err = { 0 };
	enum outcome there = location_read(copy->to, &entry->key, out, &err);

	if (there == FAILED) {
		fail(copy, &entry->key, &err);
		return;
	}
	if (there == MISS) {
		put_value(copy, entry, data, WRITE_IF_ABSENT);
		return;
	}
	(void)path_sets_decode(&sets, old.data, old.len, &err);
	if (path_sets_join(&sets, &value->sets)) {
		path_sets_encode(&sets, &joined);
		put_value(copy, entry, &joined, WRITE_REPLACE);
	} else {
		copy->there++;
	}
	path_sets_release(&sets);
}

static void
take_decoded(struct copy *copy, const struct location_entry *entry,
    const struct index_value *value, const struct buf *data)
{
	if (copy->pass == RECORDS && value->kind == INDEX_RECORD)
		take_record(copy, entry, value, data);
	if (copy->pass == PATH_SETS_LAST && value->kind == INDEX_PATH_SETS)
		take_sets(copy, entry, value, data);
}

/* Damage is told once, in the first pass that meets it. */
static void
take_value(struct copy *copy, const struct location_entry *entry)
{
	struct index_value *value = xmalloc(sizeof(*value));
	auto_buf data = BUF_INIT;
	auto_sink *out = sink_buf(&data, RECORD_MAX);
	struct error err = { 0 };
	enum outcome outcome =
	    location_read(entry->leaf, &entry->key, out, &err);

	if (outcome == HIT &&
	    index_decode(
	        value, &entry->key.digest, data.data, data.len, &err) == 0) {
		take_decoded(copy, entry, value, &data);
		index_release(value);
	} else if (outcome != MISS && copy->pass == RECORDS) {
		copy->damaged++;
		complain(copy, entry->leaf, &entry->key, &err);
	}
	free(value);
}

static int
take_entry(void *arg, const struct location_entry *entry)
{
	struct copy *copy = arg;

	copy->has_index |= entry->key.space == KEY_INDEX;
	if ((entry->key.space == KEY_BLOB) != (copy->pass == BLOBS))
		return 0;
	if (copy->pass == BLOBS)
		take_blob(copy, entry);
	else
		take_value(copy, entry);
	if (copy->pass != PATH_SETS_LAST)
		progress_add(&copy->progress, entry->size);
	return copy->in_a_row >= GIVE_UP;
}

/* ---- all of it ---- */

static void
show(const struct copy *copy, struct buf *to)
{
	buf_addf(to, "%s %llu blobs and %llu index entries, ",
	    copy->dry_run ? "would copy" : "copied",
	    (unsigned long long)copy->blobs, (unsigned long long)copy->values);
	format_size(to, copy->bytes);
	const struct {
		uint64_t count;
		const char *what;
	} rest[] = {
		{ copy->there, "were there" },
		{ copy->declined, "declined" },
		{ copy->damaged, "damaged" },
		{ copy->incomplete, "without their content" },
		{ copy->failed, "failed" },
	};

	for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++) {
		if (rest[i].count)
			buf_addf(to, "; %llu %s",
			    (unsigned long long)rest[i].count, rest[i].what);
	}
}

static void
show_json(const struct copy *copy, struct buf *to)
{
	buf_add(to, "{", 1);
	format_json_text(to, "from", copy->from->label);
	format_json_text(to, "to", copy->to->label);
	format_json_flag(to, "dry_run", copy->dry_run);
	format_json_number(to, "blobs", copy->blobs);
	format_json_number(to, "index", copy->values);
	format_json_number(to, "bytes", copy->bytes);
	format_json_number(to, "there", copy->there);
	format_json_number(to, "declined", copy->declined);
	format_json_number(to, "damaged", copy->damaged);
	format_json_number(to, "incomplete", copy->incomplete);
	format_json_number(to, "failed", copy->failed);
	buf_add(to, "}", 1);
}

static int
copy_all(struct copy *copy)
{
	static const unsigned wanted[PASSES] = {
		[BLOBS] = LIST_BLOBS | LIST_INDEX | LIST_LABELS,
		[RECORDS] = LIST_INDEX,
		[PATH_SETS_LAST] = LIST_INDEX,
	};
	struct error err = { 0 };
	auto_buf line = BUF_INIT;
	int rc = 0;

	for (int pass = 0; pass < PASSES && rc == 0; pass++) {
		if (pass > BLOBS && !copy->has_index)
			break;
		copy->pass = pass;
		rc = location_list_some(
		    copy->from, wanted[pass], take_entry, copy, &err);
		if (rc <= 0)
			bring(copy);
		flush(copy);
	}
	progress_end(&copy->progress);
	if (rc < 0)
		(void)cmd_fail(&err);
	if (rc > 0)
		fprintf(stderr, "tarn: given up after %d failures in a row\n",
		    GIVE_UP);
	if (copy->first.text[0])
		fprintf(stderr, "tarn: declined: %s\n", copy->first.text);
	(copy->as_json ? show_json : show)(copy, &line);
	format_print(&line);
	return rc || copy->damaged || copy->incomplete || copy->failed ||
	        copy->first.text[0]
	    ? CMD_FAILED
	    : CMD_OK;
}

/* A location of the tree by its name, else what the word says; that is to be
 * closed, and is in *opened. */
static struct location *
find(const struct tree *tree, const char *word, struct location **opened,
    struct error *err)
{
	struct error unnamed;
	struct location *loc = tree_find(tree, word, &unnamed);
	auto_free char *cwd = NULL;
	Tarn__Location *config;

	if (loc)
		return loc;
	cwd = getcwd(NULL, 0);
	config = location_from_word(word, cwd ? cwd : "/", err);
	if (!config)
		return NULL;
	*opened = location_open(config, err);
	tarn__location__free_unpacked(config, NULL);
	return *opened;
}

/* A path that is mistyped has nothing to copy, which is no success. */
static void
need_list(void *arg, struct location *leaf)
{
	struct error *err = arg;
	struct stat st;

	if (!leaf->kind->list)
		(void)error_set(
		    err, ERROR_USAGE, "'%s' can't be listed", leaf->label);
	else if (leaf->label[0] == '/' && stat(leaf->label, &st) < 0)
		(void)error_errno(err, "cannot list '%s'", leaf->label);
}

static struct location *
find_source(const struct tree *tree, const char *word, struct location **opened,
    struct error *err)
{
	struct location *from = find(tree, word, opened, err);

	if (from && *opened)
		location_each_leaf(from, need_list, err);
	return err->kind == ERROR_NONE ? from : NULL;
}

static int
copy_between(struct copy *copy, const struct tree *tree, char **words)
{
	struct location *opened[2] = { NULL, NULL };
	struct error err = { 0 };
	int status;

	copy->from = find_source(tree, words[0], &opened[0], &err);
	if (copy->from)
		copy->to = find(tree, words[1], &opened[1], &err);
	status = copy->to ? copy_all(copy) : cmd_fail(&err);
	location_close(opened[0]);
	location_close(opened[1]);
	return status;
}

static int
run(int argc, char **argv)
{
	struct copy *copy = xmalloc(sizeof(*copy));
	bool progress = false;
	const char *file = NULL;
	const struct cmd_option options[] = {
		{ "dry-run", 'n', .flag = &copy->dry_run },
		{ "json", .flag = &copy->as_json },
		{ "progress", .flag = &progress },
		{ "config", .value = &file },
		{ 0 },
	};
	struct error err = { 0 };
	struct tree tree;
	int status;

	*copy = (struct copy){ 0 };
	if (cmd_options(&cmd_copy, argv, options, (struct cmd_words){ 2, 2 },
	        &status) >= 0) {
		progress_start(&copy->progress, "copied", progress);
		status = CMD_FAILED;
		if (tree_open(&tree, file, &err) < 0)
			(void)cmd_fail(&err);
		else {
			status = copy_between(copy, &tree, argv + 1);
			tree_close(&tree);
		}
	}
	free(copy);
	return status;
}

const struct cmd cmd_copy = {
	.name = "copy",
	.args = "FROM TO [--dry-run] [--json] [--progress] [--config FILE]",
	.summary = "copy all that one location has into another",
	.details =
	    "  FROM, TO       a path, a URL as in TARN_TIERS, or the name of "
	    "a\n"
	    "                 location in 'tarn locations', which comes first\n"
	    "  -n, --dry-run  only say how much would be copied\n"
	    "  --json         one object\n"
	    "  --progress     tell on stderr how far it is\n"
	    "  --config FILE  this configuration file only\n"
	    "\nWhat is there is not copied again: start over what was cut\n"
	    "short.\n",
	.run = run,
};
