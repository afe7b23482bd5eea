/* A location in one word, and the levels of TARN_TIERS. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/percent.h"
#include "base/size.h"
#include "locations/location.h"

/* Which kind a URL means. */
static const struct {
	const char *scheme, *kind;
} schemes[] = {
	{ "s3", "s3" },
	{ "redis", "redis" },
	{ "rediss", "redis" },
	{ "redis+unix", "redis" },
	{ "sftp", "sftp" },
	{ "scp", "scp" },
	{ "http", "nginx" },
	{ "https", "nginx" },
};

static Tarn__Location *
location_new(const char *kind)
{
	Tarn__Location *loc = xmalloc(sizeof(*loc));

	tarn__location__init(loc);
	loc->kind = xstrdup(kind);
	return loc;
}

static void
free_location(Tarn__Location **loc)
{
	if (*loc)
		tarn__location__free_unpacked(*loc, NULL);
}

#define auto_location __attribute__((cleanup(free_location))) Tarn__Location

/* ---- options ---- */

static void
add_option(Tarn__Location *loc, char *name, char *value)
{
	Tarn__Option *option = xmalloc(sizeof(*option));

	tarn__option__init(option);
	option->name = name;
	option->value = value;
	loc->options =
	    xrealloc(loc->options, loc->n_options + 1, sizeof(*loc->options));
	loc->options[loc->n_options++] = option;
}

/* One `name=value`; `small` is told apart. */
static int
parse_option(Tarn__Location *loc, const char *text, size_t len, uint64_t *small,
    struct error *err)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals ? (size_t)(equals - text) : 0;
	auto_free char *name = percent_decode(text, name_len);
	auto_free char *value =
	    equals ? percent_decode(equals + 1, len - name_len - 1) : NULL;

	if (!name || !*name || !value)
		return error_set(err, ERROR_USAGE,
		    "expected an option as 'name=value', got '%.*s'", (int)len,
		    text);
	if (strcmp(name, "small") != 0) {
		add_option(loc, take(name), take(value));
		return 0;
	}
	if (size_parse(value, small, err) < 0)
		return -1;
	if (*small == 0)
		return error_set(
		    err, ERROR_USAGE, "expected 'small' to be more than 0");
	return 0;
}

static int
parse_options(
    Tarn__Location *loc, const char *query, uint64_t *small, struct error *err)
{
	while (*query) {
		size_t len = strcspn(query, "&");

		if (len > 0 && parse_option(loc, query, len, small, err) < 0)
			return -1;
		query += len;
		query += *query == '&';
	}
	return 0;
}

/* ---- words ---- */

static Tarn__Location *
wrap_small(Tarn__Location *inner, uint64_t max_size)
{
	Tarn__Location *small = location_new("small");

	small->max_size = max_size;
	small->members = xmalloc(sizeof(*small->members));
	small->members[0] = inner;
	small->n_members = 1;
	return small;
}

static const char *
kind_of_scheme(const char *word, size_t len, struct error *err)
{
	auto_buf known = BUF_INIT;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		if (strlen(schemes[i].scheme) == len &&
		    memcmp(schemes[i].scheme, word, len) == 0)
			return schemes[i].kind;
		buf_addf(&known, "%s%s://", i ? ", " : "", schemes[i].scheme);
	}
	error_set(err, ERROR_USAGE,
	    "'%.*s://' is no kind of location: expected a path or one of %s",
	    (int)len, word, known.data);
	return NULL;
}

static Tarn__Location *
parse_url(const char *word, size_t scheme, struct error *err)
{
	const char *kind = kind_of_scheme(word, scheme, err);
	size_t place = strcspn(word, "?");
	auto_location *loc = NULL;
	uint64_t small = 0;

	if (!kind)
		return NULL;
	loc = location_new(kind);
	loc->place = xasprintf("%.*s", (int)place, word);
	if (place == scheme + 3) {
		error_set(err, ERROR_USAGE, "'%s' names no place", loc->place);
		return NULL;
	}
	if (word[place] &&
	    parse_options(loc, word + place + 1, &small, err) < 0) {
		auto_free char *shown = location_place(loc);

		error_wrap(err, "'%s'", shown);
		return NULL;
	}
	return small ? wrap_small(take(loc), small) : take(loc);
}

Tarn__Location *
location_from_word(const char *word, const char *cwd, struct error *err)
{
	const char *scheme = strstr(word, "://");
	Tarn__Location *loc;

	if (!*word) {
		error_set(err, ERROR_USAGE, "a location is empty");
		return NULL;
	}
	if (scheme && *word != '/' && *word != '.')
		return parse_url(word, (size_t)(scheme - word), err);
	while (word[0] == '.' && word[1] == '/')
		word += 1 + strspn(word + 1, "/");
	loc = location_new("disk");
	loc->place =
	    *word == '/' ? xstrdup(word) : xasprintf("%s/%s", cwd, word);
	return loc;
}

static void
add_level(Tarn__Location *levels, Tarn__Location *loc)
{
	Tarn__Level *level = xmalloc(sizeof(*level));

	tarn__level__init(level);
	level->location = loc;
	levels->levels = xrealloc(
	    levels->levels, levels->n_levels + 1, sizeof(*levels->levels));
	levels->levels[levels->n_levels++] = level;
}

Tarn__Location *
location_from_tiers(const char *tiers, const char *cwd, struct error *err)
{
	auto_location *levels = location_new("levels");
	auto_free char *copy = xstrdup(tiers);
	char *next = copy, *word;

	while ((word = strsep(&next, ","))) {
		Tarn__Location *loc;

		word += strspn(word, " \t");
		for (size_t n = strlen(word);
		     n > 0 && strchr(" \t", word[n - 1]);)
			word[--n] = '\0';
		loc = location_from_word(word, cwd, err);
		if (!loc)
			return NULL;
		add_level(levels, loc);
	}
	return take(levels);
}
