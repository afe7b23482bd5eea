#include "remote/ssh_config.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"

#define DEPTH 16  /* of files that include one another */
#define WORDS 64  /* in one line */
#define TEXTS 100 /* keys of one host, as ssh has it */

enum applies { NO, YES, UNSURE };

struct reading {
	struct ssh_host *host;
	const char *path, *folder;
	size_t line;
	int depth;
	enum applies applies;
	size_t unsure; /* the line that decides, if it is UNSURE */
	struct error *err;

	char *words[WORDS + 1]; /* of this line, the keyword first; then NULL */
	size_t count;
};

void
ssh_texts_add(struct ssh_texts *texts, const char *text)
{
	texts->item =
	    xrealloc(texts->item, texts->count + 1, sizeof(*texts->item));
	texts->item[texts->count++] = xstrdup(text);
}

void
ssh_texts_release(struct ssh_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->item[i]);
	free(texts->item);
	*texts = (struct ssh_texts){ 0 };
}

void
ssh_host_init(struct ssh_host *host, const char *name, const char *home,
    const char *local_user)
{
	*host = (struct ssh_host){ .name = name,
		.home = home,
		.local_user = local_user,
		.keys_only = -1,
		.hash_known_hosts = -1 };
}

void
ssh_host_release(struct ssh_host *host)
{
	free(host->host_name);
	free(host->user);
	free(host->key_alias);
	free(host->agent);
	free(host->proxy_jump);
	free(host->proxy_command);
	ssh_texts_release(&host->keys);
	ssh_texts_release(&host->known_hosts);
	ssh_texts_release(&host->global_known_hosts);
	*host = (struct ssh_host){ 0 };
}

static int fail(const struct reading *r, size_t line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int
fail(const struct reading *r, size_t line, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(
	    r->err, ERROR_USAGE, "'%s' line %zu: %s", r->path, line, text);
}

/* ---- patterns ---- */

static bool
fits(const char *pattern, const char *text)
{
	const char *star = NULL, *from = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			from = text;
		} else if (*pattern == '?' || (*pattern && *pattern == *text)) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

/* One that fits, and none of those behind a '!' that does. */
static bool
any_fits(char *const *patterns, size_t count, const char *text)
{
	bool found = false;

	for (size_t i = 0; i < count; i++) {
		bool negated = patterns[i][0] == '!';

		if (!fits(patterns[i] + negated, text))
			continue;
		if (negated)
			return false;
		found = true;
	}
	return found;
}

static bool
list_fits(const char *list, const char *text)
{
	auto_free char *copy = xstrdup(list);
	char *next = copy, *patterns[WORDS];
	size_t count = 0;

	while (count < WORDS && (patterns[count] = strsep(&next, ",")))
		count++;
	return any_fits(patterns, count, text);
}

/* ---- words of a line ---- */

/* One word into `to`; false at the end, or at a comment. */
static bool
next_word(const char **p, const char *end, struct buf *to)
{
	char quote = '\0';

	while (*p < end && strchr(" \t\r", **p) && **p)
		++*p;
	if (*p == end || **p == '#')
		return false;
	for (; *p < end; ++*p) {
		if (!quote && (**p == ' ' || **p == '\t' || **p == '\r'))
			break;
		if (**p == '\\' && *p + 1 < end && strchr("\"'\\", (*p)[1]))
			buf_add(to, ++*p, 1);
		else if (quote ? **p == quote : **p == '"' || **p == '\'')
			quote = quote ? '\0' : **p;
		else
			buf_add(to, *p, 1);
	}
	return true;
}

/* `Port = 22`, `Port=22` and `Port 22` are the same. */
static const char *
take_keyword(struct reading *r, const char *p, const char *end)
{
	auto_buf word = BUF_INIT;

	while (p < end && *p && strchr(" \t\r", *p))
		p++;
	while (p < end && *p && !strchr(" \t\r=\"#", *p))
		buf_add(&word, p++, 1);
	if (word.len == 0)
		return end;
	while (p < end && *p && strchr(" \t\r", *p))
		p++;
	if (p < end && *p == '=')
		p++;
	r->words[r->count++] = buf_take(&word);
	return p;
}

static void
split(struct reading *r, const char *p, const char *end)
{
	r->count = 0;
	p = take_keyword(r, p, end);
	for (;;) {
		auto_buf word = BUF_INIT;

		if (r->count == WORDS || !next_word(&p, end, &word))
			break;
		r->words[r->count++] = buf_take(&word);
	}
	r->words[r->count] = NULL;
}

static void
drop_words(struct reading *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->words[i]);
	r->count = 0;
}

