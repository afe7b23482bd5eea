/*
 * `tarn show`: what is kept under a key, whatever it is: the path sets of an action
 * key, the record of a fingerprint, a blob. A fingerprint says nothing of the
 * action key that it came from, nor the other way round, but the events do.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/describe.h"
#include "cli/event_lines.h"
#include "cli/format.h"
#include "cli/tree.h"
#include "store/index.h"

#define RELATED 16 /* fingerprints of an action key that are shown */

/* One value of the index, and the locations that have these very bytes. */
struct value {
	struct buf data;
	struct location **at; /* owned */
	size_t count;
};

struct show {
	struct digest digest;
	char hex[DIGEST_HEX + 1];
	bool as_json;
	struct tree_node *leaf;
	size_t leaves;
	struct value *value;
	size_t values;
	size_t shown;
	bool failed;

	/* From the events: */
	cJSON *event;                  /* the last that names the key */
	struct digest action;          /* of a fingerprint */
	struct digest record[RELATED]; /* of an action key, the last in front */
	size_t records;
	bool has_action;

	struct buf text;
};

/* ---- what the events know of it ---- */

static bool
names(const cJSON *event, const char *field, struct digest *digest)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(event, field);

	return cJSON_IsString(value) &&
	    digest_parse(digest, value->valuestring);
}

static void
add_related(struct show *show, const struct digest *record)
{
	size_t at = 0;

	while (at < show->records && !digest_equal(&show->record[at], record))
		at++;
	if (at == RELATED)
		at--;
	else if (at == show->records)
		show->records++;
	memmove(&show->record[1], &show->record[0], at * sizeof(*record));
	show->record[0] = *record;
}

static void
look_at_event(void *arg, const char *line, size_t size)
{
	struct show *show = arg;
	struct digest key, action;
	bool has_key, has_action;
	cJSON *event;

	if (!line || !memmem(line, size, show->hex, DIGEST_HEX))
		return;
	event = cJSON_ParseWithLength(line, size);
	has_key = names(event, "key", &key);
	has_action = names(event, "action", &action);
	if ((!has_key || !digest_equal(&key, &show->digest)) &&
	    (!has_action || !digest_equal(&action, &show->digest))) {
		cJSON_Delete(event);
		return;
	}
	cJSON_Delete(show->event);
	show->event = event;
	if (!has_key || !has_action || digest_equal(&key, &action))
		return;
	if (digest_equal(&action, &show->digest)) {
		add_related(show, &key);
	} else {
		show->action = action;
		show->has_action = true;
	}
}

/* ---- the index ---- */

static void
add_value(struct show *show, struct location *leaf, const struct buf *data)
{
	struct value *value = NULL;

	for (size_t i = 0; i < show->values && !value; i++) {
		const struct buf *other = &show->value[i].data;

		if (other->len == data->len &&
		    memcmp(other->data, data->data, data->len) == 0)
			value = &show->value[i];
	}
	if (!value) {
		show->value = xrealloc(
		    show->value, show->values + 1, sizeof(*show->value));
		value = &show->value[show->values++];
		*value = (struct value){ .data = BUF_INIT };
		buf_add(&value->data, data->data, data->len);
	}
	value->at = xrealloc(value->at, value->count + 1, sizeof(*value->at));
	value->at[value->count++] = leaf;
}

static void
complain(struct show *show, const struct location *leaf, struct error *err)
{
	error_wrap(err, "'%s'", leaf->label);
	(void)cmd_fail(err);
	show->failed = true;
}

static void
read_values(struct show *show)
{
	const struct key key = { KEY_INDEX, show->digest };

	for (size_t i = 0; i < show->leaves; i++) {
		struct location *leaf = show->leaf[i].loc;
		auto_buf data = BUF_INIT;
		auto_sink *out = sink_buf(&data, RECORD_MAX);
		struct error err = { 0 };
		enum outcome outcome = location_read(leaf, &key, out, &err);

		if (outcome == HIT)
			add_value(show, leaf, &data);
		else if (outcome == FAILED)
			complain(show, leaf, &err);
	}
}

