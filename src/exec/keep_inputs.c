/* From what a command looked at to a path set that another run can look at. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actions/depfile.h"
#include "actions/environment.h"
#include "base/mem.h"
#include "exec/keeping.h"
#include "store/content.h"
#include "store/search.h"
#include "trace/classify.h"

/* ---- where ---- */

/* `path` as an observation has it. */
enum place
keeping_place(const struct job *job, const char *path, const char **rest)
{
	size_t size = strlen(job->root);

	*rest = path;
	if (job->outputs[0] && strcmp(path, job->outputs[0]) == 0) {
		*rest = "0";
		return PLACE_OUTPUT;
	}
	if (size > 1 && strncmp(path, job->root, size) == 0 &&
	    (path[size] == '/' || path[size] == '\0')) {
		*rest = path[size] ? path + size : "/";
		return PLACE_ROOT;
	}
	return PLACE_ABSOLUTE;
}

static struct observation *
observe(struct keeping *k, const char *path, uint32_t facets)
{
	const char *rest;
	enum place place = keeping_place(k->job, path, &rest);

	return path_set_add(&k->set, place, facets, rest);
}

/* ---- inputs ---- */

/* Is the content still what the command read? */
static bool
same_content(struct keeping *k, const struct touched *t)
{
	struct stat st;
	struct stamp stamp;
	struct content content;
	struct error err;

	if (stat(t->path, &st) < 0)
		return keeping_refuse(
		    k, t->path, "went away while the command ran");
	stamp_of(&stamp, &st);
	if (!stamp_equal(&stamp, &t->stamp))
		return keeping_refuse(
		    k, t->path, "changed while the command ran");
	if (!t->digested)
		return true;
	if (content_of(&content, k->trace->table, AT_FDCWD, t->path, &err) <
	        0 ||
	    !digest_equal(&content.digest, &t->digest))
		return keeping_refuse(
		    k, t->path, "changed while the command ran");
	return true;
}

static bool
same_link(struct keeping *k, const struct touched *t)
{
	static const struct digest none;
	struct digest now = none;
	char target[PATH_MAX];
	ssize_t size = readlink(t->path, target, sizeof(target));

	if (size >= 0)
		digest_bytes(&now, target, (size_t)size);
	return digest_equal(&now, &t->link) ||
	    keeping_refuse(k, t->path, "was retargeted while the command ran");
}

/* Its state now, if it is there. */
static bool
look_again(struct keeping *k, const struct touched *t, struct stat *st,
    struct stamp *stamp)
{
	if (stat(t->path, st) < 0)
		return keeping_refuse(
		    k, t->path, "went away while the command ran");
	stamp_of(stamp, st);
	return true;
}

/* Is it still what a program learned that only asked about it? Of names and owners
 * only the time of the last change tells. */
static bool
same_stat(struct keeping *k, const struct touched *t)
{
	struct stat st;
	struct stamp stamp;

	if (!look_again(k, t, &st, &stamp))
		return false;
	if (((st.st_mode ^ t->mode) & (S_IFMT | 07777)) ||
	    ((t->facets & FACET_TIME) && stamp.mtime_ns != t->stamp.mtime_ns) ||
	    ((t->facets & FACET_STAT) && S_ISREG(st.st_mode) &&
	        stamp.size != t->stamp.size) ||
	    ((t->facets & (FACET_NAMES | FACET_OWNER)) &&
	        stamp.ctime_ns != t->stamp.ctime_ns))
		return keeping_refuse(
		    k, t->path, "changed while the command ran");
	return true;
}

/* The accelerator does not say what it was like: it must not have changed since. */
static bool
older_than_run(struct keeping *k, const struct touched *t)
{
	struct stat st;
	struct stamp stamp;

	if (!look_again(k, t, &st, &stamp))
		return false;
	return !S_ISREG(st.st_mode) || stamp.ctime_ns < k->trace->began_ns ||
	    keeping_refuse(k, t->path, "changed while the command ran");
}

/* Is all that was seen of it still so? */
static bool
same_input(struct keeping *k, const struct touched *t)
{
	const uint32_t asked = FACET_TYPE | FACET_STAT | FACET_TIME;

	if ((t->facets & FACET_CONTENT) && !same_content(k, t))
		return false;
	if ((t->facets & asked) && t->stamped && !same_stat(k, t))
		return false;
	if ((t->facets & asked) && !t->stamped && !older_than_run(k, t))
		return false;
	return !t->linked || same_link(k, t);
}

