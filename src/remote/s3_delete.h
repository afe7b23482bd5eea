#ifndef S3_DELETE_H
#define S3_DELETE_H

#include "locations/location.h"
#include "remote/s3_call.h"

/* Keys that are to go, a thousand in one request. */
struct s3_doomed {
	struct s3_bucket *bucket;
	struct buf list;
	size_t count;
};

/* Add one, which may send the request for those before; and send the rest. 0 or -1. */
int s3_doom(struct s3_doomed *doomed, const char *key, struct error *err);
int s3_doomed_send(struct s3_doomed *doomed, struct error *err);

/*
 * Uploads in parts that nobody has been at for a day: what a process that was killed
 * leaves behind. They show nowhere but on the bill. As location_kind.inspect has it.
 * Others may use the bucket, too: what `is_ours` says no to is let alone.
 */
typedef bool s3_name_fn(struct location *leaf, const char *name);

int s3_inspect_uploads(struct s3_bucket *bucket, struct location *leaf,
    s3_name_fn *is_ours, bool mend, location_damage_fn *fn, void *arg,
    struct error *err);

#endif
