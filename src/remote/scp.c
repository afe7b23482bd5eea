/*
 * A lake on a machine that has scp and a shell, but no SFTP. Files come and go by
 * scp's own protocol, many in one run of it; the rest is done by commands, whose only
 * arguments are a root in quotes and names that are ours. It takes sh, scp, and the
 * stat, find, touch, mv, ln and df of GNU or busybox.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "remote/far_lake.h"
#include "remote/kinds.h"
#include "remote/scp_protocol.h"
#include "remote/ssh_exec.h"

#define NO_ROOT 91 /* status of commands that find no such folder */
#define NO_TEMPS 92
#define LINE_MAX_ 4096
#define CHUNK 32768
#define NOISE (1 << 20) /* bytes of lines that say nothing, of one command */
#define NOISE_LINE 64   /* what one of them counts for at least */
#define AHEAD_MAX (256 << 10) /* bytes of a file that is sent without waiting */

/*
 * Commands run one after the other in one shell, so that what the login shell does
 * first is done once; a listing, during which others may come, has one of its own.
 */
struct scp_lake {
	struct far_lake lake;
	struct ssh_exec shell; /* its channel is NULL without one */
};

/* A command under way, with its output taken line by line. */
struct run {
	struct far *far;
	struct ssh_exec *exec;
	struct ssh_exec apart; /* of its own, if `exec` points here */
	struct buf in;
	size_t taken;
	bool ended;
	int status;
	char complaint[200]; /* its last line that was no answer */
	size_t noise;        /* such lines, in bytes */
};

#define END "tarn-end " /* what the shell says behind each command */

/* ---- commands ---- */

static void
add_root(struct buf *to, const struct far *far)
{
	buf_addf(to, "LC_ALL=C; export LC_ALL; cd ");
	ssh_quote(to, *far->root ? far->root : "/");
	buf_addf(to, " 2>/dev/null || exit %d; ", NO_ROOT);
}

static void
add_paths(struct buf *to, const struct far_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buf_addf(to, " ");
		ssh_quote(to, files[i].path);
	}
}

static struct ssh_exec *
shell_of(struct far *far)
{
	return &container_of(far, struct scp_lake, lake.far)->shell;
}

/* It is of no more use, or whoever started it has left it in a bad state. */
static void
drop_shell(struct far *far)
{
	ssh_exec_close(shell_of(far));
	*shell_of(far) = (struct ssh_exec){ .complaints = BUF_INIT };
}

/* Nothing is expected from it now. */
static bool
is_gone(const struct ssh_exec *shell)
{
	char byte;
	ssize_t got = libssh2_channel_read(shell->channel, &byte, 1);

	return got > 0 || (got < 0 && got != LIBSSH2_ERROR_EAGAIN) ||
	    libssh2_channel_eof(shell->channel);
}

static int
open_shell(struct far *far, struct error *err)
{
	struct ssh_exec *shell = shell_of(far);

	if (ssh_exec_is_open(shell) && !is_gone(shell))
		return 0;
	if (ssh_exec_is_open(shell))
		far->ssh.broken = true;
	drop_shell(far);
	return ssh_exec_open(shell, &far->ssh, "exec /bin/sh", err);
}

/* Without `input`, the command has none; with it, it must end by itself. */
static int
begin(struct run *run, struct far *far, const struct buf *command, bool input,
    struct error *err)
{
	auto_buf line = BUF_INIT;

	*run =
	    (struct run){ .far = far, .exec = shell_of(far), .in = BUF_INIT };
	far->ssh.waited_us = 0;
	if (open_shell(far, err) < 0)
		return -1;
	buf_addf(&line, "(%s\n) %s2>&1; echo \"" END "$?\"\n", command->data,
	    input ? "" : "</dev/null ");
	return ssh_exec_write(run->exec, line.data, line.len, err);
}

static int
begin_apart(struct run *run, struct far *far, const struct buf *command,
    struct error *err)
{
	*run = (struct run){ .far = far, .exec = &run->apart, .in = BUF_INIT };
	if (far->ssh.broken)
		drop_shell(far);
	return ssh_exec_open(run->exec, &far->ssh, command->data, err);
}

