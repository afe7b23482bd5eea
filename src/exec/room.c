/*
 * Making room behind the build's back. What a run stored may have taken a lake over
 * its size; to collect takes seconds in a large one. So that is done by a process
 * of its own, which nobody waits for: it has its own session, none of our
 * descriptors and folders, and gets what processor and disk others leave. It is a
 * copy of us, since all that is needed is at hand. If it is killed, or can't be
 * started, the next run that stores something starts another one.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/job.h"
#include "locations/collect.h"

/* From linux/ioprio.h, which not every system has. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

/* Not SCHED_IDLE: on a machine that is never idle, the lake would grow and grow. */
static void
yield_to_others(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

static void
close_all(void)
{
	if (close_range(3, ~0u, 0) == 0)
		return;
	for (int fd = 3; fd < 65536; fd++) /* before Linux 5.9 */
		close(fd);
}

/* False: somebody might wait for what we hold, so better not. */
static bool
let_go(void)
{
	sigset_t none;
	int null;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (setsid() < 0 || chdir("/") < 0)
		return false;
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0)
		return false;
	close_all();
	return true;
}

/* In lists of processes it would look like the command that was run. */
static void
set_title(char **argv)
{
	static const char title[] = "tarn-exec: making room";
	char *begin = argv[0], *end = begin;

	for (char **word = argv; *word && *word == end; word++)
		end += strlen(*word) + 1;
	memset(begin, 0, (size_t)(end - begin));
	if ((size_t)(end - begin) >= sizeof(title))
		memcpy(begin, title, sizeof(title));
	(void)prctl(PR_SET_NAME, "tarn-collect");
}

void
make_room(struct job *job, char **argv)
{
	pid_t pid;

	/* Inside of an action, the outer tarn-exec does it: it stores as well. */
	if (!job->tree || job->nest.mode != NEST_NONE ||
	    !location_is_over(job->tree))
		return;
	pid = fork();
	if (pid < 0 && job->options.explain)
		fprintf(stderr,
		    "tarn-exec: nobody could be started to make"
		    " room: %s\n",
		    strerror(errno));
	if (pid != 0)
		return;
	if (!let_go())
		_exit(1);
	set_title(argv);
	yield_to_others();
	location_collect_over(job->tree, true);
	_exit(0);
}
