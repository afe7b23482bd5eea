#include "daemon/flight.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/spool.h"
#include "daemon/thread.h"

struct flight {
	struct flight *next;
	struct far *far;
	struct key key;
	unsigned users;
	bool landed, lost; /* lost: there is no copy */
	enum outcome outcome;
	struct spool spool;
	struct sink *copy;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t landed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct flight *all; /* those that can be joined */

static void
init(void)
{
	thread_cond_init(&landed);
}

static struct flight *
find(const struct far *far, const struct key *key)
{
	struct flight *flight = all;

	while (flight &&
	    (flight->far != far || flight->key.space != key->space ||
	        !digest_equal(&flight->key.digest, &key->digest)))
		flight = flight->next;
	return flight;
}

/* Nobody can join it any more. */
static void
unlink_flight(struct flight *flight)
{
	struct flight **at = &all;

	while (*at && *at != flight)
		at = &(*at)->next;
	if (*at)
		*at = flight->next;
}

struct flight *
flight_join(struct far *far, const struct key *key, bool *leads)
{
	struct flight *flight;

	(void)pthread_once(&once, init);
	pthread_mutex_lock(&lock);
	flight = find(far, key);
	*leads = !flight;
	if (!flight) {
		flight = xmalloc(sizeof(*flight));
		*flight = (struct flight){ .next = all,
			.far = far,
			.key = *key,
			.spool = SPOOL_INIT(FLIGHT_MEMORY) };
		flight->copy = sink_spool(&flight->spool);
		all = flight;
	}
	flight->users++;
	pthread_mutex_unlock(&lock);
	return flight;
}

void
flight_leave(struct flight *flight)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = --flight->users == 0;
	if (last)
		unlink_flight(flight);
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	sink_close(flight->copy);
	spool_release(&flight->spool);
	free(flight);
}

/* Is it for nobody but its leader? Then nobody may come any more. */
static bool
is_lonely(struct flight *flight)
{
	bool lonely;

	pthread_mutex_lock(&lock);
	lonely = flight->users == 1;
	if (lonely)
		unlink_flight(flight);
	pthread_mutex_unlock(&lock);
	return lonely;
}

void
flight_add(struct flight *flight, const void *data, size_t size)
{
	struct error err;

	if (flight->lost)
		return;
	if (flight->spool.fd < 0 && flight->spool.size + size > FLIGHT_MEMORY &&
	    is_lonely(flight))
		flight->lost = true;
	else
		flight->lost = sink_write(flight->copy, data, size, &err) < 0;
	if (flight->lost)
		spool_release(&flight->spool);
}

void
flight_land(struct flight *flight, enum outcome outcome)
{
	pthread_mutex_lock(&lock);
	unlink_flight(flight);
	flight->outcome = flight->lost ? FAILED : outcome;
	flight->landed = true;
	pthread_cond_broadcast(&landed);
	pthread_mutex_unlock(&lock);
}

int
flight_wait(struct flight *flight, int64_t until)
{
	int outcome;

	pthread_mutex_lock(&lock);
	while (!flight->landed && clock_us() < until)
		thread_wait(&landed, &lock, until);
	outcome = flight->landed ? (int)flight->outcome : FLIGHT_IN_AIR;
	pthread_mutex_unlock(&lock);
	return outcome;
}

struct source *
flight_source(struct flight *flight)
{
	return spool_source(&flight->spool);
}
