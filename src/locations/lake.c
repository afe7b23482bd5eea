#include "locations/lake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

void
lake_release(struct lake *lake)
{
	free(lake->root);
}

char *
lake_index(const struct lake *lake)
{
	return xasprintf("%s/" LAKE_INDEX, lake->root);
}

/* ---- config.yml ---- */

static int
read_config(const char *path, struct buf *text, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t got;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return error_errno(err, "cannot open '%s'", path);
	while ((got = read(fd, chunk, sizeof(chunk))) > 0) {
		buf_add(text, chunk, (size_t)got);
		if (text->len > 64 * 1024)
			return error_set(err, ERROR_CORRUPT,
			    "'%s': expected less than 64 KiB", path);
	}
	if (got < 0)
		return error_errno(err, "cannot read '%s'", path);
	return 1;
}

int
lake_layout(struct lake *lake, struct error *err)
{
	auto_free char *path = NULL;
	auto_buf text = BUF_INIT;
	int there;

	if (lake->known)
		return 1;
	path = xasprintf("%s/" LAYOUT_FILE, lake->root);
	there = read_config(path, &text, err);
	if (there <= 0)
		return there;
	if (layout_parse(&lake->layout, text.data, err) < 0)
		return error_wrap(err, "'%s'", path);
	lake->known = true;
	return 1;
}

/* The first who writes it decides; then it is read like any other. */
static int
write_config(struct lake *lake, struct error *err)
{
	auto_free char *path = xasprintf("%s/" LAYOUT_FILE, lake->root);
	auto_lake_file file = LAKE_FILE_INIT;

	if (lake_create(lake, &file, LAYOUT_FILE, err) < 0)
		return -1;
	if (file_write_all(
	        file.fd, LAYOUT_DEFAULT, sizeof(LAYOUT_DEFAULT) - 1) < 0)
		return error_errno(err, "cannot write '%s'", path);
	return lake_publish(lake, &file, path, 0666, false, err);
}

/* ---- the policy ---- */

static int
set_group(const struct lake *lake, const char *path, const struct stat *st,
    struct error *err)
{
	if (st->st_gid != lake->gid && chown(path, (uid_t)-1, lake->gid) < 0)
		return error_errno(err, "cannot give '%s' its group", path);
	return 0;
}

static int
make_folder(const struct lake *lake, const char *path, struct error *err)
{
	struct stat st;

	if (mkdir(path, lake->perm) < 0)
		return errno == EEXIST
		    ? 0
		    : error_errno(err, "cannot create folder '%s'", path);
	if (chmod(path, lake->perm) < 0 || stat(path, &st) < 0)
		return error_errno(err, "cannot give '%s' its mode", path);
	return set_group(lake, path, &st, err);
}

/* All folders between the root and the file `path`. */
static int
make_parents(const struct lake *lake, const char *path, struct error *err)
{
	auto_free char *copy = xstrdup(path);

	for (char *p = copy + strlen(lake->root) + 1; (p = strchr(p, '/'));
	     p++) {
		*p = '\0';
		if (make_folder(lake, copy, err) < 0)
			return -1;
		*p = '/';
	}
	return 0;
}

static int
learn_policy(struct lake *lake, struct error *err)
{
	struct stat st;
	int rc = stat(lake->root, &st);

	if (rc < 0 && errno == ENOENT) {
		if (file_make_folder(lake->root, err) < 0)
			return -1;
		rc = stat(lake->root, &st);
	}
	if (rc < 0)
		return error_errno(err, "cannot stat '%s'", lake->root);
	if (!S_ISDIR(st.st_mode))
		return error_set(
		    err, ERROR_USAGE, "'%s' is not a folder", lake->root);
	lake->perm = st.st_mode & 0777;
	lake->gid = st.st_gid;
	return 0;
}

int
lake_prepare(struct lake *lake, struct error *err)
{
	int there;

	if (lake->ready)
		return 0;
	if (learn_policy(lake, err) < 0)
		return -1;
	there = lake_layout(lake, err);
	if (there == 0 && write_config(lake, err) < 0)
		return -1;
	if (there == 0)
		there = lake_layout(lake, err);
	if (there < 0)
		return -1;
	lake->ready = true;
	return 0;
}

/* ---- a file on its way ---- */

void
lake_file_release(struct lake_file *file)
{
	if (file->temp)
		(void)unlink(file->temp);
	free(file->temp);
	if (file->fd >= 0)
		close(file->fd);
}

