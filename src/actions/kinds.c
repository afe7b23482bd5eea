/* Every kind of action, the particular before the general. */
#include <stdlib.h>
#include <string.h>

#include "actions/action.h"
#include "base/mem.h"

#define ROOT_MARK "\001R"

const struct action_kind *const action_kinds[] = {
	&action_compile,
	&action_link,
	&action_archive,
	&action_test,
	&action_command,
	NULL,
};

const struct action_kind *
action_kind_named(const char *name)
{
	for (const struct action_kind *const *kind = action_kinds; *kind;
	     kind++) {
		if (strcmp((*kind)->name, name) == 0)
			return *kind;
	}
	return NULL;
}

static const struct action_kind *
choose(const struct action *action)
{
	const struct action_kind *const *kind = action_kinds;

	while (*kind && !(*kind)->claims(action))
		kind++;
	return *kind ? *kind : &action_command;
}

void
action_describe(struct action *action, const struct action_kind *kind)
{
	size_t count = 0;

	while (action->argv[count])
		count++;
	action->words = xrealloc(NULL, count + 2, sizeof(*action->words));
	memcpy(action->words, action->argv, (count + 1) * sizeof(char *));
	action->kind = kind ? kind : choose(action);
	action->kind->describe(action);
}

void
action_release(struct action *action)
{
	for (size_t i = 0; i < action->source_count; i++)
		free(action->sources[i]);
	free(action->sources);
	free(action->words);
	free(action->own_word);
	free(action->output);
	free(action->depfile);
}

char *
action_path(const struct action *action, const char *path)
{
	size_t size = strlen(action->cwd);

	if (path[0] == '/')
		return xstrdup(path);
	/* The working directory is a real path, so ".." can be taken off it. */
	for (;;) {
		if (strncmp(path, "../", 3) == 0) {
			path += 3;
			while (size > 0 && action->cwd[--size] != '/')
				;
		} else if (strncmp(path, "./", 2) == 0)
			path += 2;
		else if (path[0] == '/')
			path++;
		else
			break;
	}
	return xasprintf("%.*s/%s", (int)size, action->cwd, path);
}

void
action_add_source(struct action *action, const char *path)
{
	action->sources = xrealloc(action->sources, action->source_count + 1,
	    sizeof(*action->sources));
	action->sources[action->source_count++] = action_path(action, path);
}

/* Does a path begin at `at`, and not before it? */
static bool
begins_path(const char *word, const char *at)
{
	static const char *const options[] = { "-I", "-L", "-isystem",
		"-iquote", "-idirafter", "-include", "-imacros", "-isysroot",
		"-MF", "-MT", "-MQ", "-o", "@" };
	size_t size = (size_t)(at - word);

	if (size == 0 || strchr("=:,;\"' ", at[-1]))
		return true;
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		if (strlen(options[i]) == size &&
		    memcmp(word, options[i], size) == 0)
			return true;
	}
	return false;
}

/* Where, from `text` on, `root` stands in `word` as a whole path or the
 * beginning of one. */
static const char *
find_root(const char *word, const char *text, const char *root)
{
	size_t size = strlen(root);
	const char *at = text;

	if (size < 2)
		return NULL;
	while ((at = strstr(at, root))) {
		if ((!at[size] || strchr("/:,=;\"' ", at[size])) &&
		    begins_path(word, at))
			return at;
		at++;
	}
	return NULL;
}

bool
action_names_root(const char *text, const char *root)
{
	return find_root(text, text, root) != NULL;
}

/* One word, with marks in place of the root. */
static void
key_word(const struct action *action, const char *word, bool literal,
    struct hasher *h)
{
	auto_buf text = BUF_INIT;
	const char *start = word, *at;

	while (!literal && action->known && !strchr(word, '\001') &&
	    (at = find_root(start, word, action->root))) {
		buf_add(&text, word, (size_t)(at - word));
		buf_add(&text, ROOT_MARK, 2);
		word = at + strlen(action->root);
	}
	buf_add(&text, word, strlen(word));
	hasher_add_bytes(h, text.data, text.len);
}

void
action_key_words(const struct action *action, struct hasher *h)
{
	bool after_o = false, after_define = false;

	for (char *const *word = action->words; *word; word++) {
		if (action->output_free && after_o)
			hasher_add_text(h, "\001O");
		else if (action->output_free && strncmp(*word, "-o", 2) == 0 &&
		    (*word)[2])
			hasher_add_text(h, "-o\001O");
		else
			/* A macro's length may show where its text does not. */
			key_word(action, *word,
			    after_define || strncmp(*word, "-D", 2) == 0, h);
		after_o = strcmp(*word, "-o") == 0;
		after_define = strcmp(*word, "-D") == 0;
	}
}
