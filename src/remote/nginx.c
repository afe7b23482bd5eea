/*
 * A web server as a location: a lake (the layout of the Python library tarn, as
 * locations/disk.c has it on a disk), or what Bazel calls an HTTP cache. Anything
 * serves a lake that serves files. To be written to (`put`), it has to know PUT, as
 * nginx does with its WebDAV module.
 *
 * A value is put under a name in .tmp/ and moved to its place, so that nobody sees a
 * part of it, whatever the server; where there is no MOVE, it is put there at once,
 * and that it appears as a whole is the server's affair (nginx sees to it).
 * WRITE_IF_ABSENT is less than atomic: MOVE with "Overwrite: F" looks before it
 * moves, so two writers at one time may both be told that they were first, and the
 * second one's value stays. What is there is one of them, whole.
 *
 * An operation is a job: requests one after the other, each with the step that is
 * taken when it was answered. The jobs of a batch go on side by side.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "locations/lake.h"
#include "remote/kinds.h"
#include "remote/nginx.h"
#include "remote/place.h"

#define AT_ONCE 256              /* jobs of a batch in memory */
#define UNANNOUNCED (1ull << 30) /* bytes of a body without Content-Length */
#define TOKEN_MAX 16384          /* bytes */
#define LOOK_AGAIN_US (60 * 1000000ll) /* for a config.yml that wasn't there */

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- opening ---- */

static void
nginx_close(struct location *loc)
{
	struct nginx *nginx = nginx_of(loc);

	http_free(nginx->http);
	free(nginx->root);
	if (nginx->authorization)
		explicit_bzero(
		    nginx->authorization, strlen(nginx->authorization));
	free(nginx->authorization);
	free(nginx->token_file);
	free(nginx);
}

static char *
root_of(const struct place *place)
{
	auto_buf root = BUF_INIT;
	bool six = strchr(place->host, ':') != NULL;

	buf_addf(
	    &root, six ? "%s://[%s]" : "%s://%s", place->scheme, place->host);
	if (place->port)
		buf_addf(&root, ":%u", place->port);
	buf_addf(&root, "/%s", place->path);
	while (root.data[root.len - 1] == '/')
		root.data[--root.len] = '\0';
	return buf_take(&root);
}

static int
parse_seconds(
    const Tarn__Location *config, unsigned *seconds, struct error *err)
{
	const char *text = place_option(config, "timeout");
	unsigned long number;
	char *end;

	if (!text)
		return 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || number < 1 || number > 86400)
		return error_set(err, ERROR_USAGE,
		    "expected 'timeout' to be seconds, 1 to 86400, got '%s'",
		    text);
	*seconds = (unsigned)number;
	return 0;
}

static int
parse_layout(struct nginx *nginx, const char *text, struct error *err)
{
	nginx->config.layout = layout_default;
	nginx->bazel = text && strcmp(text, "bazel") == 0;
	if (!text || nginx->bazel || strcmp(text, "lake") == 0)
		return 0;
	return error_set(err, ERROR_USAGE,
	    "expected 'layout' to be lake or bazel, got '%s'", text);
}

static int
set_token(struct nginx *nginx, const char *token, size_t len, struct error *err)
{
	for (size_t i = 0; i < len; i++) {
		if (token[i] <= ' ' || token[i] == 127)
			return error_set(err, ERROR_USAGE,
			    "a token has no spaces and control characters");
	}
	free(nginx->authorization);
	nginx->authorization =
	    xasprintf("Authorization: Bearer %.*s", (int)len, token);
	return 0;
}

static int
configure(struct nginx *nginx, const Tarn__Location *config,
    const struct place *place, struct error *err)
{
	const char *token = place_option(config, "token");
	const char *file = place_option(config, "token_file");
	struct http_options options = {
		.ca = place_option(config, "ca"),
		.cert = place_option(config, "cert"),
		.key = place_option(config, "key"),
		.proxy = place_option(config, "proxy"),
		.user = place->user,
		.password = place->password,
	};

	if (place_flag(config, "put", false, &nginx->put, err) < 0 ||
	    place_flag(config, "netrc", true, &options.netrc, err) < 0 ||
	    parse_layout(nginx, place_option(config, "layout"), err) < 0 ||
	    parse_seconds(config, &options.timeout_s, err) < 0)
		return -1;
	if (!!token + !!file + !!place->user > 1)
		return error_set(err, ERROR_USAGE,
		    "expected one of a user, 'token' and 'token_file'");
	if (token && set_token(nginx, token, strlen(token), err) < 0)
		return -1;
	nginx->token_file = file ? xstrdup(file) : NULL;
	options.netrc = options.netrc && !token && !file;
	nginx->root = root_of(place);
	nginx->http = http_new(&options);
	return 0;
}

