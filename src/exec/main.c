#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actions/environment.h"
#include "base/mem.h"
#include "base/version.h"
#include "exec/job.h"
#include "exec/told.h"
#include "exec/watch.h"
#include "locations/daemon.h"

/* ---- running ---- */

/* Programs that need the rights which observation takes away. */
static bool
needs_rights(const struct job *job)
{
	static const char *const names[] = { "sudo", "su", "doas", "pkexec",
		"mount", "umount" };
	static const char spaces[] = " \t\n;&|()";
	struct stat st;

	if (geteuid() == 0)
		return false;
	if (stat(job->program, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)))
		return true;
	for (char **word = job->options.command; *word; word++) {
		for (const char *at = *word; *at;) {
			size_t size;

			at += strspn(at, spaces);
			size = strcspn(at, spaces);
			for (size_t i = 0; i < sizeof(names) / sizeof(*names);
			     i++) {
				if (strlen(names[i]) == size &&
				    memcmp(at, names[i], size) == 0)
					return true;
			}
			at += size;
		}
	}
	return false;
}

/* What make told of its jobserver, behind "--jobserver-auth="; or "". */
static const char *
jobserver(void)
{
	const char *flags = getenv("MAKEFLAGS");
	const char *at = flags ? strstr(flags, "--jobserver-auth=") : NULL;

	return at ? at + strlen("--jobserver-auth=") : "";
}

/* The path of its named pipe. The caller frees it; NULL: it has none. */
static char *
jobserver_path(void)
{
	const char *at = jobserver();

	if (strncmp(at, "fifo:", 5) != 0)
		return NULL;
	return strndup(at + 5, strcspn(at + 5, " "));
}

/* "3,4"; anything else leaves them be. */
static void
read_pair(const char *text, long *from, long *to)
{
	char *comma, *end;
	long first = strtol(text, &comma, 10), second;

	if (comma == text || *comma != ',')
		return;
	second = strtol(comma + 1, &end, 10);
	if (end != comma + 1)
		*from = first, *to = second;
}

/* What we inherited beyond 0, 1, 2 and the jobserver's. False: too many. */
static bool
find_strays(struct strays *strays)
{
	long from = -1, to = -1;
	struct dirent *entry;
	bool few = true;
	DIR *dir;

	strays->count = 0;
	read_pair(jobserver(), &from, &to);
	dir = opendir("/proc/self/fd");
	while (dir && few && (entry = readdir(dir))) {
		long fd = strtol(entry->d_name, NULL, 10);
		int kind = fd > 2 ? fcntl((int)fd, F_GETFD) : -1;

		if (kind < 0 || (kind & FD_CLOEXEC) || fd == from || fd == to)
			continue;
		few = strays->count < STRAYS_MAX;
		if (few)
			strays->fd[strays->count++] = (int)fd;
	}
	if (dir)
		closedir(dir);
	return few && dir;
}

