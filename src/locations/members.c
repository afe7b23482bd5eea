#include "locations/members.h"

#include "base/mem.h"

void
members_add(struct members *members, struct location *loc)
{
	members->at =
	    xrealloc(members->at, members->count + 1, sizeof(*members->at));
	members->at[members->count++] = loc;
}

void
members_close(struct members *members)
{
	for (size_t i = 0; i < members->count; i++)
		location_close(members->at[i]);
	free(members->at);
}

struct location *
members_get(const struct members *members, size_t i)
{
	return i < members->count ? members->at[i] : NULL;
}

/* ---- reading ---- */

void
members_read_start(struct location_read_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = FAILED;
		requests[i].err.kind = ERROR_NONE;
	}
}

bool
members_read_missing(const struct location_read_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome != HIT)
			return true;
	}
	return false;
}

/* What one member said, into what is known so far. */
static void
take_answer(struct location_read_request *request,
    struct location_read_request *answer, const struct location *member)
{
	if (answer->outcome == FAILED) {
		error_wrap(&answer->err, "'%s'", member->label);
		if (request->outcome == FAILED &&
		    request->err.kind == ERROR_NONE)
			request->err = answer->err;
		if (sink_reset(request->out, &answer->err) < 0)
			request->err = answer->err;
		return;
	}
	request->outcome = answer->outcome;
	request->served = answer->served;
}

void
members_read_from(struct location *member,
    struct location_read_request *requests, size_t count)
{
	struct location_read_request *asked =
	    xrealloc(NULL, count, sizeof(*asked));
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome == HIT)
			continue;
		asked[n].key = requests[i].key;
		asked[n++].out = requests[i].out;
	}
	location_read_batch(member, asked, n);
	for (size_t i = 0, j = 0; i < count; i++) {
		if (requests[i].outcome != HIT)
			take_answer(&requests[i], &asked[j++], member);
	}
	free(asked);
}

void
members_read_finish(struct location *whole,
    struct location_read_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome == HIT)
			whole->served = requests[i].served;
		else if (requests[i].err.kind == ERROR_NONE)
			requests[i].outcome = MISS;
	}
}

/* ---- writing ---- */

void
members_write_merge(struct location_write_request *sum,
    struct location_write_request *answer, const struct location *member)
{
	if (answer->err.kind != ERROR_NONE && answer->outcome <= DECLINED &&
	    sum->err.kind == ERROR_NONE) {
		sum->err = answer->err;
		error_wrap(&sum->err, "'%s'", member->label);
	}
	if (answer->outcome == STORED ||
	    (sum->outcome <= DECLINED && answer->outcome > sum->outcome))
		sum->outcome = answer->outcome;
}

/* ---- other questions ---- */

void
answers_take(struct answers *answers, struct location *member,
    enum outcome outcome, const struct error *err)
{
	if (outcome == FAILED && !answers->failed) {
		answers->err = *err;
		error_wrap(&answers->err, "'%s'", member->label);
	}
	answers->failed |= outcome == FAILED;
	answers->miss |= outcome == MISS;
	answers->hit |= outcome == HIT;
}

enum outcome
answers_add(struct answers *answers, struct location *member, member_fn *fn,
    const struct key *key)
{
	struct error err = { 0 };
	enum outcome outcome = fn(member, key, &err);

	answers_take(answers, member, outcome, &err);
	return outcome;
}

enum outcome
answers_sum(const struct answers *answers, struct error *err)
{
	if (answers->hit)
		return HIT;
	if (answers->miss || !answers->failed)
		return MISS;
	*err = answers->err;
	return FAILED;
}

enum outcome
answers_sum_sure(struct answers *answers, struct error *err)
{
	answers->miss &= !answers->failed;
	return answers_sum(answers, err);
}

/* What a member said to those of `requests` that are not a hit. */
static void
take_contains(struct location_contains_request *requests, size_t count,
    struct location_contains_request *answer, const struct location *member)
{
	for (size_t i = 0; i < count; i++) {
		struct location_contains_request *request = &requests[i];

		if (request->outcome == HIT)
			continue;
		if (answer->outcome != FAILED)
			request->outcome = answer->outcome;
		else if (request->outcome == FAILED &&
		    request->err.kind == ERROR_NONE) {
			request->err = answer->err;
			error_wrap(&request->err, "'%s'", member->label);
		}
		answer++;
	}
}

void
members_contains(const struct members *members,
    struct location_contains_request *requests, size_t count)
{
	struct location_contains_request *asked =
	    xrealloc(NULL, count, sizeof(*asked));

	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = members->count ? FAILED : MISS;
		requests[i].err.kind = ERROR_NONE;
	}
	for (size_t m = 0; m < members->count; m++) {
		size_t n = 0;

		for (size_t i = 0; i < count; i++) {
			if (requests[i].outcome != HIT)
				asked[n++].key = requests[i].key;
		}
		if (n == 0)
			break;
		location_contains_batch(members->at[m], asked, n);
		take_contains(requests, count, asked, members->at[m]);
	}
	free(asked);
}

enum outcome
members_labels(const struct members *members, const struct key *key,
    location_label_fn *fn, void *arg, struct error *err)
{
	struct answers answers = { 0 };

	for (size_t i = 0; i < members->count && !answers.hit; i++) {
		struct location *member = members->at[i];
		struct error why = { 0 };

		answers_take(&answers, member,
		    location_labels(member, key, fn, arg, &why), &why);
	}
	return answers_sum(&answers, err);
}

int
members_list(const struct members *members, unsigned wanted,
    location_entry_fn *fn, void *arg, struct error *err)
{
	struct error failure;
	bool failed = false;

	for (size_t i = 0; i < members->count; i++) {
		int rc = location_list_some(
		    members->at[i], wanted, fn, arg, &failure);

		if (rc > 0)
			return rc;
		if (rc == 0)
			continue;
		if (failure.kind == ERROR_NONE)
			return rc;
		if (!failed)
			*err = failure;
		failed = true;
	}
	return failed ? -1 : 0;
}