/* ---- Host and Match ---- */

static int
enter_host(struct reading *r)
{
	if (r->count < 2)
		return fail(r, r->line, "expected 'Host' with a pattern");
	r->applies =
	    any_fits(r->words + 1, r->count - 1, r->host->name) ? YES : NO;
	return 0;
}

static const char *
value_of(const struct reading *r, const char *criterion)
{
	const struct ssh_host *host = r->host;

	if (strcasecmp(criterion, "host") == 0)
		return host->host_name ? host->host_name : host->name;
	if (strcasecmp(criterion, "originalhost") == 0)
		return host->name;
	if (strcasecmp(criterion, "user") == 0)
		return host->user ? host->user : host->local_user;
	if (strcasecmp(criterion, "localuser") == 0)
		return host->local_user;
	return NULL;
}

/* Of those that we can't judge, these stand alone. */
static bool
stands_alone(const char *criterion)
{
	return strcasecmp(criterion, "canonical") == 0 ||
	    strcasecmp(criterion, "final") == 0;
}

/* One criterion and its value; moves *i behind them. */
static enum applies
judge(const struct reading *r, size_t *i)
{
	const char *word = r->words[(*i)++], *value;
	bool negated = *word == '!';

	word += negated;
	if (strcasecmp(word, "all") == 0)
		return negated ? NO : YES;
	if (stands_alone(word))
		return UNSURE;
	value = value_of(r, word);
	if (*i == r->count)
		return UNSURE;
	word = r->words[(*i)++];
	return !value ? UNSURE : list_fits(word, value) != negated ? YES : NO;
}

static int
enter_match(struct reading *r)
{
	r->applies = YES;
	if (r->count < 2)
		return fail(r, r->line, "expected 'Match' with a condition");
	for (size_t i = 1; i < r->count;) {
		enum applies one = judge(r, &i);

		if (one == NO || r->applies == NO)
			r->applies = NO;
		else if (one == UNSURE)
			r->applies = UNSURE;
	}
	if (r->applies == UNSURE)
		r->unsure = r->line;
	return 0;
}

/* ---- keywords ---- */

struct keyword {
	const char *name;
	int (*set)(struct reading *r, void *target);
	size_t at;
};

static int
set_text(struct reading *r, void *target)
{
	char **text = target;

	if (!*text)
		*text = xstrdup(r->words[1]);
	return 0;
}

/* A command: the rest of the line. */
static int
set_line(struct reading *r, void *target)
{
	char **text = target;

	if (!*text)
		*text = xasprintf("line %zu of '%s': %s", r->line, r->path,
		    strcasecmp(r->words[1], "none") == 0 ? "none"
		                                         : r->words[0]);
	return 0;
}

static int
set_port(struct reading *r, void *target)
{
	uint32_t *port = target;
	char *end;
	unsigned long number = strtoul(r->words[1], &end, 10);

	if (*end || number == 0 || number > UINT16_MAX)
		return fail(
		    r, r->line, "expected a port, got '%s'", r->words[1]);
	if (!*port)
		*port = (uint32_t)number;
	return 0;
}

static int
set_flag(struct reading *r, void *target)
{
	int *flag = target;

	if (*flag < 0)
		*flag = strcasecmp(r->words[1], "yes") == 0 ||
		    strcasecmp(r->words[1], "true") == 0;
	return 0;
}

static int
add_text(struct reading *r, void *target)
{
	struct ssh_texts *texts = target;

	if (texts->count < TEXTS)
		ssh_texts_add(texts, r->words[1]);
	return 0;
}

static int
set_texts(struct reading *r, void *target)
{
	struct ssh_texts *texts = target;
	bool given = texts->count > 0;

	for (size_t i = 1; !given && i < r->count; i++)
		ssh_texts_add(texts, r->words[i]);
	return 0;
}

