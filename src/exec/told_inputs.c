/*
 * From the list of what a compile read to all that it learned: the names that stand in
 * there, in every place where they could have been found.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "exec/told.h"
#include "exec/toolchain.h"
#include "store/content.h"
#include "trace/classify.h"

struct telling {
	struct job *job;
	struct trace *trace;
	struct includes names;
	struct digest
	    *digests; /* of what was read, in the order of `touched` */
	bool *named;  /* ... whether a name leads there */
	size_t read;  /* the first so many of `touched` */
};

static bool
refuse(struct telling *t, const char *path, const char *what)
{
	trace_refuse(
	    t->trace, "its depfile does not tell all: '%.150s' %s", path, what);
	return false;
}

/* ---- what was read ---- */

#define LOOKED (FACET_CONTENT | FACET_TYPE | FACET_ABSENT)

/* Where a name leads through links, compilers may call the file by another one. */
static void
add_link(struct telling *t, const char *path)
{
	struct touched *item = trace_touch(t->trace, path);
	char target[PATH_MAX];
	ssize_t size;

	if (item->facets & FACET_LINK)
		return;
	size = readlink(item->path, target, sizeof(target));
	item->facets |= FACET_LINK;
	item->linked = true;
	if (size >= 0)
		digest_bytes(&item->link, target, (size_t)size);
}

