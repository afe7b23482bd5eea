#include "remote/scp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "remote/kinds.h"
#include "remote/scp_protocol.h"

/* ---- one letter for each file ---- */

static void
judge(struct far_file *file, const char *line)
{
	static const char letters[] = "HMK";
	static const enum outcome outcomes[] = { HIT, MISS, KEPT };
	const char *found = *line ? strchr(letters, *line) : NULL;

	if (found) {
		file->outcome = outcomes[found - letters];
		return;
	}
	error_set(&file->err, ERROR_SYSTEM, "'%s': %s", file->path, line + 2);
	file->err.sys =
	    strstr(line, "Permission denied") || strstr(line, "Read-only")
	    ? EACCES
	    : EIO;
}

static int
take_letters(
    struct run *run, struct far_file *files, size_t count, struct error *err)
{
	char *line;
	size_t len;
	int rc;

	for (size_t i = 0; i < count;) {
		rc = run_line(run, &line, &len, err);
		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		if ((*line && strchr("HMK", *line) && !line[1]) ||
		    strncmp(line, "F ", 2) == 0)
			judge(&files[i++], line);
		else if (run_pass_over(run, line, len, err) < 0)
			return -1;
	}
	if (run_finish(run, err) < 0)
		return -1;
	for (size_t i = 0; i < count && run->status == SCP_NO_ROOT; i++)
		files[i].outcome = MISS;
	return run->status == 0 || run->status == SCP_NO_ROOT
	    ? 0
	    : run_complain(run, "run a command", err);
}

/* `function`, called for each file with its path and what `more` adds; then `last`. */
static void
call_each(struct far *far, struct far_file *files, size_t count,
    const char *function,
    void (*more)(struct buf *to, const struct far_file *file), const char *last)
{
	auto_buf command = BUF_INIT;

	scp_reset(files, count);
	scp_add_root(&command, far);
	buf_addf(&command, "r=; f() { %s; }; ", function);
	for (size_t i = 0; i < count; i++) {
		buf_addf(&command, "f ");
		ssh_quote(&command, files[i].path);
		if (more)
			more(&command, &files[i]);
		buf_addf(&command, "; ");
	}
	buf_addf(&command, "%sexit 0", last);
	scp_run_for(far, files, count, &command, take_letters);
}

/* `test` of "$1", and what is done to it then. */
#define IF_THERE(test, command) \
	"if " test "; then m=$(" command \
	" 2>&1) && echo H || echo \"F $m\"; else echo M; fi"

void
scp_remove(struct far *far, struct far_file *files, size_t count)
{
	call_each(far, files, count,
	    IF_THERE("test -e \"$1\" || test -L \"$1\"", "rm -f -- \"$1\""),
	    NULL, "");
}

static void
add_times(struct buf *to, const struct far_file *file)
{
	buf_addf(to, " %s", file->atime == file->mtime ? "-am" : "-a");
}

static void
scp_touch(struct far *far, struct far_file *files, size_t count)
{
	call_each(far, files, count,
	    IF_THERE("test -e \"$1\"", "touch \"$2\" -c -- \"$1\""), add_times,
	    "");
}

static void
add_target(struct buf *to, const struct far_file *file)
{
	buf_addf(to, " ");
	ssh_quote(to, file->to);
	buf_addf(to, " %d", file->replace);
}

/*
 * A second name for the file fails where there is one already, at once; then the
 * first is removed, those of all files by one command. Where there are no second
 * names, mv -n is as near as it gets. What has no folder to go to stays.
 */
static void
scp_move(struct far *far, struct far_file *files, size_t count)
{
	call_each(far, files, count,
	    "case $2 in */*) d=${2%/*};; *) d=.;; esac; "
	    "if test ! -d \"$d\"; then echo M; return; fi; r=\"$r $1\"; "
	    "if test -d \"$2\"; then "
	    "test $3 = 1 && echo 'F is a folder' || echo K; "
	    "elif test $3 = 1; then "
	    "m=$(mv -f -- \"$1\" \"$2\" 2>&1) && echo H || echo \"F $m\"; "
	    "elif m=$(ln -- \"$1\" \"$2\" 2>&1); then echo H; "
	    "elif test -e \"$2\"; then echo K; "
	    "elif mv -n -- \"$1\" \"$2\" 2>/dev/null && test ! -e \"$1\"; "
	    "then echo H; else echo \"F $m\"; fi",
	    add_target, "test -z \"$r\" || rm -f -- $r; ");
}

