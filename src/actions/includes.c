/*
 * No lexer: comments and strings are looked through like all else, so that nothing
 * depends on how each compiler tells where they end. That finds names too many, and
 * now and then a reason too many; never one too few.
 */
#include "actions/includes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

void
includes_add(struct includes *found, const char *name, size_t size, bool quoted)
{
	for (size_t i = 0; i < found->count; i++) {
		if (found->item[i].quoted == quoted &&
		    strncmp(found->item[i].name, name, size) == 0 &&
		    !found->item[i].name[size])
			return;
	}
	if (found->count == found->cap) {
		found->cap = found->cap ? 2 * found->cap : 32;
		found->item =
		    xrealloc(found->item, found->cap, sizeof(*found->item));
	}
	found->item[found->count++] =
	    (struct include){ .name = xasprintf("%.*s", (int)size, name),
		    .quoted = quoted };
}

void
includes_release(struct includes *found)
{
	for (size_t i = 0; i < found->count; i++)
		free(found->item[i].name);
	for (size_t i = 0; i < found->posings; i++)
		free(found->posing[i]);
	free(found->item);
	free(found->posing);
	*found = (struct includes){ .item = NULL };
}

void
includes_clear(struct includes *found)
{
	struct includes kept = *found;

	includes_release(found);
	memcpy(found->pieces, kept.pieces, sizeof(kept.pieces));
	found->why = kept.why;
}

static void
refuse(struct includes *found, const char *why)
{
	if (!found->why)
		found->why = why;
}

/* ---- one text ---- */

struct scan {
	struct includes *found;
	const char *text, *end; /* without lines that go on; ends with a NUL */
	bool system;
};

struct identifier {
	const char *at;
	size_t size;
};

static bool
is_part(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static const char *
line_of(const struct scan *s, const char *at)
{
	while (at > s->text && at[-1] != '\n')
		at--;
	return at;
}

/* Past blanks and comments. */
static const char *
skip_blanks(const char *at)
{
	for (;;) {
		const char *close;

		while (*at && *at != '\n' && isspace((unsigned char)*at))
			at++;
		if (at[0] != '/' || at[1] != '*')
			return at;
		close = strstr(at + 2, "*/");
		if (!close)
			return at;
		at = close + 2;
	}
}

/* Some compilers take characters beyond ASCII for blanks, too. */
static bool
is_odd(char c)
{
	return (unsigned char)c >= 0x80;
}

/* Can a '#' at `hash` begin its line? A comment may stand in front of it, and may
 * have begun on another line; so may the mark of UTF-8. */
static bool
begins_line(const struct scan *s, const char *hash)
{
	const char *line = line_of(s, hash);

	if (memmem(line, (size_t)(hash - line), "*/", 2))
		return true;
	while (line < hash && (isspace((unsigned char)*line) || is_odd(*line)))
		line++;
	return line == hash;
}

static const char *
skip_odd(const char *at)
{
	for (at = skip_blanks(at); is_odd(*at);)
		at = skip_blanks(at + 1);
	return at;
}

/* Is it the first word behind a '#', "%:" or "?\?=" that begins a line? Or behind the end
 * of a comment, in front of which, lines ago, such a thing may be? */
static bool
is_directive(const struct scan *s, const char *at)
{
	static const char *const marks[] = { "#", "%:", "?\?=", "*/" };

	for (const char *c = line_of(s, at); c < at; c++) {
		for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
			size_t size = strlen(marks[i]);

			if (strncmp(c, marks[i], size) == 0 &&
			    skip_odd(c + size) == at &&
			    (marks[i][0] == '*' || begins_line(s, c)))
				return true;
		}
	}
	return false;
}

/* The name in quotes or angle brackets at `at`. False: there is none. */
static bool
add_name(struct scan *s, const char *at)
{
	char close = *at == '<' ? '>' : '"';
	size_t size;

	if (*at != '<' && *at != '"')
		return false;
	size = strcspn(++at, close == '>' ? ">\n" : "\"\n");
	if (at[size] != close || size == 0)
		return false;
	includes_add(s->found, at, size, close == '"');
	return true;
}

