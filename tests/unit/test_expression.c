#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "locations/location.h"
#include "support/check.h"

static void
show(struct buf *to, const Tarn__Location *loc)
{
	buf_addf(to, "%s(%s", loc->kind, loc->place);
	if (loc->max_size)
		buf_addf(to, "max=%llu ", (unsigned long long)loc->max_size);
	for (size_t i = 0; i < loc->n_options; i++)
		buf_addf(to, " %s=%s", loc->options[i]->name,
		    loc->options[i]->value);
	for (size_t i = 0; i < loc->n_members; i++)
		show(to, loc->members[i]);
	for (size_t i = 0; i < loc->n_levels; i++)
		show(to, loc->levels[i]->location);
	buf_addf(to, ")");
}

static const struct {
	const char *word, *meaning;
} words[] = {
	{ "/ssd/lake", "disk(/ssd/lake)" },
	{ "./lake", "disk(/cwd/lake)" },
	{ "lake", "disk(/cwd/lake)" },
	{ "../lake", "disk(/cwd/../lake)" },
	{ "/a?b=c", "disk(/a?b=c)" },
	{ "redis://cache:6379/2?prefix=a%2Fb&ttl=60",
	    "redis(redis://cache:6379/2 prefix=a/b ttl=60)" },
	{ "redis://cache:6379?small=100KiB",
	    "small(max=102400 redis(redis://cache:6379))" },
	{ "rediss://c?ca=", "redis(rediss://c ca=)" },
	{ "redis+unix:///run/redis.sock",
	    "redis(redis+unix:///run/redis.sock)" },
	{ "s3://b/p?endpoint=https://s3.example&region=eu",
	    "s3(s3://b/p endpoint=https://s3.example region=eu)" },
	{ "sftp://me@h:22/p", "sftp(sftp://me@h:22/p)" },
	{ "scp://h/p", "scp(scp://h/p)" },
	{ "http://h/p", "nginx(http://h/p)" },
	{ "https://h/p?put=1", "nginx(https://h/p put=1)" },
};

Test(expression, understands_a_word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct error err = { 0 };
		auto_buf text = BUF_INIT;
		Tarn__Location *loc =
		    location_from_word(words[i].word, "/cwd", &err);

		check_str(err.text, "");
		show(&text, loc);
		check_str(text.data, words[i].meaning);
		tarn__location__free_unpacked(loc, NULL);
	}
}

Test(expression, refuses_what_it_does_not_understand)
{
	static const char *const bad[] = { "", "ftp://h/p", "redis://",
		"redis://h?small=", "redis://h?small=0", "redis://h?small=many",
		"redis://h?prefix", "redis://h?=1", "redis://h?a=%2",
		"redis://h?a=%zz", "redis://h?a=%00", "redis://?a=b" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error err = { 0 };

		check(!location_from_word(bad[i], "/cwd", &err));
		check_int(err.kind, ERROR_USAGE);
		check(err.text[0]);
	}
}

Test(expression, makes_levels_of_tiers)
{
	struct error err = { 0 };
	auto_buf text = BUF_INIT;
	Tarn__Location *loc =
	    location_from_tiers("/ssd , redis://c?small=1K,nfs", "/cwd", &err);

	check_str(err.text, "");
	show(&text, loc);
	check_str(text.data,
	    "levels(disk(/ssd)small(max=1000 redis(redis://c))disk(/cwd/nfs))");
	free(loc->levels[2]->location->kind);
	loc->levels[2]->location->kind = xstrdup("tape");
	check(!location_open(loc, &err));
	check(strstr(err.text,
	    "locations of kind 'tape' are not part of this program, only:"
	    " disk, fanout, levels, "));
	tarn__location__free_unpacked(loc, NULL);
	check(!location_from_tiers("/a,,/b", "/", &err));
	loc = location_from_tiers("/a", "/", &err);
	check_str(loc->kind, "levels");
	tarn__location__free_unpacked(loc, NULL);
}

Test(location, shows_no_password)
{
	Tarn__Location config = TARN__LOCATION__INIT;
	struct error err = { 0 };
	struct location *loc;

	config.kind = (char *)"disk";
	config.place = (char *)"redis://me:secret@cache:6379/2";
	loc = location_open(&config, &err);
	check_str(loc->label, "redis://cache:6379/2");
	location_close(loc);
}

static const struct {
	const char *place, *shown;
} shown[] = {
	{ "redis://me:secret@cache/2", "redis://cache/2" },
	{ "redis://me:a@secret@cache", "redis://cache" },
	{ "s3://me:a/secret@bucket/p", "s3://bucket/p" },
	{ "s3://:/secret@bucket", "s3://bucket" },
	{ "s3://bucket/p@x", "s3://bucket/p@x" },
	{ "sftp://host:22/p@x", "sftp://host:22/p@x" },
	{ "sftp://[::1]/p@x", "sftp://[::1]/p@x" },
	{ "sftp://[::1]:22/p@x", "sftp://[::1]:22/p@x" },
	{ "/srv/a:b/c@d", "/srv/a:b/c@d" },
};

Test(location, has_a_place_that_may_be_shown)
{
	Tarn__Location config = TARN__LOCATION__INIT;

	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		auto_free char *got = NULL;

		config.place = (char *)(uintptr_t)shown[i].place;
		got = location_place(&config);
		check_str(got, shown[i].shown);
	}
}

Test(location, shows_no_password_in_an_error)
{
	static const char *const bad[] = { "redis://me:secret@h?x",
		"http://me:secret@?put=1", "http://me:secret@/p",
		"sftp://me:secret@/p", "s3://me:a/secret@bucket" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error err = { 0 };
		Tarn__Location *config = location_from_word(bad[i], "/", &err);

		check(!config || !location_open(config, &err));
		check_int(err.kind, ERROR_USAGE);
		cr_assert_null(strstr(err.text, "secret"), "%s", err.text);
		if (config)
			tarn__location__free_unpacked(config, NULL);
	}
}
