#ifndef SIGV4_H
#define SIGV4_H

#include <stddef.h>
#include <time.h>

#include "base/buf.h"

/*
 * Signature Version 4 of Amazon Web Services, by which S3 and all that is compatible
 * with it know who asks: a digest of the request, made with a secret that never
 * travels.
 *
 * What is signed is what is sent, so path and query are made here in the one
 * form that both sides agree on, and then sent as they are.
 */
struct sigv4_keys {
	const char *id, *secret;
	const char *token; /* of temporary ones; NULL: none */
};

/* Names are in lower case. Values are texts of one line. */
struct sigv4_header {
	const char *name, *value;
};

struct sigv4_request {
	const char *method;
	const char *path;  /* as from sigv4_path(); it starts with a slash */
	const char *query; /* as from sigv4_query(); "": none */
	const struct sigv4_header *headers; /* in any order; all are signed */
	size_t count;
	const char *payload; /* the SHA-256 of the body, in hexadecimal */
	const char *date;    /* as from sigv4_date() */
	const char *region, *service;
};

/* "20130524T000000Z" */
#define SIGV4_DATE_SIZE 17
void sigv4_date(time_t now, char date[static SIGV4_DATE_SIZE]);

/* Append with %XX for all bytes but letters, digits and "-._~"; a path's slashes
 * stay, too. */
void sigv4_path(struct buf *to, const char *path);
void sigv4_word(struct buf *to, const char *word);

/* Append names and values as "a=b&c=", sorted; `pairs` is sorted meanwhile. */
void sigv4_query(struct buf *to, struct sigv4_header *pairs, size_t count);

/* Append the value of the header `authorization`. */
void sigv4_sign(struct buf *to, const struct sigv4_request *request,
    const struct sigv4_keys *keys);

#endif
