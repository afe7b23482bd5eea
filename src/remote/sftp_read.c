/*
 * Reading files over SFTP.
 *
 * A file is read by its handle, which the server gives when it has opened it: two
 * round trips. But OpenSSH gives out again the handle that was closed last. So where
 * that is a guess worth making, each file is opened, asked for what it is, read from
 * its start and closed in one go, by the handle that it will have. The answer to the
 * open says whether it has; if not, what came by the guess counts for nothing. A
 * wrong guess harms nothing: it is made only when no other file is open.
 *
 * Those that are longer, and all if there was no guess or a wrong one, are opened all
 * at once, then asked for what they are and for their first bytes at once, or the next
 * ones, since what was passed on can't be taken back. What is longer is then asked for
 * in many pieces ahead, one file after the other.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "remote/sftp.h"

#define CHUNK 32768               /* bytes; what every server gives at once */
#define AHEAD 64                  /* chunks */
#define WRONG_MAX 3               /* guesses; then there are no more */
#define GUESSED (SFTP_FLIGHT / 2) /* chunks that are asked for by a guess */
#define GUESSED_MAX 32            /* of one file */

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

/* ---- by a guess ---- */

static void
take_guess(void *arg, const struct sftp_answer *answer)
{
	struct sftp_job *job = arg;
	struct sftp_guess *guess = &sftp_of(job->far)->guess;

	sftp_take_handle(job, answer);
	if (job->handle_len == 0)
		return;
	job->guessed = job->handle_len == guess->len &&
	    memcmp(job->handle, guess->handle, guess->len) == 0;
	guess->wrong = job->guessed ? 0 : guess->wrong + 1;
}

static void
take_guessed_stat(void *arg, const struct sftp_answer *answer)
{
	if (((struct sftp_job *)arg)->guessed)
		sftp_take_stat(arg, answer);
}

static void
take_guessed_data(void *arg, const struct sftp_answer *answer)
{
	if (((struct chunk *)arg)->job->guessed)
		take_data(arg, answer);
}

static void
take_guessed_close(void *arg, const struct sftp_answer *answer)
{
	struct sftp_job *job = arg;

	(void)answer;
	if (!job->guessed)
		return;
	job->handle_len = 0;
	sftp_of(job->far)->open--;
}

static struct buf *
begin_guess(struct sftp *sftp, enum sftp_type type)
{
	struct buf *packet = sftp_begin(sftp, type);

	sftp_add_text(packet, sftp->guess.handle, sftp->guess.len);
	return packet;
}

static int
ask_open(struct sftp_job *job, sftp_answer_fn *fn, struct error *err)
{
	struct buf *packet =
	    sftp_begin_path(job->far, SFTP_OPEN, job->file->path);

	sftp_add_u32(packet, SFTP_O_READ);
	sftp_add_set(packet, &SFTP_SET_NONE);
	return sftp_end(sftp_of(job->far), fn, job, err);
}

static int
ask_all(
    struct sftp_job *job, struct chunk *chunks, size_t count, struct error *err)
{
	struct sftp *sftp = sftp_of(job->far);

	if (ask_open(job, take_guess, err) < 0)
		return -1;
	(void)begin_guess(sftp, SFTP_FSTAT);
	if (sftp_end(sftp, take_guessed_stat, job, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct buf *packet = begin_guess(sftp, SFTP_READ);

		chunks[i] = (struct chunk){ .job = job,
			.at = i * CHUNK,
			.want = CHUNK,
			.early = BUF_INIT };
		sftp_add_u64(packet, chunks[i].at);
		sftp_add_u32(packet, CHUNK);
		if (sftp_end(sftp, take_guessed_data, &chunks[i], err) < 0)
			return -1;
	}
	(void)begin_guess(sftp, SFTP_CLOSE);
	return sftp_end(sftp, take_guessed_close, job, err);
}

/* It is whole, or there is more of it. */
static void
take_whole(struct sftp_job *job, struct chunk *chunks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (chunks[i].at - chunks[i].early.len == job->done)
			give(job, chunks[i].early.data, chunks[i].early.len);
		buf_release(&chunks[i].early);
	}
	if (job->over)
		return;
	if (job->guessed && S_ISREG(job->file->st.mode) &&
	    job->done == job->file->st.size) {
		job->file->outcome = HIT;
		job->over = true;
	}
	job->first = job->file->st;
}

/* What has been passed on can't be taken back, so it has to be the same file still. */
static void
check_same(struct sftp_job *job)
{
	const struct far_stat *st = &job->file->st;
	struct error err;

	if (!job->guessed || job->done == 0 ||
	    (job->over && job->file->outcome != MISS))
		return;
	if (!job->over && st->size == job->first.size &&
	    st->mtime == job->first.mtime)
		return;
	error_set(&err, ERROR_SYSTEM, "'%s' changed while it was read",
	    job->file->path);
	job->over = false;
	sftp_job_fail(job, &err);
}

static int
read_by_guess(
    struct far *far, struct sftp_job *jobs, size_t count, struct error *err)
{
	size_t each = GUESSED / count;
	struct chunk *chunks;
	int rc = 0;

	each = each < GUESSED_MAX ? each : GUESSED_MAX;
	chunks = xrealloc(NULL, count * each, sizeof(*chunks));
	for (size_t i = 0; i < count * each; i++)
		chunks[i] = (struct chunk){ .early = BUF_INIT };
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = ask_all(&jobs[i], chunks + i * each, each, err);
	if (rc == 0)
		rc = sftp_wait(sftp_of(far), 0, err);
	for (size_t i = 0; i < count; i++)
		take_whole(&jobs[i], chunks + i * each, each);
	free(chunks);
	return rc;
}

static bool
may_guess(const struct sftp *sftp, size_t count)
{
	return sftp->guess.len > 0 && sftp->guess.wrong < WRONG_MAX &&
	    sftp->open == 0 && count <= GUESSED;
}

/* ---- all of them ---- */

static int
open_all(
    struct far *far, struct sftp_job *jobs, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!jobs[i].over && jobs[i].handle_len == 0 &&
		    ask_open(&jobs[i], sftp_take_handle, err) < 0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

static int
begin_all(struct far *far, struct sftp_job *jobs, struct chunk *chunks,
    size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		check_same(&jobs[i]);
		chunks[i] = (struct chunk){ .job = &jobs[i],
			.at = jobs[i].done,
			.want = CHUNK,
			.early = BUF_INIT };
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

	check_same(job);
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
	int rc = may_guess(sftp_of(far), count)
	    ? read_by_guess(far, jobs, count, err)
	    : 0;

	(void)arg;
	if (rc == 0)
		rc = open_all(far, jobs, count, err);
	if (rc == 0)
		rc = begin_all(far, jobs, chunks, count, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = finish(&jobs[i], err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = sftp_close_handle(&jobs[i], NULL, err);
	free(chunks);
	return rc;
}
