#include "cli/json_edit.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/json_text.h"

#define NOWHERE ((size_t)-1)

/* The text, and the same with spaces for comments, where it is plain JSON. */
struct edit {
	struct buf *text;
	struct json_text plain;
};

/* ---- where things are: all of it valid JSON ---- */

static size_t
skip_space(const char *text, size_t at)
{
	while (isspace((unsigned char)text[at]))
		at++;
	return at;
}

static size_t
skip_string(const char *text, size_t at)
{
	for (at++; text[at] && text[at] != '"'; at++) {
		if (text[at] == '\\' && text[at + 1])
			at++;
	}
	return at + 1;
}

/* Behind the value at `at`. */
static size_t
skip_value(const char *text, size_t at)
{
	int depth = 0;

	if (text[at] == '"')
		return skip_string(text, at);
	while (text[at]) {
		if (text[at] == '"') {
			at = skip_string(text, at);
			continue;
		}
		if (strchr("[{", text[at]))
			depth++;
		else if (strchr("]}", text[at]) && --depth <= 0)
			return depth < 0 ? at : at + 1;
		else if (depth == 0 && strchr(", \t\r\n", text[at]))
			return at;
		at++;
	}
	return at;
}

/* The next member or item from `at` on, NOWHERE at the end. */
static size_t
next_child(const char *text, size_t at)
{
	at = skip_space(text, at);
	if (text[at] == ',')
		at = skip_space(text, at + 1);
	return strchr("]}", text[at]) ? NOWHERE : at;
}

/* Behind a child: of a member, behind its value. */
static size_t
skip_child(const char *text, size_t at)
{
	size_t end = skip_value(text, at);
	size_t colon = skip_space(text, end);

	if (text[at] != '"' || text[colon] != ':')
		return end;
	return skip_value(text, skip_space(text, colon + 1));
}

static bool
is_text(const char *text, size_t at, const char *quoted)
{
	return strncmp(text + at, quoted, strlen(quoted)) == 0;
}

/* The value of the last member of that name, as JSON readers take it. */
static size_t
find_member(const char *text, size_t object, const char *name)
{
	auto_buf quoted = BUF_INIT;
	size_t found = NOWHERE;

	json_text(&quoted, name);
	for (size_t at = next_child(text, object + 1); at != NOWHERE;
	     at = next_child(text, skip_child(text, at))) {
		if (is_text(text, at, quoted.data))
			found = skip_space(
			    text, skip_space(text, skip_string(text, at)) + 1);
	}
	return found;
}

static size_t
find_item(const char *text, size_t list, const char *quoted)
{
	for (size_t at = next_child(text, list + 1); at != NOWHERE;
	     at = next_child(text, skip_child(text, at))) {
		if (is_text(text, at, quoted))
			return at;
	}
	return NOWHERE;
}

/* The last rule for `match`. */
static size_t
find_rule(const char *text, size_t list, const char *match)
{
	auto_buf quoted = BUF_INIT;
	size_t found = NOWHERE;

	json_text(&quoted, match);
	for (size_t at = next_child(text, list + 1); at != NOWHERE;
	     at = next_child(text, skip_child(text, at))) {
		size_t value =
		    text[at] == '{' ? find_member(text, at, "match") : NOWHERE;

		if (value != NOWHERE && is_text(text, value, quoted.data))
			found = at;
	}
	return found;
}

/* ---- changes ---- */

static void
replace(struct buf *text, size_t from, size_t to, const char *by)
{
	auto_buf fresh = BUF_INIT;

	buf_add(&fresh, text->data, from);
	buf_add(&fresh, by, strlen(by));
	buf_add(&fresh, text->data + to, text->len - to);
	buf_reset(text);
	buf_add(text, fresh.data, fresh.len);
}

/* How far the line of `at` is indented, if nothing else is in front of it there. */
static bool
own_line(const char *text, size_t at, struct buf *indent)
{
	size_t begin = at;

	while (begin > 0 && strchr(" \t", text[begin - 1]))
		begin--;
	if (begin == 0 || text[begin - 1] != '\n')
		return false;
	buf_add(indent, text + begin, at - begin);
	return true;
}

/* Behind the child that ends at `end`, and a comment that follows it on its line. */
static size_t
behind_comment(const struct edit *e, size_t end)
{
	size_t at = end;

	while (e->plain.text[at] == ' ' || e->plain.text[at] == '\t' ||
	    e->plain.text[at] == '\r')
		at++;
	if (e->plain.text[at] != '\n' ||
	    memmem(e->text->data + end, at - end, "/*", 2))
		return end;
	while (at > end && isspace((unsigned char)e->text->data[at - 1]))
		at--;
	return at;
}

/* As the first child of an empty object or list. */
static void
insert_first(struct edit *e, size_t container, const char *child)
{
	bool list = e->text->data[container] == '[';
	auto_free char *text = xasprintf(container == 0 ? "\n  %s\n"
	        : list                                  ? "%s"
	                                                : " %s ",
	    child);

	replace(e->text, container + 1, container + 1, text);
}

