#include "cli/config_location.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/pack.h"
#include "locations/layout.h"
#include "locations/location.h"

/* Whom to trust is the user's affair, not that of a project from somewhere. */
static int
check_trust(struct reader *r, const cJSON *value, const char *name)
{
	static const char *const names[] = { "accept_new", "known_hosts",
		"config" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (r->project && strcmp(name, names[i]) == 0)
			return reader_fail(r, value,
			    "\"%s\" says whom to trust, and belongs into the "
			    "user's configuration, not a project's",
			    name);
	}
	return 0;
}

static int
check_secrets(struct reader *r, const cJSON *value, const Tarn__Location *loc)
{
	if (!r->project)
		return 0;
	if (reader_check_url(r, value, value->valuestring) < 0)
		return -1;
	for (size_t i = 0; i < loc->n_options; i++) {
		if (reader_secret_name(loc->options[i]->name))
			return reader_secret(r, value, loc->options[i]->name);
		if (check_trust(r, value, loc->options[i]->name) < 0)
			return -1;
	}
	return 0;
}

static void
free_location(Tarn__Location **loc)
{
	tarn__location__free_unpacked(*loc, NULL);
}

#define auto_location auto_cleanup(free_location) Tarn__Location

struct kind {
	struct schema schema;       /* whose first key is the kind's name */
	const char *const *schemes; /* a URL's; the first is the default */

	/* From the value of the first key; the other keys' setters follow. */
	Tarn__Location *(*open)(
	    struct reader *r, const struct kind *kind, const cJSON *value);
};

static Tarn__Location *
new_location(const struct kind *kind)
{
	Tarn__Location *loc = xmalloc(sizeof(*loc));

	tarn__location__init(loc);
	loc->kind = xstrdup(kind->schema.keys->name);
	return loc;
}

/* What a small=SIZE in a URL has wrapped. */
static Tarn__Location *
innermost(Tarn__Location *loc)
{
	while (strcmp(loc->kind, "small") == 0 && loc->n_members == 1)
		loc = loc->members[0];
	return loc;
}

static Tarn__Location *
open_word(struct reader *r, const cJSON *value, const char *word)
{
	struct error err = { 0 };
	auto_location *loc = location_from_word(word, r->folder, &err);

	if (!loc) {
		reader_fail(r, value, "%s", err.text);
		return NULL;
	}
	if (check_secrets(r, value, innermost(loc)) < 0)
		return NULL;
	return take(loc);
}

static Tarn__Location *
open_disk(struct reader *r, const struct kind *kind, const cJSON *value)
{
	const char *path = value->valuestring;
	Tarn__Location *loc;

	if (!*path) {
		reader_bad_value(r, kind->schema.keys, value);
		return NULL;
	}
	loc = new_location(kind);
	loc->place = path[0] == '/' ? xstrdup(path)
	                            : xasprintf("%s/%s", r->folder, path);
	return loc;
}

static bool
scheme_fits(const char *url, const char *const *schemes)
{
	for (; *schemes; schemes++) {
		if (strncasecmp(url, *schemes, strlen(*schemes)) == 0)
			return true;
	}
	return false;
}

static Tarn__Location *
open_url(struct reader *r, const struct kind *kind, const cJSON *value)
{
	const char *text = value->valuestring;
	auto_free char *url = NULL;

	if (!*text ||
	    (strstr(text, "://") && !scheme_fits(text, kind->schemes))) {
		reader_bad_value(r, kind->schema.keys, value);
		return NULL;
	}
	url = strstr(text, "://") ? xstrdup(text)
	                          : xasprintf("%s%s", kind->schemes[0], text);
	if (reader_check_url(r, value, url) < 0)
		return NULL;
	return open_word(r, value, url);
}

static Tarn__Location *
open_fanout(struct reader *r, const struct kind *kind, const cJSON *value)
{
	auto_location *loc = new_location(kind);
	const cJSON *item;

	if (!value->child) {
		reader_fail(r, value, "a fanout needs at least one location");
		return NULL;
	}
	cJSON_ArrayForEach(item, value) {
		Tarn__Location *member =
		    config_location_read(r, "fanout", item);

		if (!member)
			return NULL;
		PUSH(loc, members, member);
	}
	return take(loc);
}

