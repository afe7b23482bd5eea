#ifndef PACK_H
#define PACK_H

#include <stdbool.h>
#include <string.h>

#include "base/spool.h"
#include "base/stream.h"

/*
 * Values that are kept compressed. A packed value is two frames in the format of
 * zstd, so that `zstd -d` makes the value of it by hand: a skippable one, which is
 * our mark, and one with the bytes.
 *
 *	 0  54 2a 4d 18   a skippable frame ...
 *	 4  10 00 00 00   ... of 16 bytes:
 *	 8  74 61 72 6e   "tarn"
 *	12  01 00 00 00   version
 *	16                size of the value, 8 bytes
 *	24                a frame of zstd
 *
 * What doesn't gain is kept as it is. A value that begins with our mark by itself is
 * packed whether it gains or not: so where values are packed, each has one meaning.
 */
#define PACK_HEAD 24
#define PACK_MARK 12 /* bytes of it that tell */

static inline bool
pack_is_marked(const void *data, size_t size)
{
	return size >= PACK_MARK &&
	    memcmp(data, "\x54\x2a\x4d\x18\x10\0\0\0tarn", PACK_MARK) == 0;
}

/* What packs and unpacks for one location; used by one thread at a time. */
struct packer;

/* As "zstd" or "zstd:LEVEL" says, 1 to 19; NULL and ERROR_USAGE if it is neither. */
struct packer *packer_new(const char *how, struct error *err);
void packer_free(struct packer *packer); /* NULL is fine */

/*
 * What is to be kept of `in`: 1, what is in `spool`; 0, its own bytes: it is at its
 * start again; -1, it can't be read or the spool not be filled. A source that gives
 * more or less than its size is ERROR_CORRUPT.
 */
int packer_pack(struct packer *packer, struct source *in, struct spool *spool,
    struct error *err);

/*
 * A sink for what was kept, packed or not, that gives `next`, which is borrowed, the
 * value. It takes up to 2.5 MiB whatever is written to it. Damage stops nothing: what
 * follows is passed over. If `deadline` is not NULL, it fails with ERROR_UNREACHABLE
 * while *deadline, unless 0, has passed (CLOCK_MONOTONIC, microseconds).
 */
struct sink *sink_unpack(
    struct packer *packer, struct sink *next, const int64_t *deadline);

enum unpacked {
	UNPACK_FAILED =
	    -1,         /* *err says why: `next` failed, or nobody knows how */
	UNPACK_DAMAGED, /* *err says how; `next` has a part of it, or none */
	UNPACK_WHOLE,
};

/* When all was written. */
enum unpacked sink_unpacked(struct sink *base, struct error *err);

#endif
