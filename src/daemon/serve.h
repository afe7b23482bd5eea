#ifndef SERVE_H
#define SERVE_H

#include "daemon/server.h"
#include "locations/wire.h"

/*
 * One client, from its greeting to its end, in a thread of its own. `wire` is closed
 * by the caller.
 */
void serve(struct server *server, struct wire *wire);

#endif
