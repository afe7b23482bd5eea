#include "exec/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "actions/environment.h"
#include "base/buf.h"
#include "base/dirs.h"
#include "base/json.h"
#include "base/mem.h"
#include "exec/rules.h"
#include "exec/told.h"
#include "locations/daemon.h"
#include "report/event.h"
#include "trace/classify.h"

#define DEFAULT_PATH "/bin:/usr/bin"

void
job_note(struct job *job, const char *fmt, ...)
{
	va_list ap;

	if (job->note[0])
		return;
	va_start(ap, fmt);
	vsnprintf(job->note, sizeof(job->note), fmt, ap);
	va_end(ap);
}

void
job_reason(struct job *job, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(job->reason, sizeof(job->reason), fmt, ap);
	va_end(ap);
}

/* ---- which program ---- */

static bool
is_us(const struct stat *st)
{
	struct stat us;

	return stat("/proc/self/exe", &us) == 0 && us.st_dev == st->st_dev &&
	    us.st_ino == st->st_ino;
}

/* 0, or the errno that says why not. */
static int
can_run(const struct job *job, const char *path)
{
	struct stat st;

	if (access(path, X_OK) < 0)
		return errno;
	if (stat(path, &st) < 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	return job->options.masquerade && is_us(&st) ? ENOENT : 0;
}

static char *
absolute(const struct job *job, const char *path)
{
	if (path[0] == '/')
		return xstrdup(path);
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	return xasprintf("%s/%s", job->cwd, path);
}

/* For an outer tarn-exec: the command depends on where it was found, or not. */
static void
tell_search(struct job *job, const char *path, int error)
{
	if (job->nest.mode == NEST_OPEN)
		nest_seen(&job->nest, path,
		    !error                ? FACET_CONTENT
		        : error == ENOENT ? FACET_ABSENT
		                          : FACET_STAT);
}

/* As execvp() searches. */
static char *
search(struct job *job, const char *name, int *error)
{
	const char *dirs = getenv("PATH");

	*error = ENOENT;
	if (!dirs)
		dirs = DEFAULT_PATH;
	for (;;) {
		size_t size = strcspn(dirs, ":");
		auto_free char *path = size == 0
		    ? absolute(job, name)
		    : xasprintf("%.*s/%s", (int)size, dirs, name);
		auto_free char *whole = absolute(job, path);
		int result = can_run(job, path);

		tell_search(job, whole, result);
		if (result == 0)
			return take(whole);
		if (result == EACCES)
			*error = EACCES;
		if (!dirs[size])
			return NULL;
		dirs += size + 1;
	}
}

static int
find_program(struct job *job, struct error *err)
{
	const char *name = job->options.command[0];
	const char *slash = strrchr(name, '/');
	int error;

	if (job->options.masquerade && slash)
		name = slash + 1, slash = NULL;
	if (slash) {
		error = can_run(job, name);
		job->program = absolute(job, name);
		tell_search(job, job->program, error);
		if (error)
			free(take(job->program));
	} else
		job->program = search(job, name, &error);
	/* A compiler driver looks itself up, and would find us; it tells only the
	 * last part of its name, so nobody can see which one it got. */
	if (job->program && job->options.masquerade &&
	    classify_program(job->program) == PROGRAM_COMPILER)
		job->options.command[0] = job->program;
	if (job->program)
		return 0;
	job->status = error == ENOENT ? 127 : 126;
	errno = error;
	return error_errno(err, "'%s'", name);
}

/* ---- which cache ---- */

static struct location *
open_tree(struct job *job, struct error *err)
{
	const char *tiers = getenv("TARN_TIERS");
	Tarn__Location *own = NULL, *expression;
	struct location *tree = NULL;

	if (tiers && *tiers)
		expression = own = location_from_tiers(tiers, job->cwd, err);
	else if (job->config && job->config->locations)
		expression = job->config->locations;
	else
		expression = own = config_default_location(job->tarn_dir);
	if (expression) {
		config_limit_default(expression, job->tarn_dir);
		tree = location_open(expression, err);
	}
	tarn__location__free_unpacked(own, NULL);
	return tree;
}

static struct location *
open_default(struct job *job)
{
	struct error err = { 0 };
	Tarn__Location *lake = config_default_location(job->tarn_dir);
	struct location *tree = location_open(lake, &err);

	tarn__location__free_unpacked(lake, NULL);
	return tree;
}

/* What an outer tarn-exec watches may start nobody who stays. */
static enum daemon_use
daemon_use_of(const struct job *job)
{
	if (job->options.offline)
		return DAEMON_OFF;
	return job->nest.mode == NEST_NONE ? DAEMON_START : DAEMON_JOIN;
}

static void
open_cache(struct job *job)
{
	struct error err = { 0 };

	if (!job->tarn_dir) {
		job_note(job, "neither TARN_DIR nor HOME is set");
		return;
	}
	daemon_set_up(job->tarn_dir, daemon_use_of(job));
	if (config_find(job->tarn_dir, job->root, job->options.config,
	        &job->config, &err) != 0)
		job_note(job, "%s", err.text);
	job->tree = open_tree(job, &err);
	if (!job->tree) {
		job_note(job, "%s", err.text);
		job->tree = open_default(job);
	}
	job->table = table_open(job->tarn_dir, &err);
	if (!job->table)
		job_note(job, "%s", err.text);
	else if (table_is_anew(job->table))
		job_note(job,
		    "the digest table was damaged, or of another "
		    "version, and is begun anew");
}

/* ---- where we are ---- */

static void
look_at_streams(struct job *job)
{
	struct stat out, err;

	job->out_tty = isatty(1);
	job->err_tty = isatty(2);
	job->one_stream = !(job->closed & 6) && fstat(1, &out) == 0 &&
	    fstat(2, &err) == 0 && out.st_dev == err.st_dev &&
	    out.st_ino == err.st_ino;
}

static void
set_world(struct job *job)
{
	job->outputs[0] = job->action.output_free ? job->action.output : NULL;
	job->world = (struct world){
		.root = job->root,
		.cwd = job->cwd,
		.outputs = job->outputs,
		.environment = environ,
		.words = job->action.argv,
		.add_variable = environment_add,
		.add_value = environment_add_value,
		.table = job->table,
	};
}

static void
describe(struct job *job)
{
	const char *kind = job->options.kind;

	job->action = (struct action){
		.program = job->program,
		.argv = job->options.command,
		.cwd = job->cwd,
		.root = job->root,
		.map_root = job->options.map_root,
	};
	action_describe(&job->action, kind ? action_kind_named(kind) : NULL);
}

/* Nothing that we open may pass for the command's 0, 1 or 2. */
static void
occupy_streams(struct job *job)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		job->closed |= 1u << fd;
		(void)!open("/dev/null", O_RDWR | O_CLOEXEC);
	}
}

