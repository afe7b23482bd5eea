/*
 * A bucket of S3, or of what is compatible with it. Blobs are where the Python library
 * tarn has them, at <prefix>/<4 digits>/<60 digits>; what has no content for a name
 * (KEY_INDEX) is at <prefix>/tools/tarn-exec/index/<2 digits>/<62 digits>.
 *
 * A blob's key is the SHA-256 that the signature has to name of its body anyway, so
 * the server itself refuses what is damaged on its way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "locations/collect.h"
#include "locations/labels.h"
#include "locations/layout.h"
#include "remote/kinds.h"
#include "remote/place.h"
#include "remote/s3_delete.h"
#include "remote/s3_parts.h"

#define INDEX "tools/tarn-exec/index"
#define LARGE 4                 /* parts; what is larger is sent so */
#define LOOK_FIRST (256u << 10) /* bytes that are not sent in vain */
#define XML_ANSWER ((uint64_t)8 << 20)

/* bucket/5891/b5b522..., as in the Python library. */
static const struct layout blobs = { 2, true, { 2, DIGEST_SIZE - 2 } };

struct s3 {
	struct location base;
	struct s3_bucket bucket;
	uint64_t part; /* bytes */
	bool usage;    /* kept in a tag, with each use */
	bool plain;    /* the server knows no If-None-Match */
};

/* The bucket, for as long as the caller waits. */
static struct s3_bucket *
bucket_of(struct s3 *s3)
{
	s3->bucket.deadline_us = &s3->base.deadline_us;
	return &s3->bucket;
}

static struct s3 *
s3_of(struct location *loc)
{
	return container_of(loc, struct s3, base);
}

/* ---- opening ---- */

static void
s3_close(struct location *loc)
{
	struct s3 *s3 = s3_of(loc);

	s3_bucket_close(&s3->bucket);
	free(s3);
}

static int
set_part(struct s3 *s3, const char *text, struct error *err)
{
	s3->part = S3_PART;
	if (!text)
		return 0;
	if (size_parse(text, &s3->part, err) < 0)
		return error_wrap(err, "'part_size'");
	if (s3->part < S3_PART_LEAST || s3->part > S3_PART_MOST)
		return error_set(err, ERROR_USAGE,
		    "expected 'part_size' to be 5MiB to 64MiB, got '%s'", text);
	return 0;
}

static struct location *
s3_open(const Tarn__Location *config, struct error *err)
{
	static const char *const known[] = { "endpoint", "region", "style",
		"profile", "ca", "timeout", "part_size", "usage", NULL };
	struct s3 *s3;

	if (place_options(config, known, err) < 0)
		return NULL;
	s3 = xmalloc(sizeof(*s3));
	*s3 = (struct s3){ .base = { .kind = &location_s3 } };
	if (s3_bucket_open(&s3->bucket, config, err) < 0 ||
	    set_part(s3, place_option(config, "part_size"), err) < 0 ||
	    place_flag(config, "usage", false, &s3->usage, err) < 0) {
		s3_close(&s3->base);
		return NULL;
	}
	return &s3->base;
}

/* ---- where a value is ---- */

/* The caller frees it. */
static char *
name_of(const struct s3 *s3, const struct key *key)
{
	bool blob = key->space == KEY_BLOB;
	const char *prefix = s3->bucket.prefix;
	size_t len = strlen(prefix);
	auto_free char *root =
	    xasprintf("%.*s%s", (int)(len ? len - 1 : 0), prefix,
	        blob      ? ""
	            : len ? "/" INDEX
	                  : INDEX);
	char *path =
	    layout_path(blob ? &blobs : &layout_default, root, &key->digest);

	if (*path == '/')
		memmove(path, path + 1, strlen(path));
	return path;
}

/* "5891/b5b5..." after the prefix, and the same of the index; false: it is neither. */
static bool
parse_name(const struct s3 *s3, const char *name, struct key *key)
{
	const char *prefix = s3->bucket.prefix;
	const size_t index = strlen(INDEX "/");
	char hex[DIGEST_HEX + 1];
	size_t first = 4;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return false;
	name += strlen(prefix);
	key->space = KEY_BLOB;
	if (strncmp(name, INDEX "/", index) == 0) {
		key->space = KEY_INDEX;
		name += index;
		first = 2;
	}
	if (strlen(name) != DIGEST_HEX + 1 || name[first] != '/')
		return false;
	(void)snprintf(
	    hex, sizeof(hex), "%.*s%s", (int)first, name, name + first + 1);
	return digest_parse(&key->digest, hex);
}

