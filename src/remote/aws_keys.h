#ifndef AWS_KEYS_H
#define AWS_KEYS_H

#include <stdint.h>

#include "base/error.h"
#include "remote/sigv4.h"

/*
 * Who we are to Amazon Web Services and to all that is compatible with it, found where
 * its own tools look, in their order:
 *
 *	what the location's own URL says
 *	AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, unless the
 *	    location names a profile
 *	~/.aws/credentials, ~/.aws/config (or AWS_SHARED_CREDENTIALS_FILE,
 *	    AWS_CONFIG_FILE): the profile that the location names, or AWS_PROFILE,
 *	    or "default"
 *	AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_CREDENTIALS_FULL_URI
 *	the instance's endpoint, AWS_EC2_METADATA_SERVICE_ENDPOINT (IMDSv2)
 *
 * Keys that end are asked for again five minutes before they do. Nothing is looked at
 * before the first question. Used by one thread at a time.
 */
struct aws;

/* All may be NULL; strings are copied. */
struct aws *aws_new(const char *profile, const char *id, const char *secret);
void aws_free(struct aws *aws); /* NULL is fine */

/*
 * The keys for now, which stay ours until the next call. NULL: there are none, and
 * ERROR_DENIED says where they were looked for. An endpoint is waited for 2 s at
 * most, and not beyond `deadline_us` (0: none). After aws_refused(), files are read
 * and endpoints are asked again: the server says that these have ended.
 */
const struct sigv4_keys *aws_keys(
    struct aws *aws, int64_t deadline_us, struct error *err);
void aws_refused(struct aws *aws);

/* AWS_REGION, AWS_DEFAULT_REGION, or the profile's; NULL: nobody says. */
const char *aws_region(struct aws *aws);
/* AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or the profile's endpoint_url; or NULL. */
const char *aws_endpoint(struct aws *aws);

#endif
