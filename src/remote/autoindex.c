#include "remote/autoindex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/percent.h"

void
autoindex_init(struct autoindex *index, autoindex_fn *fn, void *arg)
{
	memset(index, 0, sizeof(*index));
	index->fn = fn;
	index->arg = arg;
	index->state = AUTOINDEX_START;
}

/* ---- times ---- */

static int
month_named(const char *name)
{
	static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++) {
		if (strncasecmp(months + 3 * (size_t)i, name, 3) == 0)
			return i;
	}
	return -1;
}

static time_t
time_of(struct tm tm, int year)
{
	bool fits = year >= 1970 && year < 10000 && tm.tm_mon >= 0 &&
	    tm.tm_mon < 12 && tm.tm_mday > 0 && tm.tm_mday < 32 &&
	    tm.tm_hour >= 0 && tm.tm_hour < 24 && tm.tm_min >= 0 &&
	    tm.tm_min < 60 && tm.tm_sec >= 0 && tm.tm_sec < 61;

	tm.tm_year = year - 1900;
	return fits ? timegm(&tm) : 0;
}

time_t
autoindex_date(const char *text)
{
	struct tm tm = { 0 };
	char month[4];
	int year;

	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d",
	        &tm.tm_mday, month, &year, &tm.tm_hour, &tm.tm_min,
	        &tm.tm_sec) != 6)
		return 0;
	tm.tm_mon = month_named(month);
	return time_of(tm, year);
}

/* "22-Nov-2026 22:18" as nginx, or "2026-11-22 22:18" as Apache. */
static time_t
short_date(const char *text, int *len)
{
	struct tm tm = { 0 };
	char month[4];
	int year;

	*len = 0;
	if (sscanf(text, " %2d-%3[A-Za-z]-%4d %2d:%2d%n", &tm.tm_mday, month,
	        &year, &tm.tm_hour, &tm.tm_min, len) == 5) {
		tm.tm_mon = month_named(month);
		return time_of(tm, year);
	}
	if (sscanf(text, " %4d-%2d-%2d %2d:%2d%n", &year, &tm.tm_mon,
	        &tm.tm_mday, &tm.tm_hour, &tm.tm_min, len) != 5)
		return 0;
	tm.tm_mon--;
	return time_of(tm, year);
}

/* A number that ends with the text or a space. */
static uint64_t
exact_size(const char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strspn(text, "0123456789");
	if (len == 0 || len > 18 || (text[len] && !strchr(" \t", text[len])))
		return AUTOINDEX_UNKNOWN;
	return strtoull(text, NULL, 10);
}

/* ---- HTML ---- */

/* Tags become spaces. */
static void
drop_tags(char *text)
{
	bool tag = false;

	for (; *text; text++) {
		if (*text == '<' || tag) {
			tag = *text != '>';
			*text = ' ';
		}
	}
}

/* A name in this folder; NULL: what the link leads to is somewhere else. */
static char *
linked_name(const char *href, size_t len, bool *folder)
{
	auto_free char *name = NULL;

	if (len > 2 && href[0] == '.' && href[1] == '/') {
		href += 2;
		len -= 2;
	}
	*folder = len > 1 && href[len - 1] == '/';
	len -= *folder;
	if (len == 0 || memchr(href, '/', len) || memchr(href, '?', len) ||
	    memchr(href, '#', len) || memchr(href, ':', len))
		return NULL;
	name = percent_decode(href, len);
	if (!name || strchr(name, '/') || strlen(name) >= AUTOINDEX_NAME ||
	    strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
		return NULL;
	return take(name);
}

static int
take_line(struct autoindex *index, char *line)
{
	struct autoindex_entry entry = { .size = AUTOINDEX_UNKNOWN };
	char *href = strcasestr(line, "<a href=\""), *end;
	auto_free char *name = NULL;
	int len;

	if (strcasestr(line, "</html>"))
		index->ended = true;
	if (!href)
		return 0;
	href += strlen("<a href=\"");
	end = strchr(href, '"');
	if (!end)
		return 0;
	name = linked_name(href, (size_t)(end - href), &entry.folder);
	end = strcasestr(end, "</a>");
	if (!name || !end)
		return 0;
	drop_tags(end);
	entry.name = name;
	entry.modified = short_date(end, &len);
	if (entry.modified)
		entry.size = exact_size(end + len);
	return index->fn(index->arg, &entry);
}

static int
end_line(struct autoindex *index)
{
	bool cut = index->cut;

	index->text[index->len] = '\0';
	index->len = 0;
	index->cut = false;
	return cut ? 0 : take_line(index, index->text);
}

/* ---- JSON ---- */

static void
add_char(struct autoindex *index, char c)
{
	if (index->len + 1 < sizeof(index->text) && c)
		index->text[index->len++] = c;
	else
		index->cut = true;
}

/* Of halves of a pair nobody makes names. */
static void
add_code(struct autoindex *index, uint32_t code)
{
	if (code >= 0xd800 && code < 0xe000) {
		index->cut = true;
	} else if (code < 0x80) {
		add_char(index, (char)code);
	} else if (code < 0x800) {
		add_char(index, (char)(0xc0 | code >> 6));
		add_char(index, (char)(0x80 | (code & 0x3f)));
	} else {
		add_char(index, (char)(0xe0 | code >> 12));
		add_char(index, (char)(0x80 | (code >> 6 & 0x3f)));
		add_char(index, (char)(0x80 | (code & 0x3f)));
	}
}

static int
bad(const struct autoindex *index, const char *expected, struct error *err)
{
	return error_set(err, ERROR_CORRUPT,
	    "the listing can't be understood: expected %s after %llu bytes",
	    expected, (unsigned long long)index->at);
}

static int
take_escaped(struct autoindex *index, char c, struct error *err)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *known = c ? strchr(from, c) : NULL;

	index->escape = 0;
	if (c == 'u') {
		index->escape = 'u';
		index->digits = index->code = 0;
		return 0;
	}
	if (!known)
		return bad(index, "what a backslash stands for", err);
	add_char(index, to[known - from]);
	return 0;
}