static enum outcome
scp_make_folder(struct far *far, const char *path,
    const struct far_dress *dress, struct error *err)
{
	auto_free char *whole = far_path(far, path);
	struct far_file file = { .path = path, .outcome = FAILED };
	auto_buf command = BUF_INIT;

	buf_addf(&command, "LC_ALL=C; export LC_ALL; d=");
	ssh_quote(&command, whole);
	buf_addf(&command,
	    "; if test -d \"$d\"; then echo K; "
	    "elif test ! -d \"${d%%/*}/\"; then echo M; "
	    "elif m=$(mkdir ");
	if (dress)
		buf_addf(&command,
		    "-m %o -- \"$d\" 2>&1 && chmod g-s -- \"$d\" 2>&1 && chgrp "
		    "%u ",
		    (unsigned)dress->mode, (unsigned)dress->gid);
	buf_addf(&command,
	    "-- \"$d\" 2>&1); then echo H; "
	    "elif test -d \"$d\"; then echo K; else echo \"F $m\"; fi; exit 0");
	scp_run_for(far, &file, 1, &command, take_letters);
	if (file.outcome == FAILED)
		*err = file.err;
	return file.outcome;
}

static int
take_nothing(
    struct run *run, struct far_file *files, size_t count, struct error *err)
{
	(void)files, (void)count;
	return run_finish(run, err);
}

static void
scp_remove_folder(struct far *far, const char *path)
{
	auto_buf command = BUF_INIT;

	scp_add_root(&command, far);
	buf_addf(&command, "exec rmdir -- ");
	ssh_quote(&command, path);
	scp_run_for(far, NULL, 0, &command, take_nothing);
}

#define LETTERS "[a-z][a-z][a-z][a-z][a-z][a-z][a-z][a-z]"

/* Files, and folders of batches; by the server's own clock. */
static void
scp_sweep(struct far *far, const char *folder, int64_t before)
{
	auto_buf command = BUF_INIT;

	(void)before;
	scp_add_root(&command, far);
	buf_addf(&command, "exec find ");
	ssh_quote(&command, folder);
	buf_addf(&command,
	    " -mindepth 1 -maxdepth 1 -mmin +60 "
	    "\\( -type f -name '*" LETTERS "' -o "
	    "-type d -name '" LETTERS LETTERS "' \\) -exec rm -rf -- {} +");
	scp_run_for(far, NULL, 0, &command, take_nothing);
}

static uint64_t
scp_room(struct far *far)
{
	auto_buf command = BUF_INIT;
	struct error ignored;
	uint64_t room = UINT64_MAX;
	struct run run;
	char *line;
	size_t len;
	int rc;

	scp_add_root(&command, far);
	buf_addf(&command, "exec df -kP .");
	rc = run_begin(&run, far, &command, false, &ignored);
	while (rc == 0 && run_line(&run, &line, &len, &ignored) > 0) {
		uint64_t one = scp_parse_df(line);

		room = one < room ? one : room;
		rc = run_pass_over(&run, line, len, &ignored);
	}
	run_end(&run);
	return room;
}

/* ---- stat ---- */

/* In the order that was asked for; those that are left out are not there. */
int
scp_take_stats(
    struct run *run, struct far_file *files, size_t count, struct error *err)
{
	size_t i = 0, len;
	char *line;
	const char *name;
	int rc;

	while ((rc = run_line(run, &line, &len, err)) > 0) {
		struct far_stat st;

		if (i == count || !scp_parse_stat(line, &st, &name)) {
			if (run_pass_over(run, line, len, err) < 0)
				return -1;
			continue;
		}
		while (i < count && strcmp(name, files[i].path) != 0)
			files[i++].outcome = MISS;
		if (i < count) {
			files[i].st = st;
			files[i++].outcome = HIT;
		}
	}
	if (rc < 0 || run_finish(run, err) < 0)
		return -1;
	while (i < count)
		files[i++].outcome = MISS;
	if (run->status <= 1 || run->status == SCP_NO_ROOT) {
		if (!run->complaint[0])
			return 0;
	}
	for (i = 0; i < count; i++) {
		if (files[i].outcome == MISS)
			files[i].outcome = FAILED;
	}
	return run_complain(run, "look", err);
}

