#ifndef SFTP_REQUESTS_H
#define SFTP_REQUESTS_H

#include "remote/sftp_protocol.h"
#include "remote/ssh.h"

/*
 * Requests to an SFTP server, many under way at a time, each with a function that
 * takes its answer. Answers are taken while waiting for them, and in sftp_end() if
 * too many requests are unanswered; those functions ask nothing themselves.
 *
 *	struct buf *packet = sftp_begin(sftp, SFTP_STAT);
 *	sftp_add_text(packet, path, strlen(path));
 *	if (sftp_end(sftp, take_stat, file, err) < 0 || sftp_wait(sftp, 0, err) < 0)
 *		return -1;
 *
 * After a failure the connection is of no use, and no answer comes any more.
 */
#define SFTP_FLIGHT 512

typedef void sftp_answer_fn(void *arg, const struct sftp_answer *answer);

struct sftp_pending {
	sftp_answer_fn *fn; /* NULL: whatever it is */
	void *arg;
	bool busy;
};

struct sftp {
	struct ssh *ssh;
	LIBSSH2_CHANNEL *channel;
	struct buf out, in;
	size_t sent;   /* of `out` */
	size_t taken;  /* of `in` */
	size_t packet; /* start of the one that is being built */
	struct sftp_pending pending[SFTP_FLIGHT];
	size_t flight; /* unanswered */
	uint32_t slot, round;
	bool posix_rename, statvfs; /* the server knows these extensions */
	size_t open;                /* handles that were not closed yet */
	struct sftp_guess { /* what the next one will be: the last closed */
		char handle[SFTP_HANDLE_MAX];
		size_t len; /* 0: no telling */
		int wrong;  /* how often in a row */
	} guess;
};

/* Start the protocol on a session; 0 or -1. */
int sftp_open(struct sftp *sftp, struct ssh *ssh, struct error *err);
void sftp_close(struct sftp *sftp);

/* Has the far end gone away, as far as can be told without asking it? */
bool sftp_is_gone(struct sftp *sftp);

struct buf *sftp_begin(struct sftp *sftp, enum sftp_type type);
int sftp_end(
    struct sftp *sftp, sftp_answer_fn *fn, void *arg, struct error *err);

/* Until at most `left` requests are unanswered, and all are sent. */
int sftp_wait(struct sftp *sftp, size_t left, struct error *err);

#endif
