/*
 * Keeping what a run did: the path set from what it looked at, the record from
 * what it left, both only if everything agrees with the world as it is now.
 *
 * Blobs are stored first, then the record, then the path set, so that a reader
 * never meets a name whose content is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actions/depfile.h"
#include "actions/environment.h"
#include "base/mem.h"
#include "exec/job.h"
#include "exec/scan.h"
#include "store/content.h"
#include "trace/classify.h"

struct keeping {
	struct job *job;
	struct trace *trace;
	struct path_set set;
	struct record record;
	struct scan scan;
	const char *why; /* static; a refusal of our own */
	char text[400];
};

/* ---- where ---- */

/* `path` as an observation has it. */
static enum place
place_of(const struct job *job, const char *path, const char **rest)
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
	enum place place = place_of(k->job, path, &rest);

	return path_set_add(&k->set, place, facets, rest);
}

/* ---- inputs ---- */

static bool
refuse(struct keeping *k, const char *path, const char *what)
{
	if (!k->text[0])
		snprintf(
		    k->text, sizeof(k->text), "'%.200s' %.180s", path, what);
	return false;
}

/* Is the content still what the command read? */
static bool
same_content(struct keeping *k, const struct touched *t)
{
	struct stat st;
	struct stamp stamp;
	struct content content;
	struct error err;

	if (stat(t->path, &st) < 0)
		return refuse(k, t->path, "went away while the command ran");
	stamp_of(&stamp, &st);
	if (!stamp_equal(&stamp, &t->stamp))
		return refuse(k, t->path, "changed while the command ran");
	if (!t->digested)
		return true;
	if (content_of(&content, k->trace->table, AT_FDCWD, t->path, &err) <
	        0 ||
	    !digest_equal(&content.digest, &t->digest))
		return refuse(k, t->path, "changed while the command ran");
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
	    refuse(k, t->path, "was retargeted while the command ran");
}

