#include "base/tarn_program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

struct run {
	const char *name;
	int within_ms;
	pid_t pid;
	int heard; /* of its streams: 1 or 2; the other one goes nowhere */
	int fd;    /* from there */
	char said[512];
	size_t len;
};

char *
tarn_program_path(const char *name)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	auto_free char *path = NULL;
	char *slash;

	if (len > 0) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		if (slash) {
			*slash = '\0';
			path = xasprintf("%s/%s", self, name);
		}
	}
	return path && access(path, X_OK) == 0 ? take(path) : xstrdup(name);
}

static bool
overridden(const char *variable, const char *const *variables)
{
	for (; *variables; variables++) {
		size_t len = (size_t)(strchr(*variables, '=') - *variables) + 1;

		if (strncmp(variable, *variables, len) == 0)
			return true;
	}
	return false;
}

/* Our environment with `variables` in it; the caller frees the array only. */
static char **
environment_with(const char *const *variables)
{
	size_t n = 0, count = 0;
	char **result;

	while (environ && environ[count])
		count++;
	for (const char *const *v = variables; *v; v++)
		count++;
	result = xrealloc(NULL, count + 1, sizeof(*result));
	for (char **v = environ; v && *v; v++) {
		if (!overridden(*v, variables))
			result[n++] = *v;
	}
	for (const char *const *v = variables; *v; v++)
		memcpy(&result[n++], v, sizeof(*v)); /* spawn won't write */
	result[n] = NULL;
	return result;
}

static int
spawn(struct run *run, const char *const *words, const char *const *variables,
    int pipe_end)
{
	auto_free char *path = tarn_program_path(run->name);
	auto_free char **env = environment_with(variables);
	posix_spawn_file_actions_t files;
	char *const *argv;
	int sys;

	memcpy(&argv, &words, sizeof(argv)); /* spawn won't write */
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, pipe_end, run->heard);
	posix_spawn_file_actions_addopen(
	    &files, run->heard == 1 ? 2 : 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	sys = posix_spawnp(&run->pid, path, &files, NULL, argv, env);
	posix_spawn_file_actions_destroy(&files);
	return sys;
}

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Keep the first bytes of what it says until it closes; -1: it takes too long. */
static int
listen_to(struct run *run)
{
	int64_t end = now_ms() + run->within_ms;
	struct pollfd wait = { .fd = run->fd, .events = POLLIN };
	char chunk[512];

	for (;;) {
		int64_t left = end - now_ms();
		size_t room = sizeof(run->said) - 1 - run->len;
		ssize_t got;

		if (left <= 0)
			return -1;
		if (poll(&wait, 1, (int)left) < 1)
			continue;
		got = read(run->fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		room = (size_t)got < room ? (size_t)got : room;
		memcpy(run->said + run->len, chunk, room);
		run->len += room;
	}
}

/* Without "tarn: " in front. */
static int
report(struct run *run, int status, struct error *err)
{
	auto_free char *prefix = xasprintf("%s: ", run->name);
	char *said = run->said;

	if (strncmp(said, prefix, strlen(prefix)) == 0)
		said += strlen(prefix);
	if (*said && run->heard == 2)
		return error_set(err, ERROR_USAGE, "%s", said);
	return error_set(err, ERROR_SYSTEM, "'%s' ended with %s %d", run->name,
	    WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static int
await(struct run *run, struct error *err)
{
	bool late = listen_to(run) < 0;
	int status = 0;

	run->said[run->len] = '\0';
	run->said[strcspn(run->said, "\n")] = '\0';
	if (late)
		kill(run->pid, SIGKILL);
	while (waitpid(run->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error_errno(
			    err, "cannot wait for '%s'", run->name);
	}
	if (late) {
		(void)error_set(
		    err, ERROR_SYSTEM, "'%s' takes too long", run->name);
		err->sys = ETIMEDOUT;
		return -1;
	}
	return status == 0 ? 0 : report(run, status, err);
}

static int
run_it(struct run *run, const char *const *words, const char *const *variables,
    struct error *err)
{
	int ends[2], sys;

	run->name = words[0];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	auto_close int in = ends[0];
	sys = spawn(run, words, variables, ends[1]);
	close(ends[1]);
	run->fd = in;
	if (sys != 0) {
		errno = sys;
		return error_errno(err, "cannot run '%s'", run->name);
	}
	return await(run, err);
}

int
tarn_program_run(const char *const *words, const char *const *variables,
    int within_ms, struct error *err)
{
	struct run run = { .within_ms = within_ms, .heard = 2 };

	return run_it(&run, words, variables, err);
}

char *
tarn_program_ask(const char *const *words, int within_ms, struct error *err)
{
	static const char *const none[] = { NULL };
	struct run run = { .within_ms = within_ms, .heard = 1 };

	if (run_it(&run, words, none, err) < 0)
		return NULL;
	if (*run.said)
		return xstrdup(run.said);
	error_set(err, ERROR_SYSTEM, "'%s' says nothing", run.name);
	return NULL;
}
