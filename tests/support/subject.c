#include "support/subject.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/check.h"
#include "support/proxied.h"
#include "support/spy.h"

#define LEAVES 16

/* What is to be set on the leaves that are being read. */
struct wanted {
	bool spied, fails, declines, packed;
	int fails_at;
	Tarn__Location *proxied; /* owned: through tarnd */
};

static struct wanted wanted[LEAVES];
static size_t leaves;

static Tarn__Location *parse(const char **p, const char *dir);

static bool
eat(const char **p, const char *word)
{
	if (strncmp(*p, word, strlen(word)) != 0)
		return false;
	*p += strlen(word);
	return true;
}

static Tarn__Level *
parse_level(const char **p, const char *dir)
{
	Tarn__Level *level = xmalloc(sizeof(*level));

	tarn__level__init(level);
	level->location = parse(p, dir);
	if (!eat(p, ":"))
		return level;
	for (; strchr("rnt", **p); ++*p) {
		level->read_only |= **p == 'r';
		level->no_replicate |= **p == 'n';
		level->touch |= **p == 't';
	}
	return level;
}

static void
pack_leaf(Tarn__Location *loc)
{
	Tarn__Option *option = xmalloc(sizeof(*option));

	free(loc->kind);
	loc->kind = xstrdup("disk");
	tarn__option__init(option);
	option->name = xstrdup(LOCATION_COMPRESS);
	option->value = xstrdup("zstd:1");
	loc->options = xmalloc(sizeof(*loc->options));
	loc->options[0] = option;
	loc->n_options = 1;
}

static void
parse_leaf(const char **p, const char *dir, Tarn__Location *loc)
{
	size_t len = strcspn(*p, ")");
	struct wanted *want = &wanted[leaves++];

	check(leaves <= LEAVES);
	loc->place = xasprintf("%s/%.*s", dir, (int)len, *p);
	*p += len;
	*want = (struct wanted){ .spied = strcmp(loc->kind, "disk") != 0,
		.fails = strcmp(loc->kind, "failing") == 0,
		.declines = strcmp(loc->kind, "declining") == 0,
		.packed = strcmp(loc->kind, "packed") == 0,
		.fails_at = -1 };
	if (want->packed) {
		pack_leaf(loc);
		want->spied = false;
	}
	if (!want->spied)
		return;
	want->fails_at = (int)loc->max_size - 1;
	loc->max_size = 0;
	free(loc->kind);
	loc->kind = xstrdup("disk");
}

/*
 * What TARN_TEST_URL says, with a name of its own for each leaf of each folder in
 * the place of its "{}".
 */
static Tarn__Location *
parse_remote(const char **p, const char *dir, bool proxied)
{
	const char *url = getenv("TARN_TEST_URL"), *hole;
	size_t len = strcspn(*p, ")");
	auto_free char *word = NULL;
	struct error err = { 0 };
	Tarn__Location *loc;

	check(url);
	hole = strstr(url, "{}");
	check(hole);
	word = xasprintf("%.*s%s-%.*s%s", (int)(hole - url), url,
	    strrchr(dir, '/') + 1, (int)len, *p, hole + 2);
	loc = location_from_word(word, dir, &err);
	check_str(err.text, "");
	*p += len + 1;
	check(leaves < LEAVES);
	wanted[leaves++] = (struct wanted){ .fails_at = -1,
		.proxied =
		    proxied ? location_from_word(word, dir, &err) : NULL };
	return loc;
}

static bool
is_composite(const Tarn__Location *loc)
{
	return strcmp(loc->kind, "levels") == 0 ||
	    strcmp(loc->kind, "fanout") == 0 || strcmp(loc->kind, "small") == 0;
}

static Tarn__Location *
parse(const char **p, const char *dir)
{
	Tarn__Location *loc;
	size_t len = strcspn(*p, "(");
	char *end;

	if (eat(p, "remote("))
		return parse_remote(p, dir, false);
	if (eat(p, "proxied("))
		return parse_remote(p, dir, true);
	loc = xmalloc(sizeof(*loc));
	tarn__location__init(loc);
	loc->kind = xasprintf("%.*s", (int)len, *p);
	*p += len + 1;
	loc->first = eat(p, "!");
	loc->max_size = strtoul(*p, &end, 10);
	*p = end + (*end == ',');
	loc->levels = xmalloc(16 * sizeof(void *));
	loc->members = xmalloc(16 * sizeof(void *));
	if (!is_composite(loc))
		parse_leaf(p, dir, loc);
	while (!eat(p, ")")) {
		if (strcmp(loc->kind, "levels") == 0)
			loc->levels[loc->n_levels++] = parse_level(p, dir);
		else
			loc->members[loc->n_members++] = parse(p, dir);
		(void)eat(p, ",");
	}
	return loc;
}

