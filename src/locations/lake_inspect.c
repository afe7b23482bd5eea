/*
 * What can be wrong with a lake besides its values: config.yml, where objects lie,
 * modes and groups, names that belong to nothing, what the dead left in `.tmp/`.
 *
 * Objects are looked for at any cut of their names into folders. If config.yml is
 * damaged or says otherwise than all of them lie, they are believed and it is written
 * anew; single objects in other places are moved to where they belong.
 *
 * What symbolic links lead to is not of the lake: it is neither changed nor removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "locations/lake.h"
#include "locations/lake_config.h"

#define LEFT_SECONDS 3600 /* what is older in `.tmp/` was left */

struct check {
	struct lake *lake;
	struct location *leaf;
	bool mend;
	location_damage_fn *fn;
	void *arg;
	mode_t perm;
	gid_t gid;
	bool in_index;       /* or among the blobs */
	bool fits;           /* some object lies as config.yml says */
	struct layout other; /* how the first that doesn't lies */
	bool has_other;
	bool survey;    /* only look how objects lie */
	unsigned moved; /* objects */
};

/* ---- telling ---- */

static void
tell(struct check *check, const char *path, const char *found,
    const char *expected, bool mended, const char *why)
{
	const struct location_damage damage = {
		.path = path,
		.found = found,
		.expected = expected,
		.mended = mended,
		.why = mended || !check->mend ? NULL : why,
	};

	check->fn(check->arg, check->leaf, &damage);
}

/* After trying to mend it, which failed with errno unless `rc` is 0. */
static void
tell_tried(struct check *check, const char *path, const char *found,
    const char *expected, int rc)
{
	tell(check, path, found, expected, check->mend && rc == 0,
	    strerror(errno));
}

/* ---- modes and groups ---- */

/* All of `least`, and nothing beyond `most`. */
static void
check_mode(struct check *check, const char *path, const struct stat *st,
    mode_t least, mode_t most)
{
	mode_t mode = st->st_mode & 0777;
	mode_t wanted = (mode | least) & (least | most);
	char found[32], expected[32];

	if (mode == wanted || S_ISLNK(st->st_mode))
		return;
	snprintf(found, sizeof(found), "mode %04o", mode);
	snprintf(expected, sizeof(expected), "mode %04o", wanted);
	tell_tried(check, path, found, expected,
	    check->mend ? chmod(path, wanted) : 0);
}

/* The Python library makes it with what the umask leaves. */
static void
check_config_mode(struct check *check, const char *path, const struct stat *st)
{
	check_mode(
	    check, path, st, check->perm & 0444, (check->perm & 0666) | 0644);
}

static void
check_group(struct check *check, const char *path, const struct stat *st)
{
	char found[32], expected[32];

	if (st->st_gid == check->gid)
		return;
	snprintf(found, sizeof(found), "group %u", st->st_gid);
	snprintf(expected, sizeof(expected), "group %u", check->gid);
	tell_tried(check, path, found, expected,
	    check->mend ? lchown(path, (uid_t)-1, check->gid) : 0);
}

static void
check_folder(struct check *check, const char *path, const struct stat *st)
{
	if (check->survey)
		return;
	check_mode(check, path, st, check->perm, check->perm);
	check_group(check, path, st);
}

/* ---- going through folders ---- */

typedef void entry_fn(struct check *check, const char *path, const char *name,
    const struct stat *st, void *arg);

/* The root alone may be a link. */
static DIR *
open_folder(const struct check *check, const char *path)
{
	int links = path == check->lake->root ? 0 : O_NOFOLLOW;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | links);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static void
each_entry(struct check *check, const char *path, entry_fn *fn, void *arg)
{
	DIR *dir = open_folder(check, path);
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		if (errno != ENOENT && !check->survey)
			tell(check, path, strerror(errno),
			    "a folder that can be listed", false,
			    "its owner has to");
		return;
	}
	while ((entry = readdir(dir))) {
		auto_free char *below = xasprintf("%s/%s", path, entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (lstat(below, &st) == 0)
			fn(check, below, entry->d_name, &st, arg);
	}
	closedir(dir);
}

/* ---- objects ---- */

/* The part of a key that folders have spelled so far. */
struct prefix {
	char hex[DIGEST_HEX + 1];
	size_t len;
	struct layout layout;
};

static bool
extend(struct prefix *prefix, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len % 2 != 0 || prefix->len + len > DIGEST_HEX ||
	    strspn(name, "0123456789abcdef") != len ||
	    prefix->layout.count == LAYOUT_PARTS)
		return false;
	memcpy(prefix->hex + prefix->len, name, len + 1);
	prefix->len += len;
	prefix->layout.bytes[prefix->layout.count++] = (unsigned char)(len / 2);
	return true;
}

static const struct layout *
layout_here(const struct check *check)
{
	return check->in_index ? &layout_default : &check->lake->layout;
}

/* What an NFS client calls a removed file for as long as somebody has it open. */
static bool
is_removed(const char *path)
{
	return strncmp(strrchr(path, '/'), "/.nfs", 5) == 0;
}

