#ifndef DEPFILE_H
#define DEPFILE_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Depfiles, the Makefile rules by which a compiler tells what it read.
 *
 * They name files as the command did, so that with absolute paths they hold the
 * root, and compilers break their lines where the names make them too long, so
 * that another root means other breaks. depfile_unroot() takes root and breaks
 * out, and finds out whose breaks they were by putting them in again;
 * depfile_rewrite() does that for the root of today. Both append to `to` and
 * return false if it can't be done to the byte.
 */
bool depfile_unroot(
    const char *text, size_t size, const char *root, struct buf *to);
bool depfile_rewrite(
    const char *text, size_t size, const char *root, struct buf *to);

/* Call `fn` for every prerequisite, unescaped. False if `text` is no depfile. */
bool depfile_each(const char *text, size_t size,
    void (*fn)(void *arg, const char *path), void *arg);

#endif