static struct location *
nginx_open(const Tarn__Location *config, struct error *err)
{
	static const char *const known[] = { "put", "layout", "ca", "cert",
		"key", "token", "token_file", "netrc", "proxy", "timeout",
		NULL };
	struct nginx *nginx;
	struct place place;
	int rc;

	if (place_options(config, known, err) < 0 ||
	    place_parse(&place, config->place, err) < 0)
		return NULL;
	nginx = memset(xmalloc(sizeof(*nginx)), 0, sizeof(*nginx));
	nginx->base.kind = &location_nginx;
	if (!*place.host)
		rc = error_set(
		    err, ERROR_USAGE, "'%s' names no host", config->place);
	else
		rc = configure(nginx, config, &place, err);
	place_release(&place);
	if (rc == 0)
		return &nginx->base;
	nginx_close(&nginx->base);
	return NULL;
}

/* ---- before a request ---- */

static int
read_token(struct nginx *nginx, struct error *err)
{
	auto_buf text = BUF_INIT;
	size_t len;
	int rc;

	if (nginx->token_stat.st_size > TOKEN_MAX)
		return error_set(err, ERROR_USAGE, "it is too long for one");
	if (buf_read_file(&text, nginx->token_file, err) < 0)
		return -1;
	len = strcspn(text.data, "\r\n");
	if (len == 0)
		return error_set(err, ERROR_USAGE, "it is empty");
	rc = set_token(nginx, text.data, len, err);
	explicit_bzero(text.data, text.len);
	return rc;
}

/* A token that is renewed while we run counts at once. */
static int
refresh_token(struct nginx *nginx, struct error *err)
{
	struct stat st;

	if (!nginx->token_file)
		return 0;
	if (stat(nginx->token_file, &st) < 0) {
		error_errno(err, "cannot stat '%s'", nginx->token_file);
		err->kind = ERROR_DENIED;
		return -1;
	}
	if (nginx->authorization && st.st_ino == nginx->token_stat.st_ino &&
	    st.st_size == nginx->token_stat.st_size &&
	    st.st_mtim.tv_sec == nginx->token_stat.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == nginx->token_stat.st_mtim.tv_nsec)
		return 0;
	nginx->token_stat = st;
	if (read_token(nginx, err) == 0)
		return 0;
	err->kind = ERROR_DENIED;
	memset(&nginx->token_stat, 0, sizeof(nginx->token_stat));
	return error_wrap(
	    err, "cannot take a token from '%s'", nginx->token_file);
}

int
nginx_begin(struct nginx *nginx, struct error *err)
{
	http_set_deadline(nginx->http, nginx->base.deadline_us);
	return refresh_token(nginx, err);
}

void
nginx_headers(const struct nginx *nginx, struct nginx_headers *headers)
{
	memset(headers, 0, sizeof(*headers));
	headers->line[0] = nginx->authorization;
}

const struct layout *
nginx_layout(const struct nginx *nginx, enum key_space space, char **root)
{
	static const struct layout flat = { 1, false, { DIGEST_SIZE } };
	bool blob = space == KEY_BLOB;
	const char *below = nginx->bazel ? (blob ? "/cas" : "/ac")
	                                 : (blob ? "" : "/" LAKE_INDEX);

	*root = xasprintf("%s%s", nginx->root, below);
	if (nginx->bazel)
		return &flat;
	return blob ? &nginx->config.layout : &layout_default;
}

static char *
url_of(const struct nginx *nginx, const struct key *key)
{
	auto_free char *root = NULL;
	const struct layout *layout = nginx_layout(nginx, key->space, &root);

	return layout_path(layout, root, &key->digest);
}

/* ---- jobs ---- */

struct job {
	struct nginx *nginx;
	const struct key *key; /* NULL: config.yml */
	struct sink *out;
	struct source *in;
	enum write_mode mode;

	enum outcome outcome;
	struct error err;