/* Of the file, and of each folder on the way, from the root on if it is below it. */
static void
add_links(struct telling *t, const char *path)
{
	size_t root = strlen(t->job->root);
	bool below = root > 1 && strncmp(path, t->job->root, root) == 0 &&
	    path[root] == '/';
	auto_free char *part = xstrdup(path);

	for (char *slash = part + (below ? root : 0);
	     (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		add_link(t, part);
		*slash = '/';
	}
	add_link(t, part);
}

/* Not touched since before it began, so what it was told of is what is there. */
static bool
is_older(const struct telling *t, const struct touched *item)
{
	return item->stamp.ctime_ns < t->trace->began_ns &&
	    stamp_settled(&item->stamp, -1, item->path);
}

static bool
add_input(struct telling *t, const char *path)
{
	struct touched *item = trace_touch(t->trace, path);
	struct stat st;

	if (item->facets & FACET_CONTENT)
		return true;
	if (stat(item->path, &st) < 0)
		return refuse(t, item->path, "went away while it ran");
	if (!S_ISREG(st.st_mode))
		return refuse(t, item->path, "is no file");
	stamp_of(&item->stamp, &st);
	if (!is_older(t, item))
		return refuse(t, item->path, "changed while it ran");
	item->facets |= FACET_CONTENT;
	item->stamped = true;
	item->mode = st.st_mode;
	item->opened = 1;
	return true;
}

bool
told_is_system(const struct job *job, const char *path)
{
	const char *const own[] = { job->root, job->cwd };

	for (size_t i = 0; i < 2; i++) {
		size_t size = strlen(own[i]);

		if (size > 1 && strncmp(path, own[i], size) == 0 &&
		    path[size] == '/')
			return false;
	}
	return classify_is_system(path);
}

static int
by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

/* Compilers may take two files with the same bytes, or the same file by two names, for
 * one that was read before, and go by times or inodes. */
static bool
are_different(struct telling *t)
{
	qsort(t->digests, t->read, sizeof(*t->digests), by_bytes);
	for (size_t i = 1; i < t->read; i++) {
		if (digest_equal(&t->digests[i - 1], &t->digests[i]))
			return refuse(t, t->job->action.output,
			    "was made of two files with the same content");
	}
	return true;
}

/* A file that warnings may quote, if it is there. */
static bool
add_quoted(struct telling *t, const char *path)
{
	struct touched *item = trace_touch(t->trace, path);
	struct stat st;

	if (item->facets & (FACET_CONTENT | FACET_ABSENT))
		return true;
	if (stat(item->path, &st) == 0) {
		add_links(t, path);
		return add_input(t, path);
	}
	if (errno != ENOENT && errno != ENOTDIR)
		return refuse(t, item->path, "can't be looked for");
	item->facets |= FACET_ABSENT;
	return true;
}

/* gcc takes the lines in its warnings from the file that a text passes for. What
 * passes for one of the system is not looked through for assembly. */
static bool
add_posings(struct telling *t, const char *path)
{
	for (size_t i = 0; i < t->names.posings; i++) {
		auto_free char *posing =
		    action_path(&t->job->action, t->names.posing[i]);

		if (told_is_system(t->job, posing))
			return refuse(t, path, "passes for one of the system");
		if (!add_quoted(t, posing))
			return false;
	}
	return true;
}

static bool
read_text(struct telling *t, size_t i)
{
	const char *path = t->trace->touched[i].path;
	struct content content;
	auto_buf text = BUF_INIT;
	struct error err;

	if (content_of(&content, t->trace->table, AT_FDCWD, path, &err) < 0 ||
	    buf_read_file(&text, path, &err) < 0)
		return refuse(t, path, "can't be read");
	t->digests[i] = content.digest;
	if (text.len == 0) /* any number of these are as good as one */
		memcpy(t->digests[i].bytes, &i, sizeof(i));
	includes_scan(
	    &t->names, text.data, text.len, told_is_system(t->job, path));
	if (t->names.why)
		return refuse(t, path, t->names.why);
	return add_posings(t, path);
}

/* ---- what was looked for ---- */

static bool
is_precompiled(struct telling *t, const char *path)
{
	static const char *const suffixes[] = { "gch", "pch" };

	for (size_t i = 0; i < 2; i++) {
		auto_free char *name = xasprintf("%s.%s", path, suffixes[i]);
		struct touched *item = trace_touch(t->trace, name);
		struct stat st;

		if (stat(item->path, &st) == 0)
			return !refuse(t, item->path, "is there");
		item->facets |= FACET_ABSENT;
	}
	return false;
}

/* A place where a name may be found: whether it is there counts. */
static bool
look_for(struct telling *t, const char *path)
{
	struct touched *item = trace_touch(t->trace, path);
	size_t place = (size_t)(item - t->trace->touched);
	struct stat st;

	if (place < t->read)
		t->named[place] = true;
	if (!(item->facets & LOOKED) && stat(item->path, &st) == 0) {
		item->facets |= FACET_TYPE;
		item->stamped = true;
		item->mode = st.st_mode;
		stamp_of(&item->stamp, &st);
		if (!S_ISDIR(st.st_mode) && !is_older(t, item))
			return refuse(t, item->path, "came while it ran");
	} else if (!(item->facets & LOOKED)) {
		if (errno != ENOENT && errno != ENOTDIR)
			return refuse(t, item->path, "can't be looked for");
		item->facets = FACET_ABSENT;
	}
	return !is_precompiled(t, path);
}

static bool
look_in(struct telling *t, const char *folder, size_t size, const char *name)
{
	auto_free char *path = name[0] == '/'
	    ? xstrdup(name)
	    : xasprintf("%.*s/%s", (int)size, folder, name);

	return look_for(t, path);
}

static bool
look_everywhere(struct telling *t, const char *name)
{
	const struct words *folders = &t->job->tools->folders;

	for (size_t i = 0; i < folders->count; i++) {
		const char *folder = folders->item[i];

		if (!look_in(t, folder, strlen(folder), name))
			return false;
	}
	return true;
}

/* Names in quotes are looked for beside the file that has them first. */
static bool
look_beside(struct telling *t, const char *folder, size_t size,
    const struct includes *names)
{
	for (size_t i = 0; i < names->count; i++) {
		const struct include *name = &names->item[i];

		if ((name->quoted && !look_in(t, folder, size, name->name)))
			return false;
	}
	return true;
}

/* ---- all of it ---- */

/* Every file's names beside it; all names in all folders. */
static bool
look_for_all(struct telling *t)
{
	const struct includes *forced = &t->job->tools->plain.forced;

	if (!look_everywhere(t, "stdc-predef.h") ||
	    !look_beside(t, t->job->cwd, strlen(t->job->cwd), forced))
		return false;
	for (size_t i = 0; i < forced->count; i++) {
		if (!look_everywhere(t, forced->item[i].name))
			return false;
	}
	for (size_t i = 0; i < t->names.count; i++) {
		if (!look_everywhere(t, t->names.item[i].name))
			return false;
	}
	return true;
}

static bool
read_all(struct telling *t)
{
	struct includes all = { .item = NULL };
	bool good = true;

	for (size_t i = 0; i < t->read && good; i++) {
		auto_free char *path = xstrdup(t->trace->touched[i].path);

		add_links(t, path);
		good = read_text(t, i) && !is_precompiled(t, path) &&
		    look_beside(t, path, (size_t)(strrchr(path, '/') - path),
		        &t->names);
		for (size_t j = 0; j < t->names.count && good; j++)
			includes_add(&all, t->names.item[j].name,
			    strlen(t->names.item[j].name), false);
		includes_clear(&t->names);
	}
	includes_release(&t->names);
	t->names = all;
	return good;
}

/* Macros in the words, as in -DHAS=__has_include, are texts, too. */
static bool
read_macros(struct telling *t)
{
	char **words = t->job->action.words;

	for (size_t i = 1; words[i]; i++) {
		const char *text = words[i] + 2;
		auto_free char *line = NULL;

		if (strncmp(words[i], "-D", 2) != 0)
			continue;
		if (!*text && words[i + 1])
			text = words[++i];
		line = xasprintf("#define %s\n", text);
		if (strchr(line, '='))
			*strchr(line, '=') = ' ';
		includes_scan(&t->names, line, strlen(line), false);
		if (t->names.why || t->names.count > 0)
			return refuse(t, words[i],
			    t->names.why ? t->names.why : "asks for a file");
	}
	return true;
}

/* Whatever was read, a name must have led there. */
static bool
all_named(struct telling *t)
{
	for (size_t i = 1; i < t->read; i++) { /* the first is the source */
		if (!t->named[i])
			return refuse(t, t->trace->touched[i].path,
			    "was read, and nothing names it");
	}
	return true;
}

static bool
tell(struct telling *t, const struct words *list)
{
	if (!add_input(t, t->job->action.sources[0]))
		return false;
	for (size_t i = 0; i < list->count; i++) {
		if (!add_input(t, list->item[i]))
			return false;
	}
	t->read = t->trace->count;
	t->digests = xmalloc(t->read * sizeof(*t->digests));
	t->named = xmalloc(t->read * sizeof(*t->named));
	memset(t->named, 0, t->read * sizeof(*t->named));
	return read_macros(t) && read_all(t) && look_for_all(t) &&
	    all_named(t) && are_different(t);
}

bool
told_inputs(struct job *job, struct trace *trace, const struct words *list)
{
	struct telling t = { .job = job, .trace = trace };
	bool good = tell(&t, list);

	includes_release(&t.names);
	free(t.digests);
	free(t.named);
	return good;
}