/* What the fingerprint was taken of is what the command saw if it is still so: no
 * state of a file has the stamp of an earlier one. */
bool
keep_same_inputs(struct keeping *k)
{
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];

		if (!t->written && t->facets && !same_input(k, t))
			return false;
	}
	return true;
}

/* Of the last ones asked about. */
#define FOLDERS_KNOWN 64

static bool
is_there(const char *folder)
{
	static char known[FOLDERS_KNOWN][512];
	static unsigned turn;
	struct stat st;

	for (unsigned i = 0; i < FOLDERS_KNOWN; i++) {
		if (strcmp(known[i], folder) == 0)
			return true;
	}
	if (lstat(folder, &st) < 0)
		return false;
	if (strlen(folder) < sizeof(known[0]))
		memcpy(
		    known[turn++ % FOLDERS_KNOWN], folder, strlen(folder) + 1);
	return true;
}

/* A name that is missing because a folder above it is: that is what counts. */
static void
observe_absent(struct keeping *k, const char *path)
{
	auto_free char *missing = xstrdup(path);
	char *slash;

	while ((slash = strrchr(missing, '/')) && slash != missing) {
		*slash = '\0';
		if (is_there(missing)) {
			*slash = '/';
			break;
		}
	}
	(void)observe(k, missing, FACET_ABSENT);
}

/* Folders on the way to an output that may lie elsewhere next time. */
static bool
leads_to_output(const struct job *job, const struct touched *t)
{
	size_t size = strlen(t->path);

	return job->outputs[0] && !(t->facets & ~(FACET_LINK | FACET_TYPE)) &&
	    strncmp(job->outputs[0], t->path, size) == 0 &&
	    job->outputs[0][size] == '/';
}

static bool
leads_to_input(const struct keeping *k, const char *folder)
{
	size_t size = strlen(folder);

	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];

		if ((t->facets & FACET_CONTENT) && !t->written &&
		    strncmp(t->path, folder, size) == 0 && t->path[size] == '/')
			return true;
	}
	return false;
}

/* Is there compiled Python of this source, read or written? It has the time of
 * the source in it. */