/* ---- reading ---- */

static enum outcome
found(struct s3 *s3, const struct s3_call *call, struct error *err)
{
	if (call->http.result == 0 && call->http.status == 200)
		return HIT;
	if (s3_is_missing(call))
		return MISS;
	return s3_refusal(&s3->bucket, call, err);
}

static enum outcome
s3_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct s3 *s3 = s3_of(loc);
	auto_free char *name = name_of(s3, key);
	auto_s3_call call = { .method = "GET", .key = name, .out = out };

	s3_run(bucket_of(s3), &call, 1);
	return found(s3, &call, err);
}

static void
s3_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	struct s3 *s3 = s3_of(loc);
	auto_free struct s3_call *calls = xmalloc(count * sizeof(*calls));

	for (size_t i = 0; i < count; i++)
		calls[i] = (struct s3_call){ .method = "GET",
			.key = name_of(s3, &requests[i].key),
			.out = requests[i].out };
	s3_run(bucket_of(s3), calls, count);
	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = found(s3, &calls[i], &requests[i].err);
		s3_call_release(&calls[i]);
		free((char *)(uintptr_t)calls[i].key);
	}
}

static enum outcome
s3_contains(struct location *loc, const struct key *key, struct error *err)
{
	struct s3 *s3 = s3_of(loc);
	auto_free char *name = name_of(s3, key);
	auto_s3_call call = { .method = "HEAD", .key = name };

	s3_run(bucket_of(s3), &call, 1);
	return found(s3, &call, err);
}

static void
s3_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	struct s3 *s3 = s3_of(loc);
	auto_free struct s3_call *calls = xmalloc(count * sizeof(*calls));

	for (size_t i = 0; i < count; i++)
		calls[i] = (struct s3_call){ .method = "HEAD",
			.key = name_of(s3, &requests[i].key) };
	s3_run(bucket_of(s3), calls, count);
	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = found(s3, &calls[i], &requests[i].err);
		s3_call_release(&calls[i]);
		free((char *)(uintptr_t)calls[i].key);
	}
}

/* ---- writing ---- */

/* "1763842716.123456", as the Python library has it in its tag. */
static void
now_text(char text[static 32])
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)snprintf(
	    text, 32, "%lld.%06ld", (long long)now.tv_sec, now.tv_nsec / 1000);
}

/* A value on its way to the bucket. */
struct write {
	struct s3 *s3;
	const struct key *key;
	struct source *in;
	enum write_mode mode;
	char *name, tags[48];
	bool conditional; /* the request says: if it is absent */
	struct s3_call *call;
};

static int
digest_of(struct source *in, struct digest *digest, struct error *err)
{
	char chunk[64 * 1024];
	struct hasher hasher;
	ssize_t got;

	hasher_init(&hasher);
	while ((got = source_read(in, chunk, sizeof(chunk), err)) > 0)
		hasher_add(&hasher, chunk, (size_t)got);
	hasher_finish(&hasher, digest);
	return got < 0 ? -1 : source_rewind(in, err);
}

/* Is its key the digest of what is sent? */
static bool
is_named_by_content(const struct write *w)
{
	return w->key->space == KEY_BLOB && !w->s3->base.packer;
}

static void
write_init(struct write *w, struct s3 *s3)
{
	char now[32];

	w->s3 = s3;
	w->name = name_of(s3, w->key);
	w->tags[0] = '\0';
	if (s3->usage) {
		now_text(now);
		(void)snprintf(w->tags, sizeof(w->tags), "usage_date=%s", now);
	}
}

/* One request for all of it. */
static int
write_prepare(struct write *w, struct error *err)
{
	struct s3_call *call = w->call;
	size_t headers = 0;

	*call =
	    (struct s3_call){ .method = "PUT", .key = w->name, .in = w->in };
	w->conditional = w->mode == WRITE_IF_ABSENT && !w->s3->plain;
	if (w->conditional)
		call->headers[headers++] =
		    (struct sigv4_header){ "if-none-match", "*" };
	if (w->tags[0])
		call->headers[headers++] =
		    (struct sigv4_header){ "x-amz-tagging", w->tags };
	call->payload = w->key->digest;
	return is_named_by_content(w) ? 0
	                              : digest_of(w->in, &call->payload, err);
}