static void
begin(struct show *show, const char *type)
{
	buf_reset(&show->text);
	if (show->as_json) {
		buf_add(&show->text, "{", 1);
		format_json_text(&show->text, "type", type);
		format_json_key(&show->text, "key", &show->digest);
	} else
		buf_addf(&show->text, "%s%-9s %s\n", show->shown ? "\n" : "",
		    type, show->hex);
	show->shown++;
}

static void
finish(struct show *show)
{
	if (show->as_json)
		buf_add(&show->text, "}\n", 2);
	fwrite(show->text.data, 1, show->text.len, stdout);
}

static void
add_places(struct show *show, struct location *const *at, size_t count)
{
	struct buf *to = &show->text;

	if (show->as_json) {
		json_name(to, "locations");
		buf_add(to, "[", 1);
	}
	for (size_t i = 0; i < count; i++) {
		buf_add(to, ",", show->as_json && i > 0);
		if (show->as_json)
			json_text(to, at[i]->label);
		else
			buf_addf(to, "%-9s %s\n", "in", at[i]->label);
	}
	buf_add(to, "]", show->as_json);
}

/* Is there a record of this fingerprint anywhere? */
static bool
is_kept(const struct show *show, const struct digest *record)
{
	const struct key key = { KEY_INDEX, *record };
	struct error err;

	for (size_t i = 0; i < show->leaves; i++) {
		if (location_contains(show->leaf[i].loc, &key, &err) == HIT)
			return true;
	}
	return false;
}

static void
add_records(struct show *show)
{
	struct buf *to = &show->text;
	char hex[DIGEST_HEX + 1];

	if (show->as_json) {
		json_name(to, "records");
		buf_add(to, "[", 1);
	}
	for (size_t i = 0; i < show->records; i++) {
		bool kept = is_kept(show, &show->record[i]);

		if (!show->as_json) {
			buf_addf(to, "record    %s%s\n",
			    digest_hex(&show->record[i], hex),
			    kept ? "" : "  (not kept)");
			continue;
		}
		buf_addf(to, "%s{", i ? "," : "");
		format_json_key(to, "key", &show->record[i]);
		format_json_flag(to, "kept", kept);
		buf_add(to, "}", 1);
	}
	buf_add(to, "]", show->as_json);
}

static void
add_action(struct show *show)
{
	char hex[DIGEST_HEX + 1];

	if (!show->has_action)
		return;
	if (show->as_json)
		format_json_key(&show->text, "action", &show->action);
	else
		buf_addf(&show->text, "%-9s %s\n", "action",
		    digest_hex(&show->action, hex));
}

static void
show_record(
    struct show *show, const struct value *value, const struct record *record)
{
	begin(show, "record");
	add_places(show, value->at, value->count);
	add_action(show);
	describe_record(record, show->as_json, &show->text);
	finish(show);
}

static void
show_sets(
    struct show *show, const struct value *value, const struct path_sets *sets)
{
	begin(show, "action");
	add_places(show, value->at, value->count);
	add_records(show);
	describe_path_sets(sets, show->as_json, &show->text);
	finish(show);
}

static void
show_value(struct show *show, const struct value *value)
{
	struct index_value *index = xmalloc(sizeof(*index));
	struct error err = { 0 };

	if (index_decode(index, &show->digest, value->data.data,
	        value->data.len, &err) == 0) {
		if (index->kind == INDEX_RECORD)
			show_record(show, value, &index->record);
		else
			show_sets(show, value, &index->sets);
		index_release(index);
	} else {
		for (size_t i = 0; i < value->count; i++) {
			struct error copy = err;

			complain(show, value->at[i], &copy);
		}
	}
	free(index);
}

/* ---- blobs ---- */

struct labels {
	struct buf *to;
	bool as_json, any;
};

static int
add_label(void *arg, const char *label)
{
	struct labels *labels = arg;

	buf_add(labels->to, ",", labels->as_json && labels->any);
	if (labels->as_json)
		json_text(labels->to, label);
	else
		buf_addf(labels->to, "%-9s %s\n", "label", label);
	labels->any = true;
	return 0;
}

