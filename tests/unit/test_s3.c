/* What a bucket's description may say; the rest of it needs a server. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "locations/location.h"
#include "remote/s3_call.h"
#include "support/check.h"

static struct location *
open_word(const char *word, struct error *err)
{
	Tarn__Location *config = location_from_word(word, "/", err);
	struct location *loc;

	check(config);
	loc = location_open(config, err);
	tarn__location__free_unpacked(config, NULL);
	return loc;
}

static const struct {
	const char *word, *wrong;
} bad[] = {
	{ "s3:///prefix", "expected s3://bucket[/prefix]" },
	{ "s3://b:80/prefix", "expected s3://bucket[/prefix]" },
	{ "s3://b/a%2", "expected a prefix with %XX in it, got 'a%2'" },
	{ "s3://b/a%0a", "control characters in a prefix can't be listed" },
	{ "s3://b?color=red",
	    "'color' is no option of s3: expected one of endpoint, region, "
	    "style, profile, ca, timeout, part_size, usage, compress" },
	{ "s3://b?style=new",
	    "expected 'style' to be path or virtual, got 'new'" },
	{ "s3://b?timeout=0",
	    "expected 'timeout' to be 1 to 3600 seconds, got '0'" },
	{ "s3://b?part_size=1MiB",
	    "expected 'part_size' to be 5MiB to 64MiB, got '1MiB'" },
	{ "s3://b?usage=yes", "expected 'usage' to be 1 or 0, got 'yes'" },
	{ "s3://b?endpoint=ftp://h",
	    "expected the endpoint as http://host[:port] or "
	    "https://host[:port]" },
	{ "s3://b?endpoint=https://user:secret@h",
	    "expected the endpoint as http://host[:port] or "
	    "https://host[:port]" },
};

Test(s3, refuses_what_it_does_not_understand)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error err = { 0 };

		check(!open_word(bad[i].word, &err));
		check_int(err.kind, ERROR_USAGE);
		check_str(err.text, bad[i].wrong);
	}
}

static const struct {
	const char *word, *origin, *root;
} places[] = {
	{ "s3://b/p", "https://b.s3.eu-west-1.amazonaws.com", "/" },
	{ "s3://b.c", "https://s3.eu-west-1.amazonaws.com", "/b.c/" },
	{ "s3://b?region=us-east-2", "https://b.s3.us-east-2.amazonaws.com",
	    "/" },
	{ "s3://b?style=path", "https://s3.eu-west-1.amazonaws.com", "/b/" },
	{ "s3://b?endpoint=http://h:9000", "http://h:9000", "/b/" },
	{ "s3://b?endpoint=http://h:80/", "http://h", "/b/" },
	{ "s3://b?endpoint=https://h:443/s3/", "https://h", "/s3/b/" },
	{ "s3://b?endpoint=https://h:80&style=virtual", "https://b.h:80", "/" },
	{ "s3://b?endpoint=http://[::1]:9", "http://[::1]:9", "/b/" },
};

Test(s3, finds_the_bucket)
{
	setenv("AWS_REGION", "eu-west-1", 1);
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_S3");
	setenv("HOME", "/nonexistent", 1);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		struct error err = { 0 };
		Tarn__Location *config =
		    location_from_word(places[i].word, "/", &err);
		struct s3_bucket bucket;

		check_int(s3_bucket_open(&bucket, config, &err), 0);
		check_int(s3_bucket_find(&bucket, &err), 0);
		check_str(bucket.origin, places[i].origin);
		check_str(bucket.root, places[i].root);
		check_str(strstr(bucket.origin, "://") + 3, bucket.host);
		s3_bucket_close(&bucket);
		tarn__location__free_unpacked(config, NULL);
	}
}

Test(s3, shows_no_credentials)
{
	struct error err = { 0 };
	struct location *loc = open_word("s3://AKIA:secret@b/p", &err);

	check(loc);
	check_str(loc->label, "s3://b/p");
	location_close(loc);
}

/* A secret that begins like a port and goes on like a path. */
Test(s3, shows_nothing_that_may_be_a_secret)
{
	static const char *const words[] = { "s3://AKIA:123/rest@b/p",
		"s3://AKIA:123/rest", "s3://AKIA:rest" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct error err = { 0 };
		Tarn__Location *config =
		    location_from_word(words[i], "/", &err);
		auto_free char *shown = NULL;

		if (config) {
			shown = location_place(config);
			check(!strstr(shown, "AKIA") && !strstr(shown, "123") &&
			    !strstr(shown, "rest"));
			check(!location_open(config, &err));
			tarn__location__free_unpacked(config, NULL);
		}
		check_int(err.kind, ERROR_USAGE);
		check(!strstr(err.text, "rest") && !strstr(err.text, "123"));
	}
}
