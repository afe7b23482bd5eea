#include "exec/marks.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "exec/job.h"
#include "store/stamp.h"
#include "store/table.h"

#define PACKAGE "package:"
#define DPKG "/var/lib/dpkg"
#define VERSION_MAX \
	((size_t)64 << 10) /* bytes that a version command may print */
#define TAG_IDENTITY 16

/* ---- what is said ---- */

static void
mark_read(const struct job *job, struct mark *mark, const char *spec, bool own)
{
	const char *equals = strchr(spec, '=');

	*mark = (struct mark){ .spec = spec, .own = own, .files = BUF_INIT };
	if (strncmp(spec, PACKAGE, strlen(PACKAGE)) == 0) {
		mark->package = xstrdup(spec + strlen(PACKAGE));
		return;
	}
	if (equals) {
		auto_free char *path =
		    xasprintf("%.*s", (int)(equals - spec), spec);

		mark->command = equals + 1;
		mark->path = action_path(&job->action, path);
	} else
		mark->path = action_path(&job->action, spec);
}

/* Both NAME.list and NAME:ARCH.list are in use. */
static void
read_package(struct mark *mark)
{
	static const char *const ends[] = { ".list", ":*.list" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		auto_free char *pattern =
		    xasprintf("%s/info/%s%s", DPKG, mark->package, ends[i]);
		struct error missing = { 0 };
		glob_t found;

		if (glob(pattern, 0, NULL, &found) != 0)
			continue;
		for (size_t j = 0; j < found.gl_pathc; j++) {
			buf_add(&mark->files, "\n", 1);
			(void)buf_read_file(
			    &mark->files, found.gl_pathv[j], &missing);
		}
		globfree(&found);
	}
}

static struct mark *
read_list(const struct job *job, const struct words *words, size_t own)
{
	struct mark *marks = xrealloc(NULL, words->count + 1, sizeof(*marks));

	for (size_t i = 0; i < words->count; i++)
		mark_read(job, &marks[i], words->item[i], i < own);
	return marks;
}

void
marks_open(struct job *job, size_t own_stable, size_t own_unstable)
{
	const struct options *o = &job->options;
	struct marks *marks = &job->marks;

	marks->own_unstable = own_unstable;
	if (o->stable.count == 0)
		return; /* then nothing is outranked */
	marks->stable_count = o->stable.count;
	marks->stable = read_list(job, &o->stable, own_stable);
	marks->unstable_count = o->unstable.count;
	marks->unstable = read_list(job, &o->unstable, own_unstable);
	for (size_t i = 0; i < marks->stable_count; i++) {
		if (marks->stable[i].package)
			read_package(&marks->stable[i]);
	}
}

static void
release_list(struct mark *marks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(marks[i].path);
		free(marks[i].package);
		buf_release(&marks[i].files);
	}
	free(marks);
}

void
marks_close(struct marks *marks)
{
	release_list(marks->stable, marks->stable_count);
	release_list(marks->unstable, marks->unstable_count);
	*marks = (struct marks){ .stable_count = 0 };
}

/* ---- what is meant ---- */

/* The path itself, or a folder on the way to it. */
static bool
covers_path(const struct mark *mark, const char *path)
{
	auto_free char *part = xstrdup(path);
	char *slash;

	for (;;) {
		if (strcmp(mark->path, part) == 0 ||
		    fnmatch(mark->path, part, FNM_PATHNAME) == 0)
			return true;
		slash = strrchr(part, '/');
		if (!slash || slash == part)
			return false;
		*slash = '\0';
	}
}

/* With /usr in front or without: one of them is a link to the other. */
static bool
covers_in_package(const struct mark *mark, const char *path)
{
	static const char usr[] = "/usr";
	bool below = strncmp(path, "/usr/", 5) == 0;
	auto_free char *line = xasprintf("\n%s\n", path);
	auto_free char *other = xasprintf(
	    "\n%s%s\n", below ? "" : usr, below ? path + strlen(usr) : path);

	return strstr(mark->files.data, line) ||
	    strstr(mark->files.data, other);
}

static bool
covers(const struct mark *mark, const char *path)
{
	return mark->package ? covers_in_package(mark, path)
	                     : covers_path(mark, path);
}

static bool
any_covers(const struct mark *marks, size_t count, bool own, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (marks[i].own == own && covers(&marks[i], path))
			return true;
	}
	return false;
}

static bool
stable_named(const struct marks *m, const char *path)
{
	if (any_covers(m->stable, m->stable_count, true, path))
		return true;
	return any_covers(m->stable, m->stable_count, false, path) &&
	    !any_covers(m->unstable, m->unstable_count, true, path);
}

bool
marks_is_stable(const struct job *job, const char *path)
{
	auto_free char *real = NULL;

	if (job->marks.stable_count == 0)
		return false;
	if (stable_named(&job->marks, path))
		return true;
	real = realpath(path, NULL);
	return real && strcmp(real, path) != 0 &&
	    stable_named(&job->marks, real);
}