static void
finish_status(struct job *job, int status)
{
	job->status =
	    WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What somebody sends tells of him, or of the machine, and not of the command: never,
 * also where a shell tells of it by its status. */
static bool
may_keep_failure(const struct job *job, const struct trace *trace)
{
	static const int sent[] = { SIGHUP, SIGINT, SIGKILL, SIGTERM };

	for (size_t i = 0; i < sizeof(sent) / sizeof(*sent); i++) {
		if (job->status == 128 + sent[i])
			return false;
	}
	return job_keeps_failures(job) && WIFEXITED(trace->status);
}

static void
judge(struct job *job, struct trace *trace)
{
	if (job->options.disable)
		job->outcome = "disabled";
	else if (trace->exec_error)
		job->outcome = "error";
	else if (job->status != 0 && !may_keep_failure(job, trace)) {
		job->outcome = "failed";
		if (WIFSIGNALED(trace->status))
			job_reason(
			    job, "signal %d ended it", WTERMSIG(trace->status));
		else
			job_reason(job, "it ended with status %d", job->status);
	} else
		keep(job, trace);
	if (trace->wanted_ptrace && job->status != 0)
		job->hint = "where ptrace is all there is to observe by, a "
		            "command that uses it itself is best run with "
		            "TARN_DISABLE=1";
	else if (job->status != 0)
		job->hint = NULL; /* it would not be kept in any way */
	job->observer = trace->observer;
}

static void
say_cannot_run(struct job *job, int error)
{
	fprintf(stderr, "tarn-exec: '%s': %s\n", job->options.command[0],
	    strerror(error));
	job->status = error == ENOENT ? 127 : 126;
	job_reason(job, "it can't be run: %s", strerror(error));
}

/* Will code that is no compiler's run in one? */
static bool
has_stranger(const struct job *job)
{
	static const char *const options[] = {
		"-fplugin=", "-fpass-plugin=", "-load", "-plugin", "--plugin"
	};

	for (char *const *word = job->action.argv; *word; word++) {
		const char *own =
		    strncmp(*word, "-Wl,", 4) == 0 ? *word + 4 : *word;

		for (size_t i = 0; i < sizeof(options) / sizeof(*options);
		     i++) {
			if (strncmp(own, options[i], strlen(options[i])) == 0)
				return true;
		}
	}
	return environment_preloads();
}

/* ---- when nothing else goes ---- */

static struct job *the_job; /* for those who get no argument */
static int the_status;      /* of the command, when it has ended */

/* Without a cache, in our place. */
static void
be_the_command(void)
{
	const struct job *job = the_job;
	char **words =
	    job->action.words ? job->action.words : job->options.command;

	signal(SIGXFSZ, job->file_size_signal);
	if (job->input > 0)
		(void)dup2(job->input, 0);
	if (job->program)
		execvp(job->program, words);
	else if (!job->options.masquerade)
		execvp(words[0], words);
}

static void
exhausted_before(void)
{
	static const char message[] = "tarn-exec: out of memory\n";

	be_the_command();
	(void)!write(2, message, sizeof(message) - 1);
	_exit(126);
}

static void end_like(int status);

/* It was run, or all that it does was restored: only we have something to do. */
static void
exhausted_after(void)
{
	end_like(the_status);
	_exit(the_job->status);
}

static void
has_ended(struct job *job, int status)
{
	the_status = status;
	finish_status(job, status);
	mem_exhausted = exhausted_after;
}

static void
wake_for(void *arg, struct location *leaf)
{
	if (leaf->kind->remote)
		daemon_wake();
}

/* Processes of the command can't start it, since they are watched. And nobody who
 * stays behind may seem to be its client. */
static void
see_to_daemon(struct job *job)
{
	if (job->tree)
		location_each_leaf(job->tree, wake_for, NULL);
	daemon_hang_up();
}

#define NOT_RUN (-1) /* is no wait status */

/* Run it, watched if that can lead to anything. The wait status, or NOT_RUN if
 * what is declared is to be trusted instead. */
static int
run(struct job *job, struct trace *trace)
{
	struct error err = { 0 };
	bool rights = needs_rights(job);
	struct strays strays;
	bool few = find_strays(&strays) || !watch_has_proc();
	bool ours = outer_lets_us(job, &strays);
	auto_free char *fifo = jobserver_path();
	int status;

	*trace = (struct trace){
		.program = job->program,
		.argv = job->action.words,
		.environment = environ,
		.cwd = job->cwd,
		.root = job->root,
		.tarn_dir = job->tarn_dir ? job->tarn_dir : "/tmp",
		.events = getenv("TARN_EVENTS"),
		.jobserver = fifo,
		.table = job->table,
		.observe = job->keyed && job->tree && !rights && few && ours &&
		    job->options.trace != 0,
		.accelerate = job->action.accelerate,
		.one_stream = job->one_stream,
		.input = job->input,
		.file_size_signal = job->file_size_signal,
		.strays = strays,
		.nest = job->nest.mode == NEST_OPEN ? &job->nest : NULL,
		.stranger = has_stranger(job),
		.out.fd = -1,
		.err.fd = -1,
	};
	see_to_daemon(job);
	status = watch_command(job, trace, &err);
	if (status > 0)
		return NOT_RUN;
	if (status < 0) {
		/* Not even a pipe or a process. */
		be_the_command();
		say_cannot_run(job, errno);
		job_tell(job);
		exit(job->status);
	}
	has_ended(job, trace->status);
	if (job->tools)
		told_look(job, trace);
	if (rights)
		trace_refuse(trace,
		    "it needs rights that observation takes "
		    "away");
	if (!few)
		trace_refuse(trace,
		    "more than %d descriptors are open from outside",
		    STRAYS_MAX);
	if (!ours)
		trace_refuse(trace,
		    "it ran inside of another action, which is "
		    "recorded as a whole");
	if (!trace->observe && job->options.trace != 0) /* the first stays */
		trace_refuse(
		    trace, "%s", job->note[0] ? job->note : "there is no key");
	if (job->options.trace == 0)
		trace->observer = "declared";
	if (trace->exec_error)
		say_cannot_run(job, trace->exec_error);
	return trace->status;
}

/* ---- a hit ---- */

static void
note_damage(void *job, const char *text)
{
	job_note(job, "%s", text);
}

static enum outcome
restore_and_replay(struct job *job, struct error *err)
{
	struct replay replay;
	struct restore restore = {
		.tree = job->tree,
		.others = replay.blob,
		.far = job->far,
		.mend = !job->options.read_only,
		.note = note_damage,
		.world = &job->world,
		.umask = job->umask,
		.allowed = job_allows,
		.arg = job,
		.rewrite = job->action.kind->rewrite,
	};
	enum outcome outcome = FAILED;

	if (replay_open(&replay, job, err) == 0) {
		restore.other_count = replay.blobs;
		outcome = restore_outputs(&restore, &job->record, err);
	}
	if (outcome == HIT) {
		has_ended(job, job->record.status << 8);
		replay_print(&replay);
	}
	replay_close(&replay);
	return outcome;
}

static bool
restore(struct job *job)
{
	struct error err = { 0 };
	enum outcome outcome;

	if (!fetch_is_worth_it(job)) {
		free(take(job->tier));
		return false;
	}
	if (!outer_knows_hit(job)) {
		outer_hears_of_failure(job);
		return false;
	}
	fetch_begin_restore(job);
	outcome = restore_and_replay(job, &err);
	fetch_end(job);
	if (outcome == HIT) {
		job->outcome = "hit";
		job->reason[0] = '\0';
		job->bytes = record_bytes(&job->record);
		job->saved_us = job->record.wall_us;
		return true;
	}
	outer_hears_of_failure(job);
	free(take(job->tier));
	job_reason(job, "%s", err.text);
	if (outcome == FAILED)
		job_note(job, "%s", err.text);
	return false;
}

/* ---- a miss ---- */

static int run_unwatched(struct job *job);

static int
run_and_keep(struct job *job)
{
	struct trace trace;
	int status = run(job, &trace);

	if (status == NOT_RUN)
		status = run_unwatched(job);
	else
		judge(job, &trace);
	trace_release(&trace);
	return status;
}

static void
look_up(struct job *job)
{
	if (job->options.refresh)
		job_reason(job, "a refresh was asked for");
	else
		lookup(job);
}

/* What is declared or told is trusted, and has keys of its own. */
static int
run_unwatched(struct job *job)
{
	struct error err = { 0 };
	struct digest key = job->key;

	if (!job->tools)
		job->options.trace = 0;
	job->keyed = false;
	if (key_compute(job, &err) < 0) {
		if (job->tools) {
			told_end(job);
			snprintf(job->told_not, sizeof(job->told_not), "%.190s",
			    err.text);
			job->aside[0] = '\0';
			job->key = key;
			job->keyed = true;
		} else
			job_note(job, "%s", err.text);
		return run_and_keep(job);
	}
	look_up(job);
	if (job->found && restore(job))
		return job->status << 8;
	return run_and_keep(job);
}

/* ---- a hit that is looked at twice ---- */

static bool
is_checked(const struct job *job)
{
	const char *share = getenv("TARN_CHECK");
	struct timespec now;

	if (job->options.check)
		return true;
	if (!share || !*share)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_nsec / 1000 % 100000) <
	    strtod(share, NULL) * 1e5;
}

