#include "remote/s3_delete.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "remote/s3_parts.h"

#define AT_ONCE 1000
#define ANSWER_MAX ((uint64_t)8 << 20)
#define STALE_S (24 * 3600)

/* ---- many keys ---- */

/*
 * Servers want a digest of this one request, beside the one that is signed: by MD5,
 * which all know, or, on a machine that forbids that one, by SHA-256, which Amazon
 * and others take as well.
 */
static void
add_digest(struct s3_call *call, const struct buf *text, char to[static 48])
{
	unsigned char md5[EVP_MAX_MD_SIZE];
	const unsigned char *digest = md5;
	const char *name = "content-md5";
	unsigned size = 0;

	if (EVP_Digest(text->data, text->len, md5, &size, EVP_md5(), NULL) !=
	    1) {
		name = "x-amz-checksum-sha256";
		digest = call->payload.bytes;
		size = DIGEST_SIZE;
	}
	(void)EVP_EncodeBlock((unsigned char *)to, digest, (int)size);
	call->headers[0] = (struct sigv4_header){ name, to };
}

static int
send_list(struct s3_bucket *bucket, const struct buf *text, struct error *err)
{
	auto_source *in = source_memory(text->data, text->len);
	struct s3_deleted deleted = { 0 };
	auto_sink *out = sink_s3_deleted(&deleted);
	char sum[48];
	auto_s3_call call = { .method = "POST",
		.query = { { "delete", "" } },
		.in = in,
		.out = out,
		.max = ANSWER_MAX };

	digest_bytes(&call.payload, text->data, text->len);
	add_digest(&call, text, sum);
	if (s3_send(bucket, &call, err) < 0)
		return -1;
	if (call.http.status != 200)
		return s3_refusal(bucket, &call, err);
	if (sink_commit(out, err) < 0)
		return -1;
	return deleted.failed == 0
	    ? 0
	    : error_set(err, ERROR_DENIED,
	          "%zu objects of bucket '%s' could not be deleted: %s",
	          deleted.failed, bucket->name, deleted.first.code);
}

int
s3_doomed_send(struct s3_doomed *doomed, struct error *err)
{
	auto_buf text = BUF_INIT;
	int rc = 0;

	if (doomed->count > 0) {
		buf_addf(&text, "<Delete><Quiet>true</Quiet>%s</Delete>",
		    doomed->list.data);
		rc = send_list(doomed->bucket, &text, err);
	}
	buf_release(&doomed->list);
	doomed->count = 0;
	return rc;
}

int
s3_doom(struct s3_doomed *doomed, const char *key, struct error *err)
{
	buf_addf(&doomed->list, "<Object><Key>");
	s3_xml_text(&doomed->list, key);
	buf_addf(&doomed->list, "</Key></Object>");
	return ++doomed->count < AT_ONCE ? 0 : s3_doomed_send(doomed, err);
}

/* ---- uploads that nobody ends ---- */

struct inspection {
	struct s3_bucket *bucket;
	bool mend;
	location_damage_fn *fn;
	void *arg;
	struct location *leaf;
};

static void
inspect_one(const struct inspection *in, const struct s3_object *object)
{
	auto_free char *path =
	    xasprintf("s3://%s/%s", in->bucket->name, object->key);
	struct location_damage damage = { .path = path,
		.found = "parts of a value that never came to its end",
		.expected = "none" };
	struct error err = { 0 };

	if (in->mend) {
		damage.mended = s3_parts_abort(in->bucket, object->key,
		                    object->upload, &err) == 0;
		damage.why = damage.mended ? NULL : err.text;
	}
	in->fn(in->arg, in->leaf, &damage);
}

static int
read_uploads(struct s3_bucket *bucket, const char *key, const char *upload,
    struct s3_page *page, struct error *err)
{
	auto_sink *out = sink_s3_page(page);
	auto_s3_call call = { .method = "GET",
		.query = { { "uploads", "" }, { "prefix", bucket->prefix },
		    { "encoding-type", "url" }, { "max-uploads", "1000" },
		    { key && *key ? "key-marker" : NULL, key },
		    { upload && *upload ? "upload-id-marker" : NULL, upload } },
		.out = out,
		.max = ANSWER_MAX };

	if (s3_send(bucket, &call, err) < 0)
		return -1;
	if (call.http.status != 200)
		return s3_refusal(bucket, &call, err);
	return sink_commit(out, err);
}

static bool
is_stale(const struct s3_object *object)
{
	return object->upload && object->modified > 0 &&
	    time(NULL) - object->modified > STALE_S;
}

/* The key of a page's last entry; NULL: that was the last page, or it goes nowhere. */
static bool
goes_on(const struct s3_page *page, const char *key, const char *upload)
{
	if (!page->more || !page->next || !*page->next)
		return false;
	return !key || strcmp(page->next, key) > 0 ||
	    (strcmp(page->next, key) == 0 && page->next_upload && upload &&
	        strcmp(page->next_upload, upload) != 0);
}

int
s3_inspect_uploads(struct s3_bucket *bucket, struct location *leaf,
    s3_name_fn *is_ours, bool mend, location_damage_fn *fn, void *arg,
    struct error *err)
{
	const struct inspection in = { bucket, mend, fn, arg, leaf };
	auto_free char *key = NULL, *upload = NULL;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		struct s3_page *page = s3_page_new();

		rc = read_uploads(bucket, key, upload, page, err);
		for (size_t i = 0; rc == 0 && i < page->count; i++) {
			if (is_stale(&page->object[i]) &&
			    is_ours(leaf, page->object[i].key))
				inspect_one(&in, &page->object[i]);
		}
		more = goes_on(page, key, upload);
		free(key);
		free(upload);
		key = take(page->next);
		upload = take(page->next_upload);
		s3_page_free(page);
	}
	return rc;
}
