/*
 * What a Redis has of ours, by SCAN, a page after the other. A page's keys are asked
 * for their size, and for the rest that is wanted, together; what went meanwhile is left
 * out if its last use was asked for, else it has no bytes. What is not as long as our
 * names are is not ours. What comes or goes while pages are turned may
 * be missed or, if the server shrinks its table just then, be named twice.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "remote/redis.h"

#define PAGE "1000"
#define PAGE_MOST 100000 /* keys: a server gives what lies together at once */
#define CURSOR 24        /* digits, at most */
#define EMPTY 100        /* pages in a row, and so many times as long as */
#define EMPTY_STEPS 3    /* an answer may take: then something is wrong */
#define SPARSE 16        /* keys of others to a page, at the least */

struct walk {
	struct redis *redis;
	struct redis_link *link;
	enum key_space space;
	unsigned wanted; /* LIST_... */
	location_entry_fn *fn;
	void *arg;
	struct error *err;
	struct key *keys; /* of a page */
	size_t count;

	/* Lately, without a key of ours. */
	long long empty; /* pages */
	int64_t since_us;
};

/* `prefix` as a glob that means itself, and a star. */
static char *
pattern_of(const char *prefix)
{
	auto_buf glob = BUF_INIT;

	for (; *prefix; prefix++) {
		if (strchr("*?[]^-\\", *prefix))
			buf_add(&glob, "\\", 1);
		buf_add(&glob, prefix, 1);
	}
	buf_add(&glob, "*", 1);
	return buf_take(&glob);
}

/* ---- a page ---- */

static int
compare_keys(const void *a, const void *b)
{
	return memcmp(((const struct key *)a)->digest.bytes,
	    ((const struct key *)b)->digest.bytes, DIGEST_SIZE);
}

static void
take_keys(struct walk *walk, const redisReply *names)
{
	const char *prefix =
	    walk->space == KEY_BLOB ? walk->redis->prefix : walk->redis->index;
	size_t before = strlen(prefix);

	walk->keys = xrealloc(NULL, names->elements, sizeof(*walk->keys));
	walk->count = 0;
	for (size_t i = 0; i < names->elements; i++) {
		const redisReply *name = names->element[i];
		struct key *key = &walk->keys[walk->count];

		if (name->type != REDIS_REPLY_STRING ||
		    (size_t)name->len != before + DIGEST_SIZE ||
		    memcmp(name->str, prefix, before) != 0)
			continue;
		*key = (struct key){ .space = walk->space };
		memcpy(key->digest.bytes, name->str + before, DIGEST_SIZE);
		walk->count++;
	}
	qsort(walk->keys, walk->count, sizeof(*walk->keys), compare_keys);
}

/* ---- what is known of a key ---- */

/* Calls for a key, of which only those are made that are wanted. */
enum { IDLE, SIZE, MARK, LABELS, ASKED };

/* How long nobody used it is asked first: to ask for its size is to use it. */
static const struct {
	const char *verb, *what;
	unsigned wanted; /* 0: always */
} asked[ASKED] = {
	[IDLE] = { "OBJECT", "", LIST_USES },
	[SIZE] = { "STRLEN", "", 0 },
	[MARK] = { "GET", "usage_date", LIST_USES },
	[LABELS] = { "EXISTS", "labels", LIST_LABELS },
};

static bool
is_asked(const struct walk *walk, size_t i)
{
	return !asked[i].wanted || (walk->wanted & asked[i].wanted);
}

static void
ask_key(struct walk *walk, struct redis_batch *batch, const struct key *key)
{
	struct redis_call *call;

	for (size_t i = 0; i < ASKED; i++) {
		if (!is_asked(walk, i))
			continue;
		call = redis_add(batch, asked[i].verb, asked[i].what, key,
		    i == SIZE ? walk->err : NULL);
		call->link = walk->link;
		if (i != IDLE)
			continue;
		call->word[2] = call->word[1];
		call->word[1] = (struct redis_word){ "IDLETIME", 8 };
		call->count = 3;
		call->key = 2;
	}
}

/* The calls that were made for a key, which begin at `call`. Returns the next key's. */
static const struct redis_call *
find_calls(const struct walk *walk, const struct redis_call *call,
    const redisReply *reply[static ASKED])
{
	for (size_t i = 0; i < ASKED; i++)
		reply[i] = is_asked(walk, i) ? call++->reply : NULL;
	return call;
}

static bool
is_of_type(const redisReply *reply, int type)
{
	return reply && reply->type == type;
}

/* By our own mark, else by the server's memory; 0: it keeps another kind of count. */
static time_t
last_use(const redisReply *idle, const redisReply *mark)
{
	long long marked = is_of_type(mark, REDIS_REPLY_STRING)
	    ? strtoll(mark->str, NULL, 10)
	    : 0;

	if (marked > 0)
		return (time_t)marked;
	if (is_of_type(idle, REDIS_REPLY_INTEGER))
		return time(NULL) - (time_t)idle->integer;
	return 0;
}

/*
 * 0: on to the next, also where it is not a value, or gone: then it has no size, and was
 * never used if that was asked.
 */
