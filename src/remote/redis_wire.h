#ifndef REDIS_WIRE_H
#define REDIS_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Bytes to and from one server, over TCP, over TLS or through a Unix socket, which
 * look the same from here. Nothing waits for ever, and no signal is raised when the
 * far end has gone.
 */

/* How long we wait; microseconds. */
struct patience {
	/* CLOCK_MONOTONIC; 0: none. Borrowed, and looked at anew each time, since
	 * whoever takes what comes may move it; or NULL. */
	const int64_t *deadline_us;
	int64_t connect_us; /* for a connection */
	int64_t step_us;    /* for something to move */
};

struct wire_place {
	const char *host; /* a name or an address; NULL: a Unix socket */
	uint16_t port;
	const char *path; /* of the Unix socket */
	SSL_CTX *tls;     /* NULL: none; borrowed */
};

struct wire;

/*
 * A connection, with TLS after the far end has shown a certificate for its host
 * that we trust. NULL on failure: ERROR_UNREACHABLE, or ERROR_DENIED for what has
 * to do with certificates.
 */
struct wire *wire_open(const struct wire_place *place,
    const struct patience *patience, struct error *err);
void wire_close(struct wire *wire); /* NULL is fine */

/* Is it open, with nothing to read? So it is to be between a request and the next. */
bool wire_is_quiet(struct wire *wire);

/* Up to `size` bytes, at least one; 0: the far end has closed it. */
ssize_t wire_read(struct wire *wire, void *data, size_t size,
    const struct patience *patience, struct error *err);

/* All of it. Returns 0 or -1. */
int wire_write(struct wire *wire, const void *data, size_t size,
    const struct patience *patience, struct error *err);

/*
 * What we trust and show: PEM files, each NULL or a path; without `ca`, what the
 * system trusts. Free with SSL_CTX_free(). NULL and ERROR_USAGE if a file is no good.
 */
SSL_CTX *wire_tls(
    const char *ca, const char *cert, const char *key, struct error *err);

#endif
