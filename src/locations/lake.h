#ifndef LAKE_H
#define LAKE_H

#include <sys/types.h>

#include "base/error.h"
#include "locations/lake_config.h"
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
#define LAKE_SIZE LAKE_TOOLS "/size"
#define LAKE_LOCK LAKE_TOOLS "/gc.lock"

/*
 * What a lake is to be like if it has to be made. `layout` has to be the lake's in
 * any case, if it is given; marks of use are kept if either side wants them.
 */
struct lake_wish {
	struct lake_config config;
	mode_t permissions; /* of the root; 0: what the umask leaves */
	gid_t group;        /* of the root; -1: whichever it gets */
};

struct lake {
	char *root; /* owned, no slash at the end */
	struct lake_wish wish;
	bool known;           /* `layout` is what config.yml says */
	bool ready;           /* for writing: there is a root, and all below */
	struct layout layout; /* of blobs; read by lake_layout() */
	struct lake_config config; /* what else config.yml says */
	struct lake_stamp stamp;   /* of that config.yml */
	mode_t perm;
	gid_t gid;
	bool over;      /* the last lake_count() found too much in it */
	bool counted;   /* by this process, as far as it is small */
	bool swept;     /* lake_sweep_daily() was called */
	bool impatient; /* a lock was waited for in vain */
};

void lake_release(struct lake *lake);

/*
 * Read config.yml, unless it has been. Returns 1, 0 if there is none (now; it may
 * come), -1 if it can't be understood or is not what was wished for.
 */
int lake_layout(struct lake *lake, struct error *err);

/* Does the lake keep marks of use, as far as is known? */
bool lake_keeps_marks(const struct lake *lake);

/* Is config.yml the one that was read? */
bool lake_is_as_known(const struct lake *lake);

/* What the mode and group of the root ask for. Returns 0 or -1. */
int lake_learn_policy(struct lake *lake, struct error *err);

/* The folder of what has no content for a name; the caller frees it. */
char *lake_index(const struct lake *lake);

/* As location_list_some(), of entries of `leaf`. */
int lake_list(struct lake *lake, struct location *leaf, unsigned wanted,
    location_entry_fn *fn, void *arg, struct error *err);

/* As location_inspect(). */
int lake_inspect(struct lake *lake, struct location *leaf, bool mend,
    location_damage_fn *fn, void *arg, struct error *err);

/*
 * Make the lake if it isn't there, and learn its policy; anew if its config.yml is
 * not the one of before. Returns 0 or -1.
 */
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
 * The same for a file of one of the Python library's tools, whose place is
 * lake_tool_path(): tools/<tool>/58/91b5...<ending>, in whatever way the lake cuts
 * its keys. It and its folder are everybody's, and of the group that the tool's
 * folder has. A file that is there is replaced.
 */
char *lake_tool_path(const struct lake *lake, const char *tool,
    const struct digest *digest, const char *ending);
int lake_publish_tool(struct lake *lake, struct lake_file *file,
    const char *tool, const char *path, struct error *err);

/*
 * The mark that says when a blob was used last, an empty file: make or renew it, as
 * far as we may; its time, 0 if there is none; forget it.
 */
void lake_mark(struct lake *lake, const struct digest *digest);
time_t lake_marked(const struct lake *lake, const struct digest *digest);
void lake_unmark(const struct lake *lake, const struct digest *digest);

/* As a location's, for blobs, but that nobody looks whether there is one. */
enum outcome lake_add_labels(struct lake *lake, const struct digest *digest,
    const char *const *labels, struct error *err);
enum outcome lake_labels(const struct lake *lake, const struct digest *digest,
    location_label_fn *fn, void *arg, struct error *err);
void lake_remove_labels(const struct lake *lake, const struct digest *digest);

/*
 * Remove an object, be it a file or, as old versions of the Python library had
 * it, a folder with a file `data` and perhaps more. No link is followed.
 */
enum outcome lake_remove_object(const char *path, struct error *err);

/*
 * Open a file of ours in LAKE_TOOLS for reading and writing, made if need be.
 * Returns the descriptor or -1.
 */
int lake_open_tool(struct lake *lake, const char *name, struct error *err);

/*
 * What the lake holds, in LAKE_SIZE, counted by whoever writes and removes, so that
 * nobody has to look at all of it. Each host adds in a place of its own, so that no
 * addition is lost even where locks don't reach from one to the other, and nobody
 * waits for a lock for more than 20 ms. What those who don't count (the Python library, rm) write or remove
 * shows only when somebody looks at all of it and sets the total anew.
 */
struct lake_total {
	uint64_t bytes;
	uint64_t
	    again; /* no collecting below this: the last one came no further */
};

/*
 * Add to it, if it is kept. Returns 1; 0 if there is none, or none that can be
 * believed, and it is to be set; -1 if it can't be opened.
 */
int lake_add_total(struct lake *lake, int64_t more, struct lake_total *total);
void lake_set_total(struct lake *lake, const struct lake_total *total);

/*
 * After each change: so much more is in the lake. Sets lake->over if that is more
 * than `max_size`; 0: there is no limit, and the total is kept only if it is there.
 */
void lake_count(
    struct lake *lake, struct location *leaf, uint64_t max_size, int64_t more);

/* As location_collect(), with the total kept right. */
struct lake_collect {
	struct location *leaf;
	uint64_t max_size; /* for requests of its own_size; 0: none */
	enum outcome (*remove)(
	    void *arg, const struct location_entry *entry, struct error *err);
	void *arg;
};
enum outcome lake_collect(struct lake *lake, const struct lake_collect *collect,
    const struct collect_request *request, struct collect_result *result,
    struct error *err);

/*
 * The right to collect, until the descriptor is closed: one process has it, as far
 * as locks reach. It keeps two from doing the same work; if they do all the same,
 * no harm is done. -1 if another one has it.
 */
int lake_lock(struct lake *lake, struct error *err);

/* Has another process that right, or had it one less than a second ago? */
bool lake_is_collected(struct lake *lake);

/*
 * Something in `.tmp` that is old: a file, an empty folder, or one that held a batch
 * of values on its way (src/remote/scp_batch.c), with all that is in it. 0, or -1 and
 * errno.
 */
#define LAKE_BATCH_NAME 16 /* letters, and nothing else */
int lake_remove_left(int at, const char *path);

/*
 * Remove what was left in `.tmp/` more than an hour before `now` by those who were
 * killed. The second does so if nobody did within a day, and once for each *lake.
 */
void lake_sweep(struct lake *lake, time_t now);
void lake_sweep_daily(struct lake *lake);

/*
 * The part of lake_list() whose keys start with `first`, or all of it if the layout
 * does not tell them apart by that: then there is one part.
 */
size_t lake_parts(const struct lake *lake);
int lake_list_part(struct lake *lake, struct location *leaf, size_t first,
    location_entry_fn *fn, void *arg, struct error *err);

#endif