static void
end(struct run *run)
{
	if (run->exec == &run->apart)
		ssh_exec_close(run->exec);
	else if (!run->ended || run->far->ssh.broken)
		drop_shell(run->far);
	buf_release(&run->in);
}

/* At least one more byte: 1, 0 at the end, -1. */
static int
fill(struct run *run, struct error *err)
{
	char chunk[CHUNK];
	ssize_t got;

	if (run->taken > 0) {
		memmove(run->in.data, run->in.data + run->taken,
		    run->in.len - run->taken);
		run->in.len -= run->taken;
		run->taken = 0;
	}
	got = ssh_exec_read(run->exec, chunk, sizeof(chunk), err);
	if (got > 0)
		buf_add(&run->in, chunk, (size_t)got);
	if (got != 0 || run->exec == &run->apart)
		return got > 0 ? 1 : (int)got;
	run->far->ssh.broken = true;
	return error_set(err, ERROR_UNREACHABLE, "the shell there has ended");
}

/* A line up to the end of what is there. 1, 0: it isn't whole. */
static int
take_line(struct run *run, char **line, size_t *len)
{
	char *start = run->in.data + run->taken;
	size_t have = run->in.len - run->taken;
	char *stop = have ? memchr(start, '\n', have) : NULL;

	if (!stop)
		return 0;
	*stop = '\0';
	*line = start;
	*len = (size_t)(stop - start);
	run->taken += *len + 1;
	return 1;
}

/* NUL-terminated and borrowed until the next call: 1, 0 after the last, -1. */
static int
next_line(struct run *run, char **line, size_t *len, struct error *err)
{
	while (!run->ended && !take_line(run, line, len)) {
		int more;

		if (run->in.len - run->taken > LINE_MAX_)
			return error_set(err, ERROR_CORRUPT,
			    "the server sent a line of more than %d bytes",
			    LINE_MAX_);
		more = fill(run, err);
		if (more <= 0)
			return more;
	}
	if (run->ended)
		return 0;
	if (run->exec == &run->apart ||
	    strncmp(*line, END, sizeof(END) - 1) != 0)
		return 1;
	run->ended = true;
	run->status = atoi(*line + sizeof(END) - 1);
	return 0;
}

static void
note_complaint(struct run *run, const char *line)
{
	if (!strstr(line, "No such file") && !strstr(line, "Not a directory"))
		snprintf(run->complaint, sizeof(run->complaint), "%s", line);
}

/* A line that is no answer: there can't be many of them. */
static int
pass_over(struct run *run, const char *line, size_t len, struct error *err)
{
	note_complaint(run, line);
	run->noise += len + NOISE_LINE;
	if (run->noise < NOISE)
		return 0;
	run->far->ssh.broken = true;
	return error_set(err, ERROR_CORRUPT,
	    "the server goes on with lines that are no answer, as '%.60s'",
	    line);
}

static int
finish(struct run *run, struct error *err)
{
	char *line;
	size_t len;
	int rc;

	if (run->exec == &run->apart) {
		rc = ssh_exec_finish(run->exec, &run->status, err);
		run->ended = rc == 0;
		if (rc == 0)
			note_complaint(run, run->exec->complaints.data);
		return rc;
	}
	while ((rc = next_line(run, &line, &len, err)) > 0) {
		if (pass_over(run, line, len, err) < 0)
			return -1;
	}
	return rc;
}

/* What the command complained of, in one line. */
static int
complain(struct run *run, const char *verb, struct error *err)
{
	const char *text = run->complaint;

	error_set(err, ERROR_SYSTEM, "cannot %s in '%s': %.*s (status %d)",
	    verb, run->far->root, (int)strcspn(text, "\n"), text, run->status);
	err->sys = strstr(text, "Permission denied") ||
	        strstr(text, "Read-only file system")
	    ? EACCES
	    : strstr(text, "No space left") ? ENOSPC
	                                    : EIO;
	return -1;
}

static void
fail_rest(struct far_file *files, size_t count, const struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome == FAILED &&
		    files[i].err.kind == ERROR_NONE)
			files[i].err = *err;
	}
}

static void
reset(struct far_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		files[i].outcome = FAILED;
		files[i].err = (struct error){ 0 };
	}
}

