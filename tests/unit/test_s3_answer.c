/* What servers that speak S3 say, and what is made of what they should not. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "remote/s3_answer.h"
#include "remote/xml.h"
#include "support/check.h"

/* In pieces of `step` bytes, as they may come. */
static int
feed(struct sink *sink, const char *text, size_t step, struct error *err)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += step) {
		if (sink_write(sink, text + i, len - i < step ? len - i : step,
		        err) < 0)
			return -1;
	}
	return sink_commit(sink, err);
}

static const char page_text[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Name>b</Name><Prefix>p/</Prefix><IsTruncated>true</IsTruncated>"
    "<Contents><Key>p/a+b%2Bc%FF</Key><LastModified>2026-01-02T03:04:05.000Z"
    "</LastModified><ETag>&quot;x&quot;</ETag><Size>1234567890123</Size>"
    "</Contents><Contents><Key>p/z</Key><Size>0</Size></Contents>"
    "<NextContinuationToken>1&lt;2</NextContinuationToken>"
    "</ListBucketResult>";

Test(s3_answer, reads_pages_in_any_pieces)
{
	for (size_t step = 1; step < 400; step += 57) {
		struct s3_page *page = s3_page_new();
		auto_sink *sink = sink_s3_page(page);
		struct error err = { 0 };

		check_int(feed(sink, page_text, step, &err), 0);
		check_int(page->count, 2);
		check_str(page->object[0].key, "p/a b+c\xff");
		check_int(page->object[0].size, 1234567890123);
		check_int(page->object[0].modified, 1767323045);
		check_str(page->object[1].key, "p/z");
		check(page->more);
		check_str(page->next, "1<2");
		check_int(sink_reset(sink, &err), 0);
		check(page->count == 0 && !page->next && !page->more);
		check_int(feed(sink, page_text, step, &err), 0);
		check_int(page->count, 2);
		s3_page_free(page);
	}
}

static const char *const bad_pages[] = {
	"",
	"<",
	"<a>",
	"<a></b>",
	"<a/><b/>",
	"<!DOCTYPE a><a/>",
	"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
	"<a>&x;</a>",
	"<a>\xff</a>",
	"<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p><q/></p></o></n></m>"
	"</l></k></j></i></h></g></f></e></d></c></b></a>",
	"<ListBucketResult><Contents/></ListBucketResult>",
	"<ListBucketResult><Contents><Key>%00</Key></Contents>"
	"</ListBucketResult>",
	"<ListBucketResult><Contents><Size>1e9</Size></Contents>"
	"</ListBucketResult>",
	"<ListBucketResult><Contents><Size>9999999999999999999</Size>"
	"</Contents></ListBucketResult>",
	"<ListBucketResult><Contents><LastModified>2026</LastModified>"
	"</Contents></ListBucketResult>",
};

Test(s3_answer, refuses_pages_that_are_none)
{
	for (size_t i = 0; i < sizeof(bad_pages) / sizeof(*bad_pages); i++) {
		struct s3_page *page = s3_page_new();
		auto_sink *sink = sink_s3_page(page);
		struct error err = { 0 };

		check_int(feed(sink, bad_pages[i], 7, &err), -1);
		check_int(err.kind, ERROR_CORRUPT);
		check(err.text[0]);
		s3_page_free(page);
	}
}

Test(s3_answer, takes_a_thousand_entries_and_no_more)
{
	auto_buf text = BUF_INIT;
	struct error err = { 0 };

	buf_addf(&text, "<ListBucketResult>");
	for (int i = 0; i <= S3_PAGE; i++)
		buf_addf(&text, "<Contents><Key>%d</Key></Contents>", i);
	buf_addf(&text, "</ListBucketResult>");
	for (int last = 0; last < 2; last++) {
		struct s3_page *page = s3_page_new();
		auto_sink *sink = sink_s3_page(page);
		const char *from =
		    last ? text.data : strstr(text.data, "</Contents>") + 11;
		auto_free char *all =
		    xasprintf("%s%s", last ? "" : "<ListBucketResult>", from);

		check_int(feed(sink, all, 4096, &err), last ? -1 : 0);
		check_int(page->count, S3_PAGE);
		s3_page_free(page);
	}
	check(strstr(err.text, "more entries than were asked for"));
}

static int
count(void *arg, const char *path, const char *text, struct error *err)
{
	++*(size_t *)arg;
	return 0;
}

Test(s3_answer, holds_no_more_than_it_should)
{
	static char piece[65536];
	size_t elements = 0;
	auto_sink *sink = sink_xml(count, &elements);
	struct error err = { 0 };
	int rc = sink_write(sink, "<a>", 3, &err);

	memset(piece, 'x', sizeof(piece));
	check_int(rc, 0);
	check_int(sink_write(sink, piece, sizeof(piece), &err), -1);
	check_int(sink_reset(sink, &err), 0);
	for (size_t i = 0; i < sizeof(piece); i += 4)
		memcpy(piece + i, "<b/>", 4);
	rc = sink_write(sink, "<a>", 3, &err);
	for (int i = 0; rc == 0 && i < 1000; i++)
		rc = sink_write(sink, piece, sizeof(piece), &err);
	check_int(rc, -1);
	check(elements < XML_MAX);
}

Test(s3_answer, takes_codes_that_are_words_only)
{
	static const struct {
		const char *text, *code, *region;
	} errors[] = {
		{ "<Error><Code>NoSuchKey</Code><Region>eu-1</Region></Error>",
		    "NoSuchKey", "eu-1" },
		{ "<Error><Code>NoSuchKey</Code><Mess", "NoSuchKey", "" },
		{ "<Error><Code>No Such</Code></Error>", "", "" },
		{ "<Error><Code>&#27;x</Code></Error>", "", "" },
		{ "<x><Code>NoSuchKey</Code></x>", "", "" },
		{ "no", "", "" },
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		struct s3_error error;

		s3_error_parse(&error, errors[i].text, strlen(errors[i].text));
		check_str(error.code, errors[i].code);
		check_str(error.region, errors[i].region);
	}
}

Test(s3_answer, writes_tags_that_it_reads)
{
	struct s3_tags tags = { 0 }, again = { 0 };
	auto_sink *sink = sink_s3_tags(&again);
	auto_buf text = BUF_INIT;
	struct error err = { 0 };

	s3_tags_set(&tags, "_a<&>\"'", "_a<&>\"'");
	s3_tags_set(&tags, "usage_date", "1");
	s3_tags_set(&tags, "usage_date", "2.5");
	s3_tags_format(&tags, &text);
	check_int(feed(sink, text.data, 3, &err), 0);
	check_int(again.count, 2);
	check_str(s3_tags_get(&again, "_a<&>\"'"), "_a<&>\"'");
	check_str(s3_tags_get(&again, "usage_date"), "2.5");
	check(!s3_tags_get(&again, "none"));
	s3_tags_release(&tags);
	s3_tags_release(&again);
}

Test(s3_answer, sees_an_error_in_an_upload_that_ended_well)
{
	struct s3_upload upload = { 0 };
	auto_sink *sink = sink_s3_upload(&upload);
	struct error err = { 0 };

	check_int(
	    feed(sink, "<Error><Code>InternalError</Code></Error>", 5, &err),
	    0);
	check(!upload.done);
	check_str(upload.error.code, "InternalError");
	s3_upload_release(&upload);
}

Test(s3_answer, waits_for_an_upload_that_ends_after_a_while)
{
	struct s3_upload upload = { 0 };
	auto_sink *sink = sink_s3_upload(&upload);
	struct error err = { 0 };

	check_int(feed(sink,
	              "  \n \r\n<?xml version=\"1.0\"?>   "
	              "<CompleteMultipartUploadResult/>",
	              3, &err),
	    0);
	check(upload.done);
	check_int(sink_reset(sink, &err), 0);
	check_int(feed(sink, "   ", 1, &err), -1);
	s3_upload_release(&upload);
}
