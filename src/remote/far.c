#include "remote/far.h"

#include <string.h>

#include "base/mem.h"

char *
far_path(const struct far *far, const char *path)
{
	if (!*path)
		return xstrdup(*far->root ? far->root : "/");
	return xasprintf("%s/%s", far->root, path);
}

struct far_file *
far_files(size_t count)
{
	struct far_file *files = xrealloc(NULL, count, sizeof(*files));

	memset(files, 0, count * sizeof(*files));
	return files;
}

enum outcome
far_one(struct far *far, struct far_file *file,
    void (*ask)(struct far *far, struct far_file *files, size_t count),
    struct error *err)
{
	ask(far, file, 1);
	if (file->outcome == FAILED)
		*err = file->err;
	return file->outcome;
}