void
scp_stat(struct far *far, struct far_file *files, size_t count)
{
	auto_buf command = BUF_INIT;
	bool root = count == 1 && !*files->path;

	if (root)
		files->path = ".";
	scp_reset(files, count);
	scp_add_root(&command, far);
	buf_addf(&command, "exec %s --", SCP_STAT);
	scp_add_paths(&command, files, count);
	scp_run_for(far, files, count, &command, scp_take_stats);
	if (root)
		files->path = "";
}

/* ---- reading ---- */

/* So many bytes into `out`, or nowhere if that has failed. */
static int
pass_on(struct run *run, struct far_file *file, struct error *err)
{
	uint64_t left = file->st.size;
	struct error why = { 0 };
	bool bad = false;

	while (left > 0) {
		size_t have = run->in.len - run->taken;
		size_t size = have < left ? have : (size_t)left;

		if (size == 0) {
			int more = run_fill(run, err);

			if (more == 0)
				error_set(err, ERROR_CORRUPT,
				    "'%s' ended %llu bytes before its end",
				    file->path, (unsigned long long)left);
			if (more <= 0)
				return -1;
			continue;
		}
		if (!bad &&
		    sink_write(
		        file->out, run->in.data + run->taken, size, &why) < 0) {
			file->err = why;
			bad = true;
		}
		run->taken += size;
		left -= size;
	}
	return bad;
}

/* "\1scp: 58/91b5...: No such file or directory" */
static void
explain(struct far_file *file, const char *line)
{
	if (strstr(line, "No such file") || strstr(line, "Not a directory")) {
		file->outcome = MISS;
		return;
	}
	if (strstr(line, "not a regular file"))
		file->st.mode = S_IFDIR; /* an old one may be in it */
	error_set(&file->err, ERROR_SYSTEM, "%.200s", line + 1);
	file->err.sys = strstr(line, "Permission denied") ? EACCES
	    : strstr(line, "No space left")               ? ENOSPC
	                                                  : EIO;
}

/* Behind the bytes: a NUL, or what was wrong with them. */
static int
take_end(struct run *run, struct far_file *file, bool bad, struct error *err)
{
	char byte = 0, *line;
	size_t len;
	int rc = run_byte(run, &byte, err);

	if (rc > 0 && byte != 0) {
		rc = run_line(run, &line, &len, err);
		if (rc > 0)
			error_set(&file->err, ERROR_CORRUPT, "%.200s", line);
	} else if (rc > 0 && !bad) {
		file->outcome = HIT;
	}
	if (rc == 0)
		return error_set(
		    err, ERROR_CORRUPT, "'%s' has no end", file->path);
	return rc < 0 ? -1 : 0;
}

/* 1, 0: the program has ended, -1. */
static int
take_file(struct run *run, struct far_file *file, struct error *err)
{
	enum scp_line what = SCP_TIMES;
	char *line;
	size_t len;
	int rc;

	while (what == SCP_TIMES) {
		rc = run_line(run, &line, &len, err);
		if (rc <= 0)
			return rc;
		if (scp_parse_line(line, len, &what, &file->st, err) < 0)
			return -1;
	}
	if (what == SCP_WRONG) {
		explain(file, line);
		return 1;
	}
	rc = pass_on(run, file, err);
	return rc < 0 || take_end(run, file, rc, err) < 0 ? -1 : 1;
}

static int
take_files(
    struct run *run, struct far_file *files, size_t count, struct error *err)
{
	int rc = 1;

	for (size_t i = 0; rc > 0 && i < count; i++)
		rc = take_file(run, &files[i], err);
	if (rc < 0) {
		run->far->ssh.broken = true;
		return -1;
	}
	if (run_finish(run, err) < 0)
		return -1;
	for (size_t i = 0; i < count && run->status == SCP_NO_ROOT; i++)
		files[i].outcome = MISS;
	return rc > 0 || run->status == SCP_NO_ROOT
	    ? 0
	    : run_complain(run, "run scp", err);
}

static void
scp_read(struct far *far, struct far_file *files, size_t count)
{
	auto_buf command = BUF_INIT;

	scp_reset(files, count);
	scp_add_root(&command, far);
	/* It waits for a NUL before each step: they are all there ahead. */
	buf_addf(
	    &command, "head -c %zu /dev/zero | scp -f -p --", 3 * count + 1);
	scp_add_paths(&command, files, count);
	scp_run_for(far, files, count, &command, take_files);
}

