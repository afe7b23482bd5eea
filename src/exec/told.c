#include "exec/told.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "actions/depfile.h"
#include "base/mem.h"
#include "exec/toolchain.h"
#include "exec/watch.h"

bool
told_begin(struct job *job)
{
	if (!watch_has_proc() || job->found || job->told_not[0] ||
	    job->options.trace >= 0 || job->options.stdin_ ||
	    job->action.kind != &action_compile)
		return false;
	job->tools = xmalloc(sizeof(*job->tools));
	*job->tools = (struct toolchain){ .list = -1, .assembled = -1 };
	return true;
}

void
told_end(struct job *job)
{
	if (job->tools) {
		if (job->tools->list >= 0)
			close(job->tools->list);
		if (job->tools->assembled >= 0)
			close(job->tools->assembled);
		toolchain_release(job->tools);
	}
	free(take(job->tools));
}

int
told_key(struct job *job, struct hasher *h, struct error *err)
{
	toolchain_release(job->tools);
	return toolchain_ask(job->tools, job, h, err);
}

/* ---- running it ---- */

/* What is there before an output is made. False: more than a restore could repeat; an
 * assembler writes over an empty file, and no other. */
static bool
look_before(const char *path, mode_t *before, struct trace *trace)
{
	struct stat st;

	*before = 0;
	if (!path)
		return true;
	if (lstat(path, &st) < 0 && errno == ENOENT)
		return true;
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    st.st_size > 0) {
		*before = S_IFREG;
		return true;
	}
	trace_refuse(trace, "'%.200s' is empty, or more than a file", path);
	return false;
}

/* A file without a name, and a name for it all the same. */
static int
make_list(char *name, size_t size)
{
	int fd = memfd_create("tarn-depfile", MFD_CLOEXEC);

	if (fd >= 0)
		snprintf(name, size, "/proc/%d/fd/%d", (int)getpid(), fd);
	return fd;
}

/* The words, and behind them some more. The caller frees the array. */
static char **
add_words(char *const *words, const char *const *more)
{
	size_t count = 0, own = 0;
	char **all;

	while (words[count])
		count++;
	while (more[own])
		own++;
	all = xmalloc((count + own + 1) * sizeof(*all));
	memcpy(all, words, count * sizeof(*all));
	memcpy(all + count, more, (own + 1) * sizeof(*all));
	return all;
}

/* ... that it shall say what it reads. It leaves no trace in what is made. */
static char **
add_list(char *const *words, const char *name)
{
	const char *more[] = { "-MD", "-MT", "x", "-MF", name, NULL };

	return add_words(words, more);
}

#define CLOCK "tarn_asks_a_clock"

/* Only preprocessed, with the macros of clocks as words that stand out: warnings of
 * them can be turned off by a text. `list` names the file for what was read. */
static int
preprocess(const struct job *job, const char *list, struct buf *text)
{
	struct plain_compile *plain = &job->tools->plain;
	char result[64];
	auto_close int out = make_list(result, sizeof(result));
	const char *more[] = { "-E", "-g0", "-Wno-builtin-macro-redefined",
		"-D__DATE__=" CLOCK, "-D__TIME__=" CLOCK,
		"-D__TIMESTAMP__=" CLOCK, plain->source, "-o", result, NULL };
	auto_free char **words = NULL;
	auto_buf said = BUF_INIT;
	struct error err;
	size_t count = plain->count;
	int status;

	memcpy(plain->words + count, more, sizeof(more));
	words = add_list(plain->words, list);
	plain->words[count] = NULL;
	status = out < 0 ? -1 : toolchain_run(job, words, &said, &err);
	if (status == 0)
		status = buf_read_file(text, result, &err);
	return status == 0 && strlen(text->data) == text->len ? 0 : -1;
}

/* A file that it asks for, and that goes away again while it runs, leaves nothing that
 * tells of it but another text. */
static void
look_ahead(struct toolchain *tools, const struct job *job)
{
	auto_buf text = BUF_INIT;

	tools->looked = preprocess(job, "/dev/null", &text) == 0;
	if (tools->looked)
		digest_bytes(&tools->text, text.data, text.len);
}

