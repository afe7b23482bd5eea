/*
 * A Redis server, or a cluster, as a location (redis.h has its names for things).
 *
 *	redis://[user:password@]host[:port][/database]
 *	rediss://...                          the same over TLS
 *	redis+unix:///path                    a Unix socket
 *
 * Options: prefix, ttl, user, password, db, ca, cert, key, usage, max_size, timeout.
 *
 * Each command reaches the server whole or not at all, so a value is there whole or
 * not at all. A batch costs one round trip, or as many as the memory of both sides
 * needs. Redis takes values in one piece: larger ones than `max_size` are declined.
 */
#include "remote/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/percent.h"
#include "base/size.h"
#include "remote/kinds.h"
#include "remote/place.h"

#define PORT 6379
#define MAX_SIZE ((uint64_t)64 << 20)
#define SERVER_LEAST ((uint64_t)1 << 20) /* a server takes at least that */
#define SERVER_MOST \
	((uint64_t)512 << 20) /* and that, if it isn't told otherwise */
#define CONNECT_US ((int64_t)3 * 1000 * 1000)
#define STEP_SECONDS 10

/* ---- opening ---- */

static const char *const options[] = { "prefix", "ttl", "user", "password",
	"db", "ca", "cert", "key", "usage", "max_size", "timeout", NULL };

static char *
copy_option(const Tarn__Location *config, const char *name)
{
	const char *value = place_option(config, name);

	return value ? xstrdup(value) : NULL;
}

/* Digits, at least `least`; NULL is fine. */
static int
check_number(
    const char *what, const char *text, unsigned long least, struct error *err)
{
	size_t len = text ? strlen(text) : 0;

	if (!text ||
	    (len > 0 && len < 10 && strspn(text, "0123456789") == len &&
	        strtoul(text, NULL, 10) >= least))
		return 0;
	return error_set(err, ERROR_USAGE,
	    "'%s' of a redis is '%s'; expected a number from %lu", what, text,
	    least);
}

/* What is in the URL; options may say more of it. */
static int
read_place(struct redis *redis, struct place *place, struct error *err)
{
	bool local = strcmp(place->scheme, "redis+unix") == 0;
	size_t len = strlen(place->path);
	char *path;

	redis->user = take(place->user);
	redis->password = take(place->password);
	if (redis->user && !*redis->user) {
		free(redis->user);
		redis->user = NULL;
	}
	while (!local && len > 0 && place->path[len - 1] == '/')
		place->path[--len] = '\0';
	path = percent_decode(place->path, len);
	if (!path || local == (*place->host != '\0')) {
		free(path);
		return error_set(err, ERROR_USAGE,
		    "expected %s, got '%s://%s/%s'",
		    local ? "redis+unix:///path" : "a host", place->scheme,
		    place->host, place->path);
	}
	if (local) {
		redis->path = xasprintf("/%s", path);
		free(path);
		return 0;
	}
	redis->host = take(place->host);
	redis->database = *path ? path : NULL;
	if (!*path)
		free(path);
	return 0;
}

static void
override(char **text, char *with)
{
	if (!with)
		return;
	free(*text);
	*text = with;
}

static int
read_sizes(struct redis *redis, const Tarn__Location *config, struct error *err)
{
	const char *max_size = place_option(config, "max_size");
	const char *timeout = place_option(config, "timeout");

	redis->max_size = MAX_SIZE;
	if (max_size && size_parse(max_size, &redis->max_size, err) < 0)
		return error_wrap(err, "'max_size' of a redis");
	if (redis->max_size > SERVER_MOST)
		return error_set(err, ERROR_USAGE,
		    "'max_size' of a redis is '%s'; expected at most 512 MiB",
		    max_size);
	if (check_number("timeout", timeout, 1, err) < 0)
		return -1;
	redis->pool.settings.patience =
	    (struct patience){ .deadline_us = &redis->base.deadline_us,
		    .connect_us = CONNECT_US,
		    .step_us =
		        (timeout ? strtol(timeout, NULL, 10) : STEP_SECONDS) *
		        1000000L };
	if (redis->pool.settings.patience.step_us < CONNECT_US)
		redis->pool.settings.patience.connect_us =
		    redis->pool.settings.patience.step_us;
	return 0;
}

