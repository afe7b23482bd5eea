#ifndef SPOOL_H
#define SPOOL_H

#include "base/buf.h"
#include "base/stream.h"

/*
 * A value that has to be kept for a while: in memory as long as it is small,
 * then in a file that has no name (in $TMPDIR, else /tmp). A file that is given
 * as a whole is not copied at all: the spool keeps it open, so it must not
 * change as long as the spool lives (files of a lake never do).
 *
 *	auto_spool spool = SPOOL_INIT(1 << 20);
 *	auto_sink *in = sink_spool(&spool);
 *	... fill it ...
 *	auto_source *out = spool_source(&spool);
 */
struct spool {
	struct buf data;
	int fd;        /* -1: all of it is in `data` */
	uint64_t size; /* bytes in all */
	size_t memory; /* bytes in memory at most */
};

#define SPOOL_INIT(bytes) \
	{ \
		.data = BUF_INIT, .fd = -1, .memory = (bytes) \
	}

void spool_release(struct spool *spool);

/* Fills the spool, which is borrowed. Commit does nothing. */
struct sink *sink_spool(struct spool *spool);

/* What is in it, from the start; the spool is borrowed. */
struct source *spool_source(const struct spool *spool);

#define auto_spool __attribute__((cleanup(spool_release))) struct spool

#endif
