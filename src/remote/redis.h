#ifndef REDIS_H
#define REDIS_H

#include "locations/location.h"
#include "remote/redis_pool.h"

/*
 * A Redis server, or a cluster of them, as a location, with the names that the Python
 * library tarn has for things:
 *
 *	<prefix><key>              a blob; the key is 32 bytes, not digits
 *	labels<prefix><key>        its labels: a JSON list
 *	usage_date<prefix><key>    when it was used last, in seconds, with `usage`
 *	<prefix>:<key>             a lock, for as long as labels are changed
 *	index<prefix><key>         what has no content for a name; that library knows
 *	                           none, and it is not among what it finds by `prefix`
 */
struct redis {
	struct location base;
	struct redis_pool pool;
	char *user, *password, *host, *path, *database; /* as decoded */
	char *ca, *cert, *key;
	char *prefix, *index; /* of blobs' names and of the others' */
	char *ttl;            /* seconds; NULL: what is kept stays */
	bool usage;
	uint64_t max_size;   /* of a value, bytes */
	uint64_t server_max; /* what the server takes; 0: not asked yet */
};

struct redis *redis_of(struct location *loc);

/* Calls that go out together. */
struct redis_batch {
	struct redis *redis;
	struct redis_call *call;
	size_t count, room;
};
void redis_batch_release(struct redis_batch *batch);
#define auto_batch \
	__attribute__((cleanup(redis_batch_release))) struct redis_batch

/*
 * One more: `verb`, and the name of `key` with `what` in front ("", "labels",
 * "usage_date"). It stays where it is until the next is added. `err` is why there is no
 * answer, or NULL.
 */
struct redis_call *redis_add(struct redis_batch *batch, const char *verb,
    const char *what, const struct key *key, struct error *err);

/* The same for `EXPIRE`, where what is kept is to go some day. */
void redis_add_expire(
    struct redis_batch *batch, const char *what, const struct key *key);

void redis_run(struct redis_batch *batch);

/* Words behind it: how long the value is to be kept. */
void redis_call_ttl(const struct redis *redis, struct redis_call *call);

/* The name of a value. The caller frees it. */
char *redis_name(const struct redis *redis, const char *what,
    const struct key *key, size_t *len);

/*
 * The answer, unless it is an error: then NULL, with the error as the call got it or as
 * the server says it. With `outcome`, which is that of a write, a server that is full,
 * read-only or won't let us write makes it DECLINED, anything else FAILED.
 */
const redisReply *redis_answer(
    const struct redis_call *call, enum outcome *outcome, struct error *err);

/* redis_list.c, redis_labels.c: as in struct location_kind. */
int redis_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err);
enum outcome redis_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err);
enum outcome redis_labels(struct location *loc, const struct key *key,
    location_label_fn *fn, void *arg, struct error *err);

#endif
