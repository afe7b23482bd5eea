/* Every kind of location, in programs that leave servers to tarnd. */
#include "locations/kinds.h"

const struct location_kind *const location_kinds[] = {
	&location_disk,
	&location_fanout,
	&location_levels,
	&location_small,
	&proxy_nginx,
	&proxy_redis,
	&proxy_s3,
	&proxy_scp,
	&proxy_sftp,
	NULL,
};
