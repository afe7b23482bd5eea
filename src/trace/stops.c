#include "trace/stops.h"

#include <errno.h>
#include <linux/audit.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trace/internal.h"

#define OPTIONS \
	(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
	    PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)
#define TURN 64 /* stops before others get their turn */

/* Numbers that the C library has for its ptrace(), which here are plain. */
static long
control(int request, pid_t pid, void *address, long data)
{
	return ptrace(
	    (enum __ptrace_request)request, pid, address, (void *)data);
}

bool
stops_follow(pid_t pid)
{
	return control(PTRACE_SEIZE, pid, NULL, OPTIONS) == 0;
}

/* False: it was killed meanwhile. */
static bool
read_call(pid_t pid, struct user_regs_struct *regs, struct seccomp_data *data)
{
	unsigned long other = 0;

	if (ptrace(PTRACE_GETREGS, pid, NULL, regs) < 0 ||
	    ptrace(PTRACE_GETEVENTMSG, pid, NULL, &other) < 0)
		return false;
	*data = (struct seccomp_data){
		.nr = (int)regs->orig_rax,
		.arch =
		    other == FILTER_OTHER ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64,
		.instruction_pointer = regs->rip,
		.args = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8,
		    regs->r9 },
	};
	return true;
}

/* The kernel makes no call with the number -1, and leaves the result alone. */
static void
answer(pid_t pid, struct user_regs_struct *regs, int error)
{
	regs->orig_rax = ~0ull;
	regs->rax = (unsigned long long)-(long long)error;
	(void)ptrace(PTRACE_SETREGS, pid, NULL, regs);
}

static void
go_on(pid_t pid, int signal)
{
	(void)control(PTRACE_CONT, pid, NULL, signal);
}

/* Nobody hides from us. */
static void
unhide(pid_t pid, struct user_regs_struct *regs)
{
	regs->rdi &= ~(unsigned long long)CLONE_UNTRACED;
	(void)ptrace(PTRACE_SETREGS, pid, NULL, regs);
}

static void lend(pid_t to, pid_t pid, stops_fn *fn, void *arg);

static void
take_call(pid_t pid, stops_fn *fn, void *arg)
{
	struct user_regs_struct regs;
	struct seccomp_data data;
	int error;

	if (!read_call(pid, &regs, &data))
		return;
	error = fn(arg, pid, &data);
	if (error)
		answer(pid, &regs, error);
	else if (data.nr == SYS_clone && (data.args[0] & CLONE_UNTRACED))
		unhide(pid, &regs);
	else if (data.nr == SYS_ptrace && data.args[0] == PTRACE_ATTACH)
		lend(pid, (pid_t)data.args[1], fn, arg);
	go_on(pid, 0);
}

static bool
is_job_control(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN ||
	    signal == SIGTTOU;
}

static void
take_stop(pid_t pid, int status, stops_fn *fn, void *arg)
{
	int event = status >> 16;

	if (event == 0)
		go_on(pid, WSTOPSIG(status));
	else if (event == PTRACE_EVENT_SECCOMP)
		take_call(pid, fn, arg);
	else if (event == PTRACE_EVENT_STOP && is_job_control(WSTOPSIG(status)))
		(void)control(PTRACE_LISTEN, pid, NULL, 0);
	else
		go_on(pid, 0);
}

/* ---- loans ---- */

/*
 * The leak check of a sanitizer makes a process that asks not to be traced, attaches
 * it to all threads of its own program, which stand still then, and ends it. A
 * process has room for one tracer: it gets them from us, and we take them back
 * when it ends, before whoever waits for that can go on.
 */
static struct {
	pid_t to, pid;
} loans[1024];
static size_t loan_count;

/* 1: it has ended, and nobody was told so far. */
static int
peek(idtype_t type, pid_t pid, int flags, siginfo_t *info)
{
	info->si_pid = 0;
	if (waitid(type, (id_t)pid, info,
	        WEXITED | WSTOPPED | WNOWAIT | __WALL | flags) < 0)
		return -1;
	return info->si_pid != 0 &&
	    (info->si_code == CLD_EXITED || info->si_code == CLD_KILLED ||
	        info->si_code == CLD_DUMPED);
}

/* A debugger would let it run, and its calls would find nobody to answer. */
static bool
is_leak_check(pid_t by, pid_t pid)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/task/%d",
	    (int)process_parent(by), (int)pid);
	return access(name, F_OK) == 0;
}

static void
lend(pid_t to, pid_t pid, stops_fn *fn, void *arg)
{
	siginfo_t info;
	int status;

	if (!is_leak_check(to, pid) ||
	    loan_count == sizeof(loans) / sizeof(*loans) ||
	    control(PTRACE_INTERRUPT, pid, NULL, 0) < 0)
		return;
	while (peek(P_PID, pid, 0, &info) == 0 &&
	    waitpid(pid, &status, __WALL) == pid) {
		if (status >> 16 == PTRACE_EVENT_STOP) {
			(void)control(PTRACE_DETACH, pid, NULL, 0);
			loans[loan_count].to = to;
			loans[loan_count++].pid = pid;
			return;
		}
		take_stop(pid, status, fn, arg);
	}
}

static void
take_back(pid_t to)
{
	size_t left = 0;

	for (size_t i = 0; i < loan_count; i++) {
		if (loans[i].to == to)
			(void)stops_follow(loans[i].pid);
		else
			loans[left++] = loans[i];
	}
	loan_count = left;
}

static pid_t
wait_for_any(int *status)
{
	siginfo_t info;
	pid_t pid = -1;

	if (loan_count > 0 && peek(P_ALL, 0, WNOHANG, &info) == 1) {
		take_back(info.si_pid);
		pid = info.si_pid;
	}
	return waitpid(pid, status, __WALL | WNOHANG);
}

/* ---- all of them ---- */

enum stops_state
stops_take(pid_t *pid, int *status, stops_fn *fn, void *arg)
{
	for (int i = 0; i < TURN; i++) {
		*pid = wait_for_any(status);
		if (*pid < 0 && errno == ECHILD)
			return STOPS_OVER;
		if (*pid <= 0)
			return STOPS_NONE;
		if (!WIFSTOPPED(*status))
			return STOPS_ENDED;
		take_stop(*pid, *status, fn, arg);
	}
	return STOPS_MORE;
}

struct proof {
	bool execs;
	stops_fn *fn;
	void *arg;
};

static int
take_proof(void *arg, pid_t pid, const struct seccomp_data *data)
{
	struct proof *proof = arg;

	proof->execs =
	    data->nr == SYS_execve && data->args[1] != PROOF_ARGUMENT;
	return proof->execs ? proof->fn(proof->arg, pid, data) : PROOF_ERROR;
}

bool
stops_until_exec(pid_t pid, int *status, stops_fn *fn, void *arg)
{
	struct proof proof = { .fn = fn, .arg = arg };

	while (!proof.execs) {
		if (waitpid(pid, status, __WALL) != pid) {
			if (errno == EINTR)
				continue;
			return false;
		}
		if (!WIFSTOPPED(*status))
			return false;
		take_stop(pid, *status, take_proof, &proof);
	}
	return true;
}