/* Could a macro begin here, or what hides one? Anything else is an error, or prose. */
static bool
may_expand(const char *at)
{
	return isalpha((unsigned char)*at) || (unsigned char)*at >= 0x80 ||
	    (*at && strchr("_$\\/", *at));
}

static void
see_include(struct scan *s, const struct identifier *word)
{
	const char *after = skip_blanks(word->at + word->size);

	if (is_directive(s, word->at) && !add_name(s, after) &&
	    may_expand(after))
		refuse(s->found, "includes a name that is no literal");
}

/* Does it stand behind a word that only asks whether it is defined? */
static bool
is_asked_for(const struct scan *s, const char *at)
{
	static const char *const words[] = { "defined", "ifdef", "ifndef",
		"elifdef", "elifndef" };
	const char *end = at;

	while (end > s->text && strchr(" \t(", end[-1]))
		end--;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t size = strlen(words[i]);
		const char *word = end - size;

		if ((size_t)(end - s->text) > size &&
		    memcmp(word, words[i], size) == 0 && !is_part(word[-1]) &&
		    (i == 0 || is_directive(s, word)))
			return true;
	}
	return false;
}

/* Without a parenthesis it is asked for itself, or stands in a text; but in a
 * definition, or as a macro's argument, it may get one elsewhere. */
static void
see_has_include(struct scan *s, const struct identifier *word)
{
	const char *after = skip_blanks(word->at + word->size);
	const char *line = line_of(s, word->at);

	const char *name = *after == '(' ? skip_blanks(after + 1) : "";

	if (!add_name(s, name) && may_expand(name))
		refuse(
		    s->found, "asks for a file by a name that is no literal");
	if (*after != '(' && !is_asked_for(s, word->at) &&
	    ((!s->system && *after && strchr(",)", *after)) ||
	        memmem(line, (size_t)(word->at - line), "define", 6)))
		refuse(s->found, "gives __has_include another name");
}

static void
see_embed(struct scan *s, const struct identifier *word)
{
	if (is_directive(s, word->at))
		refuse(s->found, "embeds a file");
}

static void
see_has_embed(struct scan *s, const struct identifier *word)
{
	refuse(s->found, "asks for a file to embed");
}

static void
see_incbin(struct scan *s, const struct identifier *word)
{
	refuse(s->found, "names .incbin, by which an assembler reads files");
}

static void
see_assembly(struct scan *s, const struct identifier *word)
{
	if (!s->system)
		refuse(s->found, "holds assembly, which can read files");
}

static void
see_precompiled(struct scan *s, const struct identifier *word)
{
	refuse(s->found, "names a precompiled header");
}

static void
see_alias(struct scan *s, const struct identifier *word)
{
	refuse(s->found, "gives a header another name");
}

/* A number, and perhaps a name: from there on the text passes for that file. */
static void
add_posing(struct scan *s, const char *at)
{
	struct includes *found = s->found;
	size_t size;

	at = skip_blanks(at + strspn(at, "0123456789"));
	size = *at == '"' ? strcspn(at + 1, "\"\\\n") : 0;
	if (*at == '"' && at[1 + size] == '"') {
		found->posing = xrealloc(
		    found->posing, found->posings + 1, sizeof(*found->posing));
		found->posing[found->posings++] =
		    xasprintf("%.*s", (int)size, at + 1);
	} else if (*at == '"' || *at == '\'' || may_expand(at)) { /* 1'000 */
		refuse(found, "passes for a file whose name is no literal");
	}
}

/* As in `# 5 "name"`. */
static void
see_number(struct scan *s, const struct identifier *word)
{
	if (!s->system && strspn(word->at, "0123456789") == word->size &&
	    is_directive(s, word->at))
		add_posing(s, word->at);
}

static void
see_line(struct scan *s, const struct identifier *word)
{
	if (!s->system && is_directive(s, word->at))
		add_posing(s, skip_blanks(word->at + word->size));
}