static int
take_digit(struct autoindex *index, char c, struct error *err)
{
	static const char hex[] = "0123456789abcdef";
	const char *digit = c ? strchr(hex, c | 0x20) : NULL;

	if (c >= '0' && c <= '9')
		digit = hex + (c - '0');
	if (!digit)
		return bad(index, "four hexadecimal digits", err);
	index->code = index->code << 4 | (uint32_t)(digit - hex);
	if (++index->digits == 4) {
		index->escape = 0;
		add_code(index, index->code);
	}
	return 0;
}

static void
begin_text(struct autoindex *index, enum autoindex_state state)
{
	index->state = state;
	index->len = 0;
	index->cut = false;
}

/* A value that is too long for what it is says nothing. */
static void
keep_value(struct autoindex *index)
{
	struct autoindex_entry *entry = &index->entry;
	const char *text = index->text;
	bool fits = !index->cut && index->len < AUTOINDEX_NAME;

	index->text[index->len] = '\0';
	if (strcmp(index->key, "name") == 0 && fits) {
		memcpy(index->name, text, index->len + 1);
		index->named = index->len > 0;
	} else if (strcmp(index->key, "type") == 0) {
		entry->folder = strcmp(text, "directory") == 0;
	} else if (strcmp(index->key, "mtime") == 0) {
		entry->modified = autoindex_date(text);
	} else if (strcmp(index->key, "size") == 0) {
		entry->size = exact_size(text);
	}
}

static int
end_string(struct autoindex *index)
{
	if (!index->in_key) {
		keep_value(index);
		index->state = AUTOINDEX_AFTER_VALUE;
		return 0;
	}
	index->text[index->len] = '\0';
	snprintf(index->key, sizeof(index->key), "%.7s", index->text);
	index->state = AUTOINDEX_COLON;
	return 0;
}

static int
in_string(struct autoindex *index, char c, struct error *err)
{
	if (index->escape == '\\')
		return take_escaped(index, c, err);
	if (index->escape == 'u')
		return take_digit(index, c, err);
	if (c == '"')
		return end_string(index);
	if (c == '\\')
		index->escape = '\\';
	else
		add_char(index, c);
	return 0;
}

static int
end_item(struct autoindex *index)
{
	index->state = AUTOINDEX_AFTER_ITEM;
	if (!index->named || strchr(index->name, '/'))
		return 0;
	index->entry.name = index->name;
	return index->fn(index->arg, &index->entry);
}

static int
at_item(struct autoindex *index, char c, struct error *err)
{
	if (c == ']' && !index->after_comma) {
		index->state = AUTOINDEX_DONE;
		return 0;
	}
	if (c != '{')
		return bad(index, "an object", err);
	index->entry = (struct autoindex_entry){ .size = AUTOINDEX_UNKNOWN };
	index->named = false;
	index->after_comma = false;
	index->state = AUTOINDEX_KEY;
	return 0;
}

