/* XML of a server that speaks S3, as each of its answers, whole and in two pieces. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "remote/s3_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static int
feed(struct sink *sink, const uint8_t *data, size_t size, size_t cut)
{
	struct error err = { 0 };
	int rc = sink_write(sink, data, cut, &err);

	if (rc == 0)
		rc = sink_write(sink, data + cut, size - cut, &err);
	if (rc == 0)
		rc = sink_commit(sink, &err);
	require(rc == 0 || (err.kind == ERROR_CORRUPT && err.text[0]));
	return rc;
}

static void
read_page(const uint8_t *data, size_t size)
{
	struct s3_page *page = s3_page_new();
	auto_sink *sink = sink_s3_page(page);
	struct error err = { 0 };
	size_t entries = 0;

	if (feed(sink, data, size, size / 2) == 0) {
		entries = page->count;
		for (size_t i = 0; i < entries; i++)
			require(page->object[i].key != NULL);
		require(sink_reset(sink, &err) == 0 && page->count == 0);
		require(feed(sink, data, size, 0) == 0);
		require(page->count == entries);
	}
	s3_page_free(page);
}

/* Whatever tags there are, they can be written and read again. */
static void
read_tags(const uint8_t *data, size_t size)
{
	struct s3_tags tags = { 0 }, again = { 0 };
	auto_sink *sink = sink_s3_tags(&tags);
	auto_sink *check = sink_s3_tags(&again);
	auto_buf text = BUF_INIT;

	if (feed(sink, data, size, size / 2) == 0) {
		s3_tags_format(&tags, &text);
		require(
		    feed(check, (const uint8_t *)text.data, text.len, 0) == 0);
		require(again.count == tags.count);
	}
	s3_tags_release(&tags);
	s3_tags_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3_upload upload = { 0 };
	struct s3_deleted deleted = { 0 };
	auto_sink *uploads = sink_s3_upload(&upload);
	auto_sink *deletes = sink_s3_deleted(&deleted);
	struct s3_error error;

	read_page(data, size);
	read_tags(data, size);
	(void)feed(uploads, data, size, size / 2);
	(void)feed(deletes, data, size, size / 2);
	s3_upload_release(&upload);
	s3_error_parse(&error, (const char *)data, size);
	require(strlen(error.code) < sizeof(error.code));
	require(strpbrk(error.code, "\x1b \n<") == NULL);
	return 0;
}
