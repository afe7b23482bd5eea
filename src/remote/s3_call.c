#include "remote/s3_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

#define PAUSE_US INT64_C(100000) /* the first; each is twice as long */
#define UNANNOUNCED \
	((uint64_t)16 << 20) /* bytes; S3 says how long values are */
#define WAIT_S 10            /* for all pauses, without a timeout */

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- preparing ---- */

static size_t
count_pairs(const struct sigv4_header *pairs)
{
	size_t count = 0;

	while (count < S3_PAIRS && pairs[count].name)
		count++;
	return count;
}

struct signing {
	struct sigv4_header headers[S3_PAIRS + 4];
	size_t count;
	char date[SIGV4_DATE_SIZE], payload[DIGEST_HEX + 1];
	struct buf path, query, authorization;
};

static void
add_header(struct signing *s, const char *name, const char *value)
{
	s->headers[s->count++] = (struct sigv4_header){ name, value };
}

static void
add_headers(struct signing *s, const struct s3_bucket *bucket,
    const struct s3_call *call, const struct sigv4_keys *keys)
{
	add_header(s, "host", bucket->host);
	add_header(s, "x-amz-date", s->date);
	add_header(s, "x-amz-content-sha256", s->payload);
	if (keys->token)
		add_header(s, "x-amz-security-token", keys->token);
	for (size_t i = 0; i < count_pairs(call->headers); i++)
		add_header(s, call->headers[i].name, call->headers[i].value);
}

static void
sign(struct signing *s, const struct s3_bucket *bucket, struct s3_call *call,
    const struct sigv4_keys *keys)
{
	auto_free char *path =
	    xasprintf("%s%s", bucket->root, call->key ? call->key : "");

	sigv4_date(time(NULL), s->date);
	(void)digest_hex(&call->payload, s->payload);
	sigv4_path(&s->path, path);
	sigv4_query(&s->query, call->query, count_pairs(call->query));
	add_headers(s, bucket, call, keys);
	sigv4_sign(&s->authorization,
	    &(struct sigv4_request){ .method = call->method,
	        .path = s->path.data,
	        .query = s->query.data,
	        .headers = s->headers,
	        .count = s->count,
	        .payload = s->payload,
	        .date = s->date,
	        .region = bucket->region,
	        .service = "s3" },
	    keys);
}

/* What one try takes; the answer stays. */
static void
forget_request(struct s3_call *call)
{
	for (size_t i = 0; call->lines[i]; i++) {
		explicit_bzero(call->lines[i], strlen(call->lines[i]));
		free(call->lines[i]);
	}
	memset(call->lines, 0, sizeof(call->lines));
	free(call->url);
	call->url = NULL;
}

static void
prepare(struct s3_call *call, const struct s3_bucket *bucket,
    const struct sigv4_keys *keys)
{
	struct signing s = {
		.path = BUF_INIT, .query = BUF_INIT, .authorization = BUF_INIT
	};
	size_t lines = 0;

	if (!call->in)
		digest_bytes(&call->payload, "", 0);
	sign(&s, bucket, call, keys);
	call->url = xasprintf("%s%s%s%s", bucket->origin, s.path.data,
	    s.query.len ? "?" : "", s.query.data);
	for (; lines < s.count; lines++)
		call->lines[lines] = xasprintf(
		    "%s: %s", s.headers[lines].name, s.headers[lines].value);
	call->lines[lines] =
	    xasprintf("Authorization: %s", s.authorization.data);
	buf_release(&s.path);
	buf_release(&s.query);
	buf_release(&s.authorization);
	call->http = (struct http_request){ .method = call->method,
		.url = call->url,
		.headers = (const char *const *)call->lines,
		.in = call->in,
		.out = call->out,
		.max = call->max,
		.max_unannounced = UNANNOUNCED };
}

void
s3_call_release(struct s3_call *call)
{
	forget_request(call);
	http_release(&call->http);
}

/* ---- sending, with patience ---- */

/* What is waiting to be sent, again or for the first time. */
struct queue {
	struct s3_bucket *bucket;
	struct s3_call *call[S3_SLICE];
	size_t count;
	unsigned tries;
	int64_t waited_us;
	bool refused; /* keys that had ended were asked for anew */
};

static void
fail_all(struct queue *queue, const struct error *err)
{
	for (size_t i = 0; i < queue->count; i++) {
		struct s3_call *call = queue->call[i];

		s3_call_release(call);
		call->http.result = -1;
		call->http.status = 0;
		call->http.err = *err;
	}
	queue->count = 0;
}

static void
send_all(struct queue *queue, const struct sigv4_keys *keys)
{
	struct s3_bucket *bucket = queue->bucket;

	http_set_deadline(bucket->http, bucket->deadline_us);
	for (size_t i = 0; i < queue->count; i++) {
		s3_call_release(queue->call[i]);
		prepare(queue->call[i], bucket, keys);
		http_add(bucket->http, &queue->call[i]->http);
	}
	http_run(bucket->http);
	for (size_t i = 0; i < queue->count; i++) {
		struct s3_call *call = queue->call[i];
		const struct buf *text = &call->http.text;

		forget_request(call);
		call->refusal = (struct s3_error){ 0 };
		if (text->len > 0)
			s3_error_parse(&call->refusal, text->data, text->len);
	}
}