/* A place that takes no more says so; all else failed. */
static enum outcome
not_taken(struct s3 *s3, const struct s3_call *call, struct error *err)
{
	(void)s3_refusal(&s3->bucket, call, err);
	return s3_is_full(call) ? DECLINED : FAILED;
}

static enum outcome
write_outcome(struct write *w, struct error *err)
{
	const struct s3_call *call = w->call;

	if (call->http.result == 0 && call->http.status == 200)
		return STORED;
	if (call->http.result == 0 && call->http.status == 412 &&
	    w->mode == WRITE_IF_ABSENT)
		return KEPT;
	return not_taken(w->s3, call, err);
}

/* Does the server say that it knows no conditions? */
static bool
is_plain(const struct write *w)
{
	return w->conditional && w->call->http.result == 0 &&
	    w->call->http.status == 501;
}

static bool
is_large(const struct s3 *s3, const struct source *in)
{
	return in->size > LARGE * s3->part;
}

static enum outcome
write_parts(struct write *w, struct error *err)
{
	struct s3 *s3 = w->s3;
	struct s3_parts parts = { .bucket = bucket_of(s3),
		.key = w->name,
		.want = is_named_by_content(w) ? &w->key->digest : NULL,
		.tags = w->tags[0] ? w->tags : NULL,
		.part = s3->part,
		.if_absent = w->mode == WRITE_IF_ABSENT && !s3->plain };
	int status;
	bool full;

	if (s3_parts_send(&parts, w->in, &status, &full, err) == 0)
		return status == 412 ? KEPT : STORED;
	if (status != 501 || !parts.if_absent)
		return full ? DECLINED : FAILED;
	s3->plain = true; /* there was a look before: send it once more */
	return source_rewind(w->in, err) < 0 ? FAILED : write_parts(w, err);
}

/* Is what would be sent in vain there already? */
static enum outcome
write_look(struct write *w, struct error *err)
{
	bool looks = w->mode == WRITE_IF_ABSENT &&
	    (w->s3->plain || w->in->size > LOOK_FIRST);

	return looks ? s3_contains(&w->s3->base, w->key, err) : MISS;
}

/* Once more, if the server has just said that it knows no conditions. */
static enum outcome
write_one(struct write *w, struct error *err)
{
	enum outcome there = write_look(w, err);

	if (there != MISS)
		return there == HIT ? KEPT : FAILED;
	if (is_large(w->s3, w->in))
		return write_parts(w, err);
	if (write_prepare(w, err) < 0)
		return FAILED;
	s3_run(bucket_of(w->s3), w->call, 1);
	if (!is_plain(w))
		return write_outcome(w, err);
	w->s3->plain = true;
	s3_call_release(w->call);
	if (source_rewind(w->in, err) < 0)
		return FAILED;
	return write_one(w, err);
}

static uint64_t
s3_limit(struct location *loc)
{
	return S3_PARTS * S3_PART_MOST;
}

static enum outcome
s3_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	auto_s3_call call = { 0 };
	struct write w = { .key = key, .in = in, .mode = mode, .call = &call };
	enum outcome outcome;

	if (in->size > s3_limit(loc)) {
		error_set(err, ERROR_USAGE, "larger than a bucket takes");
		return DECLINED;
	}
	write_init(&w, s3_of(loc));
	outcome = write_one(&w, err);
	free(w.name);
	return outcome;
}

/* ---- writing many ---- */

/* What goes with one request, and without a look before. */
static bool
is_simple(const struct s3 *s3, const struct location_write_request *request)
{
	return request->in->size <= LOOK_FIRST ||
	    (request->mode == WRITE_REPLACE && !is_large(s3, request->in));
}

/* One after the other in requests of their own. */
static void
write_alone(struct s3 *s3, struct location_write_request *request)
{
	request->outcome = s3_write(&s3->base, &request->key, request->in,
	    request->mode, &request->err);
}

static void
end_simple(
    struct s3 *s3, struct write *w, struct location_write_request *request)
{
	if (is_plain(w)) {
		s3->plain = true;
		request->outcome = FAILED;
		if (source_rewind(request->in, &request->err) == 0)
			write_alone(s3, request);
	} else {
		request->outcome = write_outcome(w, &request->err);
	}
	s3_call_release(w->call);
	free(w->name);
}