typedef int work_fn(
    struct run *run, struct far_file *files, size_t count, struct error *err);

/* Files, the command, and what takes its answer. */
static void
run_for(struct far *far, struct far_file *files, size_t count,
    const struct buf *command, work_fn *work)
{
	struct error err = { 0 };
	struct run run;
	int rc = begin(&run, far, command, false, &err);

	if (rc == 0)
		rc = work(&run, files, count, &err);
	if (rc < 0)
		fail_rest(files, count, &err);
	end(&run);
}

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
		rc = next_line(run, &line, &len, err);
		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		if ((*line && strchr("HMK", *line) && !line[1]) ||
		    strncmp(line, "F ", 2) == 0)
			judge(&files[i++], line);
		else if (pass_over(run, line, len, err) < 0)
			return -1;
	}
	if (finish(run, err) < 0)
		return -1;
	for (size_t i = 0; i < count && run->status == NO_ROOT; i++)
		files[i].outcome = MISS;
	return run->status == 0 || run->status == NO_ROOT
	    ? 0
	    : complain(run, "run a command", err);
}

/* `function`, called for each file with its path and what `more` adds; then `last`. */
static void
call_each(struct far *far, struct far_file *files, size_t count,
    const char *function,
    void (*more)(struct buf *to, const struct far_file *file), const char *last)
{
	auto_buf command = BUF_INIT;

	reset(files, count);
	add_root(&command, far);
	buf_addf(&command, "r=; f() { %s; }; ", function);
	for (size_t i = 0; i < count; i++) {
		buf_addf(&command, "f ");
		ssh_quote(&command, files[i].path);
		if (more)
			more(&command, &files[i]);
		buf_addf(&command, "; ");
	}
	buf_addf(&command, "%sexit 0", last);
	run_for(far, files, count, &command, take_letters);
}

/* `test` of "$1", and what is done to it then. */
#define IF_THERE(test, command) \
	"if " test "; then m=$(" command \
	" 2>&1) && echo H || echo \"F $m\"; else echo M; fi"

static void
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
	run_for(far, &file, 1, &command, take_letters);
	if (file.outcome == FAILED)
		*err = file.err;
	return file.outcome;
}

static int
take_nothing(
    struct run *run, struct far_file *files, size_t count, struct error *err)
{
	(void)files, (void)count;
	return finish(run, err);
}

static void
scp_remove_folder(struct far *far, const char *path)
{
	auto_buf command = BUF_INIT;

	add_root(&command, far);
	buf_addf(&command, "exec rmdir -- ");
	ssh_quote(&command, path);
	run_for(far, NULL, 0, &command, take_nothing);
}

/* By the server's own clock. */
static void
scp_sweep(struct far *far, const char *folder, int64_t before)
{
	auto_buf command = BUF_INIT;

	(void)before;
	add_root(&command, far);
	buf_addf(&command, "exec find ");
	ssh_quote(&command, folder);
	buf_addf(&command,
	    " -mindepth 1 -maxdepth 1 -type f -mmin +60 -name "
	    "'*[a-z][a-z][a-z][a-z][a-z][a-z][a-z][a-z]' "
	    "-exec rm -f -- {} +");
	run_for(far, NULL, 0, &command, take_nothing);
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

	add_root(&command, far);
	buf_addf(&command, "exec df -kP .");
	rc = begin(&run, far, &command, false, &ignored);
	while (rc == 0 && next_line(&run, &line, &len, &ignored) > 0) {
		uint64_t one = scp_parse_df(line);

		room = one < room ? one : room;
		rc = pass_over(&run, line, len, &ignored);
	}
	end(&run);
	return room;
}

/* ---- stat ---- */

/* In the order that was asked for; those that are left out are not there. */
static int
take_stats(
    struct run *run, struct far_file *files, size_t count, struct error *err)
{
	size_t i = 0, len;
	char *line;
	const char *name;
	int rc;

