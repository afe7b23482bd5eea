#ifndef UPLOADS_H
#define UPLOADS_H

#include "daemon/far.h"
#include "daemon/parcel.h"

/*
 * Uploading behind the build's back. A value that was written is acknowledged when
 * it is in the spool, and uploaded by threads of ours, a few for each location,
 * while it is well. What can't be uploaded now is tried again, after a second, then
 * two, up to a minute; for UPLOADS_AGE_S, then it is given up.
 *
 * A reader must not meet a name whose content is missing. So what an action writes
 * to the index goes to a location after all that it wrote there before, and after
 * each of its blobs is somewhere; if one is nowhere, since every location declined
 * it or the spool had no room for it, what names it is dropped.
 *
 * A blob that the far end has already is not sent.
 */
#define UPLOADS_LIMIT ((uint64_t)1 << 30) /* bytes, without a word otherwise */
#define UPLOADS_AGE_S 86400
#define UPLOADS_THREADS 4 /* for each location */

/* What one client writes belongs to one action. It is one for as long as the client
 * or an upload refers to it. */
struct group;
struct group *group_of(uint64_t number);
void group_release(struct group *group);

/* Go on with what is in the spool, TARN_DIR/daemon/spool. Returns 0 or -1. */
int uploads_open(const char *folder, uint64_t limit, struct error *err);

/*
 * A value for `far`. HIT: start writing it; then uploads_add() with all bytes
 * there, or uploads_forget(). DECLINED: the spool is full, or it is none for this
 * location. KEPT: the same blob waits already, or a value that is to stay.
 */
struct uploading {
	struct parcel_writer writer;
	struct far *far;
	struct group *group;
	struct key key;
	enum write_mode mode;
	uint64_t number, reserved;
	char *path;
};
enum outcome uploads_begin(struct uploading *up, struct far *far,
    struct group *group, const struct key *key, uint64_t size,
    enum write_mode mode, struct error *err);
int uploads_add(struct uploading *up, struct error *err);
void uploads_forget(struct uploading *up);

/* What waits under this key: a descriptor and where the value is in it; -1: none. */
int uploads_find(
    struct far *far, const struct key *key, uint64_t *start, uint64_t *size);

/*
 * Does anything wait under this key? A blob that does counts as written by this action,
 * too: what it writes to the index goes after it.
 */
bool uploads_contains(
    struct far *far, struct group *group, const struct key *key);

/*
 * It was removed: do not upload it. What is on its way is waited for up to `until`,
 * and removed from the far end when it is there. Did any wait?
 */
bool uploads_remove(struct far *far, const struct key *key, int64_t until);

/* How many wait (for `far`, or at all) and how many bytes they are. */
struct uploads_sum {
	uint64_t count, bytes, limit;
};
struct uploads_sum uploads_sum(const struct far *far);

/* Wait until none is left, or `until`; how many are. */
uint64_t uploads_flush(int64_t until);

#endif
