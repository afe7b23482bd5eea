#include "locations/layout.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

const struct layout layout_default = { 2, { 1, DIGEST_SIZE - 1 } };

bool
layout_equal(const struct layout *a, const struct layout *b)
{
	return a->count == b->count &&
	    memcmp(a->bytes, b->bytes, a->count) == 0;
}

char *
layout_path(
    const struct layout *layout, const char *root, const struct digest *digest)
{
	char *path = xmalloc(strlen(root) + DIGEST_HEX + layout->count + 1);
	char hex[DIGEST_HEX + 1], *to = stpcpy(path, root);
	const char *from = digest_hex(digest, hex);

	for (size_t i = 0; i < layout->count; i++) {
		size_t digits = 2 * (size_t)layout->bytes[i];

		*to++ = '/';
		memcpy(to, from, digits);
		to += digits;
		from += digits;
	}
	*to = '\0';
	return path;
}

/* ---- config.yml ---- */

struct parser {
	long levels[LAYOUT_PARTS];
	size_t count;
	bool in_levels; /* the lines that follow are items of `levels` */
	bool top;       /* there was a key */
};

/* The fields of the Python library; it takes any other for a mistake. */
static bool
is_known(const char *key, size_t len)
{
	static const char *const known[] = { "hash", "levels", "locker", "size",
		"usage", "labels", "free_disk_size", "max_size", NULL };

	for (const char *const *k = known; *k; k++) {
		if (strlen(*k) == len && memcmp(*k, key, len) == 0)
			return true;
	}
	return false;
}

static const char *
skip_spaces(const char *p)
{
	return p + strspn(p, " \t");
}

/* A number, after which nothing but `end` follows; NULL: something else. */
static const char *
parse_level(struct parser *parser, const char *p)
{
	char *end;
	long level;

	p = skip_spaces(p);
	if (strchr("+ \t", *p) || parser->count == LAYOUT_PARTS)
		return NULL;
	level = strtol(p, &end, 10);
	if (end == p || level == 0 || level < -1 || level > DIGEST_SIZE)
		return NULL;
	parser->levels[parser->count++] = level;
	return skip_spaces(end);
}

/* "[1, -1]" */
static bool
parse_flow(struct parser *parser, const char *p)
{
	do
		p = parse_level(parser, p + 1);
	while (p && *p == ',');
	return p && *p == ']' && !*skip_spaces(p + 1);
}

/* "key: value" at the margin */
static bool
parse_key(struct parser *parser, const char *line)
{
	size_t len = strcspn(line, ":");
	const char *value;

	if (!line[len] || !is_known(line, len) ||
	    (line[len + 1] && !strchr(" \t", line[len + 1])))
		return false;
	parser->top = true;
	parser->in_levels = len == 6 && memcmp(line, "levels", len) == 0;
	value = skip_spaces(line + len + 1);
	if (!parser->in_levels)
		return true;
	if (parser->count > 0)
		return false;
	if (*value == '[') {
		parser->in_levels = false;
		return parse_flow(parser, value);
	}
	return !*value;
}

static bool
parse_line(struct parser *parser, const char *line)
{
	const char *text = skip_spaces(line);
	const char *end;

	if (!*text || *text == '#' || strcmp(line, "---") == 0)
		return true;
	if (text == line && *text != '-')
		return parse_key(parser, line);
	if (!parser->in_levels)
		return parser->top;
	if (text[0] != '-' || text[1] != ' ')
		return false;
	end = parse_level(parser, text + 1);
	return end && !*end;
}

/* The last may be -1, the rest of the key. All together are a digest. */
static bool
finish(const struct parser *parser, struct layout *layout)
{
	struct layout found = { .count = parser->count };
	long sum = 0;

	for (size_t i = 0; i < parser->count; i++) {
		long level = parser->levels[i];

		if (level == -1 && i + 1 == parser->count)
			level = DIGEST_SIZE - sum;
		if (level <= 0 || sum + level > DIGEST_SIZE)
			return false;
		sum += level;
		found.bytes[i] = (unsigned char)level;
	}
	if (sum == DIGEST_SIZE)
		*layout = found;
	return sum == DIGEST_SIZE;
}

int
layout_parse(struct layout *layout, const char *config_yml, struct error *err)
{
	struct parser parser = { 0 };
	auto_free char *text = xstrdup(config_yml);
	char *next = text;

	for (int number = 1; next && *next; number++) {
		char *line = strsep(&next, "\n");

		line[strcspn(line, "\r")] = '\0';
		if (!parse_line(&parser, line))
			return error_set(err, ERROR_CORRUPT,
			    "line %d: expected 'levels:' with a list of numbers"
			    " of bytes, or another field of a lake",
			    number);
	}
	if (!parser.top)
		return error_set(err, ERROR_CORRUPT,
		    "expected 'levels:' with a list of numbers of bytes");
	if (parser.count == 0 && !parser.in_levels)
		*layout = layout_default;
	else if (!finish(&parser, layout))
		return error_set(err, ERROR_CORRUPT,
		    "expected levels of %d bytes together, or -1 at the end",
		    DIGEST_SIZE);
	return 0;
}
