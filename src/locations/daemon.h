#ifndef DAEMON_H
#define DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "locations/channel.h"

/*
 * Finding tarnd, which speaks to servers for all actions of a user with one
 * TARN_DIR. It has a folder there that nobody else can enter:
 *
 *	TARN_DIR/daemon/
 *		lock     locked by the one that runs
 *		socket   where it listens
 *		spool/   uploads that wait (src/daemon/parcel.h)
 *		avoid    there was trouble with tarnd itself, so many bytes' worth
 *		away/    locations that aren't to be asked, and why; by the digest
 *		         of their description, renewed within DAEMON_AWAY_S
 *
 * Whoever needs it and finds nobody starts one, waits until it listens, and goes
 * on without if that takes too long. After trouble, nobody tries for 2 seconds,
 * then 4, up to a minute: a build doesn't pay for a tarnd that is stopped or broken
 * with every action.
 */
#define DAEMON_AWAY_S 90

enum daemon_use {
	DAEMON_OFF,   /* remote locations aren't asked at all */
	DAEMON_JOIN,  /* the one that runs: a child of ours would be watched */
	DAEMON_START, /* likewise, or a new one */
};

/*
 * How this program's remote locations find tarnd; both are copied. Without this
 * they are off. What was open is closed, but for the locations themselves.
 */
void daemon_set_up(const char *tarn_dir, enum daemon_use use);

/* Hang up until the next question, so that nobody who stays behind keeps tarnd. */
void daemon_hang_up(void);

/* Have one running, if that is allowed and there isn't one yet. */
void daemon_wake(void);

/*
 * A connection that was greeted. -1: there is none, and why. `channel` is initialized
 * in either case.
 */
int daemon_open(const char *tarn_dir, enum daemon_use use,
    struct channel *channel, struct error *err);

/* Forget that there was trouble with it: who asks wants it to be tried. */
void daemon_forgive(const char *tarn_dir);

/* Does anything wait to be uploaded, as far as its folder tells? */
bool daemon_has_spool(const char *tarn_dir);

/* End the one that runs, of whatever version, and wait until it has. */
int daemon_stop(const char *tarn_dir, int64_t until, struct error *err);

/* The folder, made if need be: a descriptor, or -1 if it is not private. */
int daemon_folder(const char *tarn_dir, bool make, struct error *err);

/* The socket in this folder, however long its name. */
void daemon_address(int folder, struct sockaddr_un *address);

/* Ask for something that takes no keys; up to `until`. Free the answer with
 * protobuf_c_message_free_unpacked(x, NULL). */
ProtobufCMessage *daemon_ask(struct channel *channel, enum channel_request kind,
    uint64_t wait_us, const ProtobufCMessageDescriptor *type, int64_t until,
    struct error *err);

/*
 * This process's own connection, made when it is first asked for. NULL: there is
 * none, *err says why (ERROR_SKIPPED), and it is not tried again. If one has to be
 * started, that is waited for up to `until` (0: 3 seconds); who comes too early
 * for it asks again. *which tells one connection from the one before it.
 */
struct channel *daemon_link(uint32_t *which, int64_t until, struct error *err);

/* Its greeting is heard with the first answer, so that nobody waits for it alone.
 * Returns 0 or -1. */
int daemon_hear(struct error *err);

/* Is the location with this digest away, by tarnd's own word? ERROR_SKIPPED then.
 * While uploads wait it is asked all the same, since it has those. */
bool daemon_says_away(const struct digest *id, struct error *err);

/* It didn't answer, or made no sense: go on without for the rest of this process. */
void daemon_lost(const struct error *why);

#endif
