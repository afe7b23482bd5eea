#include "cli/config_json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/dirs.h"
#include "base/mem.h"
#include "base/size.h"
#include "cli/json_text.h"
#include "locations/location.h"

const char *const config_key_names[CONFIG_KEYS] = { "locations", "actions" };

/* One file on its way into *out. */
struct reader {
	struct json_text text;
	const char *folder; /* relative paths start here */
	bool project;
	struct config_json *out;
	struct error *err;
};

/*
 * A key of an object: which JSON it takes, what to call that in a message, and
 * how the value gets into the target, mostly to the member at offset `at`.
 */
struct json_key {
	const char *name;
	int types; /* of cJSON */
	const char *expected;
	int (*set)(struct reader *r, const struct json_key *key,
	    const cJSON *value, void *target);
	size_t at;
	bool required;
	const char *const *choices; /* NULL: any text */
};

struct schema {
	const char *what; /* "a rule" */
	const struct json_key *keys;
};

/* What most keys take: the second and third member of struct json_key. */
#define TEXT cJSON_String, "a string"
#define CHOICE(words) cJSON_String, "one of: " words
#define FLAG cJSON_True | cJSON_False, "true or false"
#define COUNT cJSON_Number, "a whole number"
#define SIZE cJSON_Number | cJSON_String, "a size, such as 4096 or \"20 GiB\""
#define LIST(of) cJSON_Array, "a list of " of
#define EXPRESSION \
	cJSON_String | cJSON_Array | cJSON_Object, \
	    "a location: a path, a URL, a list or an object"

