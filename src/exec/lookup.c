/*
 * The two-phase lookup: the path sets that are known under the action key, in
 * every leaf that has some; what each of them sees now; the record under that.
 *
 * What is nearby comes first, one set after the other: most often the first one is
 * it. Each question to what is far away costs a round trip, so there are two at most
 * to one location: its list, along with the records of all that nearby lists led to;
 * and the records of all that its list leads to.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "exec/job.h"

#define TRIED ((size_t)PATH_SETS * 4)

/* A state that has no record nearby. */
struct candidate {
	struct path_set_item set; /* owned */
	struct digest fingerprint;
	struct location *leaf; /* that has it in its list */
	bool damaged;          /* that list */
};

struct search {
	struct job *job;
	struct digest tried[TRIED];
	size_t count;
	struct candidate candidate[TRIED];
	size_t candidates, asked; /* the first ones were asked for */
	bool explained;           /* why it misses, if it does */
};

/* Or there are too many. */
static bool
was_tried(struct search *search, const struct digest *name)
{
	for (size_t i = 0; i < search->count; i++) {
		if (digest_equal(&search->tried[i], name))
			return true;
	}
	if (search->count == TRIED)
		return true;
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

static void
came_from(struct job *job, struct location *leaf)
{
	job->leaf = leaf;
	job->tier = xstrdup(leaf ? leaf->label : job->tree->label);
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
	came_from(job, job->tree->served);
	return 1;
}

/* It takes the set along. */
static void
add_candidate(struct search *search, struct candidate *candidate)
{
	search->candidate[search->candidates++] = *candidate;
	candidate->set =
	    (struct path_set_item){ .data = BUF_INIT, .hint = BUF_INIT };
}

/* The most recent set is that of the run which is nearest to this one. */
static void
explain(struct search *search, const char *why)
{
	if (!search->explained)
		job_reason(search->job, "%s", why);
	search->explained = true;
}

/* 1: there is a record. Else, if somebody far away may have it, it is a candidate. */
static int
try_set(struct search *search, struct candidate *candidate)
{
	struct job *job = search->job;
	struct path_set_item *set = &candidate->set;
	struct look look = LOOK_INIT;
	struct error err = { 0 };
	struct path_set_data data = {
		.data = set->data.data,
		.size = set->data.len,
		.name = set->name,
		.old_hint = set->hint.data,
		.old_hint_size = set->hint.len,
	};
	int outcome =
	    path_set_look(&data, &job->key, &job->world, NULL, &look, &err);
	int found = 0;

	if (outcome == HIT) {
		job->shown = candidate->fingerprint = look.fingerprint;
		job->has_shown = true;
		if (job->tree->reach != REACH_FAR)
			found = fetch_record(job, &look.fingerprint);
		explain(search,
		    look.reason[0]
		        ? look.reason
		        : "the record of this state is gone, or never was");
	} else if (outcome == MISS)
		explain(search, look.reason);
	else
		job_note(job, "%s", err.text);
	look_release(&look);
	if (outcome == HIT && !found && job->far)
		add_candidate(search, candidate);
	return found;
}

/* ---- keeping a list ---- */

struct known {
	struct path_sets *sets;
	const struct key *key;
	bool near;
};

static void
read_list(struct known *known, struct location *where)
{
	struct path_sets sets = { .count = 0 };
	struct error err; /* a list that can't be read is made anew */
	auto_buf data = BUF_INIT;
	auto_sink *sink = sink_buf(&data, RECORD_MAX);

	if (location_read(where, known->key, sink, &err) == HIT &&
	    sink_commit(sink, &err) == 0)
		(void)path_sets_decode(&sets, data.data, data.len, &err);
	(void)path_sets_join(known->sets, &sets);
	path_sets_release(&sets);
}

static void
read_near_list(void *arg, struct location *leaf)
{
	struct known *known = arg;

	if (leaf->kind->remote)
		return;
	known->near = true;
	read_list(known, leaf);
}

/* tarnd unites what goes far away with what is there (src/daemon/unite.h), so nobody
 * waits for that here. Where nothing is nearby, some may still be in its spool. */
int
path_set_push(struct job *job, struct location *where,
    const struct digest *name, const struct buf *set, const struct buf *hint,
    struct error *err)
{
	struct key key = { KEY_INDEX, job->key };
	struct path_sets sets = { .count = 0 };
	struct known known = { .sets = &sets, .key = &key };
	auto_buf fresh = BUF_INIT;
	auto_source *source = NULL;
	enum outcome outcome;

	location_each_leaf(where, read_near_list, &known);
	if (!known.near && where == job->tree)
		read_list(&known, where);
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

/* The lookup is over: what it found it by. */
static void
found_by(struct search *search, const struct candidate *candidate)
{
	struct job *job = search->job;

	job->shown = candidate->fingerprint;
	if (job->nest.mode == NEST_OPEN)
		buf_add(&job->found_set, candidate->set.data.data,
		    candidate->set.data.len);
	location_set_reach(job->tree, REACH_ALL);
	bring_nearer(job, candidate->leaf, &candidate->set, candidate->damaged);
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
		struct candidate candidate = {
			.set = sets.item[i], .leaf = leaf, .damaged = damaged
		};

		if (was_tried(search, &candidate.set.name))
			continue;
		found = try_set(search, &candidate);
		if (found)
			found_by(search, &candidate);
		sets.item[i] = candidate.set;
	}
	path_sets_release(&sets);
	return found;
}

/* ---- far away ---- */

/* Several values that are asked for at once. */
struct question {
	struct search *search;
	size_t count; /* candidates */
	struct location_read_request read[TRIED + 1];
	struct buf data[TRIED + 1];
};

static void
add_read(
    struct question *question, size_t i, const struct digest *name, size_t most)
{
	question->data[i] = (struct buf)BUF_INIT;
	question->read[i] = (struct location_read_request){
		.key = { KEY_INDEX, *name },
		.out = sink_buf(&question->data[i], most),
	};
}

/* The records of what was not asked for yet; with `key`, also the list, which is
 * the last. */
static void
ask_far(struct question *question, struct search *search, const struct key *key)
{
	size_t count = search->candidates - search->asked;
	struct error err;

	question->search = search;
	question->count = count;
	for (size_t i = 0; i < count; i++)
		add_read(question, i,
		    &search->candidate[search->asked + i].fingerprint,
		    RECORD_MAX / count);
	if (key)
		add_read(question, count++, &key->digest, RECORD_MAX);
	location_read_batch(search->job->tree, question->read, count);
	for (size_t i = 0; i < count; i++) {
		if (question->read[i].outcome == HIT)
			(void)sink_commit(question->read[i].out, &err);
		sink_close(question->read[i].out);
	}
}

static int
fetch_anywhere(struct job *job, const struct digest *fingerprint)
{
	enum reach reach = job->tree->reach;
	int found;

	location_set_reach(job->tree, REACH_ALL);
	found = fetch_record(job, fingerprint);
	location_set_reach(job->tree, reach);
	return found;
}

/* A damaged one, and one that is too large to come with others, is asked for
 * by itself. */
static int
take_record(struct search *search, const struct digest *fingerprint,
    const struct location_read_request *read, const struct buf *data)
{
	struct job *job = search->job;
	struct error err;

	if (read->outcome == HIT &&
	    record_decode(
	        &job->record, fingerprint, data->data, data->len, &err) == 0) {
		came_from(job, read->served);
		return 1;
	}
	if (read->outcome == FAILED && read->err.kind != ERROR_CORRUPT)
		job_note(job, "%s", read->err.text);
	else if (read->outcome != MISS)
		return fetch_anywhere(job, fingerprint);
	return 0;
}

static int
take_records(struct question *question)
{
	struct search *search = question->search;
	int found = 0;

	for (size_t i = 0; i < question->count && !found; i++) {
		const struct candidate *candidate =
		    &search->candidate[search->asked + i];

		found = take_record(search, &candidate->fingerprint,
		    &question->read[i], &question->data[i]);
		if (found)
			found_by(search, candidate);
	}
	search->asked += question->count;
	return found;
}

static void
end_question(struct question *question, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_release(&question->data[i]);
	free(question);
}

/* The records of all that a list from far away leads to, wherever they are. */
static int
try_far_list(void *arg, struct location *leaf, const char *data, size_t size)
{
	struct search *search = arg;
	struct question *question;
	int found;

	(void)try_list(search, leaf, data, size);
	if (search->candidates == search->asked)
		return 0;
	question = xmalloc(sizeof(*question));
	location_set_reach(search->job->tree, REACH_ALL);
	ask_far(question, search, NULL);
	location_set_reach(search->job->tree, REACH_FAR);
	found = take_records(question);
	end_question(question, question->count);
	return found;
}

/* Leaves behind the one that had a list may have another one. */
struct behind {
	struct search *search;
	const struct location *first;
	const struct key *key;
	bool past;
	int found;
};

static void
try_behind(void *arg, struct location *leaf)
{
	struct behind *behind = arg;

	if (behind->past && !behind->found)
		behind->found = location_read_each(leaf, behind->key,
		    RECORD_MAX, try_far_list, behind->search);
	behind->past |= leaf == behind->first;
}

static int
lookup_far(struct search *search, const struct key *key)
{
	struct job *job = search->job;
	struct question *question = xmalloc(sizeof(*question));
	struct behind behind = { .search = search, .key = key };
	struct location_read_request *list;
	size_t count;
	int found;

	location_set_reach(job->tree, REACH_FAR);
	ask_far(question, search, key);
	count = question->count;
	list = &question->read[count];
	found = take_records(question);
	if (!found && list->outcome == HIT) {
		found = try_far_list(search, list->served,
		    question->data[count].data, question->data[count].len);
		behind.first = list->served;
		behind.found = found;
		location_each_leaf(job->tree, try_behind, &behind);
		found = behind.found;
	}
	end_question(question, count + 1);
	location_set_reach(job->tree, REACH_ALL);
	return found;
}

/* ---- all of it ---- */

static void
note_trouble(void *arg, struct location *leaf)
{
	if (leaf->trouble && strcmp(leaf->trouble, "offline") != 0)
		job_note(arg, "'%s': %s", leaf->label, leaf->trouble);
}

static void
find_far(void *arg, struct location *leaf)
{
	struct job *job = arg;

	job->far |= leaf->kind->remote;
}

static void
release(struct search *search)
{
	for (size_t i = 0; i < search->candidates; i++) {
		buf_release(&search->candidate[i].set.data);
		buf_release(&search->candidate[i].set.hint);
	}
}

void
lookup(struct job *job)
{
	struct search search; /* large, and most of it is never looked at */
	struct key key = { KEY_INDEX, job->key };

	search.job = job;
	search.count = search.candidates = search.asked = 0;
	search.explained = false;
	job_reason(job,
	    "this command, its sources and its place in the "
	    "project are new");
	if (!job->tree)
		return;
	location_each_leaf(job->tree, find_far, job);
	fetch_begin_lookup(job);
	location_set_reach(job->tree, job->far ? REACH_NEAR : REACH_ALL);
	job->found =
	    location_read_each(job->tree, &key, RECORD_MAX, try_list, &search);
	if (!job->found && job->far)
		job->found = lookup_far(&search, &key);
	location_set_reach(job->tree, REACH_ALL);
	fetch_end(job);
	release(&search);
	if (!job->found)
		location_each_leaf(job->tree, note_trouble, job);
}
