#ifndef REDIS_SLOTS_H
#define REDIS_SLOTS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A cluster of Redis servers shares keys out by slots: the CRC16 of a key, or of what
 * it has between braces. Any server may be asked; who hasn't the slot answers with
 * who has, "MOVED 15495 10.0.0.7:6379" for good or "ASK 15495 10.0.0.7:6379" for
 * once, and "CLUSTER SLOTS" tells all of it. All of that is another's word.
 */
#define REDIS_SLOTS 16384
#define REDIS_HOST_MAX 255

unsigned redis_slot(const void *key, size_t size);

struct redis_redirect {
	bool ask;
	unsigned slot;
	char host[REDIS_HOST_MAX + 1]; /* "": the one that said so */
	uint16_t port;
};

/* False: it is another error, or a redirection that makes no sense. */
bool redis_redirect_parse(
    struct redis_redirect *redirect, const char *text, size_t len);

/* Is it a redirection, of sense or not? */
bool redis_is_redirect(const char *text, size_t len);

/*
 * Call `fn` for each range of slots and who has it; `host` is "" for the one that was
 * asked. Returns how many there were, -1 if this is no such answer: `fn` may have
 * been called.
 */
typedef void redis_range_fn(
    void *arg, unsigned first, unsigned last, const char *host, uint16_t port);
int redis_slots_each(const redisReply *reply, redis_range_fn *fn, void *arg);

#endif
