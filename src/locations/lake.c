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

/* ---- folders ---- */

static void
random_letters(char *to, size_t count)
{
	unsigned char bytes[8];

	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) !=
	    sizeof(bytes)) { /* only at boot */
		struct timespec now;

		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		memcpy(bytes, &now.tv_nsec, sizeof(bytes));
		bytes[7] ^= (unsigned char)getpid();
	}
	for (size_t i = 0; i < count; i++)
		to[i] = (char)('a' + bytes[i % sizeof(bytes)] % 26);
}

static int
dress_folder(const char *path, mode_t mode, gid_t gid, struct error *err)
{
	struct stat st;

	if (chmod(path, mode) < 0 || stat(path, &st) < 0)
		return error_errno(err, "cannot give '%s' its mode", path);
	if (st.st_gid != gid && chown(path, (uid_t)-1, gid) < 0)
		return error_errno(err, "cannot give '%s' its group", path);
	return 0;
}

static int
make_temps(const struct lake *lake, struct error *err)
{
	auto_free char *path = xasprintf("%s/.tmp", lake->root);

	if (mkdir(path, lake->perm) < 0)
		return errno == EEXIST
		    ? 0
		    : error_errno(err, "cannot create folder '%s'", path);
	if (dress_folder(path, lake->perm, lake->gid, err) == 0)
		return 0;
	(void)rmdir(path);
	return -1;
}

/* A folder in `.tmp`; NULL if there can't be one. The caller frees the name. */
static char *
make_aside(const struct lake *lake, struct error *err)
{
	char letters[9] = { 0 };
	auto_free char *path = NULL;

	random_letters(letters, 8);
	path = xasprintf("%s/.tmp/folder%s", lake->root, letters);
	if (mkdir(path, 0700) == 0)
		return take(path);
	if (errno == ENOENT) {
		if (make_temps(lake, err) < 0)
			return NULL;
		if (mkdir(path, 0700) == 0)
			return take(path);
	}
	error_errno(err, "cannot create folder '%s'", path);
	return NULL;
}

/* 1: another process has made one meanwhile, which is as good. */
static int
move_folder(const char *from, const char *to, struct error *err)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	/* Otherwise an empty one might be replaced by ours, which is no harm. */
	if ((errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) &&
	    rename(from, to) == 0)
		return 0;
	if (errno == EEXIST || errno == ENOTEMPTY)
		return 1;
	return error_errno(err, "cannot create folder '%s'", to);
}

/*
 * It is made aside: nobody meets a folder that is not his to use yet, and none
 * stays that we could not make so.
 */
static int
make_folder(const struct lake *lake, const char *path, mode_t mode, gid_t gid,
    struct error *err)
{
	auto_free char *temp = NULL;
	int rc;

	if (access(path, F_OK) == 0)
		return 0;
	temp = make_aside(lake, err);
	if (!temp)
		return -1;
	rc = dress_folder(temp, mode, gid, err);
	if (rc == 0)
		rc = move_folder(temp, path, err);
	if (rc != 0)
		(void)rmdir(temp);
	return rc < 0 ? -1 : 0;
}

#define TRIES 5 /* to move a file to where its folder was just made */
#define LOOK_AGAIN_US 20000

/* All folders between the root and the file `path`. */
static int
make_parents(const struct lake *lake, const char *path, struct error *err)
{
	auto_free char *copy = xstrdup(path);

	for (char *p = copy + strlen(lake->root) + 1; (p = strchr(p, '/'));
	     p++) {
		*p = '\0';
		if (make_folder(lake, copy, lake->perm, lake->gid, err) < 0)
			return -1;
		*p = '/';
	}
	return 0;
}

/* ---- making the lake ---- */

/* With the mode and group that are wished for from the first moment on. */
static int
make_root(const struct lake *lake, struct error *err)
{
	const struct lake_wish *wish = &lake->wish;
	auto_free char *temp = NULL;
	char letters[9] = { 0 };
	int rc;

	if (!wish->permissions && wish->group == (gid_t)-1)
		return file_make_folder(lake->root, err);
	random_letters(letters, 8);
	temp = xasprintf("%s.%s", lake->root, letters);
	if (file_make_folder(temp, err) < 0)
		return -1;
	if (chown(temp, (uid_t)-1, wish->group) < 0 ||
	    (wish->permissions && chmod(temp, wish->permissions) < 0))
		rc = error_errno(
		    err, "cannot give '%s' its group and mode", lake->root);
	else
		rc = move_folder(temp, lake->root, err);
	if (rc != 0)
		(void)rmdir(temp);
	return rc < 0 ? -1 : 0;
}

int
lake_learn_policy(struct lake *lake, struct error *err)
{
	struct stat st;

	if (stat(lake->root, &st) < 0)
		return error_errno(err, "cannot stat '%s'", lake->root);
	if (!S_ISDIR(st.st_mode))
		return error_set(
		    err, ERROR_USAGE, "'%s' is not a folder", lake->root);
	lake->perm = st.st_mode & 0777;
	lake->gid = st.st_gid;
	return 0;
}

static int
find_root(struct lake *lake, struct error *err)
{
	struct stat st;

	if (stat(lake->root, &st) == 0 || errno != ENOENT)
		return lake_learn_policy(lake, err);
	if (lstat(lake->root, &st) == 0)
		return error_set(err, ERROR_USAGE,
		    "'%s' is a link to what is not there", lake->root);
	if (make_root(lake, err) < 0)
		return -1;
	return lake_learn_policy(lake, err);
}

