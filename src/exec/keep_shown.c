/*
 * What counts only where it shows.
 *
 * Who works where, in which job, and when a file was last changed don't count for a
 * program that we don't know, or hardly anything would hit. But a program may be
 * made to tell: then its output shows it, or a text that it goes by names it.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actions/environment.h"
#include "base/mem.h"
#include "exec/keeping.h"
#include "store/content.h"
#include "trace/classify.h"

#define TEXT_MAX (1 << 20)
#define VALUE_MIN 4 /* shorter ones are anywhere */

/* ---- variables ---- */

static bool
is_session(const char *name, size_t size)
{
	char copy[64];

	if (size == 0 || size >= sizeof(copy) ||
	    !environment_is_session(name, size) ||
	    environment_fits("TARN_*", name, size) ||
	    environment_fits("_", name, size) ||
	    environment_fits("PWD", name, size))
		return false;
	memcpy(copy, name, size);
	copy[size] = '\0';
	return !environment_is_left_out(copy);
}

static void
observe_variable(struct keeping *k, const char *name, size_t size)
{
	auto_free char *copy = xstrdup(name);

	copy[size] = '\0';
	(void)path_set_add(&k->set, PLACE_VARIABLE, FACET_CONTENT, copy);
}

static bool
in_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Each name of such a variable in the text. */
static void
observe_named(struct keeping *k, const char *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		size_t end = at;

		while (end < size && in_name(text[end]))
			end++;
		if (end > at && isupper((unsigned char)text[at]) &&
		    is_session(text + at, end - at))
			observe_variable(k, text + at, end - at);
		at = end > at ? end : at + 1;
	}
}

/* A script of the project, or of a user; C sources ask for no variables. */
static bool
may_name_variables(const struct keeping *k, const struct touched *t)
{
	return (t->facets & FACET_CONTENT) && !t->written &&
	    t->stamp.size <= TEXT_MAX && !content_is_source(t->path) &&
	    (!classify_is_system(t->path) ||
	        strncmp(t->path, k->job->root, strlen(k->job->root)) == 0);
}

static void
observe_named_in_texts(struct keeping *k)
{
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];
		auto_buf text = BUF_INIT;
		struct error err;

		if (may_name_variables(k, t) &&
		    buf_read_file(&text, t->path, &err) == 0 &&
		    !memchr(text.data, '\0', text.len < 512 ? text.len : 512))
			observe_named(k, text.data, text.len);
	}
}

void
keep_watch_shown(struct keeping *k)
{
	for (char *const *v = environ; *v; v++) {
		size_t size = strcspn(*v, "=");

		if ((*v)[size] && strlen(*v + size + 1) >= VALUE_MIN &&
		    is_session(*v, size))
			scan_variable(&k->scan, *v, *v + size + 1);
	}
	for (size_t i = 0; i < k->trace->count; i++)
		k->scan.moments |= k->trace->touched[i].timed;
}

void
keep_shown_variables(struct keeping *k)
{
	for (size_t i = 0; i < k->scan.variables; i++) {
		const char *v = k->scan.variable[i];

		if (k->scan.shown[i])
			observe_variable(k, v, strcspn(v, "="));
	}
	for (char *const *word = k->job->action.words; *word; word++)
		observe_named(k, *word, strlen(*word));
	observe_named_in_texts(k);
}

/* ---- times ---- */

static int
compare_ids(const void *a, const void *b)
{
	const struct file_id *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void
list_read(struct keeping *k)
{
	k->read = xmalloc((k->trace->count + 1) * sizeof(*k->read));
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];

		if ((t->facets & FACET_CONTENT) && t->stamped)
			k->read[k->read_count++] =
			    (struct file_id){ t->stamp.dev, t->stamp.ino };
	}
	qsort(k->read, k->read_count, sizeof(*k->read), compare_ids);
	k->read_known = true;
}

/* A library is opened by the link that its users name, and what fstat() asks about
 * is the file behind it. */
bool
keep_shown_reads(struct keeping *k, const struct touched *t)
{
	const struct file_id id = { t->stamp.dev, t->stamp.ino };

	if ((t->facets & FACET_CONTENT) || !t->stamped)
		return t->facets & FACET_CONTENT;
	if (!k->read_known)
		list_read(k);
	return bsearch(
	    &id, k->read, k->read_count, sizeof(*k->read), compare_ids);
}

static bool
shows_time(const struct scan *scan, int64_t ns)
{
	time_t seconds = ns / 1000000000;
	struct tm here, there;

	if (scan->moment_count == SCAN_MOMENTS)
		return true;
	localtime_r(&seconds, &here);
	gmtime_r(&seconds, &there);
	for (size_t i = 0; i < scan->moment_count; i++) {
		int64_t moment = scan->moment[i];

		if (moment == seconds || moment == -scan_day(&here) ||
		    moment == -scan_day(&there))
			return true;
	}
	return false;
}

void
keep_shown_times(struct keeping *k)
{
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];
		const char *rest;
		enum place place;

		if (!t->timed || t->written || !t->stamped ||
		    marks_is_stable(k->job, t->path) ||
		    !shows_time(&k->scan, t->stamp.mtime_ns))
			continue;
		place = keeping_place(k->job, t->path, &rest);
		(void)path_set_add(&k->set, place, FACET_TIME, rest);
	}
}
