#include "actions/depfile.h"

#include <string.h>

#define MARK '\001'

/* Characters that compilers write as they are. */
static bool
is_plain_root(const char *root)
{
	for (const char *c = root; *c; c++) {
		if (strchr(" \t\n#$:\\*[]?~%'\"\001", *c))
			return false;
	}
	return root[0] == '/' && root[1];
}

/* Lines as if there were no end to them, and marks for the root. */
static void
flatten(const char *text, size_t size, const char *root, struct buf *to)
{
	size_t length = strlen(root);

	for (size_t i = 0; i < size;) {
		if (i + 3 <= size && memcmp(text + i, " \\\n", 3) == 0) {
			i += 3;
			while (i + 1 < size && text[i] == ' ' &&
			    text[i + 1] == ' ')
				i++;
		} else if (i + length < size && text[i + length] == '/' &&
		    (i == 0 || strchr(" \n", text[i - 1])) &&
		    memcmp(text + i, root, length) == 0) {
			buf_add(to, "\001", 1);
			i += length;
		} else
			buf_add(to, &text[i++], 1);
	}
}

/* One word of a line, with the root in place of its mark. Returns its size. */
static size_t
expand(const char *word, size_t size, const char *root, struct buf *to)
{
	size_t before = to->len;

	for (size_t i = 0; i < size; i++) {
		if (word[i] == MARK)
			buf_add(to, root, strlen(root));
		else
			buf_add(to, word + i, 1);
	}
	return to->len - before;
}

static size_t
word_size(const char *text, const char *end)
{
	const char *at = text;

	while (at < end && *at != ' ' && *at != '\n') {
		if (*at == '\\' && at + 1 < end)
			at++;
		at++;
	}
	return (size_t)(at - text);
}

/* gcc breaks a line before a word that would end beyond column 72, clang before
 * one that would leave less than two columns of 75. */
static void
put_word(struct buf *to, const struct buf *word, size_t *column, char style)
{
	size_t size = word->len;

	if (style == 'g') {
		if (*column && *column + size > 72) {
			buf_add(to, " \\\n", 3);
			*column = 0;
		}
		*column += 1 + size;
	} else {
		if (*column + size + 3 > 75) {
			buf_add(to, " \\\n ", 4);
			*column = 2;
		}
		*column += 1 + size;
	}
	buf_add(to, " ", 1);
	buf_add(to, word->data, size);
}

static void
lay_out(
    const char *text, size_t size, const char *root, char style, struct buf *to)
{
	const char *end = text + size;

	while (text < end) {
		size_t length = word_size(text, end), column;

		column = expand(text, length, root, to);
		text += length;
		while (text < end && *text == ' ') {
			auto_buf word = BUF_INIT;

			length = word_size(++text, end);
			(void)expand(text, length, root, &word);
			put_word(to, &word, &column, style);
			text += length;
		}
		if (text < end) {
			buf_add(to, "\n", 1);
			text++;
		}
	}
}

bool
depfile_unroot(const char *text, size_t size, const char *root, struct buf *to)
{
	static const char styles[] = "gc";
	auto_buf flat = BUF_INIT;

	if (!is_plain_root(root) || memchr(text, MARK, size) ||
	    memchr(text, '\0', size))
		return false;
	flatten(text, size, root, &flat);
	for (const char *style = styles; *style; style++) {
		auto_buf again = BUF_INIT;

		lay_out(flat.data, flat.len, root, *style, &again);
		if (again.len != size || memcmp(again.data, text, size) != 0)
			continue;
		buf_add(to, style, 1);
		buf_add(to, flat.data, flat.len);
		return true;
	}
	return false;
}

bool
depfile_rewrite(const char *text, size_t size, const char *root, struct buf *to)
{
	if (size == 0 || !is_plain_root(root))
		return false;
	lay_out(text + 1, size - 1, root, text[0], to);
	return true;
}

/* Past the target, whose end is a colon before white space. */
static const char *
past_target(const char *at, const char *end)
{
	while (at < end && *at != '\n' &&
	    !(*at == ':' && (at + 1 == end || strchr(" \n\t\\", at[1]))))
		at += *at == '\\' && at + 1 < end ? 2 : 1;
	return at < end && *at == ':' ? at + 1 : NULL;
}

/* Does the character at `at` only say that the next one is meant as it is? */
static bool
is_escape(const char *at)
{
	return (at[0] == '\\' && strchr(" #:\\", at[1])) ||
	    (at[0] == '$' && at[1] == '$');
}

static const char *
next_path(const char *at, const char *end, struct buf *path)
{
	while (at < end) {
		if (*at == '\\' && at + 1 < end && at[1] == '\n')
			at += 2;
		else if (*at == ' ' || *at == '\t')
			at++;
		else
			break;
	}
	while (at < end && !strchr(" \t\n", *at)) {
		if (*at == '\\' && at + 1 < end && at[1] == '\n')
			break;
		if (at + 1 < end && is_escape(at))
			at++;
		buf_add(path, at++, 1);
	}
	return at;
}

bool
depfile_each(const char *text, size_t size,
    void (*fn)(void *arg, const char *path), void *arg)
{
	const char *at = text, *end = text + size;

	while (at < end) {
		if (*at == '\n') {
			at++;
			continue;
		}
		at = past_target(at, end);
		if (!at)
			return false;
		for (;;) {
			auto_buf path = BUF_INIT;

			at = next_path(at, end, &path);
			if (path.len == 0)
				break;
			fn(arg, path.data);
		}
	}
	return true;
}
