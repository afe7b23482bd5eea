#ifndef JSON_EDIT_H
#define JSON_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * Changing a tarn.json the way a careful person would: a few bytes where they belong,
 * with comments and layout as they were. Every function takes the text as it is,
 * with comments, in `text`, and leaves it alone when it returns -1.
 *
 * json_edit_mark() makes "list" of the rule for `match` hold `spec`, and `other` not,
 * with a rule, a list of rules or the whole file made if there is none:
 *
 *	{ "actions": [ { "match": "x.c", "unstable": ["gen.py"] } ] }
 */
struct json_mark {
	const char *match, *list, *other, *spec;
	bool moved; /* out: it was in `other` */
	bool there; /* out: it was in `list` before, and nothing changed */
};

/* `path` is for messages. */
int json_edit_mark(struct buf *text, const char *path, struct json_mark *mark,
    struct error *err);

#endif
