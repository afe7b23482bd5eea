#include "base/yaml.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/buf.h"

struct yaml {
	yaml_parser_t parser;
	yaml_event_t event; /* where we are: a value's first, or its last */
	size_t line;        /* of the last that had something on it; from 0 */
	struct error *err;
};

int
yaml_fail(struct yaml *yaml, const char *fmt, ...)
{
	char what[sizeof(yaml->err->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return error_set(
	    yaml->err, ERROR_CORRUPT, "line %zu: %s", yaml->line + 1, what);
}

static const char *
type_name(enum yaml_type type)
{
	static const char *const names[] = { [YAML_IS_NULL] = "empty",
		[YAML_IS_TEXT] = "a text",
		[YAML_IS_LIST] = "a list",
		[YAML_IS_MAP] = "a mapping" };

	return names[type];
}

int
yaml_expected(struct yaml *yaml, const char *name, const char *expected)
{
	if (yaml_type(yaml) == YAML_IS_TEXT)
		return yaml_fail(yaml, "'%s' is '%.60s'; expected %s", name,
		    yaml_text(yaml), expected);
	return yaml_fail(yaml, "'%s' is %s; expected %s", name,
	    type_name(yaml_type(yaml)), expected);
}

/* ---- events ---- */

/* The types that YAML has by itself. */
static bool
is_plain_tag(const char *tag)
{
	static const char *const names[] = { "str", "int", "float", "bool",
		"null", "seq", "map" };
	static const char prefix[] = "tag:yaml.org,2002:";
	size_t len = sizeof(prefix) - 1;

	if (!tag || strcmp(tag, "!") == 0)
		return true;
	if (strncmp(tag, prefix, len) != 0)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(tag + len, names[i]) == 0)
			return true;
	}
	return false;
}

static int
check_node(struct yaml *yaml, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		return yaml_fail(yaml,
		    "'&%.60s' is an anchor; expected a value without one",
		    (const char *)anchor);
	if (!is_plain_tag((const char *)tag))
		return yaml_fail(yaml,
		    "'%.60s' is a tag; expected a value without one",
		    (const char *)tag);
	return 0;
}

static int
check_event(struct yaml *yaml)
{
	const yaml_event_t *event = &yaml->event;

	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return yaml_fail(yaml, "'*%.60s' is an alias; expected a value",
		    (const char *)event->data.alias.anchor);
	case YAML_SCALAR_EVENT:
		if (memchr(
		        event->data.scalar.value, 0, event->data.scalar.length))
			return yaml_fail(
			    yaml, "a NUL; expected a text without one");
		return check_node(
		    yaml, event->data.scalar.anchor, event->data.scalar.tag);
	case YAML_SEQUENCE_START_EVENT:
		return check_node(yaml, event->data.sequence_start.anchor,
		    event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return check_node(yaml, event->data.mapping_start.anchor,
		    event->data.mapping_start.tag);
	default: return 0;
	}
}

static int
next(struct yaml *yaml)
{
	yaml_event_delete(&yaml->event);
	if (yaml_parser_parse(&yaml->parser, &yaml->event)) {
		if (yaml->event.type != YAML_MAPPING_END_EVENT &&
		    yaml->event.type != YAML_SEQUENCE_END_EVENT)
			yaml->line = yaml->event.start_mark.line;
		return check_event(yaml);
	}
	yaml->line = yaml->parser.problem_mark.line;
	return yaml_fail(yaml, "%s; expected YAML",
	    yaml->parser.problem ? yaml->parser.problem : "not readable");
}

/* ---- values ---- */

static bool
is_null(const yaml_event_t *event)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp((const char *)event->data.scalar.value, words[i]) ==
		    0)
			return true;
	}
	return false;
}

enum yaml_type
yaml_type(const struct yaml *yaml)
{
	switch (yaml->event.type) {
	case YAML_SEQUENCE_START_EVENT: return YAML_IS_LIST;
	case YAML_MAPPING_START_EVENT: return YAML_IS_MAP;
	case YAML_SCALAR_EVENT:
		return is_null(&yaml->event) ? YAML_IS_NULL : YAML_IS_TEXT;
	default: return YAML_IS_NULL;
	}
}

const char *
yaml_text(const struct yaml *yaml)
{
	return yaml->event.type == YAML_SCALAR_EVENT
	    ? (const char *)yaml->event.data.scalar.value
	    : "";
}

/* Decimal; in octal, YAML 1.1 would have what starts with a 0. */
static bool
parse_number(const char *p, int64_t *number)
{
	bool minus = *p == '-';
	size_t digits = 0;

	*number = 0;
	p += *p == '-' || *p == '+';
	if (*p == '0' && p[1])
		return false;
	for (; isdigit((unsigned char)*p) || (*p == '_' && digits); p++) {
		if (*p == '_')
			continue;
		if (++digits > 18)
			return false;
		*number = *number * 10 + (*p - '0');
	}
	if (minus)
		*number = -*number;
	return digits && !*p;
}