bool
marks_outrank(const struct job *job, const char *path, bool own)
{
	const struct marks *m = &job->marks;

	return any_covers(m->stable, m->stable_count, true, path) ||
	    (!own && any_covers(m->stable, m->stable_count, false, path));
}

bool
marks_cover_absent(const struct job *job, const char *path)
{
	const struct marks *m = &job->marks;

	for (size_t i = 0; i < m->stable_count; i++) {
		if (m->stable[i].path && covers_path(&m->stable[i], path) &&
		    stable_named(m, path))
			return true;
	}
	return false;
}

/* ---- who they are ---- */

/* As popen() does, in that folder. */
static FILE *
open_pipe(const char *command, const char *folder)
{
	auto_close int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	FILE *pipe;

	if (here < 0 || chdir(folder) < 0)
		return NULL;
	pipe = popen(command, "re");
	return fchdir(here) < 0 ? NULL : pipe;
}

/* What COMMAND prints; it has to succeed. */
static int
run_version(const char *command, const char *folder, struct buf *said,
    struct error *err)
{
	auto_free char *quiet =
	    xasprintf("exec </dev/null 2>/dev/null\n%s\n", command);
	FILE *pipe = open_pipe(quiet, folder);
	char chunk[4096];
	size_t got;
	int status;

	if (!pipe)
		return error_errno(err, "cannot run '%s'", command);
	while ((got = fread(chunk, 1, sizeof(chunk), pipe)) > 0 &&
	    said->len < VERSION_MAX)
		buf_add(said, chunk, got);
	status = pclose(pipe);
	if (status == 0 && said->len > 0)
		return 0;
	return error_set(err, ERROR_SYSTEM,
	    "the version command '%s' of a stable source %s", command,
	    status == 0 ? "printed nothing" : "failed");
}

/* "Package: NAME" to the empty line behind it: all that dpkg says of it, for each
 * architecture. */
static int
find_package(const struct mark *mark, struct buf *said, struct error *err)
{
	auto_buf status = BUF_INIT;
	auto_free char *head = NULL;
	size_t name = strcspn(mark->package, ":");
	const char *at, *end;

	if (buf_read_file(&status, DPKG "/status", err) < 0)
		return -1;
	head = xasprintf("Package: %.*s\n", (int)name, mark->package);
	for (at = status.data; (at = strstr(at, head)); at = end) {
		end = strstr(at, "\n\n");
		if (!end)
			end = at + strlen(at);
		if (at == status.data || at[-1] == '\n')
			buf_add(said, at, (size_t)(end - at));
	}
	if (said->len > 0)
		return 0;
	return error_set(
	    err, ERROR_SYSTEM, "there is no package '%s'", mark->package);
}

/* The file whose stamp vouches for an identity that was found out before. */
static const char *
witness(const struct mark *mark)
{
	return mark->package ? DPKG "/status" : mark->path;
}

static bool
identity_key(const struct mark *mark, struct table_key *key)
{
	struct mixer m = MIXER_INIT;
	struct stamp stamp;
	struct stat st;

	if (stat(witness(mark), &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	stamp_of(&stamp, &st);
	mixer_add_stamp(&m, &stamp);
	mixer_add_bytes(&m, mark->spec, strlen(mark->spec));
	*key = mixer_key(&m, TAG_IDENTITY);
	return stamp_settled(&stamp, -1, witness(mark));
}

static int
find_identity(const struct job *job, const struct mark *mark,
    struct digest *identity, struct error *err)
{
	auto_buf said = BUF_INIT;
	struct table_key key;
	bool settled = identity_key(mark, &key);

	if (settled && table_get(job->table, &key, identity, NULL))
		return 0;
	if ((mark->package
	            ? find_package(mark, &said, err)
	            : run_version(mark->command,
	                  mark->own ? job->cwd : job->root, &said, err)) < 0)
		return -1;
	digest_bytes(identity, said.data, said.len);
	if (settled)
		table_put(job->table, &key, identity, 0);
	return 0;
}

int
marks_key(struct job *job, struct hasher *h, struct error *err)
{
	const struct marks *m = &job->marks;

	hasher_add_number(h, m->stable_count);
	for (size_t i = 0; i < m->stable_count; i++) {
		const struct mark *mark = &m->stable[i];
		struct digest identity;

		hasher_add_number(h, mark->own);
		key_add_path(job, mark->path ? mark->path : mark->spec, h);
		hasher_add_text(h, mark->command ? mark->command : "");
		if (!mark->command && !mark->package)
			continue;
		if (find_identity(job, mark, &identity, err) < 0)
			return -1;
		hasher_add_bytes(h, identity.bytes, DIGEST_SIZE);
	}
	return 0;
}