/* The first who writes it decides; then it is read like any other. */
static int
write_config(struct lake *lake, struct error *err)
{
	auto_free char *path = xasprintf("%s/" LAKE_CONFIG_FILE, lake->root);
	struct lake_config config = lake->wish.config;
	auto_lake_file file = LAKE_FILE_INIT;
	auto_buf text = BUF_INIT;

	if (!config.layout.count) {
		config.layout = layout_default;
		config.layout.rest = !config.hash; /* as Python's would be */
	}
	lake_config_format(&config, &text);
	if (lake_create(lake, &file, LAKE_CONFIG_FILE, err) < 0)
		return -1;
	if (file_write_all(file.fd, text.data, text.len) < 0)
		return error_errno(err, "cannot write '%s'", path);
	return lake_publish(lake, &file, path, 0666, false, err);
}

int
lake_prepare(struct lake *lake, struct error *err)
{
	int there;

	if (lake->ready && lake_is_as_known(lake))
		return 0;
	lake->ready = lake->known = false;
	if (find_root(lake, err) < 0)
		return -1;
	there = lake_layout(lake, err);
	if (there == 0 && write_config(lake, err) < 0)
		return -1;
	if (there == 0)
		there = lake_layout(lake, err);
	if (there == 0)
		return error_set(err, ERROR_SYSTEM,
		    "'%s/" LAKE_CONFIG_FILE "' is gone again", lake->root);
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
		rc = make_temps(lake, err);
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

static int
dress_file(
    const struct lake_file *file, mode_t mode, gid_t gid, struct error *err)
{
	struct stat st;

	if (file_settle(file->fd) < 0)
		return error_errno(err, "cannot write '%s'", file->temp);
	if (fchmod(file->fd, mode) < 0 || fstat(file->fd, &st) < 0)
		return error_errno(
		    err, "cannot give '%s' its mode", file->temp);
	if (st.st_gid != gid && chown(file->temp, (uid_t)-1, gid) < 0)
		return error_errno(
		    err, "cannot give '%s' its group", file->temp);
	return 0;
}

/*
 * A client of NFS that looked for a folder before another machine made it may go on
 * believing that there is none. To open the one above makes it ask.
 */
static void
look_again(const struct lake *lake, const char *path)
{
	auto_free char *copy = xstrdup(path);

	for (char *p = copy + strlen(lake->root); p; p = strchr(p + 1, '/')) {
		int fd;

		*p = '\0';
		fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
		*p = '/';
	}
	usleep(LOOK_AGAIN_US);
}

int
lake_publish(struct lake *lake, struct lake_file *file, const char *path,
    mode_t mode, bool replace, struct error *err)
{
	int rc;

	if (dress_file(file, lake->perm & mode, lake->gid, err) < 0)
		return -1;
	rc = move(file, path, replace);
	for (int tries = 0; rc < 0 && errno == ENOENT && tries < TRIES;
	     tries++) {
		if (tries > 0)
			look_again(lake, path);
		if (make_parents(lake, path, err) < 0)
			return -1;
		rc = move(file, path, replace);
	}
	if (rc < 0)
		return error_errno(
		    err, "cannot move '%s' to '%s'", file->temp, path);
	return rc;
}

/* ---- files of tools, theirs and ours ---- */

char *
lake_tool_path(const struct lake *lake, const char *tool,
    const struct digest *digest, const char *ending)
{
	auto_free char *root = xasprintf("%s/tools/%s", lake->root, tool);
	auto_free char *path = layout_path(&layout_default, root, digest);

	return xasprintf("%s%s", path, ending);
}

int
lake_publish_tool(struct lake *lake, struct lake_file *file, const char *tool,
    const char *path, struct error *err)
{
	auto_free char *folder =
	    xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);
	auto_free char *top = xasprintf("%s/tools/%s", lake->root, tool);
	struct stat st;

	if (make_parents(lake, folder, err) < 0)
		return -1;
	if (stat(top, &st) < 0)
		return error_errno(err, "cannot stat '%s'", top);
	if (make_folder(lake, folder, 0777, st.st_gid, err) < 0 ||
	    dress_file(file, 0777, st.st_gid, err) < 0)
		return -1;
	if (move(file, path, true) < 0)
		return error_errno(
		    err, "cannot move '%s' to '%s'", file->temp, path);
	return 0;
}

/* In a lake that several share, a link may lead to a file of ours. */
#define TOOL_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

int
lake_open_tool(struct lake *lake, const char *name, struct error *err)
{
	auto_free char *path =
	    xasprintf("%s/" LAKE_TOOLS "/%s", lake->root, name);
	auto_lake_file file = LAKE_FILE_INIT;
	int fd = open(path, TOOL_FLAGS), rc;

	if (fd >= 0 || errno != ENOENT)
		return fd >= 0 ? fd
		               : error_errno(err, "cannot open '%s'", path);
	if (lake_create(lake, &file, name, err) < 0)
		return -1;
	rc = lake_publish(lake, &file, path, 0666, false, err);
	if (rc < 0)
		return -1;
	if (rc) {
		fd = file.fd;
		file.fd = -1;
		return fd;
	}
	fd = open(path, TOOL_FLAGS);
	return fd >= 0 ? fd : error_errno(err, "cannot open '%s'", path);
}
