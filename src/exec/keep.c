/*
 * Keeping what a run did: the path set from what it looked at, the record from
 * what it left, both only if everything agrees with the world as it is now.
 *
 * Blobs are stored first, then the record, then the path set, so that a reader
 * never meets a name whose content is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "exec/keeping.h"
#include "store/content.h"

bool
keeping_refuse(struct keeping *k, const char *path, const char *what)
{
	if (!k->text[0])
		snprintf(
		    k->text, sizeof(k->text), "'%.200s' %.180s", path, what);
	return false;
}

/* ---- storing ---- */

static bool
write_value(struct keeping *k, const struct digest *name,
    const struct buf *data, enum write_mode mode, enum outcome *outcome)
{
	struct key key = { KEY_INDEX, *name };
	struct error err = { 0 };
	auto_source *source = source_memory(data->data, data->len);

	*outcome = location_write(k->job->tree, &key, source, mode, &err);
	if (*outcome == STORED || *outcome == KEPT)
		return true;
	snprintf(k->text, sizeof(k->text), "it could not be stored: %.350s",
	    err.text[0] ? err.text : "every location declined");
	return false;
}

/* Someone was first. If he got something else, that is worth knowing. */
static void
compare_with_first(struct keeping *k)
{
	struct key key = { KEY_INDEX, k->record.fingerprint };
	struct error err = { 0 };
	auto_buf data = BUF_INIT;
	auto_sink *sink = sink_buf(&data, RECORD_MAX);
	struct record first;

	if (location_read(k->job->tree, &key, sink, &err) != HIT ||
	    sink_commit(sink, &err) < 0)
		return;
	if (record_decode(&first, &key.digest, data.data, data.len, &err) < 0) {
		job_note(k->job, "%s", err.text);
		return;
	}
	if (!record_same_result(&first, &k->record))
		keep_finding(k, &first);
	record_release(&first);
}

static bool
store_record(struct keeping *k)
{
	auto_buf data = BUF_INIT;
	enum outcome outcome;

	record_encode(&k->record, &data);
	if (!write_value(k, &k->record.fingerprint, &data,
	        k->job->options.refresh ? WRITE_REPLACE : WRITE_IF_ABSENT,
	        &outcome))
		return false;
	if (outcome == KEPT)
		compare_with_first(k);
	return true;
}

static bool
store_path_set(struct keeping *k, const struct digest *name,
    const struct buf *set, const struct buf *hint)
{
	struct error err = { 0 };

	if (path_set_push(k->job, k->job->tree, name, set, hint, &err) == 0)
		return true;
	snprintf(k->text, sizeof(k->text), "it could not be stored: %.350s",
	    err.text[0] ? err.text : "every location declined");
	return false;
}

static void
fill_record(struct keeping *k)
{
	struct record *record = &k->record;
	size_t count = 0;

	while (k->job->action.words[count])
		count++;
	record->kind = xstrdup(k->job->action.kind->name);
	record->label =
	    xstrdup(k->job->options.label ? k->job->options.label : "");
	record->status = k->job->status;
	record->wall_us = k->trace->wall_us;
	record->one_stream = k->job->one_stream;
	record->order = take(k->trace->order);
	record->order_count = k->trace->order_count;
	record->command = xmalloc((count + 1) * sizeof(char *));
	for (size_t i = 0; i <= count; i++)
		record->command[i] = k->job->action.words[i]
		    ? xstrdup(k->job->action.words[i])
		    : NULL;
}

/* Look at everything once more: what the command saw must still be so. */
static bool
take_fingerprint(struct keeping *k, const struct buf *set, struct digest *name,
    struct look *look)
{
	struct path_set_data data = { .data = set->data, .size = set->len };
	struct error err = { 0 };
	int outcome;

	digest_bytes(name, set->data, set->len);
	data.name = *name;
	outcome = path_set_look(
	    &data, &k->job->key, &k->job->world, &k->set, look, &err);
	if (outcome == HIT) {
		k->record.fingerprint = look->fingerprint;
		return true;
	}
	snprintf(k->text, sizeof(k->text), "%.350s while the command ran",
	    outcome == MISS ? look->reason : err.text);
	return false;
}

static bool
store_all(struct keeping *k)
{
	struct look look = LOOK_INIT;
	auto_buf set = BUF_INIT;
	struct digest name;
	bool stored;

	path_set_encode(&k->set, &set);
	stored = take_fingerprint(k, &set, &name, &look) &&
	    keep_same_inputs(k) && store_record(k) &&
	    store_path_set(k, &name, &set, &look.hint);
	look_release(&look);
	return stored;
}

static bool
is_below(const char *path, const char *folder)
{
	size_t size = strlen(folder);

	return strncmp(path, folder, size) == 0 &&
	    (path[size] == '/' || path[size] == '\0');
}

static bool
gather(struct keeping *k)
{
	if (k->trace->refusal[0]) {
		snprintf(k->text, sizeof(k->text), "%s", k->trace->refusal);
		return false;
	}
	if (is_below(k->job->root, k->job->tarn_dir) ||
	    is_below(k->job->cwd, k->job->tarn_dir))
		return keeping_refuse(k, k->job->tarn_dir,
		    "is the cache, and the command works in it");
	fill_record(k);
	if (!(k->trace->observe ? keep_inputs(k) && keep_outputs(k)
	                        : keep_declared_inputs(k)) ||
	    !keep_declared_outputs(k) || !keep_all_printed(k) ||
	    !keep_no_clock(k) || !keep_no_stamps(k))
		return false;
	keep_facts(k);
	return true;
}

/* What would let the next checkout share the result. */
static void
set_hint(struct keeping *k)
{
	if (k->scan.found[SCAN_ROOT] && k->job->action.compiler &&
	    !k->job->options.map_root)
		k->job->hint = "the result holds the root's path; with "
		               "--map-root another root could share it";
}

void
keep(struct job *job, struct trace *trace)
{
	struct keeping k = { .job = job, .trace = trace };

	scan_init(&k.scan, job->root, job->cwd);
	scan_since(&k.scan, (long)(trace->wall_us / 1000000) + 1);
	if (trace->asked_uname)
		scan_host(&k.scan);
	if (trace->observe)
		keep_watch_shown(&k);
	if (!job->tree)
		snprintf(k.text, sizeof(k.text), "there is no cache to use");
	else if (job->options.read_only)
		snprintf(k.text, sizeof(k.text), "read-only was asked for");
	else if (gather(&k))
		(void)store_all(&k);
	if (k.text[0]) {
		job->outcome = "uncacheable";
		job_reason(job, "%s", k.text);
	} else {
		job->outcome = "miss";
		job->shown = k.record.fingerprint;
		job->has_shown = true;
		set_hint(&k);
	}
	job->bytes = record_bytes(&k.record);
	path_set_release(&k.set);
	record_release(&k.record);
	free(k.read);
}