static void
random_letters(char *to, size_t count)
{
	unsigned char bytes[16] = { 0 };

	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) < 0) {
		struct timespec now;

		(void)clock_gettime(CLOCK_REALTIME, &now);
		memcpy(bytes, &now.tv_nsec, sizeof(now.tv_nsec));
		bytes[7] ^= (unsigned char)getpid();
	}
	for (size_t i = 0; i < count; i++)
		to[i] = (char)('a' + bytes[i % sizeof(bytes)] % 26);
}

static int
open_temp(struct lake *lake, struct lake_file *file, const char *name)
{
	char letters[9] = { 0 };

	for (int tries = 0; tries < 100; tries++) {
		random_letters(letters, 8);
		free(file->temp);
		file->temp =
		    xasprintf("%s/.tmp/%s%s", lake->root, name, letters);
		file->fd = open(file->temp,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (file->fd >= 0 || errno != EEXIST)
			break;
	}
	return file->fd;
}

int
lake_create(struct lake *lake, struct lake_file *file, const char *name,
    struct error *err)
{
	int rc;

	if (open_temp(lake, file, name) >= 0)
		return 0;
	if (errno == ENOENT) {
		rc = make_parents(lake, file->temp, err);
		if (rc == 0 && open_temp(lake, file, name) >= 0)
			return 0;
		if (rc == 0)
			error_errno(err, "cannot create '%s'", file->temp);
	} else {
		error_errno(err, "cannot create '%s'", file->temp);
	}
	free(take(file->temp)); /* it isn't ours to remove */
	return -1;
}

/* For file systems that know neither way; two writers at once may both be told 1. */
static int
move_if_seen_free(struct lake_file *file, const char *path)
{
	if (access(path, F_OK) == 0)
		return 0;
	if (rename(file->temp, path) < 0)
		return -1;
	free(take(file->temp));
	return 1;
}

/* Some file systems know only the old way: a second name for the file. */
static int
link_if_free(struct lake_file *file, const char *path)
{
	struct stat st;

	if (link(file->temp, path) == 0)
		return 1;
	if (errno == EEXIST) /* over NFS, that may be the answer lost before */
		return fstat(file->fd, &st) == 0 && st.st_nlink == 2;
	if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS)
		return move_if_seen_free(file, path);
	return -1;
}

static int
move_if_free(struct lake_file *file, const char *path)
{
	if (renameat2(AT_FDCWD, file->temp, AT_FDCWD, path, RENAME_NOREPLACE) ==
	    0) {
		free(take(file->temp));
		return 1;
	}
	if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
		return link_if_free(file, path);
	return errno == EEXIST ? 0 : -1;
}

static int
move(struct lake_file *file, const char *path, bool replace)
{
	if (!replace)
		return move_if_free(file, path);
	if (rename(file->temp, path) < 0)
		return -1;
	free(take(file->temp));
	return 1;
}

int
lake_publish(struct lake *lake, struct lake_file *file, const char *path,
    mode_t mode, bool replace, struct error *err)
{
	struct stat st;
	int rc;

	if (fchmod(file->fd, lake->perm & mode) < 0 || fstat(file->fd, &st) < 0)
		return error_errno(
		    err, "cannot give '%s' its mode", file->temp);
	if (set_group(lake, file->temp, &st, err) < 0)
		return -1;
	rc = move(file, path, replace);
	if (rc < 0 && errno == ENOENT) {
		if (make_parents(lake, path, err) < 0)
			return -1;
		rc = move(file, path, replace);
	}
	if (rc < 0)
		return error_errno(
		    err, "cannot move '%s' to '%s'", file->temp, path);
	return rc;
}

/* ---- our own files ---- */

int
lake_open_tool(struct lake *lake, const char *name, struct error *err)
{
	auto_free char *path =
	    xasprintf("%s/" LAKE_TOOLS "/%s", lake->root, name);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return error_errno(err, "cannot open '%s'", path);
	if (make_parents(lake, path, err) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "cannot create '%s'", path);
	if (fchmod(fd, lake->perm & 0666) < 0 || fstat(fd, &st) < 0) {
		error_errno(err, "cannot give '%s' its mode", path);
	} else if (set_group(lake, path, &st, err) == 0) {
		return fd;
	}
	close(fd);
	return -1;
}

void
lake_sweep(struct lake *lake)
{
	auto_free char *path = xasprintf("%s/.tmp", lake->root);
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &st,
		        AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && time(NULL) - st.st_mtime > 3600)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
}
