/*
 * Reading files over SFTP. All are opened at once, then asked for what they are and
 * for their first bytes at once: two round trips for any number of small ones. What
 * is longer is then asked for in many pieces ahead, one file after the other.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "remote/sftp.h"

#define CHUNK 32768 /* bytes; what every server gives at once */
#define AHEAD 64    /* chunks */

struct chunk {
	struct sftp_job *job;
	uint64_t at;
	size_t want;
	struct buf early; /* came before those in front of it */
	bool back, end;
};

static void
give(struct sftp_job *job, const char *data, size_t size)
{
	struct error err = { 0 };

	if (job->over || size == 0)
		return;
	if (sink_write(job->file->out, data, size, &err) < 0)
		sftp_job_fail(job, &err);
	job->done += size;
}

static void
take_data(void *arg, const struct sftp_answer *answer)
{
	struct chunk *chunk = arg;
	struct sftp_job *job = chunk->job;
	struct error err = { 0 };

	chunk->back = true;
	if (answer->type == SFTP_STATUS && answer->status == SFTP_EOF) {
		chunk->end = true;
	} else if (answer->type != SFTP_DATA) {
		if (sftp_judge(job, answer, &err) != FAILED)
			error_set(&err, ERROR_CORRUPT,
			    "'%s' has neither bytes nor an end",
			    job->file->path);
		sftp_job_fail(job, &err);
	} else if (answer->size > chunk->want || answer->size == 0) {
		error_set(&err, ERROR_CORRUPT,
		    "the server sent %zu bytes where %zu were asked for",
		    answer->size, chunk->want);
		sftp_job_fail(job, &err);
	} else {
		chunk->want -= answer->size;
		chunk->at += answer->size;
		if (chunk->at - answer->size == job->done)
			give(job, answer->data, answer->size);
		else
			buf_add(&chunk->early, answer->data, answer->size);
	}
}

static int
ask(struct chunk *chunk, struct error *err)
{
	struct buf *packet = sftp_begin_handle(chunk->job, SFTP_READ);

	sftp_add_u64(packet, chunk->at);
	sftp_add_u32(packet, (uint32_t)chunk->want);
	chunk->back = false;
	return sftp_end(sftp_of(chunk->job->far), take_data, chunk, err);
}

/* ---- many pieces ahead ---- */

struct stream {
	struct sftp_job *job;
	struct chunk chunks[AHEAD];
	size_t head, count;
	uint64_t next; /* to be asked for */
};

static int
ask_ahead(struct stream *stream, struct error *err)
{
	uint64_t size = stream->job->file->st.size;

	while (stream->count < AHEAD && stream->next < size) {
		struct chunk *chunk =
		    &stream->chunks[(stream->head + stream->count) % AHEAD];
		uint64_t left = size - stream->next;

		chunk->job = stream->job;
		chunk->at = stream->next;
		chunk->want = left < CHUNK ? (size_t)left : CHUNK;
		chunk->end = false;
		stream->next += chunk->want;
		stream->count++;
		if (ask(chunk, err) < 0)
			return -1;
	}
	return 0;
}

/* Those that are back, in their order; one that came in part is asked again. */
static int
take_chunks(struct stream *stream, struct error *err)
{
	while (stream->count > 0 && stream->chunks[stream->head].back) {
		struct chunk *chunk = &stream->chunks[stream->head];

		give(stream->job, chunk->early.data, chunk->early.len);
		buf_reset(&chunk->early);
		if (chunk->want > 0 && !chunk->end && !stream->job->over)
			return ask(chunk, err);
		if (chunk->end)
			error_set(&stream->job->file->err, ERROR_CORRUPT,
			    "'%s' ended after %llu of %llu bytes",
			    stream->job->file->path,
			    (unsigned long long)stream->job->done,
			    (unsigned long long)stream->job->file->st.size);
		stream->job->over |= chunk->end;
		stream->head = (stream->head + 1) % AHEAD;
		stream->count--;
	}
	return 0;
}

static int
run(struct stream *stream, struct error *err)
{
	struct sftp *sftp = sftp_of(stream->job->far);

	for (;;) {
		if (!stream->job->over && ask_ahead(stream, err) < 0)
			return -1;
		if (stream->count == 0)
			return 0;
		if (!stream->chunks[stream->head].back &&
		    sftp_wait(sftp, sftp->flight - 1, err) < 0)
			return -1;
		if (take_chunks(stream, err) < 0)
			return -1;
	}
}

static int
read_rest(struct sftp_job *job, struct error *err)
{
	struct stream *stream = xmalloc(sizeof(*stream));
	int rc;

	memset(stream, 0, sizeof(*stream));
	stream->job = job;
	stream->next = job->done;
	for (size_t i = 0; i < AHEAD; i++)
		stream->chunks[i].early = (struct buf)BUF_INIT;
	rc = run(stream, err);
	for (size_t i = 0; i < AHEAD; i++)
		buf_release(&stream->chunks[i].early);
	free(stream);
	return rc;
}

/* ---- all of them ---- */

static int
open_all(
    struct far *far, struct sftp_job *jobs, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct buf *packet =
		    sftp_begin_path(far, SFTP_OPEN, jobs[i].file->path);

		sftp_add_u32(packet, SFTP_O_READ);
		sftp_add_set(packet, &SFTP_SET_NONE);
		if (sftp_end(sftp_of(far), sftp_take_handle, &jobs[i], err) < 0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

static int
begin_all(struct far *far, struct sftp_job *jobs, struct chunk *chunks,
    size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		chunks[i] = (struct chunk){
			.job = &jobs[i], .want = CHUNK, .early = BUF_INIT
		};
		if (jobs[i].over)
			continue;
		(void)sftp_begin_handle(&jobs[i], SFTP_FSTAT);
		if (sftp_end(sftp_of(far), sftp_take_stat, &jobs[i], err) < 0 ||
		    ask(&chunks[i], err) < 0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

/* What has come of its first bytes is right for its size. */
static int
finish(struct sftp_job *job, struct error *err)
{
	struct far_file *file = job->file;

	if (!job->over && !S_ISREG(file->st.mode) && file->st.mode) {
		error_set(&file->err, ERROR_CORRUPT, "'%s' is not a file",
		    file->path);
		job->over = true;
	}
	if (!job->over && job->done < file->st.size && read_rest(job, err) < 0)
		return -1;
	if (!job->over && job->done != file->st.size)
		error_set(&file->err, ERROR_CORRUPT,
		    "'%s' gave %llu bytes instead of %llu", file->path,
		    (unsigned long long)job->done,
		    (unsigned long long)file->st.size);
	else if (!job->over)
		file->outcome = HIT;
	job->over = true;
	return 0;
}

int
sftp_read_files(struct far *far, struct sftp_job *jobs, size_t count,
    const void *arg, struct error *err)
{
	struct chunk *chunks = xrealloc(NULL, count, sizeof(*chunks));
	int rc = open_all(far, jobs, count, err);

	(void)arg;
	if (rc == 0)
		rc = begin_all(far, jobs, chunks, count, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = finish(&jobs[i], err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = sftp_close_handle(&jobs[i], err);
	free(chunks);
	return rc;
}