/* A name that is missing because a folder above it is: that is what counts. */
static void
observe_absent(struct keeping *k, const char *path)
{
	static char known[PATH_MAX]; /* the last folder that was there */
	auto_free char *missing = xstrdup(path);
	char *slash;

	while ((slash = strrchr(missing, '/')) && slash != missing) {
		struct stat st;

		*slash = '\0';
		if (strcmp(missing, known) == 0 || lstat(missing, &st) == 0) {
			snprintf(known, sizeof(known), "%s", missing);
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

static bool
observe_input(struct keeping *k, const struct touched *t)
{
	struct observation *item;

	if (leads_to_output(k->job, t) && !leads_to_input(k, t->path))
		return true;
	if (t->facets == FACET_ABSENT) {
		observe_absent(k, t->path);
		return true;
	}
	if ((t->facets & FACET_ABSENT) && (t->facets & ~FACET_ABSENT))
		return refuse(k, t->path, "came or went while the command ran");
	if ((t->facets & FACET_CONTENT) && !same_content(k, t))
		return false;
	if (t->linked && !same_link(k, t))
		return false;
	item = observe(k, t->path, t->facets);
	if (t->listed) {
		item->known = true;
		item->digest = t->listing;
	}
	return true;
}

/* A written path is an input as far as it was looked at before. */
static bool
observe_output(struct keeping *k, const struct touched *t)
{
	bool room = k->job->action.compiler &&
	    (t->before == 0 || t->before == S_IFREG) && !t->digested;
	uint32_t facets = 0;
	struct observation *item;

	if (t->probed)
		facets |= room ? FACET_ROOM : FACET_BEFORE;
	if (t->digested)
		facets |= FACET_CONTENT;
	if (!facets)
		return true;
	item = observe(k, t->path, facets);
	item->type = t->before;
	item->known = t->digested;
	item->digest = t->digest;
	item->can_run = t->mode & 0111;
	return true;
}

static bool
observe_all(struct keeping *k)
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

static bool
knows_programs(const struct keeping *k)
{
	for (size_t i = 0; i < k->trace->program_count; i++) {
		if (classify_program(k->trace->programs[i]) != PROGRAM_COMPILER)
			return false;
	}
	return k->trace->program_count > 0;
}

static void
observe_variables(struct keeping *k)
{
	if (!knows_programs(k) || k->trace->asked_environment) {
		(void)path_set_add(&k->set, PLACE_VARIABLE, FACET_CONTENT, "*");
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

static void
observe_machine(struct keeping *k)
{
	const struct job *job = k->job;
	bool plain = job->action.compiler && job->action.known;
	const struct {
		bool counts;
		enum place place;
		const char *name;
	} facts[] = {
		{ k->trace->asked_uname, PLACE_MACHINE, "uname" },
		{ k->trace->asked_cpu || has_native(job->action.words),
		    PLACE_MACHINE, "cpu" },
		{ k->trace->asked_cwd && !plain, PLACE_MACHINE, "cwd" },
		{ k->scan.found[SCAN_ROOT], PLACE_MACHINE, "root" },
		{ k->scan.found[SCAN_PWD], PLACE_VARIABLE, "PWD" },
	};

	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++) {
		if (facts[i].counts)
			(void)path_set_add(&k->set, facts[i].place,
			    FACET_CONTENT, facts[i].name);
	}
}

/* ---- outputs ---- */

static bool
store_blob(
    struct keeping *k, const struct digest *digest, int fd, uint64_t size)
{
	struct key key = { KEY_BLOB, *digest };
	struct error err = { 0 };
	auto_source *source = source_file(fd, size);
	enum outcome outcome =
	    location_write(k->job->tree, &key, source, WRITE_IF_ABSENT, &err);

	if (outcome == STORED || outcome == KEPT)
		return true;
	snprintf(k->text, sizeof(k->text), "it could not be stored: %.350s",
	    err.text[0] ? err.text : "every location declined");
	return false;
}

/* The depfile of a compile, without root and line breaks if it has them. */
static bool
unroot(struct keeping *k, struct output *output, const char *path)
{
	const struct action *action = &k->job->action;
	auto_buf text = BUF_INIT;

	if (!action->depfile || strcmp(path, action->depfile) != 0 ||
	    !action->kind->unroot || strlen(k->job->root) < 2 ||
	    !memmem(output->contents.data, output->size, k->job->root,
	        strlen(k->job->root)) ||
	    !action->kind->unroot(
	        output->contents.data, output->size, k->job->root, &text) ||
	    text.len > RECORD_INLINE)
		return false;
	buf_reset(&output->contents);
	buf_add(&output->contents, text.data, text.len);
	output->size = text.len;
	digest_bytes(&output->digest, text.data, text.len);
	output->flags |= OUTPUT_REWRITE;
	return true;
}

static bool
keep_small(struct keeping *k, struct output *output, int fd, const char *path)
{
	char data[RECORD_INLINE];
	ssize_t got = pread(fd, data, sizeof(data), 0);

	if (got != (ssize_t)output->size)
		return refuse(k, path, "changed when the command had ended");
	buf_add(&output->contents, data, (size_t)got);
	digest_bytes(&output->digest, data, (size_t)got);
	if (!unroot(k, output, path))
		scan_bytes(&k->scan, data, (size_t)got);
	return true;
}

static bool
keep_large(struct keeping *k, struct output *output, int fd, const char *path)
{
	struct content content;
	struct error err;

	if (content_of(&content, k->job->table, AT_FDCWD, path, &err) < 0 ||
	    content.stamp.size != output->size)
		return refuse(k, path, "changed when the command had ended");
	output->digest = content.digest;
	scan_file(&k->scan, fd);
	return store_blob(k, &output->digest, fd, output->size);
}

static bool
keep_file(struct keeping *k, struct output *output, const char *path,
    const struct stat *st)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	output->size = (uint64_t)st->st_size;
	output->mtime_ns =
	    st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
	if (fd < 0)
		return refuse(k, path, "can't be read");
	if (output->size <= RECORD_INLINE)
		return keep_small(k, output, fd, path);
	return keep_large(k, output, fd, path);
}

static bool
keep_link(struct keeping *k, struct output *output, const char *path)
{
	char target[PATH_MAX];
	ssize_t size = readlink(path, target, sizeof(target) - 1);

	if (size < 0)
		return refuse(k, path, "changed when the command had ended");
	target[size] = '\0';
	output->target = xstrdup(target);
	scan_bytes(&k->scan, target, (size_t)size);
	return true;
}

static bool
keep_output(
    struct keeping *k, const char *path, const struct stat *st, uint32_t flags)
{
	enum output_type type = S_ISREG(st->st_mode) ? OUTPUT_FILE
	    : S_ISDIR(st->st_mode)                   ? OUTPUT_FOLDER
	                                             : OUTPUT_LINK;
	struct output *output;
	const char *rest;

	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) &&
	    !S_ISLNK(st->st_mode))
		return refuse(k, path, "is an output but no file");
	if (!job_allows(k->job, path))
		return refuse(k, path,
		    "is an output outside of the root, the working directory "
		    "and the arguments");
	output = record_add_output(&k->record, type);
	output->place = place_of(k->job, path, &rest);
	output->path = xstrdup(rest);
	output->mode = st->st_mode & 07777;
	output->flags = flags;
	if (type == OUTPUT_FILE)
		return keep_file(k, output, path, st);
	if (type == OUTPUT_LINK)
		return keep_link(k, output, path);
	return true;
}

/* A folder that was renamed into place: everything in it. */
static struct keeping *walking;

static int
keep_found(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const struct touched *t = trace_find(walking->trace, path);

	if (t && t->written)
		return 0; /* in its own turn */
	return keep_output(walking, path, st, 0) ? 0 : 1;
}

static bool
keep_written(struct keeping *k, const struct touched *t)
{
	uint32_t flags = (t->fresh ? 0 : OUTPUT_IN_PLACE) |
	    (t->mode_set ? OUTPUT_MODE_SET : 0) |
	    (t->time_set ? OUTPUT_TIME_SET : 0);
	struct stat st;

	if (lstat(t->path, &st) < 0) {
		if (t->before == 0)
			return true; /* it came and went */
		return refuse(k, t->path,
		    "was deleted by the command, which "
		    "had not made it");
	}
	if (!keep_output(k, t->path, &st, flags))
		return false;
	walking = k;
	return !t->tree || nftw(t->path, keep_found, 16, FTW_PHYS) == 0;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp((*(const struct touched *const *)a)->path,
	    (*(const struct touched *const *)b)->path);
}

/* Sorted, so that folders come before what is in them. */
static bool
keep_outputs(struct keeping *k)
{
	auto_free const struct touched **sorted =
	    xmalloc((k->trace->count + 1) * sizeof(*sorted));
	size_t count = 0;

	for (size_t i = 0; i < k->trace->count; i++) {
		if (k->trace->touched[i].written)
			sorted[count++] = &k->trace->touched[i];
	}
	qsort(sorted, count, sizeof(*sorted), by_path);
	for (size_t i = 0; i < count; i++) {
		if (!keep_written(k, sorted[i]))
			return false;
	}
	return true;
}

static bool
keep_printed(
    struct keeping *k, struct printed *printed, struct capture *capture)
{
	struct content content;
	struct error err;
	char path[64];

	printed->size = capture->size;
	printed->data = (struct buf)BUF_INIT;
	if (capture->size <= RECORD_INLINE) {
		buf_add(&printed->data, capture->data.data, capture->data.len);
		scan_bytes(&k->scan, printed->data.data, printed->data.len);
		return true;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", capture->fd);
	if (content_of(&content, NULL, AT_FDCWD, path, &err) < 0)
		return refuse(k, "what was printed", err.text);
	printed->digest = content.digest;
	scan_file(&k->scan, capture->fd);
	return store_blob(k, &printed->digest, capture->fd, printed->size);
}

/* ---- clocks ---- */

/* The flags of content that a compiler would turn into the time of the run. */
static uint32_t
clocks_that_count(const struct keeping *k)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");

	/* Who knows what other programs do to the variable on its way. */
	if (!epoch || !*epoch || !knows_programs(k))
		return TABLE_CLOCK | TABLE_TIMESTAMP;
	for (size_t i = 0; i < k->trace->program_count; i++) {
		/* Until version 16 it looks at the clock all the same. */
		if (strstr(k->trace->programs[i], "clang"))
			return TABLE_CLOCK | TABLE_TIMESTAMP;
	}
	return TABLE_TIMESTAMP;
}

static bool
runs_compiler(const struct keeping *k)
{
	for (size_t i = 0; i < k->trace->program_count; i++) {
		if (classify_program(k->trace->programs[i]) == PROGRAM_COMPILER)
			return true;
	}
	return false;
}

static bool
file_has_no_clock(struct keeping *k, const char *path, const char *name,
    struct table *table, uint32_t clocks)
{
	struct content content;
	struct error err;

	if (content_of(&content, table, AT_FDCWD, path, &err) < 0 ||
	    !(content.flags & clocks))
		return true;
	return refuse(k, name, "names __DATE__, __TIME__ or __TIMESTAMP__");
}

/* Macros in the words, as -DNOW=__TIME__. */
static bool
words_have_no_clock(struct keeping *k, uint32_t clocks)
{
	for (char *const *word = k->job->action.words; *word; word++) {
		if (content_clocks(*word, strlen(*word)) & clocks)
			return refuse(k, *word,
			    "names __DATE__, __TIME__ or __TIMESTAMP__");
	}
	return true;
}

static bool
input_has_no_clock(struct keeping *k, uint32_t clocks)
{
	char path[64];

	if (!k->job->options.stdin_)
		return true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", k->job->input);
	return file_has_no_clock(k, path, "standard input", NULL, clocks);
}

static bool
no_clock(struct keeping *k)
{
	uint32_t clocks = clocks_that_count(k);

	if (k->scan.found[SCAN_CLOCK]) {
		snprintf(k->text, sizeof(k->text),
		    "the time of the run stands in its output");
		return false;
	}
	if (!k->job->action.compiler && !runs_compiler(k))
		return true;
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];

		if (!t->written && (t->facets & FACET_CONTENT) && !t->program &&
		    !file_has_no_clock(
		        k, t->path, t->path, k->job->table, clocks))
			return false;
	}
	return words_have_no_clock(k, clocks) && input_has_no_clock(k, clocks);
}