	while ((rc = next_line(run, &line, &len, err)) > 0) {
		struct far_stat st;

		if (i == count || !scp_parse_stat(line, &st, &name)) {
			if (pass_over(run, line, len, err) < 0)
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
	if (rc < 0 || finish(run, err) < 0)
		return -1;
	while (i < count)
		files[i++].outcome = MISS;
	if (run->status <= 1 || run->status == NO_ROOT) {
		if (!run->complaint[0])
			return 0;
	}
	for (i = 0; i < count; i++) {
		if (files[i].outcome == MISS)
			files[i].outcome = FAILED;
	}
	return complain(run, "look", err);
}

static void
scp_stat(struct far *far, struct far_file *files, size_t count)
{
	auto_buf command = BUF_INIT;
	bool root = count == 1 && !*files->path;

	if (root)
		files->path = ".";
	reset(files, count);
	add_root(&command, far);
	buf_addf(&command, "exec %s --", SCP_STAT);
	add_paths(&command, files, count);
	run_for(far, files, count, &command, take_stats);
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
			int more = fill(run, err);

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

static int
next_byte(struct run *run, char *byte, struct error *err)
{
	while (run->taken == run->in.len) {
		int more = fill(run, err);

		if (more <= 0)
			return more;
	}
	*byte = run->in.data[run->taken++];
	return 1;
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
	int rc = next_byte(run, &byte, err);

	if (rc > 0 && byte != 0) {
		rc = next_line(run, &line, &len, err);
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
		rc = next_line(run, &line, &len, err);
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
	if (finish(run, err) < 0)
		return -1;
	for (size_t i = 0; i < count && run->status == NO_ROOT; i++)
		files[i].outcome = MISS;
	return rc > 0 || run->status == NO_ROOT ? 0
	                                        : complain(run, "run scp", err);
}

static void
scp_read(struct far *far, struct far_file *files, size_t count)
{
	auto_buf command = BUF_INIT;

	reset(files, count);
	add_root(&command, far);
	/* It waits for a NUL before each step: they are all there ahead. */
	buf_addf(
	    &command, "head -c %zu /dev/zero | scp -f -p --", 3 * count + 1);
	add_paths(&command, files, count);
	run_for(far, files, count, &command, take_files);
}

/* ---- writing ---- */

/* 1: it goes on, 0: it doesn't take this file, or has ended; -1. */
static int
take_ack(struct run *run, struct far_file *file, struct error *err)
{
	char byte, *line;
	size_t len;
	int rc = next_byte(run, &byte, err);

	if (rc <= 0 || byte == 0)
		return rc;
	if (byte != 1 && byte != 2)
		run->taken--;
	rc = next_line(run, &line, &len, err);
	if (rc < 0)
		return -1;
	error_set(&file->err, ERROR_SYSTEM, "%.200s",
	    rc ? line : "scp on the server has ended");
	file->err.sys = rc == 0 ? EIO
	    : strstr(line, "Permission denied") || strstr(line, "Read-only")
	    ? EACCES
	    : strstr(line, "No space left") ? ENOSPC
	                                    : EIO;
	return 0;
}

/* Exactly so many bytes as were told: else there is no way on but to hang up. */
static int
send_bytes(struct run *run, struct far_file *file, struct error *err)
{
	char chunk[CHUNK];
	uint64_t done = 0;
	ssize_t got;

	while ((got = source_read(file->in, chunk, sizeof(chunk), err)) > 0) {
		done += (uint64_t)got;
		if (done > file->in->size)
			break;
		if (ssh_exec_write(run->exec, chunk, (size_t)got, err) < 0)
			return -1;
	}
	if (got < 0)
		return -1;
	if (done != file->in->size)
		return error_set(err, ERROR_CORRUPT,
		    "'%s' is not of its size, %llu bytes", file->path,
		    (unsigned long long)file->in->size);
	return ssh_exec_write(run->exec, "", 1, err);
}

static int
send_head(struct run *run, const struct far_file *file, struct error *err)
{
	auto_buf head = BUF_INIT;

	buf_addf(&head, "C0600 %llu %s\n", (unsigned long long)file->in->size,
	    strrchr(file->path, '/') + 1);
	return ssh_exec_write(run->exec, head.data, head.len, err);
}

static int
send_file(struct run *run, struct far_file *file, struct error *err)
{
	int rc;

	if (send_head(run, file, err) < 0)
		return -1;
	rc = take_ack(run, file, err);
	if (rc <= 0)
		return rc;
	if (send_bytes(run, file, err) < 0)
		return -1;
	rc = take_ack(run, file, err);
	if (rc > 0)
		file->outcome = HIT;
	return rc;
}

/* "E" is the end of a folder, and here of all that comes. */
static int
send_all(
    struct run *run, struct far_file *files, size_t count, struct error *err)
{
	struct far_file all = { 0 };
	int rc = take_ack(run, &all, err);

	for (size_t i = 0; rc >= 0 && !run->ended && i < count; i++)
		rc = send_file(run, &files[i], err);
	if (rc < 0 || run->ended)
		return rc < 0 ? -1 : 0;
	if (ssh_exec_write(run->exec, "E\n", 2, err) < 0)
		return -1;
	return take_ack(run, &all, err);
}

/*
 * The same without waiting for each answer, but for those to the first file, which
 * meets what is wrong with the place. If one is refused nevertheless, scp takes its
 * bytes for something else: then all behind it has to be sent again, by send_all().
 */
static int
send_ahead(struct run *run, struct far_file *files, size_t count,
    const char *stop, struct error *err)
{
	struct far_file all = { 0 };
	auto_buf last = BUF_INIT;
	int rc = take_ack(run, &all, err);

	for (size_t i = 0; rc > 0 && i < count; i++) {
		if (send_head(run, &files[i], err) < 0)
			return -1;
		if (i == 0)
			rc = take_ack(run, &files[i], err);
		if (rc > 0 && send_bytes(run, &files[i], err) < 0)
			return -1;
	}
	buf_addf(&last, "E\n\n%s\n", stop);
	if (rc > 0 && ssh_exec_write(run->exec, last.data, last.len, err) < 0)
		return -1;
	for (size_t i = 0; rc > 0 && i < count; i++) {
		if (i > 0)
			rc = take_ack(run, &files[i], err);
		if (rc > 0)
			rc = take_ack(run, &files[i], err);
		if (rc > 0)
			files[i].outcome = HIT;
	}
	return rc > 0 ? take_ack(run, &all, err) : rc;
}

/* After a failure the shell is dropped: what follows would be bytes of a file. */
static int
send_files(
    struct run *run, struct far_file *files, size_t count, struct error *err)
{
	if (send_all(run, files, count, err) < 0 || finish(run, err) < 0)
		return -1;
	if (run->status == NO_TEMPS || run->status == NO_ROOT) {
		for (size_t i = 0; i < count; i++)
			files[i].outcome = MISS;
		return 0;
	}
	return run->status > 1 ? complain(run, "write", err) : 0;
}

/* Their modes and group, and whether all of their bytes are there. */
static void
dress(struct far *far, struct far_file *files, size_t count,
    const struct far_dress *dress)
{
	struct far_file sent[FAR_AT_ONCE];
	size_t which[FAR_AT_ONCE], n = 0;
	auto_buf command = BUF_INIT;

	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome == HIT) {
			sent[n] = files[i];
			which[n++] = i;
		}
	}
	if (n == 0)
		return;
	reset(sent, n);
	add_root(&command, far);
	buf_addf(&command, "chgrp %u --", (unsigned)dress->gid);
	add_paths(&command, sent, n);
	buf_addf(&command, " && chmod %o --", (unsigned)dress->mode);
	add_paths(&command, sent, n);
	buf_addf(&command, " || exit 3; exec %s --", SCP_STAT);
	add_paths(&command, sent, n);
	run_for(far, sent, n, &command, take_stats);
	for (size_t i = 0; i < n; i++) {
		struct far_file *file = &files[which[i]];

		file->st = sent[i].st;
		file->err = sent[i].err;
		file->outcome =
		    sent[i].outcome == HIT && sent[i].st.size == file->in->size
		    ? HIT
		    : FAILED;
		if (file->outcome == FAILED && file->err.kind == ERROR_NONE)
			error_set(&file->err, ERROR_CORRUPT,
			    "'%s' has not come whole", file->path);
	}
}

static void
remove_failed(struct far *far, const struct far_file *files, size_t count)
{
	struct far_file failed[FAR_AT_ONCE];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome == FAILED)
			failed[n++] =
			    (struct far_file){ .path = files[i].path };
	}
	if (n > 0 && !far->ssh.late)
		scp_remove(far, failed, n);
}

