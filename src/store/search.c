#include "store/search.h"

#include <paths.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* The first folder of `dirs`, absolute; the caller frees it. *rest: those behind it,
 * or NULL. */
static char *
first_folder(const char *dirs, const char *cwd, const char **rest)
{
	size_t size = strcspn(dirs, ":");

	*rest = dirs[size] ? dirs + size + 1 : NULL;
	while (size > 1 && dirs[size - 1] == '/')
		size--;
	if (size > 0 && dirs[0] == '/')
		return xasprintf("%.*s", (int)size, dirs);
	return size > 0 ? xasprintf("%s/%.*s", cwd, (int)size, dirs)
	                : xstrdup(cwd);
}

static const char *
below_root(const struct world *world, const char *path)
{
	size_t size = strlen(world->root);

	return strncmp(path, world->root, size) == 0 && path[size] == '/'
	    ? path + size + 1
	    : path;
}

void
search_add(const struct world *world, const char *dirs, const char *name,
    struct buf *to)
{
	if (!dirs)
		dirs = _PATH_DEFPATH;
	while (dirs) {
		auto_free char *folder = first_folder(dirs, world->cwd, &dirs);
		auto_free char *path = xasprintf("%s/%s", folder, name);
		struct stat st;

		if (stat(path, &st) < 0)
			continue;
		buf_addf(to, ":%s", below_root(world, path));
		if (S_ISREG(st.st_mode) && access(path, X_OK) == 0)
			return;
	}
}

const char *
search_name(const char *dirs, const char *cwd, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t size = (size_t)(slash - path);

	if (!dirs)
		dirs = _PATH_DEFPATH;
	while (dirs) {
		auto_free char *folder = first_folder(dirs, cwd, &dirs);

		if (strlen(folder) == size && memcmp(folder, path, size) == 0)
			return slash + 1;
	}
	return NULL;
}
