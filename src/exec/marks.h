#ifndef MARKS_H
#define MARKS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"

struct job;

/*
 * What the user says of sources, beyond what watching the command tells.
 *
 * An unstable one counts with its content, whether the command looks at it or not
 * (declared.c). Of a stable one only counts who it is: its path, and what its version
 * command prints or which version its package has. It may hold anything then, and the
 * user vouches that this makes no difference.
 *
 *	PATH          a file, a folder with all below it, or a glob of either
 *	PATH=COMMAND  the same, and what COMMAND prints
 *	package:NAME  the files of a Debian package, and its version
 *
 * Where both are said of one file, the first of these decides: --stable, --unstable,
 * stable in a rule, unstable in a rule. A region is a thing of its own: it counts even
 * where its file is stable.
 */
struct mark {
	const char *spec;    /* borrowed */
	bool own;            /* an option's, not a rule's */
	char *path;          /* owned; absolute, or NULL of a package */
	const char *command; /* in `spec`, or NULL */
	char *package;       /* owned; NULL of a path */
	struct buf
	    files; /* of a package, each with a newline before and after */
};

struct marks {
	struct mark *stable, *unstable;
	size_t stable_count, unstable_count;
	size_t own_unstable; /* so many of the options' unstable come first */
};

/* Read what options and rules say; `own_stable` and `own_unstable` are how many of
 * each are the options'. */
void marks_open(struct job *job, size_t own_stable, size_t own_unstable);
void marks_close(struct marks *marks);

/* Feed who the stable ones are to the key. */
int marks_key(struct job *job, struct hasher *h, struct error *err);

/* Does only its identity count? And does it, although it is also unstable, by an
 * option (`own`) or a rule? */
bool marks_is_stable(const struct job *job, const char *path);
bool marks_outrank(const struct job *job, const char *path, bool own);

/* Is `path` below a stable folder, or a file that a path names? Then what is missing
 * there doesn't count either. */
bool marks_cover_absent(const struct job *job, const char *path);

#endif