int
yaml_number(struct yaml *yaml, const char *name, int64_t *number)
{
	if (yaml_type(yaml) == YAML_IS_TEXT &&
	    parse_number(yaml_text(yaml), number))
		return 0;
	return yaml_expected(yaml, name, "a whole number");
}

int
yaml_skip(struct yaml *yaml)
{
	int depth = 0;

	for (;;) {
		switch (yaml->event.type) {
		case YAML_SEQUENCE_START_EVENT:
		case YAML_MAPPING_START_EVENT: depth++; break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT: depth--; break;
		default: break;
		}
		if (depth == 0)
			return 0;
		if (depth > YAML_DEPTH)
			return yaml_fail(yaml,
			    "nested too deep; expected %d levels at most",
			    YAML_DEPTH);
		if (next(yaml) < 0)
			return -1;
	}
}

int
yaml_list(struct yaml *yaml, yaml_set_fn *set, const struct yaml_key *key,
    void *target)
{
	if (yaml_type(yaml) != YAML_IS_LIST)
		return yaml_expected(yaml, key->name, "a list");
	for (;;) {
		if (next(yaml) < 0)
			return -1;
		if (yaml->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		if (set(yaml, key, target) < 0)
			return -1;
	}
}

/* ---- mappings ---- */

static int
unknown_key(struct yaml *yaml, const char *what, const struct yaml_key *keys)
{
	auto_buf names = BUF_INIT;

	for (; keys->name; keys++)
		buf_addf(&names, "%s%s", names.len ? ", " : "", keys->name);
	return yaml_fail(yaml, "'%.60s' is no key of %s; expected one of: %s",
	    yaml_text(yaml), what, names.data);
}

static const struct yaml_key *
find_key(const struct yaml_key *keys, const char *name)
{
	for (; keys->name; keys++) {
		if (strcmp(keys->name, name) == 0 ||
		    strcmp(keys->name, "*") == 0)
			return keys;
	}
	return NULL;
}

static int
read_member(struct yaml *yaml, const char *what, const struct yaml_key *keys,
    void *target, uint32_t *seen)
{
	const struct yaml_key *key;
	uint32_t bit;

	if (yaml->event.type != YAML_SCALAR_EVENT)
		return yaml_fail(yaml, "a key is %s; expected a text",
		    type_name(yaml_type(yaml)));
	key = find_key(keys, yaml_text(yaml));
	if (!key)
		return unknown_key(yaml, what, keys);
	bit = (uint32_t)1 << (key - keys);
	if (*seen & bit && strcmp(key->name, "*") != 0)
		return yaml_fail(
		    yaml, "'%s' is given twice; expected it once", key->name);
	*seen |= bit;
	return next(yaml) < 0 ? -1 : key->set(yaml, key, target);
}

int
yaml_map(struct yaml *yaml, const char *what, const struct yaml_key *keys,
    void *target)
{
	uint32_t seen = 0;

	if (yaml_type(yaml) != YAML_IS_MAP)
		return yaml_fail(yaml, "%s is %s; expected a mapping", what,
		    type_name(yaml_type(yaml)));
	for (;;) {
		if (next(yaml) < 0)
			return -1;
		if (yaml->event.type == YAML_MAPPING_END_EVENT)
			return 0;
		if (read_member(yaml, what, keys, target, &seen) < 0)
			return -1;
	}
}

/* Start of stream, start of document, mapping, end of document, end of stream. */
static int
read_document(struct yaml *yaml, const char *what, const struct yaml_key *keys,
    void *target)
{
	for (int i = 0; i < 3; i++) {
		if (next(yaml) < 0)
			return -1;
	}
	if (yaml_map(yaml, what, keys, target) < 0 || next(yaml) < 0 ||
	    next(yaml) < 0)
		return -1;
	if (yaml->event.type != YAML_STREAM_END_EVENT)
		return yaml_fail(yaml, "a second document; expected one only");
	return 0;
}

int
yaml_read(const char *text, size_t size, const char *what,
    const struct yaml_key *keys, void *target, struct error *err)
{
	struct yaml yaml = { .err = err };
	int rc;

	if (!yaml_parser_initialize(&yaml.parser))
		return error_set(err, ERROR_SYSTEM, "out of memory");
	yaml_parser_set_encoding(&yaml.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
	    &yaml.parser, (const unsigned char *)text, size);
	rc = read_document(&yaml, what, keys, target);
	yaml_event_delete(&yaml.event);
	yaml_parser_delete(&yaml.parser);
	return rc;
}
