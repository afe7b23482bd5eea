#include "locations/labels.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

void
labels_add(struct labels *labels, const char *label)
{
	if (labels->count == labels->room) {
		labels->room = labels->room ? 2 * labels->room : 8;
		labels->item =
		    xrealloc(labels->item, labels->room, sizeof(*labels->item));
	}
	labels->item[labels->count++] = xstrdup(label);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
labels_sort(struct labels *labels)
{
	size_t kept = 0;

	if (labels->count == 0)
		return;
	qsort(labels->item, labels->count, sizeof(*labels->item), compare);
	for (size_t i = 1; i < labels->count; i++) {
		if (strcmp(labels->item[i], labels->item[kept]) == 0)
			free(labels->item[i]);
		else
			labels->item[++kept] = labels->item[i];
	}
	labels->count = kept + 1;
}

bool
labels_equal(const struct labels *a, const struct labels *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->item[i], b->item[i]) != 0)
			return false;
	}
	return true;
}

void
labels_release(struct labels *labels)
{
	for (size_t i = 0; i < labels->count; i++)
		free(labels->item[i]);
	free(labels->item);
	*labels = (struct labels){ 0 };
}

/* ---- reading ---- */

struct text {
	const char *start, *at, *end;
	struct error *err;
};

static int
fail(const struct text *text, const char *expected)
{
	return error_set(text->err, ERROR_CORRUPT,
	    "byte %zu: expected %s, in a JSON list of texts",
	    (size_t)(text->at - text->start) + 1, expected);
}

static void
skip_spaces(struct text *text)
{
	while (
	    text->at < text->end && *text->at && strchr(" \t\r\n", *text->at))
		text->at++;
}

static bool
take_char(struct text *text, char c)
{
	if (text->at == text->end || *text->at != c)
		return false;
	text->at++;
	return true;
}

/* Four hexadecimal digits; -1: something else. */
static long
take_hex(struct text *text)
{
	static const char digits[] = "0123456789abcdef";
	long number = 0;

	for (int i = 0; i < 4; i++) {
		int c = text->at < text->end ? *text->at : 0;
		const char *digit = c ? strchr(digits, c) : NULL;

		if (!digit && c >= 'A' && c <= 'F')
			digit = digits + 10 + (c - 'A');
		if (!digit)
			return -1;
		number = number << 4 | (digit - digits);
		text->at++;
	}
	return number;
}

static void
add_utf8(struct buf *to, uint32_t c)
{
	char bytes[4];
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char heads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = len; i-- > 1; c >>= 6)
		bytes[i] = (char)(0x80 | (c & 0x3f));
	bytes[0] = (char)(heads[len] | c);
	buf_add(to, bytes, len);
}

/* Behind "\u". A pair of surrogates is one character; a lone low one, a byte. */
static int
parse_unicode(struct text *text, struct buf *to)
{
	long c = take_hex(text), low;

	if (c <= 0)
		return fail(text, "four hexadecimal digits, not all 0");
	if (c >= 0xdc80 && c <= 0xdcff) {
		buf_add(to, &(char){ (char)(c & 0xff) }, 1);
		return 0;
	}
	if (c < 0xd800 || c > 0xdfff) {
		add_utf8(to, (uint32_t)c);
		return 0;
	}
	low = c < 0xdc00 && take_char(text, '\\') && take_char(text, 'u')
	    ? take_hex(text)
	    : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return fail(text, "the other half of a pair of surrogates");
	add_utf8(to,
	    0x10000 + ((uint32_t)(c - 0xd800) << 10) +
	        (uint32_t)(low - 0xdc00));
	return 0;
}

static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";

static int
parse_escape(struct text *text, struct buf *to)
{
	const char *found;

	if (take_char(text, 'u'))
		return parse_unicode(text, to);
	found = text->at < text->end && *text->at ? strchr(escapes, *text->at)
	                                          : NULL;
	if (!found)
		return fail(text, "one of \" \\ / b f n r t u behind a \\");
	text->at++;
	buf_add(to, meanings + (found - escapes), 1);
	return 0;
}

static int
parse_label(struct text *text, struct buf *to)
{
	if (!take_char(text, '"'))
		return fail(text, "a text");
	for (;;) {
		if (text->at == text->end)
			return fail(text, "the end of a text");
		if (take_char(text, '"'))
			return 0;
		if ((unsigned char)*text->at < ' ')
			return fail(text, "no control character");
		if (!take_char(text, '\\'))
			buf_add(to, text->at++, 1);
		else if (parse_escape(text, to) < 0)
			return -1;
	}
}

