#ifndef PARCEL_H
#define PARCEL_H

#include "base/aside.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/stream.h"
#include "locations/location.h"
#include "proto/daemon.pb-c.h"

/*
 * A value that waits to be uploaded: a file of the spool.
 *
 *	8 bytes    "tarnup1\n"
 *	8 bytes    size of the message; the little end first, as all
 *	8 bytes    size of the value
 *	32 bytes   SHA-256 of the value
 *	32 bytes   SHA-256 of all of the above and of the message
 *	           the message: a DaemonUpload, where to and under which key
 *	           the value
 *
 * It gets its name when all of it is there, so a killed tarnd leaves whole ones or
 * none. A machine that loses power may leave others: they are found out by the two
 * digests, and never uploaded.
 */
#define PARCEL_HEAD 88           /* bytes in front of the message */
#define PARCEL_MESSAGE (1 << 20) /* bytes of it at most */

struct parcel {
	uint64_t start, size; /* of the value, in the file */
	struct digest digest; /* of the value */
	Tarn__DaemonUpload *upload;
};

/* Bytes that are to come, on their way into a file. */
struct parcel_writer {
	struct aside file;
	struct parcel parcel; /* without `upload` */
	struct buf head;      /* all but the digests */
	struct hasher hasher;
	uint64_t got;
};

/* Start one that is to be at `path`. Returns 0 or -1; parcel_drop() after both. */
int parcel_start(struct parcel_writer *writer, const char *path,
    const Tarn__DaemonUpload *upload, uint64_t size, struct error *err);
int parcel_add(struct parcel_writer *writer, const void *data, size_t size,
    struct error *err);

/* All bytes are there: give it its name. -1: also if they are too few, or a blob's
 * are not what its key says. */
int parcel_finish(
    struct parcel_writer *writer, const char *path, struct error *err);
void parcel_drop(struct parcel_writer *writer);

/* What the start of a file says, of which there are `size` bytes in all. ERROR_CORRUPT
 * unless it is one of ours and whole; the value is not looked at. */
int parcel_decode(struct parcel *parcel, const void *data, size_t len,
    uint64_t size, struct error *err);
int parcel_open(struct parcel *parcel, int fd, struct error *err);
void parcel_release(struct parcel *parcel);

/* Does the value have its digest? 1, or 0, or -1 if it can't be read. */
int parcel_is_whole(const struct parcel *parcel, int fd, struct error *err);

/* The value; `fd` is borrowed. */
struct source *parcel_source(int fd, uint64_t start, uint64_t size);

#endif