static bool
has_compiled(const struct keeping *k, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t size = strlen(path);
	auto_free char *prefix = NULL;

	if (size < 4 || strcmp(path + size - 3, ".py") != 0)
		return false;
	prefix = xasprintf("%.*s/__pycache__/%.*s.", (int)(slash - path), path,
	    (int)(path + size - 3 - slash - 1), slash + 1);
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];

		if ((t->written || (t->facets & FACET_CONTENT)) &&
		    strncmp(t->path, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

/* A program that we don't know asked for all that stat() says. It goes by the time
 * if it had no other interest in the file. */
static uint32_t
time_facet(struct keeping *k, const struct touched *t)
{
	return t->timed && (!keep_shown_reads(k, t) || has_compiled(k, t->path))
	    ? FACET_TIME
	    : 0;
}

/* Of a stable source it only counts that it is there. */
static void
observe_stable(struct keeping *k, const struct touched *t)
{
	if (t->facets & ~(FACET_ABSENT | FACET_LINK))
		(void)observe(k, t->path, FACET_TYPE);
}

static bool
observe_input(struct keeping *k, const struct touched *t)
{
	struct observation *item;

	if (leads_to_output(k->job, t) && !leads_to_input(k, t->path))
		return true;
	if (t->facets == FACET_ABSENT ? marks_cover_absent(k->job, t->path)
	                              : marks_is_stable(k->job, t->path)) {
		observe_stable(k, t);
		return true;
	}
	if (t->facets == FACET_ABSENT) {
		observe_absent(k, t->path);
		return true;
	}
	if ((t->facets & FACET_ABSENT) && (t->facets & ~FACET_ABSENT))
		return keeping_refuse(
		    k, t->path, "came or went while the command ran");
	item = observe(k, t->path, t->facets | time_facet(k, t));
	if (t->listed) {
		item->known = true;
		item->digest = t->listing;
	}
	return true;
}

/* Does it have a mode that only a file that was there before could give it? */
static bool
keeps_odd_mode(const struct keeping *k, const struct touched *t)
{
	struct stat st;

	return t->before == S_IFREG && !t->fresh && !t->mode_set &&
	    lstat(t->path, &st) == 0 &&
	    (st.st_mode & 07777) != (0666 & ~k->job->umask);
}

static bool
runs_lld(const struct keeping *k)
{
	for (size_t i = 0; i < k->trace->program_count; i++) {
		const char *slash = strrchr(k->trace->programs[i], '/');

		if (slash && strstr(slash, "lld"))
			return true;
	}
	return false;
}

/*
 * lld opens an old output once, before it removes it, so that its blocks go in the
 * background when it is closed. Had it been an input, too, it would have been opened
 * twice.
 */
static bool
only_let_go(const struct keeping *k, const struct touched *t)
{
	const char *output = k->job->action.output;

	return t->opened == 1 && t->before == S_IFREG && t->fresh && output &&
	    strcmp(t->path, output) == 0 && k->job->action.compiler &&
	    keeping_knows_programs(k) && runs_lld(k);
}

/* A written path is an input as far as it was looked at before. */
static bool
observe_output(struct keeping *k, const struct touched *t)
{
	const uint32_t looks = FACET_STAT | FACET_TIME | FACET_NAMES;
	bool digested = t->digested && !only_let_go(k, t);
	bool room = k->job->action.compiler && keeping_knows_programs(k) &&
	    (t->before == 0 || t->before == S_IFREG) && !digested;
	uint32_t facets = 0;
	struct observation *item;

	if (t->probed)
		facets |= room ? FACET_ROOM : FACET_BEFORE;
	if (keeps_odd_mode(k, t) || (t->alone && is_there(t->path)))
		facets = (facets & ~FACET_ROOM) | FACET_BEFORE;
	if (digested)
		facets |= FACET_CONTENT;
	if (t->before == S_IFREG && t->stamped)
		facets |= t->facets & looks;
	if (!facets)
		return true;
	item = observe(k, t->path, facets);
	item->type = t->before;
	item->known = digested;
	item->digest = t->digest;
	item->can_run = t->mode & 0111;
	item->stamped = facets & looks;
	item->mode = t->mode;
	item->names = t->names;
	item->stamp = t->stamp;
	return true;
}

bool
keep_inputs(struct keeping *k)
{
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];

		if (t->written      ? !observe_output(k, t)
		        : t->facets ? !observe_input(k, t)
		                    : false)
			return false;
	}
	return true;
}

/* ---- variables and the machine ---- */

/* Whose variables are in the table of src/actions/environment.c. */
bool
keeping_knows_programs(const struct keeping *k)
{
	for (size_t i = 0; i < k->trace->program_count; i++) {
		enum program_class class =
		    classify_program(k->trace->programs[i]);

		if (class != PROGRAM_COMPILER && class != PROGRAM_ARCHIVER &&
		    class != PROGRAM_OBJECTS)
			return false;
	}
	return k->trace->program_count > 0 && !k->trace->stranger;
}

/* What was looked for along PATH, found or not; the command itself we have found. */
static void
observe_searches(struct keeping *k)
{
	const char *dirs = getenv("PATH"), *own = k->job->options.command[0];

	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];
		const char *name = t->program || (t->facets & FACET_ABSENT)
		    ? search_name(dirs, k->job->cwd, t->path)
		    : NULL;
		auto_free char *variable = NULL;

		if (!name || strcmp(name, own) == 0)
			continue;
		variable = xasprintf(SEARCH_PREFIX "%s", name);
		(void)path_set_add(
		    &k->set, PLACE_VARIABLE, FACET_CONTENT, variable);
	}
}

static void
observe_variables(struct keeping *k)
{
	if (!k->trace->observe && !k->job->action.compiler)
		return; /* what counts was declared */
	if ((!keeping_knows_programs(k) && k->trace->observe) ||
	    k->trace->asked_environment) {
		(void)path_set_add(&k->set, PLACE_VARIABLE, FACET_CONTENT, "*");
		keep_shown_variables(k);
		return;
	}
	for (const char *const *name = environment_compiler; *name; name++) {
		if (!environment_is_left_out(*name))
			(void)path_set_add(
			    &k->set, PLACE_VARIABLE, FACET_CONTENT, *name);
	}
	if (k->job->err_tty || k->job->out_tty)
		(void)path_set_add(
		    &k->set, PLACE_VARIABLE, FACET_CONTENT, "TERM");
	observe_searches(k);
}

