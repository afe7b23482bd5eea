#ifndef LOCATION_H
#define LOCATION_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/stream.h"
#include "proto/config.pb-c.h"

/*
 * A location keeps values under keys: a folder, a bucket, a Redis server, or an
 * arrangement of other locations. All of them have this one interface, so they
 * nest in any way that makes sense:
 *
 *	levels(small(redis), disk, fanout(disk, disk), s3)
 *
 * A location only stores. It doesn't hash, verify or interpret what it is given
 * (the store does; only levels look at what they copy), never retries on its own
 * unless the server itself asks for patience, and never prints: what went wrong is
 * in *err, and whether that matters is the caller's business.
 *
 * To add one, write src/locations/<name>.c with a `const struct location_kind`
 * and put it in the table in kinds.c. Then tests/unit/test_location.c runs
 * against it.
 */

struct location;
struct packer;          /* base/pack.h */
struct collect_request; /* collect.h */
struct collect_result;

/* The two name spaces of every cache: AC and CAS in the Remote Execution API. */
enum key_space {
	KEY_INDEX, /* path sets by action key, records by fingerprint */
	KEY_BLOB,  /* blobs by the digest of their content */
};

struct key {
	enum key_space space;
	struct digest digest;
};

/* What came of a request. "No" is an ordinary answer, not an error. */
enum outcome {
	FAILED = -1, /* no telling; *err says why */
	MISS = 0,    /* it isn't there */
	HIT = 1,     /* it was there */

	/* The same answers to a write. After DECLINED, *err may say why. */
	DECLINED = MISS, /* read-only, full or too big; nothing was kept */
	STORED = HIT,    /* kept now */
	KEPT = 2,        /* WRITE_IF_ABSENT: what was there before stays */
};

const char *outcome_name(
    enum outcome outcome); /* "failed", "miss", "hit" ... */

/* What to do with a value that is already there. Readers see old or new, whole. */
enum write_mode {
	/*
	 * Let it stay, answer KEPT; atomic, so the first one wins. A web server
	 * only looks before it writes: of writers at one time several may be told
	 * STORED, and the last one's value stays, whole.
	 */
	WRITE_IF_ABSENT,
	WRITE_REPLACE,
};

/* One of a batch; the outcome and, if it is FAILED, the error are filled in. */
struct location_read_request {
	struct key key;
	struct sink *out; /* borrowed; not committed */
	enum outcome outcome;
	struct location *served; /* after HIT: the leaf it came from */
	struct error err;
};
struct location_write_request {
	struct key key;
	struct source *in; /* borrowed */
	enum write_mode mode;
	enum outcome outcome;
	struct error err;
};

struct location_contains_request {
	struct key key;
	enum outcome outcome;
	struct error err;
};

struct location_entry {
	struct key key;
	uint64_t size;         /* bytes, as they are kept */
	time_t last_used;      /* seconds since the epoch, 0 if not kept */
	bool unlabelled;       /* location_labels() would find none */
	struct location *leaf; /* that has it; borrowed */
};

/*
 * What of a list is wanted. The rest may be told as well where it costs nothing: so
 * entries of another space may come. `last_used` means nothing unless it was wanted,
 * and `unlabelled` is false then.
 */
enum {
	LIST_BLOBS = 1,
	LIST_INDEX = 2,
	LIST_USES = 4,   /* last_used */
	LIST_LABELS = 8, /* unlabelled */
	LIST_ALL = 15,
};

/* All: return 0 to go on, anything else to stop. */
typedef int location_entry_fn(void *arg, const struct location_entry *entry);
typedef int location_label_fn(void *arg, const char *label);
typedef int location_value_fn(
    void *arg, struct location *from, const char *data, size_t size);

/* Something that is wrong with how values are kept, in words. */
struct location_damage {
	const char *path; /* where */
	const char *found, *expected;
	bool mended;
	const char *why; /* it was not, though it should have been; or NULL */
};
typedef void location_damage_fn(
    void *arg, struct location *leaf, const struct location_damage *damage);

struct location_kind {
	const char *name; /* as in a location expression */

	/*
	 * What is read has crossed a network: location_read() and its batch answer
	 * FAILED with ERROR_CORRUPT for a blob that is not what its key says, and
	 * the kind need not look.
	 */
	bool remote;

	/* Another process does what is asked of it, and packs what is to be packed. */
	bool forwards;

	/* Build a location from its description. NULL with *err set on failure. */
	struct location *(*open)(
	    const Tarn__Location *config, struct error *err);

	/* Release it and the locations inside it. */
	void (*close)(struct location *loc);

	/*
	 * Write the value of `key` to `out`, without committing. After FAILED,
	 * `out` may hold a part of it: reset or close it. A composite sets
	 * loc->served to its member's, a leaf need not.
	 */
	enum outcome (*read)(struct location *loc, const struct key *key,
	    struct sink *out, struct error *err);

