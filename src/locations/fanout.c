/*
 * Locations side by side, such as several disks. A read asks them in order. A write
 * goes to the first that takes it, unless one has the key already: then it stays
 * there, or is replaced there.
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

static enum outcome
fanout_contains(struct location *loc, const struct key *key, struct error *err)
{
	struct answers answers = { 0 };
	struct location *member;

	for (size_t i = 0; (member = fanout_member(loc, i)); i++) {
		if (answers_add(&answers, member, location_contains, key) ==
		    HIT)
			break;
	}
	return answers_sum(&answers, err);
}

/* The first that has it already; NULL if it is nowhere. */
static struct location *
holder(struct location *loc, const struct key *key)
{
	struct location *member;

	for (size_t i = 0; (member = fanout_member(loc, i)); i++) {
		struct error err;

		if (location_contains(member, key, &err) == HIT)
			return member;
	}
	return NULL;
}

static enum outcome
fanout_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct location *member = holder(loc, key);
	enum outcome best = FAILED;
	size_t asked = 0;

	if (member)
		return mode == WRITE_IF_ABSENT
		    ? KEPT
		    : location_write(member, key, in, mode, err);
	for (; (member = fanout_member(loc, asked)); asked++) {
		struct error why;
		enum outcome outcome;

		if (source_rewind(in, err) < 0)
			return FAILED;
		outcome = location_write(member, key, in, mode, &why);
		if (outcome == STORED || outcome == KEPT)
			return outcome;
		if (outcome == DECLINED)
			best = DECLINED;
		if (err->kind == ERROR_NONE && why.kind != ERROR_NONE) {
			*err = why;
			error_wrap(err, "'%s'", member->label);
		}
	}
	return asked ? best : DECLINED;
}

/* All are asked, and all have to be sure. */
static enum outcome
fanout_remove(struct location *loc, const struct key *key, struct error *err)
{
	struct answers answers = { 0 };
	struct location *member;

	for (size_t i = 0; (member = fanout_member(loc, i)); i++)
		(void)answers_add(&answers, member, location_remove, key);
	answers.miss &= !answers.failed;
	return answers_sum(&answers, err);
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

static int
fanout_list(
    struct location *loc, location_entry_fn *fn, void *arg, struct error *err)
{
	return members_list(&fanout_of(loc)->members, fn, arg, err);
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
	.read_batch = fanout_read_batch,
	.limit = fanout_limit,
	.member = fanout_member,
};
