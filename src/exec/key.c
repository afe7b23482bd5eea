/*
 * The action key: everything that is known before the command runs and counts.
 * docs/keys.md lists it for the reader; what is fed here is the truth.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "actions/environment.h"
#include "base/aside.h"
#include "base/file.h"
#include "base/mem.h"
#include "exec/job.h"
#include "exec/told.h"
#include "store/content.h"

void
key_add_path(const struct job *job, const char *path, struct hasher *h)
{
	size_t size = strlen(job->root);

	if (strncmp(path, job->root, size) == 0 &&
	    (path[size] == '/' || path[size] == '\0') && size > 1) {
		hasher_add_text(h, "root");
		hasher_add_text(h, path + size);
	} else {
		hasher_add_text(h, "absolute");
		hasher_add_text(h, path);
	}
}

static int
add_content(const struct job *job, const char *path, struct hasher *h,
    struct error *err)
{
	struct content content;

	if (marks_is_stable(job, path)) {
		hasher_add_text(h, "stable");
		return 0;
	}
	if (content_of(&content, job->table, AT_FDCWD, path, err) < 0)
		return -1;
	hasher_add_bytes(h, content.digest.bytes, DIGEST_SIZE);
	return 0;
}

/* Those that can stop a compiler; a program that we don't know may ask for any. */
static void
add_limits(const struct job *job, struct hasher *h)
{
	static const int limits[] = { RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA,
		RLIMIT_STACK, RLIMIT_AS, RLIMIT_NOFILE, RLIMIT_NPROC,
		RLIMIT_MEMLOCK, RLIMIT_RSS, RLIMIT_CORE, RLIMIT_LOCKS,
		RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO };
	size_t count =
	    job->action.compiler ? 5 : sizeof(limits) / sizeof(*limits);

	for (size_t i = 0; i < count; i++) {
		struct rlimit limit = { 0, 0 };

		(void)getrlimit((__rlimit_resource_t)limits[i], &limit);
		hasher_add_number(h, limit.rlim_cur);
		if (!job->action.compiler)
			hasher_add_number(h, limit.rlim_max);
	}
}

/* How wide lines may be there, and what it understands. */
static void
add_terminal(int fd, struct hasher *h)
{
	struct winsize window = { 0 };
	const char *term = getenv("TERM");

	if (!isatty(fd))
		return;
	(void)ioctl(fd, TIOCGWINSZ, &window);
	hasher_add_number(h, window.ws_col);
	hasher_add_number(h, window.ws_row);
	hasher_add_text(h, term ? term : "");
}

static void
add_streams(const struct job *job, struct hasher *h)
{
	hasher_add_number(h, job->closed);
	hasher_add_number(h, job->out_tty);
	hasher_add_number(h, job->err_tty);
	hasher_add_number(h, job->one_stream);
	for (int fd = 1; fd <= 2; fd++)
		add_terminal(fd, h);
	/* Compilers don't ask whether they could be typed at. */
	if (!job->action.compiler) {
		hasher_add_number(h, (uint64_t)isatty(0));
		hasher_add_number(h, job->ignores_pipe);
		hasher_add_number(h, job->ignores_child);
	}
}

/* Variables that the user says count; what stands for many comes sorted. */
static void
add_variables(const struct job *job, struct hasher *h)
{
	const struct words *env = &job->options.env;

	for (size_t i = 0; i < env->count; i++) {
		hasher_add_text(h, env->item[i]);
		for (char **v = environ; *v; v++) {
			if (environment_fits(
			        env->item[i], *v, strcspn(*v, "=")))
				hasher_add_text(h, *v);
		}
	}
	hasher_add_text(h, "");
	for (size_t i = 0; i < job->options.no_env.count; i++)
		hasher_add_text(h, job->options.no_env.item[i]);
}

/* What was read of standard input: all in the spool, but for the last. */
struct taken {
	uint64_t size; /* in the spool */
	char chunk[16 * 1024];
	size_t more; /* in `chunk` */
};