/* What a run says about the record that was found for it. */
static const char *
compare(const struct job *job, const struct digest *found)
{
	if (job->status != job->record.status || job->differs)
		return "different";
	return strcmp(job->outcome, "miss") == 0 &&
	        digest_equal(found, &job->shown)
	    ? "same"
	    : "unclear";
}

/* Run it although it was found, and compare; what it made now stays. */
static int
check(struct job *job)
{
	struct trace trace;
	char *tier = take(job->tier);
	struct digest found = job->shown;
	int status = run(job, &trace);

	judge(job, &trace);
	trace_release(&trace);
	job->check = compare(job, &found);
	if (strcmp(job->check, "unclear") == 0)
		job_note(job, "not compared: %.300s", job->reason);
	if (strcmp(job->check, "different") == 0)
		fprintf(stderr,
		    "tarn-exec: the stored result of '%s' differs from that of "
		    "this run%s%s\n",
		    job->options.command[0], job->note[0] ? ": " : "",
		    job->note);
	job->outcome = "hit";
	job->tier = tier;
	job->reason[0] = '\0';
	return status;
}

/* ---- all of it ---- */

static int
run_job(struct job *job)
{
	struct error err = { 0 };

	struct strays strays;

	if (job->options.disable || !job->tree ||
	    (job->nest.mode != NEST_NONE &&
	        (!find_strays(&strays) || !outer_lets_us(job, &strays))))
		return run_and_keep(job);
	if (key_compute(job, &err) < 0) {
		job_note(job, "%s", err.text);
		return run_and_keep(job);
	}
	look_up(job);
	if (job->found && is_checked(job))
		return check(job);
	if (job->found && restore(job))
		return job->status << 8;
	return run_and_keep(job);
}

