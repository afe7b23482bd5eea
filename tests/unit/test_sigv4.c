/*
 * Signatures against those that Amazon publishes: its test suite for Signature
 * Version 4 (host example.amazonaws.com, 30 August 2015), and the examples in the
 * documentation of S3 (bucket examplebucket, 24 May 2013).
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "remote/sigv4.h"
#include "support/check.h"

#define SUITE_DATE "20150830T123600Z"
#define S3_DATE "20130524T000000Z"
#define SUITE_TOKEN \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWL" \
	"WsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQ" \
	"rmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9" \
	"HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+" \
	"scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

static const char suite_host[] = "example.amazonaws.com";
static const char bucket_host[] = "examplebucket.s3.amazonaws.com";
static const char alphabet[] = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz";

#define PAIRS 4

static const struct vector {
	const char *name, *method, *path;
	struct sigv4_header query[PAIRS], headers[PAIRS];
	const char *body, *signed_headers, *signature;
} suite[] = {
	{ "get-vanilla", "GET", "/",
	    .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aa"
	                 "e1d763fbf31" },
	{ "get-header-key-duplicate", "GET", "/",
	    .headers = { { "my-header1", "value2,value2,value1" } },
	    .signed_headers = "host;my-header1;x-amz-date",
	    .signature = "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f85825"
	                 "9531a5138ea" },
	{ "get-header-value-multiline", "GET", "/",
	    .headers = { { "my-header1", "value1,value2,value3" } },
	    .signature = "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d0070598"
	                 "0573d8ff790" },
	{ "get-header-value-order", "GET", "/",
	    .headers = { { "my-header1", "value4,value1,value3,value2" } },
	    .signature = "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643"
	                 "f830c755c01" },
	{ "get-header-value-trim", "GET", "/",
	    .headers = { { "my-header2", " \"a   b   c\" " },
	        { "my-header1", " value1" } },
	    .signed_headers = "host;my-header1;my-header2;x-amz-date",
	    .signature = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee3"
	                 "59757a9c736" },
	{ "get-unreserved", "GET",
	    "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
	    "xyz",
	    .signature = "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52"
	                 "a65bbf5f24f" },
	{ "get-utf8", "GET", "/\xe1\x88\xb4",
	    .signature = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd"
	                 "03141be5d85" },
	{ "get-vanilla-empty-query-key", "GET", "/",
	    .query = { { "Param1", "value1" } },
	    .signature = "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45ae"
	                 "c72011b9aeb" },
	{ "get-vanilla-query-order-key-case", "GET", "/",
	    .query = { { "Param2", "value2" }, { "Param1", "value1" } },
	    .signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219"
	                 "ec94cdf2500" },
	{ "get-vanilla-query-unreserved", "GET", "/",
	    .query = { { alphabet, alphabet } },
	    .signature = "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21"
	                 "bb143a40197" },
	{ "get-vanilla-utf8-query", "GET", "/",
	    .query = { { "\xe1\x88\xb4", "bar" } },
	    .signature = "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c"
	                 "9027818dd04" },
	{ "post-header-key-sort", "POST", "/",
	    .headers = { { "my-header1", "value1" } },
	    .signature = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f89"
	                 "16fdf18852c" },
	{ "post-header-value-case", "POST", "/",
	    .headers = { { "my-header1", "VALUE1" } },
	    .signature = "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629e"
	                 "fa58b974b7d" },
	{ "post-sts-header-before", "POST", "/",
	    .headers = { { "x-amz-security-token", SUITE_TOKEN } },
	    .signed_headers = "host;x-amz-date;x-amz-security-token",
	    .signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c6453"
	                 "3a82be05ead" },
	{ "post-vanilla", "POST", "/",
	    .signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68"
	                 "e92efbe5d6b" },
	{ "post-vanilla-query", "POST", "/",
	    .query = { { "Param1", "value1" } },
	    .signature = "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d42"
	                 "0d138af7f11" },
	{ "post-vanilla-query-nonunreserved", "POST", "/",
	    .query = { { "@#$%^", "" }, { "+", "/,?><`\";:\\|][{}" } },
	    .signature = "66c82657c86e26fb25238d0e69f011edc4c6df5ae71119d7cb98e"
	                 "d9b87393c1e" },
	{ "post-vanilla-query-space", "POST", "/", .query = { { "p", "" } },
	    .signature = "e71688addb58a26418614085fb730ba3faa623b461c17f48f2fbd"
	                 "b9361b94a9b" },
	{ "post-x-www-form-urlencoded", "POST", "/",
	    .headers = { { "content-type",
	        "application/x-www-form-urlencoded" } },
	    .body = "Param1=value1",
	    .signed_headers = "content-type;host;x-amz-date",
	    .signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d19"
	                 "6a0fe09473a" },
	{ "post-x-www-form-urlencoded-parameters", "POST", "/",
	    .headers = { { "content-type",
	        "application/x-www-form-urlencoded; charset=utf8" } },
	    .body = "Param1=value1",
	    .signature = "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0"
	                 "d39fa77a6fe" },
};

static const struct vector s3[] = {
	{ "GET Object", "GET", "/test.txt",
	    .headers = { { "range", "bytes=0-9" } },
	    .signed_headers = "host;range;x-amz-content-sha256;x-amz-date",
	    .signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd9103"
	                 "9c6036bdb41" },
	{ "PUT Object", "PUT", "/test$file.text",
	    .headers = { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
	        { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
	    .body = "Welcome to Amazon S3.",
	    .signed_headers = "date;host;x-amz-content-sha256;x-amz-date;"
	                      "x-amz-storage-class",
	    .signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971"
	                 "af0ece108bd" },
	{ "GET Bucket Lifecycle", "GET", "/", .query = { { "lifecycle", "" } },
	    .signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200"
	                 "a0136783543" },
	{ "GET Bucket (List Objects)", "GET", "/",
	    .query = { { "prefix", "J" }, { "max-keys", "2" } },
	    .signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed57"
	                 "11ef69dc6f7" },
};

static size_t
count_pairs(const struct sigv4_header *pairs)
{
	size_t count = 0;

	while (count < PAIRS && pairs[count].name)
		count++;
	return count;
}

static void
sign(struct buf *to, const struct vector *v, struct sigv4_request request,
    const struct sigv4_keys *keys, size_t own)
{
	struct sigv4_header query[PAIRS], headers[2 * PAIRS];
	auto_buf path = BUF_INIT, text = BUF_INIT;

	memcpy(headers, request.headers, own * sizeof(*headers));
	memcpy(query, v->query, sizeof(query));
	memcpy(headers + own, v->headers, sizeof(v->headers));
	sigv4_path(&path, v->path);
	sigv4_query(&text, query, count_pairs(query));
	request.method = v->method;
	request.path = path.data;
	request.query = text.data;
	request.headers = headers;
	request.count = own + count_pairs(v->headers);
	sigv4_sign(to, &request, keys);
}

static void
check_signature(const struct vector *v, const char *authorization)
{
	const char *found = strstr(authorization, ", Signature=");

	check(found);
	cr_assert_str_eq(
	    found + strlen(", Signature="), v->signature, "%s", v->name);
	if (v->signed_headers)
		check(strstr(authorization, v->signed_headers));
}

static char *
payload_of(const struct vector *v, char hex[static DIGEST_HEX + 1])
{
	const char *body = v->body ? v->body : "";
	struct digest digest;

	digest_bytes(&digest, body, strlen(body));
	return digest_hex(&digest, hex);
}

Test(sigv4, signs_as_the_test_suite_says)
{
	static const struct sigv4_keys keys = { "AKIDEXAMPLE",
		"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };
	static const struct sigv4_header headers[] = {
		{ "x-amz-date", SUITE_DATE },
		{ "host", suite_host },
	};

	for (size_t i = 0; i < sizeof(suite) / sizeof(*suite); i++) {
		char hex[DIGEST_HEX + 1];
		auto_buf got = BUF_INIT;

		sign(&got, &suite[i],
		    (struct sigv4_request){ .headers = headers,
		        .payload = payload_of(&suite[i], hex),
		        .date = SUITE_DATE,
		        .region = "us-east-1",
		        .service = "service" },
		    &keys, 2);
		check_signature(&suite[i], got.data);
	}
}

Test(sigv4, signs_as_the_documentation_of_s3_says)
{
	static const struct sigv4_keys keys = { "AKIAIOSFODNN7EXAMPLE",
		"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL };

	for (size_t i = 0; i < sizeof(s3) / sizeof(*s3); i++) {
		char hex[DIGEST_HEX + 1];
		const struct sigv4_header headers[] = {
			{ "x-amz-date", S3_DATE },
			{ "x-amz-content-sha256", payload_of(&s3[i], hex) },
			{ "host", bucket_host },
		};
		auto_buf got = BUF_INIT;

		sign(&got, &s3[i],
		    (struct sigv4_request){ .headers = headers,
		        .payload = hex,
		        .date = S3_DATE,
		        .region = "us-east-1",
		        .service = "s3" },
		    &keys, 3);
		check_signature(&s3[i], got.data);
		check(strncmp(got.data,
		          "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/"
		          "20130524/us-east-1/s3/aws4_request, SignedHeaders=",
		          99) == 0);
	}
}

Test(sigv4, writes_dates_and_words_in_the_one_form)
{
	char date[SIGV4_DATE_SIZE];
	auto_buf text = BUF_INIT;

	sigv4_date(1369353600, date);
	check_str(date, S3_DATE);
	sigv4_path(&text, "/a b/\xff+%\x01~");
	sigv4_word(&text, "/");
	check_str(text.data, "/a%20b/%FF%2B%25%01~%2F");
}
