#ifndef FAR_H
#define FAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/stream.h"
#include "locations/layout.h"
#include "locations/location.h"
#include "remote/ssh.h"

/*
 * A folder on another machine, as SFTP and SCP each know to work in it. Paths are
 * below that folder and have neither a first nor a last slash; "" is the folder
 * itself.
 *
 * What is asked of many files goes out together, and each file has an outcome of
 * its own: HIT, MISS (it is not there, or the folder that it would be in is not) or
 * FAILED with `err`. If the connection goes, all that have no answer fail for that
 * reason.
 */
struct far_stat {
	uint32_t mode; /* as in stat(2) */
	uint32_t uid, gid;
	uint64_t size;
	int64_t atime, mtime; /* seconds since the epoch */
};

struct far_file {
	const char *path;
	enum outcome outcome;
	struct error err;
	struct far_stat st; /* after stat, read and write */

	struct sink *out;     /* of a read: not committed */
	struct source *in;    /* of a write */
	const char *to;       /* of a move: where to */
	bool replace;         /* what is there; else the move is KEPT */
	int64_t atime, mtime; /* of a touch; -1: as it is */
};

#define FAR_AT_ONCE 64 /* files in one request, at most, unless .. */
#define FAR_MANY 256 /* .. `many` of the kind says more, but never than this */

/* What a new file or folder is to be like. */
struct far_dress {
	uint32_t mode;
	uint32_t gid;
};

struct far {
	const struct far_kind *kind;
	struct ssh ssh;
	char *root; /* no slash at the end, so "" is the root of all */
};

/* A file of a lake, by all the digits of its key; return non-zero to stop. */
typedef int far_list_fn(void *arg, const char *hex, const struct far_stat *st);

struct far_kind {
	size_t many; /* files that stat, write, publish and move take at most */

	void (*stat)(struct far *far, struct far_file *files, size_t count);
	void (*read)(struct far *far, struct far_file *files, size_t count);

	/*
	 * New files, whole and of that mode and group, or none. A mode and group
	 * that can't be had is a failure. `dress` NULL: of no matter.
	 */
	void (*write)(struct far *far, struct far_file *files, size_t count,
	    const struct far_dress *dress);

	/*
	 * Optional, where it costs less: write() and move() of many, none of which
	 * replaces another, into folders that are made like `folder`. HIT, KEPT, or
	 * MISS: of this one nothing came, and it is to go the other way.
	 */
	void (*publish)(struct far *far, struct far_file *files, size_t count,
	    const struct far_dress *dress, const struct far_dress *folder);

	/*
	 * At once; nobody sees the file in part or, if it replaces one, none.
	 * After KEPT and FAILED, what was to be moved is gone.
	 */
	void (*move)(struct far *far, struct far_file *files, size_t count);
	void (*remove)(struct far *far, struct far_file *files, size_t count);
	void (*remove_folder)(struct far *far, const char *path);
	void (*touch)(struct far *far, struct far_file *files, size_t count);

	/* One folder below one that is there. MISS: that one isn't. KEPT: it was
	 * there. `dress` NULL: as it comes. */
	enum outcome (*make_folder)(struct far *far, const char *path,
	    const struct far_dress *dress, struct error *err);

	/* Every file of `folder` whose place in the layout says its key. */
	int (*list)(struct far *far, const char *folder,
	    const struct layout *layout, far_list_fn *fn, void *arg,
	    struct error *err);

	/* Remove files in `folder` that were last changed before `before`. */
	void (*sweep)(struct far *far, const char *folder, int64_t before);

	/* Bytes that are free there; UINT64_MAX: unknown. */
	uint64_t (*room)(struct far *far);

	/* Close what belongs to this kind; the session follows. */
	void (*close)(struct far *far);
};

/* `<root>/<path>`; the caller frees it. */
char *far_path(const struct far *far, const char *path);

/* Room for so many, all zero; the caller frees it. */
struct far_file *far_files(size_t count);

/* One file by itself. */
enum outcome far_one(struct far *far, struct far_file *file,
    void (*ask)(struct far *far, struct far_file *files, size_t count),
    struct error *err);

#endif
