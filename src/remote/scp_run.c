#include "remote/scp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "remote/ssh_exec.h"

#define LINE_MAX_ 4096
#define CHUNK 32768
#define NOISE (1 << 20) /* bytes of lines that say nothing, of one command */
#define NOISE_LINE 64   /* what one of them counts for at least */
#define END "tarn-end " /* what the shell says behind each command */

void
scp_add_root(struct buf *to, const struct far *far)
{
	buf_addf(to, "LC_ALL=C; export LC_ALL; cd ");
	ssh_quote(to, *far->root ? far->root : "/");
	buf_addf(to, " 2>/dev/null || exit %d; ", SCP_NO_ROOT);
}

void
scp_add_paths(struct buf *to, const struct far_file *files, size_t count)
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
void
scp_drop_shell(struct far *far)
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
	scp_drop_shell(far);
	return ssh_exec_open(shell, &far->ssh, "exec /bin/sh", err);
}

/* Without `input`, the command has none; with it, it must end by itself. */
int
run_begin(struct run *run, struct far *far, const struct buf *command,
    bool input, struct error *err)
{
	auto_buf line = BUF_INIT;

	*run =
	    (struct run){ .far = far, .exec = shell_of(far), .in = BUF_INIT };
	far->ssh.waited_us = 0;
	if (open_shell(far, err) < 0 || ssh_exec_refill(run->exec, err) < 0)
		return -1;
	buf_addf(&line, "(%s\n) %s2>&1; echo \"" END "$?\"\n", command->data,
	    input ? "" : "</dev/null ");
	return ssh_exec_write(run->exec, line.data, line.len, err);
}

int
run_begin_apart(struct run *run, struct far *far, const struct buf *command,
    struct error *err)
{
	*run = (struct run){ .far = far, .exec = &run->apart, .in = BUF_INIT };
	if (far->ssh.broken)
		scp_drop_shell(far);
	return ssh_exec_open(run->exec, &far->ssh, command->data, err);
}

void
run_end(struct run *run)
{
	if (run->exec == &run->apart)
		ssh_exec_close(run->exec);
	else if (!run->ended || run->far->ssh.broken)
		scp_drop_shell(run->far);
	buf_release(&run->in);
}

/* At least one more byte: 1, 0 at the end, -1. */
int
run_fill(struct run *run, struct error *err)
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

/* What is no number is no success. */
static int
parse_status(const char *text)
{
	char *stop;
	long status = strtol(text, &stop, 10);

	return stop == text || *stop || status < 0 || status > 255
	    ? 255
	    : (int)status;
}

/* NUL-terminated and borrowed until the next call: 1, 0 after the last, -1. */
int
run_line(struct run *run, char **line, size_t *len, struct error *err)
{
	while (!run->ended && !take_line(run, line, len)) {
		int more;

		if (run->in.len - run->taken > LINE_MAX_) {
			error_set(err, ERROR_CORRUPT,
			    "the server sent a line of more than %d bytes",
			    LINE_MAX_);
			return -1;
		}
		more = run_fill(run, err);
		if (more <= 0)
			return more;
	}
	if (run->ended)
		return 0;
	if (run->exec == &run->apart ||
	    strncmp(*line, END, sizeof(END) - 1) != 0)
		return 1;
	run->ended = true;
	run->status = parse_status(*line + sizeof(END) - 1);
	return 0;
}

static void
note_complaint(struct run *run, const char *line)
{
	if (!strstr(line, "No such file") && !strstr(line, "Not a directory"))
		snprintf(run->complaint, sizeof(run->complaint), "%s", line);
}

/* A line that is no answer: there can't be many of them. */
int
run_pass_over(struct run *run, const char *line, size_t len, struct error *err)
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

int
run_finish(struct run *run, struct error *err)
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
	while ((rc = run_line(run, &line, &len, err)) > 0) {
		if (run_pass_over(run, line, len, err) < 0)
			return -1;
	}
	return rc;
}

/* What the command complained of, in one line. */
int
run_complain(struct run *run, const char *verb, struct error *err)
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

void
scp_fail_rest(struct far_file *files, size_t count, const struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome == FAILED &&
		    files[i].err.kind == ERROR_NONE)
			files[i].err = *err;
	}
}

void
scp_reset(struct far_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		files[i].outcome = FAILED;
		files[i].err = (struct error){ 0 };
	}
}

/* Files, the command, and what takes its answer. */
void
scp_run_for(struct far *far, struct far_file *files, size_t count,
    const struct buf *command, scp_work_fn *work)
{
	struct error err = { 0 };
	struct run run;
	int rc = run_begin(&run, far, command, false, &err);

	if (rc == 0)
		rc = work(&run, files, count, &err);
	if (rc < 0)
		scp_fail_rest(files, count, &err);
	run_end(&run);
}

int
run_byte(struct run *run, char *byte, struct error *err)
{
	while (run->taken == run->in.len) {
		int more = run_fill(run, err);

		if (more <= 0)
			return more;
	}
	*byte = run->in.data[run->taken++];
	return 1;
}
