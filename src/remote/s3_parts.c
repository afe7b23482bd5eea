#include "remote/s3_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

#define ANSWER_MAX ((uint64_t)1 << 20)
#define ABORT_US INT64_C(3000000) /* for that there is always time */

struct upload {
	const struct s3_parts *parts;
	struct source *in;
	uint64_t part, left;
	unsigned number; /* of the next part, from 1 */
	char *id;
	struct hasher all;
	struct buf list; /* of parts, for the end */
	int *status;
	bool *full;
};

/* One part on its way. */
struct part {
	char *data;
	size_t size;
	char number[12];
	struct source *in;
	struct s3_call call;
};

static int
refused(struct upload *upload, const struct s3_call *call, struct error *err)
{
	*upload->status = call->http.result < 0 ? 0 : call->http.status;
	*upload->full = s3_is_full(call);
	return s3_refusal(upload->parts->bucket, call, err);
}

/* ---- beginning ---- */

static int
begin(struct upload *upload, struct error *err)
{
	const struct s3_parts *parts = upload->parts;
	auto_source *nothing = source_memory("", 0);
	struct s3_upload answer = { 0 };
	auto_sink *out = sink_s3_upload(&answer);
	auto_s3_call call = { .method = "POST",
		.key = parts->key,
		.query = { { "uploads", "" } },
		.headers = { { parts->tags ? "x-amz-tagging" : NULL,
		    parts->tags } },
		.in = nothing,
		.out = out,
		.max = ANSWER_MAX };
	int rc;

	digest_bytes(&call.payload, "", 0);
	rc = s3_send(parts->bucket, &call, err);
	if (rc == 0 && call.http.status != 200)
		rc = refused(upload, &call, err);
	if (rc == 0)
		rc = sink_commit(out, err);
	if (rc == 0 && (!answer.id || !*answer.id))
		rc = error_set(err, ERROR_CORRUPT,
		    "the server began an upload without an id");
	if (rc == 0)
		upload->id = take(answer.id);
	s3_upload_release(&answer);
	return rc;
}

/* ---- parts ---- */

static int
fill(struct upload *upload, struct part *part, struct error *err)
{
	uint64_t wanted =
	    upload->left < upload->part ? upload->left : upload->part;

	part->size = 0;
	while (part->size < wanted) {
		ssize_t got = source_read(upload->in, part->data + part->size,
		    (size_t)wanted - part->size, err);

		if (got < 0)
			return -1;
		if (got == 0)
			return error_set(err, ERROR_CORRUPT,
			    "there are %llu bytes less than there should be",
			    (unsigned long long)(upload->left - part->size));
		part->size += (size_t)got;
	}
	upload->left -= part->size;
	return 0;
}

static void
prepare(struct upload *upload, struct part *part)
{
	struct s3_call *call = &part->call;

	(void)snprintf(
	    part->number, sizeof(part->number), "%u", upload->number++);
	part->in = source_memory(part->data, part->size);
	*call = (struct s3_call){ .method = "PUT",
		.key = upload->parts->key,
		.query = { { "partNumber", part->number },
		    { "uploadId", upload->id } },
		.in = part->in };
	digest_bytes(&call->payload, part->data, part->size);
	hasher_add(&upload->all, part->data, part->size);
}

/* Its number and what the server calls it. */
static int
note(struct upload *upload, const struct part *part, struct error *err)
{
	const struct s3_call *call = &part->call;
	auto_free char *tag = NULL;
	const char *found;
	size_t len = 0;

	if (call->http.result < 0 || call->http.status != 200)
		return refused(upload, call, err);
	found = http_header(&call->http, "etag", &len);
	if (!found || len == 0 || len > 256)
		return error_set(err, ERROR_CORRUPT,
		    "the server took a part and gave it no ETag");
	tag = xasprintf("%.*s", (int)len, found);
	buf_addf(&upload->list, "<Part><PartNumber>%s</PartNumber><ETag>",
	    part->number);
	s3_xml_text(&upload->list, tag);
	buf_addf(&upload->list, "</ETag></Part>");
	return 0;
}

/* As many as there is memory for, at once. */
static int
send_some(
    struct upload *upload, struct part *part, size_t room, struct error *err)
{
	auto_free struct s3_call *calls = xmalloc(room * sizeof(*calls));
	size_t count = 0;
	int rc = 0;

	for (; rc == 0 && count < room && upload->left > 0; count++) {
		rc = fill(upload, &part[count], err);
		if (rc < 0)
			break;
		prepare(upload, &part[count]);
		calls[count] = part[count].call;
	}
	if (rc == 0)
		s3_run(upload->parts->bucket, calls, count);
	for (size_t i = 0; i < count; i++) {
		part[i].call = calls[i];
		if (rc == 0)
			rc = note(upload, &part[i], err);
		s3_call_release(&part[i].call);
		source_close(part[i].in);
	}
	return rc;
}

