#include "base/dirs.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* The variable's value, or what `path` under HOME is. */
static char *
dir_of(const char *variable, const char *home_path)
{
	const char *value = getenv(variable), *home = getenv("HOME");

	if (value && value[0] == '/')
		return xasprintf("%s/tarn", value);
	if (home && home[0] == '/')
		return xasprintf("%s/%s/tarn", home, home_path);
	return NULL;
}

char *
dirs_tarn(void)
{
	const char *dir = getenv("TARN_DIR");
	auto_free char *cwd = NULL;

	if (!dir || !*dir)
		return dir_of("XDG_CACHE_HOME", ".cache");
	if (dir[0] == '/')
		return xstrdup(dir);
	cwd = getcwd(NULL, 0);
	return cwd ? xasprintf("%s/%s", cwd, dir) : NULL;
}

char *
dirs_user_config(void)
{
	return dir_of("XDG_CONFIG_HOME", ".config");
}

/* Is there one of `names` in the folder path[0,len)? What follows is room. */
static bool
has_any(char *path, size_t len, const char *const *names)
{
	for (; *names; names++) {
		path[len] = '/';
		memcpy(path + len + 1, *names, strlen(*names) + 1);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* The nearest folder upward from `cwd` that has one of `names`; or NULL. */
static char *
nearest(const char *cwd, const char *const *names)
{
	size_t len = strlen(cwd);
	auto_free char *path = xmalloc(len + 16);

	memcpy(path, cwd, len + 1);
	for (;;) {
		if (has_any(path, len, names)) {
			path[len ? len : 1] = '\0';
			return take(path);
		}
		if (len == 0)
			return NULL;
		while (len > 0 && path[len - 1] != '/')
			len--;
		len -= len > 0;
	}
}

char *
dirs_root(const char *cwd)
{
	static const char *const project[] = { "tarn.json", NULL };
	static const char *const control[] = { ".git", ".hg", ".svn", ".jj",
		NULL };
	const char *given = getenv("TARN_ROOT");
	char *root;

	if (given && *given)
		return given[0] == '/' ? xstrdup(given)
		                       : xasprintf("%s/%s", cwd, given);
	root = nearest(cwd, project);
	if (!root)
		root = nearest(cwd, control);
	return root ? root : xstrdup(cwd);
}
