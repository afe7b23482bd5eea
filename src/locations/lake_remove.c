#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/lake.h"

#define DEPTH 64 /* of folders; no lake ever had more than two */

static void empty_folder(int fd, int depth);

static void
remove_name(int dir, const char *name, int depth)
{
	int fd;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    unlinkat(dir, name, 0) == 0 || (errno != EISDIR && errno != EPERM))
		return;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	if (depth < DEPTH)
		empty_folder(fd, depth + 1);
	else
		close(fd);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

/* Takes over `fd`. What can't be removed stays. */
static void
empty_folder(int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		remove_name(dirfd(dir), entry->d_name, depth);
	closedir(dir);
}

/* The value first: then it is gone, whatever becomes of the rest. A folder without
 * one is none of ours. */
static enum outcome
remove_folder(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int error;

	if (fd < 0)
		return error_errno(err, "cannot open '%s'", path);
	if (unlinkat(fd, "data", 0) < 0) {
		error = errno;
		close(fd);
		errno = error;
		return error == ENOENT
		    ? MISS
		    : error_errno(err, "cannot remove '%s/data'", path);
	}
	empty_folder(fd, 0);
	(void)rmdir(path);
	return HIT;
}

enum outcome
lake_remove_object(const char *path, struct error *err)
{
	if (unlink(path) == 0)
		return HIT;
	if (errno == ENOENT || errno == ENOTDIR)
		return MISS;
	if (errno == EISDIR)
		return remove_folder(path, err);
	return error_errno(err, "cannot remove '%s'", path);
}