static void
add_receiver(struct buf *to, const struct far *far)
{
	add_root(to, far);
	buf_addf(to, "test -d .tmp || exit %d; umask 077; ", NO_TEMPS);
}

/* One after the other. */
static void
write_files(struct far *far, struct far_file *files, size_t count)
{
	auto_buf command = BUF_INIT;
	struct error err = { 0 };
	struct run run;
	int rc;

	add_receiver(&command, far);
	buf_addf(&command, "scp -t -- .tmp");
	rc = begin(&run, far, &command, true, &err);
	if (rc == 0)
		rc = send_files(&run, files, count, &err);
	if (rc < 0)
		fail_rest(files, count, &err);
	end(&run);
}

/*
 * Small ones, all at once. What scp leaves of them if it ends too early must not get
 * to the shell: all up to a line is swallowed that no value can have, since it is made
 * of the random ends of temporary names. How many have arrived.
 */
static size_t
write_ahead(struct far *far, struct far_file *files, size_t count)
{
	auto_buf command = BUF_INIT;
	auto_buf stop = BUF_INIT;
	struct error ignored = { 0 };
	struct run run;
	size_t done = 0;

	buf_addf(&stop, "%s%s", strrchr(files[0].path, '/') + 1,
	    strrchr(files[count - 1].path, '/') + 1);
	add_receiver(&command, far);
	buf_addf(&command,
	    "scp -t -- .tmp; s=$?; while read -r l && test \"$l\" != %s; "
	    "do :; done; exit $s",
	    stop.data);
	if (begin(&run, far, &command, true, &ignored) == 0 &&
	    send_ahead(&run, files, count, stop.data, &ignored) > 0)
		(void)finish(&run, &ignored);
	end(&run);
	while (done < count && files[done].outcome == HIT)
		done++;
	return done;
}

