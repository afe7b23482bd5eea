/*
 * How a value is read, looked for, written and removed on a web server.
 *
 * A value is put under a name in .tmp/ and moved to its place, so that nobody sees a
 * part of it, whatever the server; where there is no MOVE, it is put there at once,
 * and that it appears as a whole is the server's affair (nginx sees to it).
 * WRITE_IF_ABSENT is less than atomic: MOVE with "Overwrite: F" looks before it
 * moves, so two writers at one time may both be told that they were first, and the
 * second one's value stays. What is there is one of them, whole.
 *
 * Whether a value is there is asked first if it is large, so that it isn't sent in vain,
 * or if the last ones were; else only if the server doesn't take it.
 */
#include "remote/nginx_job.h"

#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

#define UNANNOUNCED (1ull << 30) /* bytes of a body without Content-Length */
#define SMALL (64 * 1024)        /* bytes that may be sent in vain */

static void
end(struct job *job, enum outcome outcome)
{
	job->outcome = outcome;
}

static void
refuse(struct job *job)
{
	end(job, FAILED);
	(void)http_refusal(&job->request, &job->err);
}

static void have_looked_after(struct job *job);

static void
have_tidied(struct job *job)
{
}

/* It ends as it was going to, whatever comes of this. */
static bool
is_afterwards(const struct job *job)
{
	return job->step == have_tidied || job->step == have_looked_after;
}

static void
answered(struct http_request *request)
{
	struct job *job = request->arg;

	if (request->result == 0) {
		job->step(job);
	} else if (!is_afterwards(job)) {
		job->err = request->err;
		end(job, FAILED);
	}
}

static void
ask(struct job *job, const char *method, const char *url,
    void (*step)(struct job *job))
{
	http_release(&job->request);
	job->request = (struct http_request){ .method = method,
		.url = url,
		.headers = job->headers.line,
		.done = answered,
		.arg = job,
		.follow = true };
	nginx_headers(job->nginx, &job->headers);
	job->step = step;
}

static void
go(struct job *job)
{
	http_add(job->nginx->http, &job->request);
}

static void
set_header(struct job *job, const char *line)
{
	size_t i = 0;

	while (i < 3 && job->headers.line[i])
		i++;
	job->headers.line[i] = line;
}

void
job_release(struct job *job)
{
	http_release(&job->request);
	free(job->url);
	free(job->temp);
	free(job->aim);
	free(job->destination);
	job->url = job->temp = job->aim = job->destination = NULL;
}

static bool
is_absent(const struct job *job)
{
	return job->request.status == 404 || job->request.status == 410;
}

/* Where a value would be is a folder: it was made by an old Python library. */
static bool
is_folder(const struct job *job)
{
	return job->request.status / 100 == 3 && !job->aim;
}

static char *
in_folder(struct job *job)
{
	job->aim = xasprintf("%s/data", job->url);
	return job->aim;
}

/* ---- reading ---- */

static void
have_read(struct job *job)
{
	if (job->request.status == 200) {
		end(job, HIT);
	} else if (is_absent(job)) {
		end(job, MISS);
	} else if (is_folder(job)) {
		ask(job, "GET", in_folder(job), have_read);
		job->request.out = job->out;
		job->request.max_unannounced = UNANNOUNCED;
		go(job);
	} else {
		refuse(job);
	}
}

void
job_read(struct job *job)
{
	ask(job, "GET", job->url, have_read);
	job->request.out = job->out;
	job->request.max_unannounced = UNANNOUNCED;
	go(job);
}

/* ---- looking ---- */

static void
look(struct job *job, const char *url, void (*step)(struct job *job))
{
	job->asked_by_get = job->nginx->no_head;
	ask(job, job->asked_by_get ? "GET" : "HEAD", url, step);
	job->request.only_head = job->asked_by_get;
	go(job);
}

/* A server without HEAD is asked once more, in the other way. */
static bool
looks_again(struct job *job)
{
	int status = job->request.status;

	if (job->asked_by_get || (status != 405 && status != 501))
		return false;
	job->nginx->no_head = true;
	look(job, job->aim ? job->aim : job->url, job->step);
	return true;
}

