/*
 * The two-phase lookup: the path sets that are known under the action key, in
 * every leaf that has some; what each of them sees now; the record under that.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "exec/job.h"

struct search {
	struct job *job;
	struct digest tried[PATH_SETS * 4];
	size_t count;
	bool damaged;
};

static bool
was_tried(struct search *search, const struct digest *name)
{
	for (size_t i = 0; i < search->count; i++) {
		if (digest_equal(&search->tried[i], name))
			return true;
	}
	if (search->count < sizeof(search->tried) / sizeof(*search->tried))
		search->tried[search->count++] = *name;
	return false;
}

struct fetch {
	struct job *job;
	const struct digest *fingerprint;
	struct buf data;
	struct error why; /* what is wrong with a damaged one */
};

static bool
is_whole(void *arg)
{
	struct fetch *fetch = arg;

	return record_decode(&fetch->job->record, fetch->fingerprint,
	           fetch->data.data, fetch->data.len, &fetch->why) == 0;
}

/* 1 if the record is there and whole. */
static int
fetch_record(struct job *job, const struct digest *fingerprint)
{
	struct key key = { KEY_INDEX, *fingerprint };
	struct fetch fetch = {
		.job = job, .fingerprint = fingerprint, .data = BUF_INIT
	};
	/* Make room for a sound one, where we may. */
	struct location_check check = { .is_whole = is_whole,
		.arg = &fetch,
		.mend = !job->options.read_only };
	struct error err = { 0 };
	auto_sink *sink = sink_buf(&fetch.data, RECORD_MAX);
	enum outcome outcome =
	    location_read_checked(job->tree, &key, sink, &check, &err);

	if (check.damage.kind != ERROR_NONE)
		job_note(job, "%s%s%s", check.damage.text,
		    fetch.why.text[0] ? ": " : "", fetch.why.text);
	else if (outcome == FAILED)
		job_note(job, "%s", err.text);
	buf_release(&fetch.data);
	if (outcome != HIT)
		return 0;
	job->leaf = job->tree->served;
	job->tier = xstrdup(
	    job->tree->served ? job->tree->served->label : job->tree->label);
	return 1;
}

static int
try_set(struct search *search, const struct path_set_item *item)
{
	struct job *job = search->job;
	struct look look = LOOK_INIT;
	struct error err = { 0 };
	struct path_set_data data = {
		.data = item->data.data,
		.size = item->data.len,
		.name = item->name,
		.old_hint = item->hint.data,
		.old_hint_size = item->hint.len,
	};
	int outcome =
	    path_set_look(&data, &job->key, &job->world, NULL, &look, &err);

	if (outcome == HIT) {
		job->shown = look.fingerprint;
		job->has_shown = true;
		if (fetch_record(job, &look.fingerprint)) {
			if (job->nest.mode == NEST_OPEN)
				buf_add(&job->found_set, item->data.data,
				    item->data.len);
			look_release(&look);
			return 1;
		}
		job_reason(job, "%s",
		    look.reason[0]
		        ? look.reason
		        : "the record of this state is gone, or never was");
	} else if (outcome == MISS)
		job_reason(job, "%s", look.reason);
	else
		job_note(job, "%s", err.text);
	look_release(&look);
	return 0;
}

int
path_set_push(struct job *job, struct location *where,
    const struct digest *name, const struct buf *set, const struct buf *hint,
    struct error *err)
{
	struct key key = { KEY_INDEX, job->key };
	struct path_sets sets = { .count = 0 };
	auto_buf old = BUF_INIT;
	auto_buf fresh = BUF_INIT;
	auto_sink *sink = sink_buf(&old, RECORD_MAX);
	auto_source *source = NULL;
	enum outcome outcome;

	if (location_read(where, &key, sink, err) == HIT &&
	    sink_commit(sink, err) == 0)
		(void)path_sets_decode(&sets, old.data, old.len, err);
	*err = (struct error){ 0 }; /* a list that can't be read is made anew */
	path_sets_push(&sets, name, set, hint);
	path_sets_encode(&sets, &fresh);
	path_sets_release(&sets);
	source = source_memory(fresh.data, fresh.len);
	outcome = location_write(where, &key, source, WRITE_REPLACE, err);
	return outcome == STORED || outcome == KEPT ? 0 : -1;
}

/* ---- a list from farther away ---- */

struct place_of_leaf {
	const struct location *leaf;
	bool found;
};

static void
find_leaf(void *arg, struct location *leaf)
{
	struct place_of_leaf *place = arg;

	if (leaf == place->leaf)
		place->found = true;
}

static bool
has_leaf(struct location *tree, const struct location *leaf)
{
	struct place_of_leaf place = { leaf, false };

	location_each_leaf(tree, find_leaf, &place);
	return place.found;
}

static void
push(struct job *job, struct location *where, const struct path_set_item *item)
{
	struct error err = { 0 };

	if (path_set_push(
	        job, where, &item->name, &item->data, &item->hint, &err) < 0)
		job_note(job, "%s", err.text);
}

/* The record was copied to the nearer levels when it was read; without its path
 * set nobody would find it there. A damaged list is written anew, everywhere. */
static void
bring_nearer(struct job *job, struct location *leaf,
    const struct path_set_item *item, bool damaged)
{
	const struct location_kind *kind = job->tree->kind;
	struct location *level;

	if (job->options.read_only)
		return;
	if (damaged) {
		push(job, job->tree, item);
		return;
	}
	if (strcmp(kind->name, "levels") != 0 || !kind->member)
		return;
	for (size_t i = 0; (level = kind->member(job->tree, i)); i++) {
		if (has_leaf(level, leaf))
			return;
		if (!kind->forgets || kind->forgets(job->tree, i))
			push(job, level, item);
	}
}

static int
try_list(void *arg, struct location *leaf, const char *data, size_t size)
{
	struct search *search = arg;
	struct path_sets sets = { .count = 0 };
	struct error err = { 0 };
	bool damaged = path_sets_decode(&sets, data, size, &err) < 0;
	int found = 0;

	if (damaged)
		job_note(search->job, "%s: %s", leaf->label, err.text);
	for (size_t i = 0; i < sets.count && !found; i++) {
		if (was_tried(search, &sets.item[i].name))
			continue;
		found = try_set(search, &sets.item[i]);
		if (found)
			bring_nearer(search->job, leaf, &sets.item[i], damaged);
	}
	path_sets_release(&sets);
	return found;
}

static void
note_trouble(void *arg, struct location *leaf)
{
	if (leaf->trouble && strcmp(leaf->trouble, "offline") != 0)
		job_note(arg, "'%s': %s", leaf->label, leaf->trouble);
}

void
lookup(struct job *job)
{
	struct search search = { .job = job };
	struct key key = { KEY_INDEX, job->key };

	job_reason(job,
	    "this command, its sources and its place in the "
	    "project are new");
	if (!job->tree)
		return;
	fetch_begin_lookup(job);
	job->found =
	    location_read_each(job->tree, &key, RECORD_MAX, try_list, &search);
	fetch_end(job);
	if (!job->found)
		location_each_leaf(job->tree, note_trouble, job);
}