	char *url;  /* of the value */
	char *temp; /* where it is put first; NULL: at `url` */
	char *aim;  /* of the request, if it is another */
	char *destination;
	struct http_request request;
	struct nginx_headers headers;
	void (*step)(struct job *job);  /* once the request is answered */
	void (*again)(struct job *job); /* once there are folders */
	size_t folder;                  /* the one being made; 0: none yet */
	bool asked_by_get, folders_made;
};

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

/* It ends as it was going to, whatever came of this. */
static void
have_tidied(struct job *job)
{
}

static void
answered(struct http_request *request)
{
	struct job *job = request->arg;

	if (request->result == 0) {
		job->step(job);
	} else if (job->step != have_tidied) {
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

static void
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

static void
start_read(struct job *job)
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

static void
start_contains(struct job *job)
{
	look(job, job->url, have_looked);
}

/* ---- writing ---- */

static void put_value(struct job *job);
static void move_value(struct job *job);

/* What it is about if a PUT is refused so. */
static bool
is_declined(const struct job *job)
{
	static const int statuses[] = { 405, 413, 501, 507 };
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

static void
have_put_at_once(struct job *job)
{
	if (job->request.status / 100 == 2)
		end(job, STORED);
	else if (lacks_folder(job))
		make_folders(job, put_value);
	else if (is_declined(job))
		decline(job);
	else
		refuse(job);
}

static void
have_put_aside(struct job *job)
{
	if (job->request.status / 100 != 2) {
		have_put_at_once(job);
		return;
	}
	job->folders_made = false;
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
	put_value(job);
}

static bool
cant_move(const struct job *job)
{
	int status = job->request.status;

	return status == 405 || status == 501 || status == 400;
}

static void
have_moved(struct job *job)
{
	int status = job->request.status;

	if (status / 100 == 2) {
		end(job, STORED);
	} else if (status == 412) {
		end(job, KEPT);
		tidy(job, have_tidied);
	} else if (cant_move(job)) {
		job->nginx->no_move = true;
		tidy(job, put_without_move);
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
static void
have_looked_first(struct job *job)
{
	uint64_t length = job->request.length;

	if (job->request.status / 100 == 2) {
		if (job->key && job->key->space == KEY_BLOB &&
		    length != HTTP_UNKNOWN && length != job->in->size) {
			job->mode = WRITE_REPLACE;
			put_value(job);
		} else {
			end(job, KEPT);
		}
	} else if (is_absent(job)) {
		put_value(job);
	} else if (is_folder(job)) {
		look(job, in_folder(job), have_looked_first);
	} else if (!looks_again(job)) {
		refuse(job);
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

static void
start_write(struct job *job)
{
	char hex[DIGEST_HEX + 1];

	name_aside(
	    job, job->key ? digest_hex(&job->key->digest, hex) : "config");
	if (job->mode == WRITE_REPLACE &&
	    (!job->key || job->key->space != KEY_BLOB)) {
		put_value(job);
		return;
	}
	job->mode = WRITE_IF_ABSENT;
	look(job, job->url, have_looked_first);
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

static void
start_remove(struct job *job)
{
	ask(job, "DELETE", job->url, have_removed);
	go(job);
}

/* ---- config.yml ---- */

static char *
config_url(const struct nginx *nginx)
{
	return xasprintf("%s/" LAKE_CONFIG_FILE, nginx->root);
}

static int
take_config(struct nginx *nginx, const struct buf *text, struct error *err)
{
	struct lake_config config = { 0 };

	if (lake_config_parse(&config, text->data, text->len, err) < 0)
		return error_wrap(
		    err, "'%s/" LAKE_CONFIG_FILE "'", nginx->root);
	nginx->config = config;
	nginx->known = true;
	return 1;
}

static int
fetch_config(struct nginx *nginx, struct buf *text, struct error *err)
{
	auto_sink *out = sink_buf(text, LAKE_CONFIG_MAX);
	struct job job = { .nginx = nginx, .out = out };

	job.url = config_url(nginx);
	start_read(&job);
	http_run(nginx->http);
	job_release(&job);
	if (job.outcome == FAILED)
		*err = job.err;
	if (job.outcome == HIT && sink_commit(out, err) < 0)
		return FAILED;
	return job.outcome;
}

int
nginx_learn(struct nginx *nginx, struct error *err)
{
	auto_buf text = BUF_INIT;
	enum outcome outcome;

	if (nginx->known || nginx->bazel)
		return 1;
	if (nginx->looked_us && now_us() - nginx->looked_us < LOOK_AGAIN_US)
		return 0;
	outcome = fetch_config(nginx, &text, err);
	if (outcome == HIT)
		return take_config(nginx, &text, err);
	nginx->looked_us = outcome == MISS ? now_us() : 0;
	return outcome;
}

/* A lake has one. Somebody else may be making it, too. */
static int
write_config(struct nginx *nginx, struct job *job, struct error *err)
{
	const struct lake_config usual = { .layout = layout_default };
	auto_buf text = BUF_INIT;
	auto_source *in = NULL;

	lake_config_format(&usual, &text);
	in = source_memory(text.data, text.len);
	*job = (struct job){ .nginx = nginx, .in = in };
	job->url = config_url(nginx);
	start_write(job);
	http_run(nginx->http);
	job_release(job);
	*err = job->err;
	nginx->looked_us = 0;
	return job->outcome;
}

/* HIT: there is a lake that can be written to. */
static enum outcome
prepare_lake(struct nginx *nginx, struct error *err)
{
	struct job job;
	enum outcome outcome;
	int known = nginx_learn(nginx, err);

	if (known != 0)
		return known < 0 ? FAILED : HIT;
	outcome = write_config(nginx, &job, err);
	if (outcome == STORED) {
		nginx->config.layout = layout_default;
		nginx->known = true;
	}
	if (outcome != KEPT)
		return outcome;
	return nginx_learn(nginx, err) < 0 ? FAILED : HIT;
}

/* ---- one, or many ---- */

typedef void start_fn(struct job *job);

static void
start(struct job *job, start_fn *fn)
{
	job_release(job);
	job->url = url_of(job->nginx, job->key);
	fn(job);
}

/*
 * Blobs that aren't where they usually are may be where config.yml says: nobody
 * looks there before.
 */
static void
run_again(struct nginx *nginx, struct job *jobs, size_t count, start_fn *fn)
{
	const struct layout tried = nginx->config.layout;
	struct error err = { 0 };
	size_t missed = 0;
	int rc;

	for (size_t i = 0; i < count; i++)
		missed +=
		    jobs[i].outcome == MISS && jobs[i].key->space == KEY_BLOB;
	if (missed == 0 || nginx->known || nginx->bazel)
		return;
	rc = nginx_learn(nginx, &err);
	if (rc >= 0 && layout_equal(&nginx->config.layout, &tried))
		return;
	for (size_t i = 0; i < count; i++) {
		if (jobs[i].outcome != MISS || jobs[i].key->space != KEY_BLOB)
			continue;
		if (rc >= 0) {
			start(&jobs[i], fn);
			continue;
		}
		jobs[i].err = err;
		jobs[i].outcome = FAILED;
	}
	http_run(nginx->http);
}

static void
fail_all(struct job *jobs, size_t count, enum outcome outcome,
    const struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		jobs[i].outcome = outcome;
		jobs[i].err = *err;
	}
}

static void
run(struct nginx *nginx, struct job *jobs, size_t count, start_fn *fn)
{
	struct error err = { 0 };

	if (nginx_begin(nginx, &err) < 0) {
		fail_all(jobs, count, FAILED, &err);
		return;
	}
	for (size_t i = 0; i < count; i++)
		start(&jobs[i], fn);
	http_run(nginx->http);
	if (fn != start_write)
		run_again(nginx, jobs, count, fn);
	for (size_t i = 0; i < count; i++)
		job_release(&jobs[i]);
}

static void
run_writes(struct nginx *nginx, struct job *jobs, size_t count)
{
	struct error err = { 0 };
	enum outcome outcome = FAILED;

	if (!nginx->put) {
		error_set(&err, ERROR_DENIED,
		    "'%s' is read-only without the option put",
		    nginx->root);
		fail_all(jobs, count, DECLINED, &err);
		return;
	}
	if (nginx_begin(nginx, &err) == 0)
		outcome = prepare_lake(nginx, &err);
	if (outcome == HIT)
		run(nginx, jobs, count, start_write);
	else
		fail_all(jobs, count, outcome, &err);
}

static enum outcome
result(const struct job *job, struct error *err)
{
	if (job->outcome <= MISS && job->err.text[0])
		*err = job->err;
	return job->outcome;
}

static enum outcome
nginx_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct nginx *nginx = nginx_of(loc);
	struct job job = { .nginx = nginx, .key = key, .out = out };

	run(nginx, &job, 1, start_read);
	return result(&job, err);
}

static enum outcome
nginx_contains(struct location *loc, const struct key *key, struct error *err)
{
	struct nginx *nginx = nginx_of(loc);
	struct job job = { .nginx = nginx, .key = key };

	run(nginx, &job, 1, start_contains);
	return result(&job, err);
}

static enum outcome
nginx_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct nginx *nginx = nginx_of(loc);
	struct job job = { .nginx = nginx, .key = key, .in = in, .mode = mode };

	run_writes(nginx, &job, 1);
	return result(&job, err);
}

/* What Python keeps beside a value goes with it. */
static void
remove_marks(struct nginx *nginx, const struct key *key)
{
	static const struct {
		size_t wanted; /* offset of a bool in struct lake_config */
		const char *root, *end;
	} marks[] = {
		{ offsetof(struct lake_config, usage), "tools/usage", "" },
		{ offsetof(struct lake_config, labels), "tools/labels",
		    ".json" },
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		const bool *wanted =
		    (const bool *)(const void *)((const char *)&nginx->config +
		        marks[i].wanted);
		auto_free char *root =
		    xasprintf("%s/%s", nginx->root, marks[i].root);
		auto_free char *path =
		    layout_path(&layout_default, root, &key->digest);
		struct job job = { .nginx = nginx };

		if (!*wanted)
			continue;
		job.url = xasprintf("%s%s", path, marks[i].end);
		start_remove(&job);
		http_run(nginx->http);
		job_release(&job);
	}
}

static enum outcome
nginx_remove(struct location *loc, const struct key *key, struct error *err)
{
	struct nginx *nginx = nginx_of(loc);
	struct job job = { .nginx = nginx, .key = key };
	struct error ignored;

	if (!nginx->put)
		return MISS; /* it can't forget */
	run(nginx, &job, 1, start_remove);
	if (job.outcome == HIT && key->space == KEY_BLOB && !nginx->bazel &&
	    nginx_learn(nginx, &ignored) > 0)
		remove_marks(nginx, key);
	return result(&job, err);
}

static void
nginx_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	size_t room = count < AT_ONCE ? count : AT_ONCE;
	auto_free struct job *jobs = xmalloc(room * sizeof(*jobs));

	for (size_t from = 0, n; from < count; from += n) {
		n = count - from < room ? count - from : room;
		for (size_t i = 0; i < n; i++)
			jobs[i] = (struct job){ .nginx = nginx_of(loc),
				.key = &requests[from + i].key,
				.out = requests[from + i].out };
		run(nginx_of(loc), jobs, n, start_read);
		for (size_t i = 0; i < n; i++)
			requests[from + i].outcome =
			    result(&jobs[i], &requests[from + i].err);
	}
}

static void
nginx_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	size_t room = count < AT_ONCE ? count : AT_ONCE;
	auto_free struct job *jobs = xmalloc(room * sizeof(*jobs));

	for (size_t from = 0, n; from < count; from += n) {
		n = count - from < room ? count - from : room;
		for (size_t i = 0; i < n; i++)
			jobs[i] = (struct job){ .nginx = nginx_of(loc),
				.key = &requests[from + i].key };
		run(nginx_of(loc), jobs, n, start_contains);
		for (size_t i = 0; i < n; i++)
			requests[from + i].outcome =
			    result(&jobs[i], &requests[from + i].err);
	}
}

static void
nginx_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	size_t room = count < AT_ONCE ? count : AT_ONCE;
	auto_free struct job *jobs = xmalloc(room * sizeof(*jobs));

	for (size_t from = 0, n; from < count; from += n) {
		n = count - from < room ? count - from : room;
		for (size_t i = 0; i < n; i++)
			jobs[i] = (struct job){ .nginx = nginx_of(loc),
				.key = &requests[from + i].key,
				.in = requests[from + i].in,
				.mode = requests[from + i].mode };
		run_writes(nginx_of(loc), jobs, n);
		for (size_t i = 0; i < n; i++)
			requests[from + i].outcome =
			    result(&jobs[i], &requests[from + i].err);
	}
}

const struct location_kind location_nginx = {
	.name = "nginx",
	.remote = true,
	.open = nginx_open,
	.close = nginx_close,
	.read = nginx_read,
	.write = nginx_write,
	.contains = nginx_contains,
	.remove = nginx_remove,
	.touch = nginx_contains, /* nobody lets us say more */
	.list = nginx_list,
	.read_batch = nginx_read_batch,
	.write_batch = nginx_write_batch,
	.contains_batch = nginx_contains_batch,
};
