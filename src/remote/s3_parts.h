#ifndef S3_PARTS_H
#define S3_PARTS_H

#include "remote/s3_call.h"

/*
 * Large values, in parts: they are sent several at a time, out of S3_BUFFER bytes of
 * memory or so, and show only when the last has come. Whatever goes wrong, what was
 * sent is given up, so that nobody pays for it; if even that can't be done, it stays
 * until the bucket's own rules or inspect() remove it.
 */
#define S3_PART_LEAST ((uint64_t)5 << 20) /* as servers want it */
#define S3_PART ((uint64_t)8 << 20)
#define S3_PART_MOST ((uint64_t)64 << 20)
#define S3_PARTS 10000
#define S3_BUFFER ((uint64_t)32 << 20)

struct s3_parts {
	struct s3_bucket *bucket;
	const char *key;
	const struct digest *want; /* of all of it; NULL: whatever it is */
	const char *tags;          /* as in the header x-amz-tagging; or NULL */
	uint64_t part;             /* bytes; the last may be smaller */
	bool if_absent;            /* where the server looks at that */
};

/*
 * 0 and *status of the last answer, 200 or 412 (there is one already); -1, *status
 * is then that of a refusal, or 0. *full: the place takes no more.
 */
int s3_parts_send(const struct s3_parts *parts, struct source *in, int *status,
    bool *full, struct error *err);

/* Give up an upload. */
int s3_parts_abort(struct s3_bucket *bucket, const char *key, const char *id,
    struct error *err);

#endif
