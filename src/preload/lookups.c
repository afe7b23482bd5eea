/* The functions that look a path up. Each is as in lookup_begin()'s example. */
#include "preload/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Opens with any other flag are the C library's. */
#define PLAIN_FLAGS \
	(O_RDONLY | O_CLOEXEC | O_NOCTTY | 0100000 /* O_LARGEFILE */)

/* Functions that only programs built with _FORTIFY_SOURCE call. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
ssize_t __readlink_chk(const char *path, char *to, size_t size, size_t room);

/* Does `path` mean the same whatever `dir` is? */
static bool
dir_is_plain(int dir, const char *path)
{
	return dir == AT_FDCWD || (path && path[0] == '/');
}

long
observe_open(const char *path, int flags)
{
	struct lookup l;
	struct stat st;
	long fd, known;

	if (flags & ~PLAIN_FLAGS || !lookup_begin(&l, RING_OPEN, path))
		return -ENOSYS;
	fd = stub_call(SYS_open, path, (uintptr_t)flags, 0);
	known = fd >= 0 && syscall(SYS_fstat, fd, &st) < 0 ? -EIO : fd;
	if (lookup_end(&l, known, &st))
		return fd;
	if (fd >= 0)
		close((int)fd);
	return -ENOSYS;
}

/* The mode that follows the flags of an open that may create a file. */
static mode_t
open_mode(int flags, va_list args)
{
	bool has = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;

	return has ? va_arg(args, mode_t) : 0;
}

static int
open_any(const char *path, int flags, mode_t mode)
{
	long fd = observe_open(path, flags);

	if (fd == -ENOSYS)
		return NEXT(open)(path, flags, mode);
	return (int)stub_result(fd);
}

static int
openat_any(int dir, const char *path, int flags, mode_t mode)
{
	long fd = dir_is_plain(dir, path) ? observe_open(path, flags) : -ENOSYS;

	if (fd == -ENOSYS)
		return NEXT(openat)(dir, path, flags, mode);
	return (int)stub_result(fd);
}

EXPORT int
open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = open_mode(flags, args);
	va_end(args);
	return open_any(path, flags, mode);
}

EXPORT int
open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = open_mode(flags, args);
	va_end(args);
	return open_any(path, flags, mode);
}

EXPORT int
openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = open_mode(flags, args);
	va_end(args);
	return openat_any(dir, path, flags, mode);
}

EXPORT int
openat64(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = open_mode(flags, args);
	va_end(args);
	return openat_any(dir, path, flags, mode);
}

EXPORT int
__open_2(const char *path, int flags)
{
	long fd = observe_open(path, flags);

	return fd == -ENOSYS ? NEXT(__open_2)(path, flags)
	                     : (int)stub_result(fd);
}

EXPORT int
__open64_2(const char *path, int flags)
{
	return __open_2(path, flags);
}

EXPORT int
__openat_2(int dir, const char *path, int flags)
{
	long fd = dir_is_plain(dir, path) ? observe_open(path, flags) : -ENOSYS;

	return fd == -ENOSYS ? NEXT(__openat_2)(dir, path, flags)
	                     : (int)stub_result(fd);
}

EXPORT int
__openat64_2(int dir, const char *path, int flags)
{
	return __openat_2(dir, path, flags);
}

/* The flags of a plain mode for reading, or -1. */
static int
fopen_flags(const char *mode)
{
	if (!mode || mode[0] != 'r' || strlen(mode) > 4 ||
	    mode[1 + strspn(mode + 1, "bte")])
		return -1;
	return strchr(mode, 'e') ? O_RDONLY | O_CLOEXEC : O_RDONLY;
}

static FILE *
fopen_plain(const char *path, const char *mode, int flags)
{
	FILE *file;
	int fd, saved;

	fd = open_any(path, flags, 0);
	file = fd < 0 ? NULL : fdopen(fd, mode);
	if (fd >= 0 && !file) {
		saved = errno;
		close(fd);
		errno = saved;
	}
	return file;
}

