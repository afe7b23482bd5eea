#ifndef SERVE_H
#define SERVE_H

#include "daemon/server.h"
#include "locations/channel.h"

/*
 * One client, from its greeting to its end, in a thread of its own. `channel` is closed
 * by the caller.
 */
void serve(struct server *server, struct channel *channel);

#endif
