/*
 * Locations side by side, such as several disks. A read asks them in order. A write
 * goes to the first that takes it, unless one has the key already: then it stays
 * there, or is replaced there. Whoever declines or fails is passed over; what was
 * replaced is removed wherever else it may be.
 */
#include "base/mem.h"
#include "locations/kinds.h"
#include "locations/members.h"

struct fanout {
	struct location base;
	struct members members;
};

static struct fanout *
fanout_of(struct location *loc)
{
	return container_of(loc, struct fanout, base);
}

static struct location *
fanout_member(struct location *loc, size_t i)
{
	return members_get(&fanout_of(loc)->members, i);
}

static void
fanout_close(struct location *loc)
{
	members_close(&fanout_of(loc)->members);
	free(fanout_of(loc));
}

static struct location *
fanout_open(const Tarn__Location *config, struct error *err)
{
	struct fanout *fanout = xmalloc(sizeof(*fanout));

	*fanout = (struct fanout){ .base = { .kind = &location_fanout } };
	for (size_t i = 0; i < config->n_members; i++) {
		struct location *member =
		    location_open(config->members[i], err);

		if (!member) {
			fanout_close(&fanout->base);
			return NULL;
		}
		members_add(&fanout->members, member);
	}
	return &fanout->base;
}

static void
fanout_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	struct location *member;

	members_read_start(requests, count);
	for (size_t i = 0; (member = fanout_member(loc, i)) &&
	     members_read_missing(requests, count);
	     i++)
		members_read_from(member, requests, count);
	members_read_finish(loc, requests, count);
}

static enum outcome
fanout_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct location_read_request request = { .key = *key, .out = out };

	fanout_read_batch(loc, &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

static void
fanout_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	members_contains(&fanout_of(loc)->members, requests, count);
}

static enum outcome
fanout_contains(struct location *loc, const struct key *key, struct error *err)
{
	struct location_contains_request request = { .key = *key };

	fanout_contains_batch(loc, &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

/* ---- writing ---- */

#define NOBODY SIZE_MAX

/* Who had it before, and who has it now. */
struct place {
	size_t holder, taker;
};

static void
find_holders(struct fanout *fanout,
    const struct location_write_request *requests, struct place *places,
    size_t count)
{
	struct location_contains_request *asked =
	    xrealloc(NULL, count, sizeof(*asked));
	size_t n = count;

	for (size_t i = 0; i < count; i++)
		places[i] = (struct place){ NOBODY, NOBODY };
	for (size_t m = 0; m < fanout->members.count && n > 0; m++) {
		n = 0;
		for (size_t i = 0; i < count; i++) {
			if (places[i].holder == NOBODY)
				asked[n++].key = requests[i].key;
		}
		location_contains_batch(fanout->members.at[m], asked, n);
		n = 0;
		for (size_t i = 0; i < count; i++) {
			if (places[i].holder == NOBODY &&
			    asked[n++].outcome == HIT)
				places[i].holder = m;
		}
	}
	free(asked);
}

/* Is it to be offered to this member? `again`: after whoever had it would not. */
static bool
is_for(const struct location_write_request *request, const struct place *place,
    size_t member, bool again)
{
	return request->outcome <= DECLINED &&
	    again == (place->holder != member);
}

static void
offer(struct fanout *fanout, size_t to, bool again,
    struct location_write_request *requests, struct place *places, size_t count)
{
	struct location *member = fanout->members.at[to];
	struct location_write_request *asked =
	    xrealloc(NULL, count, sizeof(*asked));
	size_t *index = xrealloc(NULL, count, sizeof(*index));
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (!is_for(&requests[i], &places[i], to, again) ||
		    source_rewind(requests[i].in, &requests[i].err) < 0)
			continue;
		asked[n] = requests[i];
		index[n++] = i;
	}
	location_write_batch(member, asked, n);
	for (size_t i = 0; i < n; i++) {
		members_write_merge(&requests[index[i]], &asked[i], member);
		if (asked[i].outcome > DECLINED)
			places[index[i]].taker = to;
	}
	free(asked);
	free(index);
}

/*
 * The old value must not show again, neither now before the new one nor when that
 * is gone. Where it can't be removed and is asked first, nothing was replaced.
 */
static void
remove_others(struct fanout *fanout, struct location_write_request *request,
    const struct place *place)
{
	for (size_t i = 0; i < fanout->members.count; i++) {
		struct location *member = fanout->members.at[i];
		struct error err = { 0 };

		if (i == place->taker ||
		    location_remove(member, &request->key, &err) != FAILED ||
		    i != place->holder || i > place->taker)
			continue;
		request->outcome = FAILED;
		request->err = err;
		error_wrap(&request->err, "'%s'", member->label);
	}
}

static void
fanout_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	struct fanout *fanout = fanout_of(loc);
	struct place *places = xrealloc(NULL, count, sizeof(*places));

	find_holders(fanout, requests, places, count);
	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = fanout->members.count ? FAILED : DECLINED;
		if (places[i].holder != NOBODY &&
		    requests[i].mode == WRITE_IF_ABSENT)
			requests[i].outcome = KEPT;
	}
	for (size_t again = 0; again < 2; again++) {
		for (size_t m = 0; m < fanout->members.count; m++)
			offer(fanout, m, again, requests, places, count);
	}
	for (size_t i = 0; i < count; i++) {
		if (requests[i].mode == WRITE_REPLACE &&
		    places[i].holder != NOBODY && places[i].taker != NOBODY)
			remove_others(fanout, &requests[i], &places[i]);
	}
	free(places);
}