static void
foreign(struct check *check, const char *path)
{
	if (check->survey || is_removed(path))
		return;
	if (!check->in_index) { /* it may be dear to somebody */
		tell(check, path, "a name that is no part of a key",
		    "nothing but objects and their folders", false,
		    "it may be somebody's; remove it by hand");
		return;
	}
	tell_tried(check, path, "a name that is no part of a key",
	    "nothing but values and their folders",
	    check->mend ? remove(path) : 0);
}

/* To where the layout has it; what is there already is as good. */
static int
move_object(struct check *check, const char *path, const char *place)
{
	auto_lake_file file = LAKE_FILE_INIT;
	struct error err = { 0 };
	struct stat st;
	int rc;

	if (lstat(path, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	file.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file.fd < 0)
		return -1;
	file.temp = xstrdup(path); /* lake_publish() moves it */
	rc = lake_publish(check->lake, &file, place, 0444, false, &err);
	if (rc < 0)
		free(take(file.temp)); /* it stays where it is */
	return rc < 0 ? -1 : 0;
}

static void
misplaced(struct check *check, const char *path, const struct prefix *prefix)
{
	auto_free char *index = lake_index(check->lake);
	auto_free char *place = NULL;
	struct digest digest;
	int rc = 0;

	(void)digest_parse(&digest, prefix->hex);
	place = layout_path(layout_here(check),
	    check->in_index ? index : check->lake->root, &digest);
	if (check->mend)
		rc = move_object(check, path, place);
	check->moved += check->mend && rc == 0;
	tell_tried(check, path, "an object in the wrong place", place, rc);
}

/* A folder with a file "data", as old versions of Python's had it. */
static void
check_legacy(struct check *check, const char *path)
{
	auto_free char *data = xasprintf("%s/data", path);
	struct stat st;

	if (stat(data, &st) == 0 && S_ISREG(st.st_mode))
		return;
	tell_tried(check, path, "a folder", "an object, or 'data' in it",
	    check->mend ? rmdir(path) : 0);
}

static void
check_object(struct check *check, const char *path, const struct stat *st,
    const struct prefix *prefix)
{
	bool fits = layout_equal(&prefix->layout, layout_here(check));

	check->fits |= fits;
	if (!fits && !check->has_other) {
		check->other = prefix->layout;
		check->has_other = true;
	}
	if (check->survey)
		return;
	if (S_ISDIR(st->st_mode)) {
		check_legacy(check, path);
		return;
	}
	if (!S_ISREG(st->st_mode)) {
		foreign(check, path);
		return;
	}
	check_mode(check, path, st, check->perm & 0444, check->perm & 0444);
	check_group(check, path, st);
	if (!fits)
		misplaced(check, path, prefix);
}

/* Somebody's way to keep a part elsewhere; what can be read there is verified. */
static bool
leads_on(const char *path, const struct stat *st)
{
	struct stat there;

	return S_ISLNK(st->st_mode) && stat(path, &there) == 0 &&
	    (S_ISREG(there.st_mode) || S_ISDIR(there.st_mode));
}

static void
check_below(struct check *check, const char *path, const char *name,
    const struct stat *st, void *arg)
{
	struct prefix prefix = *(const struct prefix *)arg;
	unsigned moved;

	if (check->survey && check->fits)
		return;
	if (!extend(&prefix, name)) {
		foreign(check, path);
		return;
	}
	if (leads_on(path, st))
		return;
	if (prefix.len == DIGEST_HEX) {
		check_object(check, path, st, &prefix);
		return;
	}
	if (!S_ISDIR(st->st_mode)) {
		foreign(check, path);
		return;
	}
	check_folder(check, path, st);
	moved = check->moved;
	each_entry(check, path, check_below, &prefix);
	if (check->moved > moved)
		(void)rmdir(path); /* if that was all */
}

/* ---- our own ---- */

static void
check_ours(struct check *check, const char *path, const char *name,
    const struct stat *st, void *arg)
{
	struct prefix none = { .len = 0 };

	if (S_ISREG(st->st_mode) && strcmp(name, "config") == 0)
		check_mode(check, path, st, check->perm & 0444, 0400);
	else if (S_ISREG(st->st_mode))
		check_mode(check, path, st, check->perm & 0666, 0600);
	if (!S_ISDIR(st->st_mode))
		return;
	check_folder(check, path, st);
	if (strcmp(name, "index") != 0)
		return;
	check->in_index = true;
	each_entry(check, path, check_below, &none);
	check->in_index = false;
}

static int
pass_over(void *arg, const char *label)
{
	return 0;
}

/* Labels of one blob, which are lost if they can't be understood. */
static void
check_labels(struct check *check, const char *path, const char *name,
    const struct stat *st, void *arg)
{
	struct prefix prefix = *(const struct prefix *)arg;
	auto_free char *hex = xasprintf("%.*s", DIGEST_HEX - 2, name);
	struct error err = { 0 };
	struct digest digest;
	int rc = 0;

	if (S_ISLNK(st->st_mode) || !extend(&prefix, hex))
		return;
	if (S_ISDIR(st->st_mode)) {
		each_entry(check, path, check_labels, &prefix);
		return;
	}
	if (!digest_parse(&digest, prefix.hex) ||
	    lake_labels(check->lake, &digest, pass_over, NULL, &err) != FAILED)
		return;
	if (check->mend)
		rc = err.kind == ERROR_CORRUPT ? unlink(path)
		                               : chmod(path, 0777);
	tell_tried(check, path, err.text, "a list of labels", rc);
}

/* In `tools/`, the rest is the Python library's, and everybody may write there. */
static void
check_tools(struct check *check, const char *path, const char *name,
    const struct stat *st, void *arg)
{
	struct prefix none = { .len = 0 };

	if (!S_ISDIR(st->st_mode))
		return;
	if (strcmp(name, "labels") == 0)
		each_entry(check, path, check_labels, &none);
	if (strcmp(name, "tarn-exec") != 0)
		return;
	check_folder(check, path, st);
	each_entry(check, path, check_ours, NULL);
}

static void
check_left(struct check *check, const char *path, const char *name,
    const struct stat *st, void *arg)
{
	if (time(NULL) - st->st_mtime > LEFT_SECONDS)
		tell_tried(check, path, "left by a process that was killed",
		    "nothing that is older than an hour",
		    check->mend ? lake_remove_left(AT_FDCWD, path) : 0);
}

static void
check_top(struct check *check, const char *path, const char *name,
    const struct stat *st, void *arg)
{
	const struct prefix none = { .len = 0 };
	struct prefix copy = none;

	if (strcmp(name, LAKE_CONFIG_FILE) == 0) {
		if (!check->survey)
			check_config_mode(check, path, st);
		return;
	}
	if (!S_ISDIR(st->st_mode)) /* no one minds */
		return;
	if (strcmp(name, ".tmp") != 0 && strcmp(name, "tools") != 0) {
		check_below(check, path, name, st, &copy);
		return;
	}
	if (check->survey)
		return;
	check_folder(check, path, st);
	each_entry(check, path,
	    strcmp(name, "tools") == 0 ? check_tools : check_left, NULL);
}

/* ---- config.yml ---- */

/* "levels: [1, -1]" */
static void
format_layout(const struct layout *layout, struct buf *to)
{
	bool usual = layout_equal(layout, &layout_default);

	for (size_t i = 0; i < layout->count; i++)
		buf_addf(to, "%s%d", i ? ", " : "levels: [",
		    usual && i == 1 ? -1 : (int)layout->bytes[i]);
	buf_add(to, "]", 1);
}

/* The old one stays under another name: it may have said more. */
static int
write_layout(struct check *check, const char *path)
{
	auto_free char *kept = xasprintf("%s.damaged", path);
	struct lake_config config = check->lake->config;
	struct error err = { 0 };
	auto_buf text = BUF_INIT;

	if (rename(path, kept) < 0 && errno != ENOENT)
		return -1;
	config.layout = check->lake->layout;
	lake_config_format(&config, &text);
	return file_replace(
	    path, text.data, text.len, 0644 | (check->perm & 0444), &err);
}

/*
 * Only damage is mended: a lake of another hash, one that is configured otherwise
 * here, and a file that can't be read are for people to see to. Returns 0 or -1.
 */
static int
check_config(struct check *check, struct error *err)
{
	struct lake *lake = check->lake;
	auto_free char *path = xasprintf("%s/" LAKE_CONFIG_FILE, lake->root);
	auto_buf wanted = BUF_INIT;
	struct stat st;
	int there;

	if (lstat(path, &st) == 0)
		check_config_mode(check, path, &st);
	there = lake_layout(lake, err);
	if (there < 0 && err->kind != ERROR_CORRUPT)
		return -1;
	check->survey = true;
	each_entry(check, lake->root, check_top, NULL);
	check->survey = false;
	if (there > 0 && (check->fits || !check->has_other))
		return 0;
	if (there == 0 && !check->fits && !check->has_other)
		return 0; /* nothing has been written yet */
	if (check->has_other && !check->fits)
		lake->layout = check->other;
	format_layout(&lake->layout, &wanted);
	tell_tried(check, path,
	    there < 0        ? err->text
	        : there == 0 ? "no such file"
	                     : "levels that no object has",
	    wanted.data, check->mend ? write_layout(check, path) : 0);
	lake->known = true;
	return 0;
}

int
lake_inspect(struct lake *lake, struct location *leaf, bool mend,
    location_damage_fn *fn, void *arg, struct error *err)
{
	struct check check = {
		.lake = lake, .leaf = leaf, .mend = mend, .fn = fn, .arg = arg
	};
	struct stat st;

	if (stat(lake->root, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return error_errno(err, "cannot stat '%s'", lake->root);
	}
	if (!S_ISDIR(st.st_mode))
		return error_set(
		    err, ERROR_CORRUPT, "'%s' is not a folder", lake->root);
	check.perm = st.st_mode & 0777;
	check.gid = st.st_gid;
	lake->perm = check.perm;
	lake->gid = check.gid;
	if (check_config(&check, err) < 0)
		return -1;
	each_entry(&check, lake->root, check_top, NULL);
	return 0;
}