int
told_run(struct job *job, struct trace *trace, struct error *err)
{
	struct toolchain *tools = job->tools;
	const struct action *action = &job->action;
	auto_free char **words = NULL, **more = NULL;
	char list[64], file[64], word[96];
	const char *const assembled[] = { word, NULL };
	bool good = look_before(action->output, &tools->before[0], trace) &&
	    look_before(action->depfile, &tools->before[1], trace);
	int status;

	if (good && !tools->plain.lists) {
		tools->list = make_list(list, sizeof(list));
		if (tools->list >= 0) {
			words = add_list(action->words, list);
			trace->argv = words;
		}
	}
	if (good && tools->plain.assembles && !tools->is_clang) {
		tools->assembled = make_list(file, sizeof(file));
		snprintf(word, sizeof(word), "-Wa,--MD,%s", file);
		if (tools->assembled >= 0) {
			more = add_words(trace->argv, assembled);
			trace->argv = more;
		}
	}
	if (good)
		look_ahead(tools, job);
	trace->observe = false;
	status = trace_run(trace, err);
	trace->argv = action->words;
	return status;
}

/* ---- what it read ---- */

static void
add_path(void *arg, const char *name)
{
	words_add(arg, xstrdup(name));
}

static void
release_list(struct words *list)
{
	for (size_t i = 0; i < list->count; i++)
		free((void *)(uintptr_t)list->item[i]);
	free(list->item);
}
#define auto_list auto_cleanup(release_list) struct words

static bool
read_list(struct trace *trace, const char *path, struct words *list)
{
	auto_buf text = BUF_INIT;
	struct error err;

	if (path && buf_read_file(&text, path, &err) == 0 && text.len > 0 &&
	    depfile_each(text.data, text.len, add_path, list) &&
	    list->count > 0)
		return true;
	trace_refuse(trace, "it left no depfile that can be read");
	return false;
}

/* Its own list, or that which the command made as it is. */
static bool
read_own(const struct job *job, struct trace *trace, struct words *list)
{
	char name[64];

	if (job->tools->plain.lists)
		return read_list(trace, job->action.depfile, list);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", job->tools->list);
	return read_list(trace, name, list);
}

static bool
is_part(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* In front of what came from a file: # 1 "file". False: this is no such line. */
static bool
is_marker(const struct job *job, const char *line, bool *system)
{
	auto_free char *name = NULL, *path = NULL;

	if (line[0] != '#' || line[1] != ' ' ||
	    !isdigit((unsigned char)line[2]))
		return false;
	line += strcspn(line, "\"\n");
	if (*line == '"') {
		name =
		    xasprintf("%.*s", (int)strcspn(line + 1, "\"\n"), line + 1);
		path = action_path(&job->action, name);
		*system = !strchr(name, '\\') && told_is_system(job, path);
	}
	return true;
}

static bool
has_word(const char *line, size_t size, const char *word)
{
	const char *end = line + size, *at = line;
	size_t length = strlen(word);

	while ((at = memmem(at, (size_t)(end - at), word, length))) {
		if ((at == line || !is_part(at[-1])) && !is_part(at[length]))
			return true;
		at++;
	}
	return false;
}

/* However their words were put together: the time, and assembly. */
static bool
look_through(const struct job *job, struct trace *trace, const char *text)
{
	static const char *const assembly[] = { "asm", "__asm", "__asm__" };
	bool system = false;

	for (size_t size; *text; text += size) {
		size = strcspn(text, "\n");
		size += text[size] == '\n';
		if (is_marker(job, text, &system))
			continue;
		if (has_word(text, size, CLOCK)) {
			trace_refuse(trace,
			    "its source names a macro of the date or the time");
			return false;
		}
		for (size_t i = 0; i < 3 && !system; i++) {
			if (!has_word(text, size, assembly[i]))
				continue;
			trace_refuse(trace,
			    "its source holds assembly, which can read files");
			return false;
		}
	}
	return true;
}

static bool
read_again(const struct job *job, struct trace *trace, struct words *list)
{
	struct toolchain *tools = job->tools;
	struct digest digest;
	char name[64];
	auto_close int fd = make_list(name, sizeof(name));
	auto_buf text = BUF_INIT;

	if (fd < 0 || preprocess(job, name, &text) < 0) {
		trace_refuse(trace, "its source can't be looked through");
		return false;
	}
	digest_bytes(&digest, text.data, text.len);
	if (!tools->looked || !digest_equal(&digest, &tools->text)) {
		trace_refuse(trace, "what it includes changed while it ran");
		return false;
	}
	return look_through(job, trace, text.data) &&
	    read_list(trace, name, list);
}

static bool
has(const struct words *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->item[i], path) == 0)
			return true;
	}
	return false;
}

