/* Where a bucket is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/percent.h"
#include "remote/place.h"
#include "remote/s3_call.h"

#define PARALLEL 16
#define PREFIX_MAX 900 /* a key has 1024 bytes at most */

/* ---- options ---- */

/* The path of the URL, decoded, with one slash at its end. */
static int
set_prefix(
    struct s3_bucket *bucket, const struct place *place, struct error *err)
{
	size_t len = strlen(place->path);
	auto_free char *plain = NULL;

	while (len > 0 && place->path[len - 1] == '/')
		len--;
	plain = percent_decode(place->path, len);
	if (!plain)
		return error_set(err, ERROR_USAGE,
		    "expected a prefix with %%XX in it, got '%s'", place->path);
	bucket->prefix = xasprintf("%s%s", plain, *plain ? "/" : "");
	if (strlen(bucket->prefix) > PREFIX_MAX)
		return error_set(err, ERROR_USAGE,
		    "the prefix has more than %d bytes", PREFIX_MAX);
	for (const char *c = plain; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 127)
			return error_set(err, ERROR_USAGE,
			    "control characters in a prefix can't be listed");
	}
	return 0;
}

static int
set_style(struct s3_bucket *bucket, const char *style, struct error *err)
{
	if (!style)
		return 0;
	if (strcmp(style, "path") != 0 && strcmp(style, "virtual") != 0)
		return error_set(err, ERROR_USAGE,
		    "expected 'style' to be path or virtual, got '%s'", style);
	bucket->style = *style;
	return 0;
}

static int
set_timeout(struct s3_bucket *bucket, const char *text, struct error *err)
{
	char *end;
	unsigned long seconds = text ? strtoul(text, &end, 10) : 0;

	if (text && (*text < '1' || *text > '9' || *end || seconds > 3600))
		return error_set(err, ERROR_USAGE,
		    "expected 'timeout' to be 1 to 3600 seconds, got '%s'",
		    text);
	bucket->timeout_s = (unsigned)seconds;
	return 0;
}

static int
check_endpoint(const char *url, struct error *err)
{
	struct place place;
	bool fine;

	if (place_parse(&place, url, err) < 0)
		return error_wrap(err, "the endpoint");
	fine = *place.host && !place.user &&
	    (strcmp(place.scheme, "http") == 0 ||
	        strcmp(place.scheme, "https") == 0);
	place_release(&place);
	return fine ? 0
	            : error_set(err, ERROR_USAGE,
	                  "expected the endpoint as http://host[:port] or "
	                  "https://host[:port]");
}

static int
set_options(
    struct s3_bucket *bucket, const Tarn__Location *config, struct error *err)
{
	const char *endpoint = place_option(config, "endpoint");
	const char *region = place_option(config, "region");

	if (endpoint && check_endpoint(endpoint, err) < 0)
		return -1;
	if (set_style(bucket, place_option(config, "style"), err) < 0 ||
	    set_timeout(bucket, place_option(config, "timeout"), err) < 0)
		return -1;
	bucket->endpoint = endpoint ? xstrdup(endpoint) : NULL;
	bucket->region = region ? xstrdup(region) : NULL;
	return 0;
}

int
s3_bucket_open(
    struct s3_bucket *bucket, const Tarn__Location *config, struct error *err)
{
	struct http_options options = { .parallel = PARALLEL };
	struct place place;
	int rc;

	*bucket = (struct s3_bucket){ 0 };
	if (place_parse(&place, config->place, err) < 0)
		return -1;
	rc = !*place.host || place.port
	    ? error_set(err, ERROR_USAGE, "expected s3://bucket[/prefix]")
	    : set_prefix(bucket, &place, err);
	if (rc == 0)
		rc = set_options(bucket, config, err);
	if (rc == 0) {
		bucket->name = xstrdup(place.host);
		bucket->aws = aws_new(place_option(config, "profile"),
		    place.user, place.password);
		options.ca = place_option(config, "ca");
		options.timeout_s = bucket->timeout_s;
		bucket->http = http_new(&options);
	}
	place_release(&place);
	if (rc < 0)
		s3_bucket_close(bucket);
	return rc;
}

void
s3_bucket_close(struct s3_bucket *bucket)
{
	free(bucket->name);
	free(bucket->prefix);
	free(bucket->endpoint);
	free(bucket->region);
	free(bucket->origin);
	free(bucket->host);
	free(bucket->root);
	aws_free(bucket->aws);
	http_free(bucket->http);
	*bucket = (struct s3_bucket){ 0 };
}

/* ---- finding it ---- */

/* A wildcard certificate fits one name without dots. */
static bool
is_virtual(const struct s3_bucket *bucket, bool amazon)
{
	if (bucket->style)
		return bucket->style == 'v';
	return amazon && !strchr(bucket->name, '.');
}

static void
set_origin(struct s3_bucket *bucket, const struct place *place, bool amazon)
{
	bool in_name = is_virtual(bucket, amazon);
	bool six = strchr(place->host, ':') != NULL;
	bool secure = strcmp(place->scheme, "https") == 0;
	size_t len = strlen(place->path);
	char port[8] = "";

	if (place->port && place->port != (secure ? 443 : 80))
		(void)snprintf(port, sizeof(port), ":%u", place->port);
	bucket->host = xasprintf("%s%s%s%s%s%s", in_name ? bucket->name : "",
	    in_name ? "." : "", six ? "[" : "", place->host, six ? "]" : "",
	    port);
	bucket->origin = xasprintf("%s://%s", place->scheme, bucket->host);
	while (len > 0 && place->path[len - 1] == '/')
		len--;
	bucket->root = xasprintf("/%.*s%s%s%s", (int)len, place->path,
	    len ? "/" : "", in_name ? "" : bucket->name, in_name ? "" : "/");
}

int
s3_bucket_find(struct s3_bucket *bucket, struct error *err)
{
	const char *region = aws_region(bucket->aws);
	const char *endpoint = bucket->endpoint;
	auto_free char *usual = NULL;
	struct place place;

	if (bucket->origin)
		return 0;
	if (!bucket->region)
		bucket->region = xstrdup(region ? region : "us-east-1");
	if (!endpoint)
		endpoint = aws_endpoint(bucket->aws);
	usual = xasprintf("https://s3.%s.amazonaws.com", bucket->region);
	if (endpoint && check_endpoint(endpoint, err) < 0)
		return -1;
	if (place_parse(&place, endpoint ? endpoint : usual, err) < 0)
		return -1;
	set_origin(bucket, &place, !endpoint);
	place_release(&place);
	return 0;
}
