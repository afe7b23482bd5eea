/*
 * realpath(), step by step as the C library does it: each name of the path is
 * read as a link, what a link says takes its place, and a name before a final
 * slash or a "." or ".." must be a folder. Where a buffer is too small, a path is
 * not one for the log, or the log is full, the C library starts from the
 * beginning.
 */
#include "preload/observe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define MAX_LINKS 40 /* the kernel's limit */

// NOLINTNEXTLINE(bugprone-reserved-identifier)
char *__realpath_chk(const char *path, char *resolved, size_t room);

enum walk {
	WALK_DONE,
	WALK_FAILED,   /* with errno */
	WALK_DECLINED, /* leave it to the C library */
};

/* What is resolved so far is in `path`, up to `end`; what is yet to come is at
 * `rest`, which may lie in `text`. */
struct resolving {
	char path[PATH_MAX + 2], *end;
	const char *rest;
	char text[2 * PATH_MAX];
	int links;
};

static enum walk
walk_errno(long got)
{
	errno = (int)-got;
	return WALK_FAILED;
}

/* Readlink of the path so far; its target goes to `target`. False: declined. */
static bool
target_read(const char *path, char *target, long *got)
{
	struct lookup l;

	if (!lookup_begin(&l, RING_READLINK, path))
		return false;
	*got = stub_call(SYS_readlink, path, (uintptr_t)target, PATH_MAX);
	return lookup_end(&l, *got, NULL) && *got < PATH_MAX;
}

/* As target_read(), of "path/": is it a folder that can be searched? */
static bool
folder_check(const char *path, long *got)
{
	struct lookup l;
	struct stat st;

	if (!lookup_begin(&l, RING_ACCESS, path))
		return false;
	*got = stub_call(SYS_stat, path, (uintptr_t)&st, 0);
	return lookup_end(&l, *got, NULL);
}

/* Does what follows a name make sense only after a folder: a final slash, "/.",
 * or "/.." ? */
static bool
rest_needs_folder(const char *rest)
{
	if (*rest != '/')
		return false;
	for (;;) {
		rest += strspn(rest, "/");
		if (!*rest)
			return true;
		if (*rest != '.')
			return false;
		rest++;
		if (!*rest || (*rest == '.' && (!rest[1] || rest[1] == '/')))
			return true;
		if (*rest != '/')
			return false;
	}
}

static void
back_up(struct resolving *r)
{
	if (r->end > r->path + 1)
		for (r->end--; r->end[-1] != '/'; r->end--)
			;
}

/* Put a link's target before what is left. */
static enum walk
link_follow(struct resolving *r, const char *target, size_t size)
{
	size_t rest = strlen(r->rest);

	if (++r->links > MAX_LINKS)
		return walk_errno(-ELOOP);
	if (size + rest + 1 > sizeof(r->text))
		return WALK_DECLINED;
	memmove(r->text + size, r->rest, rest + 1);
	memcpy(r->text, target, size);
	r->rest = r->text;
	if (size && target[0] == '/')
		r->end = r->path + 1;
	else
		back_up(r);
	return WALK_DONE;
}

/* The path so far ends in a name that has just been added. */
static enum walk
name_resolve(struct resolving *r)
{
	char target[PATH_MAX];
	long got;

	if (!target_read(r->path, target, &got))
		return WALK_DECLINED;
	if (got >= 0)
		return link_follow(r, target, (size_t)got);
	if (rest_needs_folder(r->rest)) {
		memcpy(r->end, "/", 2);
		if (!folder_check(r->path, &got))
			return WALK_DECLINED;
		return got == 0 || got == -EOVERFLOW ? WALK_DONE
		                                     : walk_errno(got);
	}
	return got == -EINVAL ? WALK_DONE : walk_errno(got);
}

static enum walk
name_add(struct resolving *r, const char *name, size_t size)
{
	if (size == 1 && name[0] == '.')
		return WALK_DONE;
	if (size == 2 && name[0] == '.' && name[1] == '.') {
		back_up(r);
		return WALK_DONE;
	}
	if (r->end[-1] != '/')
		*r->end++ = '/';
	if ((size_t)(r->end - r->path) + size > LOOKUP_PATH)
		return WALK_DECLINED;
	memcpy(r->end, name, size);
	r->end += size;
	*r->end = '\0';
	return name_resolve(r);
}

/* Begin at the root, or at the working directory. */
static enum walk
walk_start(struct resolving *r, const char *path)
{
	long cwd;

	r->rest = path;
	r->links = 0;
	r->path[0] = '/';
	r->end = r->path + 1;
	if (path[0] == '/')
		return WALK_DONE;
	cwd = stub_call(SYS_getcwd, r->path, LOOKUP_PATH, 0);
	if (cwd < 2 || r->path[0] != '/')
		return WALK_DECLINED;
	r->end = r->path + cwd - 1;
	return WALK_DONE;
}

static enum walk
walk(struct resolving *r, const char *path)
{
	enum walk how = walk_start(r, path);

	while (how == WALK_DONE && *r->rest) {
		const char *name = r->rest + strspn(r->rest, "/");

		r->rest = strchrnul(name, '/');
		if (r->rest == name)
			break;
		how = name_add(r, name, (size_t)(r->rest - name));
	}
	if (how == WALK_DONE && r->end > r->path + 1 && r->end[-1] == '/')
		r->end--;
	*r->end = '\0';
	return how;
}

/* What is there of the path is copied also where it ends in nothing. */
static char *
walk_result(const struct resolving *r, enum walk how, char *resolved)
{
	size_t size = (size_t)(r->end - r->path) + 1;

	if (!resolved)
		return how == WALK_DONE ? strdup(r->path) : NULL;
	if (how == WALK_DONE || errno == ENOENT || errno == EACCES)
		memcpy(resolved, r->path, size);
	return how == WALK_DONE ? resolved : NULL;
}

/* False: declined. */
static bool
realpath_logged(const char *path, char *resolved, char **result)
{
	int saved = errno;
	struct resolving r;
	enum walk how;

	if (!ring_active() || !path || !path[0] ||
	    strnlen(path, LOOKUP_PATH + 1) > LOOKUP_PATH)
		return false;
	how = walk(&r, path);
	if (how == WALK_DONE)
		errno = saved;
	if (how != WALK_DECLINED)
		*result = walk_result(&r, how, resolved);
	return how != WALK_DECLINED;
}

EXPORT char *
realpath(const char *name, char *resolved)
{
	char *result;

	return realpath_logged(name, resolved, &result)
	    ? result
	    : NEXT(realpath)(name, resolved);
}

EXPORT char *
__realpath_chk(const char *path, char *resolved, size_t room)
{
	char *result;

	return room >= PATH_MAX && realpath_logged(path, resolved, &result)
	    ? result
	    : NEXT(__realpath_chk)(path, resolved, room);
}

EXPORT char *
canonicalize_file_name(const char *name)
{
	char *result;

	return realpath_logged(name, NULL, &result)
	    ? result
	    : NEXT(canonicalize_file_name)(name);
}