static int
at_key(struct autoindex *index, char c, struct error *err)
{
	if (c == '}' && !index->after_comma)
		return end_item(index);
	if (c != '"')
		return bad(index, "a key", err);
	index->in_key = true;
	begin_text(index, AUTOINDEX_STRING);
	return 0;
}

static int
at_colon(struct autoindex *index, char c, struct error *err)
{
	if (c != ':')
		return bad(index, "a colon", err);
	index->state = AUTOINDEX_VALUE;
	return 0;
}

static int
at_value(struct autoindex *index, char c, struct error *err)
{
	if (c != '"' && !strchr("0123456789-tfn", c))
		return bad(index, "a text or a number", err);
	index->in_key = false;
	begin_text(index, c == '"' ? AUTOINDEX_STRING : AUTOINDEX_BARE);
	if (c != '"')
		add_char(index, c);
	return 0;
}

static int
after_value(struct autoindex *index, char c, struct error *err)
{
	if (c == '}')
		return end_item(index);
	if (c != ',')
		return bad(index, "a comma or the end of an object", err);
	index->after_comma = true;
	index->state = AUTOINDEX_KEY;
	return 0;
}

static int
in_bare(struct autoindex *index, char c, struct error *err)
{
	if (strchr("0123456789-+.eEtrufalsn", c)) {
		add_char(index, c);
		return 0;
	}
	keep_value(index);
	index->state = AUTOINDEX_AFTER_VALUE;
	return after_value(index, c, err);
}

static int
after_item(struct autoindex *index, char c, struct error *err)
{
	if (c != ']' && c != ',')
		return bad(index, "a comma or the end of the list", err);
	index->after_comma = c == ',';
	index->state = c == ',' ? AUTOINDEX_ITEM : AUTOINDEX_DONE;
	return 0;
}

static int
at_end(struct autoindex *index, char c, struct error *err)
{
	return bad(index, "nothing more", err);
}

/* ---- both ---- */

static int
at_start(struct autoindex *index, char c, struct error *err)
{
	if (c != '[' && c != '<')
		return bad(index, "a list of names in JSON or HTML", err);
	index->state = c == '[' ? AUTOINDEX_ITEM : AUTOINDEX_HTML;
	if (c == '<')
		add_char(index, c);
	return 0;
}

static int
in_html(struct autoindex *index, char c, struct error *err)
{
	if (c == '\n')
		return end_line(index);
	add_char(index, c);
	return 0;
}

typedef int step_fn(struct autoindex *index, char c, struct error *err);

static step_fn *const steps[] = {
	[AUTOINDEX_START] = at_start,
	[AUTOINDEX_HTML] = in_html,
	[AUTOINDEX_ITEM] = at_item,
	[AUTOINDEX_KEY] = at_key,
	[AUTOINDEX_COLON] = at_colon,
	[AUTOINDEX_VALUE] = at_value,
	[AUTOINDEX_STRING] = in_string,
	[AUTOINDEX_BARE] = in_bare,
	[AUTOINDEX_AFTER_VALUE] = after_value,
	[AUTOINDEX_AFTER_ITEM] = after_item,
	[AUTOINDEX_DONE] = at_end,
};

/* Space that means nothing where it stands. */
static bool
is_space(const struct autoindex *index, char c)
{
	return index->state != AUTOINDEX_HTML &&
	    index->state != AUTOINDEX_STRING &&
	    index->state != AUTOINDEX_BARE && c && strchr(" \t\r\n", c);
}

int
autoindex_feed(
    struct autoindex *index, const char *data, size_t size, struct error *err)
{
	for (size_t i = 0; i < size; i++) {
		char c = data[i];
		int rc = 0;

		if (index->state == AUTOINDEX_BARE && c &&
		    strchr(" \t\r\n", c)) {
			keep_value(index);
			index->state = AUTOINDEX_AFTER_VALUE;
		} else if (!c && index->state != AUTOINDEX_HTML &&
		    index->state != AUTOINDEX_STRING) {
			rc = bad(index, "text", err);
		} else if (!is_space(index, c)) {
			rc = steps[index->state](index, c, err);
		}
		index->at++;
		if (rc)
			return rc;
	}
	return 0;
}

int
autoindex_end(struct autoindex *index, struct error *err)
{
	int rc = index->state == AUTOINDEX_HTML ? end_line(index) : 0;

	if (rc || index->ended || index->state == AUTOINDEX_DONE)
		return rc;
	return error_set(err, ERROR_CORRUPT,
	    "the listing breaks off after %llu bytes",
	    (unsigned long long)index->at);
}
