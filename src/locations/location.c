#include "locations/location.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/pack.h"
#include "base/url.h"
#include "locations/kinds.h"

const char *
outcome_name(enum outcome outcome)
{
	switch (outcome) {
	case FAILED: return "failed";
	case MISS: return "miss";
	case HIT: return "hit";
	case KEPT: return "kept";
	}
	return "unknown";
}

#define PACK_MEMORY ((size_t)256 << 10) /* of a packed value; then a file */
#define PACK_AT_ONCE 64                 /* of a batch */

/* ---- opening ---- */

static void
unknown_kind(const char *name, struct error *err)
{
	auto_buf known = BUF_INIT;

	for (size_t i = 0; location_kinds[i]; i++)
		buf_addf(
		    &known, "%s%s", i ? ", " : "", location_kinds[i]->name);
	error_set(err, ERROR_USAGE,
	    "locations of kind '%s' are not part of this program, only: %s",
	    name, known.data);
}

static const struct location_kind *
kind_named(const char *name)
{
	for (size_t i = 0; location_kinds[i]; i++) {
		if (strcmp(location_kinds[i]->name, name) == 0)
			return location_kinds[i];
	}
	return NULL;
}

char *
location_place(const Tarn__Location *config)
{
	if (!*config->place)
		return xstrdup(config->kind);
	return url_without_user(config->place);
}

/* The option `compress`, which all leaves have. */
static int
set_packer(
    struct location *loc, const Tarn__Location *config, struct error *err)
{
	for (size_t i = config->n_options; i-- > 0;) {
		const Tarn__Option *option = config->options[i];

		if (strcmp(option->name, LOCATION_COMPRESS) != 0)
			continue;
		loc->packer = packer_new(option->value, err);
		return loc->packer ? 0 : -1;
	}
	return 0;
}

struct location *
location_open(const Tarn__Location *config, struct error *err)
{
	const struct location_kind *kind = kind_named(config->kind);
	struct location *loc;

	if (!kind) {
		unknown_kind(config->kind, err);
		return NULL;
	}
	loc = kind->open(config, err);
	if (loc && !kind->forwards && set_packer(loc, config, err) < 0) {
		location_close(loc);
		return NULL;
	}
	if (loc && !loc->label)
		loc->label = location_place(config);
	return loc;
}

void
location_close(struct location *loc)
{
	if (!loc)
		return;
	free(loc->label);
	free(loc->trouble);
	packer_free(loc->packer);
	loc->kind->close(loc);
}

void
location_set_deadline(struct location *loc, int64_t deadline_us)
{
	struct location *member = NULL;

	loc->deadline_us = deadline_us;
	for (size_t i = 0; loc->kind->member; i++) {
		member = loc->kind->member(loc, i);
		if (!member)
			return;
		location_set_deadline(member, deadline_us);
	}
}

void
location_set_reach(struct location *loc, enum reach reach)
{
	struct location *member = NULL;

	loc->reach = reach;
	for (size_t i = 0; loc->kind->member; i++) {
		member = loc->kind->member(loc, i);
		if (!member)
			return;
		location_set_reach(member, reach);
	}
}

void
location_name(struct location *loc, const char *name)
{
	free(loc->label);
	loc->label = xstrdup(name);
	if (loc->kind->member && loc->kind->member(loc, 0) &&
	    !loc->kind->member(loc, 1))
		location_name(loc->kind->member(loc, 0), name);
}

uint64_t
location_expect(struct location *leaf, uint64_t bytes)
{
	return leaf->kind->expect ? leaf->kind->expect(leaf, bytes) : 0;
}

uint64_t
location_limit(struct location *loc)
{
	return loc->kind->limit ? loc->kind->limit(loc) : UINT64_MAX;
}

/* ---- asking, and counting what leaves are asked ---- */

static bool
is_leaf(const struct location *loc)
{
	return !loc->kind->member;
}

static uint64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#define SLOW_US 500000
#define REST_US 10000000

static void
count_time(struct location *loc, uint64_t start, bool failed)
{
	uint64_t now = now_us();

	loc->counts.us += now - start;
	if (failed && now - start >= SLOW_US && !loc->kind->remote)
		loc->rest_until = now + REST_US;
}

/* The first, and one more that says something else. */
static void
note_trouble(struct location *loc, const char *text)
{
	char *first = loc->trouble;

	if (first && (strstr(first, text) || strchr(first, ';')))
		return;
	loc->trouble = first ? xasprintf("%s; %s", first, text) : xstrdup(text);
	free(first);
}

/* What a leaf said when it FAILED. */
static void
count_failure(struct location *loc, const struct error *err)
{
	bool skipped = err->kind == ERROR_SKIPPED;

	loc->counts.errors += !skipped;
	loc->counts.skipped += skipped;
	note_trouble(loc, err->text);
}

