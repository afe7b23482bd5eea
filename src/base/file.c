#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/mem.h"

int
file_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;
	struct pollfd full = { .fd = fd, .events = POLLOUT };

	while (size > 0) {
		ssize_t done = write(fd, p, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN) {
			(void)poll(&full, 1, -1);
			continue;
		}
		if (done < 0)
			return -1;
		p += done;
		size -= (size_t)done;
	}
	return 0;
}

int
file_settle(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -1 : close(copy);
}

static int
make_folder(const char *path, struct error *err)
{
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return error_errno(err, "cannot create folder '%s'", path);
	return 0;
}

int
file_make_parents(const char *path, struct error *err)
{
	auto_free char *copy = xstrdup(path);
	char *slash = strrchr(copy, '/');

	if (!slash || slash == copy)
		return 0;
	*slash = '\0';
	if (mkdir(copy, 0777) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return error_errno(err, "cannot create folder '%s'", copy);
	if (file_make_parents(copy, err) < 0)
		return -1;
	return make_folder(copy, err);
}

int
file_make_folder(const char *path, struct error *err)
{
	if (file_make_parents(path, err) < 0)
		return -1;
	return make_folder(path, err);
}

static int
copy_by_hand(int from, int to, struct error *err)
{
	char chunk[64 * 1024];
	ssize_t got;

	while ((got = read(from, chunk, sizeof(chunk))) > 0) {
		if (file_write_all(to, chunk, (size_t)got) < 0)
			return error_errno(err, "cannot write a copy");
	}
	return got < 0 ? error_errno(err, "cannot read for a copy") : 0;
}

int
file_copy(int from, int to, struct error *err)
{
	ssize_t got;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (lseek(from, 0, SEEK_SET) < 0)
		return error_errno(err, "cannot rewind for a copy");
	while ((got = copy_file_range(
	            from, NULL, to, NULL, (size_t)1 << 30, 0)) > 0)
		;
	if (got == 0)
		return 0;
	if (errno != EXDEV && errno != ENOSYS && errno != EINVAL &&
	    errno != EOPNOTSUPP && errno != EPERM)
		return error_errno(err, "cannot copy");
	return copy_by_hand(from, to, err);
}

int
file_replace(const char *path, const void *data, size_t size, mode_t mode,
    struct error *err)
{
	auto_aside file = ASIDE_INIT;

	if (aside_start(&file, path, 0600, err) < 0)
		return -1;
	if (fchmod(file.fd, mode) < 0 ||
	    file_write_all(file.fd, data, size) < 0)
		return error_errno(err, "cannot write '%s'", path);
	return aside_put(&file, path, false, err);
}
