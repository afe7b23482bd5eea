#include "remote/addresses.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

/*
 * A name is looked up in a thread of its own, since nobody can say how long that
 * takes; who stops waiting for it leaves the question to the thread.
 */
struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t done;
	char *host, port[8];
	struct addrinfo *found;
	int rc;
	bool finished, left;
};

static const struct addrinfo stream_hints = { .ai_socktype = SOCK_STREAM,
	.ai_flags = AI_NUMERICSERV };

static void
lookup_free(struct lookup *lookup)
{
	pthread_cond_destroy(&lookup->done);
	pthread_mutex_destroy(&lookup->lock);
	free(lookup->host);
	free(lookup);
}

static void *
lookup_run(void *arg)
{
	struct lookup *lookup = arg;
	struct addrinfo *found = NULL;
	int rc = getaddrinfo(lookup->host, lookup->port, &stream_hints, &found);
	bool left;

	pthread_mutex_lock(&lookup->lock);
	lookup->rc = rc;
	lookup->found = found;
	lookup->finished = true;
	left = lookup->left;
	pthread_cond_signal(&lookup->done);
	pthread_mutex_unlock(&lookup->lock);
	if (left) {
		if (rc == 0)
			freeaddrinfo(found);
		lookup_free(lookup);
	}
	return NULL;
}

static struct lookup *
lookup_start(const char *host, const char *port)
{
	struct lookup *lookup = xmalloc(sizeof(*lookup));
	pthread_condattr_t monotonic;
	pthread_t thread;

	*lookup = (struct lookup){ .host = xstrdup(host) };
	(void)strcpy(lookup->port, port);
	pthread_mutex_init(&lookup->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&lookup->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&thread, NULL, lookup_run, lookup) != 0) {
		lookup_free(lookup);
		return NULL;
	}
	pthread_detach(thread);
	return lookup;
}

/* EAI_INPROGRESS: not within the time. Takes over `lookup`. */
static int
lookup_wait(struct lookup *lookup, int64_t end, struct addrinfo **found)
{
	const struct timespec until = { .tv_sec = end / 1000000,
		.tv_nsec = end % 1000000 * 1000 };
	bool finished;
	int rc = 0;

	pthread_mutex_lock(&lookup->lock);
	while (!lookup->finished && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(
		    &lookup->done, &lookup->lock, &until);
	finished = lookup->finished;
	lookup->left = !finished;
	pthread_mutex_unlock(&lookup->lock);
	if (!finished)
		return EAI_INPROGRESS;
	rc = lookup->rc;
	*found = lookup->found;
	lookup_free(lookup);
	return rc;
}

struct addrinfo *
addresses_find(const char *host, uint16_t port, int64_t end_us, int *rc)
{
	struct addrinfo hints = stream_hints, *found = NULL;
	struct lookup *asked;
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	hints.ai_flags |= AI_NUMERICHOST; /* an address is none to look up */
	*rc = getaddrinfo(host, text, &hints, &found);
	if (*rc == 0)
		return found;
	asked = lookup_start(host, text);
	*rc = asked ? lookup_wait(asked, end_us, &found) : EAI_MEMORY;
	return *rc == 0 ? found : NULL;
}
