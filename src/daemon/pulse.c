#include "daemon/pulse.h"

#include <stdbool.h>

#include "base/clock.h"
#include "daemon/thread.h"

#define BRIEF_US 1000 /* who takes nothing now has enough to read */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t begun;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct pulse *all;
static bool beats, sleeps; /* the thread is there; and has nothing to do */

static void
init(void)
{
	thread_cond_init(&begun);
}

void
pulse_init(struct pulse *pulse)
{
	pthread_mutex_init(&pulse->lock, NULL);
}

void
pulse_release(struct pulse *pulse)
{
	pthread_mutex_destroy(&pulse->lock);
}

void
pulse_lock(struct pulse *pulse)
{
	pthread_mutex_lock(&pulse->lock);
}

void
pulse_unlock(struct pulse *pulse)
{
	pthread_mutex_unlock(&pulse->lock);
}

/* Who is being sent something needs no other sign. */
static void
beat_one(struct pulse *pulse)
{
	struct error err;

	if (pthread_mutex_trylock(&pulse->lock) != 0)
		return;
	(void)channel_send_data(
	    pulse->channel, pulse->item, "", 0, clock_us() + BRIEF_US, &err);
	pthread_mutex_unlock(&pulse->lock);
}

/* For as long as we live: it sleeps while nobody waits. */
static void *
beat(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		int64_t next = clock_us() + PULSE_US;

		while (clock_us() < next)
			thread_wait(&begun, &lock, next);
		for (sleeps = !all; sleeps; sleeps = !all)
			pthread_cond_wait(&begun, &lock);
		for (struct pulse *pulse = all; pulse; pulse = pulse->next)
			beat_one(pulse);
	}
	return arg;
}

void
pulse_begin(struct pulse *pulse, struct channel *channel, uint32_t item)
{
	(void)pthread_once(&once, init);
	pulse->channel = channel;
	pulse->item = item;
	pthread_mutex_lock(&lock);
	pulse->previous = NULL;
	pulse->next = all;
	if (all)
		all->previous = pulse;
	all = pulse;
	if (sleeps)
		pthread_cond_signal(&begun);
	if (!beats)
		beats = thread_start(beat, NULL) == 0;
	pthread_mutex_unlock(&lock);
}

void
pulse_end(struct pulse *pulse)
{
	pthread_mutex_lock(&lock);
	*(pulse->previous ? &pulse->previous->next : &all) = pulse->next;
	if (pulse->next)
		pulse->next->previous = pulse->previous;
	pthread_mutex_unlock(&lock);
}