/* Both times the same, but for headers of the system that -MMD leaves out. */
static bool
same_lists(const struct job *job, struct trace *trace, const struct words *own,
    const struct words *again)
{
	bool all = !job->tools->plain.lists || job->tools->plain.lists_all;
	const char *odd = NULL;

	for (size_t i = 0; i < own->count && !odd; i++)
		odd = has(again, own->item[i]) ? NULL : own->item[i];
	for (size_t i = 0; i < again->count && !odd; i++) {
		const char *path = again->item[i];
		auto_free char *whole = action_path(&job->action, path);

		if (!has(own, path) && (all || !told_is_system(job, whole)))
			odd = path;
	}
	if (odd)
		trace_refuse(trace,
		    "'%.150s' is not in each list of what was read", odd);
	return !odd;
}

/* It is named without its folder there. */
static bool
is_source(const struct job *job, const char *path)
{
	struct stat one, other;

	return stat(path, &one) == 0 &&
	    stat(job->action.sources[0], &other) == 0 &&
	    one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Was there nothing for the assembler but what the compiler gave it, and took away
 * again? It also names sources that are told of in there. */
static bool
check_assembled(
    const struct job *job, struct trace *trace, const struct words *again)
{
	auto_list list = { .item = NULL };
	char name[64];

	if (!job->tools->plain.assembles || job->tools->is_clang)
		return true;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", job->tools->assembled);
	if (!read_list(trace, name, &list))
		return false;
	for (size_t i = 0; i < list.count; i++) {
		const char *path = list.item[i];

		if (has(again, path) || access(path, F_OK) < 0 ||
		    is_source(job, path))
			continue;
		trace_refuse(trace, "its assembler read '%.150s'", path);
		return false;
	}
	return true;
}

static bool
tell_inputs(struct job *job, struct trace *trace)
{
	auto_list own = { .item = NULL };
	auto_list again = { .item = NULL };
	auto_list paths = { .item = NULL };

	if (!read_own(job, trace, &own) || !read_again(job, trace, &again) ||
	    !check_assembled(job, trace, &again) ||
	    !same_lists(job, trace, &own, &again))
		return false;
	for (size_t i = 0; i < again.count; i++)
		words_add(&paths, action_path(&job->action, again.item[i]));
	return told_inputs(job, trace, &paths);
}

/* ---- what it made ---- */

/* Assemblers, and clang, put a new file in the place of an old one; all else is
 * written over. */
static bool
tell_output(struct trace *trace, const char *path, mode_t before, bool fresh)
{
	struct touched *item;

	if (!path)
		return true;
	item = trace_touch(trace, path);
	if (item->facets) {
		trace_refuse(trace, "it read and wrote '%.200s'", path);
		return false;
	}
	item->written = true;
	item->probed = true;
	item->before = (int)before;
	item->names = 1;
	item->fresh = fresh;
	return true;
}

static bool
tell_outputs(struct job *job, struct trace *trace)
{
	const struct toolchain *tools = job->tools;

	return tell_output(trace, job->action.output, tools->before[0],
	           tools->is_clang || tools->plain.assembles) &&
	    tell_output(trace, job->action.depfile, tools->before[1], false);
}

/* The compiler may have become another one meanwhile. */
static void
ask_again(struct job *job, struct trace *trace)
{
	const struct digest before = job->key;
	struct error err;

	if (key_compute(job, &err) == 0 && digest_equal(&before, &job->key))
		return;
	job->key = before;
	trace_refuse(trace, "the compiler changed while the command ran");
}

void
told_look(struct job *job, struct trace *trace)
{
	struct toolchain *tools = job->tools;

	trace->observe = true;
	trace->observer = "depfile";
	trace->asked_cwd = true;
	if (trace->status != 0)
		trace_refuse(trace, "no depfile tells all of a failure");
	if (trace->refusal[0])
		return;
	for (size_t i = 0; i < tools->programs.count; i++)
		trace_add_program(trace, tools->programs.item[i]);
	if (tell_inputs(job, trace) && tell_outputs(job, trace))
		ask_again(job, trace);
}
