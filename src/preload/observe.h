#ifndef OBSERVE_H
#define OBSERVE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "trace/ring.h"

/*
 * What the parts of the preloaded library know of each other.
 *
 * A lookup goes through the log in three steps:
 *
 *	struct lookup l;
 *
 *	if (lookup_begin(&l, RING_STAT, path)) {
 *		long got = stub_call(SYS_stat, path, (uintptr_t)buf, 0);
 *
 *		if (lookup_end(&l, got, buf))
 *			return stub_result(got);
 *	}
 *	return NEXT(stat)(path, buf);
 *
 * Either step may decline: the library is not active, the path is not one for
 * the log, the log is full. The function that follows in the search order is
 * then called, whose system call the supervisor sees for itself.
 */

#define EXPORT __attribute__((visibility("default")))

#define LOOKUP_PATH 4000 /* bytes: a longer path is left to libc */

struct lookup {
	enum ring_op op;
	uint32_t slot;    /* of the table of known ones */
	const char *path; /* absolute */
	size_t size;
	const struct ring_entry *known; /* the same lookup, logged before */
	struct ring_entry *entry;       /* claimed, if it was not known */
	char room[PATH_MAX];            /* for a path that was relative */
};

/* Attach to the log that `path` opens; false leaves nothing behind. */
bool ring_attach(const char *path);
bool ring_active(void);

bool lookup_begin(struct lookup *l, enum ring_op op, const char *path);

/* `got` is what the system call returned, `st` what is known of the file found,
 * NULL for operations that do not say. False: it could not be logged, and the
 * caller makes the call again through libc. */
bool lookup_end(struct lookup *l, long got, const struct stat *st);

/* Is this absolute path in /proc, /sys or /dev, going by its letters? */
bool path_is_special(const char *path);

/* The system call from the stub, as the kernel answers it: -errno. */
long stub_call(long nr, const void *a, uintptr_t b, long c);

/* As libc answers: -1 and errno. */
long stub_result(long got);

/* A logged open for reading; -errno, or -ENOSYS when it was declined. */
long observe_open(const char *path, int flags);

/* What the environment of a program needs to have the library in it; NULL when
 * this process is not active itself. */
char *observe_preload(void);
char *observe_ring(void);

/*
 * The definition of a function that follows ours in the search order, as
 * dlsym(RTLD_NEXT, ...) finds it. Found by reading the tables, because dlsym()
 * has a version that older C libraries lack, and the loader refuses to start a
 * program whose preloaded library asks for a version that is not there.
 */
typedef void next_function(void);

struct next {
	next_function *function; /* NULL: not looked for yet */
	char name[24];
};

next_function *next_find(struct next *n);
const char *next_own_path(void);

#define NEXT(fn) \
	__extension__({ \
		static struct next next_##fn = { NULL, #fn }; \
		(__typeof__(&(fn)))next_find(&next_##fn); \
	})

#endif