static Tarn__Location *
open_small(struct reader *r, const struct kind *kind, const cJSON *value)
{
	auto_location *loc = new_location(kind);
	Tarn__Location *member = config_location_read(r, "small", value);

	if (!member)
		return NULL;
	PUSH(loc, members, member);
	return take(loc);
}

static int
set_level_location(struct reader *r, const struct json_key *key,
    const cJSON *value, void *target)
{
	Tarn__Level *level = target;

	level->location = config_location_read(r, key->name, value);
	return level->location ? 0 : -1;
}

static const struct json_key level_keys[] = {
	{ "location", EXPRESSION, .set = set_level_location, .required = true },
	{ "write", FLAG, .set = reader_not,
	    .at = offsetof(Tarn__Level, read_only) },
	{ "replicate", FLAG, .set = reader_not,
	    .at = offsetof(Tarn__Level, no_replicate) },
	{ "touch", FLAG, .set = reader_flag,
	    .at = offsetof(Tarn__Level, touch) },
	{ "name", TEXT, .set = reader_text, .at = offsetof(Tarn__Level, name) },
	{ 0 },
};
static const struct schema level_schema = { "a level", level_keys };

static int
read_level(struct reader *r, const cJSON *item, Tarn__Level *level)
{
	if (cJSON_GetObjectItemCaseSensitive(item, "location"))
		return reader_object(r, &level_schema, item, level);
	level->location = config_location_read(r, "levels", item);
	return level->location ? 0 : -1;
}

static Tarn__Location *
open_levels(struct reader *r, const struct kind *kind, const cJSON *value)
{
	auto_location *loc = new_location(kind);
	const cJSON *item;

	if (!value->child) {
		reader_fail(r, value, "\"levels\" needs at least one location");
		return NULL;
	}
	cJSON_ArrayForEach(item, value) {
		Tarn__Level *level = xmalloc(sizeof(*level));

		tarn__level__init(level);
		PUSH(loc, levels, level);
		if (read_level(r, item, level) < 0)
			return NULL;
	}
	return take(loc);
}

static int
set_first(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	((Tarn__Location *)target)->first =
	    strcmp(value->valuestring, "first") == 0;
	return 0;
}

static void
push_option(Tarn__Location *loc, const char *name, char *text)
{
	Tarn__Option *option = xmalloc(sizeof(*option));

	tarn__option__init(option);
	option->name = xstrdup(name);
	option->value = text;
	PUSH(loc, options, option);
}

static bool
whole_number(double number)
{
	return number >= 0 && number < 9e15 &&
	    number == (double)(uint64_t)number;
}

/* An option of a URL. What has been in the URL itself comes first. */
static int
set_option(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	Tarn__Location *loc = target;

	for (size_t i = 0; i < loc->n_options; i++) {
		if (strcmp(loc->options[i]->name, key->name) == 0)
			return reader_fail(r, value,
			    "\"%s\" is given twice, here and in the URL",
			    key->name);
	}
	if (check_trust(r, value, key->name) < 0)
		return -1;
	if (cJSON_IsNumber(value) && !whole_number(value->valuedouble))
		return reader_bad_value(r, key, value);
	push_option(loc, key->name,
	    cJSON_IsString(value) ? xstrdup(value->valuestring)
	        : cJSON_IsNumber(value)
	        ? xasprintf("%.0f", value->valuedouble)
	        : xstrdup(cJSON_IsTrue(value) ? "1" : "0"));
	return 0;
}

/* The same, for the path of a file. */
static int
set_path_option(struct reader *r, const struct json_key *key,
    const cJSON *value, void *target)
{
	const char *path = value->valuestring;
	Tarn__Location *loc = target;

	if (set_option(r, key, value, target) < 0)
		return -1;
	if (path[0] != '/') {
		Tarn__Option *option = loc->options[loc->n_options - 1];

		free(option->value);
		option->value = xasprintf("%s/%s", r->folder, path);
	}
	return 0;
}

