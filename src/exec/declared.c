/* What the user says about a command: inputs, outputs, unstable sources. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "exec/job.h"
#include "store/content.h"

/* Who declares: what is stable does not count for the unstable below it. */
enum declarer { BY_INPUT, BY_RULE, BY_OPTION };

static int add_tree(struct job *job, const char *path, enum declarer by,
    struct hasher *h, struct error *err);

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
add_folder(struct job *job, const char *path, enum declarer by,
    struct hasher *h, struct error *err)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, by_name), status = 0;

	if (count < 0)
		return error_errno(err, "cannot list '%s'", path);
	hasher_add_number(h, (uint64_t)count);
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
		    status == 0) {
			auto_free char *inner = xasprintf("%s/%s", path, name);

			hasher_add_text(h, name);
			status = add_tree(job, inner, by, h, err);
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}

static bool
is_outranked(const struct job *job, const char *path, enum declarer by)
{
	auto_free char *full = NULL;

	if (by == BY_INPUT || job->marks.stable_count == 0)
		return false;
	full = action_path(&job->action, path);
	return marks_outrank(job, full, by == BY_OPTION);
}

static int
add_tree(struct job *job, const char *path, enum declarer by, struct hasher *h,
    struct error *err)
{
	struct content content;
	struct stat st;

	if (stat(path, &st) < 0)
		return error_errno(err, "cannot look at '%s'", path);
	hasher_add_number(h, st.st_mode & (S_IFMT | 0111));
	if (is_outranked(job, path, by)) {
		hasher_add_text(h, "stable");
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return add_folder(job, path, by, h, err);
	if (content_of(&content, job->table, AT_FDCWD, path, err) < 0)
		return -1;
	hasher_add_bytes(h, content.digest.bytes, DIGEST_SIZE);
	return 0;
}

/* A file, a folder with all in it, or a glob that fits something. */
static int
add_declared(struct job *job, const char *spec, enum declarer by,
    struct hasher *h, struct error *err)
{
	glob_t found;
	int status = 0;

	key_add_path(job, spec, h);
	if (access(spec, F_OK) == 0)
		return add_tree(job, spec, by, h, err);
	if (glob(spec, 0, NULL, &found) != 0)
		return error_set(err, ERROR_SYSTEM,
		    "the declared input '%s' fits no file", spec);
	for (size_t i = 0; i < found.gl_pathc && status == 0; i++) {
		key_add_path(job, found.gl_pathv[i], h);
		status = add_tree(job, found.gl_pathv[i], by, h, err);
	}
	globfree(&found);
	return status;
}

/* Where `word` and the name stand in text[from,len), and no longer name does. */
static const char *
find_mark(const struct buf *text, const char *from, const char *mark)
{
	const char *end = text->data + text->len;
	size_t size = strlen(mark);

	while ((from = memmem(from, (size_t)(end - from), mark, size))) {
		from += size;
		if (!isalnum((unsigned char)*from) && *from != '_' &&
		    *from != '-')
			return from - size;
	}
	return NULL;
}

/* The lines between the one with "tarn:begin NAME" and that with "tarn:end". */
static int
add_region(
    const char *path, const char *name, struct hasher *h, struct error *err)
{
	auto_buf text = BUF_INIT;
	auto_free char *begin = xasprintf("tarn:begin %s", name);
	auto_free char *end = xasprintf("tarn:end %s", name);
	const char *from, *to;

	if (buf_read_file(&text, path, err) < 0)
		return -1;
	from = find_mark(&text, text.data, begin);
	from = from ? strchr(from, '\n') : NULL;
	to = from ? find_mark(&text, from, end) : NULL;
	if (!to)
		return error_set(err, ERROR_USAGE,
		    "'%s' has no region '%s': expected lines with '%s' and "
		    "'%s'",
		    path, name, begin, end);
	while (to > from && to[-1] != '\n')
		to--;
	hasher_add_bytes(h, from + 1, (size_t)(to - from - 1));
	return 0;
}

static int
add_unstable(struct job *job, const char *spec, enum declarer by,
    struct hasher *h, struct error *err)
{
	const char *hash = strrchr(spec, '#');
	auto_free char *path = NULL;

	if (!hash || access(spec, F_OK) == 0)
		return add_declared(job, spec, by, h, err);
	key_add_path(job, spec, h);
	path = xasprintf("%.*s", (int)(hash - spec), spec);
	return add_region(path, hash + 1, h, err);
}

int
declared_key(struct job *job, struct hasher *h, struct error *err)
{
	const struct options *o = &job->options;

	hasher_add_number(h, o->inputs.count);
	for (size_t i = 0; i < o->inputs.count; i++) {
		if (add_declared(job, o->inputs.item[i], BY_INPUT, h, err) < 0)
			return -1;
	}
	hasher_add_number(h, o->unstable.count);
	for (size_t i = 0; i < o->unstable.count; i++) {
		if (add_unstable(job, o->unstable.item[i],
		        i < job->marks.own_unstable ? BY_OPTION : BY_RULE, h,
		        err) < 0)
			return -1;
	}
	for (size_t i = 0; i < o->outputs.count; i++)
		key_add_path(job, o->outputs.item[i], h);
	hasher_add_text(h, "");
	for (size_t i = 0; i < o->depfiles.count; i++)
		key_add_path(job, o->depfiles.item[i], h);
	return 0;
}

void
declared_outputs(struct job *job,
    void (*fn)(struct job *job, void *arg, const char *path), void *arg)
{
	const struct words *lists[] = { &job->options.outputs,
		&job->options.depfiles };

	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < lists[i]->count; j++) {
			auto_free char *path =
			    action_path(&job->action, lists[i]->item[j]);

			fn(job, arg, path);
		}
	}
}