/* ---- storing ---- */

static bool
write_value(struct keeping *k, const struct digest *name,
    const struct buf *data, enum write_mode mode, enum outcome *outcome)
{
	struct key key = { KEY_INDEX, *name };
	struct error err = { 0 };
	auto_source *source = source_memory(data->data, data->len);

	*outcome = location_write(k->job->tree, &key, source, mode, &err);
	if (*outcome == STORED || *outcome == KEPT)
		return true;
	snprintf(k->text, sizeof(k->text), "it could not be stored: %.350s",
	    err.text[0] ? err.text : "every location declined");
	return false;
}

/* Someone was first. If he got something else, that is worth knowing. */
static void
compare_with_first(struct keeping *k)
{
	struct key key = { KEY_INDEX, k->record.fingerprint };
	struct error err = { 0 };
	auto_buf data = BUF_INIT;
	auto_sink *sink = sink_buf(&data, RECORD_MAX);
	struct record first;

	if (location_read(k->job->tree, &key, sink, &err) != HIT ||
	    sink_commit(sink, &err) < 0)
		return;
	if (record_decode(&first, &key.digest, data.data, data.len, &err) < 0) {
		job_note(k->job, "%s", err.text);
		return;
	}
	if (!record_same_result(&first, &k->record))
		job_note(k->job,
		    "another run of the same state had another "
		    "result; the first one stays");
	record_release(&first);
}