/* Those that are simple together, then the others. */
static void
write_slice(
    struct s3 *s3, struct location_write_request *requests, size_t count)
{
	auto_free struct s3_call *calls = xmalloc(count * sizeof(*calls));
	auto_free struct write *writes = xmalloc(count * sizeof(*writes));
	size_t at[S3_SLICE], simple = 0;

	for (size_t i = 0; i < count && !s3->plain; i++) {
		struct write *w = &writes[simple];

		if (!is_simple(s3, &requests[i]))
			continue;
		*w = (struct write){ .key = &requests[i].key,
			.in = requests[i].in,
			.mode = requests[i].mode,
			.call = &calls[simple] };
		write_init(w, s3);
		at[simple++] = i;
		if (write_prepare(w, &requests[i].err) == 0)
			continue;
		requests[i].outcome = FAILED;
		free(writes[--simple].name);
	}
	s3_run(bucket_of(s3), calls, simple);
	for (size_t i = 0, next = 0; i < count; i++) {
		if (next < simple && at[next] == i)
			end_simple(s3, &writes[next++], &requests[i]);
		else if (requests[i].err.kind == ERROR_NONE)
			write_alone(s3, &requests[i]);
	}
}

static void
s3_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	for (size_t from = 0; from < count; from += S3_SLICE)
		write_slice(s3_of(loc), requests + from,
		    count - from < S3_SLICE ? count - from : S3_SLICE);
}

/* ---- tags: labels and use ---- */

static enum outcome
tags_read(
    struct s3 *s3, const char *name, struct s3_tags *tags, struct error *err)
{
	auto_sink *out = sink_s3_tags(tags);
	auto_s3_call call = { .method = "GET",
		.key = name,
		.query = { { "tagging", "" } },
		.out = out,
		.max = XML_ANSWER };
	enum outcome outcome;

	s3_run(bucket_of(s3), &call, 1);
	if (strcmp(call.refusal.code, "NoSuchTagSet") == 0)
		return HIT; /* so some servers say that there are none */
	outcome = found(s3, &call, err);
	if (outcome == HIT && sink_commit(out, err) < 0)
		return FAILED;
	return outcome;
}

static enum outcome
tags_write(struct s3 *s3, const char *name, const struct s3_tags *tags,
    struct error *err)
{
	auto_buf text = BUF_INIT;
	auto_source *in = NULL;
	auto_s3_call call = {
		.method = "PUT", .key = name, .query = { { "tagging", "" } }
	};

	s3_tags_format(tags, &text);
	in = source_memory(text.data, text.len);
	call.in = in;
	digest_bytes(&call.payload, text.data, text.len);
	s3_run(bucket_of(s3), &call, 1);
	if (call.http.result == 0 && call.http.status == 204)
		return HIT; /* some say so */
	if (call.http.result == 0 && call.http.status == 501)
		return MISS; /* some keep none, of nothing */
	return found(s3, &call, err);
}

/* A label of the Python library is a tag "_label" of the value "_label". */
static int
set_label(struct s3_tags *tags, const char *label, struct error *err)
{
	auto_free char *tag = xasprintf("_%s", label);

	for (const char *c = label; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 127)
			return error_set(err, ERROR_USAGE,
			    "a label with control characters can't be a tag");
	}
	s3_tags_set(tags, tag, tag);
	return 0;
}

static enum outcome
s3_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	struct s3 *s3 = s3_of(loc);
	auto_free char *name = name_of(s3, key);
	struct s3_tags tags = { 0 };
	enum outcome outcome =
	    key->space == KEY_BLOB ? tags_read(s3, name, &tags, err) : MISS;

	for (; outcome == HIT && *labels; labels++)
		outcome = set_label(&tags, *labels, err) < 0 ? FAILED : HIT;
	if (outcome == HIT)
		outcome = tags_write(s3, name, &tags, err);
	s3_tags_release(&tags);
	return outcome;
}

static enum outcome
s3_labels(struct location *loc, const struct key *key, location_label_fn *fn,
    void *arg, struct error *err)
{
	struct s3 *s3 = s3_of(loc);
	auto_free char *name = name_of(s3, key);
	auto_labels labels = LABELS_INIT;
	struct s3_tags tags = { 0 };
	enum outcome outcome =
	    key->space == KEY_BLOB ? tags_read(s3, name, &tags, err) : MISS;

	for (size_t i = 0; i < tags.count && outcome == HIT; i++) {
		if (tags.key[i][0] == '_' &&
		    strcmp(tags.key[i], tags.value[i]) == 0)
			labels_add(&labels, tags.key[i] + 1);
	}
	s3_tags_release(&tags);
	labels_sort(&labels);
	for (size_t i = 0; i < labels.count; i++) {
		if (fn(arg, labels.item[i]) != 0)
			break;
	}
	return outcome == HIT && labels.count == 0 ? MISS : outcome;
}