	/*
	 * Keep the bytes of `in` under `key`. Readers see all of them or none.
	 * After DECLINED or FAILED, `in` may have been read from: rewind it.
	 * A place that is read-only or full is DECLINED with the reason in *err,
	 * whose kind is ERROR_NONE when there is nothing more to say.
	 */
	enum outcome (*write)(struct location *loc, const struct key *key,
	    struct source *in, enum write_mode mode, struct error *err);

	/* Is there a value? It may be gone by the time it is read. */
	enum outcome (*contains)(
	    struct location *loc, const struct key *key, struct error *err);

	/* Optional; a kind without it can't forget. HIT: it was there. */
	enum outcome (*remove)(
	    struct location *loc, const struct key *key, struct error *err);

	/*
	 * Optional: note that `key` was used now, as far as its owner lets us.
	 * MISS: it isn't there.
	 */
	enum outcome (*touch)(
	    struct location *loc, const struct key *key, struct error *err);

	/*
	 * Optional: call `fn` for every entry, in any order and constant memory,
	 * until it returns non-zero, which is then returned; 0 at the end, -1 on
	 * failure. `fn` may remove the entry. A composite names what several
	 * members have several times, and goes on past a member that fails.
	 * What is not `wanted` (LIST_...) may be left out.
	 */
	int (*list)(struct location *loc, unsigned wanted,
	    location_entry_fn *fn, void *arg, struct error *err);

	/*
	 * Optional, for blobs: add labels to what is under `key`; those that it
	 * has stay. `labels` ends with NULL. MISS: it isn't there, or this kind
	 * keeps none. They go when the value is removed. A composite adds them in
	 * all members that have the value and that it writes to.
	 */
	enum outcome (*add_labels)(struct location *loc, const struct key *key,
	    const char *const *labels, struct error *err);

	/*
	 * Optional: call `fn` for each label, sorted. MISS: there are none. After
	 * FAILED it was called for none. A composite has the labels of the first
	 * member that has any.
	 */
	enum outcome (*labels)(struct location *loc, const struct key *key,
	    location_label_fn *fn, void *arg, struct error *err);

	/*
	 * Optional, leaves only: look for what is wrong with how values are kept:
	 * places, modes, leftovers; the values themselves are not read. `fn` is
	 * told of each, with `mend` after it has been put right if that can be
	 * done. Returns 0, or -1 if it could not be looked at as a whole.
	 */
	int (*inspect)(struct location *loc, bool mend, location_damage_fn *fn,
	    void *arg, struct error *err);

	/* Optional, where many at once cost less; default: one by one. */
	void (*read_batch)(struct location *loc,
	    struct location_read_request *requests, size_t count);
	void (*write_batch)(struct location *loc,
	    struct location_write_request *requests, size_t count);
	void (*contains_batch)(struct location *loc,
	    struct location_contains_request *requests, size_t count);

	/*
	 * Optional: no larger value will be taken, so that nobody need keep one
	 * at hand to offer it.
	 */
	uint64_t (*limit)(struct location *loc);

	/*
	 * Optional, leaves only: how long it would take to fetch so much, by what
	 * was measured lately; microseconds, 0: not known.
	 */
	uint64_t (*expect)(struct location *loc, uint64_t bytes);

	/*
	 * Optional, leaves only: remove what was not used for longest, in a way
	 * of its own; and: has a write found that there is more than there may
	 * be, and, if `idle`, nobody is at it? It costs nothing to ask. Both are
	 * called through collect.h.
	 */
	enum outcome (*collect)(struct location *loc,
	    const struct collect_request *request,
	    struct collect_result *result, struct error *err);
	bool (*is_over)(struct location *loc, bool idle);

	/* Composites only: the i-th location inside, borrowed; NULL past the end. */
	struct location *(*member)(struct location *loc, size_t i);

	/*
	 * Composites only, optional: would remove() ask the i-th member? Without
	 * it, all are asked.
	 */
	bool (*forgets)(struct location *loc, size_t i);
};

/*
 * What was asked of a leaf since it was opened, and what came of it. `errors`
 * counts what FAILED, whoever passed over it; `us` includes the time that the
 * other end of the stream took.
 */
struct location_counts {
	uint32_t reads, hits, writes, errors;
	uint32_t
	    skipped; /* what FAILED with ERROR_SKIPPED, and is in no other */
	uint64_t us; /* time spent, microseconds */
};

/* Who answers reads: all, only those nearby, or only those that are not. */
enum reach { REACH_ALL, REACH_NEAR, REACH_FAR };

/* The part that is common to all kinds; each embeds it as `base`. */
struct location {
	const struct location_kind *kind;
	char *label; /* for messages and reports; owned */
	struct location
	    *served; /* the leaf of the last HIT to a read, borrowed */
	struct location_counts counts;
	int64_t deadline_us; /* location_set_deadline() */
	enum reach reach;    /* location_set_reach() */

	/*
	 * Leaves only, by their option `compress`: blobs are kept packed where that
	 * gains. location.c sees to it on their way in and out, so a leaf is only told
	 * that what it keeps has not the digest that its key says. NULL: they are kept
	 * as they are. Owned.
	 */
	struct packer *packer;