static bool
has_native(char *const *words)
{
	for (; *words; words++) {
		if (strncmp(*words, "-m", 2) == 0 && strstr(*words, "=native"))
			return true;
	}
	return false;
}

/* Does an option map the root to something that is the same everywhere? */
static bool
maps_root(const struct job *job)
{
	static const char *const maps[] = { "-ffile-prefix-map=",
		"-fmacro-prefix-map=" };
	size_t root = strlen(job->root);

	for (char *const *word = job->action.words; *word; word++) {
		for (size_t i = 0; i < 2; i++) {
			size_t size = strlen(maps[i]);

			if (strncmp(*word, maps[i], size) == 0 &&
			    strncmp(*word + size, job->root, root) == 0 &&
			    (*word)[size + root] == '=')
				return true;
		}
	}
	return false;
}

/*
 * A source that is named by its path from the root's end of the world, and asks
 * for that path, can make something else of it than show it: its length, say.
 */
static bool
asks_for_own_path(const struct keeping *k)
{
	const struct job *job = k->job;
	bool named = false;

	bool asked = false;

	for (char *const *word = job->action.words; *word; word++) {
		named |= action_names_root(*word, job->root);
		asked |= content_clocks(*word, strlen(*word)) & TABLE_OWN_PATH;
	}
	if (!job->action.compiler || job->action.no_source || !named ||
	    maps_root(job))
		return false;
	if (asked)
		return true;
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];
		const char *rest;

		if ((t->facets & FACET_CONTENT) && !t->written &&
		    keeping_place(job, t->path, &rest) == PLACE_ROOT &&
		    (keeping_flags(k, t) & TABLE_OWN_PATH))
			return true;
	}
	return false;
}

static void
observe_machine(struct keeping *k)
{
	const struct job *job = k->job;
	bool known = job->action.compiler && job->action.known;
	bool plain = known && (!k->trace->observe || keeping_knows_programs(k));
	const struct {
		bool counts;
		enum place place;
		const char *name;
	} facts[] = {
		{ k->trace->asked_uname, PLACE_MACHINE, "uname" },
		{ k->trace->asked_cpu || has_native(job->action.words),
		    PLACE_MACHINE, "cpu" },
		{ k->trace->asked_cwd && !plain, PLACE_MACHINE, "cwd" },
		/* A wrapper may do to the words what no compiler would. */
		{ known && !plain, PLACE_MACHINE, "words" },
		{ k->scan.found[SCAN_ROOT] || asks_for_own_path(k),
		    PLACE_MACHINE, "root" },
		{ true, PLACE_MACHINE, "pwd" },
	};

	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++) {
		if (facts[i].counts)
			(void)path_set_add(&k->set, facts[i].place,
			    FACET_CONTENT, facts[i].name);
	}
}

void
keep_facts(struct keeping *k)
{
	observe_variables(k);
	observe_machine(k);
	keep_shown_times(k);
}

/* ---- declared ---- */

/* Nobody watched, so only what was not touched since we began counts. */
static bool
untouched(const struct keeping *k, const char *path)
{
	struct stamp stamp;
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	stamp_of(&stamp, &st);
	return stamp.ctime_ns < k->trace->began_ns &&
	    stamp_settled(&stamp, -1, path);
}

static void
observe_prerequisite(void *arg, const char *name)
{
	struct keeping *k = arg;
	auto_free char *path = action_path(&k->job->action, name);

	if (!untouched(k, path))
		(void)keeping_refuse(k, path, "changed while the command ran");
	(void)observe(k, path, FACET_CONTENT);
}

bool
keep_declared_inputs(struct keeping *k)
{
	const struct words *depfiles = &k->job->options.depfiles;
	const struct digest before = k->job->key;
	struct error again = { 0 };

	if (key_compute(k->job, &again) < 0 ||
	    !digest_equal(&before, &k->job->key)) {
		k->job->key = before;
		return keeping_refuse(
		    k, "a declared input", "changed while the command ran");
	}

	for (size_t i = 0; i < depfiles->count; i++) {
		auto_buf text = BUF_INIT;
		struct error err;

		if (buf_read_file(&text, depfiles->item[i], &err) < 0 ||
		    !depfile_each(text.data, text.len, observe_prerequisite, k))
			return keeping_refuse(
			    k, depfiles->item[i], "can't be read as a depfile");
	}
	return true;
}
