#ifndef PATHSET_H
#define PATHSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "store/table.h"

/*
 * What an action looked at, without what it saw there. Seen again now, the same
 * list gives a fingerprint: the digest of the action key, the list and all that
 * is seen. Two states of the world that no action of this list could tell apart
 * have the same fingerprint.
 *
 * Not finding a file is an observation too: had <dir>/stdio.h been there, a
 * compiler that searched <dir> first would have used it.
 */

/* What a path is relative to, so that another checkout can look at its own. */
enum place {
	PLACE_ROOT,     /* the project's root; "" is the root itself */
	PLACE_ABSOLUTE, /* nothing */
	PLACE_OUTPUT, /* the path is "0": the output that the arguments name */
	PLACE_VARIABLE, /* an environment variable's name, or "*" for all of
	                 * them as world.add_variable() has them */
	PLACE_MACHINE,  /* "uname", "cpu", "root", "cwd", "pwd", "words" */
	PLACES,
};

/* What counts about it. A path can have several. */
enum facet {
	FACET_CONTENT = 1 << 0, /* a file's bytes, and whether it can be run */
	FACET_ABSENT = 1 << 1,  /* that it can't be found */
	FACET_LINK = 1 << 2,    /* a link's target, or that it isn't one */
	FACET_TYPE = 1 << 3,    /* its type, and whether it can be run */
	FACET_STAT = 1 << 4,    /* type, all mode bits, a file's size */
	FACET_LISTING = 1 << 5, /* a folder's names and their types */
	FACET_TIME = 1 << 6,    /* when it was modified */
	FACET_BEFORE = 1 << 7,  /* of an output that was probed before it was
	                         * written: its type or that it was absent */
	FACET_ROOM = 1 << 8,    /* the same where a file or nothing are one */
	FACET_NAMES = 1 << 9,   /* how many hard links a file has */
	FACET_OWNER = 1 << 10,  /* user and group */
	FACETS = (1 << 11) - 1,
};

/* An entry of a list in the making. */
struct observation {
	enum place place;
	uint32_t facets;
	char *path; /* owned; relative to `place` */

	/* What was seen, where looking again would see the action's own work. */
	bool known;
	struct digest digest; /* FACET_CONTENT, FACET_LISTING */
	bool can_run;         /* FACET_CONTENT */
	int type;             /* FACET_BEFORE, FACET_ROOM: 0 or S_IFMT bits */
	bool stamped;         /* these are known, too: */
	uint32_t mode;        /* FACET_STAT */
	uint32_t names;       /* FACET_NAMES */
	struct stamp stamp;   /* FACET_STAT, FACET_TIME */
};

struct path_set {
	struct observation *item;
	size_t count, cap;
};

/* `path` is copied. The result is valid until the next call. */
struct observation *path_set_add(
    struct path_set *set, enum place place, uint32_t facets, const char *path);
void path_set_release(struct path_set *set);

/* Sort, join doubles, and append the encoding (docs/formats.md) to `to`. */
void path_set_encode(struct path_set *set, struct buf *to);

/* What looking needs to know. */
struct world {
	const char *root, *cwd;     /* absolute, without a slash at the end */
	const char *const *outputs; /* by number, absolute; NULL at the end */
	char *const *environment;
	char *const *words; /* of the command, as they came */
	/* Append what counts of `entry` ("NAME=VALUE"), which may be nothing. */
	void (*add_variable)(const char *entry, struct buf *to);
	/* The same for one variable that is named. */
	void (*add_value)(const char *name, const char *value, struct buf *to);
	struct table *table; /* may be NULL */
};

/* What was seen. */
struct look {
	struct digest fingerprint;
	struct buf hint;  /* 4 bytes an entry: the start of its value */
	char reason[256]; /* of a MISS: what can't be as it was */
};
#define LOOK_INIT \
	{ \
		.hint = BUF_INIT \
	}
void look_release(struct look *look);

/*
 * Look at everything in the encoded list `data` with digest `name`. `known`, if
 * not NULL, is the list itself as path_set_encode() left it. Returns HIT with
 * look->fingerprint; MISS with look->reason if no fingerprint can fit, since
 * something is gone, or there, that must not be; FAILED with *err if `data` is
 * damaged. With `old_hint`, a HIT's reason says what differs from then, if
 * anything does.
 */
struct path_set_data {
	const void *data;
	size_t size;
	struct digest name;
	const void *old_hint; /* or NULL */
	size_t old_hint_size;
};
int path_set_look(const struct path_set_data *set, const struct digest *key,
    const struct world *world, const struct path_set *known, struct look *look,
    struct error *err);

/* Call `fn` for each entry. Returns 0, what `fn` returned, or -1 if damaged. */
typedef int path_set_entry_fn(
    void *arg, enum place place, uint32_t facets, const char *path);
int path_set_each(const void *data, size_t size, path_set_entry_fn *fn,
    void *arg, struct error *err);

#endif
