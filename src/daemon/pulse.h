#ifndef PULSE_H
#define PULSE_H

#include <pthread.h>

#include "locations/channel.h"

/*
 * A client that waits for a server hears now and then that we are here, so that it
 * can tell a slow server, whom it gives as long as it likes, from a tarnd that hangs.
 * One thread sees to all of them: what a client gets is an empty piece of an item
 * that it asked for.
 */
#define PULSE_US 400000 /* as often */

struct pulse {
	struct pulse *next, *previous;
	struct channel *channel;
	uint32_t item;
	pthread_mutex_t lock; /* of what is sent */
};

void pulse_init(struct pulse *pulse);
void pulse_release(struct pulse *pulse);

/* Between these two, whoever sends something to the client holds the lock. */
void pulse_begin(struct pulse *pulse, struct channel *channel, uint32_t item);
void pulse_end(struct pulse *pulse);
void pulse_lock(struct pulse *pulse);
void pulse_unlock(struct pulse *pulse);

#endif