static void
have_looked(struct job *job)
{
	if (job->request.status / 100 == 2)
		end(job, HIT);
	else if (is_absent(job))
		end(job, MISS);
	else if (is_folder(job))
		look(job, in_folder(job), have_looked);
	else if (!looks_again(job))
		refuse(job);
}

void
job_contains(struct job *job)
{
	look(job, job->url, have_looked);
}

/* ---- writing ---- */

static void put_value(struct job *job);
static void move_value(struct job *job);
static void look_before(struct job *job, void (*absent)(struct job *job));

/* What it is about if a PUT is refused so. */
static bool
is_declined(const struct job *job)
{
	static const int statuses[] = { 403, 405, 413, 501, 507 };
	int status = job->request.status;

	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		if (status == statuses[i])
			return true;
	}
	return job->nginx->bazel && (status == 400 || status == 422);
}

static void
decline(struct job *job)
{
	refuse(job);
	job->err.kind = ERROR_DENIED;
	end(job, DECLINED);
}

static void
tidy(struct job *job, void (*step)(struct job *job))
{
	ask(job, "DELETE", job->temp, step);
	go(job);
}

/* The folder a file is to be in isn't there, and this server doesn't make it. */
static bool
lacks_folder(const struct job *job)
{
	int status = job->request.status;

	return !job->folders_made &&
	    (status == 404 || status == 409 || status == 500);
}

/* The length of the URL of the first folder below `from` bytes of `url`; 0: none. */
static size_t
next_folder(const char *url, size_t from)
{
	const char *slash = strchr(url + from, '/');

	return slash ? (size_t)(slash + 1 - url) : 0;
}

/* One after the other, from the root; those that are there don't mind. */
static void
make_folder(struct job *job)
{
	const char *url =
	    job->again == put_value && job->temp ? job->temp : job->url;
	size_t root = strlen(job->nginx->root);

	job->folder = next_folder(url, job->folder ? job->folder : root);
	if (job->folder == 0) {
		job->folders_made = true;
		job->again(job);
		return;
	}
	free(job->aim);
	job->aim = xasprintf("%.*s", (int)job->folder, url);
	ask(job, "MKCOL", job->aim, make_folder);
	go(job);
}

static void
make_folders(struct job *job, void (*again)(struct job *job))
{
	job->again = again;
	job->folder = 0;
	make_folder(job);
}

/* Nobody knows yet whether there is one, in whose place it would not be. */
static bool
may_be_there(const struct job *job)
{
	return !job->looked && job->mode != WRITE_REPLACE;
}

static void
have_put_at_once(struct job *job)
{
	if (job->request.status / 100 == 2) {
		end(job, STORED);
		return;
	}
	if (lacks_folder(job)) {
		make_folders(job, put_value);
		return;
	}
	if (is_declined(job))
		decline(job);
	else
		refuse(job);
	if (may_be_there(job))
		look(job, job->url, have_looked_after);
}

static void
have_put_aside(struct job *job)
{
	if (job->request.status / 100 != 2) {
		have_put_at_once(job);
		return;
	}
	job->folders_made = false;
	job->put_aside = true;
	move_value(job);
}

static void
put_value(struct job *job)
{
	if (source_rewind(job->in, &job->err) < 0) {
		end(job, FAILED);
		return;
	}
	ask(job, "PUT", job->temp ? job->temp : job->url,
	    job->temp ? have_put_aside : have_put_at_once);
	job->request.follow = false;
	job->request.in = job->in;
	go(job);
}

/* It was put aside for nothing: put it where it belongs. */
static void
put_without_move(struct job *job)
{
	free(job->temp);
	job->temp = NULL;
	job->put_aside = false;
	if (may_be_there(job))
		look_before(job, put_value);
	else
		put_value(job);
}

static bool
cant_move(const struct job *job)
{
	int status = job->request.status;

	return status == 405 || status == 501 || status == 400;
}

static void
move_into_folder(struct job *job)
{
	make_folders(job, move_value);
}

