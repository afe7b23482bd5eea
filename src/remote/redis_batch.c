/* Names of things in Redis, calls that go out together, and what refusals mean. */
#include <string.h>

#include "base/mem.h"
#include "remote/redis.h"

struct redis *
redis_of(struct location *loc)
{
	return container_of(loc, struct redis, base);
}

char *
redis_name(const struct redis *redis, const char *what, const struct key *key,
    size_t *len)
{
	const char *space =
	    key->space == KEY_BLOB ? redis->prefix : redis->index;
	size_t before = strlen(what) + strlen(space);
	char *name = xmalloc(before + DIGEST_SIZE);

	memcpy(name, what, strlen(what));
	memcpy(name + strlen(what), space, strlen(space));
	memcpy(name + before, key->digest.bytes, DIGEST_SIZE);
	*len = before + DIGEST_SIZE;
	return name;
}

void
redis_batch_release(struct redis_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		redis_call_release(&batch->call[i]);
	free(batch->call);
	batch->call = NULL;
	batch->count = batch->room = 0;
}

struct redis_call *
redis_add(struct redis_batch *batch, const char *verb, const char *what,
    const struct key *key, struct error *err)
{
	struct redis_call *call;
	size_t len;

	if (batch->count == batch->room) {
		batch->room = batch->room ? 2 * batch->room : 4;
		batch->call =
		    xrealloc(batch->call, batch->room, sizeof(*batch->call));
	}
	call = &batch->call[batch->count++];
	*call = (struct redis_call){ .err = err, .key = 1 };
	redis_call_text(call, verb);
	call->name = redis_name(batch->redis, what, key, &len);
	redis_call_word(call, call->name, len);
	return call;
}

void
redis_add_expire(
    struct redis_batch *batch, const char *what, const struct key *key)
{
	if (batch->redis->ttl)
		redis_call_text(redis_add(batch, "EXPIRE", what, key, NULL),
		    batch->redis->ttl);
}

void
redis_call_ttl(const struct redis *redis, struct redis_call *call)
{
	if (!redis->ttl)
		return;
	redis_call_text(call, "EX");
	redis_call_text(call, redis->ttl);
}

void
redis_run(struct redis_batch *batch)
{
	redis_pool_run(&batch->redis->pool, batch->call, batch->count);
}

/* What the first word of a refusal means; `no_write`: there is no room, or no right. */
static const struct {
	const char *word;
	enum error_kind kind;
	bool no_write;
} refusals[] = {
	{ "OOM", ERROR_SYSTEM, true }, { "READONLY", ERROR_DENIED, true },
	{ "MISCONF", ERROR_SYSTEM, true },
	{ "NOREPLICAS", ERROR_UNREACHABLE, true },
	{ "NOPERM", ERROR_DENIED, true }, { "NOAUTH", ERROR_DENIED, false },
	{ "DENIED", ERROR_DENIED, false },
	{ "WRONGTYPE", ERROR_CORRUPT, false },
	{ "", ERROR_UNREACHABLE, false }, /* LOADING, BUSY, CLUSTERDOWN ... */
};

static void
refuse(const struct redis_call *call, enum outcome *outcome, struct error *err)
{
	char said[REDIS_SAID];
	size_t len, i = 0;

	redis_said(call->reply, said);
	len = strcspn(said, " ");
	while (*refusals[i].word &&
	    (strlen(refusals[i].word) != len ||
	        memcmp(refusals[i].word, said, len) != 0))
		i++;
	error_set(err, refusals[i].kind, "'%s' refuses %s: %s",
	    redis_link_name(call->link), (const char *)call->word[0].data,
	    said);
	if (outcome && refusals[i].no_write)
		*outcome = DECLINED;
}

const redisReply *
redis_answer(
    const struct redis_call *call, enum outcome *outcome, struct error *err)
{
	if (outcome)
		*outcome = FAILED;
	if (call->unsent || !call->reply || call->sink_failed)
		return NULL; /* *err is set */
	if (call->reply->type != REDIS_REPLY_ERROR)
		return call->reply;
	refuse(call, outcome, err);
	return NULL;
}
