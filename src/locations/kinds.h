#ifndef KINDS_H
#define KINDS_H

#include "locations/location.h"

/* Every kind of location in this program, NULL at the end. */
extern const struct location_kind *const location_kinds[];

extern const struct location_kind location_disk;
extern const struct location_kind location_fanout;
extern const struct location_kind location_levels;
extern const struct location_kind location_small;

/* Those that tarnd speaks for (proxy.c). */
extern const struct location_kind proxy_nginx;
extern const struct location_kind proxy_redis;
extern const struct location_kind proxy_s3;
extern const struct location_kind proxy_scp;
extern const struct location_kind proxy_sftp;

#endif