EXPORT FILE *
fopen(const char *path, const char *mode)
{
	int flags = ring_active() && path ? fopen_flags(mode) : -1;

	return flags < 0 ? NEXT(fopen)(path, mode)
	                 : fopen_plain(path, mode, flags);
}

EXPORT FILE *
fopen64(const char *path, const char *mode)
{
	return fopen(path, mode);
}

/* False: it was declined. */
static bool
stat_logged(enum ring_op op, const char *path, struct stat *st, int *result)
{
	struct lookup l;
	long got;

	if (!lookup_begin(&l, op, path))
		return false;
	got = stub_call(
	    op == RING_STAT ? SYS_stat : SYS_lstat, path, (uintptr_t)st, 0);
	if (!lookup_end(&l, got, st))
		return false;
	*result = (int)stub_result(got);
	return true;
}

EXPORT int
stat(const char *path, struct stat *st)
{
	int result;

	return stat_logged(RING_STAT, path, st, &result) ? result
	                                                 : NEXT(stat)(path, st);
}

EXPORT int
stat64(const char *path, struct stat64 *st)
{
	return stat(path, (struct stat *)st);
}

EXPORT int
lstat(const char *path, struct stat *st)
{
	int result;

	return stat_logged(RING_LSTAT, path, st, &result)
	    ? result
	    : NEXT(lstat)(path, st);
}

EXPORT int
lstat64(const char *path, struct stat64 *st)
{
	return lstat(path, (struct stat *)st);
}

EXPORT int
fstatat(int dir, const char *path, struct stat *st, int flags)
{
	enum ring_op op = flags ? RING_LSTAT : RING_STAT;
	bool plain = !(flags & ~AT_SYMLINK_NOFOLLOW) && dir_is_plain(dir, path);
	int result;

	return plain && stat_logged(op, path, st, &result)
	    ? result
	    : NEXT(fstatat)(dir, path, st, flags);
}

EXPORT int
fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	return fstatat(dir, path, (struct stat *)st, flags);
}

/* No lookup: but the C library makes one of it, of an empty path, which would
 * stop at the supervisor. */
EXPORT int
fstat(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st);
}

EXPORT int
fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

static bool
access_logged(const char *path, int mode, int *result)
{
	struct lookup l;
	long got;

	if (!lookup_begin(&l, RING_ACCESS, path))
		return false;
	got = stub_call(SYS_access, path, (uintptr_t)mode, 0);
	if (!lookup_end(&l, got, NULL))
		return false;
	*result = (int)stub_result(got);
	return true;
}

EXPORT int
access(const char *path, int mode)
{
	int result;

	return access_logged(path, mode, &result) ? result
	                                          : NEXT(access)(path, mode);
}

EXPORT int
faccessat(int dir, const char *path, int mode, int flags)
{
	int result;

	return !flags && dir_is_plain(dir, path) &&
	        access_logged(path, mode, &result)
	    ? result
	    : NEXT(faccessat)(dir, path, mode, flags);
}

static bool
readlink_logged(const char *path, char *to, size_t size, ssize_t *result)
{
	struct lookup l;
	long got;

	if (!size || size > INT_MAX || !lookup_begin(&l, RING_READLINK, path))
		return false;
	got = stub_call(SYS_readlink, path, (uintptr_t)to, (long)size);
	if (!lookup_end(&l, got, NULL))
		return false;
	*result = stub_result(got);
	return true;
}

EXPORT ssize_t
readlink(const char *path, char *to, size_t size)
{
	ssize_t result;

	return readlink_logged(path, to, size, &result)
	    ? result
	    : NEXT(readlink)(path, to, size);
}

EXPORT ssize_t
readlinkat(int dir, const char *path, char *to, size_t size)
{
	ssize_t result;

	return dir_is_plain(dir, path) &&
	        readlink_logged(path, to, size, &result)
	    ? result
	    : NEXT(readlinkat)(dir, path, to, size);
}

EXPORT ssize_t
__readlink_chk(const char *path, char *to, size_t size, size_t room)
{
	ssize_t result;

	return size <= room && readlink_logged(path, to, size, &result)
	    ? result
	    : NEXT(__readlink_chk)(path, to, size, room);
}
