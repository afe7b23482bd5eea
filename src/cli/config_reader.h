#ifndef CONFIG_READER_H
#define CONFIG_READER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/json_text.h"

/*
 * Reading JSON objects by tables of their keys, with good complaints: file, line,
 * key and what was expected. A table ends with an empty key; one object has 32
 * keys at most. PUSH and most setters want the messages of protobuf-c as targets.
 */
struct config_json;

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
	const char *expected;
	int types; /* of cJSON */
	bool required;
	int (*set)(struct reader *r, const struct json_key *key,
	    const cJSON *value, void *target);
	size_t at;
	const char *const *choices; /* NULL: any text */
};

struct schema {
	const char *what; /* "a rule" */
	const struct json_key *keys;
};

/* What most keys take: the second and third member of struct json_key. */
#define TEXT "a string", cJSON_String
#define CHOICE(words) "one of: " words, cJSON_String
#define FLAG "true or false", cJSON_True | cJSON_False
#define COUNT "a whole number", cJSON_Number
#define SIZE "a size, such as 4096 or \"20 GiB\"", cJSON_Number | cJSON_String
#define LIST(of) "a list of " of, cJSON_Array
#define EXPRESSION \
	"a location: a path, a URL, a list or an object", \
	    cJSON_String | cJSON_Array | cJSON_Object

#define PUSH(owner, list, item) \
	do { \
		(owner)->list = xrealloc((owner)->list, (owner)->n_##list + 1, \
		    sizeof(*(owner)->list)); \
		(owner)->list[(owner)->n_##list++] = (item); \
	} while (0)

/* All of these return -1, with file and line in front of the message. */
int reader_fail(struct reader *r, const cJSON *node, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
int reader_expected(struct reader *r, const char *name, const cJSON *value,
    const char
        *what); /* it is of another type; `name`: its key or its list's */
int reader_bad_value(
    struct reader *r, const struct json_key *key, const cJSON *value);
int reader_unknown(struct reader *r, const cJSON *node, const char *what,
    const struct json_key *keys);
int reader_secret(struct reader *r, const cJSON *node, const char *name);

/* "a string", "a list" ... */
const char *reader_type(const cJSON *value);

/* The names of `keys` with commas in between, cut if they are too many. */
void reader_list_keys(char *to, size_t size, const struct json_key *keys);

/* NULL if there is none of that name. */
const struct json_key *reader_find_key(
    const struct json_key *keys, const char *name);

/* Is it of a type and, if there is a choice, a value of `key`? 0 or -1. */
int reader_check(
    struct reader *r, const struct json_key *key, const cJSON *value);

/* Every member of `object` into `target` by its key's setter. */
int reader_object(struct reader *r, const struct schema *schema,
    const cJSON *object, void *target);

/* Setters. reader_not() is for flags whose default, false, means true. */
typedef int reader_set_fn(struct reader *r, const struct json_key *key,
    const cJSON *value, void *target);
reader_set_fn reader_nothing, reader_text, reader_flag, reader_not, reader_size,
    reader_texts;

/* Is `name` the name of a secret: "password", "token" ...? */
bool reader_secret_name(const char *name);

/* "scheme://user:***@host/path" for a URL with a password, else a copy; the
 * caller frees it. */
char *reader_hide_password(const char *url);

/* The password in user:password@ of a URL; NULL if it has none. */
const char *reader_password(const char *url, size_t *len);

/* No password in it, or it isn't the project's file: 0, else -1. */
int reader_check_url(struct reader *r, const cJSON *value, const char *url);

#endif