static const struct keyword keywords[] = {
	{ "hostname", set_text, offsetof(struct ssh_host, host_name) },
	{ "user", set_text, offsetof(struct ssh_host, user) },
	{ "port", set_port, offsetof(struct ssh_host, port) },
	{ "hostkeyalias", set_text, offsetof(struct ssh_host, key_alias) },
	{ "identityfile", add_text, offsetof(struct ssh_host, keys) },
	{ "identitiesonly", set_flag, offsetof(struct ssh_host, keys_only) },
	{ "identityagent", set_text, offsetof(struct ssh_host, agent) },
	{ "userknownhostsfile", set_texts,
	    offsetof(struct ssh_host, known_hosts) },
	{ "globalknownhostsfile", set_texts,
	    offsetof(struct ssh_host, global_known_hosts) },
	{ "hashknownhosts", set_flag,
	    offsetof(struct ssh_host, hash_known_hosts) },
	{ "proxyjump", set_line, offsetof(struct ssh_host, proxy_jump) },
	{ "proxycommand", set_line, offsetof(struct ssh_host, proxy_command) },
};

static int
set_value(struct reading *r, const struct keyword *keyword)
{
	void *target = (char *)r->host + keyword->at;

	if (r->applies == UNSURE)
		return fail(r, r->line,
		    "whether '%s' is for '%s' is up to line %zu, a 'Match' "
		    "with more than all, host, originalhost, user and "
		    "localuser, which are understood",
		    r->words[0], r->host->name, r->unsure);
	if (r->count < 2)
		return fail(r, r->line, "'%s' has no value", r->words[0]);
	return keyword->set(r, target);
}

/* ---- files ---- */

static int parse(struct reading *r, const char *text, size_t size);

static int
read_one(struct reading *outer, struct ssh_host *host, const char *path,
    const char *folder, struct error *err)
{
	struct reading r = { .host = host,
		.path = path,
		.folder = folder,
		.depth = outer ? outer->depth + 1 : 0,
		.applies = outer ? outer->applies : YES,
		.err = err };
	auto_buf text = BUF_INIT;

	if (r.depth > DEPTH)
		return fail(outer, outer->line,
		    "files include one another more than %d deep", DEPTH);
	if (buf_read_file(&text, path, err) < 0) {
		bool absent = err->sys == ENOENT || err->sys == ENOTDIR;

		err->kind = absent ? ERROR_NONE : ERROR_USAGE;
		return absent ? 0 : -1;
	}
	return parse(&r, text.data, text.len);
}

static char *
from_home(const struct ssh_host *host, const char *path)
{
	if (path[0] == '~' && (path[1] == '/' || !path[1]))
		return xasprintf("%s%s", host->home, path + 1);
	return xstrdup(path);
}

static int
include_each(struct reading *r, const char *pattern)
{
	glob_t found;
	int rc = 0;

	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
		rc = read_one(r, r->host, found.gl_pathv[i], r->folder, r->err);
	globfree(&found);
	return rc;
}

static int
include(struct reading *r)
{
	for (size_t i = 1; r->folder && i < r->count; i++) {
		auto_free char *path = from_home(r->host, r->words[i]);
		auto_free char *whole = path[0] == '/'
		    ? xstrdup(path)
		    : xasprintf("%s/%s", r->folder, path);

		if (include_each(r, whole) < 0)
			return -1;
	}
	return 0;
}

static int
take_line(struct reading *r)
{
	const char *name = r->words[0];

	if (strcasecmp(name, "host") == 0)
		return enter_host(r);
	if (strcasecmp(name, "match") == 0)
		return enter_match(r);
	if (r->applies == NO)
		return 0;
	if (strcasecmp(name, "include") == 0)
		return include(r);
	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++) {
		if (strcasecmp(name, keywords[i].name) == 0)
			return set_value(r, &keywords[i]);
	}
	return 0;
}

static int
parse(struct reading *r, const char *text, size_t size)
{
	const char *end = text + size;
	int rc = 0;

	while (rc == 0 && text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		stop = stop ? stop : end;
		r->line++;
		split(r, text, stop);
		if (r->count > 0)
			rc = take_line(r);
		drop_words(r);
		text = stop + (stop < end);
	}
	return rc;
}