static int
set_compress(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	struct error err;
	struct packer *packer = packer_new(value->valuestring, &err);

	if (!packer)
		return reader_bad_value(r, key, value);
	packer_free(packer);
	return set_option(r, key, value, target);
}

/* ---- options of a lake ---- */

/* [2, 30] is kept as "2,30"; the lake looks closer. */
static int
set_lake_levels(struct reader *r, const struct json_key *key,
    const cJSON *value, void *target)
{
	struct layout layout = { 0 };
	auto_buf text = BUF_INIT;
	const cJSON *item;

	cJSON_ArrayForEach(item, value) {
		if (!cJSON_IsNumber(item))
			return reader_expected(
			    r, key->name, item, "a number of bytes");
		if (item->valuedouble != (double)item->valueint ||
		    !layout_add(&layout, item->valueint))
			return reader_bad_value(r, key, item);
	}
	if (!layout_whole(&layout))
		return reader_fail(r, value,
		    "\"%s\" don't make up a key; expected %s", key->name,
		    key->expected);
	layout_show(&layout, &text, "", ",", "");
	push_option(target, key->name, buf_take(&text));
	return 0;
}

static int
set_size_option(struct reader *r, const struct json_key *key,
    const cJSON *value, void *target)
{
	const struct json_key number = { .name = key->name,
		.expected = key->expected };
	uint64_t size;

	if (reader_size(r, &number, value, &size) < 0)
		return -1;
	push_option(
	    target, key->name, xasprintf("%llu", (unsigned long long)size));
	return 0;
}

/* Whoever makes the lake has to be able to work in it. */
static int
set_permissions(struct reader *r, const struct json_key *key,
    const cJSON *value, void *target)
{
	const char *text = value->valuestring;
	size_t len = strlen(text);

	if (len < 3 || len > 5 || strspn(text, "01234567") != len ||
	    strtoul(text, NULL, 8) > 07777 ||
	    (strtoul(text, NULL, 8) & 0700) != 0700)
		return reader_bad_value(r, key, value);
	push_option(target, key->name, xstrdup(text));
	return 0;
}

/* By its number, since tarn-exec can't look up a name. */
static int
set_group(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	const struct group *group;

	if (cJSON_IsNumber(value))
		return set_option(r, key, value, target);
	group = getgrnam(value->valuestring);
	if (!group)
		return reader_fail(r, value,
		    "\"%s\" is '%s', which this machine has not; expected %s",
		    key->name, value->valuestring, key->expected);
	push_option(
	    target, key->name, xasprintf("%lu", (unsigned long)group->gr_gid));
	return 0;
}

/* ---- the kinds ---- */

static const char *const hashes[] = { "sha256", NULL };
static const char *const all_or_first[] = { "all", "first", NULL };
static const char *const styles[] = { "path", "virtual", NULL };
static const char *const layouts[] = { "lake", "bazel", NULL };
static const char *const redis_schemes[] = { "redis://", "rediss://",
	"redis+unix://", NULL };
static const char *const s3_schemes[] = { "s3://", NULL };
static const char *const sftp_schemes[] = { "sftp://", NULL };
static const char *const scp_schemes[] = { "scp://", NULL };
static const char *const http_schemes[] = { "http://", "https://", NULL };

#define COMPRESS_KEY \
	{ \
		LOCATION_COMPRESS, \
		    "\"zstd\" or \"zstd:LEVEL\" with a level from 1 to 19", \
		    cJSON_String, .set = set_compress \
	}
