#include "cli/json_text.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct scan {
	const char *path;
	char *text; /* ends with a NUL */
	size_t len, at;
	int depth;
	struct error *err;
};

static int scan_value(struct scan *s);

static size_t
line_of(const char *text, size_t at)
{
	size_t line = 1;

	for (size_t i = 0; i < at; i++)
		line += text[i] == '\n';
	return line;
}

/* In characters: what continues one in UTF-8 doesn't count. */
static size_t
column_of(const char *text, size_t at)
{
	size_t column = 1;

	while (at > 0 && text[--at] != '\n')
		column += ((unsigned char)text[at] & 0xc0) != 0x80;
	return column;
}

static int
scan_fail(struct scan *s, const char *what)
{
	return error_set(s->err, ERROR_USAGE, "%s:%zu:%zu: %s", s->path,
	    line_of(s->text, s->at), column_of(s->text, s->at), what);
}

static int
unexpected(struct scan *s, const char *wanted)
{
	unsigned char c = (unsigned char)s->text[s->at];
	char what[128];

	if (s->at >= s->len)
		snprintf(
		    what, sizeof(what), "the file ends; expected %s", wanted);
	else if (c > 0x20 && c < 0x7f)
		snprintf(what, sizeof(what), "unexpected '%c'; expected %s", c,
		    wanted);
	else
		snprintf(what, sizeof(what),
		    "unexpected byte 0x%02x; expected %s", c, wanted);
	return scan_fail(s, what);
}

/* ---- spaces and comments ---- */

static void
blank(struct scan *s, size_t end)
{
	for (; s->at < end; s->at++) {
		if (s->text[s->at] != '\n')
			s->text[s->at] = ' ';
	}
}

static int
skip_comment(struct scan *s)
{
	const char *start = s->text + s->at, *end;

	if (start[1] == '/') {
		end = strchr(start, '\n');
		blank(s, end ? (size_t)(end - s->text) : s->len);
		return 0;
	}
	end = start[1] == '*' ? strstr(start + 2, "*/") : NULL;
	if (!end)
		return scan_fail(s,
		    start[1] == '*' ? "a comment without its end"
		                    : "unexpected '/'");
	blank(s, (size_t)(end - s->text) + 2);
	return 0;
}

static int
skip_space(struct scan *s)
{
	for (;;) {
		char c = s->text[s->at];

		if (c == '/') {
			if (skip_comment(s) < 0)
				return -1;
		} else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
			s->at++;
		} else {
			return 0;
		}
	}
}

/* ---- values ---- */

static int
scan_escape(struct scan *s)
{
	const char *p = s->text + s->at;

	if (p[1] != 'u') {
		if (!p[1] || !strchr("\"\\/bfnrt", p[1]))
			return scan_fail(s, "an unknown escape");
		s->at += 2;
		return 0;
	}
	for (size_t i = 2; i < 6; i++) {
		if (!isxdigit((unsigned char)p[i]))
			return scan_fail(s, "\\u needs four hex digits");
	}
	if (strncmp(p + 2, "0000", 4) == 0)
		return scan_fail(s, "\\u0000 can't be part of a string");
	s->at += 6;
	return 0;
}

static int
scan_string(struct scan *s)
{
	size_t start = s->at++;

	for (;;) {
		unsigned char c = (unsigned char)s->text[s->at];

		if (c == '"') {
			s->at++;
			return 0;
		}
		if (c < 0x20) {
			s->at = start;
			return scan_fail(s, "a string without its end");
		}
		if (c != '\\')
			s->at++;
		else if (scan_escape(s) < 0)
			return -1;
	}
}

static size_t
digits(struct scan *s)
{
	size_t start = s->at;

	while (isdigit((unsigned char)s->text[s->at]))
		s->at++;
	return s->at - start;
}

static int
scan_number(struct scan *s)
{
	bool zero;

	s->at += s->text[s->at] == '-';
	zero = s->text[s->at] == '0';
	if (zero ? digits(s) != 1 : digits(s) == 0)
		return scan_fail(s, "no number as JSON writes it");
	if (s->text[s->at] == '.') {
		s->at++;
		if (digits(s) == 0)
			return unexpected(s, "a digit");
	}
	if (s->text[s->at] == 'e' || s->text[s->at] == 'E') {
		s->at++;
		s->at += s->text[s->at] == '+' || s->text[s->at] == '-';
		if (digits(s) == 0)
			return unexpected(s, "a digit");
	}
	return 0;
}

