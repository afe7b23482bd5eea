/*
 * What writers that were killed have left in `.tmp/` of a web server's lake, as far as
 * the server lists it. Age is told by the server's clock.
 */
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "locations/collect.h"
#include "remote/nginx_job.h"

#define LEFT_SECONDS 3600 /* what is older was left */
#define PAGE_MEMORY (64 * 1024)
#define LETTERS 8 /* behind a name in `.tmp/` */

struct tidying {
	struct nginx *nginx;
	const char *folder; /* its URL */
	time_t now;
	bool mend;
	location_damage_fn *fn; /* NULL: nobody asks */
	void *arg;
};

/* As nginx_job.c calls them: nothing else is touched. */
static bool
is_ours(const char *name)
{
	size_t len = strlen(name);
	size_t hex = strspn(name, "0123456789abcdef");
	const char *end = name + len - LETTERS;

	if (len <= LETTERS ||
	    strspn(end, "abcdefghijklmnopqrstuvwxyz") != LETTERS)
		return false;
	len -= LETTERS;
	return (len == DIGEST_HEX && hex >= len) ||
	    (len == 6 && strncmp(name, "config", 6) == 0);
}

static bool
remove_url(struct nginx *nginx, const char *url, struct error *err)
{
	struct job job = { .nginx = nginx, .url = xstrdup(url) };

	job_remove(&job);
	http_run(nginx->http);
	job_release(&job);
	*err = job.err;
	return job.outcome == HIT;
}

/* Seconds since the epoch; 0: it doesn't say. */
static time_t
last_change(struct nginx *nginx, const char *url)
{
	struct nginx_headers headers;
	struct http_request request = {
		.method = "HEAD", .url = url, .headers = headers.line
	};
	const char *date = NULL;
	struct error ignored;
	time_t at;
	size_t len;

	nginx_headers(nginx, &headers);
	if (http_send(nginx->http, &request, &ignored) == 0 &&
	    request.status == 200)
		date = http_header(&request, "last-modified", &len);
	at = date ? autoindex_date(date) : 0;
	http_release(&request);
	return at;
}

static int
take_entry(void *arg, const struct autoindex_entry *entry)
{
	const struct tidying *tidying = arg;
	auto_free char *url = xasprintf("%s%s", tidying->folder, entry->name);
	struct location_damage damage = { .path = url,
		.found = "a value that was never put in its place",
		.expected = "none" };
	struct error err = { 0 };
	time_t modified = entry->modified;

	if (entry->folder || !is_ours(entry->name))
		return 0;
	if (!modified)
		modified = last_change(tidying->nginx, url);
	if (!modified || tidying->now - modified <= LEFT_SECONDS)
		return 0;
	if (tidying->mend) {
		damage.mended = remove_url(tidying->nginx, url, &err);
		damage.why = damage.mended ? NULL
		    : err.text[0]          ? err.text
		                           : "the server removes nothing";
	}
	if (tidying->fn)
		tidying->fn(tidying->arg, &tidying->nginx->base, &damage);
	return 0;
}

static time_t
server_time(const struct http_request *request)
{
	size_t len;
	const char *date = http_header(request, "date", &len);
	time_t now = date ? autoindex_date(date) : 0;

	return now ? now : time(NULL);
}

/* A server that doesn't show this folder has nothing to be told of. */
static int
tidy(struct tidying *tidying, struct error *err)
{
	struct nginx *nginx = tidying->nginx;
	struct nginx_headers headers;
	auto_spool spool = SPOOL_INIT(PAGE_MEMORY);
	auto_sink *out = sink_spool(&spool);
	struct http_request request = { .method = "GET",
		.url = tidying->folder,
		.headers = headers.line,
		.out = out,
		.max = NGINX_PAGE };
	int rc;

	nginx_headers(nginx, &headers);
	rc = http_send(nginx->http, &request, err);
	if (rc == 0 && request.status == 200) {
		tidying->now = server_time(&request);
		rc = nginx_parse_page(&spool, take_entry, tidying, err);
	} else if (rc == 0 && request.status >= 500) {
		rc = http_refusal(&request, err);
	}
	http_release(&request);
	return rc;
}

int
nginx_inspect(struct location *loc, bool mend, location_damage_fn *fn,
    void *arg, struct error *err)
{
	struct nginx *nginx = nginx_of(loc);
	auto_free char *folder = xasprintf("%s/.tmp/", nginx->root);
	struct tidying tidying = { .nginx = nginx,
		.folder = folder,
		.mend = mend && nginx->put,
		.fn = fn,
		.arg = arg };

	if (nginx->bazel)
		return 0;
	return nginx_begin(nginx, err) < 0 ? -1 : tidy(&tidying, err);
}

static int
list_all(void *arg, size_t part, location_entry_fn *fn, void *fn_arg,
    struct error *err)
{
	return nginx_list(arg, LIST_ALL, fn, fn_arg, err);
}

static enum outcome
remove_from(void *arg, const struct location_entry *entry, struct error *err)
{
	return location_remove(arg, &entry->key, err);
}

/* Servers of Bazel's layout need not show what they have. */
static bool
is_listed(struct nginx *nginx)
{
	auto_free char *url = xasprintf("%s/cas/", nginx->root);
	struct nginx_headers headers;
	struct http_request request = { .method = "GET",
		.url = url,
		.headers = headers.line,
		.only_head = true };
	struct error ignored;
	bool listed;

	nginx_headers(nginx, &headers);
	listed = http_send(nginx->http, &request, &ignored) < 0 ||
	    request.status == 200;
	http_release(&request);
	return listed;
}

enum outcome
nginx_collect(struct location *loc, const struct collect_request *request,
    struct collect_result *result, struct error *err)
{
	const struct collect_parts whole = {
		.count = 1, .list = list_all, .remove = remove_from, .arg = loc
	};
	struct nginx *nginx = nginx_of(loc);
	struct error ignored;

	if (!nginx->put) {
		error_set(err, ERROR_DENIED,
		    "it is read-only without the option put");
		return MISS;
	}
	if (nginx_begin(nginx, err) < 0)
		return FAILED;
	if (nginx->bazel && !is_listed(nginx)) {
		error_set(err, ERROR_DENIED,
		    "the server doesn't list what it has, and makes room "
		    "itself");
		return MISS;
	}
	if (!request->dry_run)
		(void)nginx_inspect(loc, true, NULL, NULL, &ignored);
	return collect_parts(&whole, request, result, err);
}
