#ifndef SEARCH_H
#define SEARCH_H

#include "store/pathset.h"

/*
 * Where a search for a program along PATH leads. It is an observation of its own, a
 * variable called "PATH:NAME", since what was seen in the folders of one PATH tells
 * nothing of those that another one has in front.
 */
#define SEARCH_PREFIX "PATH:"

/*
 * Append what `name` leads to: every path of the name up to the first that can be
 * run, which is all that execvp() and its like look at. Below the root they are
 * taken from there.
 */
void search_add(const struct world *world, const char *dirs, const char *name,
    struct buf *to);

/* Is `path` a name in a folder of `dirs`, which are taken from `cwd`? The name; or
 * NULL. */
const char *search_name(const char *dirs, const char *cwd, const char *path);

#endif
