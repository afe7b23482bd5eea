#ifndef STAMP_H
#define STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * What tells one state of a file from the next without reading it: where it is
 * and when it last changed. A change of content or of mode moves ctime, which no
 * program can set.
 *
 * Two states are told apart only if the clock that stamps them moved between
 * them. A kernel from 6.13 on gives a file that was looked at a finer stamp at
 * its next change; others, and servers, stamp in ticks. A stamp is *settled*
 * when any later change is sure to look different: at once on the former, a
 * while after the change on the latter. What isn't settled is read again.
 */
struct stamp {
	uint64_t dev, ino, size;
	int64_t mtime_ns, ctime_ns; /* since the epoch */
};

void stamp_of(struct stamp *stamp, const struct stat *st);
bool stamp_equal(const struct stamp *a, const struct stamp *b);

/* `stamp` was taken just now, from a file on the file system of `fd` or, if that
 * is -1, of `path`. */
bool stamp_settled(const struct stamp *stamp, int fd, const char *path);

#endif