static bool
has_code(const struct s3_call *call, const char *const *codes)
{
	for (; *codes; codes++) {
		if (strcmp(call->refusal.code, *codes) == 0)
			return true;
	}
	return false;
}

static bool
may_pass(const struct s3_call *call)
{
	static const char *const codes[] = { "SlowDown", "RequestTimeout",
		"OperationAborted", "ConditionalRequestConflict",
		"InternalError", "ServiceUnavailable", NULL };
	int status = call->http.status;

	return call->http.result == 0 &&
	    (status == 429 || status == 500 ||
	        (status >= 502 && status <= 504) ||
	        (status >= 400 && has_code(call, codes)));
}

static bool
has_ended(const struct s3_call *call)
{
	static const char *const codes[] = { "ExpiredToken",
		"ExpiredTokenException", "TokenRefreshRequired", NULL };

	return call->http.result == 0 && call->http.status >= 400 &&
	    has_code(call, codes);
}

static bool
start_over(struct s3_call *call)
{
	struct error *err = &call->http.err;

	if ((call->in && source_rewind(call->in, err) < 0) ||
	    (call->out && sink_reset(call->out, err) < 0)) {
		call->http.result = -1;
		return false;
	}
	return true;
}

/*
 * Leave those that are worth another try; `anew`: the keys are others by now. *pause:
 * microseconds before it.
 */
static void
keep_unfinished(struct queue *queue, bool anew, int64_t *pause)
{
	size_t kept = 0;

	*pause = 0;
	for (size_t i = 0; i < queue->count; i++) {
		struct s3_call *call = queue->call[i];
		int64_t wanted =
		    (int64_t)http_retry_after(&call->http) * 1000000;

		if (anew && has_ended(call))
			wanted = 0;
		else if (!may_pass(call))
			continue;
		else if (wanted < PAUSE_US << queue->tries)
			wanted = PAUSE_US << queue->tries;
		if (wanted > *pause)
			*pause = wanted;
		queue->call[kept++] = call;
	}
	queue->count = kept;
}

/* Have keys ended before their time? Then there may be others by now, once. */
static bool
renew_keys(struct queue *queue)
{
	bool ended = false;

	for (size_t i = 0; i < queue->count; i++)
		ended |= has_ended(queue->call[i]);
	if (!ended || queue->refused)
		return false;
	aws_refused(queue->bucket->aws);
	queue->refused = true;
	return true;
}

/* Not all come back at the same moment. */
static bool
wait_for(struct queue *queue, int64_t pause)
{
	const struct s3_bucket *bucket = queue->bucket;
	unsigned most = bucket->timeout_s ? bucket->timeout_s : WAIT_S;
	int64_t now = now_us();
	struct timespec time;

	pause += pause / 4 * (now & 255) / 256;
	queue->waited_us += pause;
	if (queue->waited_us > (int64_t)most * 1000000 ||
	    (*bucket->deadline_us && now + pause >= *bucket->deadline_us))
		return false;
	time.tv_sec = pause / 1000000;
	time.tv_nsec = pause % 1000000 * 1000;
	(void)nanosleep(&time, NULL);
	return true;
}

static bool
try_once(struct queue *queue)
{
	struct s3_bucket *bucket = queue->bucket;
	const struct sigv4_keys *keys = NULL;
	struct error err = { 0 };
	int64_t pause;

	if (s3_bucket_find(bucket, &err) == 0)
		keys = aws_keys(bucket->aws, *bucket->deadline_us, &err);
	if (!keys) {
		fail_all(queue, &err);
		return false;
	}
	send_all(queue, keys);
	keep_unfinished(queue, renew_keys(queue), &pause);
	if (queue->count == 0 || ++queue->tries == S3_TRIES ||
	    !wait_for(queue, pause))
		return false;
	for (size_t i = 0; i < queue->count; i++) {
		if (!start_over(queue->call[i]))
			queue->call[i--] = queue->call[--queue->count];
	}
	return queue->count > 0;
}

void
s3_run(struct s3_bucket *bucket, struct s3_call *calls, size_t count)
{
	for (size_t from = 0; from < count; from += S3_SLICE) {
		struct queue queue = { .bucket = bucket };

		for (size_t i = from; i < count && i < from + S3_SLICE; i++)
			queue.call[queue.count++] = &calls[i];
		while (try_once(&queue))
			;
	}
}

int
s3_send(struct s3_bucket *bucket, struct s3_call *call, struct error *err)
{
	s3_run(bucket, call, 1);
	if (call->http.result < 0)
		*err = call->http.err;
	return call->http.result;
}

/* ---- refusals ---- */

