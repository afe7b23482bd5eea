#ifndef NGINX_JOB_H
#define NGINX_JOB_H

#include "remote/nginx.h"

/*
 * An operation on one value: requests one after the other, each with the step that
 * is taken when it was answered. Fill in what the caller gives and start it with
 * one of job_read() and so on; http_run() makes it come to an end, together with
 * any others that were started. `outcome` and `err` say how.
 */
struct job {
	/* The caller's. */
	struct nginx *nginx;
	const struct key *key; /* NULL: config.yml */
	struct sink *out;
	struct source *in;
	enum write_mode mode;

	enum outcome outcome;
	struct error err;

	char *url; /* of the value; the caller's to set, owned */

	/* Private. */
	char *temp; /* where it is put first; NULL: at `url` */
	char *aim;  /* of the request, if it is another */
	char *destination;
	struct http_request request;
	struct nginx_headers headers;
	void (*step)(struct job *job);   /* once the request is answered */
	void (*again)(struct job *job);  /* once there are folders */
	void (*absent)(struct job *job); /* once it is known to be absent */
	size_t folder;                   /* the one being made; 0: none yet */
	bool asked_by_get, folders_made;
	bool looked;    /* whether there is one already */
	bool put_aside; /* at `temp`, whole */
};

void job_read(struct job *job);
void job_contains(struct job *job);
void job_write(struct job *job);
void job_remove(struct job *job);

/* Also between two starts of the same job. */
void job_release(struct job *job);

#endif
