/* A lake on a machine that is reached by SFTP. */
#include "remote/sftp.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "remote/kinds.h"

struct sftp *
sftp_of(struct far *far)
{
	return &container_of(far, struct sftp_lake, lake.far)->sftp;
}

int
sftp_ready(struct far *far, struct error *err)
{
	struct sftp *sftp = sftp_of(far);
	int rc;

	if (sftp->channel && !far->ssh.broken && sftp_is_gone(sftp))
		far->ssh.broken = true;
	rc = ssh_connect(&far->ssh, err);
	if (rc < 0)
		return -1;
	if (rc == 0 && sftp->channel)
		return 0;
	sftp_close(sftp);
	if (sftp_open(sftp, &far->ssh, err) == 0)
		return 0;
	far->ssh.broken = true;
	return error_wrap(err, "ssh to '%s'", far->ssh.host);
}

static void
close_sftp(struct far *far)
{
	sftp_close(sftp_of(far));
}

/* ---- answers ---- */

static const struct {
	uint32_t status;
	int sys;
} meanings[] = {
	{ SFTP_PERMISSION_DENIED, EACCES },
	{ SFTP_OP_UNSUPPORTED, EOPNOTSUPP },
};

enum outcome
sftp_judge(const struct sftp_job *job, const struct sftp_answer *answer,
    struct error *err)
{
	int sys = EIO;

	if (answer->type != SFTP_STATUS)
		return error_set(err, ERROR_CORRUPT,
		    "the server answers with type %d to %s '%s'", answer->type,
		    job->verb, job->file->path);
	if (answer->status == SFTP_OK)
		return HIT;
	if (answer->status == SFTP_NO_SUCH_FILE)
		return MISS;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++) {
		if (meanings[i].status == answer->status)
			sys = meanings[i].sys;
	}
	error_set(err, ERROR_SYSTEM, "cannot %s '%s/%s': %.*s", job->verb,
	    job->far->root, job->file->path,
	    (int)(answer->size < 100 ? answer->size : 100), answer->data);
	err->sys = sys;
	return FAILED;
}

void
sftp_job_fail(struct sftp_job *job, const struct error *err)
{
	if (job->over)
		return;
	job->file->outcome = FAILED;
	job->file->err = *err;
	job->over = true;
}

void
sftp_take_outcome(void *arg, const struct sftp_answer *answer)
{
	struct sftp_job *job = arg;

	if (!job->over)
		job->file->outcome = sftp_judge(job, answer, &job->file->err);
	job->over = true;
}

void
sftp_take_failure(void *arg, const struct sftp_answer *answer)
{
	struct sftp_job *job = arg;
	struct error err = { 0 };
	enum outcome outcome = sftp_judge(job, answer, &err);

	if (outcome == MISS)
		error_set(&err, ERROR_SYSTEM, "cannot %s '%s/%s': it is gone",
		    job->verb, job->far->root, job->file->path);
	if (outcome != HIT)
		sftp_job_fail(job, &err);
}

void
sftp_take_handle(void *arg, const struct sftp_answer *answer)
{
	struct sftp_job *job = arg;

	if (answer->type != SFTP_HANDLE) {
		sftp_take_outcome(arg, answer);
		return;
	}
	memcpy(job->handle, answer->data, answer->size);
	job->handle_len = answer->size;
	job->opened = true;
	sftp_of(job->far)->open++;
}

void
sftp_take_stat(void *arg, const struct sftp_answer *answer)
{
	struct sftp_job *job = arg;

	if (answer->type == SFTP_ATTRS)
		job->file->st = answer->st;
	else
		sftp_take_failure(arg, answer);
}

/* ---- requests ---- */

struct buf *
sftp_begin_path(struct far *far, enum sftp_type type, const char *path)
{
	auto_free char *whole = far_path(far, path);
	struct buf *packet = sftp_begin(sftp_of(far), type);

	sftp_add_text(packet, whole, strlen(whole));
	return packet;
}

struct buf *
sftp_begin_handle(struct sftp_job *job, enum sftp_type type)
{
	struct buf *packet = sftp_begin(sftp_of(job->far), type);

	sftp_add_text(packet, job->handle, job->handle_len);
	return packet;
}

