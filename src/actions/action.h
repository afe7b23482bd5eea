#ifndef ACTION_H
#define ACTION_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"

/*
 * An action is one run of a command. Its kind knows what this family of commands
 * means, and nothing else does: which words don't change the output, where the
 * outputs go, which files are surely read. All of that only makes keys tighter
 * and hits cheaper. What is right is decided by observation.
 *
 * To add a kind, write src/actions/<name>.c with a `const struct action_kind`
 * and put it in the table in kinds.c, before the more general ones.
 */
struct action {
	const struct action_kind *kind;

	/* Given; all borrowed: */
	const char *program; /* the file to run */
	char *const *argv;   /* the words as they came */
	const char *cwd, *root;
	bool map_root;

	/* What the kind makes of it: */
	char **words; /* to run: argv, perhaps with more; owned array, words
	                  * of our own are in `own_word` */
	char *own_word;
	char **sources; /* files whose content belongs to the key; absolute */
	size_t source_count;
	char *output;     /* absolute; the output that the words name, if one */
	bool output_free; /* ... and its name is no part of the key */
	char *depfile;    /* absolute, or NULL */
	bool known;     /* every word is one that is known to leave the root and
	                  * the working directory out of the bytes, or to put
	                  * them there in plain sight */
	bool compiler;  /* a compiler or a linker: outputs replace files as well
	                * as nothing, and its own variables are what counts */
	bool no_source; /* ... that has no source to read, only what was
	                 * compiled before */
	bool accelerate;
};

struct action_kind {
	const char *name; /* in events, options and reports */

	/* Is this command one of ours? Looks at nothing but what is given. */
	bool (*claims)(const struct action *action);

	/* Fill in what the words tell. Never fails: what isn't understood makes
	 * for a wider key. */
	void (*describe)(struct action *action);

	/*
	 * Optional: the text of an output that holds the root, in a form that
	 * rewrite() can lay out for another root; false if it can't be done to
	 * the byte. Both append to `to`.
	 */
	bool (*unroot)(
	    const char *text, size_t size, const char *root, struct buf *to);
	bool (*rewrite)(
	    const char *text, size_t size, const char *root, struct buf *to);
};

extern const struct action_kind *const action_kinds[]; /* NULL at the end */
extern const struct action_kind action_compile, action_link, action_archive,
    action_test, action_command;

/* By name, NULL if there is none. */
const struct action_kind *action_kind_named(const char *name);

/* Choose a kind (NULL: by the words) and let it describe the action. */
void action_describe(struct action *action, const struct action_kind *kind);
void action_release(struct action *action);

/* Feed all that the words say to the key. */
void action_key_words(const struct action *action, struct hasher *h);

/* Does `text` name the root, as a path or below it? */
bool action_names_root(const char *text, const char *root);

/* `path` as seen from `cwd`, absolute and tidy. The caller frees it. */
char *action_path(const struct action *action, const char *path);
void action_add_source(struct action *action, const char *path);

#endif
