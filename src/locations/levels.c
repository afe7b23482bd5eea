/*
 * Locations from near to far. A read asks them in order; what a farther level has is
 * copied to every nearer one that replicates and takes it (the Python library copies
 * to the first only), so the next read is nearer. The reader has the value before
 * that: a copy that can't be made costs a slower read later, no more. A blob is
 * copied only if its bytes are what its name says.
 *
 * After a hit, the level that had it and those beyond are told that the key was used
 * if they are set to `touch`. A write goes to every level that is written to, or to
 * the first that accepts; what it replaces is removed from the nearer ones that did not
 * take it, and from all that declined. A removal also reaches the levels that only replicate.
 */
#include "base/mem.h"
#include "locations/kinds.h"
#include "locations/members.h"
#include "locations/tee.h"

#define MEMORY ((size_t)1 << 20) /* bytes of copies that one read may hold */
#define AT_ONCE 64               /* copies that are made together */

struct level {
	bool write, replicate, touch;
};

struct levels {
	struct location base;
	struct members members;
	struct level *level; /* owned; one for each member */
	bool first;          /* write to the first that accepts */
};

static struct levels *
levels_of(struct location *loc)
{
	return container_of(loc, struct levels, base);
}

static struct location *
levels_member(struct location *loc, size_t i)
{
	return members_get(&levels_of(loc)->members, i);
}

/* All that may have a copy of ours. */
static bool
levels_forgets(struct location *loc, size_t i)
{
	const struct level *level = &levels_of(loc)->level[i];

	return level->write || level->replicate;
}

static void
levels_close(struct location *loc)
{
	struct levels *levels = levels_of(loc);

	members_close(&levels->members);
	free(levels->level);
	free(levels);
}

static int
add_level(struct levels *levels, const Tarn__Level *config, struct error *err)
{
	struct location *loc;

	if (!config->location)
		return error_set(err, ERROR_USAGE, "a level has no location");
	loc = location_open(config->location, err);
	if (!loc)
		return -1;
	if (*config->name)
		location_name(loc, config->name);
	levels->level[levels->members.count] =
	    (struct level){ .write = !config->read_only,
		    .replicate = !config->no_replicate,
		    .touch = config->touch };
	members_add(&levels->members, loc);
	return 0;
}

static struct location *
levels_open(const Tarn__Location *config, struct error *err)
{
	struct levels *levels = xmalloc(sizeof(*levels));

	*levels = (struct levels){ .base = { .kind = &location_levels },
		.first = config->first };
	levels->level =
	    xrealloc(NULL, config->n_levels, sizeof(*levels->level));
	for (size_t i = 0; i < config->n_levels; i++) {
		if (add_level(levels, config->levels[i], err) < 0) {
			levels_close(&levels->base);
			return NULL;
		}
	}
	return &levels->base;
}

/* ---- replicating ---- */

static bool
is_intact(const struct key *key, struct source *copy)
{
	char chunk[32 * 1024];
	struct hasher hasher;
	struct digest digest;
	struct error err;
	ssize_t got;

	if (key->space != KEY_BLOB)
		return true;
	hasher_init(&hasher);
	while ((got = source_read(copy, chunk, sizeof(chunk), &err)) > 0)
		hasher_add(&hasher, chunk, (size_t)got);
	hasher_finish(&hasher, &digest);
	return got == 0 && digest_equal(&digest, &key->digest);
}

static void
rewind_all(struct location_write_request *writes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)source_rewind(writes[i].in, &writes[i].err);
}

/* The copies to all levels below `from` that want any. */
static void
replicate(struct levels *levels, size_t from,
    const struct location_read_request *reads, const struct tee *tees,
    size_t count)
{
	struct location_write_request *writes =
	    xrealloc(NULL, count, sizeof(*writes));
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (reads[i].outcome != HIT || tees[i].dropped)
			continue;
		writes[n].key = reads[i].key;
		writes[n].mode = WRITE_IF_ABSENT;
		writes[n].in = spool_source(&tees[i].spool);
		if (is_intact(&reads[i].key, writes[n].in))
			n++;
		else
			source_close(writes[n].in);
	}
	for (size_t to = 0; to < from && n > 0; to++) {
		rewind_all(writes, n);
		if (levels->level[to].replicate)
			location_write_batch(levels->members.at[to], writes, n);
	}
	for (size_t i = 0; i < n; i++)
		source_close(writes[i].in);
	free(writes);
}

