#ifndef SSH_H
#define SSH_H

#include <libssh2.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/config.pb-c.h"
#include "remote/place.h"

/*
 * A connection to an SSH server, made when it is first needed and kept. libssh2 never
 * blocks: whatever answers LIBSSH2_ERROR_EAGAIN is asked again after ssh_wait(),
 * which watches the clock.
 *
 *	do
 *		rc = libssh2_channel_...(...);
 *	while (ssh_again(ssh, rc));
 *	if (rc < 0)
 *		return ssh_fail(ssh, "open a channel", err);
 *
 * Where the host is, who we are there and which keys are ours is what ssh(1) would
 * take from ~/.ssh/config (ssh_config.h), behind what the location itself says.
 */
struct ssh {
	/* From the location; NULL or 0: not said. Owned. */
	char *host, *user, *password, *passphrase, *key, *known_hosts, *config;
	uint16_t port;
	bool accept_new;    /* hosts that nobody knows are noted, not refused */
	int64_t timeout_us; /* in which something has to move */
	int64_t connect_us; /* for the connection itself */
	const int64_t *deadline_us; /* the location's */

	/* The connection; session is NULL without one. */
	LIBSSH2_SESSION *session;
	int fd;
	bool broken;       /* it is of no more use */
	unsigned round;    /* the how many-th connection it is */
	bool late;         /* time was up */
	int64_t waited_us; /* since something moved */
};

/* The options that a location has for its connection. */
#define SSH_OPTIONS \
	"user", "password", "passphrase", "key", "known_hosts", "config", \
	    "accept_new", "timeout", "connect_timeout"

/* From the place and the options of a location, without connecting. */
int ssh_init(struct ssh *ssh, const struct place *place,
    const Tarn__Location *config, const int64_t *deadline_us,
    struct error *err);
void ssh_release(struct ssh *ssh);

/* Be connected, with credentials accepted: 1 now, 0 already; or -1. */
int ssh_connect(struct ssh *ssh, struct error *err);
void ssh_disconnect(struct ssh *ssh);

/* True: ask again, there may be something. False with `rc` EAGAIN: time is up, and
 * ssh_fail() will say so. */
bool ssh_again(struct ssh *ssh, ssize_t rc);

/* Something moved. */
void ssh_moved(struct ssh *ssh);

/* What libssh2 says, in front of it what could not be done: returns -1, and the
 * connection is broken. */
int ssh_fail(struct ssh *ssh, const char *what, struct error *err);

/* Wait for another descriptor that way: 1, 0: time is up. */
int ssh_poll(struct ssh *ssh, int fd, short events);

/* Microseconds of CLOCK_MONOTONIC. */
int64_t ssh_now(void);

#endif
