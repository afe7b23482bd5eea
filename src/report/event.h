#ifndef EVENT_H
#define EVENT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * The event line: what came of one action, as one line of JSON that is appended
 * to $TARN_DIR/events.jsonl and to the file in TARN_EVENTS with one write(), so
 * that lines of many processes never mix. docs/events.md has every field; the
 * first thirteen are a promise.
 */
struct event {
	const char *outcome; /* "hit", "miss", "uncacheable", "failed", ... */
	const char *kind;
	char *const *command; /* NULL-terminated words */
	const char *cwd;
	int status;         /* as a shell would have it: 128+N for a signal */
	uint64_t wall_us;   /* all of tarn-exec's time, microseconds */
	const char *key;    /* hexadecimal or NULL */
	const char *reason; /* NULL on a hit */
	const char *tier;   /* NULL unless a hit */
	uint64_t bytes;     /* of outputs and what was printed */
	const char *build;  /* TARN_BUILD_ID or NULL */

	/* Beyond the promise; left out when NULL or zero: */
	const char *action; /* the action key, hexadecimal */
	const char *label;
	uint64_t stable;      /* stable sources that are declared for it */
	const char *observer; /* "accelerated", "observed", "declared" ... */
	const char
	    *note; /* trouble with the cache that cost nothing but time */
	const char *hint;      /* what would make it hit */
	const char *check;     /* "same" or "different" after --check */
	uint64_t saved_us;     /* what the recorded run took, less this */
	const char *locations; /* JSON array, ready made */
};

/* Format it, newline included. */
void event_format(const struct event *event, struct buf *to);

/* $TARN_DIR/events.jsonl becomes events.1.jsonl, in place of an older one, when
 * it is longer than this, in bytes. */
#define EVENT_LIMIT (64u << 20)

/* Append the line to `path`, a .jsonl that is rotated beyond `limit`; 0: never,
 * and any name. Returns 0 or -1. */
int event_append(const char *path, uint64_t limit, const struct buf *line,
    struct error *err);

/* $TARN_DIR/events.jsonl. The caller frees it. */
char *event_path(const char *tarn_dir);

#endif