/* Add the time since `start`; composites only pass questions on. */
static enum outcome
counted(struct location *loc, uint64_t start, enum outcome outcome,
    const struct error *err)
{
	if (!is_leaf(loc))
		return outcome;
	count_time(loc, start, outcome == FAILED);
	if (outcome == FAILED)
		count_failure(loc, err);
	return outcome;
}

static bool
rests(const struct location *loc, uint64_t now, struct error *err)
{
	if (now >= loc->rest_until)
		return false;
	error_set(err, ERROR_SKIPPED,
	    "'%s' is not asked for a while: it took long to fail", loc->label);
	return true;
}

static void
count_read(struct location *loc, enum outcome outcome, const struct error *err)
{
	if (!is_leaf(loc) || (outcome == FAILED && err->kind == ERROR_SKIPPED))
		return;
	loc->counts.reads++;
	loc->counts.hits += outcome == HIT;
	if (outcome == HIT)
		loc->served = loc;
}

static void
count_write(struct location *loc, enum outcome outcome, const struct error *err)
{
	if (!is_leaf(loc))
		return;
	loc->counts.writes += outcome != FAILED || err->kind != ERROR_SKIPPED;
	if (outcome == DECLINED && err->text[0])
		note_trouble(loc, err->text);
}

static bool
is_out_of_reach(const struct location *loc)
{
	return is_leaf(loc) && loc->reach != REACH_ALL &&
	    loc->kind->remote != (loc->reach == REACH_FAR);
}

static bool
must_verify(const struct location *loc, const struct key *key)
{
	return loc->kind->remote && key->space == KEY_BLOB;
}

static bool
is_packed(const struct location *loc, const struct key *key)
{
	return loc->packer && key->space == KEY_BLOB;
}

/* A hit that is another value is a failure. */
static enum outcome
verified(const struct location *loc, struct sink *verify, enum outcome outcome,
    struct error *err)
{
	struct digest sum;

	if (outcome != HIT || sink_verified(verify, &sum))
		return outcome;
	if (!loc->packer && sink_packed(verify, err))
		return error_wrap(err, "%s", loc->label);
	return error_set(err, ERROR_CORRUPT,
	    "%s: the value is not what its key says", loc->label);
}

/* Nobody waits longer than that for what a server sent. */
static struct sink *
unpack_for(struct location *loc, struct sink *out)
{
	return sink_unpack(
	    loc->packer, out, loc->kind->remote ? &loc->deadline_us : NULL);
}

/*
 * A hit whose packed form is damaged is what any other damaged value is: a failure if
 * it comes from a server, and otherwise a hit that isn't what its key says, for whoever
 * reads to see.
 */
static enum outcome
unpacked(const struct location *loc, struct sink *unpack, enum outcome outcome,
    struct error *err)
{
	struct error why;
	enum unpacked state;

	if (outcome != HIT)
		return outcome;
	state = sink_unpacked(unpack, &why);
	if (state == UNPACK_WHOLE ||
	    (state == UNPACK_DAMAGED && !loc->kind->remote))
		return HIT;
	*err = why;
	return error_wrap(err, "%s", loc->label);
}

/* From the leaf, if need be through what unpacks, then through what verifies. */
struct way {
	struct sink *out;             /* borrowed */
	struct sink *verify, *unpack; /* NULL: not needed */
};

static struct sink *
way_open(struct way *way, struct location *loc, const struct key *key,
    struct sink *out)
{
	*way = (struct way){ .out = out };
	if (must_verify(loc, key))
		out = way->verify = sink_verify(out, &key->digest);
	if (is_packed(loc, key))
		out = way->unpack = unpack_for(loc, out);
	return out;
}

static enum outcome
way_close(struct way *way, const struct location *loc, enum outcome outcome,
    struct error *err)
{
	if (way->unpack)
		outcome = unpacked(loc, way->unpack, outcome, err);
	if (way->verify)
		outcome = verified(loc, way->verify, outcome, err);
	sink_close(way->unpack);
	sink_close(way->verify);
	return outcome;
}

static enum outcome
read_by_way(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct way way;
	struct sink *in = way_open(&way, loc, key, out);

	return way_close(&way, loc, loc->kind->read(loc, key, in, err), err);
}

enum outcome
location_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	uint64_t start = now_us();
	enum outcome outcome;

	if (is_out_of_reach(loc))
		return MISS;
	outcome = rests(loc, start, err) ? FAILED
	    : must_verify(loc, key) || is_packed(loc, key)
	    ? read_by_way(loc, key, out, err)
	    : loc->kind->read(loc, key, out, err);
	count_read(loc, outcome, err);
	return counted(loc, start, outcome, err);
}