static int
parse_list(struct text *text, struct labels *labels)
{
	auto_buf label = BUF_INIT;

	skip_spaces(text);
	if (!take_char(text, '['))
		return fail(text, "'['");
	skip_spaces(text);
	if (take_char(text, ']'))
		return 0;
	do {
		skip_spaces(text);
		buf_reset(&label);
		if (parse_label(text, &label) < 0)
			return -1;
		labels_add(labels, label.data);
		skip_spaces(text);
	} while (take_char(text, ','));
	return take_char(text, ']') ? 0 : fail(text, "',' or ']'");
}

int
labels_parse(
    struct labels *labels, const char *data, size_t size, struct error *err)
{
	struct text text = { data, data, data + size, err };

	if (parse_list(&text, labels) < 0)
		return -1;
	skip_spaces(&text);
	return text.at == text.end ? 0 : fail(&text, "the end");
}

/* ---- writing ---- */

/*
 * One character; bytes that are no UTF-8 come one by one, as the lone surrogates
 * that Python has for them.
 */
static uint32_t
next_char(const char **p)
{
	const unsigned char *s = (const unsigned char *)*p;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80 ? 1
	    : s[0] < 0xc2        ? 0
	    : s[0] < 0xe0        ? 2
	    : s[0] < 0xf0        ? 3
	    : s[0] < 0xf5        ? 4
	                         : 0;
	uint32_t c = len > 1 ? s[0] & (0xffU >> (len + 1)) : s[0];

	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			len = 0;
		else
			c = c << 6 | (s[i] & 0x3f);
	}
	if (!len || c < least[len] || c > 0x10ffff ||
	    (c >= 0xd800 && c < 0xe000)) {
		++*p;
		return 0xdc00 + s[0];
	}
	*p += len;
	return c;
}

static void
format_char(struct buf *to, uint32_t c)
{
	const char *found = c && c < 0x80 ? strchr(meanings, (int)c) : NULL;

	if (found && c != '/')
		buf_addf(to, "\\%c", escapes[found - meanings]);
	else if (c >= ' ' && c < 0x7f)
		buf_add(to, &(char){ (char)c }, 1);
	else if (c < 0x10000)
		buf_addf(to, "\\u%04x", c);
	else
		buf_addf(to, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
		    0xdc00 + (c & 0x3ff));
}

void
labels_format(const struct labels *labels, struct buf *to)
{
	buf_addf(to, "[");
	for (size_t i = 0; i < labels->count; i++) {
		buf_addf(to, "%s\"", i ? ", " : "");
		for (const char *p = labels->item[i]; *p;)
			format_char(to, next_char(&p));
		buf_addf(to, "\"");
	}
	buf_addf(to, "]");
}

/* ---- those of a value ---- */

int
labels_load(struct labels *labels, const char *data, size_t size,
    const char *where, struct error *err)
{
	if (size > LABELS_MAX)
		return error_set(err, ERROR_CORRUPT,
		    "labels in '%s': expected at most %zu bytes", where,
		    LABELS_MAX);
	if (labels_parse(labels, data, size, err) < 0)
		return error_wrap(err, "labels in '%s' are damaged", where);
	labels_sort(labels);
	return labels->count > 0;
}

enum outcome
labels_tell(
    const struct labels *labels, int there, location_label_fn *fn, void *arg)
{
	for (size_t i = 0; there > 0 && i < labels->count; i++) {
		if (fn(arg, labels->item[i]))
			break;
	}
	return there < 0 ? FAILED : there > 0 ? HIT : MISS;
}

int
labels_merge(const struct labels *had, int there, const char *const *more,
    struct buf *text, struct error *err)
{
	auto_labels labels = LABELS_INIT;

	if (there < 0 && err->kind != ERROR_CORRUPT)
		return -1;
	*err = (struct error){ 0 };
	for (size_t i = 0; there > 0 && i < had->count; i++)
		labels_add(&labels, had->item[i]);
	for (; *more; more++)
		labels_add(&labels, *more);
	labels_sort(&labels);
	if (there > 0 && labels_equal(had, &labels))
		return 0;
	labels_format(&labels, text);
	return text->len <= LABELS_MAX
	    ? 1
	    : error_set(err, ERROR_USAGE,
	          "too many labels: they take more than %zu bytes", LABELS_MAX);
}
