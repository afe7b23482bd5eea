#ifndef FLIGHT_H
#define FLIGHT_H

#include "daemon/far.h"

/*
 * Equal reads at the same time are made once. The first to ask for a key leads: he
 * reads, and leaves a copy; the others wait for it. A copy of more than
 * FLIGHT_MEMORY bytes is in a file without a name, and is given up if nobody waits
 * for it by then.
 */
#define FLIGHT_MEMORY ((size_t)1 << 20)

struct flight;

/* Lead one, or follow. Leave it in the end. */
struct flight *flight_join(struct far *far, const struct key *key, bool *leads);
void flight_leave(struct flight *flight);

/* The leader's: some bytes more; and what became of it, of which only HIT and MISS
 * are news to others. */
void flight_add(struct flight *flight, const void *data, size_t size);
void flight_land(struct flight *flight, enum outcome outcome);

/*
 * A follower's: the outcome, once it is known. FAILED: ask yourself. FLIGHT_IN_AIR: it
 * is not known by `until`.
 */
#define FLIGHT_IN_AIR 9
int flight_wait(struct flight *flight, int64_t until);

/* After HIT: the value. */
struct source *flight_source(struct flight *flight);

#endif
