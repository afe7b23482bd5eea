#ifndef FILE_H
#define FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* Files, whole and in pieces. All return 0, or -1 with *err set. */

/* All `size` bytes, however many calls it takes. Errors are errno's: -1. */
int file_write_all(int fd, const void *data, size_t size);

/*
 * Has all that was written arrived? A network file system may tell only when a
 * file is closed that there was no room. Nothing is synced. Errors are errno's: -1.
 */
int file_settle(int fd);

/* Make the folders above `path`, with 0777 less the umask. */
int file_make_parents(const char *path, struct error *err);
int file_make_folder(const char *path, struct error *err); /* itself too */

/*
 * The whole of `from` into the empty file `to`: shares the storage where the
 * file system can, else copies inside the kernel, else by hand. The two never
 * see each other's later writes.
 */
int file_copy(int from, int to, struct error *err);

/* Replace `path` by these bytes, atomically. */
int file_replace(const char *path, const void *data, size_t size, mode_t mode,
    struct error *err);

#endif
