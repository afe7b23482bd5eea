/*
 * Marks of use, in tools/usage/ as the Python library tarn has them where config.yml
 * says StatUsage: an empty file for each blob, whose time is what counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/lake.h"

static char *
path_of(const struct lake *lake, const struct digest *digest)
{
	return lake_tool_path(lake, "usage", digest, "");
}

void
lake_mark(struct lake *lake, const struct digest *digest)
{
	auto_free char *path = path_of(lake, digest);
	auto_lake_file file = LAKE_FILE_INIT;
	struct error ignored;

	if (utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) == 0 ||
	    errno != ENOENT || lake_learn_policy(lake, &ignored) < 0)
		return;
	if (lake_create(lake, &file, "usage", &ignored) == 0)
		(void)lake_publish_tool(lake, &file, "usage", path, &ignored);
}

time_t
lake_marked(const struct lake *lake, const struct digest *digest)
{
	auto_free char *path = path_of(lake, digest);
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtime : 0;
}

void
lake_unmark(const struct lake *lake, const struct digest *digest)
{
	auto_free char *path = path_of(lake, digest);

	(void)unlink(path);
}