/* Without `usage`, only whether it is there: two requests more would say it to nobody. */
static enum outcome
s3_touch(struct location *loc, const struct key *key, struct error *err)
{
	struct s3 *s3 = s3_of(loc);
	auto_free char *name = name_of(s3, key);
	struct s3_tags tags = { 0 };
	enum outcome outcome;
	char now[32];

	if (!s3->usage)
		return s3_contains(loc, key, err);
	outcome = tags_read(s3, name, &tags, err);
	if (outcome == HIT) {
		now_text(now);
		s3_tags_set(&tags, "usage_date", now);
		outcome = tags_write(s3, name, &tags, err);
	}
	s3_tags_release(&tags);
	return outcome;
}

/* ---- removing ---- */

/* The server doesn't say whether there was something. */
static enum outcome
s3_remove(struct location *loc, const struct key *key, struct error *err)
{
	struct s3 *s3 = s3_of(loc);
	auto_free char *name = name_of(s3, key);
	auto_s3_call call = { .method = "DELETE", .key = name };
	enum outcome there = s3_contains(loc, key, err);

	if (there != HIT)
		return there;
	s3_run(bucket_of(s3), &call, 1);
	if (call.http.result == 0 && call.http.status == 204)
		return HIT;
	return found(s3, &call, err);
}

/* ---- listing ---- */

/* One page of what begins so, from where the last one ended. */
static int
read_page(struct s3 *s3, const char *prefix, const char *from,
    struct s3_page *page, struct error *err)
{
	auto_sink *out = sink_s3_page(page);
	auto_s3_call call = { .method = "GET",
		.query = { { "list-type", "2" }, { "prefix", prefix },
		    { "encoding-type", "url" }, { "max-keys", "1000" },
		    { from ? "continuation-token" : NULL, from } },
		.out = out,
		.max = XML_ANSWER };

	s3_run(bucket_of(s3), &call, 1);
	if (call.http.result < 0 || call.http.status != 200)
		return s3_refusal(&s3->bucket, &call, err);
	return sink_commit(out, err);
}

/* When it was used, out of its tags, where we keep that. */
static void
read_usage(struct s3 *s3, const struct s3_page *page, time_t *used)
{
	auto_free struct s3_call *calls = xmalloc(page->count * sizeof(*calls));
	auto_free struct s3_tags *tags = xmalloc(page->count * sizeof(*tags));

	for (size_t i = 0; i < page->count; i++) {
		tags[i] = (struct s3_tags){ 0 };
		calls[i] = (struct s3_call){ .method = "GET",
			.key = page->object[i].key,
			.query = { { "tagging", "" } },
			.out = sink_s3_tags(&tags[i]),
			.max = XML_ANSWER };
	}
	s3_run(bucket_of(s3), calls, page->count);
	for (size_t i = 0; i < page->count; i++) {
		const char *date = s3_tags_get(&tags[i], "usage_date");
		long long seconds = date ? strtoll(date, NULL, 10) : 0;

		if (seconds > used[i])
			used[i] = (time_t)seconds;
		sink_close(calls[i].out);
		s3_tags_release(&tags[i]);
		s3_call_release(&calls[i]);
	}
}

/* Now that the page is whole: `fn` may make requests of its own. */
static int
tell_page(struct s3 *s3, unsigned wanted, const struct s3_page *page,
    location_entry_fn *fn, void *arg)
{
	time_t used[S3_PAGE];
	int rc = 0;

	for (size_t i = 0; i < page->count; i++)
		used[i] = page->object[i].modified;
	if (s3->usage && (wanted & LIST_USES) && page->count > 0)
		read_usage(s3, page, used);
	for (size_t i = 0; rc == 0 && i < page->count; i++) {
		struct location_entry entry = { .size = page->object[i].size,
			.last_used = used[i],
			.leaf = &s3->base };

		if (parse_name(s3, page->object[i].key, &entry.key))
			rc = fn(arg, &entry);
	}
	return rc;
}

