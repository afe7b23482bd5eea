/* Printing what a record says that the command printed, in its order. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/file.h"
#include "base/mem.h"
#include "exec/job.h"

#define TRIES 3 /* to read back what we have just written */

static int
open_tape(struct replay *replay, struct tape *tape, const char *folder,
    struct error *err)
{
	if (tape->printed->size <= RECORD_INLINE)
		return 0;
	tape->fd = aside_nameless(folder, err);
	if (tape->fd < 0)
		return error_wrap(err, "cannot spool what was printed");
	replay->blob[replay->blobs++] =
	    (struct restore_blob){ .digest = &tape->printed->digest,
		    .size = tape->printed->size,
		    .fd = tape->fd };
	return 0;
}

int
replay_open(struct replay *replay, struct job *job, struct error *err)
{
	*replay = (struct replay){ .record = &job->record,
		.tape = { { &job->record.out, -1, 0 },
		    { &job->record.err, -1, 0 } } };
	for (int i = 0; i < 2; i++) {
		if (open_tape(replay, &replay->tape[i], job->tarn_dir, err) < 0)
			return -1;
	}
	return 0;
}

static ssize_t
read_back(const struct tape *tape, char *data, size_t size)
{
	ssize_t got = -1;

	for (int tries = 0; got < 0 && tries < TRIES; tries++)
		got = pread(tape->fd, data, size, (off_t)tape->at);
	return got;
}

static int
play_file(struct tape *tape, int to, size_t size)
{
	char data[16 * 1024];

	while (size > 0) {
		ssize_t got = read_back(
		    tape, data, size < sizeof(data) ? size : sizeof(data));

		if (got <= 0 || file_write_all(to, data, (size_t)got) < 0)
			return -1;
		tape->at += (size_t)got;
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

/* A reader that is gone ends us as it would have ended the command. */
void
replay_print(struct replay *replay)
{
	const struct record *record = replay->record;

	for (size_t i = 0; i < record->order_count; i++) {
		uint32_t which = record->order[i] & 1;

		if (play(&replay->tape[which], which ? 2 : 1,
		        record->order[i] >> 1) < 0)
			return;
	}
}

void
replay_close(struct replay *replay)
{
	for (int i = 0; i < 2; i++) {
		if (replay->tape[i].fd >= 0)
			close(replay->tape[i].fd);
	}
}