/* What is kept of `in`, a source to be closed; NULL: it is `in` itself. What is too
 * large for the leaf as it is shall hear that from the leaf. -1 on failure. */
static int
pack(struct location *loc, struct source *in, struct spool *spool,
    struct source **packed, struct error *err)
{
	int rc = in->size > location_limit(loc)
	    ? 0
	    : packer_pack(loc->packer, in, spool, err);

	*packed = rc > 0 ? spool_source(spool) : NULL;
	return rc < 0 ? -1 : 0;
}

static enum outcome
write_packed(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	auto_spool spool = SPOOL_INIT(PACK_MEMORY);
	auto_source *packed = NULL;

	if (pack(loc, in, &spool, &packed, err) < 0)
		return FAILED;
	return loc->kind->write(loc, key, packed ? packed : in, mode, err);
}

enum outcome
location_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	uint64_t start = now_us();
	enum outcome outcome;

	err->kind = ERROR_NONE;
	err->text[0] = '\0';
	outcome = counted(loc, start,
	    rests(loc, start, err) ? FAILED
	        : is_packed(loc, key)
	        ? write_packed(loc, key, in, mode, err)
	        : loc->kind->write(loc, key, in, mode, err),
	    err);
	count_write(loc, outcome, err);
	return outcome;
}

enum outcome
location_contains(
    struct location *loc, const struct key *key, struct error *err)
{
	uint64_t start = now_us();

	return counted(loc, start,
	    rests(loc, start, err) ? FAILED
	                           : loc->kind->contains(loc, key, err),
	    err);
}

enum outcome
location_remove(struct location *loc, const struct key *key, struct error *err)
{
	uint64_t start = now_us();

	if (!loc->kind->remove)
		return MISS;
	return counted(loc, start,
	    rests(loc, start, err) ? FAILED : loc->kind->remove(loc, key, err),
	    err);
}

enum outcome
location_touch(struct location *loc, const struct key *key, struct error *err)
{
	uint64_t start = now_us();

	if (!loc->kind->touch)
		return MISS;
	return counted(loc, start,
	    rests(loc, start, err) ? FAILED : loc->kind->touch(loc, key, err),
	    err);
}

int
location_list_some(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	return loc->kind->list ? loc->kind->list(loc, wanted, fn, arg, err) : 0;
}

int
location_list(
    struct location *loc, location_entry_fn *fn, void *arg, struct error *err)
{
	return location_list_some(loc, LIST_ALL, fn, arg, err);
}

enum outcome
location_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	uint64_t start = now_us();

	if (!loc->kind->add_labels)
		return MISS;
	return counted(loc, start,
	    rests(loc, start, err)
	        ? FAILED
	        : loc->kind->add_labels(loc, key, labels, err),
	    err);
}

enum outcome
location_labels(struct location *loc, const struct key *key,
    location_label_fn *fn, void *arg, struct error *err)
{
	uint64_t start = now_us();

	if (!loc->kind->labels)
		return MISS;
	return counted(loc, start,
	    rests(loc, start, err) ? FAILED
	                           : loc->kind->labels(loc, key, fn, arg, err),
	    err);
}

int
location_inspect(struct location *loc, bool mend, location_damage_fn *fn,
    void *arg, struct error *err)
{
	return loc->kind->inspect ? loc->kind->inspect(loc, mend, fn, arg, err)
	                          : 0;
}

/* ---- batches ---- */

static void
read_one(struct location *loc, struct location_read_request *request)
{
	request->outcome =
	    location_read(loc, &request->key, request->out, &request->err);
	request->served = request->outcome == HIT ? loc->served : NULL;
}

/* A leaf's own batch is counted as so many reads in the time of all. */
static void
count_read_batch(struct location *loc, uint64_t start,
    struct location_read_request *requests, size_t count)
{
	bool failed = false;

	if (!is_leaf(loc))
		return;
	for (size_t i = 0; i < count; i++) {
		bool fails = requests[i].outcome == FAILED;

		count_read(loc, requests[i].outcome, &requests[i].err);
		if (fails)
			count_failure(loc, &requests[i].err);
		failed |= fails;
		requests[i].served = requests[i].outcome == HIT ? loc : NULL;
	}
	count_time(loc, start, failed);
}

/* Each sink behind those that unpack and verify. */
static void
read_batch_by_ways(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	auto_free struct way *ways = xmalloc(count * sizeof(*ways));

	for (size_t i = 0; i < count; i++)
		requests[i].out =
		    way_open(&ways[i], loc, &requests[i].key, requests[i].out);
	loc->kind->read_batch(loc, requests, count);
	for (size_t i = 0; i < count; i++) {
		struct location_read_request *request = &requests[i];

		request->out = ways[i].out;
		request->outcome =
		    way_close(&ways[i], loc, request->outcome, &request->err);
	}
}