/* tarnd's, beside the folder that a test looks into. The caller frees it. */
static char *
tarn_dir(const struct subject *subject)
{
	return xasprintf("%s.tarn", subject->dir);
}

static void
set_wanted(void *arg, struct location *leaf)
{
	struct wanted *want = &wanted[leaves++];
	auto_free char *dir = tarn_dir(arg);
	struct spy *spy;

	if (want->proxied) {
		proxied_set(leaf, want->proxied, dir);
		tarn__location__free_unpacked(want->proxied, NULL);
	}

	if (!want->spied)
		return;
	spy = spy_on(leaf);
	spy->fails = want->fails;
	spy->declines = want->declines;
	spy->fails_at = want->fails_at;
}

struct location *
subject_again(const struct subject *subject, const char *description)
{
	struct error err = { 0 };
	Tarn__Location *config;
	struct location *loc;

	leaves = 0;
	config = parse(&description, subject->dir);
	loc = location_open(config, &err);
	check_str(err.text, "");
	tarn__location__free_unpacked(config, NULL);
	leaves = 0;
	location_each_leaf(loc, set_wanted, (void *)(uintptr_t)subject);
	return loc;
}

void
subject_open(struct subject *subject, const char *description)
{
	strcpy(subject->dir, "/tmp/tarn-test-XXXXXX");
	check(mkdtemp(subject->dir));
	subject->loc = subject_again(subject, description);
	subject->ailing = false;
	for (size_t i = 0; i < leaves; i++)
		subject->ailing |= wanted[i].fails || wanted[i].declines ||
		    wanted[i].fails_at >= 0;
}

void
subject_close(struct subject *subject)
{
	auto_free char *dir = tarn_dir(subject);

	location_close(subject->loc);
	proxied_end(dir);
	check_int(subject_shell(subject,
	              "chmod -R u+w . && rm -rf \"$PWD\" \"$PWD.tarn\""),
	    0);
}

struct nth {
	size_t left;
	struct location *found;
};

static void
take_nth(void *arg, struct location *leaf)
{
	struct nth *nth = arg;

	if (nth->left-- == 0)
		nth->found = leaf;
}

struct location *
subject_leaf(const struct subject *subject, size_t i)
{
	struct nth nth = { .left = i };

	location_each_leaf(subject->loc, take_nth, &nth);
	check(nth.found);
	return nth.found;
}

struct spy *
subject_spy(const struct subject *subject, size_t i)
{
	struct spy *spy = spy_of(subject_leaf(subject, i));

	check(spy);
	return spy;
}

int
subject_shell(const struct subject *subject, const char *fmt, ...)
{
	char command[4096];
	va_list ap;
	int len, status;

	len = snprintf(command, sizeof(command), "cd '%s' && { ", subject->dir);
	va_start(ap, fmt);
	len += vsnprintf(command + len, sizeof(command) - len, fmt, ap);
	va_end(ap);
	snprintf(command + len, sizeof(command) - len, "\n}");
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

char *
subject_value(unsigned seed, size_t size, struct key *key)
{
	char *data = xmalloc(size);

	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245 + 12345;
		data[i] = (char)(seed >> 16 & 0x3f);
	}
	key->space = KEY_BLOB;
	digest_bytes(&key->digest, data, size);
	return data;
}

enum outcome
put(struct location *loc, const struct key *key, const char *data, size_t size,
    enum write_mode mode)
{
	struct error err = { 0 };
	auto_source *in = source_memory(data, size);
	enum outcome outcome = location_write(loc, key, in, mode, &err);

	if (outcome == FAILED)
		check(err.text[0]);
	return outcome;
}

bool
has(struct location *loc, const struct key *key, const char *data, size_t size)
{
	struct error err = { 0 };
	auto_buf got = BUF_INIT;
	auto_sink *out = sink_buf(&got, SIZE_MAX);
	enum outcome outcome = location_read(loc, key, out, &err);

	check_str(err.text, "");
	if (outcome == HIT) {
		check_int(got.len, size);
		check(memcmp(got.data, data, size) == 0);
		check(loc->served);
	}
	return outcome == HIT;
}
