#ifndef SCP_H
#define SCP_H

#include "base/buf.h"
#include "remote/far.h"
#include "remote/far_lake.h"
#include "remote/ssh_exec.h"

/*
 * A lake on a machine that has scp and a shell, but no SFTP. Files come and go by
 * scp's own protocol, many in one run of it; the rest is done by commands, whose only
 * arguments are a root in quotes and names that are ours. It takes sh, scp, and the
 * stat, find, touch, mv, ln and df of GNU or busybox.
 *
 * Commands run one after the other in one shell, so that what the login shell does
 * first is done once; a listing, during which others may come, has one of its own.
 */
struct scp_lake {
	struct far_lake lake;
	struct ssh_exec shell; /* its channel is NULL without one */
	unsigned failures;     /* of batches, in a row */
};

#define SCP_AHEAD (256 << 10) /* bytes of a file that is sent without waiting */

/* What a command ends with where there is no such folder. */
enum { SCP_NO_ROOT = 91, SCP_NO_TEMPS = 92 };

/* ---- commands, in scp_run.c ---- */

/* One under way, with its output taken line by line. */
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

/* What commands start with, and files as their arguments. */
void scp_add_root(struct buf *to, const struct far *far);
void scp_add_paths(struct buf *to, const struct far_file *files, size_t count);

/* Without `input`, the command has none; with it, it must end by itself. */
int run_begin(struct run *run, struct far *far, const struct buf *command,
    bool input, struct error *err);
int run_begin_apart(struct run *run, struct far *far, const struct buf *command,
    struct error *err);
void run_end(struct run *run);

/* At least one more byte into `in`: 1, 0 at the end, -1. */
int run_fill(struct run *run, struct error *err);
int run_byte(struct run *run, char *byte, struct error *err);

/* NUL-terminated and borrowed until the next call: 1, 0 after the last, -1. */
int run_line(struct run *run, char **line, size_t *len, struct error *err);

/* A line that is no answer: there can't be many of them. 0 or -1. */
int run_pass_over(
    struct run *run, const char *line, size_t len, struct error *err);

/* Up to its end: then there is a status. 0 or -1. */
int run_finish(struct run *run, struct error *err);

/* What the command complained of, in one line: -1. */
int run_complain(struct run *run, const char *verb, struct error *err);

/* No outcome yet, which is FAILED. */
void scp_reset(struct far_file *files, size_t count);

/* Those that have none and no error fail for this reason. */
void scp_fail_rest(
    struct far_file *files, size_t count, const struct error *err);

/* Files, the command, and what takes its answer. */
typedef int scp_work_fn(
    struct run *run, struct far_file *files, size_t count, struct error *err);
void scp_run_for(struct far *far, struct far_file *files, size_t count,
    const struct buf *command, scp_work_fn *work);

void scp_drop_shell(struct far *far);

/* ---- the rest ---- */

void scp_stat(struct far *far, struct far_file *files, size_t count);
scp_work_fn scp_take_stats;
void scp_remove(struct far *far, struct far_file *files, size_t count);
void scp_write(struct far *far, struct far_file *files, size_t count,
    const struct far_dress *wanted);
void scp_publish(struct far *far, struct far_file *files, size_t count,
    const struct far_dress *dress, const struct far_dress *folder);

#endif
