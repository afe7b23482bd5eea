#ifndef SFTP_H
#define SFTP_H

#include "remote/far.h"
#include "remote/far_lake.h"
#include "remote/sftp_requests.h"

/* A lake over SFTP, and what reading, writing and listing share. */
struct sftp_lake {
	struct far_lake lake;
	struct sftp sftp;
};

/* What is being done with one file. */
struct sftp_job {
	struct far *far;
	struct far_file *file;
	const char *verb; /* "read", for messages */
	char handle[SFTP_HANDLE_MAX];
	size_t handle_len;     /* 0: it isn't open */
	uint64_t done;         /* bytes */
	bool opened;           /* it was, once */
	bool guessed;          /* under the handle that was guessed for it */
	struct far_stat first; /* what it was then */
	bool over;             /* there is an outcome */
};

struct sftp *sftp_of(struct far *far);

/* Connected, and the server speaks SFTP. 0 or -1. */
int sftp_ready(struct far *far, struct error *err);

/* An answer that says whether it was done: HIT, MISS, FAILED. */
enum outcome sftp_judge(const struct sftp_job *job,
    const struct sftp_answer *answer, struct error *err);

/* Ask about the job's path, or its handle; `path` is below the lake's root. */
struct buf *sftp_begin_path(
    struct far *far, enum sftp_type type, const char *path);
struct buf *sftp_begin_handle(struct sftp_job *job, enum sftp_type type);

/* An answer to these: its outcome into the file, or only if it is a failure. */
void sftp_take_outcome(void *arg, const struct sftp_answer *answer);
void sftp_take_failure(void *arg, const struct sftp_answer *answer);
void sftp_take_handle(void *arg, const struct sftp_answer *answer);
void sftp_take_stat(void *arg, const struct sftp_answer *answer);

/* The job's error, unless it has an outcome. */
void sftp_job_fail(struct sftp_job *job, const struct error *err);

/* Close what is open, without waiting for the answer, which goes to `fn`. 0 or -1. */
int sftp_close_handle(
    struct sftp_job *job, sftp_answer_fn *fn, struct error *err);

/*
 * Run `work` with a job for each file; those that then have no outcome failed for
 * the reason that it gives.
 */
typedef int sftp_work_fn(struct far *far, struct sftp_job *jobs, size_t count,
    const void *arg, struct error *err);
void sftp_run(struct far *far, struct far_file *files, size_t count,
    const char *verb, sftp_work_fn *work, const void *arg);

sftp_work_fn sftp_read_files, sftp_write_files;
int sftp_list(struct far *far, const char *folder, const struct layout *layout,
    far_list_fn *fn, void *arg, struct error *err);
void sftp_sweep(struct far *far, const char *folder, int64_t before);

#endif
