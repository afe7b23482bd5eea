#include "remote/sigv4.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DAY 8 /* "20130524" of a date */

void
sigv4_date(time_t now, char date[static SIGV4_DATE_SIZE])
{
	struct tm tm;

	(void)strftime(
	    date, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
}

/* ---- the one form ---- */

static void
encode(struct buf *to, const char *text, const char *plain)
{
	for (; *text; text++) {
		if ((*text >= 'A' && *text <= 'Z') ||
		    (*text >= 'a' && *text <= 'z') ||
		    (*text >= '0' && *text <= '9') || strchr(plain, *text))
			buf_add(to, text, 1);
		else
			buf_addf(to, "%%%02X", (unsigned char)*text);
	}
}

void
sigv4_path(struct buf *to, const char *path)
{
	encode(to, path, "-._~/");
}

void
sigv4_word(struct buf *to, const char *word)
{
	encode(to, word, "-._~");
}

/* The order is that of the encoded names, which differs from that of the plain. */
static int
compare_encoded(const char *a, const char *b)
{
	auto_buf left = BUF_INIT, right = BUF_INIT;

	sigv4_word(&left, a);
	sigv4_word(&right, b);
	return strcmp(left.data, right.data);
}

static int
compare_pairs(const void *a, const void *b)
{
	const struct sigv4_header *left = a, *right = b;
	int order = compare_encoded(left->name, right->name);

	return order ? order : compare_encoded(left->value, right->value);
}

void
sigv4_query(struct buf *to, struct sigv4_header *pairs, size_t count)
{
	qsort(pairs, count, sizeof(*pairs), compare_pairs);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_add(to, "&", 1);
		sigv4_word(to, pairs[i].name);
		buf_add(to, "=", 1);
		sigv4_word(to, pairs[i].value);
	}
}

/* No spaces at its ends, and never two of them. */
static void
add_trimmed(struct buf *to, const char *value)
{
	while (*value) {
		size_t word;

		value += strspn(value, " ");
		word = strcspn(value, " ");
		buf_add(to, value, word);
		value += word;
		if (value[strspn(value, " ")])
			buf_add(to, " ", 1);
		else
			break;
	}
}

/* ---- what is signed ---- */

static int
compare_names(const void *a, const void *b)
{
	const struct sigv4_header *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static struct sigv4_header *
sorted_headers(const struct sigv4_request *request)
{
	size_t size = request->count * sizeof(*request->headers);
	struct sigv4_header *headers = xmalloc(size);

	memcpy(headers, request->headers, size);
	qsort(headers, request->count, sizeof(*headers), compare_names);
	return headers;
}

static void
add_names(struct buf *to, const struct sigv4_header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_addf(to, "%s%s", i ? ";" : "", headers[i].name);
}

static void
digest_canonical(const struct sigv4_request *request,
    const struct sigv4_header *headers, char hex[static DIGEST_HEX + 1])
{
	auto_buf text = BUF_INIT;
	struct digest digest;

	buf_addf(&text, "%s\n%s\n%s\n", request->method, request->path,
	    request->query);
	for (size_t i = 0; i < request->count; i++) {
		buf_addf(&text, "%s:", headers[i].name);
		add_trimmed(&text, headers[i].value);
		buf_add(&text, "\n", 1);
	}
	buf_add(&text, "\n", 1);
	add_names(&text, headers, request->count);
	buf_addf(&text, "\n%s", request->payload);
	digest_bytes(&digest, text.data, text.len);
	(void)digest_hex(&digest, hex);
	OPENSSL_cleanse(text.data, text.len); /* a token is in it */
}

/* ---- signing ---- */

/* *key = HMAC(*key, text) */
static void
chain(struct digest *key, const char *text, size_t len)
{
	struct digest next;

	(void)HMAC(EVP_sha256(), key->bytes, DIGEST_SIZE,
	    (const unsigned char *)text, len, next.bytes, NULL);
	*key = next;
}

/* One key for each day, region and service. */
static void
derive(
    struct digest *key, const struct sigv4_request *request, const char *secret)
{
	auto_buf first = BUF_INIT;

	buf_addf(&first, "AWS4%s", secret);
	(void)HMAC(EVP_sha256(), first.data, (int)first.len,
	    (const unsigned char *)request->date, DAY, key->bytes, NULL);
	chain(key, request->region, strlen(request->region));
	chain(key, request->service, strlen(request->service));
	chain(key, "aws4_request", 12);
	OPENSSL_cleanse(first.data, first.len);
}

void
sigv4_sign(struct buf *to, const struct sigv4_request *request,
    const struct sigv4_keys *keys)
{
	auto_free struct sigv4_header *headers = sorted_headers(request);
	auto_free char *scope = xasprintf("%.*s/%s/%s/aws4_request", DAY,
	    request->date, request->region, request->service);
	auto_buf text = BUF_INIT;
	char hex[DIGEST_HEX + 1];
	struct digest key;

	digest_canonical(request, headers, hex);
	buf_addf(&text, ALGORITHM "\n%s\n%s\n%s", request->date, scope, hex);
	derive(&key, request, keys->secret);
	chain(&key, text.data, text.len);
	buf_addf(
	    to, ALGORITHM " Credential=%s/%s, SignedHeaders=", keys->id, scope);
	add_names(to, headers, request->count);
	buf_addf(to, ", Signature=%s", digest_hex(&key, hex));
}
