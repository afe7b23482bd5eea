#ifndef AWS_PROFILE_H
#define AWS_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * One profile of ~/.aws/credentials or ~/.aws/config, the files that every tool for
 * Amazon Web Services reads:
 *
 *	[default]                     # in credentials: [name]
 *	aws_access_key_id = AKIA...
 *	[profile ci]                  # so in config only
 *	region = eu-west-1
 *
 * Lines that start with # or ; are comments; those that start with a space belong to
 * a setting of several lines, of which none matters here. Of settings given twice
 * the last counts.
 */
struct aws_profile {
	bool found; /* the file has such a section */
	char *id, *secret, *token;
	char *region, *endpoint;
	char *
	    other; /* a setting that gets credentials in a way not known here */
};

/*
 * Take from a file what it has of `name`. -1 and ERROR_USAGE with the line if that
 * can't be understood; nothing of the line is in the message.
 */
int aws_profile_parse(struct aws_profile *profile, const char *name,
    bool is_config, const char *data, size_t size, struct error *err);
void aws_profile_release(struct aws_profile *profile);

#endif
