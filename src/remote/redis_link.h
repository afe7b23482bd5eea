#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/stream.h"
#include "remote/redis_wire.h"

/*
 * One connection to one Redis server: commands out, answers in, in the same order.
 * hiredis understands the answers; what we send is written here, since a value is to
 * go from its source to the wire without being held as a whole. A large value that
 * comes is not held either, other answers are until they are complete; all have a limit.
 */
#define REDIS_WORDS 6

struct redis_word {
	const void *data; /* NULL: the bytes of the call's `in` */
	size_t len;
};

/* A command, and what comes back. */
struct redis_call {
	struct redis_word word[REDIS_WORDS];
	unsigned count, key; /* words; which of them is the key, 0: none */
	char *name;          /* the key's bytes; owned */
	struct source *in;   /* borrowed, as all below */
	struct sink *out;  /* where a string goes that is the answer, or NULL */
	struct error *err; /* why there is no reply; NULL: nobody asks */
	redisReply *reply; /* owned; NULL: none came */
	bool sink_failed;  /* a string came, but `out` did not take it */

	/* redis_pool.c's. */
	struct redis_link *link;
	struct redis_call *next;
	bool ask;      /* for this once */
	bool unsent;   /* its source failed */
	bool finished; /* there is a reply or an error */
};

void redis_call_word(struct redis_call *call, const void *data, size_t len);
void redis_call_text(struct redis_call *call, const char *text);
void redis_call_release(struct redis_call *call);

/* What all connections of a location have in common. */
struct redis_settings {
	const char *path;            /* of the Unix socket */
	const char *user, *password; /* NULL: none */
	const char *database;        /* NULL: the first */
	const char *ca, *cert, *key; /* PEM files */
	bool encrypted;
	size_t max_reply; /* bytes of an answer */
	struct patience patience;
};

struct redis_link;

/* `host` is NULL for a Unix socket. The settings are borrowed. */
struct redis_link *redis_link_new(
    struct redis_settings *settings, const char *host, uint16_t port);
void redis_link_free(struct redis_link *link); /* NULL is fine */

const char *redis_link_host(const struct redis_link *link); /* "" without */
uint16_t redis_link_port(const struct redis_link *link);
const char *redis_link_name(const struct redis_link *link); /* for messages */

/*
 * Be connected, with our password accepted and the database chosen; again, if the
 * far end has closed an idle connection. Nothing may be unanswered. Returns 0 or -1.
 */
int redis_link_ready(struct redis_link *link, struct error *err);
bool redis_link_is_open(const struct redis_link *link);
void redis_link_close(struct redis_link *link);

enum redis_sent {
	REDIS_BROKEN = -1, /* the connection; *err says why */
	REDIS_SENT,
	REDIS_NOT_SENT, /* the call's source failed; the call has the error */
	REDIS_SPOILED,  /* the same, in the middle: nothing more can be sent */
};
enum redis_sent redis_link_send(
    struct redis_link *link, struct redis_call *call, struct error *err);
int redis_link_flush(struct redis_link *link, struct error *err);

/* The answer to the oldest call; the caller frees it. NULL: the connection is of no
 * use any more. */
redisReply *redis_link_receive(
    struct redis_link *link, struct redis_call *call, struct error *err);

/* For tests: what reads its answers, with all limits, here the one to `call`. */
redisReader *redis_link_reader(
    struct redis_link *link, struct redis_call *call);

/* How large were the largest of the last answers, in bytes? */
size_t redis_link_largest(const struct redis_link *link);

/*
 * How many bytes has the string whose answer begins with these? *head: where they begin.
 */
enum { REDIS_UNTOLD = -1, REDIS_NO_STRING = -2 };
int64_t redis_string_size(const char *data, size_t left, size_t *head);

/* What a refusal says, in characters that a terminal can be shown. */
#define REDIS_SAID 200
const char *redis_said(const redisReply *reply, char said[static REDIS_SAID]);

#endif
