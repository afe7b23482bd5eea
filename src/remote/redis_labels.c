/*
 * Labels of a value in Redis, and the lock under which they are changed: as long as it
 * is there, its maker is at it, and a dead one's goes by itself.
 */
#include <string.h>
#include <time.h>

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

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
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

		*taken_us = now_us();
		rc = ask_lock(redis, "SET", key, words, err);
		if (rc)
			return rc < 0 ? -1 : 0;
		if (deadline && now_us() >= deadline)
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

	if (now_us() - taken_us < LOCK_SAFE_US)
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
	if ((size_t)reply->len > LABELS_MAX)
		return error_set(err, ERROR_CORRUPT,
		    "expected labels of at most %zu bytes", LABELS_MAX);
	if (labels_parse(labels, reply->str, (size_t)reply->len, err) < 0)
		return error_wrap(err, "labels in '%s' are damaged",
		    redis_link_name(batch.call[0].link));
	labels_sort(labels);
	return labels->count > 0;
}

enum outcome
redis_labels(struct location *loc, const struct key *key, location_label_fn *fn,
    void *arg, struct error *err)
{
	auto_labels labels = LABELS_INIT;
	int there =
	    key->space == KEY_BLOB ? load(redis_of(loc), key, &labels, err) : 0;

	if (there <= 0)
		return there < 0 ? FAILED : MISS;
	for (size_t i = 0; i < labels.count; i++) {
		if (fn(arg, labels.item[i]))
			break;
	}
	return HIT;
}

static int
store(struct redis *redis, const struct key *key, const struct labels *labels,
    struct error *err)
{
	auto_batch batch = { .redis = redis };
	auto_buf text = BUF_INIT;
	struct redis_call *call;

	labels_format(labels, &text);
	if (text.len > LABELS_MAX)
		return error_set(err, ERROR_USAGE,
		    "too many labels: they take more than %zu bytes",
		    LABELS_MAX);
	call = redis_add(&batch, "SET", "labels", key, err);
	redis_call_word(call, text.data, text.len);
	redis_call_ttl(redis, call);
	redis_run(&batch);
	return redis_answer(&batch.call[0], NULL, err) ? 0 : -1;
}

static int
merge(struct redis *redis, const struct key *key, const char *const *more,
    struct error *err)
{
	auto_labels had = LABELS_INIT;
	auto_labels labels = LABELS_INIT;
	struct error damage = { 0 };
	int there = load(redis, key, &had, &damage);

	if (there < 0 && damage.kind != ERROR_CORRUPT) {
		*err = damage;
		return -1;
	}
	for (size_t i = 0; there > 0 && i < had.count; i++)
		labels_add(&labels, had.item[i]);
	for (; *more; more++)
		labels_add(&labels, *more);
	labels_sort(&labels);
	if (there > 0 && labels_equal(&had, &labels))
		return 0;
	return store(redis, key, &labels, err);
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