static int
send_parts(struct upload *upload, struct error *err)
{
	size_t room = (size_t)(S3_BUFFER / upload->part);
	struct part *part;
	int rc = 0;

	room = room ? room : 1;
	part = xmalloc(room * sizeof(*part));
	for (size_t i = 0; i < room; i++)
		part[i].data = xmalloc((size_t)upload->part);
	while (rc == 0 && upload->left > 0)
		rc = send_some(upload, part, room, err);
	for (size_t i = 0; i < room; i++)
		free(part[i].data);
	free(part);
	return rc;
}

/* ---- the end ---- */

static int
check_whole(const struct upload *upload, struct error *err)
{
	struct hasher all = upload->all;
	struct digest sum;

	hasher_finish(&all, &sum);
	if (!upload->parts->want || digest_equal(&sum, upload->parts->want))
		return 0;
	return error_set(
	    err, ERROR_CORRUPT, "the value is not what its key says");
}

/* It may fail with a status of 200, which is sent while the server is at it. */
static int
check_end(struct upload *upload, struct s3_call *call,
    const struct s3_upload *answer, struct error *err)
{
	*upload->status = call->http.status;
	if (call->http.status == 412)
		return 0;
	if (call->http.status == 200 && answer->done)
		return 0;
	if (call->http.status == 200) {
		call->refusal = answer->error;
		call->http.status = 500;
	}
	return refused(upload, call, err);
}

static int
end(struct upload *upload, struct error *err)
{
	const struct s3_parts *parts = upload->parts;
	auto_free char *text = xasprintf("<CompleteMultipartUpload>%s"
	                                 "</CompleteMultipartUpload>",
	    upload->list.data);
	auto_source *in = source_memory(text, strlen(text));
	struct s3_upload answer = { 0 };
	auto_sink *out = sink_s3_upload(&answer);
	auto_s3_call call = { .method = "POST",
		.key = parts->key,
		.query = { { "uploadId", upload->id } },
		.headers = { { parts->if_absent ? "if-none-match" : NULL,
		    "*" } },
		.in = in,
		.out = out,
		.max = ANSWER_MAX };
	int rc;

	digest_bytes(&call.payload, text, strlen(text));
	rc = s3_send(parts->bucket, &call, err);
	if (rc == 0 && call.http.status == 200)
		rc = sink_commit(out, err);
	if (rc == 0)
		rc = check_end(upload, &call, &answer, err);
	s3_upload_release(&answer);
	return rc;
}

int
s3_parts_abort(struct s3_bucket *bucket, const char *key, const char *id,
    struct error *err)
{
	auto_s3_call call = {
		.method = "DELETE", .key = key, .query = { { "uploadId", id } }
	};

	if (s3_send(bucket, &call, err) < 0)
		return -1;
	if (call.http.status == 204 || call.http.status == 200 ||
	    call.http.status == 404)
		return 0;
	return s3_refusal(bucket, &call, err);
}

static void
give_up(const struct upload *upload)
{
	struct s3_bucket *bucket = upload->parts->bucket;
	const int64_t *deadline_us = bucket->deadline_us;
	int64_t until;
	struct error ignored;
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	bucket->deadline_us = &until;
	until = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + ABORT_US;
	(void)s3_parts_abort(bucket, upload->parts->key, upload->id, &ignored);
	bucket->deadline_us = deadline_us;
	http_set_deadline(bucket->http, deadline_us);
}

/* So many bytes that S3_PARTS of them are enough. */
static uint64_t
part_size(const struct s3_parts *parts, uint64_t size)
{
	uint64_t least = (size + S3_PARTS - 1) / S3_PARTS;

	return least > parts->part ? least : parts->part;
}

int
s3_parts_send(const struct s3_parts *parts, struct source *in, int *status,
    bool *full, struct error *err)
{
	struct upload upload = { .parts = parts,
		.in = in,
		.part = part_size(parts, in->size),
		.left = in->size,
		.number = 1,
		.list = BUF_INIT,
		.status = status,
		.full = full };
	int rc;

	*status = 0;
	*full = false;
	hasher_init(&upload.all);
	rc = begin(&upload, err);
	if (rc == 0) {
		rc = send_parts(&upload, err);
		if (rc == 0)
			rc = check_whole(&upload, err);
		if (rc == 0)
			rc = end(&upload, err);
		if (rc < 0 || *status == 412)
			give_up(&upload);
	}
	free(upload.id);
	buf_release(&upload.list);
	return rc;
}
