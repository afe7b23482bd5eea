#include "remote/scp.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "remote/scp_protocol.h"
#include "remote/ssh_exec.h"

#define CHUNK 32768

/* 1: it goes on, 0: it doesn't take this file, or has ended; -1. */
static int
take_ack(struct run *run, struct far_file *file, struct error *err)
{
	char byte, *line;
	size_t len;
	int rc = run_byte(run, &byte, err);

	if (rc <= 0 || byte == 0)
		return rc;
	if (byte != 1 && byte != 2)
		run->taken--;
	rc = run_line(run, &line, &len, err);
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
	if (send_all(run, files, count, err) < 0 || run_finish(run, err) < 0)
		return -1;
	if (run->status == SCP_NO_TEMPS || run->status == SCP_NO_ROOT) {
		for (size_t i = 0; i < count; i++)
			files[i].outcome = MISS;
		return 0;
	}
	return run->status > 1 ? run_complain(run, "write", err) : 0;
}

/* Their modes and group, and whether all of their bytes are there. */
static void
dress(struct far *far, struct far_file *files, size_t count,
    const struct far_dress *dress)
{
	auto_free struct far_file *sent = far_files(count);
	size_t which[FAR_MANY], n = 0;
	auto_buf command = BUF_INIT;

	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome == HIT) {
			sent[n] = files[i];
			which[n++] = i;
		}
	}
	if (n == 0)
		return;
	scp_reset(sent, n);
	scp_add_root(&command, far);
	buf_addf(&command, "chgrp %u --", (unsigned)dress->gid);
	scp_add_paths(&command, sent, n);
	buf_addf(&command, " && chmod %o --", (unsigned)dress->mode);
	scp_add_paths(&command, sent, n);
	buf_addf(&command, " || exit 3; exec %s --", SCP_STAT);
	scp_add_paths(&command, sent, n);
	scp_run_for(far, sent, n, &command, scp_take_stats);
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
	auto_free struct far_file *failed = far_files(count);
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
	scp_add_root(to, far);
	buf_addf(to, "test -d .tmp || exit %d; umask 077; ", SCP_NO_TEMPS);
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
	rc = run_begin(&run, far, &command, true, &err);
	if (rc == 0)
		rc = send_files(&run, files, count, &err);
	if (rc < 0)
		scp_fail_rest(files, count, &err);
	run_end(&run);
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
	if (run_begin(&run, far, &command, true, &ignored) == 0 &&
	    send_ahead(&run, files, count, stop.data, &ignored) > 0)
		(void)run_finish(&run, &ignored);
	run_end(&run);
	while (done < count && files[done].outcome == HIT)
		done++;
	return done;
}

static bool
is_small(const struct far_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (files[i].in->size > SCP_AHEAD)
			return false;
	}
	return count > 1;
}

void
scp_write(struct far *far, struct far_file *files, size_t count,
    const struct far_dress *wanted)
{
	size_t done = 0;

	scp_reset(files, count);
	if (is_small(files, count)) {
		struct error err;

		done = write_ahead(far, files, count);
		scp_reset(files + done, count - done);
		for (size_t i = done; i < count; i++)
			(void)source_rewind(files[i].in, &err);
	}
	if (done < count)
		write_files(far, files + done, count - done);
	if (wanted)
		dress(far, files, count, wanted);
	remove_failed(far, files, count);
}
