/*
 * What a Redis has of ours, by SCAN, a page after the other. A page's keys are asked
 * for their size and last use together; what went meanwhile is left out. What is not
 * as long as our names are is not ours. What comes or goes while pages are turned may
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

#define ASKED 4 /* calls for a key */

/* How long nobody used it is asked first: to ask for its size is to use it. */
static void
ask_key(struct walk *walk, struct redis_batch *batch, const struct key *key)
{
	static const struct {
		const char *verb, *what;
	} asked[ASKED] = {
		{ "OBJECT", "" },
		{ "STRLEN", "" },
		{ "GET", "usage_date" },
		{ "EXISTS", "labels" },
	};
	struct redis_call *call;

	for (size_t i = 0; i < ASKED; i++) {
		call = redis_add(batch, asked[i].verb, asked[i].what, key,
		    i == 1 ? walk->err : NULL);
		call->link = walk->link;
		if (i > 0)
			continue;
		call->word[2] = call->word[1];
		call->word[1] = (struct redis_word){ "IDLETIME", 8 };
		call->count = 3;
		call->key = 2;
	}
}

/* By our own mark, else by the server's memory; 0: it keeps another kind of count. */
static time_t
last_use(const struct redis_call *idle, const struct redis_call *mark)
{
	long long marked =
	    mark->reply && mark->reply->type == REDIS_REPLY_STRING
	    ? strtoll(mark->reply->str, NULL, 10)
	    : 0;

	if (marked > 0)
		return (time_t)marked;
	if (idle->reply && idle->reply->type == REDIS_REPLY_INTEGER)
		return time(NULL) - (time_t)idle->reply->integer;
	return 0;
}

/* 0: on to the next, also where it is gone or not a value. */
static int
tell(struct walk *walk, const struct key *key, const struct redis_call *call)
{
	struct location_entry entry = { .key = *key,
		.last_used = last_use(&call[0], &call[2]),
		.leaf = &walk->redis->base };

	entry.unlabelled = call[3].reply &&
	    call[3].reply->type == REDIS_REPLY_INTEGER &&
	    call[3].reply->integer == 0;
	if (!call[1].reply)
		return -1;
	if (call[1].reply->type != REDIS_REPLY_INTEGER ||
	    (call[0].reply && call[0].reply->type == REDIS_REPLY_NIL))
		return 0;
	entry.size = (uint64_t)call[1].reply->integer;
	return walk->fn(walk->arg, &entry);
}

static int
walk_keys(struct walk *walk)
{
	auto_batch batch = { .redis = walk->redis };
	int rc = 0;

	for (size_t i = 0; i < walk->count; i++)
		ask_key(walk, &batch, &walk->keys[i]);
	redis_run(&batch);
	for (size_t i = 0; rc == 0 && i < walk->count; i++) {
		if (i > 0 &&
		    compare_keys(&walk->keys[i - 1], &walk->keys[i]) == 0)
			continue;
		rc = tell(walk, &walk->keys[i], &batch.call[ASKED * i]);
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
redis_list(
    struct location *loc, location_entry_fn *fn, void *arg, struct error *err)
{
	struct redis *redis = redis_of(loc);
	struct walk walk = { .redis = redis, .fn = fn, .arg = arg, .err = err };
	int rc;

	rc = redis_pool_learn(&redis->pool, err);
	redis->pool.held = true;
	for (size_t i = 0; rc == 0 && i < redis->pool.links; i++) {
		if (!redis_pool_has_keys(&redis->pool, i))
			continue;
		walk.link = redis->pool.link[i];
		rc = walk_space(&walk, KEY_INDEX);
		if (rc == 0)
			rc = walk_space(&walk, KEY_BLOB);
	}
	redis->pool.held = false;
	return rc;
}