/* ---- listing ---- */

static void
add_pattern(struct buf *to, const struct layout *layout)
{
	buf_addf(to, " -mindepth %u -maxdepth %u -path '.", layout->count,
	    layout->count);
	for (size_t i = 0; i < layout->count; i++) {
		buf_addf(to, "/");
		for (size_t k = 0; k < 2 * (size_t)layout->bytes[i]; k++)
			buf_addf(to, "[0-9a-f]");
	}
	buf_addf(to, "'");
}

/* An old folder counts by what is in it. */
static bool
look_inside(
    struct far *far, const char *folder, const char *name, struct far_stat *st)
{
	auto_free char *path =
	    xasprintf("%s%s%s/data", folder, *folder ? "/" : "", name + 2);
	struct far_file file = { .path = path };
	struct error ignored;

	if (S_ISDIR(st->mode)) {
		if (far_one(far, &file, scp_stat, &ignored) != HIT)
			return false;
		*st = file.st;
	}
	return S_ISREG(st->mode);
}

static int
tell_lines(struct run *run, const char *folder, far_list_fn *fn, void *arg,
    struct error *err)
{
	char hex[DIGEST_HEX + 1], *line;
	const char *name;
	struct far_stat st;
	size_t len;
	int rc;

	while ((rc = run_line(run, &line, &len, err)) > 0) {
		if (!scp_parse_stat(line, &st, &name) ||
		    !scp_parse_key(name, hex))
			rc = run_pass_over(run, line, len, err);
		else if (look_inside(run->far, folder, name, &st))
			rc = fn(arg, hex, &st);
		else
			rc = 0;
		if (rc)
			return rc;
	}
	if (rc < 0 || run_finish(run, err) < 0)
		return -1;
	return run->status == 0 || run->status == SCP_NO_ROOT
	    ? 0
	    : run_complain(run, "list", err);
}

static int
scp_list(struct far *far, const char *folder, const struct layout *layout,
    far_list_fn *fn, void *arg, struct error *err)
{
	auto_buf command = BUF_INIT;
	struct run run;
	int rc;

	scp_add_root(&command, far);
	if (*folder) {
		buf_addf(&command, "cd ");
		ssh_quote(&command, folder);
		buf_addf(&command, " 2>/dev/null || exit %d; ", SCP_NO_ROOT);
	}
	buf_addf(&command, "exec find .");
	add_pattern(&command, layout);
	buf_addf(&command, " -exec %s -- {} +", SCP_STAT);
	rc = run_begin_apart(&run, far, &command, err);
	if (rc == 0)
		rc = tell_lines(&run, folder, fn, arg, err);
	run_end(&run);
	return rc;
}

/* ---- the kind ---- */

static void
close_scp(struct far *far)
{
	scp_drop_shell(far);
}

static const struct far_kind far_scp = {
	.many = FAR_MANY,
	.stat = scp_stat,
	.read = scp_read,
	.write = scp_write,
	.publish = scp_publish,
	.move = scp_move,
	.remove = scp_remove,
	.remove_folder = scp_remove_folder,
	.touch = scp_touch,
	.make_folder = scp_make_folder,
	.list = scp_list,
	.sweep = scp_sweep,
	.room = scp_room,
	.close = close_scp,
};

static void
scp_lake_close(struct location *loc)
{
	struct scp_lake *lake = container_of(loc, struct scp_lake, lake.base);

	far_lake_release(&lake->lake);
	free(lake);
}

static struct location *
scp_lake_open(const Tarn__Location *config, struct error *err)
{
	struct scp_lake *lake = xmalloc(sizeof(*lake));

	*lake =
	    (struct scp_lake){ .lake = { .base = { .kind = &location_scp } },
		    .shell = { .complaints = BUF_INIT } };
	if (far_lake_init(&lake->lake, &far_scp, config, err) == 0)
		return &lake->lake.base;
	scp_lake_close(&lake->lake.base);
	return NULL;
}

const struct location_kind location_scp = {
	.name = "scp",
	.open = scp_lake_open,
	.close = scp_lake_close,
	FAR_LAKE_METHODS,
};
