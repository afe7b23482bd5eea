#ifndef LAKE_H
#define LAKE_H

#include <sys/types.h>

#include "base/error.h"
#include "locations/layout.h"
#include "locations/location.h"

/*
 * A lake's folder, and how files come to be in it.
 *
 * Group and mode of the root are the policy for all that is made below it: folders
 * get the root's permissions, objects those but for writing and running, and all of
 * them the root's group. A file is written to `.tmp/` and moved into its place, so
 * nobody ever sees a part of one. Nothing is synced to the disk: who reads a blob
 * checks it anyway.
 *
 * What is not the Python library's is in `tools/tarn-exec/`, where it looks at
 * nothing.
 */
#define LAKE_TOOLS "tools/tarn-exec"
#define LAKE_INDEX LAKE_TOOLS "/index"

struct lake {
	char *root;           /* owned, no slash at the end */
	bool known;           /* `layout` is what config.yml says */
	bool ready;           /* for writing: there is a root, and all below */
	struct layout layout; /* of blobs; read by lake_layout() */
	mode_t perm;
	gid_t gid;
	uint64_t uncounted; /* bytes that the total doesn't know yet */
};

void lake_release(struct lake *lake);

/*
 * Read config.yml, unless it has been. Returns 1, 0 if there is none (now; it may
 * come), -1 if it can't be understood.
 */
int lake_layout(struct lake *lake, struct error *err);

/* The folder of what has no content for a name; the caller frees it. */
char *lake_index(const struct lake *lake);

/* As location_list(), of entries of `leaf`. */
int lake_list(struct lake *lake, struct location *leaf, location_entry_fn *fn,
    void *arg, struct error *err);

/* Make the lake if it isn't there, and learn its policy. Returns 0 or -1. */
int lake_prepare(struct lake *lake, struct error *err);

/* A file on its way into the lake. Released without lake_publish(), it is gone. */
struct lake_file {
	char *temp; /* NULL once there is no such name */
	int fd;
};
#define LAKE_FILE_INIT \
	{ \
		.fd = -1 \
	}
#define auto_lake_file \
	__attribute__((cleanup(lake_file_release))) struct lake_file

void lake_file_release(struct lake_file *file);

/* Start one; `name` is for people who look into `.tmp/`. Returns 0 or -1. */
int lake_create(struct lake *lake, struct lake_file *file, const char *name,
    struct error *err);

/*
 * Give it its mode (what the policy leaves of `mode`) and group, and the name
 * `path`. Returns 1, 0 if `replace` is false and there is one of that name, or -1.
 */
int lake_publish(struct lake *lake, struct lake_file *file, const char *path,
    mode_t mode, bool replace, struct error *err);

/*
 * Open a file of ours in LAKE_TOOLS for reading and writing, made if need be.
 * Returns the descriptor or -1.
 */
int lake_open_tool(struct lake *lake, const char *name, struct error *err);

/* Its descriptor, locked until it is closed; -1 if another process has it. */
int lake_lock(struct lake *lake, const char *name, struct error *err);

/*
 * The bytes in the lake, in LAKE_TOOLS/size: eight bytes, little end first. It is an
 * estimate. Nobody waits long for its lock, and what others write or remove without
 * counting shows only when somebody counts anew.
 *
 * Adding returns the new total: UINT64_MAX if there was none, 0 if the lock was
 * busy, and then the next to be added includes this.
 */
uint64_t lake_add_total(struct lake *lake, uint64_t more);
void lake_set_total(struct lake *lake, uint64_t total);

/* Remove what was left in `.tmp/` more than an hour ago by those who were killed. */
void lake_sweep(struct lake *lake);

#endif