/* By whoever started us, and so by the command: the one makes an error of a reader
 * that went away, the other leaves nothing to wait for. */
static bool
is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 &&
	    action.sa_handler == SIG_IGN;
}

int
job_open(struct job *job, struct error *err)
{
	const size_t own[] = { job->options.stable.count,
		job->options.unstable.count };

	job->input = -1;
	clock_gettime(CLOCK_MONOTONIC, &job->begin);
	occupy_streams(job);
	job->ignores_pipe = is_ignored(SIGPIPE);
	job->ignores_child = is_ignored(SIGCHLD);
	job->found_set = (struct buf)BUF_INIT;
	nest_open(&job->nest);
	job->cwd = getcwd(NULL, 0);
	if (!job->cwd) {
		job_note(job, "the working directory is gone");
		job->cwd = xstrdup("/");
	}
	job->root = dirs_root(job->cwd);
	job->tarn_dir = dirs_tarn();
	job->umask = umask(0);
	umask(job->umask);
	for (size_t i = 0; i < job->options.no_env.count; i++)
		environment_leave_out(job->options.no_env.item[i]);
	if (find_program(job, err) < 0)
		return -1;
	look_at_streams(job);
	if (!job->options.disable && !job->note[0])
		open_cache(job);
	describe(job);
	if (job->config && job->config->n_rules > 0) {
		rules_apply(job);
		action_release(&job->action);
		describe(job);
	}
	set_world(job);
	marks_open(job, own[0], own[1]);
	return 0;
}

void
job_close(struct job *job)
{
	action_release(&job->action);
	record_release(&job->record);
	if (job->config)
		tarn__config__free_unpacked(job->config, NULL);
	location_close(job->tree);
	table_close(job->table);
	if (job->input >= 0)
		close(job->input);
	nest_close(&job->nest);
	told_end(job);
	buf_release(&job->found_set);
	free(job->cwd);
	free(job->root);
	free(job->tarn_dir);
	free(job->program);
	free(job->tier);
	for (size_t i = 0; i < job->owned.count; i++)
		free((void *)(uintptr_t)job->owned.item[i]);
	free(job->owned.item);
	marks_close(&job->marks);
	options_release(&job->options);
}