static bool
store_record(struct keeping *k)
{
	auto_buf data = BUF_INIT;
	enum outcome outcome;

	record_encode(&k->record, &data);
	if (!write_value(k, &k->record.fingerprint, &data,
	        k->job->options.refresh ? WRITE_REPLACE : WRITE_IF_ABSENT,
	        &outcome))
		return false;
	if (outcome == KEPT)
		compare_with_first(k);
	return true;
}

static bool
store_path_set(struct keeping *k, const struct digest *name,
    const struct buf *set, const struct buf *hint)
{
	struct key key = { KEY_INDEX, k->job->key };
	struct error err = { 0 };
	struct path_sets sets = { .count = 0 };
	auto_buf old = BUF_INIT;
	auto_buf fresh = BUF_INIT;
	auto_sink *sink = sink_buf(&old, RECORD_MAX);
	enum outcome outcome;

	if (location_read(k->job->tree, &key, sink, &err) == HIT &&
	    sink_commit(sink, &err) == 0)
		(void)path_sets_decode(&sets, old.data, old.len, &err);
	path_sets_push(&sets, name, set, hint);
	path_sets_encode(&sets, &fresh);
	path_sets_release(&sets);
	return write_value(k, &k->job->key, &fresh, WRITE_REPLACE, &outcome);
}

