#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include <stddef.h>

#include "base/error.h"

/*
 * JSON as people write it, with comments, and where things are in it.
 *
 * cJSON makes the tree but keeps no positions and tells little of what it
 * doesn't like, so the syntax is checked before it gets to see the text: strict
 * JSON but for comments, at most 1 MiB and 64 levels deep.
 */
#define JSON_TEXT_MAX ((size_t)1 << 20)
#define JSON_TEXT_DEPTH 64

struct cJSON;

struct json_text {
	const char *path;   /* borrowed; for messages */
	char *text;         /* owned; spaces where comments were */
	struct cJSON *root; /* owned */
};

/* -1 with "<path>:<line>:<column>: <what>". Release it only after 0. */
int json_text_parse(struct json_text *json, const char *path, const char *text,
    size_t len, struct error *err);
void json_text_release(struct json_text *json);

/* The line of a member's key, of an item or of the root, counted from 1. */
size_t json_text_line(const struct json_text *json, const struct cJSON *node);

#endif
