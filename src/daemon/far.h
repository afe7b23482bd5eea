#ifndef FAR_H
#define FAR_H

#include <pthread.h>

#include "locations/location.h"

/*
 * A location that tarnd speaks for: connections to it, and how well it is.
 *
 * Leaves are for one thread at a time, so each request borrows one and gives it
 * back; up to FAR_OPEN are open. They are opened in threads of their own: who needs
 * one waits FAR_CONNECT_US for the first, and for a free one as long as he likes.
 *
 * One breaker guards it. A request that finds the server away, and an account
 * that is used up, open it: from then on nobody waits, and a thread of ours tries
 * again, after a second, then two, up to a minute.
 *
 * The account is what waiting may cost all of a user's builds together: it starts
 * with FAR_CREDIT_US and gets FAR_REGAIN of the time that passes. What a lookup takes
 * beyond FAR_FREE_US goes off it (at the same time counts once, as it is lost
 * once), and what the run of a record that was found took, is added. So a server
 * that is slow, whatever the reason, is asked for as long as that brings more than
 * it costs. Who was skipped for that comes back when the account has
 * FAR_AGAIN_US, or after FAR_RETRY_S.
 *
 * While it is away, a file in TARN_DIR/daemon/away says so to the clients, which then
 * don't even ask us unless uploads wait (locations/daemon.h).
 */
#define FAR_OPEN 16
#define FAR_CONNECT_US 200000
#define FAR_FIRST_US 500000  /* for a lookup's answer to begin */
#define FAR_RATE 65536       /* and then bytes a second, at least */
#define FAR_FREE_US 25000    /* a lookup that takes so long costs nothing */
#define FAR_CREDIT_US 250000 /* at the start */
#define FAR_CREDIT_MAX_US 5000000
#define FAR_AGAIN_US 100000 /* after it was used up */
#define FAR_REGAIN 200      /* one part in so many of the time that passes */
#define FAR_RETRY_S 60      /* at most, between two tries */
#define FAR_KNOWN_S 300     /* what was measured counts for so long */

struct far_counts {
	uint64_t reads, hits, merged;
	uint64_t waited_us; /* while a lookup was under way, however many */
	uint64_t uploaded, uploaded_bytes, present, refused;
};

/* What waits to be uploaded there, oldest first: uploads.c, under its lock. */
struct far_uploads {
	struct upload *first, *last;
	uint64_t count, bytes;
};

struct far {
	struct far *next;
	Tarn__Location *config; /* owned, as are the others */
	struct digest id;       /* of its description */
	char *label;
	struct location *idle[FAR_OPEN];
	unsigned idle_count, open, connecting, waiting;
	int64_t connecting_since;
	bool mending; /* a thread tries again */

	bool away;
	bool unconnected; /* ... only since no connection was ready */
	struct error why;
	int64_t retry_us;
	unsigned failures, lies;

	int64_t account_us, account_at, charged_until, waited_until;

	uint64_t limit;            /* of a value that it takes; 0: not known */
	uint64_t latency_us, rate; /* bytes a second; 0: not known */
	int64_t latency_at, rate_at;

	struct far_uploads uploads;
	int64_t upload_retry_us; /* uploads.c: not before */
	unsigned upload_failures, uploaders;
	struct error upload_why;
	struct far_counts counts; /* under far_lock() */
};

/* Where the files are that say who is away; what is there is old. */
void far_set_up(int folder);

/* The one with this description, made if it is new. It stays. */
struct far *far_of(const Tarn__Location *config);

/* All of them, one after the other; NULL: the first. */
struct far *far_next(struct far *far);

/* For counts and what is told of it. */
void far_lock(void);
void far_unlock(void);

/*
 * An open leaf, until far_return(). NULL with ERROR_SKIPPED: it is away, or no
 * connection is there in time. far_borrow_for_upload() waits until it is well again.
 */
struct location *far_borrow(struct far *far, int64_t until, struct error *err);
struct location *far_borrow_for_upload(struct far *far);

/*
 * It is free again. `err` is NULL, or why a request failed; `fair`: the server had
 * the time that it may take, so this counts against it.
 */
void far_return(
    struct far *far, struct location *loc, const struct error *err, bool fair);

/* A lookup from `start` to `end`; `saved_us`: what a record that it found saves. */
void far_charge(struct far *far, int64_t start, int64_t end, uint64_t saved_us);

/* Since `start`, for a connection that was not to be had. */
void far_waited(struct far *far, int64_t start);

/* `bytes` in this time, of which 0 is an answer without a value. */
void far_measure(struct far *far, uint64_t bytes, int64_t us);

/* How long it would take to fetch so much, microseconds; 0: not known. */
uint64_t far_expect(const struct far *far, uint64_t bytes, size_t count);

/* Would it decline a value of this size, whatever it is? */
bool far_declines(const struct far *far, uint64_t size);

/* Try again at once. */
void far_hurry(void);

#endif