int
sftp_close_handle(struct sftp_job *job, sftp_answer_fn *fn, struct error *err)
{
	struct sftp *sftp = sftp_of(job->far);

	if (job->handle_len == 0 || job->far->ssh.broken)
		return 0;
	(void)sftp_begin_handle(job, SFTP_CLOSE);
	if (sftp->guess.len > 0) {
		memcpy(sftp->guess.handle, job->handle, job->handle_len);
		sftp->guess.len = job->handle_len;
	}
	job->handle_len = 0;
	sftp->open--;
	return sftp_end(sftp, fn, job, err);
}

void
sftp_run(struct far *far, struct far_file *files, size_t count,
    const char *verb, sftp_work_fn *work, const void *arg)
{
	struct sftp_job *jobs = xrealloc(NULL, count, sizeof(*jobs));
	struct error err = { 0 };

	for (size_t i = 0; i < count; i++) {
		jobs[i] = (struct sftp_job){
			.far = far, .file = &files[i], .verb = verb
		};
		files[i].outcome = FAILED;
		files[i].err = (struct error){ 0 };
	}
	if (sftp_ready(far, &err) < 0 ||
	    work(far, jobs, count, arg, &err) < 0) {
		for (size_t i = 0; i < count; i++) {
			if (files[i].outcome == FAILED && !jobs[i].over)
				files[i].err = err;
		}
	}
	free(jobs);
}

/* ---- what takes one request for each file ---- */

static int
ask_stat(struct far *far, struct sftp_job *job, struct error *err)
{
	(void)sftp_begin_path(far, SFTP_STAT, job->file->path);
	return sftp_end(sftp_of(far), sftp_take_stat, job, err);
}

static void
take_stat_or_miss(void *arg, const struct sftp_answer *answer)
{
	struct sftp_job *job = arg;

	if (answer->type != SFTP_ATTRS) {
		sftp_take_outcome(arg, answer);
		return;
	}
	job->file->st = answer->st;
	job->file->outcome = HIT;
	job->over = true;
}