static const struct {
	const char *name;
	void (*see)(struct scan *s, const struct identifier *word);
} words[] = {
	{ "include", see_include },
	{ "include_next", see_include },
	{ "import", see_include },
	{ "__include_macros", see_include },
	{ "__has_include", see_has_include },
	{ "__has_include_next", see_has_include },
	{ "__has_include__", see_has_include },
	{ "__has_include_next__", see_has_include },
	{ "embed", see_embed },
	{ "__has_embed", see_has_embed },
	{ "incbin", see_incbin },
	{ "asm", see_assembly },
	{ "__asm", see_assembly },
	{ "__asm__", see_assembly },
	{ "pch_preprocess", see_precompiled },
	{ "include_alias", see_alias },
	{ "line", see_line },
};

static const char whole[] = "__has_include";
#define WHOLE (sizeof(whole) - 1)

/* Could macros join the pieces that were seen? */
static bool
can_be_joined(const struct includes *found)
{
	uint16_t ends = 1; /* where what is joined so far may end */

	for (size_t i = 0; i < WHOLE; i++) {
		if (ends >> i & 1)
			ends |= (uint16_t)(found->pieces[i] << i);
	}
	return ends >> WHOLE & 1;
}

/* A piece of "__has_include", wherever in there. */
static void
see_piece(struct scan *s, const struct identifier *word)
{
	struct includes *found = s->found;

	for (size_t i = 0; word->size < WHOLE && i + word->size <= WHOLE; i++) {
		if (memcmp(whole + i, word->at, word->size) == 0)
			found->pieces[i] |= (uint16_t)(1 << word->size);
	}
	found->pieces[6] |= 1 << 7; /* "include", which all have */
	if (can_be_joined(found))
		refuse(found, "holds the pieces of the word __has_include");
}

static void
see(struct scan *s, const struct identifier *word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strlen(words[i].name) == word->size &&
		    memcmp(words[i].name, word->at, word->size) == 0)
			words[i].see(s, word);
	}
	see_number(s, word);
	if (!s->system)
		see_piece(s, word);
}

static void
see_all(struct scan *s)
{
	const char *at = s->text;

	while (at < s->end) {
		struct identifier word = { .at = at };

		while (is_part(at[word.size]))
			word.size++;
		if (word.size > 0)
			see(s, &word);
		at += word.size ? word.size : 1;
	}
}

/* A backslash at the end of a line, blanks behind it or not, joins it to the next. */
static void
join_lines(struct buf *to, const char *text, size_t size)
{
	const char *end = text + size, *from = text;

	for (const char *at = text; at < end; at++) {
		const char *next = at + 1;

		if (*at != '\\')
			continue;
		while (next < end && *next && strchr(" \t\v\f\r", *next))
			next++;
		if (next == end || *next != '\n')
			continue;
		buf_add(to, from, (size_t)(at - from));
		from = next + 1;
		at = next;
	}
	buf_add(to, from, (size_t)(end - from));
}

/* Some compilers take it for the end of a line, others don't. */
static bool
has_lone_return(const char *text, size_t size)
{
	const char *end = text + size;

	while ((text = memchr(text, '\r', (size_t)(end - text)))) {
		if (++text == end || *text != '\n')
			return true;
	}
	return false;
}

void
includes_scan(
    struct includes *found, const char *text, size_t size, bool system)
{
	auto_buf joined = BUF_INIT;
	struct scan s = { .found = found, .system = system };

	if (memchr(text, '\0', size))
		refuse(found, "holds a byte that is no text");
	if (memmem(text, size, "?\?/", 3))
		refuse(found, "holds a trigraph");
	if (has_lone_return(text, size))
		refuse(found, "holds an odd end of a line");
	if (memmem(text, size, ".include", 8))
		refuse(
		    found, "names .include, by which an assembler reads files");
	join_lines(&joined, text, size);
	s.text = joined.data;
	s.end = joined.data + joined.len;
	see_all(&s);
}
