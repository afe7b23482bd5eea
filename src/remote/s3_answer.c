#include "remote/s3_answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/percent.h"
#include "remote/xml.h"

static void
replace(char **text, char *by)
{
	free(*text);
	*text = by;
}

/* ---- refusals ---- */

/* Codes and regions go into messages: nothing else may come with them. */
static void
take_word(char to[static 64], const char *text)
{
	size_t len = strspn(text,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789-.");

	if (len > 0 && len < 64 && !text[len])
		memcpy(to, text, len + 1);
}

static int
take_error(void *arg, const char *path, const char *text, struct error *err)
{
	struct s3_error *error = arg;

	if (strcmp(path, "Error/Code") == 0)
		take_word(error->code, text);
	else if (strcmp(path, "Error/Region") == 0)
		take_word(error->region, text);
	return 0;
}

void
s3_error_parse(struct s3_error *error, const char *data, size_t size)
{
	auto_sink *sink = sink_xml(take_error, error);
	struct error cut_off;

	*error = (struct s3_error){ 0 };
	(void)sink_write(sink, data, size, &cut_off);
}

/* ---- lists ---- */

static int
broken(struct error *err, const char *what)
{
	return error_set(
	    err, ERROR_CORRUPT, "the list of a bucket has %s", what);
}

/* "a+b%2Fc", as asked for with encoding-type=url: keys may have any byte. */
static int
take_key(char **to, const char *text, struct error *err)
{
	auto_free char *spaced = xstrdup(text);
	char *key;

	for (char *c = spaced; *c; c++)
		*c = *c == '+' ? ' ' : *c;
	key = percent_decode(spaced, strlen(spaced));
	if (!key)
		return broken(err, "a key that can't be decoded");
	replace(to, key);
	return 0;
}

static int
take_size(struct s3_page *page, const char *text, struct error *err)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18 || text[digits])
		return broken(err, "a size that is no number");
	page->entry.size = strtoull(text, NULL, 10);
	return 0;
}

static int
take_time(struct s3_page *page, const char *text, struct error *err)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end || (*end != '.' && *end != 'Z'))
		return broken(err, "a time that is none");
	page->entry.modified = timegm(&tm);
	return 0;
}

static void
release_object(struct s3_object *object)
{
	free(object->key);
	free(object->upload);
	*object = (struct s3_object){ 0 };
}

static int
take_object(struct s3_page *page, struct error *err)
{
	if (!page->entry.key)
		return broken(err, "an entry without a key");
	if (page->count == S3_PAGE)
		return broken(err, "more entries than were asked for");
	page->object[page->count++] = page->entry;
	page->entry = (struct s3_object){ 0 };
	return 0;
}

enum page_part {
	PAGE_KEY,
	PAGE_SIZE_OF,
	PAGE_TIME,
	PAGE_UPLOAD,
	PAGE_ENTRY,
	PAGE_MORE,
	PAGE_NEXT,
	PAGE_NEXT_KEY,
	PAGE_NEXT_UPLOAD,
};

#define LIST "ListBucketResult/"
#define UPLOADS "ListMultipartUploadsResult/"

static const struct {
	const char *path;
	enum page_part part;
} page_parts[] = {
	{ LIST "Contents/Key", PAGE_KEY },
	{ LIST "Contents/Size", PAGE_SIZE_OF },
	{ LIST "Contents/LastModified", PAGE_TIME },
	{ LIST "Contents", PAGE_ENTRY },
	{ LIST "IsTruncated", PAGE_MORE },
	{ LIST "NextContinuationToken", PAGE_NEXT },
	{ UPLOADS "Upload/Key", PAGE_KEY },
	{ UPLOADS "Upload/UploadId", PAGE_UPLOAD },
	{ UPLOADS "Upload/Initiated", PAGE_TIME },
	{ UPLOADS "Upload", PAGE_ENTRY },
	{ UPLOADS "IsTruncated", PAGE_MORE },
	{ UPLOADS "NextKeyMarker", PAGE_NEXT_KEY },
	{ UPLOADS "NextUploadIdMarker", PAGE_NEXT_UPLOAD },
};