/* Up to AT_ONCE requests, none of which is a hit yet. */
static void
read_and_replicate(struct levels *levels, size_t from, uint64_t limit,
    struct location_read_request *requests, size_t count)
{
	struct tee *tees = xrealloc(NULL, count, sizeof(*tees));

	for (size_t i = 0; i < count; i++) {
		tee_init(&tees[i], requests[i].out, limit, MEMORY / count);
		requests[i].out = &tees[i].base;
	}
	members_read_from(levels->members.at[from], requests, count);
	replicate(levels, from, requests, tees, count);
	for (size_t i = 0; i < count; i++) {
		requests[i].out = tees[i].out;
		sink_close(&tees[i].base);
	}
	free(tees);
}

/* The largest copy that a level nearer than `from` may take; 0: none. */
static uint64_t
copy_limit(const struct levels *levels, size_t from)
{
	uint64_t most = 0, limit;

	for (size_t i = 0; i < from; i++) {
		limit = location_limit(levels->members.at[i]);
		if (levels->level[i].replicate && limit > most)
			most = limit;
	}
	return most;
}

/* ---- reading ---- */

static void
touch_from(struct levels *levels, size_t from, const struct key *key)
{
	struct error err;

	for (size_t i = from; i < levels->members.count; i++) {
		if (levels->level[i].touch)
			(void)location_touch(levels->members.at[i], key, &err);
	}
}

/* Requests that no nearer level could serve. */
static void
read_level(struct levels *levels, size_t from,
    struct location_read_request *missing, size_t count)
{
	uint64_t limit = copy_limit(levels, from);

	if (!limit)
		members_read_from(levels->members.at[from], missing, count);
	for (size_t i = 0; limit && i < count; i += AT_ONCE)
		read_and_replicate(levels, from, limit, missing + i,
		    count - i < AT_ONCE ? count - i : AT_ONCE);
	for (size_t i = 0; i < count; i++) {
		if (missing[i].outcome == HIT)
			touch_from(levels, from, &missing[i].key);
	}
}

/* Those that are missing to the front, in their order; how many. */
static size_t
pick_missing(const struct location_read_request *requests, size_t count,
    struct location_read_request *missing, size_t *index)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome == HIT)
			continue;
		missing[n] = requests[i];
		index[n++] = i;
	}
	return n;
}

static void
levels_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	struct levels *levels = levels_of(loc);
	struct location_read_request *missing =
	    xrealloc(NULL, count, sizeof(*missing));
	size_t *index = xrealloc(NULL, count, sizeof(*index));

	members_read_start(requests, count);
	for (size_t from = 0; from < levels->members.count; from++) {
		size_t n = pick_missing(requests, count, missing, index);

		if (n == 0)
			break;
		read_level(levels, from, missing, n);
		for (size_t i = 0; i < n; i++)
			requests[index[i]] = missing[i];
	}
	members_read_finish(loc, requests, count);
	free(missing);
	free(index);
}

static enum outcome
levels_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct location_read_request request = { .key = *key, .out = out };

	levels_read_batch(loc, &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

static void
levels_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	members_contains(&levels_of(loc)->members, requests, count);
}

