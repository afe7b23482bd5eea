/* Printing what a record says that the command printed, in its order. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "exec/job.h"

/* Where a stream's bytes come from. */
struct tape {
	const struct printed *printed;
	int fd; /* of a long one, else -1 */
	size_t at;
};

static void
note_damage(void *job, const char *text)
{
	job_note(job, "%s", text);
}

static int
load(struct job *job, struct tape *tape, struct error *err)
{
	const struct restore restore = { .tree = job->tree,
		.mend = !job->options.read_only,
		.note = note_damage,
		.arg = job,
		.world = &job->world };

	tape->fd = -1;
	if (tape->printed->size <= RECORD_INLINE)
		return 0;
	tape->fd = open(job->tarn_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (tape->fd < 0)
		return error_errno(err, "cannot spool what was printed");
	if (restore_blob(&restore, &tape->printed->digest, tape->fd, err) !=
	    HIT)
		return -1;
	return lseek(tape->fd, 0, SEEK_SET) < 0
	    ? error_errno(err, "cannot rewind what was printed")
	    : 0;
}

static int
play_file(struct tape *tape, int to, size_t size)
{
	char data[16 * 1024];

	while (size > 0) {
		ssize_t got = read(
		    tape->fd, data, size < sizeof(data) ? size : sizeof(data));

		if (got <= 0 || file_write_all(to, data, (size_t)got) < 0)
			return -1;
		size -= (size_t)got;
	}
	return 0;
}

static int
play(struct tape *tape, int to, size_t size)
{
	int status;

	if (tape->fd >= 0)
		return play_file(tape, to, size);
	status = file_write_all(to, tape->printed->data.data + tape->at, size);
	tape->at += size;
	return status;
}

int
replay(struct job *job, struct error *err)
{
	const struct record *record = &job->record;
	struct tape tapes[2] = { { .printed = &record->out },
		{ .printed = &record->err } };
	int status = load(job, &tapes[0], err);

	tapes[1].fd = -1;
	if (status == 0)
		status = load(job, &tapes[1], err);
	/* A reader that is gone ends us as it would have ended the command. */
	for (size_t i = 0; status == 0 && i < record->order_count; i++) {
		uint32_t which = record->order[i] & 1;

		if (play(&tapes[which], which ? 2 : 1, record->order[i] >> 1) <
		    0)
			break;
	}
	for (int i = 0; i < 2; i++) {
		if (tapes[i].fd >= 0)
			close(tapes[i].fd);
	}
	return status;
}