static const struct json_key disk_keys[] = {
	{ "disk", "the path of a folder", cJSON_String, .set = reader_nothing },
	{ "max_size", SIZE, .set = reader_size,
	    .at = offsetof(Tarn__Location, max_size) },
	{ "free_disk_size", SIZE, .set = set_size_option },
	{ "levels", LIST("numbers of bytes, 32 together, or -1 at the end"),
	    .set = set_lake_levels },
	{ "permissions",
	    "octal digits that leave the owner all rights, such as \"2770\"",
	    cJSON_String, .set = set_permissions },
	{ "group", "the name or number of a group", cJSON_String | cJSON_Number,
	    .set = set_group },
	{ "hash", CHOICE("sha256"), .set = set_option, .choices = hashes },
	{ "usage", FLAG, .set = set_option },
	{ "labels", FLAG, .set = set_option },
	COMPRESS_KEY,
	{ 0 },
};
static const struct json_key redis_keys[] = {
	{ "redis", "host[:port][/database] or a redis URL", cJSON_String,
	    .set = reader_nothing },
	{ "prefix", TEXT, .set = set_option },
	{ "ttl", COUNT, .set = set_option },
	{ "user", TEXT, .set = set_option },
	{ "password", TEXT, .set = set_option },
	{ "db", COUNT, .set = set_option },
	{ "ca", TEXT, .set = set_path_option },
	{ "cert", TEXT, .set = set_path_option },
	{ "key", TEXT, .set = set_path_option },
	{ "usage", FLAG, .set = set_option },
	{ "max_size", SIZE, .set = set_size_option },
	{ "timeout", COUNT, .set = set_option },
	COMPRESS_KEY,
	{ 0 },
};
static const struct json_key s3_keys[] = {
	{ "s3", "bucket/prefix or an s3 URL", cJSON_String,
	    .set = reader_nothing },
	{ "endpoint", TEXT, .set = set_option },
	{ "region", TEXT, .set = set_option },
	{ "style", CHOICE("path, virtual"), .set = set_option,
	    .choices = styles },
	{ "profile", TEXT, .set = set_option },
	{ "ca", TEXT, .set = set_path_option },
	{ "timeout", COUNT, .set = set_option },
	{ "part_size", SIZE, .set = set_size_option },
	{ "usage", FLAG, .set = set_option },
	COMPRESS_KEY,
	{ 0 },
};
/* What sftp and scp have in common. */
#define SSH_KEYS \
	{ "levels", LIST("numbers of bytes, 32 together, or -1 at the end"), \
		.set = set_lake_levels }, \
	    { "usage", FLAG, .set = set_option }, \
	    { "labels", FLAG, .set = set_option }, \
	    { "max_size", SIZE, .set = reader_size, \
		    .at = offsetof(Tarn__Location, max_size) }, \
	    { "user", TEXT, .set = set_option }, \
	    { "password", TEXT, .set = set_option }, \
	    { "passphrase", TEXT, .set = set_option }, \
	    { "key", TEXT, .set = set_path_option }, \
	    { "known_hosts", TEXT, .set = set_path_option }, \
	    { "config", TEXT, .set = set_path_option }, \
	    { "accept_new", FLAG, .set = set_option }, \
	    { "timeout", COUNT, .set = set_option }, \
	{ \
		"connect_timeout", COUNT, .set = set_option \
	}
static const struct json_key sftp_keys[] = {
	{ "sftp", "[user@]host[:port]/path or an sftp URL", cJSON_String,
	    .set = reader_nothing },
	SSH_KEYS,
	COMPRESS_KEY,
	{ 0 },
};
static const struct json_key scp_keys[] = {
	{ "scp", "[user@]host[:port]/path or an scp URL", cJSON_String,
	    .set = reader_nothing },
	SSH_KEYS,
	COMPRESS_KEY,
	{ 0 },
};
static const struct json_key nginx_keys[] = {
	{ "nginx", "host/path or an http URL", cJSON_String,
	    .set = reader_nothing },
	{ "put", FLAG, .set = set_option },
	{ "layout", CHOICE("lake, bazel"), .set = set_option,
	    .choices = layouts },
	{ "ca", TEXT, .set = set_path_option },
	{ "cert", TEXT, .set = set_path_option },
	{ "key", TEXT, .set = set_path_option },
	{ "token", TEXT, .set = set_option },
	{ "token_file", TEXT, .set = set_path_option },
	{ "netrc", FLAG, .set = set_option },
	{ "proxy", TEXT, .set = set_option },
	{ "timeout", COUNT, .set = set_option },
	COMPRESS_KEY,
	{ 0 },
};
static const struct json_key levels_keys[] = {
	{ "levels", LIST("locations"), .set = reader_nothing },
	{ "writes", CHOICE("all, first"), .set = set_first,
	    .choices = all_or_first },
	{ 0 },
};
static const struct json_key fanout_keys[] = {
	{ "fanout", LIST("locations"), .set = reader_nothing },
	{ 0 },
};
static const struct json_key small_keys[] = {
	{ "small", EXPRESSION, .set = reader_nothing },
	{ "max_size", SIZE, .set = reader_size,
	    .at = offsetof(Tarn__Location, max_size), .required = true },
	{ 0 },
};

