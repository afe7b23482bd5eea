#ifndef ASIDE_H
#define ASIDE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * A file on its way: filled where nobody looks, then put in its place whole, in
 * exchange for what is there.
 *
 * Where the file system can do that, it has no name until then, and whoever is
 * killed leaves nothing. To replace a file takes a name beside it for some
 * microseconds, `.tarn-` and 16 hex digits that hang on the place's own name: what
 * a killed process left of those, always a whole file, is removed by the next who
 * needs that name.
 *
 * Elsewhere it has a name from the start, the same with `.part` behind it, and
 * holds a lock for as long as it lives, so that whoever finds an unlocked one knows
 * that its maker is dead, and takes it away. Where that is not to be had either,
 * the name ends in our process id, and a killed process leaves it.
 */
struct aside {
	int fd;       /* open for reading and writing */
	char *name;   /* owned; NULL: it has none */
	char *beside; /* owned; the name that is used to replace */
};
#define ASIDE_INIT \
	{ \
		.fd = -1 \
	}
#define auto_aside __attribute__((cleanup(aside_release))) struct aside

/* Start a file that is to be at `path`, in the folder path[0,folder), which is that
 * of `path` or one above it. `mode` is subject to the umask, and while it has a name
 * its owner can read and write it. Returns 0 or -1. */
int aside_open(struct aside *file, const char *path, size_t folder, mode_t mode,
    struct error *err);

/* The same, in the folder of `path`. */
int aside_start(
    struct aside *file, const char *path, mode_t mode, struct error *err);

/*
 * Put it at `path`; `there` says whether something is expected to be there, which
 * saves a question. It stays open, though maybe as a copy. What is replaced is exchanged where the file
 * system knows how, since ext4 would write the new one's data out before it
 * renamed. A folder is not replaced. Returns 0 or -1.
 */
int aside_put(
    struct aside *file, const char *path, bool there, struct error *err);

/* The same where nothing is yet; the first one wins. Returns 1, 0 if something is
 * there, or -1. */
int aside_put_new(struct aside *file, const char *path, struct error *err);

/* Close it; if it was not put anywhere, it is gone. */
void aside_release(struct aside *file);

/* A file in `folder` that never gets a name, for what is read again. Returns the
 * descriptor or -1. */
int aside_nameless(const char *folder, struct error *err);

#endif
