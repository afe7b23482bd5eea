/* The functions that look a path up. Each is as in lookup_begin()'s example. */
#include "preload/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Opens with any other flag are the C library's. What it calls O_LARGEFILE is 0;
 * programs may have the kernel's value. */
#define PLAIN_FLAGS (O_CLOEXEC | O_NOCTTY | O_NONBLOCK | 0100000)

/* Functions that only programs built with _FORTIFY_SOURCE call. */
// NOLINTBEGIN(bugprone-reserved-identifier)
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
ssize_t __readlink_chk(const char *path, char *to, size_t size, size_t room);
// NOLINTEND(bugprone-reserved-identifier)

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
open(const char *file, int oflag, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, oflag);
	mode = open_mode(oflag, args);
	va_end(args);
	return open_any(file, oflag, mode);
}

EXPORT int
open64(const char *file, int oflag, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, oflag);
	mode = open_mode(oflag, args);
	va_end(args);
	return open_any(file, oflag, mode);
}

EXPORT int
openat(int fd, const char *file, int oflag, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, oflag);
	mode = open_mode(oflag, args);
	va_end(args);
	return openat_any(fd, file, oflag, mode);
}

EXPORT int
openat64(int fd, const char *file, int oflag, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, oflag);
	mode = open_mode(oflag, args);
	va_end(args);
	return openat_any(fd, file, oflag, mode);
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
fopen(const char *filename, const char *modes)
{
	int flags = ring_active() && filename ? fopen_flags(modes) : -1;

	return flags < 0 ? NEXT(fopen)(filename, modes)
	                 : fopen_plain(filename, modes, flags);
}

EXPORT FILE *
fopen64(const char *filename, const char *modes)
{
	return fopen(filename, modes);
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
stat(const char *file, struct stat *buf)
{
	int result;

	return stat_logged(RING_STAT, file, buf, &result)
	    ? result
	    : NEXT(stat)(file, buf);
}

EXPORT int
stat64(const char *file, struct stat64 *buf)
{
	return stat(file, (struct stat *)buf);
}

EXPORT int
lstat(const char *file, struct stat *buf)
{
	int result;

	return stat_logged(RING_LSTAT, file, buf, &result)
	    ? result
	    : NEXT(lstat)(file, buf);
}

EXPORT int
lstat64(const char *file, struct stat64 *buf)
{
	return lstat(file, (struct stat *)buf);
}

EXPORT int
fstatat(int fd, const char *file, struct stat *buf, int flag)
{
	enum ring_op op = flag ? RING_LSTAT : RING_STAT;
	bool plain = !(flag & ~AT_SYMLINK_NOFOLLOW) && dir_is_plain(fd, file);
	int result;

	return plain && stat_logged(op, file, buf, &result)
	    ? result
	    : NEXT(fstatat)(fd, file, buf, flag);
}

EXPORT int
fstatat64(int fd, const char *file, struct stat64 *buf, int flag)
{
	return fstatat(fd, file, (struct stat *)buf, flag);
}

/* No lookup: but the C library makes one of it, of an empty path, which would
 * stop at the supervisor. */
EXPORT int
fstat(int fd, struct stat *buf)
{
	return (int)syscall(SYS_fstat, fd, buf);
}

EXPORT int
fstat64(int fd, struct stat64 *buf)
{
	return fstat(fd, (struct stat *)buf);
}

static bool
access_logged(const char *path, int mode, int *result)
{
	struct lookup l;
	long got;

	if (mode & ~(R_OK | W_OK | X_OK) ||
	    !lookup_begin(&l, RING_ACCESS, path))
		return false;
	got = stub_call(SYS_access, path, (uintptr_t)mode, 0);
	if (!lookup_end(&l, got, NULL))
		return false;
	*result = (int)stub_result(got);
	return true;
}

EXPORT int
access(const char *name, int type)
{
	int result;

	return access_logged(name, type, &result) ? result
	                                          : NEXT(access)(name, type);
}

EXPORT int
faccessat(int fd, const char *file, int type, int flag)
{
	int result;

	return !flag && dir_is_plain(fd, file) &&
	        access_logged(file, type, &result)
	    ? result
	    : NEXT(faccessat)(fd, file, type, flag);
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
readlink(const char *path, char *buf, size_t len)
{
	ssize_t result;

	return readlink_logged(path, buf, len, &result)
	    ? result
	    : NEXT(readlink)(path, buf, len);
}

EXPORT ssize_t
readlinkat(int fd, const char *path, char *buf, size_t len)
{
	ssize_t result;

	return dir_is_plain(fd, path) &&
	        readlink_logged(path, buf, len, &result)
	    ? result
	    : NEXT(readlinkat)(fd, path, buf, len);
}

EXPORT ssize_t
__readlink_chk(const char *path, char *to, size_t size, size_t room)
{
	ssize_t result;

	return size <= room && readlink_logged(path, to, size, &result)
	    ? result
	    : NEXT(__readlink_chk)(path, to, size, room);
}
