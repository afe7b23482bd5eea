#ifndef S3_CALL_H
#define S3_CALL_H

#include <stdbool.h>

#include "base/digest.h"
#include "proto/config.pb-c.h"
#include "remote/aws_keys.h"
#include "remote/http.h"
#include "remote/s3_answer.h"
#include "remote/sigv4.h"

/*
 * One request to a bucket: signed, sent, and sent again where the server asks for
 * patience (503 SlowDown, 429, 5xx), as long as that makes sense: S3_TRIES times with
 * growing pauses or those of Retry-After, not past the deadline, and no more than
 * `timeout_s` in all.
 */
#define S3_TRIES 5
#define S3_SLICE 256 /* requests that are prepared at a time */

/* A bucket, and who we are to it. */
struct s3_bucket {
	char *name, *prefix; /* of keys; "" or it ends with a slash */
	char *endpoint;      /* as configured; NULL: not */
	char *region;        /* the same, until the first request */
	char style;          /* 'p' path, 'v' virtual, 0: as suits it */
	unsigned timeout_s;  /* 0: the usual */
	struct aws *aws;
	struct http *http;
	const int64_t *deadline_us; /* borrowed; that of who asks */

	/* Found out with the first request. */
	char *origin; /* "https://host:port" */
	char *host;   /* without a port that goes without saying */
	char *root;   /* the path in front of keys, "/" or "/bucket/" */
};

int s3_bucket_open(
    struct s3_bucket *bucket, const Tarn__Location *config, struct error *err);
void s3_bucket_close(struct s3_bucket *bucket);

/* Fill in the rest of it; -1: the endpoint that was found is none. */
int s3_bucket_find(struct s3_bucket *bucket, struct error *err);

#define S3_PAIRS 6

struct s3_call {
	/* The request; all is borrowed. */
	const char *method;
	const char *key;                       /* NULL: the bucket itself */
	struct sigv4_header query[S3_PAIRS];   /* up to the first NULL */
	struct sigv4_header headers[S3_PAIRS]; /* names in lower case */
	struct digest payload; /* of `in`; if that is NULL, it is seen to */
	struct source *in;
	struct sink *out; /* for the body of a 200 */
	uint64_t max;     /* bytes of that; 0: no limit */

	/* The answer; s3_code() has the code of a refusal. */
	struct http_request http;
	struct s3_error refusal;

	/* Private. */
	char *url, *lines[S3_PAIRS + 6];
};

/*
 * All of them, several at a time. Each has http.result and http.err then, and may be
 * released.
 */
void s3_run(struct s3_bucket *bucket, struct s3_call *calls, size_t count);
int s3_send(struct s3_bucket *bucket, struct s3_call *call, struct error *err);
void s3_call_release(struct s3_call *call);

/*
 * Say why an answer is not what was hoped for, without anything secret: -1. What has
 * no answer at all has its error already, which is passed on.
 */
int s3_refusal(const struct s3_bucket *bucket, const struct s3_call *call,
    struct error *err);

/* The key isn't there, and nothing else is wrong. */
bool s3_is_missing(const struct s3_call *call);

/* The place takes no more, or nothing at all from us. */
bool s3_is_full(const struct s3_call *call);

#define auto_s3_call auto_cleanup(s3_call_release) struct s3_call

#endif