static int
take_part(struct s3_page *page, enum page_part part, const char *text,
    struct error *err)
{
	switch (part) {
	case PAGE_KEY: return take_key(&page->entry.key, text, err);
	case PAGE_SIZE_OF: return take_size(page, text, err);
	case PAGE_TIME: return take_time(page, text, err);
	case PAGE_UPLOAD: replace(&page->entry.upload, xstrdup(text)); break;
	case PAGE_ENTRY: return take_object(page, err);
	case PAGE_MORE: page->more = strcmp(text, "true") == 0; break;
	case PAGE_NEXT: replace(&page->next, xstrdup(text)); break;
	case PAGE_NEXT_KEY: return take_key(&page->next, text, err);
	case PAGE_NEXT_UPLOAD:
		replace(&page->next_upload, xstrdup(text));
		break;
	}
	return 0;
}

static int
take_page(void *arg, const char *path, const char *text, struct error *err)
{
	for (size_t i = 0; i < sizeof(page_parts) / sizeof(*page_parts); i++) {
		if (strcmp(path, page_parts[i].path) == 0)
			return take_part(arg, page_parts[i].part, text, err);
	}
	return 0;
}

static void
page_release(struct s3_page *page)
{
	for (size_t i = 0; i < page->count; i++)
		release_object(&page->object[i]);
	release_object(&page->entry);
	free(page->next);
	free(page->next_upload);
}

struct s3_page *
s3_page_new(void)
{
	struct s3_page *page = xmalloc(sizeof(*page));

	memset(page, 0, sizeof(*page));
	return page;
}

void
s3_page_free(struct s3_page *page)
{
	if (page)
		page_release(page);
	free(page);
}

static void
page_empty(void *arg)
{
	struct s3_page *page = arg;

	page_release(page);
	memset(page, 0, sizeof(*page));
}

/* ---- a sink that empties what it fills ---- */

struct answer_sink {
	struct sink base;
	struct sink *xml;
	void (*empty)(void *answer);
	void *answer;
};

static struct answer_sink *
answer_of(struct sink *base)
{
	return container_of(base, struct answer_sink, base);
}

static int
answer_write(
    struct sink *base, const void *data, size_t size, struct error *err)
{
	return sink_write(answer_of(base)->xml, data, size, err);
}

static int
answer_reset(struct sink *base, struct error *err)
{
	struct answer_sink *sink = answer_of(base);

	sink->empty(sink->answer);
	return sink_reset(sink->xml, err);
}

static int
answer_commit(struct sink *base, struct error *err)
{
	return sink_commit(answer_of(base)->xml, err);
}

static void
answer_close(struct sink *base)
{
	struct answer_sink *sink = answer_of(base);

	sink_close(sink->xml);
	free(sink);
}

static struct sink *
sink_answer(xml_fn *take, void (*empty)(void *answer), void *answer)
{
	static const struct sink_ops ops = {
		.write = answer_write,
		.reset = answer_reset,
		.commit = answer_commit,
		.close = answer_close,
	};
	struct answer_sink *sink = xmalloc(sizeof(*sink));

	*sink = (struct answer_sink){ { &ops }, sink_xml(take, answer), empty,
		answer };
	return &sink->base;
}

struct sink *
sink_s3_page(struct s3_page *page)
{
	return sink_answer(take_page, page_empty, page);
}

/* ---- uploads ---- */

static int
take_upload(void *arg, const char *path, const char *text, struct error *err)
{
	struct s3_upload *upload = arg;

	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0)
		replace(&upload->id, xstrdup(text));
	upload->done |= strcmp(path, "CompleteMultipartUploadResult") == 0;
	return take_error(&upload->error, path, text, err);
}

void
s3_upload_release(struct s3_upload *upload)
{
	free(upload->id);
	*upload = (struct s3_upload){ 0 };
}

