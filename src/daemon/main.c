/*
 * tarnd speaks to servers for all actions of a user with one TARN_DIR: it keeps the
 * connections, uploads behind the build's back, and knows which server is away.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dirs.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/version.h"
#include "daemon/server.h"
#include "daemon/thread.h"
#include "daemon/uploads.h"

static const char help[] =
    "usage: tarnd [--foreground] [--idle SPAN] [--spool SIZE]\n"
    "\n"
    "Speaks to the servers of remote locations for the actions of one user "
    "with\n"
    "one TARN_DIR. tarn-exec starts it when it needs it, and it ends by "
    "itself.\n"
    "\n"
    "      --foreground  stay, and log to standard error\n"
    "      --idle SPAN   end after so long without work, such as 10min (60s)\n"
    "      --spool SIZE  so much may wait to be uploaded, such as 500MiB "
    "(1GiB)\n"
    "      --version     print the version\n"
    "      --help        print this\n"
    "\n"
    "TARN_DIR                where its folder 'daemon' is\n"
    "TARN_DAEMON_IDLE        seconds, as --idle\n"
    "TARN_DAEMON_SPOOL       as --spool\n"
    "TARN_LOG, TARN_LOG_FILE how much it tells, and where\n";

static int
fail(const struct error *err)
{
	fprintf(stderr, "tarnd: %s\n", err->text);
	return 1;
}

/* Whoever started us may wait for the end of what we inherited. */
static void
let_descriptors_go(void)
{
	if (close_range(3, ~0u, 0) == 0)
		return;
	for (int fd = 3; fd < 65536; fd++) /* before Linux 5.9 */
		close(fd);
}

static void
let_streams_go(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	close(null);
}

/* Whoever started us has limits for himself, not for all that we do for others. */
static void
raise_limits(void)
{
	static const int limits[] = { RLIMIT_NOFILE, RLIMIT_CPU, RLIMIT_FSIZE,
		RLIMIT_DATA, RLIMIT_AS };

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct rlimit limit;

		if (getrlimit((__rlimit_resource_t)limits[i], &limit) < 0)
			continue;
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit((__rlimit_resource_t)limits[i], &limit);
	}
}

static int starter = -1; /* a pipe to it */

/* The one that was started: it ends when all is ready, as that went. */
static void
await_ready(int from)
{
	char status = 1;

	while (read(from, &status, 1) < 0 && errno == EINTR)
		;
	_exit(status);
}

static void
tell_ready(void)
{
	if (starter >= 0) {
		(void)!write(starter, "", 1);
		close(starter);
	}
	starter = -1;
}

/*
 * A process of its own, before anything that takes time: who started us may kill
 * the process that he knows when that takes too long for him, and we go on.
 */
static int
detach(struct error *err)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	pid = fork();
	if (pid < 0)
		return error_errno(err, "cannot fork");
	if (pid > 0) {
		close(ends[1]);
		await_ready(ends[0]);
	}
	close(ends[0]);
	starter = ends[1];
	if (setsid() < 0)
		return error_errno(err, "cannot begin a session");
	pid = fork();
	if (pid < 0)
		return error_errno(err, "cannot fork");
	if (pid > 0)
		_exit(0);
	return 0;
}

static struct {
	bool foreground;
	const char *idle, *spool; /* or NULL */
} options;

static int
read_settings(struct server *server, uint64_t *limit, struct error *err)
{
	const char *idle = getenv("TARN_DAEMON_IDLE");
	const char *spool = getenv("TARN_DAEMON_SPOOL");
	uint64_t span;
	char *end;

	*limit = UPLOADS_LIMIT;
	if (options.spool && size_parse(options.spool, limit, err) < 0)
		return error_wrap(err, "--spool");
	if (options.idle && duration_parse(options.idle, &span, err) < 0)
		return error_wrap(err, "--idle");
	if (options.idle) {
		server->idle_us =
		    (int64_t)(span < 1000000000 ? span : 1000000000) * 1000000;
	} else if (idle && *idle) {
		double seconds = strtod(idle, &end);

		if (*end || !(seconds >= 0) || seconds > 1e9)
			return error_set(err, ERROR_USAGE,
			    "expected TARN_DAEMON_IDLE to be a number of "
			    "seconds, got '%s'",
			    idle);
		server->idle_us = (int64_t)(seconds * 1e6);
	}
	if (!options.spool && spool && *spool &&
	    size_parse(spool, limit, err) < 0)
		return error_wrap(err, "TARN_DAEMON_SPOOL");
	return 0;
}

static struct server server;

static void *
await_signal(void *set)
{
	int number;

	while (sigwait(set, &number) != 0)
		;
	server_stop(&server);
	return NULL;
}

/* Signals are for one thread; the others inherit that they are blocked. */
static void
block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	(void)sigprocmask(SIG_SETMASK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
}

static int
run(const char *tarn_dir, bool foreground, struct error *err)
{
	auto_free char *folder = xasprintf("%s/daemon", tarn_dir);
	static sigset_t signals;
	uint64_t limit;
	int rc;

	signal(SIGPIPE, SIG_IGN);
	if (!foreground && detach(err) < 0)
		return -1;
	rc = server_open(&server, tarn_dir, err);
	if (rc <= 0)
		return rc;
	if (read_settings(&server, &limit, err) < 0)
		return -1;
	if (!foreground)
		let_streams_go();
	block_signals(&signals);
	tell_ready();
	if (thread_start(await_signal, &signals) < 0)
		return error_set(err, ERROR_SYSTEM, "cannot start a thread");
	log_start("tarnd", foreground);
	far_set_up(server.folder);
	if (uploads_open(folder, limit, err) < 0) {
		log_error(err, "the spool");
		return -1;
	}
	log_info("begins in '%s'", folder);
	rc = server_run(&server);
	log_info("ends");
	return rc;
}

/* False: there is a word that is none of them. */
static bool
read_options(char **word)
{
	for (word++; *word; word++) {
		const char **value = strcmp(*word, "--idle") == 0
		    ? &options.idle
		    : strcmp(*word, "--spool") == 0 ? &options.spool
		                                    : NULL;

		if (value && word[1])
			*value = *++word;
		else if (strcmp(*word, "--foreground") == 0)
			options.foreground = true;
		else
			return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	const char *word = argc == 2 ? argv[1] : "";
	auto_free char *tarn_dir = dirs_tarn();
	struct error err = { 0 };

	if (strcmp(word, "--help") == 0)
		return fputs(help, stdout) < 0;
	if (strcmp(word, "--version") == 0)
		return printf("tarnd %s\n", TARN_VERSION) < 0;
	if (!read_options(argv))
		return fputs(help, stderr), 2;
	let_descriptors_go();
	umask(077);
	raise_limits();
	if (!tarn_dir)
		(void)error_set(
		    &err, ERROR_USAGE, "neither TARN_DIR nor HOME is set");
	else if (tarn_dir[0] != '/' || chdir("/") < 0)
		(void)error_set(&err, ERROR_USAGE,
		    "expected TARN_DIR to be absolute, got '%s'", tarn_dir);
	else if (run(tarn_dir, options.foreground, &err) == 0) {
		tell_ready(); /* it may be another one */
		_exit(0);     /* the threads are still at it */
	}
	return fail(&err);
}
