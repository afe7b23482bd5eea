#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/mem.h"
#include "cli/verify.h"
#include "store/table.h"

#define LIBRARY_MAX ((off_t)16 << 20) /* bytes */

static void
tell(struct findings *findings, const char *tarn_dir, const char *path,
    const char *found, const char *expected)
{
	struct finding finding = {
		.location = tarn_dir,
		.path = path,
		.found = found,
		.expected = expected,
	};

	if (findings->repair && unlink(path) == 0)
		finding.done = "removed";
	else if (findings->repair)
		finding.error = strerror(errno);
	findings_add(findings, &finding);
}

typedef void file_fn(
    struct findings *findings, const char *tarn_dir, const char *path);

static void
check_compiled(
    struct findings *findings, const char *tarn_dir, const char *path)
{
	Tarn__Config *config = NULL;
	struct error err = { 0 };

	if (config_load_compiled(path, &config, &err) < 0)
		tell(findings, tarn_dir, path, err.text,
		    "a compiled configuration");
	else
		tarn__config__free_unpacked(config, NULL);
}

/* Its name is the sum of its bytes. */
static void
check_library(struct findings *findings, const char *tarn_dir, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	struct mixer m = MIXER_INIT;
	auto_buf data = BUF_INIT;
	struct error err = { 0 };
	struct stat st;
	char wanted[64];

	if (stat(path, &st) < 0 || st.st_size > LIBRARY_MAX)
		return;
	if (buf_read_file(&data, path, &err) < 0) {
		tell(findings, tarn_dir, path, err.text, "a library");
		return;
	}
	mixer_add_bytes(&m, data.data, data.len);
	snprintf(wanted, sizeof(wanted), "observe-%016llx.so",
	    (unsigned long long)m.lane[0]);
	if (strcmp(name, wanted) != 0)
		tell(findings, tarn_dir, path, "other bytes",
		    "those that its name is the sum of");
}

static void
check_table(struct findings *findings, const char *tarn_dir, const char *path)
{
	struct error err = { 0 };

	if (table_check(path, &err) < 0)
		tell(findings, tarn_dir, path, err.text, "a digest table");
}

static bool
fits(const char *name, const char *start, const char *end)
{
	size_t size = strlen(name), tail = strlen(end);

	return strncmp(name, start, strlen(start)) == 0 && size >= tail &&
	    strcmp(name + size - tail, end) == 0;
}

static void
check_files(struct findings *findings, const char *tarn_dir, const char *folder,
    const char *start, const char *end, file_fn *fn)
{
	auto_free char *path = xasprintf("%s/%s", tarn_dir, folder);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		auto_free char *file = xasprintf("%s%s", path, entry->d_name);

		if (fits(entry->d_name, start, end))
			fn(findings, tarn_dir, file);
	}
	if (dir)
		closedir(dir);
}

void
verify_home(struct findings *findings, const char *tarn_dir)
{
	check_files(findings, tarn_dir, "config/", "", ".bin", check_compiled);
	check_files(
	    findings, tarn_dir, "lib/", "observe-", ".so", check_library);
	check_files(findings, tarn_dir, "", "digests", "digests", check_table);
}
