#ifndef REMOTE_KINDS_H
#define REMOTE_KINDS_H

#include "locations/kinds.h"

/* The kinds that speak to servers. */
extern const struct location_kind location_redis;
extern const struct location_kind location_nginx;

#endif