static void
upload_empty(void *arg)
{
	s3_upload_release(arg);
}

struct sink *
sink_s3_upload(struct s3_upload *upload)
{
	return sink_answer(take_upload, upload_empty, upload);
}

/* ---- tags ---- */

static int
take_tag(struct s3_tags *tags, struct error *err)
{
	if (!tags->coming_key || !tags->coming_value || tags->count == S3_TAGS)
		return error_set(err, ERROR_CORRUPT,
		    "the tags of an object are too many or incomplete");
	tags->key[tags->count] = take(tags->coming_key);
	tags->value[tags->count++] = take(tags->coming_value);
	return 0;
}

static int
take_tags(void *arg, const char *path, const char *text, struct error *err)
{
	struct s3_tags *tags = arg;

	if (strcmp(path, "Tagging/TagSet/Tag/Key") == 0)
		replace(&tags->coming_key, xstrdup(text));
	else if (strcmp(path, "Tagging/TagSet/Tag/Value") == 0)
		replace(&tags->coming_value, xstrdup(text));
	else if (strcmp(path, "Tagging/TagSet/Tag") == 0)
		return take_tag(tags, err);
	return 0;
}

void
s3_tags_release(struct s3_tags *tags)
{
	for (size_t i = 0; i < tags->count; i++) {
		free(tags->key[i]);
		free(tags->value[i]);
	}
	free(tags->coming_key);
	free(tags->coming_value);
	*tags = (struct s3_tags){ 0 };
}

static void
tags_empty(void *arg)
{
	s3_tags_release(arg);
}

struct sink *
sink_s3_tags(struct s3_tags *tags)
{
	return sink_answer(take_tags, tags_empty, tags);
}

const char *
s3_tags_get(const struct s3_tags *tags, const char *key)
{
	for (size_t i = 0; i < tags->count; i++) {
		if (strcmp(tags->key[i], key) == 0)
			return tags->value[i];
	}
	return NULL;
}

/* What is one too many is for the server to refuse. */
void
s3_tags_set(struct s3_tags *tags, const char *key, const char *value)
{
	for (size_t i = 0; i < tags->count; i++) {
		if (strcmp(tags->key[i], key) == 0) {
			replace(&tags->value[i], xstrdup(value));
			return;
		}
	}
	if (tags->count == S3_TAGS)
		return;
	tags->key[tags->count] = xstrdup(key);
	tags->value[tags->count++] = xstrdup(value);
}

void
s3_xml_text(struct buf *to, const char *text)
{
	for (; *text; text++) {
		if (strchr("<>&\"'", *text))
			buf_addf(to, "&#%d;", *text);
		else if ((unsigned char)*text >= ' ' || *text == '\t')
			buf_add(to, text, 1);
	}
}

void
s3_tags_format(const struct s3_tags *tags, struct buf *to)
{
	buf_addf(to, "<Tagging><TagSet>");
	for (size_t i = 0; i < tags->count; i++) {
		buf_addf(to, "<Tag><Key>");
		s3_xml_text(to, tags->key[i]);
		buf_addf(to, "</Key><Value>");
		s3_xml_text(to, tags->value[i]);
		buf_addf(to, "</Value></Tag>");
	}
	buf_addf(to, "</TagSet></Tagging>");
}

/* ---- what was deleted ---- */

static int
take_deleted(void *arg, const char *path, const char *text, struct error *err)
{
	struct s3_deleted *deleted = arg;

	if (strcmp(path, "DeleteResult/Error/Code") == 0 &&
	    !deleted->first.code[0])
		take_word(deleted->first.code, text);
	deleted->failed += strcmp(path, "DeleteResult/Error") == 0;
	return 0;
}

static void
deleted_empty(void *arg)
{
	*(struct s3_deleted *)arg = (struct s3_deleted){ 0 };
}

struct sink *
sink_s3_deleted(struct s3_deleted *deleted)
{
	return sink_answer(take_deleted, deleted_empty, deleted);
}