static int
read_options(
    struct redis *redis, const Tarn__Location *config, struct error *err)
{
	if (place_options(config, options, err) < 0)
		return -1;
	override(&redis->user, copy_option(config, "user"));
	override(&redis->password, copy_option(config, "password"));
	override(&redis->database, copy_option(config, "db"));
	redis->prefix = copy_option(config, "prefix");
	redis->ttl = copy_option(config, "ttl");
	redis->ca = copy_option(config, "ca");
	redis->cert = copy_option(config, "cert");
	redis->key = copy_option(config, "key");
	if (!redis->prefix)
		redis->prefix = xstrdup("");
	if (redis->user && !redis->password)
		return error_set(
		    err, ERROR_USAGE, "a redis has a user and no password");
	if (check_number("db", redis->database, 0, err) < 0 ||
	    check_number("ttl", redis->ttl, 1, err) < 0 ||
	    read_sizes(redis, config, err) < 0)
		return -1;
	return place_flag(config, "usage", false, &redis->usage, err);
}

/* The Python library takes what begins with its prefix for blobs. */
static char *
index_name(const char *prefix)
{
	char *name = xasprintf("index%s", prefix);

	if (!*prefix || strncmp(name, prefix, strlen(prefix)) != 0)
		return name;
	free(name);
	return xasprintf(":index%s", prefix);
}

static void
start_pool(struct redis *redis, bool encrypted, uint16_t port)
{
	struct redis_settings settings = { .path = redis->path,
		.user = redis->user,
		.password = redis->password,
		.database = redis->database,
		.ca = redis->ca,
		.cert = redis->cert,
		.key = redis->key,
		.encrypted = encrypted,
		.max_reply = (size_t)redis->max_size + 65536,
		.patience = redis->pool.settings.patience };

	redis->index = index_name(redis->prefix);
	redis_pool_init(
	    &redis->pool, &settings, redis->host, port ? port : PORT);
}

static void
forget_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void
redis_close(struct location *loc)
{
	struct redis *redis = redis_of(loc);

	redis_pool_release(&redis->pool);
	forget_secret(redis->password);
	free(redis->user);
	free(redis->host);
	free(redis->path);
	free(redis->database);
	free(redis->ca);
	free(redis->cert);
	free(redis->key);
	free(redis->prefix);
	free(redis->index);
	free(redis->ttl);
	free(redis);
}

static struct location *
redis_open(const Tarn__Location *config, struct error *err)
{
	struct redis *redis = xmalloc(sizeof(*redis));
	struct place place;
	bool fine;

	*redis = (struct redis){ .base = { .kind = &location_redis } };
	fine = place_parse(&place, config->place, err) == 0;
	if (fine) {
		fine = read_place(redis, &place, err) == 0 &&
		    read_options(redis, config, err) == 0;
		if (fine)
			start_pool(redis, strcmp(place.scheme, "rediss") == 0,
			    place.port);
		place_release(&place);
	}
	if (fine)
		return &redis->base;
	redis_close(&redis->base);
	return NULL;
}

/* ---- when it was used ---- */

/* A time as Python writes one. */
static void
now_text(char *text, size_t size)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	snprintf(text, size, "%lld.%06ld", (long long)now.tv_sec,
	    now.tv_nsec / 1000);
}

/* `now` has to outlive the batch. */
static void
add_use(struct redis_batch *batch, const struct key *key, const char *now)
{
	struct redis_call *call =
	    redis_add(batch, "SET", "usage_date", key, NULL);

	redis_call_text(call, now);
	redis_call_ttl(batch->redis, call);
}

/* ---- reading ---- */

