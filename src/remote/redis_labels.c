/*
 * Labels of a value in Redis, and the lock under which they are changed: as long as it
 * is there, its maker is at it, and a dead one's goes by itself.
 */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "locations/labels.h"
#include "remote/redis.h"

#define LOCK_SECONDS "10"
#define LOCK_SAFE_US (9 * 1000 * 1000)
#define TRIES 1000 /* 10 ms apart */

/* ---- the lock ---- */

static char *
lock_name(const struct redis *redis, const struct key *key, size_t *len)
{
	size_t before = strlen(redis->prefix) + 1;
	char *name = xasprintf("%s:%*s", redis->prefix, DIGEST_SIZE, "");

	memcpy(name + before, key->digest.bytes, DIGEST_SIZE);
	*len = before + DIGEST_SIZE;
	return name;
}

/* One call about the lock. 1: yes, 0: no, -1. */
static int
ask_lock(struct redis *redis, const char *verb, const struct key *key,
    const char *const *words, struct error *err)
{
	struct redis_batch batch = { .redis = redis };
	struct redis_call call = { .err = err, .key = 1 };
	const redisReply *reply;
	size_t len;
	int rc;

	redis_call_text(&call, verb);
	call.name = lock_name(redis, key, &len);
	redis_call_word(&call, call.name, len);
	for (; *words; words++)
		redis_call_text(&call, *words);
	batch.call = &call;
	batch.count = 1;
	redis_run(&batch);
	reply = redis_answer(&call, NULL, err);
	rc = reply ? reply->type != REDIS_REPLY_NIL : -1;
	redis_call_release(&call);
	return rc;
}

static int
lock(struct redis *redis, const struct key *key, int64_t *taken_us,
    struct error *err)
{
	static const char *const words[] = { "-1", "NX", "EX", LOCK_SECONDS,
		NULL };
	const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };
	int64_t deadline = redis->base.deadline_us;

	for (int tries = 0; tries < TRIES; tries++) {
		int rc;

		*taken_us = clock_us();
		rc = ask_lock(redis, "SET", key, words, err);
		if (rc)
			return rc < 0 ? -1 : 0;
		if (deadline && clock_us() >= deadline)
			return error_set(err, ERROR_UNREACHABLE,
			    "another has the lock of the labels, and the time "
			    "for it is over");
		(void)nanosleep(&nap, NULL);
	}
	return error_set(err, ERROR_UNREACHABLE,
	    "another has had the lock of the labels for " LOCK_SECONDS " s");
}

/* Once it may have gone by itself, it may be another's. */
static void
unlock(struct redis *redis, const struct key *key, int64_t taken_us)
{
	static const char *const none[] = { NULL };
	struct error ignored = { 0 };

	if (clock_us() - taken_us < LOCK_SAFE_US)
		(void)ask_lock(redis, "DEL", key, none, &ignored);
}

/* ---- labels ---- */

/* Returns 1, 0 if there are none, or -1. */
static int
load(struct redis *redis, const struct key *key, struct labels *labels,
    struct error *err)
{
	auto_batch batch = { .redis = redis };
	const redisReply *reply;

	redis_add(&batch, "GET", "labels", key, err);
	redis_add_expire(&batch, "labels", key);
	redis_run(&batch);
	reply = redis_answer(&batch.call[0], NULL, err);
	if (!reply)
		return -1;
	if (reply->type != REDIS_REPLY_STRING)
		return 0;
	return labels_load(labels, reply->str, (size_t)reply->len,
	    redis_link_name(batch.call[0].link), err);
}

enum outcome
redis_labels(struct location *loc, const struct key *key, location_label_fn *fn,
    void *arg, struct error *err)
{
	auto_labels labels = LABELS_INIT;
	int there =
	    key->space == KEY_BLOB ? load(redis_of(loc), key, &labels, err) : 0;

	return labels_tell(&labels, there, fn, arg);
}

static int
store(struct redis *redis, const struct key *key, const struct buf *text,
    struct error *err)
{
	auto_batch batch = { .redis = redis };
	struct redis_call *call;

	call = redis_add(&batch, "SET", "labels", key, err);
	redis_call_word(call, text->data, text->len);
	redis_call_ttl(redis, call);
	redis_run(&batch);
	return redis_answer(&batch.call[0], NULL, err) ? 0 : -1;
}

static int
merge(struct redis *redis, const struct key *key, const char *const *more,
    struct error *err)
{
	auto_labels had = LABELS_INIT;
	auto_buf text = BUF_INIT;
	int rc = load(redis, key, &had, err);

	rc = labels_merge(&had, rc, more, &text, err);
	return rc > 0 ? store(redis, key, &text, err) : rc;
}

static void
drop(struct redis *redis, const struct key *key)
{
	auto_batch batch = { .redis = redis };

	redis_add(&batch, "DEL", "labels", key, NULL);
	redis_run(&batch);
}

/* Nothing stays for a value that went meanwhile. */
enum outcome
redis_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	struct redis *redis = redis_of(loc);
	enum outcome there =
	    key->space == KEY_BLOB ? loc->kind->contains(loc, key, err) : MISS;

	int64_t taken;

	if (there != HIT || !*labels)
		return there;
	if (lock(redis, key, &taken, err) < 0)
		return FAILED;
	if (merge(redis, key, labels, err) < 0)
		there = FAILED;
	unlock(redis, key, taken);
	if (there != HIT)
		return there;
	there = loc->kind->contains(loc, key, err);
	if (there == MISS)
		drop(redis, key);
	return there;
}
