/*
 * A web server as a location: a lake (the layout of the Python library tarn, as
 * locations/disk.c has it on a disk), or what Bazel calls an HTTP cache. Anything
 * serves a lake that serves files. To be written to (`put`), it has to know PUT, as
 * nginx does with its WebDAV module.
 *
 * An operation is a job (nginx_job.h); the jobs of a batch go on side by side.
 */
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "locations/lake.h"
#include "remote/kinds.h"
#include "remote/nginx_job.h"
#include "remote/place.h"

#define AT_ONCE 256                    /* jobs of a batch in memory */
#define TOKEN_MAX 16384                /* bytes */
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
	if (nginx->bazel && place_option(config, LOCATION_COMPRESS))
		return error_set(err, ERROR_USAGE,
		    "'compress' does not go with 'layout=bazel': its servers "
		    "and clients take values as they are");
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
	auto_free char *shown = location_place(config);
	struct nginx *nginx;
	struct place place;
	int rc;

	if (place_options(config, known, err) < 0 ||
	    place_parse(&place, config->place, err) < 0)
		return NULL;
	nginx = memset(xmalloc(sizeof(*nginx)), 0, sizeof(*nginx));
	nginx->base.kind = &location_nginx;
	if (!*place.host)
		rc = error_set(err, ERROR_USAGE, "'%s' names no host", shown);
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
	http_set_deadline(nginx->http, &nginx->base.deadline_us);
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
	job_read(&job);
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
	job_write(job);
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
	if (fn != job_write)
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
		    "'%s' is read-only without the option put", nginx->root);
		fail_all(jobs, count, DECLINED, &err);
		return;
	}
	if (nginx_begin(nginx, &err) == 0)
		outcome = prepare_lake(nginx, &err);
	if (outcome == HIT)
		run(nginx, jobs, count, job_write);
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

	run(nginx, &job, 1, job_read);
	return result(&job, err);
}

static enum outcome
nginx_contains(struct location *loc, const struct key *key, struct error *err)
{
	struct nginx *nginx = nginx_of(loc);
	struct job job = { .nginx = nginx, .key = key };

	run(nginx, &job, 1, job_contains);
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
		job_remove(&job);
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
	run(nginx, &job, 1, job_remove);
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
		run(nginx_of(loc), jobs, n, job_read);
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
		run(nginx_of(loc), jobs, n, job_contains);
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
	.inspect = nginx_inspect,
	.collect = nginx_collect,
	.read_batch = nginx_read_batch,
	.write_batch = nginx_write_batch,
	.contains_batch = nginx_contains_batch,
};