static void
fill_record(struct keeping *k)
{
	struct record *record = &k->record;
	size_t count = 0;

	while (k->job->action.words[count])
		count++;
	record->kind = xstrdup(k->job->action.kind->name);
	record->label =
	    xstrdup(k->job->options.label ? k->job->options.label : "");
	record->wall_us = k->trace->wall_us;
	record->one_stream = k->job->one_stream;
	record->order = take(k->trace->order);
	record->order_count = k->trace->order_count;
	record->command = xmalloc((count + 1) * sizeof(char *));
	for (size_t i = 0; i <= count; i++)
		record->command[i] = k->job->action.words[i]
		    ? xstrdup(k->job->action.words[i])
		    : NULL;
}

/* Look at everything once more: what the command saw must still be so. */
static bool
take_fingerprint(struct keeping *k, const struct buf *set, struct digest *name,
    struct look *look)
{
	struct path_set_data data = { .data = set->data, .size = set->len };
	struct error err = { 0 };
	int outcome;

	digest_bytes(name, set->data, set->len);
	data.name = *name;
	outcome = path_set_look(
	    &data, &k->job->key, &k->job->world, &k->set, look, &err);
	if (outcome == HIT) {
		k->record.fingerprint = look->fingerprint;
		return true;
	}
	snprintf(k->text, sizeof(k->text), "%.350s while the command ran",
	    outcome == MISS ? look->reason : err.text);
	return false;
}

static bool
store_all(struct keeping *k)
{
	struct look look = LOOK_INIT;
	auto_buf set = BUF_INIT;
	struct digest name;
	bool stored;

	path_set_encode(&k->set, &set);
	stored = take_fingerprint(k, &set, &name, &look) && store_record(k) &&
	    store_path_set(k, &name, &set, &look.hint);
	look_release(&look);
	return stored;
}

static bool
gather(struct keeping *k)
{
	if (k->trace->refusal[0]) {
		snprintf(k->text, sizeof(k->text), "%s", k->trace->refusal);
		return false;
	}
	fill_record(k);
	if (!observe_all(k) || !keep_outputs(k) ||
	    !keep_printed(k, &k->record.out, &k->trace->out) ||
	    !keep_printed(k, &k->record.err, &k->trace->err) || !no_clock(k))
		return false;
	observe_variables(k);
	observe_machine(k);
	return true;
}

/* What would let the next checkout share the result. */
static void
set_hint(struct keeping *k)
{
	if (k->scan.found[SCAN_ROOT] && k->job->action.compiler &&
	    !k->job->options.map_root)
		k->job->hint = "the result holds the root's path; with "
		               "--map-root another root could share it";
}

void
keep(struct job *job, struct trace *trace)
{
	struct keeping k = { .job = job, .trace = trace };

	scan_init(&k.scan, job->root, job->cwd);
	scan_since(&k.scan, (long)(trace->wall_us / 1000000) + 1);
	if (!job->tree)
		snprintf(k.text, sizeof(k.text), "there is no cache to use");
	else if (job->options.read_only)
		snprintf(k.text, sizeof(k.text), "read-only was asked for");
	else if (gather(&k))
		(void)store_all(&k);
	if (k.text[0]) {
		job->outcome = "uncacheable";
		job_reason(job, "%s", k.text);
	} else {
		job->outcome = "miss";
		job->shown = k.record.fingerprint;
		job->has_shown = true;
		set_hint(&k);
	}
	job->bytes = record_bytes(&k.record);
	path_set_release(&k.set);
	record_release(&k.record);
}