static const struct {
	const char *code;
	enum error_kind kind;
	const char *words;
} refusals[] = {
	{ "NoSuchBucket", ERROR_USAGE, "there is no such bucket" },
	{ "InvalidBucketName", ERROR_USAGE, "no bucket can have such a name" },
	{ "RequestTimeTooSkewed", ERROR_DENIED,
	    "the clock here and the server's differ by too much" },
	{ "SignatureDoesNotMatch", ERROR_DENIED,
	    "the secret key is not the server's" },
	{ "InvalidAccessKeyId", ERROR_DENIED,
	    "the access key is not known there" },
	{ "ExpiredToken", ERROR_DENIED, "the session has ended" },
	{ "InvalidToken", ERROR_DENIED, "the session token is not valid" },
	{ "AccessDenied", ERROR_DENIED, "these credentials may not do that" },
	{ "AllAccessDisabled", ERROR_DENIED, "the bucket is shut" },
	{ "QuotaExceeded", ERROR_DENIED, "the quota is used up" },
	{ "PermanentRedirect", ERROR_USAGE, "the bucket is elsewhere" },
	{ "AuthorizationHeaderMalformed", ERROR_USAGE,
	    "the region is not the bucket's" },
	{ "IllegalLocationConstraintException", ERROR_USAGE,
	    "the region is not the bucket's" },
	{ "SlowDown", ERROR_UNREACHABLE, "the server wants fewer requests" },
	{ "XAmzContentSHA256Mismatch", ERROR_CORRUPT,
	    "the value is not what its key says" },
	{ "BadDigest", ERROR_CORRUPT, "the value is not what its key says" },
	{ "InvalidTag", ERROR_USAGE, "a label can't be a tag there" },
};

static enum error_kind
kind_of_status(int status)
{
	if (status == 401 || status == 403)
		return ERROR_DENIED;
	return status == 408 || status == 429 || status >= 500
	    ? ERROR_UNREACHABLE
	    : ERROR_CORRUPT;
}

/* Where the bucket is, if the server says that it is not where we look. */
static void
add_region(
    const struct s3_bucket *bucket, const struct s3_call *call, struct buf *to)
{
	size_t len = 0;
	const char *region =
	    http_header(&call->http, "x-amz-bucket-region", &len);

	if (!region || len == 0 || len > 63) {
		region = call->refusal.region;
		len = strlen(region);
	}
	if (len > 0 &&
	    (strlen(bucket->region) != len ||
	        memcmp(bucket->region, region, len) != 0))
		buf_addf(to, ", it is in region '%.*s', not '%s'", (int)len,
		    region, bucket->region);
}

static void
add_details(
    const struct s3_bucket *bucket, const struct s3_call *call, struct buf *to)
{
	unsigned pause = http_retry_after(&call->http);
	size_t len = 0;
	const char *value = http_header(&call->http, "location", &len);

	if (value && call->http.status / 100 == 3)
		buf_addf(to, ", to '%.*s', where nobody follows",
		    (int)(len < 160 ? len : 160), value);
	if (call->http.status / 100 == 3 || call->http.status == 400)
		add_region(bucket, call, to);
	value = http_header(&call->http, "date", &len);
	if (value && strcmp(call->refusal.code, "RequestTimeTooSkewed") == 0)
		buf_addf(to, ", there it is %.*s", (int)(len < 40 ? len : 40),
		    value);
	if (pause)
		buf_addf(to, ", come back in %u s", pause);
}

static int
say(const struct s3_bucket *bucket, const struct s3_call *call,
    enum error_kind kind, const char *words, struct error *err)
{
	const char *code = call->refusal.code;
	auto_buf why = BUF_INIT;

	buf_addf(&why, "%s%s%d%s%s%s", words ? words : "the server answered",
	    words ? " (" : " ", call->http.status, *code ? " " : "", code,
	    words ? ")" : "");
	add_details(bucket, call, &why);
	return error_set(err, kind, "cannot %s 's3://%s/%s' at %s: %s",
	    call->method, bucket->name, call->key ? call->key : "",
	    bucket->host, why.data);
}

int
s3_refusal(const struct s3_bucket *bucket, const struct s3_call *call,
    struct error *err)
{
	if (call->http.result < 0) {
		*err = call->http.err;
		return -1;
	}
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		if (strcmp(refusals[i].code, call->refusal.code) == 0)
			return say(bucket, call, refusals[i].kind,
			    refusals[i].words, err);
	}
	return say(bucket, call, kind_of_status(call->http.status), NULL, err);
}

bool
s3_is_missing(const struct s3_call *call)
{
	static const char *const codes[] = { "", "NoSuchKey", "NotFound",
		NULL };

	return call->http.result == 0 && call->http.status == 404 &&
	    has_code(call, codes);
}

bool
s3_is_full(const struct s3_call *call)
{
	static const char *const codes[] = { "AccessDenied", "QuotaExceeded",
		"EntityTooLarge", "MethodNotAllowed", "XMinioStorageFull",
		"InsufficientCapacity", NULL };

	return call->http.result == 0 &&
	    (call->http.status == 405 || call->http.status == 413 ||
	        call->http.status == 507 ||
	        (call->http.status >= 400 && has_code(call, codes)));
}
