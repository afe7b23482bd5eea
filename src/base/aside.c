#include "base/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define TRIES 20 /* against others who replace the same file */

/* FNV-1a; the name is only to be short, and the same next time. */
static uint64_t
sum_of(const char *text)
{
	uint64_t sum = 0xcbf29ce484222325;

	for (; *text; text++)
		sum = (sum ^ (unsigned char)*text) * 0x100000001b3;
	return sum;
}

static char *
beside(const char *path, size_t folder)
{
	return xasprintf("%.*s/.tarn-%016llx", (int)folder, path,
	    (unsigned long long)sum_of(path + folder));
}

/* ---- with a name from the start ---- */

static bool
is_named(int fd, const char *name)
{
	struct stat open, there;

	return fstat(fd, &open) == 0 && lstat(name, &there) == 0 &&
	    open.st_dev == there.st_dev && open.st_ino == there.st_ino;
}

/* Only whoever has the lock of a file may take its name away. */
static bool
lock(int fd, const char *name)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0 && is_named(fd, name);
}

/* Nobody has a lock on it: its maker is dead. */
static bool
remove_dead(const char *name)
{
	auto_close int fd =
	    open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd >= 0 ? lock(fd, name) && unlink(name) == 0 : errno == ENOENT;
}

static int
create(const char *name, mode_t mode)
{
	return open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
}

static int
create_locked(const char *name, mode_t mode)
{
	int fd = create(name, mode);

	if (fd < 0 && errno == EEXIST && remove_dead(name))
		fd = create(name, mode);
	if (fd >= 0 && !lock(fd, name)) {
		close(fd); /* someone takes it for a dead one's, or took it */
		fd = -1;
	}
	return fd;
}

static int
open_named(struct aside *file, mode_t mode)
{
	static unsigned serial;

	/* What can't be opened can't be seen to have no lock. */
	mode |= 0600;
	file->name = xasprintf("%s.part", file->beside);
	file->fd = create_locked(file->name, mode);
	if (file->fd >= 0)
		return file->fd;
	free(take(file->name));
	file->name =
	    xasprintf("%s-%d-%u.part", file->beside, (int)getpid(), serial++);
	file->fd = create(file->name, mode);
	return file->fd;
}

/* ---- both ways ---- */

static bool
knows_nameless(int error)
{
	return error != EOPNOTSUPP && error != EISDIR && error != EINVAL &&
	    error != ENOSYS;
}

int
aside_open(struct aside *file, const char *path, size_t folder, mode_t mode,
    struct error *err)
{
	auto_free char *in = xasprintf("%.*s", folder ? (int)folder : 1, path);

	*file = (struct aside){ .beside = beside(path, folder) };
	file->fd = open(in, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (file->fd < 0 && !knows_nameless(errno))
		(void)open_named(file, mode);
	if (file->fd >= 0)
		return 0;
	error_errno(err, "cannot create a file in '%s'", in);
	free(take(file->name)); /* it isn't ours to remove */
	aside_release(file);
	return -1;
}

int
aside_start(
    struct aside *file, const char *path, mode_t mode, struct error *err)
{
	const char *slash = strrchr(path, '/');
	auto_free char *here = slash ? NULL : xasprintf("./%s", path);

	return aside_open(file, here ? here : path,
	    slash ? (size_t)(slash - path) : 1, mode, err);
}

void
aside_release(struct aside *file)
{
	if (file->name)
		(void)unlink(file->name);
	if (file->fd >= 0)
		close(file->fd);
	free(file->name);
	free(file->beside);
	*file = (struct aside)ASIDE_INIT;
}

int
aside_nameless(const char *folder, struct error *err)
{
	auto_free char *path = xasprintf("%s/spool", folder);
	auto_aside file;
	int fd;

	if (aside_start(&file, path, 0600, err) < 0)
		return -1;
	fd = file.fd;
	file.fd = -1;
	return fd;
}

/* ---- into place ---- */

static int
link_to(const struct aside *file, const char *path)
{
	char open[64];

	snprintf(open, sizeof(open), "/proc/self/fd/%d", file->fd);
	return linkat(AT_FDCWD, open, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* What has the name beside the place is a whole file: one that was replaced or was
 * to replace. If its maker lives, he will miss it and try again. */
static int
link_beside(const struct aside *file)
{
	if (link_to(file, file->beside) == 0)
		return 0;
	if (errno != EEXIST || unlink(file->beside) < 0)
		return -1;
	return link_to(file, file->beside);
}

/* Let the two names change places, and take the old one away by the other. */
static int
exchange(const char *name, const char *path)
{
	if (renameat2(AT_FDCWD, name, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
		return -1;
	/* A second time, since it is in the way of a build's own lists. */
	if (unlink(name) == 0 || (errno != EISDIR && unlink(name) <= 0))
		return 0;
	(void)renameat2(AT_FDCWD, name, AT_FDCWD, path, RENAME_EXCHANGE);
	errno = EISDIR;
	return -1;
}

/* From a name beside it. */
static int
replace(const char *name, const char *path)
{
	int error;

	if (exchange(name, path) == 0)
		return 0;
	if ((errno == ENOENT || errno == EINVAL || errno == ENOSYS ||
	        errno == EOPNOTSUPP) &&
	    rename(name, path) == 0)
		return 0;
	error = errno;
	(void)unlink(name);
	errno = error;
	return -1;
}

/* Once its name was taken away by another, a file can't have a new one. So it is
 * copied, with mode and time, to one that never had any. */
static int
renew(struct aside *file)
{
	size_t folder = (size_t)(strrchr(file->beside, '/') - file->beside);
	struct error err;
	struct stat st;
	auto_aside next = ASIDE_INIT;
	int fd = file->fd;

	if (fstat(fd, &st) < 0 ||
	    aside_open(&next, file->beside, folder, 0600, &err) < 0 ||
	    next.name || file_copy(fd, next.fd, &err) < 0 ||
	    fchmod(next.fd, st.st_mode & 07777) < 0 ||
	    futimens(next.fd,
	        (const struct timespec[]){ st.st_atim, st.st_mtim }) < 0)
		return -1;
	file->fd = next.fd;
	next.fd = fd;
	return 0;
}

/* Others may do the same at the same time; in the end one of us is the last. */
static int
put_nameless(struct aside *file, const char *path, bool there)
{
	for (int tries = 0; tries < TRIES; tries++) {
		if (!there && link_to(file, path) == 0)
			return 0;
		if (!there && errno != EEXIST)
			return -1;
		if (link_beside(file) == 0 && replace(file->beside, path) == 0)
			return 0;
		if (errno != EEXIST && (errno != ENOENT || renew(file) < 0))
			return -1;
	}
	return -1;
}

static int
put_named(struct aside *file, const char *path)
{
	if (file_settle(file->fd) < 0 || rename(file->name, path) < 0)
		return -1;
	free(take(file->name));
	return 0;
}

int
aside_put(struct aside *file, const char *path, bool there, struct error *err)
{
	int status = file->name ? put_named(file, path)
	                        : put_nameless(file, path, there);

	return status < 0 ? error_errno(err, "cannot put '%s' in place", path)
	                  : 0;
}

int
aside_put_new(struct aside *file, const char *path, struct error *err)
{
	int status = !file->name        ? link_to(file, path)
	    : file_settle(file->fd) < 0 ? -1
	                                : link(file->name, path);

	if (status == 0)
		return 1; /* a name beside it goes with aside_release() */
	return errno == EEXIST
	    ? 0
	    : error_errno(err, "cannot put '%s' in place", path);
}
