#include <string.h>

#include "base/mem.h"
#include "locations/location.h"
#include "remote/place.h"
#include "support/check.h"

#define OR_NONE(text) ((text) ? (text) : "-")

static const struct {
	const char *url, *parts; /* scheme user password host port path */
} urls[] = {
	{ "redis://cache", "redis - - cache 0 " },
	{ "redis://cache:6379/2", "redis - - cache 6379 2" },
	{ "rediss://me:a%2Fb@c@cache/", "rediss me a/b@c cache 0 " },
	{ "sftp://me@[::1]:22//abs/x", "sftp me - ::1 22 /abs/x" },
	{ "redis+unix:///run/r.sock", "redis+unix - -  0 run/r.sock" },
	{ "http://:p@h:65535/a%20b?", "http  p h 65535 a%20b?" },
};

Test(place, is_taken_apart)
{
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct place p;
		struct error err = { 0 };
		auto_free char *got = NULL;

		check_int(place_parse(&p, urls[i].url, &err), 0);
		got = xasprintf("%s %s %s %s %u %s", p.scheme, OR_NONE(p.user),
		    OR_NONE(p.password), p.host, p.port, p.path);
		check_str(got, urls[i].parts);
		place_release(&p);
	}
}

Test(place, that_is_none_is_refused_without_its_password)
{
	static const char *const bad[] = { "cache", "redis://h:0",
		"redis://h:", "redis://h:70000", "redis://h:6379x",
		"redis://[::1", "redis://[::1]x", "redis://%zz",
		"redis://me:secret@h:x/p", "redis://me:secret%2@h",
		"s3://me:the/secret@h/p", "s3://:/the/secret@h",
		"me:secret@h" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct place p;
		struct error err = { 0 };

		check_int(place_parse(&p, bad[i], &err), -1);
		check_int(err.kind, ERROR_USAGE);
		check(strstr(err.text, "expected scheme://"));
		check(!strstr(err.text, "secret"));
		check(!p.host);
	}
}

static Tarn__Location *
described(const char *word)
{
	struct error err = { 0 };
	Tarn__Location *loc = location_from_word(word, "/", &err);

	check_str(err.text, "");
	return loc;
}

Test(place, has_options)
{
	static const char *const known[] = { "a", "b", NULL };
	Tarn__Location *loc = described("redis://h?a=1&b=no&a=2");
	struct error err = { 0 };
	bool flag;

	check_str(place_option(loc, "a"), "2");
	check(!place_option(loc, "c"));
	check_int(place_options(loc, known, &err), 0);
	check_int(place_flag(loc, "c", true, &flag, &err), 0);
	check(flag);
	check_int(place_flag(loc, "b", true, &flag, &err), -1);
	check_str(err.text, "expected 'b' to be 1 or 0, got 'no'");
	check_int(place_options(loc, known + 1, &err), -1);
	check_str(
	    err.text, "'a' is no option of redis: expected one of b, compress");
	tarn__location__free_unpacked(loc, NULL);
}
