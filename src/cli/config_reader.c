#include "cli/config_reader.h"

#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/size.h"
#include "base/url.h"

/* ---- messages ---- */

int
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

const char *
reader_type(const cJSON *value)
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

int
reader_expected(
    struct reader *r, const char *name, const cJSON *value, const char *what)
{
	return reader_fail(r, value, "%s\"%s\" is %s; expected %s",
	    value->string ? "" : "an item of ", name, reader_type(value), what);
}

/* As expected(), for a value of the right type. */
int
reader_bad_value(
    struct reader *r, const struct json_key *key, const cJSON *value)
{
	if (cJSON_IsString(value))
		return reader_fail(r, value, "\"%s\" is '%s'; expected %s",
		    key->name, value->valuestring, key->expected);
	return reader_fail(r, value, "\"%s\" is %g; expected %s", key->name,
	    value->valuedouble, key->expected);
}

void
reader_list_keys(char *to, size_t size, const struct json_key *keys)
{
	size_t len = 0;

	*to = '\0';
	for (; keys->name && len < size; keys++)
		len += (size_t)snprintf(
		    to + len, size - len, "%s%s", len ? ", " : "", keys->name);
}

int
reader_unknown(struct reader *r, const cJSON *node, const char *what,
    const struct json_key *keys)
{
	char names[256];

	reader_list_keys(names, sizeof(names), keys);
	return reader_fail(r, node,
	    "\"%.100s\" is no key of %s; expected one of: %s", node->string,
	    what, names);
}

int
reader_secret(struct reader *r, const cJSON *node, const char *name)
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
	return reader_bad_value(r, key, value);
}

int
reader_check(struct reader *r, const struct json_key *key, const cJSON *value)
{
	if (!(value->type & key->types))
		return reader_expected(r, key->name, value, key->expected);
	if (key->choices && cJSON_IsString(value))
		return check_choice(r, key, value);
	return 0;
}

const struct json_key *
reader_find_key(const struct json_key *keys, const char *name)
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
	const struct json_key *key =
	    reader_find_key(schema->keys, value->string);
	uint32_t bit;

	if (r->project && reader_secret_name(value->string))
		return reader_secret(r, value, value->string);
	if (!key)
		return reader_unknown(r, value, schema->what, schema->keys);
	bit = (uint32_t)1 << (key - schema->keys);
	if (*seen & bit)
		return reader_fail(
		    r, value, "\"%s\" is given twice", key->name);
	*seen |= bit;
	if (reader_check(r, key, value) < 0)
		return -1;
	return key->set(r, key, value, target);
}

/* Every member into `target` by its key's setter. */
int
reader_object(struct reader *r, const struct schema *schema,
    const cJSON *object, void *target)
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

int
reader_nothing(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	return 0;
}

int
reader_text(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	char **text = (char **)(void *)((char *)target + key->at);

	*text = xstrdup(value->valuestring);
	return 0;
}

int
reader_flag(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	*(protobuf_c_boolean *)((char *)target + key->at) = cJSON_IsTrue(value);
	return 0;
}

/* For messages whose default, false, stands for true in the file. */
int
reader_not(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	*(protobuf_c_boolean *)((char *)target + key->at) =
	    !cJSON_IsTrue(value);
	return 0;
}

int
reader_size(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	uint64_t *size = (uint64_t *)(void *)((char *)target + key->at);
	double number = value->valuedouble;
	struct error ignored = { 0 };

	if (cJSON_IsString(value)) {
		if (size_parse(value->valuestring, size, &ignored) < 0 ||
		    *size == 0)
			return reader_bad_value(r, key, value);
		return 0;
	}
	if (!(number >= 1 && number < 9e15) ||
	    number != (double)(uint64_t)number)
		return reader_bad_value(r, key, value);
	*size = (uint64_t)number;
	return 0;
}

/* Of a message, n_list and list stand side by side. */
struct texts {
	size_t n_items;
	char **items;
};

int
reader_texts(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	struct texts *texts =
	    (struct texts *)(void *)((char *)target + key->at);
	const cJSON *item;

	cJSON_ArrayForEach(item, value) {
		if (!cJSON_IsString(item))
			return reader_expected(r, key->name, item, "a string");
		PUSH(texts, items, xstrdup(item->valuestring));
	}
	return 0;
}

/* ---- credentials ---- */

bool
reader_secret_name(const char *name)
{
	static const char *const names[] = { "password", "passwd", "passphrase",
		"key", "secret", "token", "token_file", "credentials",
		"authorization" };
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

const char *
reader_password(const char *url, size_t *len)
{
	auto_free char *place = xasprintf("%.*s", (int)strcspn(url, "?"), url);
	size_t size = 0;
	const char *user = url_user(place, &size);
	const char *colon = user ? memchr(user, ':', size) : NULL;

	if (!colon)
		return NULL;
	*len = size - (size_t)(colon + 1 - user);
	return url + (colon + 1 - place);
}

int
reader_check_url(struct reader *r, const cJSON *value, const char *url)
{
	size_t len;

	if (r->project && reader_password(url, &len))
		return reader_secret(r, value, "user:password@");
	return 0;
}

char *
reader_hide_password(const char *url)
{
	size_t len = 0;
	const char *secret = reader_password(url, &len);

	if (!secret)
		return xstrdup(url);
	return xasprintf("%.*s***%s", (int)(secret - url), url, secret + len);
}