static int
stat_files(struct far *far, struct sftp_job *jobs, size_t count,
    const void *arg, struct error *err)
{
	(void)arg;
	for (size_t i = 0; i < count; i++) {
		(void)sftp_begin_path(far, SFTP_STAT, jobs[i].file->path);
		if (sftp_end(sftp_of(far), take_stat_or_miss, &jobs[i], err) <
		    0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

static int
remove_files(struct far *far, struct sftp_job *jobs, size_t count,
    const void *arg, struct error *err)
{
	(void)arg;
	for (size_t i = 0; i < count; i++) {
		(void)sftp_begin_path(far, SFTP_REMOVE, jobs[i].file->path);
		if (sftp_end(sftp_of(far), sftp_take_outcome, &jobs[i], err) <
		    0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

static int
touch_files(struct far *far, struct sftp_job *jobs, size_t count,
    const void *arg, struct error *err)
{
	(void)arg;
	for (size_t i = 0; i < count; i++) {
		struct sftp_set set = SFTP_SET_NONE;

		set.atime = jobs[i].file->atime;
		set.mtime = jobs[i].file->mtime;
		sftp_add_set(
		    sftp_begin_path(far, SFTP_SETSTAT, jobs[i].file->path),
		    &set);
		if (sftp_end(sftp_of(far), sftp_take_outcome, &jobs[i], err) <
		    0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

/* ---- moving ---- */

static int
ask_move(struct far *far, struct sftp_job *job, struct error *err)
{
	static const char posix[] = "posix-rename@openssh.com";
	const struct far_file *file = job->file;
	auto_free char *from = far_path(far, file->path);
	auto_free char *to = far_path(far, file->to);
	bool extended = file->replace && sftp_of(far)->posix_rename;
	struct buf *packet;

	if (file->replace && !extended) {
		(void)sftp_begin_path(far, SFTP_REMOVE, file->to);
		if (sftp_end(sftp_of(far), NULL, NULL, err) < 0)
			return -1;
	}
	packet =
	    sftp_begin(sftp_of(far), extended ? SFTP_EXTENDED : SFTP_RENAME);
	if (extended)
		sftp_add_text(packet, posix, sizeof(posix) - 1);
	sftp_add_text(packet, from, strlen(from));
	sftp_add_text(packet, to, strlen(to));
	return sftp_end(sftp_of(far), sftp_take_outcome, job, err);
}

/* Version 3 has no answer of its own for a name that is taken. */
static int
explain_failures(
    struct far *far, struct sftp_job *jobs, size_t count, struct error *err)
{
	auto_free struct far_file *there =
	    xrealloc(NULL, count, sizeof(*there));
	auto_free struct sftp_job *looks =
	    xrealloc(NULL, count, sizeof(*looks));

	for (size_t i = 0; i < count; i++) {
		there[i] = (struct far_file){ .path = jobs[i].file->to };
		looks[i] = (struct sftp_job){
			.far = far, .file = &there[i], .verb = "look at"
		};
		if (jobs[i].file->outcome == FAILED && !jobs[i].file->replace) {
			(void)sftp_begin_path(far, SFTP_STAT, there[i].path);
			if (sftp_end(sftp_of(far), take_stat_or_miss, &looks[i],
			        err) < 0)
				return -1;
		}
	}
	if (sftp_wait(sftp_of(far), 0, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (there[i].outcome == HIT)
			jobs[i].file->outcome = KEPT;
	}
	return 0;
}

static int
move_files(struct far *far, struct sftp_job *jobs, size_t count,
    const void *arg, struct error *err)
{
	(void)arg;
	for (size_t i = 0; i < count; i++) {
		if (ask_move(far, &jobs[i], err) < 0)
			return -1;
	}
	if (sftp_wait(sftp_of(far), 0, err) < 0 ||
	    explain_failures(far, jobs, count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		enum outcome outcome = jobs[i].file->outcome;

		if (outcome == HIT || outcome == MISS)
			continue;
		(void)sftp_begin_path(far, SFTP_REMOVE, jobs[i].file->path);
		if (sftp_end(sftp_of(far), NULL, NULL, err) < 0)
			return -1;
	}
	return sftp_wait(sftp_of(far), 0, err);
}

/* ---- the rest ---- */

static void
sftp_stat(struct far *far, struct far_file *files, size_t count)
{
	sftp_run(far, files, count, "look at", stat_files, NULL);
}

static void
sftp_read(struct far *far, struct far_file *files, size_t count)
{
	sftp_run(far, files, count, "read", sftp_read_files, NULL);
}

static void
sftp_write(struct far *far, struct far_file *files, size_t count,
    const struct far_dress *dress)
{
	sftp_run(far, files, count, "write", sftp_write_files, dress);
}

static void
sftp_move(struct far *far, struct far_file *files, size_t count)
{
	sftp_run(far, files, count, "move", move_files, NULL);
}

static void
sftp_remove(struct far *far, struct far_file *files, size_t count)
{
	sftp_run(far, files, count, "remove", remove_files, NULL);
}

static void
sftp_touch(struct far *far, struct far_file *files, size_t count)
{
	sftp_run(far, files, count, "touch", touch_files, NULL);
}

static void
sftp_remove_folder(struct far *far, const char *path)
{
	struct error ignored;

	if (sftp_ready(far, &ignored) < 0)
		return;
	(void)sftp_begin_path(far, SFTP_RMDIR, path);
	if (sftp_end(sftp_of(far), NULL, NULL, &ignored) == 0)
		(void)sftp_wait(sftp_of(far), 0, &ignored);
}

/* It gets its mode and then its group, if that is another. */
static int
make_folder(struct far *far, struct sftp_job *jobs, size_t count,
    const void *arg, struct error *err)
{
	const struct far_dress *dress = arg;
	struct sftp_set set = SFTP_SET_NONE;
	struct far_file *file = jobs->file;

	(void)count;
	set.mode = dress ? dress->mode : 0777;
	sftp_add_set(sftp_begin_path(far, SFTP_MKDIR, file->path), &set);
	if (sftp_end(sftp_of(far), sftp_take_outcome, jobs, err) < 0 ||
	    sftp_wait(sftp_of(far), 0, err) < 0)
		return -1;
	if (file->outcome != HIT || !dress)
		return 0;
	jobs->over = false;
	sftp_add_set(sftp_begin_path(far, SFTP_SETSTAT, file->path), &set);
	if (sftp_end(sftp_of(far), sftp_take_failure, jobs, err) < 0 ||
	    ask_stat(far, jobs, err) < 0 || sftp_wait(sftp_of(far), 0, err) < 0)
		return -1;
	if (jobs->over || file->st.gid == dress->gid)
		return 0;
	set.uid = file->st.uid;
	set.gid = dress->gid;
	sftp_add_set(sftp_begin_path(far, SFTP_SETSTAT, file->path), &set);
	if (sftp_end(sftp_of(far), sftp_take_failure, jobs, err) < 0)
		return -1;
	return sftp_wait(sftp_of(far), 0, err);
}

static enum outcome
is_there(struct far *far, const char *path, struct error *err)
{
	struct far_file file = { .path = path };
	struct error ignored;

	if (far_one(far, &file, sftp_stat, &ignored) != HIT)
		return FAILED;
	if (S_ISDIR(file.st.mode))
		return HIT;
	return error_set(
	    err, ERROR_USAGE, "'%s/%s' is not a folder", far->root, path);
}

/* Another's folder may be met before it has its mode and group: so in scp. */
static enum outcome
sftp_make_folder(struct far *far, const char *path,
    const struct far_dress *dress, struct error *err)
{
	struct far_file file = { .path = path };

	sftp_run(far, &file, 1, "create folder", make_folder, dress);
	if (file.outcome == FAILED) {
		*err = file.err;
		return is_there(far, path, err) == HIT ? KEPT : FAILED;
	}
	return file.outcome;
}

struct room {
	uint64_t bytes;
};

static void
take_room(void *arg, const struct sftp_answer *answer)
{
	if (answer->type == SFTP_EXTENDED_REPLY)
		((struct room *)arg)->bytes =
		    sftp_reply_u64(answer, 8) * sftp_reply_u64(answer, 32);
}

static uint64_t
sftp_room(struct far *far)
{
	static const char name[] = "statvfs@openssh.com";
	auto_free char *root = far_path(far, "");
	struct room room = { UINT64_MAX };
	struct error ignored;
	struct buf *packet;

	if (sftp_ready(far, &ignored) < 0 || !sftp_of(far)->statvfs)
		return room.bytes;
	packet = sftp_begin(sftp_of(far), SFTP_EXTENDED);
	sftp_add_text(packet, name, sizeof(name) - 1);
	sftp_add_text(packet, root, strlen(root));
	if (sftp_end(sftp_of(far), take_room, &room, &ignored) == 0)
		(void)sftp_wait(sftp_of(far), 0, &ignored);
	return room.bytes;
}

static const struct far_kind far_sftp = {
	.many = FAR_AT_ONCE,
	.stat = sftp_stat,
	.read = sftp_read,
	.write = sftp_write,
	.move = sftp_move,
	.remove = sftp_remove,
	.remove_folder = sftp_remove_folder,
	.touch = sftp_touch,
	.make_folder = sftp_make_folder,
	.list = sftp_list,
	.sweep = sftp_sweep,
	.room = sftp_room,
	.close = close_sftp,
};

static void
sftp_lake_close(struct location *loc)
{
	struct sftp_lake *lake = container_of(loc, struct sftp_lake, lake.base);

	far_lake_release(&lake->lake);
	free(lake);
}

static struct location *
sftp_lake_open(const Tarn__Location *config, struct error *err)
{
	struct sftp_lake *lake = xmalloc(sizeof(*lake));

	*lake =
	    (struct sftp_lake){ .lake = { .base = { .kind = &location_sftp } },
		    .sftp = { .out = BUF_INIT, .in = BUF_INIT } };
	if (far_lake_init(&lake->lake, &far_sftp, config, err) == 0)
		return &lake->lake.base;
	sftp_lake_close(&lake->lake.base);
	return NULL;
}

const struct location_kind location_sftp = {
	.name = "sftp",
	.open = sftp_lake_open,
	.close = sftp_lake_close,
	FAR_LAKE_METHODS,
};
