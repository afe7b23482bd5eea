#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/error.h"

/*
 * Bytes on the move.
 *
 * A source gives bytes, a sink takes them. A value is never held in memory as
 * a whole unless the far end can do no better (Redis), so neither its size nor
 * the number of levels it passes through shows up in our footprint.
 *
 * Both can start over, because a value may be offered to a second location
 * after the first one declined it, or fetched from a second one after the
 * first broke off half way.
 */

struct source;
struct sink;

struct source_ops {
	/* Up to `size` bytes. Returns how many, 0 at the end, -1 on failure. */
	ssize_t (*read)(
	    struct source *src, void *data, size_t size, struct error *err);

	/* Back to the first byte. Returns 0 or -1. */
	int (*rewind)(struct source *src, struct error *err);

	/* Release everything, `src` included. */
	void (*close)(struct source *src);
};

struct source {
	const struct source_ops *ops;
	uint64_t size; /* in bytes, known from the start */
	int fd;        /* this whole file, for reflinks; -1 if there is none */
};

struct sink_ops {
	/* Take all `size` bytes. Returns 0 or -1. */
	int (*write)(struct sink *sink, const void *data, size_t size,
	    struct error *err);

	/* Forget what was written; another try follows. Returns 0 or -1. */
	int (*reset)(struct sink *sink, struct error *err);

	/* Make the value visible, whole and at once. Returns 0 or -1. */
	int (*commit)(struct sink *sink, struct error *err);

	/* Release everything, `sink` included. Not committed means not there. */
	void (*close)(struct sink *sink);

	/*
	 * Optional: take the whole of the open file `fd`, whose offset may move.
	 * A sink that ends in a file shares the storage or lets the kernel copy.
	 */
	int (*write_file)(struct sink *sink, int fd, struct error *err);

	/*
	 * Optional: did it get more than it wants? It takes what follows and keeps
	 * nothing of it, so who makes bytes of few may stop.
	 */
	bool (*is_full)(struct sink *sink);
};

struct sink {
	const struct sink_ops *ops;
};

ssize_t source_read(
    struct source *src, void *data, size_t size, struct error *err);
int source_rewind(struct source *src, struct error *err);
void source_close(struct source *src); /* NULL is fine */

int sink_write(
    struct sink *sink, const void *data, size_t size, struct error *err);

/* All of the file `fd` from its start, by write_file() or by reading it. */
int sink_write_file(struct sink *sink, int fd, struct error *err);
int sink_reset(struct sink *sink, struct error *err);
int sink_commit(struct sink *sink, struct error *err);
bool sink_is_full(struct sink *sink);
void sink_close(struct sink *sink); /* NULL is fine */

#define auto_source __attribute__((cleanup(source_close_var))) struct source
#define auto_sink __attribute__((cleanup(sink_close_var))) struct sink

static inline void
source_close_var(struct source **src)
{
	source_close(*src);
}

static inline void
sink_close_var(struct sink **sink)
{
	sink_close(*sink);
}

/* Everything that is left in `src` into `sink`; neither is closed. */
int stream_copy(struct source *src, struct sink *sink, struct error *err);

/* `data` is borrowed and must outlive the source. */
struct source *source_memory(const void *data, size_t size);

/*
 * The file `fd`, which is borrowed, from its start; pread() is used, so that
 * its offset means nothing. `size` is fstat()'s.
 */
struct source *source_file(int fd, uint64_t size);

/*
 * Appends to `buf`, which is borrowed; reset and close-before-commit undo. A
 * value of more than `max` bytes is ERROR_CORRUPT.
 */
struct buf;
struct sink *sink_buf(struct buf *buf, size_t max);

/* Takes everything and keeps nothing. */
struct sink *sink_null(void);

/* The same, and counts what it took since it was made or reset. In the caller's
 * memory; closing it does nothing. */
struct sink_counter {
	struct sink base;
	uint64_t bytes;
};
void sink_counter_init(struct sink_counter *counter);

/*
 * The file at `path`, which appears on commit, atomically, replacing what was
 * there (base/aside.h).
 */
struct sink *sink_file(const char *path, mode_t mode, struct error *err);

/*
 * Pass bytes on to `next`, which is borrowed, and refuse to commit with
 * ERROR_CORRUPT unless they add up to `want`. sink_verified(): do they? If they
 * are the packed form of something (base/pack.h), the error says so instead, and is
 * ERROR_USAGE; sink_packed(): are they?
 */
struct sink *sink_verify(struct sink *next, const struct digest *want);
bool sink_verified(struct sink *verify, struct digest *sum);
bool sink_packed(struct sink *verify, struct error *err);

#endif
