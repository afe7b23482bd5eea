#ifndef TEE_H
#define TEE_H

#include <stdbool.h>

#include "base/spool.h"

/*
 * A value on its way to the reader, of which a copy is kept in a spool. The copy is
 * dropped, and the reader doesn't notice, when it can't be made or grows over a
 * limit. Committing is left to the reader.
 */
struct tee {
	struct sink base;
	struct sink *out;  /* borrowed */
	struct sink *copy; /* owned; fills `spool` */
	struct spool spool;
	uint64_t limit; /* nobody wants a larger copy */
	uint64_t size;
	bool dropped; /* there is no copy */
};

/* In the caller's memory; sink_close(&tee->base) releases what it holds. */
void tee_init(struct tee *tee, struct sink *out, uint64_t limit, size_t memory);

#endif