static bool
is_small(const struct far_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (files[i].in->size > AHEAD_MAX)
			return false;
	}
	return count > 1;
}

static void
scp_write(struct far *far, struct far_file *files, size_t count,
    const struct far_dress *wanted)
{
	size_t done = 0;

	reset(files, count);
	if (is_small(files, count)) {
		struct error err;

		done = write_ahead(far, files, count);
		reset(files + done, count - done);
		for (size_t i = done; i < count; i++)
			(void)source_rewind(files[i].in, &err);
	}
	if (done < count)
		write_files(far, files + done, count - done);
	if (wanted)
		dress(far, files, count, wanted);
	remove_failed(far, files, count);
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

	while ((rc = next_line(run, &line, &len, err)) > 0) {
		if (!scp_parse_stat(line, &st, &name) ||
		    !scp_parse_key(name, hex))
			rc = pass_over(run, line, len, err);
		else if (look_inside(run->far, folder, name, &st))
			rc = fn(arg, hex, &st);
		else
			rc = 0;
		if (rc)
			return rc;
	}
	if (rc < 0 || finish(run, err) < 0)
		return -1;
	return run->status == 0 || run->status == NO_ROOT
	    ? 0
	    : complain(run, "list", err);
}

static int
scp_list(struct far *far, const char *folder, const struct layout *layout,
    far_list_fn *fn, void *arg, struct error *err)
{
	auto_buf command = BUF_INIT;
	struct run run;
	int rc;

	add_root(&command, far);
	if (*folder) {
		buf_addf(&command, "cd ");
		ssh_quote(&command, folder);
		buf_addf(&command, " 2>/dev/null || exit %d; ", NO_ROOT);
	}
	buf_addf(&command, "exec find .");
	add_pattern(&command, layout);
	buf_addf(&command, " -exec %s -- {} +", SCP_STAT);
	rc = begin_apart(&run, far, &command, err);
	if (rc == 0)
		rc = tell_lines(&run, folder, fn, arg, err);
	end(&run);
	return rc;
}

/* ---- the kind ---- */

static void
close_scp(struct far *far)
{
	drop_shell(far);
}

static const struct far_kind far_scp = {
	.stat = scp_stat,
	.read = scp_read,
	.write = scp_write,
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