#define PUSH(owner, list, item) \
	do { \
		(owner)->list = xrealloc((owner)->list, (owner)->n_##list + 1, \
		    sizeof(*(owner)->list)); \
		(owner)->list[(owner)->n_##list++] = (item); \
	} while (0)

/* ---- messages ---- */

static int reader_fail(struct reader *r, const cJSON *node, const char *fmt,
    ...) PRINTF_LIKE(3, 4);

static int
reader_fail(struct reader *r, const cJSON *node, const char *fmt, ...)
{
	char what[sizeof(r->err->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return error_set(r->err, ERROR_USAGE, "%s:%zu: %s", r->text.path,
	    json_text_line(&r->text, node), what);
}

static const char *
type_name(const cJSON *value)
{
	static const struct {
		int type;
		const char *name;
	} names[] = {
		{ cJSON_String, "a string" },
		{ cJSON_Number, "a number" },
		{ cJSON_True | cJSON_False, "true or false" },
		{ cJSON_Array, "a list" },
		{ cJSON_Object, "an object" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (value->type & names[i].type)
			return names[i].name;
	}
	return "null";
}

static int
expected(
    struct reader *r, const char *name, const cJSON *value, const char *what)
{
	return reader_fail(r, value, "%s\"%s\" is %s; expected %s",
	    value->string ? "" : "an item of ", name, type_name(value), what);
}

/* As expected(), for a value of the right type. */
static int
bad_value(struct reader *r, const struct json_key *key, const cJSON *value)
{
	if (cJSON_IsString(value))
		return reader_fail(r, value, "\"%s\" is '%s'; expected %s",
		    key->name, value->valuestring, key->expected);
	return reader_fail(r, value, "\"%s\" is %g; expected %s", key->name,
	    value->valuedouble, key->expected);
}

static void
list_keys(char *to, size_t size, const struct json_key *keys)
{
	size_t len = 0;

	*to = '\0';
	for (; keys->name && len < size; keys++)
		len += (size_t)snprintf(
		    to + len, size - len, "%s%s", len ? ", " : "", keys->name);
}

static int
unknown_key(struct reader *r, const cJSON *node, const char *what,
    const struct json_key *keys)
{
	char names[256];

	list_keys(names, sizeof(names), keys);
	return reader_fail(r, node,
	    "\"%.100s\" is no key of %s; expected one of: %s", node->string,
	    what, names);
}

static int
secret_found(struct reader *r, const cJSON *node, const char *name)
{
	return reader_fail(r, node,
	    "\"%s\" is a credential; credentials are read from user and system "
	    "files only",
	    name);
}

/* ---- objects ---- */

static int
check_choice(struct reader *r, const struct json_key *key, const cJSON *value)
{
	for (const char *const *choice = key->choices; *choice; choice++) {
		if (strcmp(value->valuestring, *choice) == 0)
			return 0;
	}
	return bad_value(r, key, value);
}

static int
check_value(struct reader *r, const struct json_key *key, const cJSON *value)
{
	if (!(value->type & key->types))
		return expected(r, key->name, value, key->expected);
	if (key->choices && cJSON_IsString(value))
		return check_choice(r, key, value);
	return 0;
}

static const struct json_key *
find_key(const struct json_key *keys, const char *name)
{
	for (; keys->name; keys++) {
		if (strcmp(keys->name, name) == 0)
			return keys;
	}
	return NULL;
}

static int
read_member(struct reader *r, const struct schema *schema, const cJSON *value,
    void *target, uint32_t *seen)
{
	const struct json_key *key = find_key(schema->keys, value->string);
	uint32_t bit;

	if (r->project && config_json_secret(value->string))
		return secret_found(r, value, value->string);
	if (!key)
		return unknown_key(r, value, schema->what, schema->keys);
	bit = (uint32_t)1 << (key - schema->keys);
	if (*seen & bit)
		return reader_fail(
		    r, value, "\"%s\" is given twice", key->name);
	*seen |= bit;
	if (check_value(r, key, value) < 0)
		return -1;
	return key->set(r, key, value, target);
}

/* Every member into `target` by its key's setter. */
static int
read_object(struct reader *r, const struct schema *schema, const cJSON *object,
    void *target)
{
	const cJSON *value;
	uint32_t seen = 0;

	cJSON_ArrayForEach(value, object) {
		if (read_member(r, schema, value, target, &seen) < 0)
			return -1;
	}
	for (const struct json_key *key = schema->keys; key->name; key++) {
		if (key->required && !(seen & 1U << (key - schema->keys)))
			return reader_fail(r, object, "%s needs \"%s\"",
			    schema->what, key->name);
	}
	return 0;
}

/* ---- setters ---- */

static int
set_nothing(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	return 0;
}

static int
set_text(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	char **text = (char **)(void *)((char *)target + key->at);

	*text = xstrdup(value->valuestring);
	return 0;
}

static int
set_flag(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	*(protobuf_c_boolean *)((char *)target + key->at) = cJSON_IsTrue(value);
	return 0;
}

/* For messages whose default, false, stands for true in the file. */
static int
set_not(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	*(protobuf_c_boolean *)((char *)target + key->at) =
	    !cJSON_IsTrue(value);
	return 0;
}

static int
set_size(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	uint64_t *size = (uint64_t *)(void *)((char *)target + key->at);
	double number = value->valuedouble;

	if (cJSON_IsString(value)) {
		if (!size_parse(value->valuestring, size) || *size == 0)
			return bad_value(r, key, value);
		return 0;
	}
	if (!(number >= 1 && number < 9e15) ||
	    number != (double)(uint64_t)number)
		return bad_value(r, key, value);
	*size = (uint64_t)number;
	return 0;
}

/* Of a message, n_list and list stand side by side. */
struct texts {
	size_t n_items;
	char **items;
};

static int
set_texts(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	struct texts *texts =
	    (struct texts *)(void *)((char *)target + key->at);
	const cJSON *item;

	cJSON_ArrayForEach(item, value) {
		if (!cJSON_IsString(item))
			return expected(r, key->name, item, "a string");
		PUSH(texts, items, xstrdup(item->valuestring));
	}
	return 0;
}

/* ---- credentials ---- */

bool
config_json_secret(const char *name)
{
	static const char *const names[] = { "password", "passwd", "passphrase",
		"key", "secret", "token", "credentials", "authorization" };
	static const char *const ends[] = { "_key", "_secret", "_token",
		"_password" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcasecmp(name, names[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t len = strlen(name), end = strlen(ends[i]);

		if (len > end && strcasecmp(name + len - end, ends[i]) == 0)
			return true;
	}
	return false;
}

/* Is there a user:password@ in the URL? */
static bool
has_password(const char *url)
{
	const char *host = strstr(url, "://"), *at, *colon;
	size_t len;

	if (!host)
		return false;
	host += 3;
	len = strcspn(host, "/?#");
	at = memrchr(host, '@', len);
	colon = memchr(host, ':', len);
	return at && colon && colon < at;
}

static int
check_secrets(struct reader *r, const cJSON *value, const Tarn__Location *loc)
{
	if (!r->project)
		return 0;
	if (has_password(value->valuestring))
		return secret_found(r, value, "user:password@");
	for (size_t i = 0; i < loc->n_options; i++) {
		if (config_json_secret(loc->options[i]->name))
			return secret_found(r, value, loc->options[i]->name);
	}
	return 0;
}

/* ---- locations ---- */

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

static Tarn__Location *read_expression(
    struct reader *r, const char *name, const cJSON *value);

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
		bad_value(r, kind->schema.keys, value);
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
		bad_value(r, kind->schema.keys, value);
		return NULL;
	}
	url = strstr(text, "://") ? xstrdup(text)
	                          : xasprintf("%s%s", kind->schemes[0], text);
	if (r->project && has_password(url)) {
		secret_found(r, value, "user:password@");
		return NULL;
	}
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
		Tarn__Location *member = read_expression(r, "fanout", item);

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
	Tarn__Location *member = read_expression(r, "small", value);

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

	level->location = read_expression(r, key->name, value);
	return level->location ? 0 : -1;
}

static const struct json_key level_keys[] = {
	{ "location", EXPRESSION, .set = set_level_location, .required = true },
	{ "write", FLAG, .set = set_not,
	    .at = offsetof(Tarn__Level, read_only) },
	{ "replicate", FLAG, .set = set_not,
	    .at = offsetof(Tarn__Level, no_replicate) },
	{ "touch", FLAG, .set = set_flag, .at = offsetof(Tarn__Level, touch) },
	{ "name", TEXT, .set = set_text, .at = offsetof(Tarn__Level, name) },
	{ 0 },
};
static const struct schema level_schema = { "a level", level_keys };

static int
read_level(struct reader *r, const cJSON *item, Tarn__Level *level)
{
	if (cJSON_GetObjectItemCaseSensitive(item, "location"))
		return read_object(r, &level_schema, item, level);
	level->location = read_expression(r, "levels", item);
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
	if (cJSON_IsNumber(value) && !whole_number(value->valuedouble))
		return bad_value(r, key, value);
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

static const char *const all_or_first[] = { "all", "first", NULL };
static const char *const styles[] = { "path", "virtual", NULL };
static const char *const layouts[] = { "lake", "bazel", NULL };
static const char *const redis_schemes[] = { "redis://", "rediss://",
	"redis+unix://", NULL };
static const char *const s3_schemes[] = { "s3://", NULL };
static const char *const sftp_schemes[] = { "sftp://", NULL };
static const char *const scp_schemes[] = { "scp://", NULL };
static const char *const http_schemes[] = { "http://", "https://", NULL };

static const struct json_key disk_keys[] = {
	{ "disk", cJSON_String, "the path of a folder", .set = set_nothing },
	{ "max_size", SIZE, .set = set_size,
	    .at = offsetof(Tarn__Location, max_size) },
	{ 0 },
};
static const struct json_key redis_keys[] = {
	{ "redis", cJSON_String, "host[:port][/database] or a redis URL",
	    .set = set_nothing },
	{ "prefix", TEXT, .set = set_option },
	{ "ttl", COUNT, .set = set_option },
	{ "user", TEXT, .set = set_option },
	{ "password", TEXT, .set = set_option },
	{ "ca", TEXT, .set = set_path_option },
	{ "cert", TEXT, .set = set_path_option },
	{ "key", TEXT, .set = set_path_option },
	{ 0 },
};
static const struct json_key s3_keys[] = {
	{ "s3", cJSON_String, "bucket/prefix or an s3 URL",
	    .set = set_nothing },
	{ "endpoint", TEXT, .set = set_option },
	{ "region", TEXT, .set = set_option },
	{ "style", CHOICE("path, virtual"), .set = set_option,
	    .choices = styles },
	{ 0 },
};
static const struct json_key sftp_keys[] = {
	{ "sftp", cJSON_String, "[user@]host[:port]/path or an sftp URL",
	    .set = set_nothing },
	{ 0 },
};
static const struct json_key scp_keys[] = {
	{ "scp", cJSON_String, "[user@]host[:port]/path or an scp URL",
	    .set = set_nothing },
	{ 0 },
};
static const struct json_key nginx_keys[] = {
	{ "nginx", cJSON_String, "host/path or an http URL",
	    .set = set_nothing },
	{ "put", FLAG, .set = set_option },
	{ "layout", CHOICE("lake, bazel"), .set = set_option,
	    .choices = layouts },
	{ 0 },
};
static const struct json_key levels_keys[] = {
	{ "levels", LIST("locations"), .set = set_nothing },
	{ "writes", CHOICE("all, first"), .set = set_first,
	    .choices = all_or_first },
	{ 0 },
};
static const struct json_key fanout_keys[] = {
	{ "fanout", LIST("locations"), .set = set_nothing },
	{ 0 },
};
static const struct json_key small_keys[] = {
	{ "small", EXPRESSION, .set = set_nothing },
	{ "max_size", SIZE, .set = set_size,
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
		bool known = find_key(level_keys, child->string) != NULL;

		for (size_t i = 0; i < KINDS && !known; i++)
			known = find_key(kinds[i].schema.keys, child->string);
		if (!known) {
			unknown_key(r, child, "a location", names);
			return;
		}
	}
	list_keys(list, sizeof(list), names);
	reader_fail(r, object, "a location needs one of the keys %s", list);
}

static Tarn__Location *
read_location(struct reader *r, const cJSON *object)
{
	const struct kind *kind = NULL;
	const cJSON *child, *value = NULL;
	auto_location *loc = NULL;

	cJSON_ArrayForEach(child, object) {
		const struct kind *found = find_kind(child->string);

		if (found && kind && found != kind) {
			reader_fail(r, child,
			    "\"%s\" beside \"%s\"; a location is of one kind",
			    child->string, value->string);
			return NULL;
		}
		if (found && !kind) {
			kind = found;
			value = child;
		}
	}
	if (!kind) {
		no_kind(r, object);
		return NULL;
	}
	if (check_value(r, kind->schema.keys, value) < 0)
		return NULL;
	loc = kind->open(r, kind, value);
	if (!loc ||
	    read_object(r, &kind->schema, object,
	        kind->schemes ? innermost(loc) : loc) < 0)
		return NULL;
	return take(loc);
}

static Tarn__Location *
read_expression(struct reader *r, const char *name, const cJSON *value)
{
	static const struct json_key any = { "", EXPRESSION,
		.set = set_nothing };

	if (cJSON_IsString(value) && value->valuestring[0]) {
		if (r->project && has_password(value->valuestring)) {
			secret_found(r, value, "user:password@");
			return NULL;
		}
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
		expected(r, name, value, any.expected);
	return NULL;
}

/* ---- the top of a file ---- */

static void
set_origin(struct reader *r, enum config_key key, const cJSON *value)
{
	free(r->out->origin[key]);
	r->out->origin[key] =
	    xasprintf("%s:%zu", r->text.path, json_text_line(&r->text, value));
}

static int
set_locations(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	Tarn__Config *config = r->out->config;
	Tarn__Location *loc = read_expression(r, key->name, value);

	if (!loc)
		return -1;
	tarn__location__free_unpacked(config->locations, NULL);
	config->locations = loc;
	set_origin(r, CONFIG_LOCATIONS, value);
	return 0;
}

static const char *const action_kinds[] = { "auto", "compile", "link",
	"archive", "test", "command", NULL };

static const struct json_key rule_keys[] = {
	{ "match", TEXT, .set = set_text, .at = offsetof(Tarn__Rule, match),
	    .required = true },
	{ "inputs", LIST("strings"), .set = set_texts,
	    .at = offsetof(Tarn__Rule, n_inputs) },
	{ "outputs", LIST("strings"), .set = set_texts,
	    .at = offsetof(Tarn__Rule, n_outputs) },
	{ "env", LIST("strings"), .set = set_texts,
	    .at = offsetof(Tarn__Rule, n_env) },
	{ "unstable", LIST("strings"), .set = set_texts,
	    .at = offsetof(Tarn__Rule, n_unstable) },
	{ "kind", CHOICE("auto, compile, link, archive, test, command"),
	    .set = set_text, .at = offsetof(Tarn__Rule, kind),
	    .choices = action_kinds },
	{ "label", TEXT, .set = set_text, .at = offsetof(Tarn__Rule, label) },
	{ "map_root", FLAG, .set = set_flag,
	    .at = offsetof(Tarn__Rule, map_root) },
	{ 0 },
};
static const struct schema rule_schema = { "a rule", rule_keys };

static void
free_rules(Tarn__Config *config)
{
	for (size_t i = 0; i < config->n_rules; i++)
		tarn__rule__free_unpacked(config->rules[i], NULL);
	free(config->rules);
	config->rules = NULL;
	config->n_rules = 0;
}

static int
set_actions(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	Tarn__Config *config = r->out->config;
	const cJSON *item;

	free_rules(config);
	set_origin(r, CONFIG_ACTIONS, value);
	cJSON_ArrayForEach(item, value) {
		Tarn__Rule *rule;

		if (!cJSON_IsObject(item))
			return expected(r, key->name, item, "a rule");
		rule = xmalloc(sizeof(*rule));
		tarn__rule__init(rule);
		PUSH(config, rules, rule);
		if (read_object(r, &rule_schema, item, rule) < 0)
			return -1;
	}
	return 0;
}

static const struct json_key top_keys[] = {
	{ "locations", EXPRESSION, .set = set_locations },
	{ "actions", LIST("rules"), .set = set_actions },
	{ 0 },
};
static const struct schema top_schema = { "the configuration", top_keys };

/* ---- outside ---- */

void
config_json_init(struct config_json *json)
{
	*json = (struct config_json){ 0 };
	json->config = xmalloc(sizeof(*json->config));
	tarn__config__init(json->config);
	json->config->version = CONFIG_VERSION;
}

void
config_json_release(struct config_json *json)
{
	tarn__config__free_unpacked(json->config, NULL);
	for (size_t i = 0; i < CONFIG_KEYS; i++)
		free(json->origin[i]);
	*json = (struct config_json){ 0 };
}

int
config_json_parse(struct config_json *json, const char *path, bool project,
    const char *text, size_t len, struct error *err)
{
	auto_free char *folder = xstrdup(path);
	char *slash = strrchr(folder, '/');
	struct reader r = { .folder = folder, .project = project, .out = json };
	int result;

	if (slash)
		slash[slash == folder] = '\0';
	r.err = err;
	if (json_text_parse(&r.text, path, text, len, err) < 0)
		return -1;
	if (cJSON_IsObject(r.text.root))
		result = read_object(&r, &top_schema, r.text.root, NULL);
	else
		result = reader_fail(&r, r.text.root, "%s; expected an object",
		    type_name(r.text.root));
	json_text_release(&r.text);
	return result;
}

/*
 * A file that was just changed may change again within the same tick of the file
 * system's clock, and would look the same. Let that tick pass before reading.
 */
static void
settle(const struct stat *st)
{
	const struct timespec tick = { .tv_nsec = 20 * 1000 * 1000 };
	struct timespec now;
	double age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = difftime(now.tv_sec, st->st_ctim.tv_sec) +
	    (double)(now.tv_nsec - st->st_ctim.tv_nsec) / 1e9;
	if (age >= 0 && age < 0.02)
		nanosleep(&tick, NULL);
}

/* The bytes of `fd`, at most one more than is allowed. */
static int
read_text(int fd, const char *path, struct buf *text, struct error *err)
{
	char chunk[16 * 1024];
	ssize_t got = 1;

	while (text->len <= JSON_TEXT_MAX && got > 0) {
		got = read(fd, chunk, sizeof(chunk));
		if (got < 0)
			return error_errno(err, "cannot read '%s'", path);
		buf_add(text, chunk, (size_t)got);
	}
	return 0;
}

static int
load_file(
    struct config_json *json, const struct config_file *file, struct error *err)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	auto_close int fd = open(file->path, flags);
	bool absent = fd < 0 && (errno == ENOENT || errno == ENOTDIR);
	auto_buf text = BUF_INIT;
	struct stat st;

	if (fd < 0 && (!absent || file->named))
		error_errno(err, "cannot open '%s'", file->path);
	if (absent)
		PUSH(json->config, sources, config_source(file->path, NULL));
	if (fd < 0)
		return absent && !file->named ? 0 : -1;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot look at '%s'", file->path);
	PUSH(json->config, sources, config_source(file->path, &st));
	if (!S_ISREG(st.st_mode))
		return error_set(
		    err, ERROR_USAGE, "'%s' is no file", file->path);
	settle(&st);
	if (read_text(fd, file->path, &text, err) < 0)
		return -1;
	return config_json_parse(
	    json, file->path, file->project, text.data, text.len, err);
}

int
config_json_load(struct config_json *json, const struct config_files *files,
    struct error *err)
{
	for (size_t i = 0; i < files->count; i++) {
		if (load_file(json, &files->item[i], err) < 0)
			return -1;
	}
	return 0;
}

static int
apply_tiers(struct config_json *json, const char *cwd, struct error *err)
{
	const char *tiers = getenv("TARN_TIERS");
	Tarn__Location *loc;

	if (!tiers || !*tiers)
		return 0;
	loc = location_from_tiers(tiers, cwd, err);
	if (!loc)
		return error_wrap(err, "TARN_TIERS");
	tarn__location__free_unpacked(json->config->locations, NULL);
	json->config->locations = loc;
	free(json->origin[CONFIG_LOCATIONS]);
	json->origin[CONFIG_LOCATIONS] = xstrdup("TARN_TIERS");
	return 0;
}

int
config_json_in_force(struct config_json *json, const char *tarn_dir,
    const char *file, struct error *err)
{
	auto_free char *cwd = getcwd(NULL, 0);
	auto_free char *root = NULL;
	struct config_files files;
	int result;

	if (!cwd)
		return error_errno(err, "cannot find the working directory");
	root = dirs_root(cwd);
	config_files_init(&files, root, file);
	result = config_json_load(json, &files, err);
	config_files_release(&files);
	if (result < 0 || apply_tiers(json, cwd, err) < 0)
		return -1;
	if (!json->config->locations)
		json->config->locations = config_default_location(tarn_dir);
	return 0;
}

struct location *
config_json_open(const char *file, struct error *err)
{
	auto_free char *tarn_dir = dirs_tarn();
	struct location *loc = NULL;
	struct config_json json;

	if (!tarn_dir) {
		error_set(err, ERROR_USAGE,
		    "no folder to work in; set HOME or TARN_DIR");
		return NULL;
	}
	config_json_init(&json);
	if (config_json_in_force(&json, tarn_dir, file, err) == 0)
		loc = location_open(json.config->locations, err);
	config_json_release(&json);
	return loc;
}