#define EMPTY \
	100 /* pages in a row: a server that looks through what was deleted */

/* How far a list has come. */
struct progress {
	char *from, *last; /* of the next page, and its last key so far */
	unsigned empty;    /* pages, lately */
};

/* Keys come in order: who gives them again, or gives none, would do so for ever. */
static int
check_order(
    const struct s3_page *page, struct progress *progress, struct error *err)
{
	char **last = &progress->last;

	for (size_t i = 0; i < page->count; i++) {
		if (*last && strcmp(page->object[i].key, *last) <= 0)
			return error_set(err, ERROR_CORRUPT,
			    "the list of a bucket is not in order");
		free(*last);
		*last = xstrdup(page->object[i].key);
	}
	progress->empty = page->count == 0 ? progress->empty + 1 : 0;
	if (page->more && (!page->next || !*page->next))
		return error_set(err, ERROR_CORRUPT,
		    "the list of a bucket goes on, but not where");
	if (page->more && progress->empty > EMPTY)
		return error_set(err, ERROR_CORRUPT,
		    "the list of a bucket goes on with %d empty pages", EMPTY);
	return 0;
}

static int
list_prefix(struct s3 *s3, unsigned wanted, location_entry_fn *fn, void *arg,
    struct error *err)
{
	struct progress progress = { 0 };
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		struct s3_page *page = s3_page_new();

		rc = read_page(s3, s3->bucket.prefix, progress.from, page, err);
		if (rc == 0)
			rc = check_order(page, &progress, err);
		if (rc == 0)
			rc = tell_page(s3, wanted, page, fn, arg);
		free(progress.from);
		more = page->more;
		progress.from = take(page->next);
		s3_page_free(page);
	}
	free(progress.from);
	free(progress.last);
	return rc;
}

static int
s3_list(struct location *loc, unsigned wanted, location_entry_fn *fn, void *arg,
    struct error *err)
{
	struct s3 *s3 = s3_of(loc);

	return list_prefix(s3, wanted, fn, arg, err);
}

/* ---- making room ---- */

struct collecting {
	struct s3 *s3;
	struct s3_doomed doomed;
};

static int
collect_list(void *arg, size_t part, location_entry_fn *fn, void *fn_arg,
    struct error *err)
{
	struct collecting *c = arg;
	int rc = s3_list(&c->s3->base, LIST_ALL, fn, fn_arg, err);

	bucket_of(c->s3);
	return rc != 0 ? rc : s3_doomed_send(&c->doomed, err);
}

/* That it went shows when the others of its request do. */
static enum outcome
collect_remove(void *arg, const struct location_entry *entry, struct error *err)
{
	struct collecting *c = arg;
	auto_free char *name = name_of(c->s3, &entry->key);

	bucket_of(c->s3);
	return s3_doom(&c->doomed, name, err) < 0 ? FAILED : HIT;
}

static enum outcome
s3_collect(struct location *loc, const struct collect_request *request,
    struct collect_result *result, struct error *err)
{
	struct s3 *s3 = s3_of(loc);
	struct collecting c = { s3,
		{ .bucket = &s3->bucket, .list = BUF_INIT } };
	const struct collect_parts parts = { .count = 1,
		.list = collect_list,
		.remove = collect_remove,
		.arg = &c };
	enum outcome outcome = collect_parts(&parts, request, result, err);

	buf_release(&c.doomed.list);
	return outcome;
}

static bool
is_ours(struct location *loc, const char *name)
{
	struct key key;

	return parse_name(s3_of(loc), name, &key);
}

static int
s3_inspect(struct location *loc, bool mend, location_damage_fn *fn, void *arg,
    struct error *err)
{
	return s3_inspect_uploads(
	    bucket_of(s3_of(loc)), loc, is_ours, mend, fn, arg, err);
}

const struct location_kind location_s3 = {
	.name = "s3",
	.remote = true,
	.open = s3_open,
	.close = s3_close,
	.read = s3_read,
	.write = s3_write,
	.contains = s3_contains,
	.remove = s3_remove,
	.touch = s3_touch,
	.list = s3_list,
	.inspect = s3_inspect,
	.collect = s3_collect,
	.add_labels = s3_add_labels,
	.labels = s3_labels,
	.read_batch = s3_read_batch,
	.write_batch = s3_write_batch,
	.contains_batch = s3_contains_batch,
	.limit = s3_limit,
};
