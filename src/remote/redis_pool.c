#include "remote/redis_pool.h"

#include <string.h>

#include "base/mem.h"
#include "remote/redis_slots.h"

/* Calls that are on their way to one server; and bytes that it may owe us. */
#define WINDOW 512
#define OWED ((size_t)64 << 20)

#define SPARE 8 /* servers that are kept at least, whatever they have */

/* The calls of one server, oldest first; those before `unsent` wait for an answer. */
struct redis_line {
	struct redis_call *first, *unsent, **end;
	size_t waiting;
};

/* ---- the servers ---- */

static struct redis_link *
add_link(struct redis_pool *pool, const char *host, uint16_t port)
{
	size_t count = pool->links + 1;

	pool->link = xrealloc(pool->link, count, sizeof(struct redis_link *));
	pool->line = xrealloc(pool->line, count, sizeof(*pool->line));
	pool->link[pool->links] = redis_link_new(&pool->settings, host, port);
	return pool->link[pool->links++];
}

void
redis_pool_init(struct redis_pool *pool, const struct redis_settings *settings,
    const char *host, uint16_t port)
{
	*pool = (struct redis_pool){ .settings = *settings, .enough = SPARE };
	pool->given = add_link(pool, host, port);
}

void
redis_pool_release(struct redis_pool *pool)
{
	for (size_t i = 0; i < pool->links; i++)
		redis_link_free(pool->link[i]);
	free(pool->link);
	free(pool->line);
	free(pool->owner);
	*pool = (struct redis_pool){ 0 };
}

/* The number of a server from 1, made known if need be; 0: there are too many. */
static size_t
number_of(struct redis_pool *pool, const char *host, uint16_t port)
{
	for (size_t i = 0; i < pool->links; i++) {
		if (redis_link_port(pool->link[i]) == port &&
		    strcmp(redis_link_host(pool->link[i]), host) == 0)
			return i + 1;
	}
	if (pool->links == REDIS_LINKS)
		return 0;
	(void)add_link(pool, host, port);
	return pool->links;
}

static size_t
index_of(const struct redis_pool *pool, const struct redis_link *link)
{
	for (size_t i = 0; i < pool->links; i++) {
		if (pool->link[i] == link)
			return i;
	}
	return 0;
}

bool
redis_pool_has_keys(const struct redis_pool *pool, size_t i)
{
	if (!pool->owner)
		return i == 0;
	for (size_t slot = 0; slot < REDIS_SLOTS; slot++) {
		if (pool->owner[slot] == i + 1)
			return true;
	}
	return false;
}

/* Of each server: has it any slot? */
static void
find_owners(const struct redis_pool *pool, bool owns[static REDIS_LINKS])
{
	for (size_t i = 0; i < pool->links; i++)
		owns[i] = pool->link[i] == pool->given;
	for (size_t slot = 0; slot < REDIS_SLOTS; slot++) {
		if (pool->owner[slot])
			owns[pool->owner[slot] - 1] = true;
	}
}

/*
 * Servers without slots may be needed while these move; so they go only once there
 * are more of them than of the others.
 */
static void
forget_idle(struct redis_pool *pool)
{
	bool owns[REDIS_LINKS];
	uint16_t number[REDIS_LINKS + 1] = { 0 };
	size_t kept = 0;

	if (pool->links <= pool->enough || pool->held || !pool->owner)
		return;
	find_owners(pool, owns);
	for (size_t i = 0; i < pool->links; i++) {
		if (owns[i]) {
			pool->link[kept++] = pool->link[i];
			number[i + 1] = (uint16_t)kept;
		} else {
			redis_link_free(pool->link[i]);
		}
	}
	for (size_t slot = 0; slot < REDIS_SLOTS; slot++)
		pool->owner[slot] = number[pool->owner[slot]];
	pool->links = kept;
	pool->enough = 2 * kept + SPARE;
}

/* ---- who has what ---- */

static struct redis_link *
link_for(const struct redis_pool *pool, const struct redis_call *call)
{
	const struct redis_word *key = &call->word[call->key];
	size_t number = 0;

	if (pool->owner && call->key)
		number = pool->owner[redis_slot(key->data, key->len)];
	return pool->link[number ? number - 1 : 0];
}

static void
set_owner(struct redis_pool *pool, unsigned slot, size_t number)
{
	if (!pool->owner) {
		pool->owner = xrealloc(NULL, REDIS_SLOTS, sizeof(*pool->owner));
		memset(pool->owner, 0, REDIS_SLOTS * sizeof(*pool->owner));
	}
	pool->owner[slot] = (uint16_t)number;
}

struct lesson {
	struct redis_pool *pool;
	const struct redis_link *from;
};

static void
learn_range(
    void *arg, unsigned first, unsigned last, const char *host, uint16_t port)
{
	const struct lesson *lesson = arg;
	size_t number = number_of(
	    lesson->pool, *host ? host : redis_link_host(lesson->from), port);

	for (unsigned slot = first; number && slot <= last; slot++)
		set_owner(lesson->pool, slot, number);
}