void
location_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	uint64_t start = now_us();
	bool at_once = !is_out_of_reach(loc) && loc->kind->read_batch;

	if (at_once && start >= loc->rest_until && count > 0) {
		if (loc->kind->remote || loc->packer)
			read_batch_by_ways(loc, requests, count);
		else
			loc->kind->read_batch(loc, requests, count);
		count_read_batch(loc, start, requests, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		read_one(loc, &requests[i]);
}

/* Some of a batch, each in the form in which it is to be kept. */
static void
write_some_packed(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	struct location_write_request writes[PACK_AT_ONCE];
	struct source *packed[PACK_AT_ONCE] = { NULL };
	struct spool spools[PACK_AT_ONCE];
	size_t index[PACK_AT_ONCE], n = 0;

	for (size_t i = 0; i < count; i++) {
		spools[i] = (struct spool)SPOOL_INIT(PACK_MEMORY);
		requests[i].outcome = FAILED;
		if (is_packed(loc, &requests[i].key) &&
		    pack(loc, requests[i].in, &spools[i], &packed[i],
		        &requests[i].err) < 0)
			continue;
		writes[n] = requests[i];
		if (packed[i])
			writes[n].in = packed[i];
		index[n++] = i;
	}
	if (n > 0)
		loc->kind->write_batch(loc, writes, n);
	for (size_t i = 0; i < n; i++) {
		requests[index[i]].outcome = writes[i].outcome;
		requests[index[i]].err = writes[i].err;
	}
	for (size_t i = 0; i < count; i++) {
		source_close(packed[i]);
		spool_release(&spools[i]);
	}
}

static void
write_batch_packed(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	for (size_t at = 0; at < count; at += PACK_AT_ONCE)
		write_some_packed(loc, requests + at,
		    count - at < PACK_AT_ONCE ? count - at : PACK_AT_ONCE);
}

void
location_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	uint64_t start = now_us();
	bool failed = false;

	for (size_t i = 0; i < count; i++) {
		requests[i].err.kind = ERROR_NONE;
		requests[i].err.text[0] = '\0';
	}
	if (loc->kind->write_batch && start >= loc->rest_until && count > 0) {
		(loc->packer ? write_batch_packed : loc->kind->write_batch)(
		    loc, requests, count);
		if (!is_leaf(loc))
			return;
		for (size_t i = 0; i < count; i++) {
			bool fails = requests[i].outcome == FAILED;

			count_write(loc, requests[i].outcome, &requests[i].err);
			if (fails)
				count_failure(loc, &requests[i].err);
			failed |= fails;
		}
		count_time(loc, start, failed);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct location_write_request *request = &requests[i];

		request->outcome = location_write(loc, &request->key,
		    request->in, request->mode, &request->err);
	}
}

void
location_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	uint64_t start = now_us();
	bool at_once = loc->kind->contains_batch && start >= loc->rest_until;
	bool failed = false;

	for (size_t i = 0; i < count && !at_once; i++)
		requests[i].outcome =
		    location_contains(loc, &requests[i].key, &requests[i].err);
	if (!at_once || count == 0)
		return;
	loc->kind->contains_batch(loc, requests, count);
	if (!is_leaf(loc))
		return;
	for (size_t i = 0; i < count; i++) {
		bool fails = requests[i].outcome == FAILED;

		if (fails)
			count_failure(loc, &requests[i].err);
		failed |= fails;
	}
	count_time(loc, start, failed);
}

/* ---- leaf by leaf ---- */

int
location_read_each(struct location *loc, const struct key *key, size_t max,
    location_value_fn *fn, void *arg)
{
	auto_buf value = BUF_INIT;
	auto_sink *out = NULL;
	struct error err;
	struct location *member;
	int rc = 0;

	for (size_t i = 0; !is_leaf(loc); i++) {
		member = loc->kind->member(loc, i);
		if (!member)
			return rc;
		rc = location_read_each(member, key, max, fn, arg);
		if (rc) {
			loc->served = member->served;
			return rc;
		}
	}
	out = sink_buf(&value, max);
	if (location_read(loc, key, out, &err) != HIT)
		return 0;
	return fn(arg, loc, value.data, value.len);
}

void
location_each_leaf(struct location *loc,
    void (*fn)(void *arg, struct location *leaf), void *arg)
{
	struct location *member;

	if (is_leaf(loc)) {
		fn(arg, loc);
		return;
	}
	for (size_t i = 0; (member = loc->kind->member(loc, i)); i++)
		location_each_leaf(member, fn, arg);
}