static enum outcome
levels_contains(struct location *loc, const struct key *key, struct error *err)
{
	struct location_contains_request request = { .key = *key };

	levels_contains_batch(loc, &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

/* ---- writing ---- */

/* A value that is where it belongs needs no second level. */
static bool
is_done(const struct levels *levels, const struct location_write_request *sum)
{
	return levels->first && sum->outcome > DECLINED;
}

/* `said` is filled in with what this level said to each, if it was asked. */
static void
write_level(struct levels *levels, size_t to,
    struct location_write_request *requests, enum outcome *said, size_t count)
{
	struct location_write_request *asked =
	    xrealloc(NULL, count, sizeof(*asked));
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		said[i] = FAILED;
		if (is_done(levels, &requests[i]))
			continue;
		asked[n].key = requests[i].key;
		asked[n].in = requests[i].in;
		asked[n++].mode = requests[i].mode;
	}
	rewind_all(asked, n);
	location_write_batch(levels->members.at[to], asked, n);
	for (size_t i = 0, j = 0; i < count; i++) {
		if (is_done(levels, &requests[i]))
			continue;
		said[i] = asked[j].outcome;
		members_write_merge(
		    &requests[i], &asked[j++], levels->members.at[to]);
	}
	free(asked);
}

/*
 * What was replaced must not be served by a nearer level that didn't take part, nor
 * stay in one that declined. `said` has what the i-th level said at i * step.
 */
static void
remove_replaced(struct levels *levels, const struct key *key,
    const enum outcome *said, size_t step)
{
	bool stored = false;

	for (size_t i = 0; i < levels->members.count; i++) {
		enum outcome answer = said[i * step];
		struct error err;

		stored |= answer == STORED;
		if (answer <= DECLINED && (!stored || answer == DECLINED) &&
		    levels_forgets(&levels->base, i))
			(void)location_remove(levels->members.at[i], key, &err);
	}
}

static void
levels_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	struct levels *levels = levels_of(loc);
	size_t level_count = levels->members.count;
	enum outcome *said = xrealloc(NULL, level_count * count, sizeof(*said));
	bool any = false;

	for (size_t i = 0; i < level_count * count; i++)
		said[i] = FAILED;
	for (size_t i = 0; i < count; i++)
		requests[i].outcome = FAILED;
	for (size_t i = 0; i < level_count; i++) {
		if (!levels->level[i].write)
			continue;
		any = true;
		write_level(levels, i, requests, said + i * count, count);
	}
	for (size_t i = 0; i < count; i++) {
		if (!any)
			requests[i].outcome = DECLINED;
		if (requests[i].outcome == STORED &&
		    requests[i].mode == WRITE_REPLACE)
			remove_replaced(
			    levels, &requests[i].key, said + i, count);
	}
	free(said);
}

static enum outcome
levels_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct location_write_request request = {
		.key = *key, .in = in, .mode = mode
	};

	levels_write_batch(loc, &request, 1);
	if (request.outcome <= DECLINED)
		*err = request.err;
	return request.outcome;
}

/* ---- the rest ---- */

/* All that may have a copy are asked, and all have to be sure. */
static enum outcome
levels_remove(struct location *loc, const struct key *key, struct error *err)
{
	struct levels *levels = levels_of(loc);
	struct answers answers = { 0 };

	for (size_t i = 0; i < levels->members.count; i++) {
		if (levels_forgets(loc, i))
			(void)answers_add(&answers, levels->members.at[i],
			    location_remove, key);
	}
	return answers_sum_sure(&answers, err);
}

static enum outcome
levels_touch(struct location *loc, const struct key *key, struct error *err)
{
	struct answers answers = { 0 };
	struct location *level;

	for (size_t i = 0; (level = levels_member(loc, i)); i++)
		(void)answers_add(&answers, level, location_touch, key);
	return answers_sum(&answers, err);
}

static enum outcome
levels_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	struct levels *levels = levels_of(loc);
	struct answers answers = { 0 };

	for (size_t i = 0; i < levels->members.count; i++) {
		struct location *level = levels->members.at[i];
		struct error why = { 0 };

		if (levels->level[i].write)
			answers_take(&answers, level,
			    location_add_labels(level, key, labels, &why),
			    &why);
	}
	return answers_sum_sure(&answers, err);
}

static enum outcome
levels_labels(struct location *loc, const struct key *key,
    location_label_fn *fn, void *arg, struct error *err)
{
	return members_labels(&levels_of(loc)->members, key, fn, arg, err);
}

static int
levels_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	return members_list(&levels_of(loc)->members, wanted, fn, arg, err);
}

static uint64_t
levels_limit(struct location *loc)
{
	struct levels *levels = levels_of(loc);
	uint64_t most = 0, limit;

	for (size_t i = 0; i < levels->members.count; i++) {
		limit = location_limit(levels->members.at[i]);
		if (levels->level[i].write && limit > most)
			most = limit;
	}
	return most;
}

const struct location_kind location_levels = {
	.name = "levels",
	.open = levels_open,
	.close = levels_close,
	.read = levels_read,
	.write = levels_write,
	.contains = levels_contains,
	.remove = levels_remove,
	.touch = levels_touch,
	.list = levels_list,
	.add_labels = levels_add_labels,
	.labels = levels_labels,
	.read_batch = levels_read_batch,
	.write_batch = levels_write_batch,
	.contains_batch = levels_contains_batch,
	.limit = levels_limit,
	.member = levels_member,
	.forgets = levels_forgets,
};
