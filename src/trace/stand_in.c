#include "trace/stand_in.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static void
end_like(int status)
{
	const struct rlimit none = { 0, 0 };
	sigset_t set;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	(void)setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)raise(WTERMSIG(status));
	_exit(128 + WTERMSIG(status));
}

/* True, and `status` is set, if the child has ended. */
static bool
pass_signal(pid_t child, int signals, int *status)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo == SIGCHLD)
		return waitpid(child, status, WNOHANG) == child;
	if (info.ssi_code != SI_KERNEL) /* a terminal tells the child, too */
		kill(child, (int)info.ssi_signo);
	return false;
}

static void
stand_in_for(pid_t child, int signals, int from)
{
	struct pollfd fds[] = {
		{ .fd = from, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	int status = 0;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if ((fds[0].revents & POLLIN) &&
		    read(from, &status, sizeof(status)) == sizeof(status))
			end_like(status);
		if (fds[0].revents & ~POLLIN)
			fds[0].fd = -1;
		if (fds[1].revents && pass_signal(child, signals, &status))
			end_like(status);
	}
}

int
stand_in(int signals)
{
	pid_t parent = getpid(), child;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	child = fork();
	if (child != 0) {
		close(ends[1]);
		if (child > 0)
			stand_in_for(child, signals, ends[0]);
		close(ends[0]);
		return -1;
	}
	close(ends[0]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	return ends[1];
}

void
stand_in_leave(int channel, int status)
{
	prctl(PR_SET_PDEATHSIG, 0);
	(void)!write(channel, &status, sizeof(status));
}
