#include "base/json.h"

#include <stdbool.h>
#include <string.h>

/* How many bytes the UTF-8 character at `s` has; 0 if it is none. */
static size_t
utf8_size(const unsigned char *s)
{
	size_t size = *s < 0x80        ? 1
	    : *s >= 0xc2 && *s <= 0xdf ? 2
	    : *s >= 0xe0 && *s <= 0xef ? 3
	    : *s >= 0xf0 && *s <= 0xf4 ? 4
	                               : 0;

	for (size_t i = 1; i < size; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return size;
}

static bool
plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static const char *
escape(struct buf *to, const char *s)
{
	unsigned char c = (unsigned char)*s;
	size_t size = utf8_size((const unsigned char *)s);

	if (c == '"' || c == '\\')
		buf_addf(to, "\\%c", c);
	else if (c == '\n')
		buf_add(to, "\\n", 2);
	else if (c == '\t')
		buf_add(to, "\\t", 2);
	else if (c < 0x20 || c == 0x7f)
		buf_addf(to, "\\u%04x", c);
	else if (size == 0)
		buf_add(to, "\\ufffd", 6);
	else
		buf_add(to, s, size);
	return s + (size ? size : 1);
}

void
json_text(struct buf *to, const char *text)
{
	if (!text) {
		buf_add(to, "null", 4);
		return;
	}
	buf_add(to, "\"", 1);
	while (*text) {
		const char *end = text;

		while (plain((unsigned char)*end))
			end++;
		buf_add(to, text, (size_t)(end - text));
		text = *end ? escape(to, end) : end;
	}
	buf_add(to, "\"", 1);
}

void
json_name(struct buf *to, const char *name)
{
	if (to->len && to->data[to->len - 1] != '{')
		buf_add(to, ",", 1);
	buf_add(to, "\"", 1);
	buf_add(to, name, strlen(name));
	buf_add(to, "\":", 2);
}
