#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "store/pathset.h"

/*
 * What an action left behind, kept under its fingerprint: enough to restore it
 * without running it. On disk and on the wire it is an ActionResult of the
 * Remote Execution API, in canonical bytes; what that has no field for is in
 * its metadata (proto/tarn.proto). The bytes of larger outputs are blobs of
 * their own.
 *
 * A record names no content that fixes its key, so it carries a check over all
 * of itself: SHA-256 of its bytes with RECORD_MARK in the check's place.
 */
#define RECORD_VERSION 1
#define RECORD_MAX (64u << 20)     /* bytes; a larger one is damaged */
#define RECORD_INLINE (64u * 1024) /* outputs up to this ride in the record */

enum output_type { OUTPUT_FILE = 1, OUTPUT_FOLDER, OUTPUT_LINK };

enum output_flags {
	/* It was opened where it was, so a file that is there keeps its mode. */
	OUTPUT_IN_PLACE = 1 << 0,
	/* The command set the mode itself, whatever was there. */
	OUTPUT_MODE_SET = 1 << 1,
	/* The command set the time of modification itself. */
	OUTPUT_TIME_SET = 1 << 2,
	/* Its text holds the root and is laid out anew for another one: the
	 * kind's rewrite() makes the file of it. */
	OUTPUT_REWRITE = 1 << 3,
	/* The command looked whether it was there, and it was not: had it been,
	 * the command might have replaced it, which shows in the mode. */
	OUTPUT_LOOKED_FOR = 1 << 4,
};

struct output {
	enum output_type type;
	enum place place;
	char *path;    /* owned; as in struct observation */
	uint32_t mode; /* permission bits */
	uint32_t flags;
	int64_t mtime_ns;
	char *target; /* of a link; owned */

	/* Of a file: */
	struct digest digest;
	uint64_t size;
	struct buf contents; /* if size <= RECORD_INLINE: all of it */
};

/* What a stream printed: in memory or, if it is long, a blob. */
struct printed {
	struct buf data; /* if size <= RECORD_INLINE: all of it */
	uint64_t size;
	struct digest digest;
};

struct record {
	char *kind, *label; /* owned */
	int status;         /* exit status */
	uint64_t wall_us;   /* what the run took, and a hit saves */
	struct output *outputs;
	size_t count;
	struct printed out, err;
	uint32_t *order; /* owned; chunks: length * 2 + (0: out, 1: err) */
	size_t order_count;
	bool one_stream; /* out and err were one open file; all is in `out` */
	char **command;  /* owned; NULL-terminated */
	struct digest fingerprint;
};

/* A new output at the end; all zero but its type. Valid until the next call. */
struct output *record_add_output(struct record *record, enum output_type type);
void record_release(struct record *record);

/* All bytes that a restore has to write. */
uint64_t record_bytes(const struct record *record);

void record_encode(const struct record *record, struct buf *to);

/* ERROR_CORRUPT unless all of `data` is one whole record for `fingerprint`. */
int record_decode(struct record *record, const struct digest *fingerprint,
    const void *data, size_t size, struct error *err);

/* Do two runs' records promise the same results? What took how long is no
 * part of that. */
bool record_same_result(const struct record *a, const struct record *b);
bool record_same_output(const struct output *a, const struct output *b);
bool record_same_printed(const struct printed *a, const struct printed *b);

/*
 * The list of path sets under an action key, most recent first, with a check as
 * records have it. Of a damaged list (-1, ERROR_CORRUPT) those sets are decoded
 * that are still what their digests say.
 */
#define PATH_SETS 16
struct path_set_item {
	struct digest name;
	struct buf data, hint;
};
struct path_sets {
	struct path_set_item item[PATH_SETS];
	size_t count;
};
void path_sets_release(struct path_sets *sets);
void path_sets_encode(const struct path_sets *sets, struct buf *to);
int path_sets_decode(
    struct path_sets *sets, const void *data, size_t size, struct error *err);

/* Add behind the others those that only `from` has, as far as there is room. False:
 * there are none. */
bool path_sets_join(struct path_sets *to, const struct path_sets *from);

/* Put a set in front; the same one moves there, the oldest falls off. */
void path_sets_push(struct path_sets *sets, const struct digest *name,
    const struct buf *data, const struct buf *hint);

#endif