static void
have_moved(struct job *job)
{
	int status = job->request.status;

	if (status / 100 == 2) {
		end(job, STORED);
	} else if (cant_move(job)) {
		job->nginx->no_move = true;
		tidy(job, put_without_move);
	} else if (may_be_there(job)) {
		look_before(job, status == 412 ? move_value : move_into_folder);
	} else if (status == 412) {
		end(job, KEPT);
		tidy(job, have_tidied);
	} else if (lacks_folder(job)) {
		make_folders(job, move_value);
	} else {
		refuse(job);
		tidy(job, have_tidied);
	}
}

/* The destination without its server, which a proxy may have another name for. */
static void
move_value(struct job *job)
{
	const char *host = strstr(job->url, "://") + 3;

	free(job->destination);
	job->destination =
	    xasprintf("Destination: %s", host + strcspn(host, "/"));
	ask(job, "MOVE", job->temp, have_moved);
	job->request.follow = false;
	set_header(job, job->destination);
	set_header(
	    job, job->mode == WRITE_REPLACE ? "Overwrite: T" : "Overwrite: F");
	go(job);
}

/* A blob of the wrong size is damaged. */
static bool
is_damaged(const struct job *job)
{
	uint64_t length = job->request.length;

	return job->key && job->key->space == KEY_BLOB &&
	    length != HTTP_UNKNOWN && length != job->in->size;
}

static void
end_unmoved(struct job *job, enum outcome outcome)
{
	end(job, outcome);
	if (job->put_aside)
		tidy(job, have_tidied);
}

static void
have_looked_before(struct job *job)
{
	bool there = job->request.status / 100 == 2;

	if (there || is_absent(job))
		job->nginx->finds = there;
	if (there && is_damaged(job)) {
		job->mode = WRITE_REPLACE;
		job->put_aside ? move_value(job) : put_value(job);
	} else if (there) {
		end_unmoved(job, KEPT);
	} else if (is_absent(job)) {
		job->absent(job);
	} else if (is_folder(job)) {
		look(job, in_folder(job), have_looked_before);
	} else if (!looks_again(job)) {
		refuse(job);
		end_unmoved(job, FAILED);
	}
}

static void
look_before(struct job *job, void (*absent)(struct job *job))
{
	job->looked = true;
	job->absent = absent;
	look(job, job->url, have_looked_before);
}

/* What was refused may be there; if not, that it was refused stays its outcome. */
static void
have_looked_after(struct job *job)
{
	if (job->request.status / 100 != 2) {
		(void)looks_again(job);
	} else if (!is_damaged(job)) {
		job->err = (struct error){ 0 };
		end(job, KEPT);
	}
}

static void
name_aside(struct job *job, const char *name)
{
	unsigned char random[8] = { 0 };
	char letters[9] = { 0 };

	if (job->nginx->bazel || job->nginx->no_move)
		return;
	(void)!getrandom(random, sizeof(random), 0);
	for (size_t i = 0; i < sizeof(random); i++)
		letters[i] = (char)('a' + random[i] % 26);
	job->temp = xasprintf("%s/.tmp/%s%s", job->nginx->root, name, letters);
}

void
job_write(struct job *job)
{
	char hex[DIGEST_HEX + 1];

	name_aside(
	    job, job->key ? digest_hex(&job->key->digest, hex) : "config");
	if (job->mode == WRITE_REPLACE ||
	    (job->temp && job->in->size <= SMALL && !job->nginx->finds))
		put_value(job);
	else
		look_before(job, put_value);
}

/* ---- removing ---- */

static void
have_removed(struct job *job)
{
	int status = job->request.status;

	if (status / 100 == 2) {
		end(job, HIT);
	} else if (is_absent(job) || status == 405 || status == 501) {
		end(job, MISS);
	} else if (!job->aim && (status == 409 || status / 100 == 3)) {
		job->aim = xasprintf("%s/", job->url);
		ask(job, "DELETE", job->aim, have_removed);
		set_header(job, "Depth: infinity");
		go(job);
	} else {
		refuse(job);
	}
}

void
job_remove(struct job *job)
{
	ask(job, "DELETE", job->url, have_removed);
	go(job);
}
