#include "actions/response.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static void
add_word(struct response *r, char *text, bool inside)
{
	r->word = xrealloc(r->word, r->count + 1, sizeof(*r->word));
	r->word[r->count++] = (struct response_word){ text, inside };
}

/* One word from `text` on, without its quotes. Returns where it ends, NULL if it
 * has a quote without an end. */
static const char *
read_word(const char *text, struct buf *word)
{
	while (*text && !strchr(" \t\n\r\f\v", *text)) {
		const char *end;

		if (*text != '\'' && *text != '"') {
			buf_add(word, text++, 1);
			continue;
		}
		end = strchr(text + 1, *text);
		if (!end)
			return NULL;
		buf_add(word, text + 1, (size_t)(end - text - 1));
		text = end + 1;
	}
	return text;
}

/* Backslashes mean different things to different compilers, and a file in a file
 * is too rare to be followed. */
static bool
is_plain(const struct buf *text)
{
	return !memchr(text->data, '\\', text->len) &&
	    !memchr(text->data, '@', text->len) &&
	    strlen(text->data) == text->len;
}

static bool
add_file(struct response *r, const char *path)
{
	size_t before = r->count;
	auto_buf text = BUF_INIT;
	struct error missing = { 0 };
	const char *at;

	if (buf_read_file(&text, path, &missing) < 0 || !is_plain(&text))
		return false;
	for (at = text.data; *(at += strspn(at, " \t\n\r\f\v"));) {
		auto_buf word = BUF_INIT;

		at = read_word(at, &word);
		if (!at)
			break;
		add_word(r, buf_take(&word), true);
	}
	while (!at && r->count > before)
		free(r->word[--r->count].text);
	return at != NULL;
}

void
response_init(struct response *r, char *const *argv, const char *cwd)
{
	*r = (struct response){ .understood = true };
	for (char *const *word = argv + 1; *word; word++) {
		const char *name = *word + 1;
		auto_free char *path = NULL;

		if (**word == '@') {
			path = name[0] == '/' ? xstrdup(name)
			                      : xasprintf("%s/%s", cwd, name);
			if (add_file(r, path))
				continue;
			r->understood = false;
		}
		add_word(r, xstrdup(*word), false);
	}
}

void
response_release(struct response *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->word[i].text);
	free(r->word);
	*r = (struct response){ 0 };
}
