#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * The process: one for each TARN_DIR, by the lock in its folder, which is held until
 * the end. It listens before it lets its starter go on, so that whoever waits for
 * that can connect at once.
 *
 * It ends when nobody has been connected for a while and nothing waits to be
 * uploaded; what waits survives any other end in the spool.
 */
#define SERVER_IDLE_S 60
#define SERVER_CLIENTS 1000 /* at once; more are refused */

struct server {
	int folder, lock, listener, wake; /* descriptors */
	int64_t idle_us;
	int64_t started;
};

/* HIT: we listen now. MISS: another one does. FAILED otherwise. */
int server_open(struct server *server, const char *tarn_dir, struct error *err);

/* Until the end, whose status is returned; in the process that is to be known as the
 * one that listens. */
int server_run(struct server *server);

/* For those who serve. */
unsigned server_clients(void);
void server_stop(struct server *server);

#endif