static void exchange(
    struct redis_pool *pool, struct redis_call *call, size_t count);

static int
learn_from(struct redis_pool *pool, struct redis_link *link, struct error *err)
{
	struct redis_call call = { .link = link, .err = err };
	struct lesson lesson = { pool, link };
	int rc = -1;

	redis_call_text(&call, "CLUSTER");
	redis_call_text(&call, "SLOTS");
	exchange(pool, &call, 1);
	if (call.reply && call.reply->type == REDIS_REPLY_ERROR)
		rc = 0; /* no cluster, or we are not let know */
	else if (call.reply)
		rc = redis_slots_each(call.reply, learn_range, &lesson) < 0
		    ? error_set(err, ERROR_CORRUPT,
		          "'%s' has an odd idea of its cluster",
		          redis_link_name(link))
		    : 0;
	redis_call_release(&call);
	return rc;
}

int
redis_pool_learn(struct redis_pool *pool, struct error *err)
{
	return learn_from(pool, pool->link[0], err);
}

/* ---- calls on their way ---- */

static void
finish(struct redis_line *line, struct redis_call *call)
{
	line->first = call->next;
	if (line->unsent == call)
		line->unsent = call->next;
	else
		line->waiting--;
	call->finished = true;
}

static void
fail_all(struct redis_line *line, const struct error *err)
{
	while (line->first) {
		if (line->first->err)
			*line->first->err = *err;
		finish(line, line->first);
	}
}

static void
receive_one(struct redis_pool *pool, size_t i, struct error *err)
{
	struct redis_line *line = &pool->line[i];
	struct redis_call *call = line->first;

	if (call->ask) { /* the answer to ASKING */
		struct redis_call asking = { 0 };

		call->ask = false;
		asking.reply = redis_link_receive(pool->link[i], &asking, err);
		if (!asking.reply)
			return;
		redis_call_release(&asking);
	}
	if (!call->unsent)
		call->reply = redis_link_receive(pool->link[i], call, err);
	if (call->reply || call->unsent)
		finish(line, call);
}

/* Answers until `keep` are missing. 0 or -1: then nothing more will come. */
static int
receive(struct redis_pool *pool, size_t i, size_t keep, struct error *err)
{
	const struct redis_line *line = &pool->line[i];

	while (line->waiting > keep) {
		size_t before = line->waiting;

		if (redis_link_is_open(pool->link[i]))
			receive_one(pool, i, err);
		if (line->waiting == before)
			return -1;
	}
	return 0;
}

/* What was sent before the wire broke may have its answers on this side of it. */
static void
rescue(struct redis_pool *pool, size_t i)
{
	const struct patience before = pool->settings.patience;
	struct error err = { 0 };

	pool->settings.patience.step_us = 200 * 1000;
	(void)receive(pool, i, 0, &err);
	pool->settings.patience = before;
}

static void
give_up(struct redis_pool *pool, size_t i, const struct error *why)
{
	redis_link_close(pool->link[i]);
	fail_all(&pool->line[i], why);
	pool->broken = i + 1;
}

static enum redis_sent
send_asking(struct redis_link *link, struct error *err)
{
	struct redis_call asking = { 0 };

	redis_call_text(&asking, "ASKING");
	return redis_link_send(link, &asking, err);
}

/* One whose value ended too soon can't be taken back: another connection is needed. */
static int
start_over(struct redis_pool *pool, size_t i, struct error *err)
{
	int rc = receive(pool, i, 0, err);

	redis_link_close(pool->link[i]);
	return rc < 0 ? rc : redis_link_ready(pool->link[i], err);
}

static int
send_one(struct redis_pool *pool, size_t i, struct error *err)
{
	struct redis_line *line = &pool->line[i];
	struct redis_call *call = line->unsent;
	enum redis_sent sent = REDIS_SENT;

	if (call->ask)
		sent = send_asking(pool->link[i], err);
	if (sent == REDIS_SENT)
		sent = redis_link_send(pool->link[i], call, err);
	if (sent == REDIS_BROKEN)
		return -1;
	line->unsent = call->next;
	line->waiting++;
	call->unsent = sent != REDIS_SENT;
	return sent == REDIS_SPOILED ? start_over(pool, i, err) : 0;
}

/* May one more be sent before the next answer was read? */
static bool
has_room(const struct redis_pool *pool, size_t i)
{
	size_t waiting = pool->line[i].waiting;

	return waiting < WINDOW &&
	    waiting * redis_link_largest(pool->link[i]) < OWED;
}

static int
fill(struct redis_pool *pool, size_t i, struct error *err)
{
	int rc = 0;

	while (rc == 0 && pool->line[i].unsent && has_room(pool, i))
		rc = send_one(pool, i, err);
	if (rc == 0)
		rc = redis_link_flush(pool->link[i], err);
	if (rc < 0)
		rescue(pool, i);
	return rc;
}

static int
drain(struct redis_pool *pool, size_t i, struct error *err)
{
	const struct redis_line *line = &pool->line[i];

	return receive(pool, i, line->unsent ? line->waiting / 2 : 0, err);
}