static enum outcome
read_outcome(const struct redis_call *call, struct error *err)
{
	const redisReply *reply = redis_answer(call, NULL, err);

	if (!reply)
		return FAILED;
	if (reply->type == REDIS_REPLY_NIL)
		return MISS;
	if (reply->type == REDIS_REPLY_STRING)
		return HIT;
	return error_set(err, ERROR_CORRUPT,
	    "'%s' answers to GET without a value", redis_link_name(call->link));
}

static void
mark_read(struct redis *redis, const struct location_read_request *requests,
    size_t count)
{
	auto_batch batch = { .redis = redis };
	char now[64];

	if (!redis->usage)
		return;
	now_text(now, sizeof(now));
	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome == HIT)
			add_use(&batch, &requests[i].key, now);
	}
	redis_run(&batch);
}

static void
redis_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	auto_batch batch = { .redis = redis_of(loc) };
	auto_free size_t *at = xrealloc(NULL, count, sizeof(*at));

	for (size_t i = 0; i < count; i++) {
		at[i] = batch.count;
		redis_add(&batch, "GET", "", &requests[i].key, &requests[i].err)
		    ->out = requests[i].out;
		redis_add_expire(&batch, "", &requests[i].key);
	}
	redis_run(&batch);
	for (size_t i = 0; i < count; i++)
		requests[i].outcome =
		    read_outcome(&batch.call[at[i]], &requests[i].err);
	mark_read(batch.redis, requests, count);
}

static enum outcome
redis_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct location_read_request request = { .key = *key, .out = out };

	redis_read_batch(loc, &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

/* ---- writing ---- */

/*
 * What the server takes: `proto-max-bulk-len`, which is 512 MiB where nobody changed
 * it, and which not everybody is let know. A larger value would cost us the connection.
 */
static uint64_t
server_limit(struct redis *redis)
{
	struct redis_call call = { 0 };
	const redisReply *reply;

	if (redis->server_max)
		return redis->server_max;
	redis_call_text(&call, "CONFIG");
	redis_call_text(&call, "GET");
	redis_call_text(&call, "proto-max-bulk-len");
	redis_pool_run(&redis->pool, &call, 1);
	reply = call.reply;
	redis->server_max = reply ? SERVER_MOST : 0;
	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	    reply->element[1]->type == REDIS_REPLY_STRING &&
	    strtoull(reply->element[1]->str, NULL, 10) >= SERVER_LEAST)
		redis->server_max = strtoull(reply->element[1]->str, NULL, 10);
	redis_call_release(&call);
	return redis->server_max ? redis->server_max : SERVER_MOST;
}

static bool
takes(struct redis *redis, const struct source *in)
{
	return in->size <= redis->max_size &&
	    (in->size <= SERVER_LEAST || in->size <= server_limit(redis));
}

static void
add_write(struct redis_batch *batch, struct location_write_request *request)
{
	struct redis_call *call =
	    redis_add(batch, "SET", "", &request->key, &request->err);

	call->in = request->in;
	redis_call_word(call, NULL, request->in->size);
	if (request->mode == WRITE_IF_ABSENT)
		redis_call_text(call, "NX");
	redis_call_ttl(batch->redis, call);
}

static enum outcome
write_outcome(const struct redis_call *call, struct error *err)
{
	enum outcome outcome;
	const redisReply *reply = redis_answer(call, &outcome, err);

	if (!reply)
		return outcome;
	if (reply->type == REDIS_REPLY_NIL)
		return KEPT;
	if (reply->type == REDIS_REPLY_STATUS)
		return STORED;
	return error_set(err, ERROR_CORRUPT,
	    "'%s' answers to SET with nonsense", redis_link_name(call->link));
}

/* A value that was there is used, too. */
static void
mark_written(struct redis *redis, const struct location_write_request *requests,
    size_t count)
{
	auto_batch batch = { .redis = redis };
	char now[64];

	now_text(now, sizeof(now));
	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome == KEPT)
			redis_add_expire(&batch, "", &requests[i].key);
		if (requests[i].outcome > DECLINED && redis->usage)
			add_use(&batch, &requests[i].key, now);
	}
	if (batch.count)
		redis_run(&batch);
}

