/* Listing folders over SFTP, some answers of some dozens of names each at a time. */
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "remote/sftp.h"

#define AHEAD 4 /* answers asked for at once */

struct name {
	char text[DIGEST_HEX + 1];
	struct far_stat st;
};

struct folder {
	struct sftp_job job;
	struct far_file file;
	size_t
	    digits; /* of names that count; 0: any, as far as there is room */
	struct name *names;
	size_t count, room;
	bool end;
	struct error err; /* what was wrong with the last answer */
};

static bool
is_wanted(const struct folder *folder, const struct sftp_name *name)
{
	if (folder->digits == 0)
		return name->len > 8 && name->len <= DIGEST_HEX &&
		    !memchr(name->name, '/', name->len) &&
		    !memchr(name->name, '\0', name->len);
	if (name->len != folder->digits)
		return false;
	for (size_t i = 0; i < name->len; i++) {
		if (!name->name[i] ||
		    !strchr("0123456789abcdef", name->name[i]))
			return false;
	}
	return true;
}

static void
keep_name(struct folder *folder, const struct sftp_name *name)
{
	struct name *kept;

	if (folder->count == folder->room) {
		folder->room = folder->room ? 2 * folder->room : 128;
		folder->names = xrealloc(
		    folder->names, folder->room, sizeof(*folder->names));
	}
	kept = &folder->names[folder->count++];
	memcpy(kept->text, name->name, name->len);
	kept->text[name->len] = '\0';
	kept->st = name->st;
}

static void
take_names(void *arg, const struct sftp_answer *answer)
{
	struct folder *folder = arg;
	struct sftp_answer rest = *answer;
	struct sftp_name name;

	if (answer->type == SFTP_STATUS && answer->status == SFTP_EOF) {
		folder->end = true;
		return;
	}
	if (answer->type != SFTP_NAME) {
		if (sftp_judge(&folder->job, answer, &folder->err) != FAILED)
			error_set(&folder->err, ERROR_CORRUPT,
			    "a list with neither names nor an end");
		return;
	}
	while (sftp_next_name(&rest, &name, &folder->err) > 0) {
		if (is_wanted(folder, &name))
			keep_name(folder, &name);
	}
}

/* 1, 0 if it isn't there or no folder, -1. */
static int
open_folder(
    struct far *far, struct folder *folder, const char *path, struct error *err)
{
	*folder =
	    (struct folder){ .file = { .path = path, .outcome = FAILED } };
	folder->job = (struct sftp_job){
		.far = far, .file = &folder->file, .verb = "list"
	};
	(void)sftp_begin_path(far, SFTP_OPENDIR, path);
	if (sftp_end(sftp_of(far), sftp_take_handle, &folder->job, err) < 0 ||
	    sftp_wait(sftp_of(far), 0, err) < 0)
		return -1;
	if (folder->file.outcome == FAILED && folder->job.over) {
		*err = folder->file.err;
		return -1;
	}
	return !folder->job.over;
}

/* The next names, 0 at the end. */
static int
next_names(struct folder *folder, struct error *err)
{
	struct sftp *sftp = sftp_of(folder->job.far);

	folder->count = 0;
	for (int i = 0; i < AHEAD && !folder->end; i++) {
		(void)sftp_begin_handle(&folder->job, SFTP_READDIR);
		if (sftp_end(sftp, take_names, folder, err) < 0)
			return -1;
	}
	if (sftp_wait(sftp, 0, err) < 0)
		return -1;
	if (folder->err.kind != ERROR_NONE && folder->count == 0) {
		*err = folder->err;
		return -1;
	}
	return folder->count > 0 || !folder->end;
}

static int
close_folder(struct folder *folder, struct error *err)
{
	free(folder->names);
	return sftp_close_handle(&folder->job, NULL, err);
}

/* ---- a lake's files ---- */

struct walk {
	struct far *far;
	const struct layout *layout;
	far_list_fn *fn;
	void *arg;
	struct error *err;
	char hex[DIGEST_HEX + 1];
};

static int walk_folder(
    struct walk *walk, const char *path, size_t part, size_t at);

/* A link is what it leads to, and an old folder what is in it. */
static bool
look_again(struct walk *walk, const char *path, struct far_stat *st)
{
	auto_free char *data = xasprintf("%s/data", path);
	struct far_file file = { .path = S_ISDIR(st->mode) ? data : path };
	struct error ignored;

	if (far_one(walk->far, &file, walk->far->kind->stat, &ignored) != HIT)
		return false;
	*st = file.st;
	return S_ISREG(st->mode);
}

static int
walk_name(struct walk *walk, const char *folder, struct name *name, size_t part,
    size_t at)
{
	auto_free char *path =
	    xasprintf("%s%s%s", folder, *folder ? "/" : "", name->text);

	strcpy(walk->hex + at, name->text);
	if (part + 1 < walk->layout->count)
		return S_ISREG(name->st.mode)
		    ? 0
		    : walk_folder(
		          walk, path, part + 1, at + strlen(name->text));
	if (!S_ISREG(name->st.mode) && !look_again(walk, path, &name->st))
		return 0;
	return walk->fn(walk->arg, walk->hex, &name->st);
}

static int
walk_folder(struct walk *walk, const char *path, size_t part, size_t at)
{
	struct folder folder;
	struct error ignored;
	int rc = open_folder(walk->far, &folder, path, walk->err), more = 1;

	if (rc <= 0)
		return rc;
	folder.digits = 2 * (size_t)walk->layout->bytes[part];
	for (rc = 0; rc == 0 && more > 0;) {
		more = next_names(&folder, walk->err);
		for (size_t i = 0; more > 0 && rc == 0 && i < folder.count; i++)
			rc = walk_name(walk, path, &folder.names[i], part, at);
	}
	(void)close_folder(&folder, &ignored);
	return more < 0 ? -1 : rc;
}

int
sftp_list(struct far *far, const char *folder, const struct layout *layout,
    far_list_fn *fn, void *arg, struct error *err)
{
	struct walk walk = {
		.far = far, .layout = layout, .fn = fn, .arg = arg, .err = err
	};

	if (sftp_ready(far, err) < 0)
		return -1;
	return walk_folder(&walk, folder, 0, 0);
}

/* ---- leftovers ---- */

static int
sweep_name(struct far *far, const char *folder, const struct name *name)
{
	auto_free char *path = xasprintf("%s/%s", folder, name->text);
	struct error ignored;

	(void)sftp_begin_path(
	    far, S_ISDIR(name->st.mode) ? SFTP_RMDIR : SFTP_REMOVE, path);
	return sftp_end(sftp_of(far), NULL, NULL, &ignored);
}

void
sftp_sweep(struct far *far, const char *path, int64_t before)
{
	struct folder folder;
	struct error ignored;

	if (sftp_ready(far, &ignored) < 0 ||
	    open_folder(far, &folder, path, &ignored) <= 0)
		return;
	while (next_names(&folder, &ignored) > 0) {
		for (size_t i = 0; i < folder.count; i++) {
			if (folder.names[i].st.mtime < before &&
			    sweep_name(far, path, &folder.names[i]) < 0)
				break;
		}
	}
	(void)close_folder(&folder, &ignored);
}
