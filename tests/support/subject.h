#ifndef SUBJECT_H
#define SUBJECT_H

#include "locations/location.h"

/*
 * Locations for tests, each in a folder of its own, from a short description:
 *
 *	levels(small(9,disk(a)),disk(b):r,fanout(disk(c),disk(d)))
 *
 * Letters after a level's colon: r read-only, n no replicas, t touch. Levels that
 * packed(a) is a disk that compresses. Levels that start with '!' are written to the first that accepts. Leaves under a spy
 * (support/spy.h): spied(a); failing(a), at every call; declining(a), a read-only
 * one; failing_at(7,a), at that call only, counted from 1. remote(a) is what
 * TARN_TEST_URL says, where tests/remote/run has started a server; proxied(a) the
 * same through a tarnd of its own.
 */
struct subject {
	char dir[64];
	struct location *loc;
	bool ailing; /* some leaf fails or declines */
};

void subject_open(struct subject *subject, const char *description);
void subject_close(struct subject *subject); /* the folder goes too */

/* Another one in the same folder. The caller closes it. */
struct location *subject_again(
    const struct subject *subject, const char *description);

/* The i-th leaf from the left, and what was asked of it. */
struct location *subject_leaf(const struct subject *subject, size_t i);
struct spy *subject_spy(const struct subject *subject, size_t i);

/* Run a shell command in the folder. Returns its status. */
int subject_shell(const struct subject *subject, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

/* A key, and the bytes it is the digest of: `size` bytes from `seed`, of which a
 * quarter can be gained by compressing them. */
char *subject_value(unsigned seed, size_t size, struct key *key);

/* Write, read, with errors checked and shown. */
enum outcome put(struct location *loc, const struct key *key, const char *data,
    size_t size, enum write_mode mode);
bool has(
    struct location *loc, const struct key *key, const char *data, size_t size);

#endif
