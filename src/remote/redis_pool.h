#ifndef REDIS_POOL_H
#define REDIS_POOL_H

#include "remote/redis_link.h"

/*
 * The servers of one location: one, or those of a cluster, as far as it has told us of
 * them. Many calls go out before the first answer is waited for, to each server its
 * own, as many as its memory and ours can be asked to hold.
 *
 * That a server is one of a cluster shows when it sends us to another one. Then it
 * is asked who has what, and from there on each call goes to the right one. A call
 * is sent on REDIS_HOPS times at most, and to REDIS_LINKS servers in all. Those that
 * have no slots are forgotten some time, as a cluster may change its names for ever.
 */
#define REDIS_HOPS 5
#define REDIS_LINKS 1024

struct redis_pool {
	struct redis_settings settings;
	struct redis_link **link;
	struct redis_line *line; /* of each: what is on its way */
	size_t links, enough; /* of which there are more after a while: look */
	struct redis_link *given; /* the first, which the configuration names */
	bool held;                /* somebody has a link: forget none */
	size_t broken; /* a link's number from 1: it could not be used; or 0 */
	uint16_t
	    *owner; /* of each slot, a link's number from 1; NULL: no cluster */
};

/* The settings' texts are borrowed. `host` is NULL for a Unix socket. */
void redis_pool_init(struct redis_pool *pool,
    const struct redis_settings *settings, const char *host, uint16_t port);
void redis_pool_release(struct redis_pool *pool);

/*
 * Make all calls; those without a link go where their key belongs, or to the first.
 * Each has a reply then, or, where it is wanted, an error.
 */
void redis_pool_run(
    struct redis_pool *pool, struct redis_call *call, size_t count);

/* Ask who has which slot. 0, also where there is no cluster, or -1. */
int redis_pool_learn(struct redis_pool *pool, struct error *err);

/* Does this server, the i-th, have keys of its own? */
bool redis_pool_has_keys(const struct redis_pool *pool, size_t i);

#endif