static int
scan_word(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t len = strlen(words[i]);

		if (strncmp(s->text + s->at, words[i], len) == 0) {
			s->at += len;
			return 0;
		}
	}
	return unexpected(s, "a value");
}

static int
scan_member(struct scan *s)
{
	if (s->text[s->at] != '"')
		return unexpected(s, "a key in double quotes");
	if (scan_string(s) < 0 || skip_space(s) < 0)
		return -1;
	if (s->text[s->at] != ':')
		return unexpected(s, "':' after a key");
	s->at++;
	return scan_value(s);
}

/* A list or an object, from its opening bracket to its closing one. */
static int
scan_group(struct scan *s, char end)
{
	const char *wanted = end == '}' ? "',' or '}'" : "',' or ']'";

	if (s->depth == JSON_TEXT_DEPTH)
		return scan_fail(s, "more than 64 levels deep");
	s->depth++;
	s->at++;
	if (skip_space(s) < 0)
		return -1;
	for (bool first = true; !first || s->text[s->at] != end;
	     first = false) {
		if ((end == '}' ? scan_member(s) : scan_value(s)) < 0 ||
		    skip_space(s) < 0)
			return -1;
		if (s->text[s->at] == end)
			break;
		if (s->text[s->at] != ',')
			return unexpected(s, wanted);
		s->at++;
		if (skip_space(s) < 0)
			return -1;
	}
	s->at++;
	s->depth--;
	return 0;
}

static int
scan_value(struct scan *s)
{
	char c;

	if (skip_space(s) < 0)
		return -1;
	c = s->text[s->at];
	if (c == '{')
		return scan_group(s, '}');
	if (c == '[')
		return scan_group(s, ']');
	if (c == '"')
		return scan_string(s);
	return c == '-' || isdigit((unsigned char)c) ? scan_number(s)
	                                             : scan_word(s);
}

static int
scan_all(struct scan *s)
{
	if (scan_value(s) < 0 || skip_space(s) < 0)
		return -1;
	return s->at == s->len ? 0 : unexpected(s, "the end of the file");
}

/* ---- outside ---- */

int
json_text_parse(struct json_text *json, const char *path, const char *text,
    size_t len, struct error *err)
{
	auto_free char *copy = NULL;
	struct scan scan = { .path = path, .len = len, .err = err };

	if (len > JSON_TEXT_MAX)
		return error_set(err, ERROR_USAGE, "%s: more than 1 MiB", path);
	copy = xmalloc(len + 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	scan.text = copy;
	if (scan_all(&scan) < 0)
		return -1;
	*json = (struct json_text){ .path = path };
	json->root = cJSON_ParseWithOpts(copy, NULL, true);
	if (!json->root)
		return error_set(err, ERROR_USAGE,
		    "%s: a string with half a surrogate pair", path);
	json->text = take(copy);
	return 0;
}

void
json_text_release(struct json_text *json)
{
	cJSON_Delete(json->root);
	free(json->text);
	*json = (struct json_text){ 0 };
}

/* How many nodes come before `wanted` in the text; false if it isn't below. */
static bool
count_before(const cJSON *node, const cJSON *wanted, size_t *count)
{
	const cJSON *child;

	if (node == wanted)
		return true;
	++*count;
	cJSON_ArrayForEach(child, node) {
		if (count_before(child, wanted, count))
			return true;
	}
	return false;
}

/* Behind the string, number or word at `p`. */
static const char *
token_end(const char *p)
{
	if (*p != '"')
		return p + 1 + strcspn(p + 1, ",]} \t\r\n");
	for (p++; *p != '"'; p++)
		p += *p == '\\';
	return p + 1;
}

/*
 * Nodes come in the text as in the tree, so the n-th that begins in the one is
 * the n-th in the other. The text is known to be right.
 */
size_t
json_text_line(const struct json_text *json, const cJSON *node)
{
	const char *p = json->text, *key = NULL;
	size_t left = 0;

	count_before(json->root, node, &left);
	while (*p) {
		const char *start = p;

		if (strchr(" \t\r\n,:]}", *p)) {
			p++;
			continue;
		}
		p = *p == '{' || *p == '[' ? p + 1 : token_end(p);
		if (*start == '"' && !key && p[strspn(p, " \t\r\n")] == ':') {
			key = start;
			continue;
		}
		if (left-- == 0)
			return line_of(json->text,
			    (size_t)((key ? key : start) - json->text));
		key = NULL;
	}
	return 1;
}