static void
add_blob(struct show *show, struct location *leaf, uint64_t size)
{
	const struct key key = { KEY_BLOB, show->digest };
	struct labels labels = { &show->text, show->as_json, false };
	struct buf *to = &show->text;
	struct error err = { 0 };

	begin(show, "blob");
	add_places(show, &leaf, 1);
	if (show->as_json) {
		format_json_number(to, "size", size);
		json_name(to, "labels");
		buf_add(to, "[", 1);
	} else {
		buf_addf(to, "%-9s ", "size");
		format_size(to, size);
		buf_add(to, "\n", 1);
	}
	(void)location_labels(leaf, &key, add_label, &labels, &err);
	buf_add(to, "]", show->as_json);
	finish(show);
}

/* All of it is read, which also tells whether it is whole. */
static void
show_blob(struct show *show, struct location *leaf)
{
	const struct key key = { KEY_BLOB, show->digest };
	struct sink_counter counter;
	auto_sink *verify = sink_verify(&counter.base, &show->digest);
	struct error err = { 0 };
	enum outcome outcome;

	sink_counter_init(&counter);
	outcome = location_read(leaf, &key, verify, &err);
	if (outcome == MISS)
		return;
	if (outcome == FAILED || sink_commit(verify, &err) < 0)
		complain(show, leaf, &err);
	else
		add_blob(show, leaf, counter.bytes);
}

/* ---- all of it ---- */

static const char *
text_in(const cJSON *event, const char *field)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(event, field);

	return cJSON_IsString(value) ? value->valuestring : "";
}

static void
say_nothing_there(const struct show *show)
{
	const char *reason = text_in(show->event, "reason");

	fprintf(stderr, "tarn: no location has %s\n", show->hex);
	if (show->event)
		fprintf(stderr, "tarn: last seen %s: %s%s%s\n",
		    text_in(show->event, "time"),
		    text_in(show->event, "outcome"), *reason ? ": " : "",
		    reason);
}

static void
release(struct show *show)
{
	for (size_t i = 0; i < show->values; i++) {
		buf_release(&show->value[i].data);
		free(show->value[i].at);
	}
	free(show->value);
	free(show->leaf);
	buf_release(&show->text);
	cJSON_Delete(show->event);
}

static int
show_key(struct show *show, const char *file)
{
	auto_free char *dir = cmd_dir();
	struct error err = { 0 };
	struct tree tree;

	if (!dir)
		return CMD_FAILED;
	if (tree_open(&tree, file, &err) < 0)
		return cmd_fail(&err);
	show->leaves = tree_leaves(&tree, &show->leaf);
	if (event_lines_each(dir, look_at_event, show, &err) < 0) {
		(void)cmd_fail(&err);
		show->failed = true;
	}
	read_values(show);
	for (size_t i = 0; i < show->values; i++)
		show_value(show, &show->value[i]);
	for (size_t i = 0; i < show->leaves; i++)
		show_blob(show, show->leaf[i].loc);
	if (!show->shown && !show->failed)
		say_nothing_there(show);
	release(show);
	tree_close(&tree);
	return show->shown && !show->failed ? CMD_OK : CMD_FAILED;
}

static int
run(int argc, char **argv)
{
	struct show show = { .text = BUF_INIT };
	const char *file = NULL;
	const struct cmd_option options[] = {
		{ "json", .flag = &show.as_json },
		{ "config", .value = &file },
		{ 0 },
	};
	int status;

	if (cmd_options(&cmd_show, argv, options, (struct cmd_words){ 1, 1 },
	        &status) < 0)
		return status;
	if (!cmd_key(&cmd_show, argv[1], &show.digest))
		return CMD_USAGE;
	digest_hex(&show.digest, show.hex);
	return show_key(&show, file);
}

const struct cmd cmd_show = {
	.name = "show",
	.args = "KEY [--json] [--config FILE]",
	.summary = "tell what is kept under a key: a record, path sets, a blob",
	.details =
	    "  --json         an object a line, for each thing of that key\n"
	    "  --config FILE  this configuration file only\n"
	    "\nThe keys that events name will do, and those of 'tarn ls'.\n",
	.run = run,
};
