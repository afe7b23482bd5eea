#ifndef CONTENT_H
#define CONTENT_H

#include "base/digest.h"
#include "base/error.h"
#include "store/table.h"

/* A macro of the clock, in pieces: spelled out, it would make a source of ours
 * one that names it. */
#define MACRO(name) "__" name "__"

/* What a file holds: its digest, asked of the digest table first. */
struct content {
	struct stamp stamp;
	uint32_t mode; /* st_mode */
	struct digest digest;
	uint32_t flags; /* enum table_flags */
	bool settled;   /* the stamp is sure to move with the next change */
};

/*
 * Of the regular file at `path`, links followed, relative to the folder `at`
 * (AT_FDCWD as usual). Fails if it isn't one or changes while it is read.
 */
int content_of(struct content *content, struct table *table, int at,
    const char *path, struct error *err);

/* If `known`, a stat() of it from a moment ago, is in the table, without
 * opening it. */
bool content_known(struct content *content, const struct table *table,
    const struct stat *known);

/* The macros of clocks that this text names, as enum table_flags. */
uint32_t content_clocks(const char *text, size_t size);

/* Is this the name of a source that a compiler expands macros in? */
bool content_is_source(const char *path);

/* The digest of a folder's names and types, sorted; `own`, if not NULL, says
 * which names to leave out. Returns 0 or -1. */
typedef bool content_own_fn(void *arg, const char *name);
int content_listing(struct digest *digest, int at, const char *path,
    content_own_fn *own, void *arg, struct error *err);

#endif