	/*
	 * Leaves but remote ones, of whom tarnd keeps account: CLOCK_MONOTONIC,
	 * microseconds. One that took half a second to fail, as a file system does
	 * whose server is gone, is not asked for the next ten: everything FAILED
	 * at once.
	 */
	uint64_t rest_until;

	/* What went wrong first, or why it was not asked or declined; of a leaf;
	 * owned. */
	char *trouble;
};

/*
 * The tree described by `config`, which may go afterwards. NULL on failure: a kind
 * that this program has not (ERROR_USAGE), a bad option; a member's error names it.
 * A leaf's label is its place without user and password.
 */
struct location *location_open(const Tarn__Location *config, struct error *err);
void location_close(struct location *loc); /* NULL is fine */

/* The option that all leaves have: how what they keep is packed (base/pack.h). */
#define LOCATION_COMPRESS "compress"

/* A leaf's place as it may be shown. The caller frees it. */
char *location_place(const Tarn__Location *config);

/*
 * Who asks stops waiting at this time (CLOCK_MONOTONIC, microseconds; 0: never).
 * Leaves that wait for a server look at it, beside limits of their own, and answer
 * FAILED with ERROR_UNREACHABLE once it has passed.
 */
void location_set_deadline(struct location *loc, int64_t deadline_us);

/*
 * Until further notice, a read of a leaf that is out of reach is a MISS without a
 * question, and counts as none. So it can be found out first what is nearby, and
 * then be asked for at once what is not; a leaf is far if its kind is remote.
 */
void location_set_reach(struct location *loc, enum reach reach);

/* Call it `name`, and also what is inside, down to the leaf, if that is one. */
void location_name(struct location *loc, const char *name);

/* The largest value that a write may be taken of; UINT64_MAX: there is no limit. */
uint64_t location_limit(struct location *loc);

enum outcome location_read(struct location *loc, const struct key *key,
    struct sink *out, struct error *err);
enum outcome location_write(struct location *loc, const struct key *key,
    struct source *in, enum write_mode mode, struct error *err);
enum outcome location_contains(
    struct location *loc, const struct key *key, struct error *err);
enum outcome location_remove(
    struct location *loc, const struct key *key, struct error *err);
enum outcome location_touch(
    struct location *loc, const struct key *key, struct error *err);
int location_list(
    struct location *loc, location_entry_fn *fn, void *arg, struct error *err);
int location_list_some(struct location *loc, unsigned wanted,
    location_entry_fn *fn, void *arg, struct error *err);
enum outcome location_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err);
enum outcome location_labels(struct location *loc, const struct key *key,
    location_label_fn *fn, void *arg, struct error *err);
int location_inspect(struct location *loc, bool mend, location_damage_fn *fn,
    void *arg, struct error *err);
void location_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count);
void location_write_batch(struct location *loc,
    struct location_write_request *requests, size_t count);
void location_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count);

/*
 * A read of a value that shows whether it is whole: blobs by their digest, what is
 * in the index by a check of its own. If what was read first is damaged, every
 * leaf is asked, nearest first, until one has it whole. With `mend`, leaves forget
 * what is damaged, or whose file nobody is let read, as far as location_remove() would reach them, and what is whole
 * is copied to nearer levels as after any read.
 */
struct location_check {
	/* In: is what the sink took whole? Asked once after each read. */
	bool (*is_whole)(void *arg);
	void *arg;
	bool mend;

	/* Out: what was damaged, and where; ERROR_NONE: nothing. */
	struct error damage;
};

/* MISS: nobody has it; FAILED with ERROR_CORRUPT: nobody has it whole; with
 * ERROR_USAGE: it is there, packed, in a location that has no `compress`. */
enum outcome location_read_checked(struct location *loc, const struct key *key,
    struct sink *out, struct location_check *check, struct error *err);

/*
 * Offer the value of `key` in every leaf that has one, nearest first, until `fn`
 * is satisfied: what a near level has may be of less use than what a far one has.
 * Nothing is replicated. A leaf that fails is passed over (it is counted).
 * Values over `max` bytes are passed over too. Returns what `fn` returned last;
 * 0 if there was none.
 */
int location_read_each(struct location *loc, const struct key *key, size_t max,
    location_value_fn *fn, void *arg);

/* What fetching so much from a leaf would take, microseconds; 0: not known. */
uint64_t location_expect(struct location *leaf, uint64_t bytes);

/* Call `fn` for every leaf, nearest first. */
void location_each_leaf(struct location *loc,
    void (*fn)(void *arg, struct location *leaf), void *arg);

/*
 * The description of a location expression in one word: a path (a disk lake) or
 * a URL, as in TARN_TIERS, whose whole line location_from_tiers() takes. Both
 * return NULL and ERROR_USAGE if it can't be understood; relative paths are
 * taken from `cwd`. Free with tarn__location__free_unpacked(x, NULL).
 */
Tarn__Location *location_from_word(
    const char *word, const char *cwd, struct error *err);
Tarn__Location *location_from_tiers(
    const char *tiers, const char *cwd, struct error *err);

#endif