static enum outcome
fanout_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct location_write_request request = {
		.key = *key, .in = in, .mode = mode
	};

	fanout_write_batch(loc, &request, 1);
	if (request.outcome <= DECLINED)
		*err = request.err;
	return request.outcome;
}

/* ---- the rest ---- */

/* All are asked, and all have to be sure. */
static enum outcome
fanout_remove(struct location *loc, const struct key *key, struct error *err)
{
	struct answers answers = { 0 };
	struct location *member;

	for (size_t i = 0; (member = fanout_member(loc, i)); i++)
		(void)answers_add(&answers, member, location_remove, key);
	return answers_sum_sure(&answers, err);
}

static enum outcome
fanout_touch(struct location *loc, const struct key *key, struct error *err)
{
	struct answers answers = { 0 };
	struct location *member;

	for (size_t i = 0; (member = fanout_member(loc, i)); i++)
		(void)answers_add(&answers, member, location_touch, key);
	return answers_sum(&answers, err);
}

static enum outcome
fanout_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	struct answers answers = { 0 };
	struct location *member;

	for (size_t i = 0; (member = fanout_member(loc, i)); i++) {
		struct error why = { 0 };

		answers_take(&answers, member,
		    location_add_labels(member, key, labels, &why), &why);
	}
	return answers_sum_sure(&answers, err);
}

static enum outcome
fanout_labels(struct location *loc, const struct key *key,
    location_label_fn *fn, void *arg, struct error *err)
{
	return members_labels(&fanout_of(loc)->members, key, fn, arg, err);
}

static int
fanout_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	return members_list(&fanout_of(loc)->members, wanted, fn, arg, err);
}

static uint64_t
fanout_limit(struct location *loc)
{
	struct location *member;
	uint64_t most = 0;

	for (size_t i = 0; (member = fanout_member(loc, i)); i++) {
		if (location_limit(member) > most)
			most = location_limit(member);
	}
	return most;
}

const struct location_kind location_fanout = {
	.name = "fanout",
	.open = fanout_open,
	.close = fanout_close,
	.read = fanout_read,
	.write = fanout_write,
	.contains = fanout_contains,
	.remove = fanout_remove,
	.touch = fanout_touch,
	.list = fanout_list,
	.add_labels = fanout_add_labels,
	.labels = fanout_labels,
	.read_batch = fanout_read_batch,
	.write_batch = fanout_write_batch,
	.contains_batch = fanout_contains_batch,
	.limit = fanout_limit,
	.member = fanout_member,
};