/* End as the command did, so that whoever waits for us sees the same. */
static void
end_like(int status)
{
	struct rlimit none = { 0, 0 };
	sigset_t set;

	if (!WIFSIGNALED(status))
		return;
	(void)setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(WTERMSIG(status));
}

#define STACK (512 * 1024) /* bytes; more than we ever need */

/* Where memory is limited and none is left, the stack can't grow, and no call is there
 * to say so: it grows now. False: there is too little as it is. */
static __attribute__((noinline)) bool
grow_stack(void)
{
	volatile char stack[STACK];
	void *room =
	    mmap(NULL, STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return false;
	(void)munmap(room, STACK);
	for (size_t i = STACK; i > 0; i -= 4096)
		stack[i - 1] = 0;
	return stack[STACK - 1] == 0;
}

static bool
has_stack(void)
{
	struct rlimit memory, stack;

	return getrlimit(RLIMIT_AS, &memory) < 0 ||
	    getrlimit(RLIMIT_STACK, &stack) < 0 ||
	    memory.rlim_cur == RLIM_INFINITY ||
	    stack.rlim_cur < 4 * (rlim_t)STACK || grow_stack();
}

static int
exec_command(struct job *job)
{
	struct error err = { 0 };
	int status;

	the_job = job;
	mem_exhausted = exhausted_before;
	if (!has_stack() && !job->options.masquerade)
		exhausted_before();
	if (job_open(job, &err) < 0) {
		outer_knows_search(job);
		fprintf(stderr, "tarn-exec: %s\n", err.text);
		job->outcome = "error";
		job_reason(job, "%s", err.text);
		job_tell(job);
		return job->status << 8;
	}
	status = run_job(job);
	job_tell(job);
	return status;
}

int
main(int argc, char **argv)
{
	struct job job = { 0 };
	struct error err = { 0 };
	int status;

	/* Beyond the limit, our own files are an error and not the end. */
	job.file_size_signal = signal(SIGXFSZ, SIG_IGN);
	if (options_parse(&job.options, argc, argv, &err) < 0) {
		fprintf(stderr, "tarn-exec: %s\n", err.text);
		options_release(&job.options);
		return 125;
	}
	if (job.options.help) {
		fputs(options_help, stdout);
		return 0;
	}
	if (job.options.version) {
		printf("tarn-exec %s\n", TARN_VERSION);
		return 0;
	}
	status = exec_command(&job);
	make_room(&job, argv);
	end_like(status);
	status = job.status;
	job_close(&job);
	return status;
}