static int
tell(struct walk *walk, const struct key *key,
    const redisReply *const reply[static ASKED])
{
	struct location_entry entry = { .key = *key,
		.last_used = last_use(reply[IDLE], reply[MARK]),
		.leaf = &walk->redis->base };

	if (!reply[SIZE])
		return -1;
	if (!is_of_type(reply[SIZE], REDIS_REPLY_INTEGER) ||
	    is_of_type(reply[IDLE], REDIS_REPLY_NIL))
		return 0;
	entry.size = (uint64_t)reply[SIZE]->integer;
	entry.unlabelled = is_of_type(reply[LABELS], REDIS_REPLY_INTEGER) &&
	    reply[LABELS]->integer == 0;
	return walk->fn(walk->arg, &entry);
}

static int
walk_keys(struct walk *walk)
{
	auto_batch batch = { .redis = walk->redis };
	const redisReply *reply[ASKED];
	const struct redis_call *call;
	int rc = 0;

	for (size_t i = 0; i < walk->count; i++)
		ask_key(walk, &batch, &walk->keys[i]);
	redis_run(&batch);
	call = batch.call;
	for (size_t i = 0; rc == 0 && i < walk->count; i++) {
		call = find_calls(walk, call, reply);
		if (i > 0 &&
		    compare_keys(&walk->keys[i - 1], &walk->keys[i]) == 0)
			continue;
		rc = tell(walk, &walk->keys[i], reply);
	}
	return rc;
}

/* ---- page after page ---- */

static bool
is_page(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	    reply->element[0]->type == REDIS_REPLY_STRING &&
	    reply->element[0]->len > 0 && reply->element[0]->len < CURSOR &&
	    reply->element[1]->type == REDIS_REPLY_ARRAY &&
	    reply->element[1]->elements <= PAGE_MOST;
}

static int
no_page(const struct walk *walk, const redisReply *reply)
{
	if (!reply)
		return -1;
	return error_set(walk->err, ERROR_CORRUPT,
	    "'%s' answers to SCAN without a page", redis_link_name(walk->link));
}

static int
walk_page(struct walk *walk, const char *pattern, char cursor[static CURSOR])
{
	struct redis_batch scan = { .redis = walk->redis };
	struct redis_call call = { .err = walk->err, .link = walk->link };
	static const char *const more[] = { "COUNT", PAGE };
	const redisReply *reply;
	int rc = -1;

	redis_call_text(&call, "SCAN");
	redis_call_text(&call, cursor);
	redis_call_text(&call, "MATCH");
	redis_call_text(&call, pattern);
	redis_call_text(&call, more[0]);
	redis_call_text(&call, more[1]);
	scan.call = &call;
	scan.count = 1;
	redis_run(&scan);
	reply = redis_answer(&call, NULL, walk->err);
	if (!reply || !is_page(reply)) {
		rc = no_page(walk, reply);
	} else {
		memcpy(cursor, reply->element[0]->str,
		    (size_t)reply->element[0]->len + 1);
		take_keys(walk, reply->element[1]);
		rc = walk_keys(walk);
		free(walk->keys);
	}
	redis_call_release(&call);
	return rc;
}

/* How many keys are there, of whoever? 0: it doesn't say. */
static long long
count_keys(const struct walk *walk)
{
	struct redis_call call = { .link = walk->link };
	struct redis_batch batch = {
		.redis = walk->redis, .call = &call, .count = 1
	};
	long long count = 0;

	redis_call_text(&call, "DBSIZE");
	redis_run(&batch);
	if (call.reply && call.reply->type == REDIS_REPLY_INTEGER)
		count = call.reply->integer;
	redis_call_release(&call);
	return count;
}

/* Pages of which nothing is ours are as it should be among many keys of others. */
static int
check_end(struct walk *walk)
{
	int64_t most =
	    EMPTY_STEPS * walk->redis->pool.settings.patience.step_us;

	if (walk->count > 0) {
		walk->empty = 0;
		walk->since_us = clock_us();
	}
	if (walk->empty++ < EMPTY || clock_us() - walk->since_us < most ||
	    walk->empty < count_keys(walk) / SPARSE)
		return 0;
	return error_set(walk->err, ERROR_CORRUPT,
	    "'%s' goes on with empty pages to SCAN without end",
	    redis_link_name(walk->link));
}

static int
walk_space(struct walk *walk, enum key_space space)
{
	const struct redis *redis = walk->redis;
	auto_free char *pattern =
	    pattern_of(space == KEY_BLOB ? redis->prefix : redis->index);
	char cursor[CURSOR] = "0";
	int rc;

	walk->space = space;
	walk->empty = 0;
	walk->since_us = clock_us();
	do {
		rc = walk_page(walk, pattern, cursor);
		if (rc == 0)
			rc = check_end(walk);
	} while (rc == 0 && strcmp(cursor, "0") != 0);
	return rc;
}

int
redis_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	struct redis *redis = redis_of(loc);
	struct walk walk = { .redis = redis,
		.wanted = wanted,
		.fn = fn,
		.arg = arg,
		.err = err };
	int rc;

	rc = redis_pool_learn(&redis->pool, err);
	redis->pool.held = true;
	for (size_t i = 0; rc == 0 && i < redis->pool.links; i++) {
		if (!redis_pool_has_keys(&redis->pool, i))
			continue;
		walk.link = redis->pool.link[i];
		if (wanted & LIST_INDEX)
			rc = walk_space(&walk, KEY_INDEX);
		if (rc == 0 && (wanted & LIST_BLOBS))
			rc = walk_space(&walk, KEY_BLOB);
	}
	redis->pool.held = false;
	return rc;
}
