/*
 * What is on a web server that shows its folders. The pages of a few folders are
 * fetched at a time and kept aside (in memory if they are small), because whoever is
 * told of an entry may have something to ask of the same server. Names that no key
 * has are passed over.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/spool.h"
#include "remote/autoindex.h"
#include "remote/nginx.h"

#define FOLDERS 8  /* pages at a time */
#define ENTRIES 16 /* whose size and time are asked for at a time */
#define PAGE_MEMORY (64 * 1024)

/* A folder below the root of a name space, by the digits that lead there. */
struct page {
	char digits[DIGEST_HEX + 1];
	char *url; /* with a slash at the end */
	struct spool spool;
	struct http_request request;
};

/* Those of which the page of their folder says too little. */
struct pending {
	size_t count;
	struct key keys[ENTRIES];
	char *urls[ENTRIES];
	struct http_request requests[ENTRIES];
};

struct walk {
	struct nginx *nginx;
	location_entry_fn *fn;
	void *arg;
	enum key_space space;
	const struct layout *layout;
	struct nginx_headers headers;
	struct pending *pending;
	struct error *err;
};

/* One folder whose page is being read, and those in it that are next. */
struct visit {
	struct walk *walk;
	const struct page *page;
	size_t depth;
	struct page *inner;
	size_t count;
};

static int walk_page(struct walk *walk, const struct page *page, size_t depth);

/* ---- single entries ---- */

static int
tell(struct walk *walk, const struct key *key, uint64_t size, time_t used)
{
	const struct location_entry entry = { .key = *key,
		.size = size,
		.last_used = used,
		.leaf = &walk->nginx->base };

	return walk->fn(walk->arg, &entry);
}

/* It is gone, or no value, unless the server could not say: -1. */
static int
check_absent(const struct http_request *request, struct error *err)
{
	struct error why;

	(void)http_refusal(request, &why);
	if (why.kind != ERROR_UNREACHABLE)
		return 0;
	*err = why;
	return -1;
}

static int
tell_asked(struct walk *walk, size_t i)
{
	struct http_request *request = &walk->pending->requests[i];
	time_t used;
	const char *date;
	size_t len = 0;

	if (request->result < 0) {
		*walk->err = request->err;
		return -1;
	}
	if (request->status / 100 != 2)
		return check_absent(request, walk->err);
	date = http_header(request, "last-modified", &len);
	used = date ? autoindex_date(date) : 0;
	return tell(walk, &walk->pending->keys[i],
	    request->length == HTTP_UNKNOWN ? 0 : request->length, used);
}

static int
flush_pending(struct walk *walk)
{
	struct pending *pending = walk->pending;
	size_t count = pending->count;
	int rc = 0;

	nginx_headers(walk->nginx, &walk->headers);
	for (size_t i = 0; i < count; i++) {
		pending->requests[i] = (struct http_request){
			.method = "HEAD",
			.url = pending->urls[i],
			.headers = walk->headers.line,
		};
		http_add(walk->nginx->http, &pending->requests[i]);
	}
	http_run(walk->nginx->http);
	pending->count = 0;
	for (size_t i = 0; i < count; i++) {
		if (rc == 0)
			rc = tell_asked(walk, i);
		http_release(&pending->requests[i]);
		free(pending->urls[i]);
	}
	return rc;
}

static int
ask_for(struct walk *walk, const struct key *key, char *url)
{
	struct pending *pending = walk->pending;

	pending->keys[pending->count] = *key;
	pending->urls[pending->count++] = url;
	return pending->count == ENTRIES ? flush_pending(walk) : 0;
}

/* ---- folders ---- */

static bool
are_digits(const char *name, size_t count)
{
	return strlen(name) == count &&
	    strspn(name, "0123456789abcdef") == count;
}

static void
page_init(struct page *page, const struct walk *walk, const char *above,
    const char *digits, const char *name)
{
	*page = (struct page){ .spool = SPOOL_INIT(PAGE_MEMORY) };
	page->url = xasprintf("%s%s%s", above, name, *name ? "/" : "");
	(void)strcat(strcpy(page->digits, digits), name);
	page->request = (struct http_request){ .method = "GET",
		.url = page->url,
		.headers = walk->headers.line,
		.max = NGINX_PAGE,
		.follow = true };
}

static void
page_release(struct page *page)
{
	http_release(&page->request);
	spool_release(&page->spool);
	free(page->url);
}

static void
fetch(struct walk *walk, struct page *pages, size_t count)
{
	nginx_headers(walk->nginx, &walk->headers);
	for (size_t i = 0; i < count; i++) {
		pages[i].request.out = sink_spool(&pages[i].spool);
		http_add(walk->nginx->http, &pages[i].request);
	}
	http_run(walk->nginx->http);
	for (size_t i = 0; i < count; i++)
		sink_close(pages[i].request.out);
}

/*
 * 1: there is a page; 0: no such folder, and for Bazel's layout, which no server need
 * list, no list.
 */