typedef int step_fn(struct redis_pool *pool, size_t i, struct error *err);

static int
make_ready(struct redis_pool *pool, size_t i, struct error *err)
{
	return redis_link_ready(pool->link[i], err);
}

/* The same with every server that something is to go to. */
static bool
each_busy(struct redis_pool *pool, step_fn *step)
{
	bool busy = false;

	for (size_t i = 0; i < pool->links; i++) {
		struct error err = { 0 };

		if (!pool->line[i].first)
			continue;
		if (step(pool, i, &err) < 0)
			give_up(pool, i, &err);
		busy = true;
	}
	return busy;
}

/* Each call has a link. All have a reply or an error then. */
static void
exchange(struct redis_pool *pool, struct redis_call *call, size_t count)
{
	for (size_t i = 0; i < pool->links; i++)
		pool->line[i] = (struct redis_line){ .end = NULL };
	for (size_t i = 0; i < count; i++) {
		struct redis_line *line =
		    &pool->line[index_of(pool, call[i].link)];

		if (call[i].finished)
			continue;
		if (!line->end)
			line->end = &line->first;
		if (!line->unsent)
			line->unsent = &call[i];
		call[i].next = NULL;
		*line->end = &call[i];
		line->end = &call[i].next;
	}
	(void)each_busy(pool, make_ready);
	do {
		(void)each_busy(pool, fill);
	} while (each_busy(pool, drain));
}

/* ---- being sent elsewhere ---- */

static void
call_failed(struct redis_call *call, enum error_kind kind, const char *why)
{
	freeReplyObject(call->reply);
	call->reply = NULL;
	if (call->err)
		error_set(call->err, kind, "'%s' %s",
		    redis_link_name(call->link), why);
}

static bool
is_elsewhere(const struct redis_call *call)
{
	return call->reply && call->reply->type == REDIS_REPLY_ERROR &&
	    redis_is_redirect(call->reply->str, (size_t)call->reply->len);
}

/* Where the reply says; false, and the call has failed. */
static bool
follow(struct redis_pool *pool, struct redis_call *call, bool *moved)
{
	struct redis_redirect to;
	size_t number = 0;

	if (!redis_redirect_parse(
	        &to, call->reply->str, (size_t)call->reply->len)) {
		call_failed(call, ERROR_CORRUPT, "sends us nowhere");
		return false;
	}
	if (!pool->settings.path)
		number = number_of(pool,
		    *to.host ? to.host : redis_link_host(call->link), to.port);
	if (!number) {
		call_failed(call, ERROR_UNREACHABLE,
		    "sends us to another server, which we don't follow from a "
		    "Unix socket, nor after too many of them");
		return false;
	}
	if (!to.ask)
		set_owner(pool, to.slot, number);
	*moved |= !to.ask;
	call->ask = to.ask;
	call->link = pool->link[number - 1];
	return true;
}

/* Ready to be sent again? */
static bool
rewound(struct redis_call *call)
{
	struct error err = { 0 };

	freeReplyObject(call->reply);
	call->reply = NULL;
	if (call->in && source_rewind(call->in, &err) < 0) {
		if (call->err)
			*call->err = err;
		return false;
	}
	call->finished = false;
	return true;
}

/* How many of the calls have to be sent again, elsewhere? */
static size_t
follow_all(struct redis_pool *pool, struct redis_call *call, size_t count,
    bool last, struct redis_link **moved)
{
	size_t again = 0;

	for (size_t i = 0; i < count; i++) {
		bool for_good = false;

		if (!is_elsewhere(&call[i]))
			continue;
		if (last)
			call_failed(&call[i], ERROR_UNREACHABLE,
			    "is one of too many that sent us on");
		else if (follow(pool, &call[i], &for_good))
			again += rewound(&call[i]);
		if (for_good)
			*moved = call[i].link;
	}
	return again;
}

/*
 * A server that can't be reached may have handed its slots to another: forget who has
 * what, and ask another one first next time.
 */
static void
forget(struct redis_pool *pool)
{
	struct redis_link *first = pool->link[0];

	free(pool->owner);
	pool->owner = NULL;
	if (pool->broken == 1) {
		memmove(pool->link, pool->link + 1,
		    (pool->links - 1) * sizeof(*pool->link));
		pool->link[pool->links - 1] = first;
	}
	pool->broken = 0;
}

void
redis_pool_run(struct redis_pool *pool, struct redis_call *call, size_t count)
{
	struct redis_link *moved = NULL;
	size_t again = count;

	forget_idle(pool);
	for (size_t i = 0; i < count; i++) {
		if (!call[i].link)
			call[i].link = link_for(pool, &call[i]);
		call[i].finished = false;
	}
	for (int hops = 0; again > 0; hops++) {
		exchange(pool, call, count);
		again =
		    follow_all(pool, call, count, hops == REDIS_HOPS, &moved);
	}
	if (moved && !pool->broken) {
		struct error ignored = { 0 };

		(void)learn_from(pool, moved, &ignored);
	}
	if (pool->broken)
		forget(pool);
}