bool
job_allows(void *arg, const char *path)
{
	const struct job *job = arg;
	const char *const folders[] = { job->root, job->cwd };

	for (size_t i = 0; i < 2; i++) {
		size_t size = strlen(folders[i]);

		if (strncmp(path, folders[i], size) == 0 &&
		    (path[size] == '/' || size == 1))
			return true;
	}
	if (job->action.output && strcmp(path, job->action.output) == 0)
		return true;
	for (char *const *word = job->action.argv; *word; word++) {
		const char *at = strchr(*word, '/');

		if (at && strcmp(at, path) == 0)
			return true;
	}
	return false;
}

bool
job_keeps_failures(const struct job *job)
{
	const char *failures = job->options.failures;

	return failures && strcmp(failures, "unchanged") == 0;
}

/* ---- the event ---- */

static void
add_leaf(void *arg, struct location *leaf)
{
	const struct location_counts *counts = &leaf->counts;
	struct buf *to = arg;

	if (counts->reads == 0 && counts->writes == 0 && !leaf->trouble)
		return;
	buf_addf(to, "%s{\"name\":", to->len > 1 ? "," : "");
	json_text(to, leaf->label);
	buf_addf(to,
	    ",\"reads\":%u,\"hits\":%u,\"writes\":%u,\"errors\":%u,"
	    "\"us\":%llu",
	    counts->reads, counts->hits, counts->writes, counts->errors,
	    (unsigned long long)counts->us);
	if (counts->skipped)
		buf_addf(to, ",\"skipped\":%u", counts->skipped);
	if (leaf->trouble) {
		json_name(to, "trouble");
		json_text(to, leaf->trouble);
	}
	buf_add(to, "}", 1);
}

static void
append(
    struct job *job, const char *path, uint64_t limit, const struct buf *line)
{
	struct error err = { 0 };

	/* Standard error is the command's: nothing of ours, unless asked. */
	if (event_append(path, limit, line, &err) < 0 && job->options.explain)
		fprintf(stderr, "tarn-exec: %s\n", err.text);
}

static const char *
note_of(const struct job *job)
{
	return job->note[0] ? job->note : job->aside[0] ? job->aside : NULL;
}

static void
explain(const struct job *job)
{
	fprintf(stderr, "tarn-exec: %s: %s%s%s%s%s%s%s\n", job->outcome,
	    job->options.command[0], job->reason[0] ? ": " : "", job->reason,
	    job->tier ? ", from " : "", job->tier ? job->tier : "",
	    job->hint ? "; " : "", job->hint ? job->hint : "");
	if (note_of(job))
		fprintf(stderr, "tarn-exec: %s\n", note_of(job));
}

void
job_tell(struct job *job)
{
	char key[DIGEST_HEX + 1], action[DIGEST_HEX + 1];
	const char *events = getenv("TARN_EVENTS");
	auto_buf line = BUF_INIT;
	auto_buf leaves = BUF_INIT;
	struct timespec now;
	struct event event = {
		.outcome = job->outcome,
		.kind = job->action.kind ? job->action.kind->name : "command",
		.command = job->options.command,
		.cwd = job->cwd,
		.status = job->status,
		.key = job->has_shown ? digest_hex(&job->shown, key)
		    : job->keyed      ? digest_hex(&job->key, key)
		                      : NULL,
		.reason = job->reason[0] ? job->reason : NULL,
		.tier = job->tier,
		.bytes = job->bytes,
		.build = job->options.build,
		.action = job->keyed ? digest_hex(&job->key, action) : NULL,
		.label = job->options.label,
		.stable = job->marks.stable_count,
		.observer = job->observer,
		.note = note_of(job),
		.hint = job->hint,
		.check = job->check,
	};

	buf_add(&leaves, "[", 1);
	if (job->tree)
		location_each_leaf(job->tree, add_leaf, &leaves);
	buf_add(&leaves, "]", 1);
	event.locations = leaves.len > 2 ? leaves.data : NULL;
	clock_gettime(CLOCK_MONOTONIC, &now);
	event.wall_us = (uint64_t)((now.tv_sec - job->begin.tv_sec) * 1000000 +
	    (now.tv_nsec - job->begin.tv_nsec) / 1000);
	if (job->saved_us > event.wall_us)
		event.saved_us = job->saved_us - event.wall_us;
	event_format(&event, &line);
	if (job->tarn_dir) {
		auto_free char *path = event_path(job->tarn_dir);

		append(job, path, EVENT_LIMIT, &line);
	}
	if (events && *events)
		append(job, events, 0, &line);
	if (job->options.explain)
		explain(job);
}
