/*
 * Writing new files over SFTP: all are opened at once, filled one after the other
 * with many pieces under way, and then asked whether they are as they should be.
 */
#include <sys/stat.h>

#include "base/mem.h"
#include "remote/sftp.h"

#define CHUNK 32768 /* bytes; what every server takes at once */

static int
open_all(
    struct far *far, struct sftp_job *jobs, size_t count, struct error *err)
{
	struct sftp_set set = SFTP_SET_NONE;

	set.mode = 0600;
	for (size_t i = 0; i < count; i++) {
		struct buf *packet =
		    sftp_begin_path(far, SFTP_OPEN, jobs[i].file->path);

		sftp_add_u32(packet, SFTP_O_WRITE | SFTP_O_CREAT | SFTP_O_EXCL);
		sftp_add_set(packet, &set);
		if (sftp_end(sftp_of(far), sftp_take_handle, &jobs[i], err) < 0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

static int
write_chunk(
    struct sftp_job *job, const char *data, size_t size, struct error *err)
{
	struct buf *packet = sftp_begin_handle(job, SFTP_WRITE);

	sftp_add_u64(packet, job->done);
	sftp_add_text(packet, data, size);
	job->done += size;
	return sftp_end(sftp_of(job->far), sftp_take_failure, job, err);
}

/* A source that fails is the job's own affair. */
static int
fill(struct sftp_job *job, struct error *err)
{
	struct source *in = job->file->in;
	char chunk[CHUNK];
	struct error why = { 0 };
	ssize_t got = 0;

	while (!job->over &&
	    (got = source_read(in, chunk, sizeof(chunk), &why)) > 0) {
		if (write_chunk(job, chunk, (size_t)got, err) < 0)
			return -1;
	}
	if (got == 0 && !job->over && job->done != in->size) {
		error_set(&why, ERROR_CORRUPT,
		    "'%s' got %llu bytes instead of %llu", job->file->path,
		    (unsigned long long)job->done,
		    (unsigned long long)in->size);
		got = -1;
	}
	if (got < 0)
		sftp_job_fail(job, &why);
	return 0;
}

static int
dress(struct sftp_job *job, const struct far_dress *dress, struct error *err)
{
	struct sftp_set set = SFTP_SET_NONE;

	if (job->over)
		return 0;
	if (dress) {
		set.mode = dress->mode;
		sftp_add_set(sftp_begin_handle(job, SFTP_FSETSTAT), &set);
		if (sftp_end(sftp_of(job->far), sftp_take_failure, job, err) <
		    0)
			return -1;
	}
	(void)sftp_begin_handle(job, SFTP_FSTAT);
	return sftp_end(sftp_of(job->far), sftp_take_stat, job, err);
}

static int
give_group(
    struct sftp_job *job, const struct far_dress *dress, struct error *err)
{
	struct sftp_set set = SFTP_SET_NONE;

	if (job->over || !dress || job->file->st.gid == dress->gid)
		return 0;
	set.uid = job->file->st.uid;
	set.gid = dress->gid;
	set.mode = dress->mode; /* a new group may cost it some bits */
	sftp_add_set(sftp_begin_handle(job, SFTP_FSETSTAT), &set);
	return sftp_end(sftp_of(job->far), sftp_take_failure, job, err);
}

static void
finish(struct sftp_job *job)
{
	struct far_file *file = job->file;

	if (!job->over && file->st.size != job->done) {
		error_set(&file->err, ERROR_CORRUPT,
		    "'%s' has %llu bytes instead of %llu", file->path,
		    (unsigned long long)file->st.size,
		    (unsigned long long)job->done);
	} else if (!job->over) {
		file->outcome = HIT;
	}
	job->over = true;
}

static int
remove_failed(struct far *far, struct sftp_job *job, struct error *err)
{
	if (job->file->outcome != FAILED || !job->opened)
		return 0;
	(void)sftp_begin_path(far, SFTP_REMOVE, job->file->path);
	return sftp_end(sftp_of(far), NULL, NULL, err);
}

static int
fill_all(struct far *far, struct sftp_job *jobs, size_t count,
    const struct far_dress *wanted, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!jobs[i].over &&
		    (fill(&jobs[i], err) < 0 ||
		        dress(&jobs[i], wanted, err) < 0))
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

static int
close_all(struct far *far, struct sftp_job *jobs, size_t count,
    const struct far_dress *wanted, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		/* Some file systems tell only now that they are full. */
		if (give_group(&jobs[i], wanted, err) < 0 ||
		    sftp_close_handle(&jobs[i], sftp_take_failure, err) < 0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

int
sftp_write_files(struct far *far, struct sftp_job *jobs, size_t count,
    const void *arg, struct error *err)
{
	if (open_all(far, jobs, count, err) < 0)
		return -1;
	if (fill_all(far, jobs, count, arg, err) < 0 ||
	    close_all(far, jobs, count, arg, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		finish(&jobs[i]);
		if (remove_failed(far, &jobs[i], err) < 0)
			return -1;
	}
	return 0;
}