static int
check_page(struct walk *walk, const struct page *page)
{
	int status = page->request.status;

	if (page->request.result < 0) {
		*walk->err = page->request.err;
		return -1;
	}
	if (status == 200)
		return 1;
	if (status == 404 || status == 410 ||
	    (walk->nginx->bazel &&
	        (status == 400 || status == 403 || status == 405 ||
	            status == 501)))
		return 0;
	(void)http_refusal(&page->request, walk->err);
	return status == 403
	    ? error_wrap(
	          walk->err, "its folders are not listed (autoindex is off?)")
	    : -1;
}

static int
visit_inner(struct visit *visit)
{
	struct walk *walk = visit->walk;
	size_t count = visit->count;
	int rc = 0;

	visit->count = 0;
	fetch(walk, visit->inner, count);
	for (size_t i = 0; i < count; i++) {
		if (rc == 0)
			rc = check_page(walk, &visit->inner[i]);
		if (rc == 1)
			rc =
			    walk_page(walk, &visit->inner[i], visit->depth + 1);
		page_release(&visit->inner[i]);
	}
	return rc;
}

static int
take_value(struct visit *visit, const struct autoindex_entry *entry)
{
	struct walk *walk = visit->walk;
	struct key key = { .space = walk->space };
	char hex[DIGEST_HEX + 1];

	(void)strcat(strcpy(hex, visit->page->digits), entry->name);
	if (!digest_parse(&key.digest, hex))
		return 0;
	if (!entry->folder && entry->size != AUTOINDEX_UNKNOWN &&
	    entry->modified)
		return tell(walk, &key, entry->size, entry->modified);
	return ask_for(walk, &key,
	    xasprintf("%s%s%s", visit->page->url, entry->name,
	        entry->folder ? "/data" : ""));
}

static int
take_entry(void *arg, const struct autoindex_entry *entry)
{
	struct visit *visit = arg;
	const struct layout *layout = visit->walk->layout;

	if (!are_digits(entry->name, 2 * (size_t)layout->bytes[visit->depth]))
		return 0;
	if (visit->depth + 1u == layout->count)
		return take_value(visit, entry);
	if (!entry->folder)
		return 0;
	if (!visit->inner)
		visit->inner = xmalloc(FOLDERS * sizeof(*visit->inner));
	page_init(&visit->inner[visit->count++], visit->walk, visit->page->url,
	    visit->page->digits, entry->name);
	return visit->count == FOLDERS ? visit_inner(visit) : 0;
}

int
nginx_parse_page(
    const struct spool *page, autoindex_fn *fn, void *arg, struct error *err)
{
	auto_free struct autoindex *index = xmalloc(sizeof(*index));
	auto_source *in = spool_source(page);
	char chunk[16384];
	ssize_t got;
	int rc = 0;

	autoindex_init(index, fn, arg);
	while ((got = source_read(in, chunk, sizeof(chunk), err)) > 0) {
		rc = autoindex_feed(index, chunk, (size_t)got, err);
		if (rc)
			return rc;
	}
	return got < 0 ? -1 : autoindex_end(index, err);
}

static int
walk_page(struct walk *walk, const struct page *page, size_t depth)
{
	struct visit visit = { .walk = walk, .page = page, .depth = depth };
	int rc = nginx_parse_page(&page->spool, take_entry, &visit, walk->err);

	if (rc < 0 && walk->err->kind == ERROR_CORRUPT)
		(void)error_wrap(walk->err, "'%s'", page->url);
	if (rc == 0 && visit.count > 0)
		rc = visit_inner(&visit);
	for (size_t i = 0; i < visit.count; i++)
		page_release(&visit.inner[i]);
	free(visit.inner);
	return rc;
}

static int
walk_space(struct walk *walk, enum key_space space)
{
	auto_free char *root = NULL;
	auto_free char *above = NULL;
	struct page page;
	int rc;

	walk->space = space;
	walk->layout = nginx_layout(walk->nginx, space, &root);
	above = xasprintf("%s/", root);
	page_init(&page, walk, above, "", "");
	fetch(walk, &page, 1);
	rc = check_page(walk, &page);
	if (rc == 1)
		rc = walk_page(walk, &page, 0);
	if (rc == 0 && walk->pending->count > 0)
		rc = flush_pending(walk);
	page_release(&page);
	return rc;
}

int
nginx_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	struct nginx *nginx = nginx_of(loc);
	auto_free struct pending *pending = xmalloc(sizeof(*pending));
	struct walk walk = { .nginx = nginx,
		.fn = fn,
		.arg = arg,
		.err = err,
		.pending = pending };
	int rc = 0;

	pending->count = 0;
	if (nginx_begin(nginx, err) < 0 || nginx_learn(nginx, err) < 0)
		return -1;
	if (wanted & LIST_BLOBS)
		rc = walk_space(&walk, KEY_BLOB);
	if (rc == 0 && (wanted & LIST_INDEX))
		rc = walk_space(&walk, KEY_INDEX);
	for (size_t i = 0; i < pending->count; i++)
		free(pending->urls[i]);
	return rc;
}
