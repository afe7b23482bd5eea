/* Every kind of location, in the programs that speak to servers themselves. */
#include "remote/kinds.h"

#include "locations/kinds.h"

const struct location_kind *const location_kinds[] = {
	&location_disk,
	&location_fanout,
	&location_levels,
	&location_nginx,
	&location_redis,
	&location_s3,
	&location_scp,
	&location_sftp,
	&location_small,
	NULL,
};
