#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/stream.h"

/*
 * Requests to web servers, for the leaves that make them: libcurl with our streams,
 * our waiting and our errors.
 *
 *	struct http *http = http_new(&options);
 *	struct http_request request = { .method = "GET", .url = url, .out = out };
 *
 *	if (http_send(http, &request, &err) == 0 && request.status == 200)
 *		...
 *	http_release(&request);
 *	http_free(http);
 *
 * One `struct http` is used by one thread at a time. It keeps its connections open
 * for the next request, and makes up to `parallel` requests at once: http_add()
 * several and http_run(). What a source or a sink takes of the time counts for nobody;
 * a server that takes fewer connections gets fewer requests. Nothing is done before the first request, and then libcurl
 * is set up once for the process.
 *
 * What a server can make us hold is bounded: headers, and the text of a refusal.
 * Bodies go through. HTTP/1.1 is spoken, to http and https only; no cookies are kept,
 * nothing is uncompressed, and of the environment only HOME counts, for ~/.netrc: no
 * variable names a proxy or certificates.
 */
struct http;

/* All may be NULL or 0. Strings are copied. */
struct http_options {
	const char *ca;              /* file with the only CAs to be trusted */
	const char *cert, *key;      /* files, to show to the server */
	const char *proxy;           /* its URL; NULL: none */
	const char *user, *password; /* for basic authentication */
	bool netrc;                  /* without a user: as ~/.netrc has it */
	unsigned parallel;           /* requests at once; 0: 16 */
	unsigned timeout_s;          /* in which something has to move; 0: 10 */
	unsigned connect_s;          /* in which to be connected; 0: 3 */
};

struct http *http_new(const struct http_options *options);
void http_free(struct http *http); /* NULL is fine */

/*
 * Nobody waits longer than *deadline_us (CLOCK_MONOTONIC, microseconds; 0: as long as
 * it moves). It is borrowed, and looked at anew each time, since whoever takes what
 * comes may move it. NULL: there is none.
 */
void http_set_deadline(struct http *http, const int64_t *deadline_us);

#define HTTP_UNKNOWN UINT64_MAX

struct http_request {
	/* The request; all is borrowed until it is done. */
	const char *method; /* in capitals */
	const char *url;    /* without user and password */
	const char *const
	    *headers;      /* "Name: value", NULL at the end; or NULL */
	struct source *in; /* its body, from its start; NULL: none */
	struct sink *out;  /* for the body of a 2xx; NULL: nobody wants it */
	uint64_t max;      /* bytes of that which are taken; 0: no limit */
	uint64_t max_unannounced; /* the same, if no Content-Length came */

	/* Be content with status and headers, where HEAD can't be had. */
	bool only_head;

	/*
	 * Follow redirections on the same server, a few. One to the same place with
	 * a slash at the end is answered as it is: somebody will want to know.
	 */
	bool follow;

	/* Optional: called by http_run() at the end; it may http_add() more. */
	void (*done)(struct http_request *request);
	void *arg;

	/* The answer. */
	int result; /* 0, or -1: there is none, or not all, and `err` is set */
	int status; /* as soon as it is known, also if result is -1; or 0 */
	uint64_t length;       /* Content-Length; HTTP_UNKNOWN */
	struct buf headers_in; /* see http_header() */
	struct buf text;       /* how the body of what is no 2xx begins */
	struct error err;

	/* Private. */
	struct http_request *next;
	char *moved; /* where a redirection led */
	unsigned moves, tries;
};

/*
 * Make one request, and wait for its end. -1: no answer, or only a part of it;
 * ERROR_DENIED if the server's certificate or ours is refused. What the status means
 * is the caller's to say: http_refusal() has words for it.
 */
int http_send(
    struct http *http, struct http_request *request, struct error *err);

/* Put it in the queue; and make all that are in there, until none is left. */
void http_add(struct http *http, struct http_request *request);
void http_run(struct http *http);

/* Release what the answer takes, so that it may be sent again. */
void http_release(struct http_request *request);

/* The value of a header of the answer, whatever its case; NULL without it. */
const char *http_header(
    const struct http_request *request, const char *name, size_t *len);

/* Seconds that the server asks us to stay away for; 0: it doesn't say. */
unsigned http_retry_after(const struct http_request *request);

/*
 * For a status that isn't what was hoped for: set *err and return -1. 401, 403, 407:
 * ERROR_DENIED. 408, 429, 5xx: ERROR_UNREACHABLE, with Retry-After. Others:
 * ERROR_CORRUPT, as a redirection is, whose aim is named.
 */
int http_refusal(const struct http_request *request, struct error *err);

#endif
