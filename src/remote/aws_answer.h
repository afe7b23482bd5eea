#ifndef AWS_ANSWER_H
#define AWS_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Keys for a while, as the endpoints of containers and instances hand them out:
 *
 *	{ "AccessKeyId": "...", "SecretAccessKey": "...", "Token": "...",
 *	  "Expiration": "2026-11-22T20:00:00Z" }
 */
struct aws_answer {
	char *id, *secret, *token;
	int64_t expires; /* seconds since the epoch; 0: never */
};

/* -1: ERROR_CORRUPT if it isn't such a thing, ERROR_DENIED if it is a refusal. */
int aws_answer_parse(struct aws_answer *answer, const char *data, size_t size,
    struct error *err);
void aws_answer_release(struct aws_answer *answer);

#endif