/* Behind the others, on a line of its own if they have some. */
static void
insert(struct edit *e, size_t container, const char *child)
{
	const char *text = e->plain.text;
	size_t at = next_child(text, container + 1), last = at, end;
	auto_buf indent = BUF_INIT;
	auto_buf fresh = BUF_INIT;

	if (at == NOWHERE) {
		insert_first(e, container, child);
		return;
	}
	for (; at != NOWHERE; at = next_child(text, skip_child(text, at)))
		last = at;
	end = skip_child(text, last);
	if (!own_line(text, last, &indent)) {
		buf_addf(&fresh, ", %s", child);
		replace(e->text, end, end, fresh.data);
		return;
	}
	at = behind_comment(e, end);
	buf_addf(&fresh, ",%.*s\n%s%s", (int)(at - end), e->text->data + end,
	    indent.data, child);
	replace(e->text, end, at, fresh.data);
}

/* With one of the commas beside it. */
static void
remove_item(struct edit *e, size_t list, size_t item)
{
	const char *text = e->plain.text;
	size_t end = skip_child(text, item), next = skip_space(text, end);
	size_t begin = item;

	while (begin > list + 1 && isspace((unsigned char)text[begin - 1]))
		begin--;
	if (text[next] == ',')
		replace(e->text, item, skip_space(e->text->data, next + 1), "");
	else if (text[begin - 1] == ',') {
		size_t space = item;

		/* A comment in between stays. */
		while (isspace((unsigned char)e->text->data[space - 1]))
			space--;
		replace(e->text, space == begin ? begin : item, end, "");
		replace(e->text, begin - 1, begin, "");
	} else
		replace(e->text, item, end, "");
}

/* ---- the mark ---- */

static int
refuse(const char *path, const char *what, struct error *err)
{
	return error_set(err, ERROR_USAGE, "%s: %s", path, what);
}

/* A rule for the mark alone, or its list, or its text: as far as it is missing. */
static void
add_rule(const struct json_mark *mark, struct buf *to)
{
	buf_addf(to, "{ \"match\": ");
	json_text(to, mark->match);
	buf_addf(to, ", \"%s\": [", mark->list);
	json_text(to, mark->spec);
	buf_addf(to, "] }");
}

static int
mark_in_rule(struct edit *e, const char *path, size_t rule,
    struct json_mark *mark, struct error *err)
{
	const char *text = e->plain.text;
	size_t list = find_member(text, rule, mark->list);
	auto_buf quoted = BUF_INIT;
	auto_buf member = BUF_INIT;

	json_text(&quoted, mark->spec);
	if (list == NOWHERE) {
		buf_addf(&member, "\"%s\": [%s]", mark->list, quoted.data);
		insert(e, rule, member.data);
	} else if (text[list] != '[')
		return refuse(path, "a rule's list of sources is no list", err);
	else if (find_item(text, list, quoted.data) != NOWHERE)
		mark->there = true;
	else
		insert(e, list, quoted.data);
	return 0;
}

static int
mark_in_rules(struct edit *e, const char *path, size_t rules,
    struct json_mark *mark, struct error *err)
{
	auto_buf rule = BUF_INIT;
	size_t at;

	if (e->plain.text[rules] != '[')
		return refuse(path, "\"actions\" is no list", err);
	at = find_rule(e->plain.text, rules, mark->match);
	if (at != NOWHERE)
		return mark_in_rule(e, path, at, mark, err);
	add_rule(mark, &rule);
	insert(e, rules, rule.data);
	return 0;
}

static int
mark_in_file(
    struct edit *e, const char *path, struct json_mark *mark, struct error *err)
{
	size_t top = skip_space(e->plain.text, 0);
	auto_buf rules = BUF_INIT;
	size_t at;

	if (e->plain.text[top] != '{')
		return refuse(path, "it is no object", err);
	at = find_member(e->plain.text, top, "actions");
	if (at != NOWHERE)
		return mark_in_rules(e, path, at, mark, err);
	buf_addf(&rules, "\"actions\": [\n    ");
	add_rule(mark, &rules);
	buf_addf(&rules, "\n  ]");
	insert(e, top, rules.data);
	return 0;
}

/* Take it out of the other list of the same rule. */
static void
unmark(struct edit *e, struct json_mark *mark)
{
	const char *text = e->plain.text;
	size_t top = skip_space(text, 0), at;
	auto_buf quoted = BUF_INIT;

	json_text(&quoted, mark->spec);
	at = text[top] == '{' ? find_member(text, top, "actions") : NOWHERE;
	if (at != NOWHERE && text[at] == '[')
		at = find_rule(text, at, mark->match);
	else
		at = NOWHERE;
	if (at != NOWHERE)
		at = find_member(text, at, mark->other);
	if (at != NOWHERE && text[at] == '[') {
		size_t item = find_item(text, at, quoted.data);

		mark->moved = item != NOWHERE;
		if (mark->moved)
			remove_item(e, at, item);
	}
}

/* Both steps begin with what the one before left. */
int
json_edit_mark(struct buf *text, const char *path, struct json_mark *mark,
    struct error *err)
{
	auto_buf fresh = BUF_INIT;
	struct edit e = { .text = &fresh };
	int status;

	mark->moved = mark->there = false;
	buf_add(&fresh, text->data, text->len);
	if (json_text_parse(&e.plain, path, fresh.data, fresh.len, err) < 0)
		return -1;
	unmark(&e, mark);
	json_text_release(&e.plain);
	if (json_text_parse(&e.plain, path, fresh.data, fresh.len, err) < 0)
		return -1;
	status = mark_in_file(&e, path, mark, err);
	json_text_release(&e.plain);
	if (status == 0) {
		buf_reset(text);
		buf_add(text, fresh.data, fresh.len);
	}
	return status;
}