int
ssh_config_parse(struct ssh_host *host, const char *path, const char *folder,
    const char *text, size_t size, struct error *err)
{
	struct reading r = { .host = host,
		.path = path,
		.folder = folder,
		.applies = YES,
		.err = err };

	return parse(&r, text, size);
}

int
ssh_config_read(struct ssh_host *host, const char *path, const char *folder,
    struct error *err)
{
	return read_one(NULL, host, path, folder, err);
}

/* ---- tokens ---- */

/* `${NAME}`; returns how much of the text that is, 0: it is no such thing. */
static size_t
expand_variable(const char *text, struct buf *to)
{
	const char *end = text[1] == '{' ? strchr(text, '}') : NULL;
	auto_free char *name = NULL;
	const char *value;

	if (!end)
		return 0;
	name = xasprintf("%.*s", (int)(end - text - 2), text + 2);
	value = getenv(name);
	buf_addf(to, "%s", value ? value : "");
	return (size_t)(end + 1 - text);
}

static bool
expand_token(const struct ssh_host *host, char token, struct buf *to)
{
	const char *final = host->host_name ? host->host_name : host->name;

	switch (token) {
	case '%': buf_addf(to, "%%"); return true;
	case 'd': buf_addf(to, "%s", host->home); return true;
	case 'h': buf_addf(to, "%s", final); return true;
	case 'i': buf_addf(to, "%u", (unsigned)getuid()); return true;
	case 'n': buf_addf(to, "%s", host->name); return true;
	case 'p':
		buf_addf(to, "%u", host->port ? (unsigned)host->port : 22);
		return true;
	case 'r':
		buf_addf(to, "%s", host->user ? host->user : host->local_user);
		return true;
	case 'u': buf_addf(to, "%s", host->local_user); return true;
	default: return false;
	}
}

static int
expand(const struct ssh_host *host, char **text, const char *what,
    struct error *err)
{
	auto_buf to = BUF_INIT;
	auto_free char *from = NULL;

	if (!*text)
		return 0;
	from = from_home(host, *text);
	for (const char *p = from; *p;) {
		size_t variable = *p == '$' ? expand_variable(p, &to) : 0;

		if (!variable && *p == '%') {
			if (!expand_token(host, p[1], &to))
				return error_set(err, ERROR_USAGE,
				    "'%s' of '%s' in ssh's configuration is "
				    "'%s'; expected none of its tokens but "
				    "%%%% "
				    "%%d %%h %%i %%n %%p %%r %%u",
				    what, host->name, *text);
			variable = 2;
		} else if (!variable) {
			buf_add(&to, p, 1);
			variable = 1;
		}
		p += variable;
	}
	free(*text);
	*text = buf_take(&to);
	return 0;
}

static int
expand_all(const struct ssh_host *host, struct ssh_texts *texts,
    const char *what, struct error *err)
{
	for (size_t i = 0; i < texts->count; i++) {
		if (expand(host, &texts->item[i], what, err) < 0)
			return -1;
	}
	return 0;
}

/* Here %h is what was asked for. */
static int
expand_host_name(struct ssh_host *host, struct error *err)
{
	char *name = host->host_name;
	int rc;

	host->host_name = NULL;
	rc = expand(host, &name, "HostName", err);
	host->host_name = name;
	return rc;
}

static bool
is_proxy(const char *line)
{
	return line && strcmp(line + strlen(line) - 4, "none") != 0;
}

int
ssh_host_finish(struct ssh_host *host, struct error *err)
{
	const char *proxy =
	    host->proxy_jump ? host->proxy_jump : host->proxy_command;

	if (is_proxy(proxy))
		return error_set(err, ERROR_USAGE,
		    "'%s' is reached through another host (%s), which is not "
		    "supported; `ssh -L PORT:HOST:22` gives a port to use "
		    "instead",
		    host->name, proxy);
	if (expand_host_name(host, err) < 0 ||
	    expand(host, &host->agent, "IdentityAgent", err) < 0 ||
	    expand_all(host, &host->keys, "IdentityFile", err) < 0)
		return -1;
	return expand_all(host, &host->known_hosts, "UserKnownHostsFile", err);
}