static void
feed(const struct job *job, struct taken *taken, int to)
{
	static char data[64 * 1024];
	off_t at = 0;
	ssize_t got;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the rest is not for us */
	while (at < (off_t)taken->size &&
	    (got = pread(job->input, data,
	         taken->size - (uint64_t)at < sizeof(data)
	             ? (size_t)(taken->size - (uint64_t)at)
	             : sizeof(data),
	         at)) > 0) {
		if (file_write_all(to, data, (size_t)got) < 0)
			_exit(0);
		at += got;
	}
	if (file_write_all(to, taken->chunk, taken->more) < 0)
		_exit(0);
	while ((got = read(0, data, sizeof(data))) > 0) {
		if (file_write_all(to, data, (size_t)got) < 0)
			break;
	}
	_exit(0);
}

/*
 * There is no room for all of it, and what was read can't be read again. So the
 * command gets a pipe, from which that comes, and then the rest.
 */
static void
feed_on(struct job *job, struct taken *taken)
{
	int ends[2];
	pid_t pid = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();

	if (pid == 0)
		feed(job, taken, ends[1]);
	if (pid < 0) { /* it would read less than there was */
		fprintf(stderr,
		    "tarn-exec: cannot pass standard input on: %s\n",
		    strerror(errno));
		exit(126);
	}
	close(ends[1]);
	close(job->input);
	job->input = ends[0];
}

static int
spool_stdin(struct job *job, struct taken *taken, struct error *err)
{
	struct hasher content;
	ssize_t got;

	hasher_init(&content);
	while ((got = read(0, taken->chunk, sizeof(taken->chunk))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, "cannot read standard input");
		taken->more = (size_t)got;
		hasher_add(&content, taken->chunk, taken->more);
		if (file_write_all(job->input, taken->chunk, taken->more) < 0)
			return error_errno(err, "cannot spool standard input");
		taken->size += taken->more;
		taken->more = 0;
	}
	if (lseek(job->input, 0, SEEK_SET) < 0)
		return error_errno(err, "cannot rewind standard input");
	hasher_finish(&content, &job->input_digest);
	return 0;
}

/* Read it to its end, into a file without a name that the command then gets. */
static int
take_stdin(struct job *job, struct hasher *h, struct error *err)
{
	struct taken taken = { .size = 0 };

	if (job->input < 0) { /* else it was taken before */
		job->input =
		    aside_nameless(job->tarn_dir ? job->tarn_dir : "/tmp", err);
		if (job->input < 0)
			return error_wrap(err, "cannot spool standard input");
		if (spool_stdin(job, &taken, err) < 0) {
			feed_on(job, &taken);
			return -1;
		}
	}
	hasher_add_bytes(h, job->input_digest.bytes, DIGEST_SIZE);
	return 0;
}

int
key_compute(struct job *job, struct error *err)
{
	struct hasher h;

	hasher_init(&h);
	hasher_add_text(&h, "tarn action 2");
	hasher_add_text(&h, job->action.kind->name);
	action_key_words(&job->action, &h);
	hasher_add_text(&h, "");
	key_add_path(job, job->cwd, &h);
	hasher_add_number(&h, job->umask);
	hasher_add_number(&h, (uint64_t)personality(0xffffffff));
	add_limits(job, &h);
	add_streams(job, &h);
	add_variables(job, &h);
	key_add_path(job, job->program, &h);
	if (marks_key(job, &h, err) < 0)
		return -1;
	if (add_content(job, job->program, &h, err) < 0)
		return error_wrap(err, "the program");
	for (size_t i = 0; i < job->action.source_count; i++) {
		struct error missing;

		/* A source that isn't there is the command's to report. */
		if (add_content(job, job->action.sources[i], &h, &missing) < 0)
			hasher_add_text(&h, "missing");
	}
	/* Where failures are not asked for, nobody may find one. */
	hasher_add_number(&h,
	    (job->options.trace == 0) + 2 * job_keeps_failures(job) +
	        4 * (job->tools != NULL));
	if (declared_key(job, &h, err) < 0)
		return -1;
	if (job->options.stdin_ && take_stdin(job, &h, err) < 0)
		return -1;
	if (job->tools && told_key(job, &h, err) < 0)
		return -1;
	hasher_finish(&h, &job->key);
	job->keyed = true;
	return 0;
}
