#ifndef REMOTE_KINDS_H
#define REMOTE_KINDS_H

#include "locations/location.h"

/* Leaves that speak to servers. */
extern const struct location_kind location_nginx;
extern const struct location_kind location_redis;
extern const struct location_kind location_scp;
extern const struct location_kind location_sftp;
extern const struct location_kind location_s3;

#endif