static void
redis_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	auto_batch batch = { .redis = redis_of(loc) };
	auto_free size_t *at = xrealloc(NULL, count, sizeof(*at));

	for (size_t i = 0; i < count; i++) {
		at[i] = SIZE_MAX;
		requests[i].outcome = DECLINED;
		if (!takes(batch.redis, requests[i].in))
			continue;
		at[i] = batch.count;
		add_write(&batch, &requests[i]);
	}
	redis_run(&batch);
	for (size_t i = 0; i < count; i++) {
		if (at[i] != SIZE_MAX)
			requests[i].outcome =
			    write_outcome(&batch.call[at[i]], &requests[i].err);
	}
	mark_written(batch.redis, requests, count);
}

static enum outcome
redis_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct location_write_request request = {
		.key = *key, .in = in, .mode = mode
	};

	redis_write_batch(loc, &request, 1);
	if (request.err.kind != ERROR_NONE)
		*err = request.err;
	return request.outcome;
}

static uint64_t
redis_limit(struct location *loc)
{
	return redis_of(loc)->max_size;
}

/* ---- the rest ---- */

/* How many keys a command was about: none, or the one. */
static enum outcome
count_outcome(const struct redis_call *call, struct error *err)
{
	const redisReply *reply = redis_answer(call, NULL, err);

	if (!reply)
		return FAILED;
	if (reply->type == REDIS_REPLY_INTEGER)
		return reply->integer > 0 ? HIT : MISS;
	return error_set(err, ERROR_CORRUPT,
	    "'%s' answers to %s without a number", redis_link_name(call->link),
	    (const char *)call->word[0].data);
}

static void
redis_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	auto_batch batch = { .redis = redis_of(loc) };

	for (size_t i = 0; i < count; i++)
		redis_add(
		    &batch, "EXISTS", "", &requests[i].key, &requests[i].err);
	redis_run(&batch);
	for (size_t i = 0; i < count; i++)
		requests[i].outcome =
		    count_outcome(&batch.call[i], &requests[i].err);
}

static enum outcome
redis_contains(struct location *loc, const struct key *key, struct error *err)
{
	struct location_contains_request request = { .key = *key };

	redis_contains_batch(loc, &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

static enum outcome
redis_remove(struct location *loc, const struct key *key, struct error *err)
{
	auto_batch batch = { .redis = redis_of(loc) };

	redis_add(&batch, "DEL", "", key, err);
	redis_add(&batch, "DEL", "usage_date", key, NULL);
	if (key->space == KEY_BLOB)
		redis_add(&batch, "DEL", "labels", key, NULL);
	redis_run(&batch);
	return count_outcome(&batch.call[0], err);
}

static enum outcome
redis_touch(struct location *loc, const struct key *key, struct error *err)
{
	auto_batch batch = { .redis = redis_of(loc) };
	auto_batch use = { .redis = redis_of(loc) };
	enum outcome outcome;
	char now[64];

	redis_add(&batch, "TOUCH", "", key, err);
	redis_add_expire(&batch, "", key);
	redis_run(&batch);
	outcome = count_outcome(&batch.call[0], err);
	if (outcome != HIT || !batch.redis->usage)
		return outcome;
	now_text(now, sizeof(now));
	add_use(&use, key, now);
	redis_run(&use);
	return HIT;
}

const struct location_kind location_redis = {
	.name = "redis",
	.remote = true,
	.open = redis_open,
	.close = redis_close,
	.read = redis_read,
	.write = redis_write,
	.contains = redis_contains,
	.remove = redis_remove,
	.touch = redis_touch,
	.list = redis_list,
	.add_labels = redis_add_labels,
	.labels = redis_labels,
	.read_batch = redis_read_batch,
	.write_batch = redis_write_batch,
	.contains_batch = redis_contains_batch,
	.limit = redis_limit,
};