static const struct kind kinds[] = {
	{ { "a location", disk_keys }, NULL, open_disk },
	{ { "a location", redis_keys }, redis_schemes, open_url },
	{ { "a location", s3_keys }, s3_schemes, open_url },
	{ { "a location", sftp_keys }, sftp_schemes, open_url },
	{ { "a location", scp_keys }, scp_schemes, open_url },
	{ { "a location", nginx_keys }, http_schemes, open_url },
	{ { "a location", levels_keys }, NULL, open_levels },
	{ { "a location", fanout_keys }, NULL, open_fanout },
	{ { "a small location", small_keys }, NULL, open_small },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static const struct kind *
find_kind(const char *name)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].schema.keys->name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* An object none of whose keys is a kind: blame the first that nothing knows. */
static void
no_kind(struct reader *r, const cJSON *object)
{
	static const struct json_key names[] = { { .name = "disk" },
		{ .name = "redis" }, { .name = "s3" }, { .name = "sftp" },
		{ .name = "scp" }, { .name = "nginx" }, { .name = "levels" },
		{ .name = "fanout" }, { .name = "small" }, { 0 } };
	const cJSON *child;
	char list[128];

	cJSON_ArrayForEach(child, object) {
		bool known = reader_find_key(level_keys, child->string) != NULL;

		for (size_t i = 0; i < KINDS && !known; i++)
			known = reader_find_key(
			    kinds[i].schema.keys, child->string);
		if (!known) {
			reader_unknown(r, child, "a location", names);
			return;
		}
	}
	reader_list_keys(list, sizeof(list), names);
	reader_fail(r, object, "a location needs one of the keys %s", list);
}

/*
 * The kind is the one key that names one; but a lake has an option `levels`, which
 * isn't one beside `disk`. NULL, and it is told.
 */
static const struct kind *
choose_kind(struct reader *r, const cJSON *object, const cJSON **value)
{
	const struct kind *kind = NULL;
	const cJSON *child;

	cJSON_ArrayForEach(child, object) {
		const struct kind *found = find_kind(child->string);

		if (!found || found == kind ||
		    (kind && reader_find_key(kind->schema.keys, child->string)))
			continue;
		if (kind &&
		    !reader_find_key(found->schema.keys, (*value)->string)) {
			reader_fail(r, child,
			    "\"%s\" beside \"%s\"; a location is of one kind",
			    child->string, (*value)->string);
			return NULL;
		}
		kind = found;
		*value = child;
	}
	if (!kind)
		no_kind(r, object);
	return kind;
}

static Tarn__Location *
read_location(struct reader *r, const cJSON *object)
{
	const cJSON *value = NULL;
	const struct kind *kind = choose_kind(r, object, &value);
	auto_location *loc = NULL;

	if (!kind)
		return NULL;
	if (reader_check(r, kind->schema.keys, value) < 0)
		return NULL;
	loc = kind->open(r, kind, value);
	if (!loc ||
	    reader_object(r, &kind->schema, object,
	        kind->schemes ? innermost(loc) : loc) < 0)
		return NULL;
	return take(loc);
}

Tarn__Location *
config_location_read(struct reader *r, const char *name, const cJSON *value)
{
	static const struct json_key any = { "", EXPRESSION,
		.set = reader_nothing };

	if (cJSON_IsString(value) && value->valuestring[0]) {
		if (reader_check_url(r, value, value->valuestring) < 0)
			return NULL;
		return open_word(r, value, value->valuestring);
	}
	if (cJSON_IsArray(value))
		return open_fanout(r, find_kind("fanout"), value);
	if (cJSON_IsObject(value))
		return read_location(r, value);
	if (cJSON_IsString(value))
		reader_fail(
		    r, value, "an empty string; expected %s", any.expected);
	else
		reader_expected(r, name, value, any.expected);
	return NULL;
}
