/*
 * Run a program and meddle with its n-th system call:
 *
 *	walk REPORT count SET program [word...]
 *	walk REPORT kill N program [word...]
 *	walk REPORT fail SET N ERRNO once|on program [word...]
 *	walk REPORT short N program [word...]
 *
 * `kill` ends it before its n-th call is made, counted from 1. `fail` has the n-th
 * call of a set fail without being made, alone or with all that follow; `short`
 * lets the n-th write take only half. A set is `all` or names with commas between.
 * Calls that print (write to 1 and 2) are nobody's to fail: there, whoever reads
 * would have made them fail for the command itself, too.
 *
 * Only the process that is started is watched, none that it starts, and no more of
 * it once it becomes another program. We wait for all that it leaves behind.
 * REPORT gets one line: how many calls of the set there were, and the one that was
 * hit, if any; with `count`, a line for each. Our status is the program's, as a
 * shell has it; 99 if we could not do as we were told.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum mode { COUNT, KILL, FAIL, SHORT };

struct walk {
	enum mode mode;
	bool set[512];
	long n, seen;
	int error;
	bool on; /* every one from the n-th */
	FILE *report;
	pid_t pid;
	bool inside;                    /* of a call */
	bool failing;                   /* and it is not made */
	unsigned long long number, top; /* of the call; of the heap by brk() */
};

static const struct {
	const char *name;
	int number;
} calls[] = {
	{ "read", SYS_read },
	{ "write", SYS_write },
	{ "open", SYS_open },
	{ "openat", SYS_openat },
	{ "stat", SYS_stat },
	{ "fstat", SYS_fstat },
	{ "newfstatat", SYS_newfstatat },
	{ "statfs", SYS_statfs },
	{ "poll", SYS_poll },
	{ "lseek", SYS_lseek },
	{ "mmap", SYS_mmap },
	{ "mremap", SYS_mremap },
	{ "brk", SYS_brk },
	{ "ioctl", SYS_ioctl },
	{ "pread64", SYS_pread64 },
	{ "pwrite64", SYS_pwrite64 },
	{ "access", SYS_access },
	{ "pipe2", SYS_pipe2 },
	{ "dup2", SYS_dup2 },
	{ "socketpair", SYS_socketpair },
	{ "recvmsg", SYS_recvmsg },
	{ "recvfrom", SYS_recvfrom },
	{ "sendto", SYS_sendto },
	{ "clone", SYS_clone },
	{ "clone3", SYS_clone3 },
	{ "vfork", SYS_vfork },
	{ "wait4", SYS_wait4 },
	{ "fcntl", SYS_fcntl },
	{ "flock", SYS_flock },
	{ "fsync", SYS_fsync },
	{ "fdatasync", SYS_fdatasync },
	{ "ftruncate", SYS_ftruncate },
	{ "getdents64", SYS_getdents64 },
	{ "getcwd", SYS_getcwd },
	{ "rename", SYS_rename },
	{ "renameat", SYS_renameat },
	{ "renameat2", SYS_renameat2 },
	{ "mkdir", SYS_mkdir },
	{ "rmdir", SYS_rmdir },
	{ "link", SYS_link },
	{ "linkat", SYS_linkat },
	{ "unlink", SYS_unlink },
	{ "unlinkat", SYS_unlinkat },
	{ "symlink", SYS_symlink },
	{ "readlink", SYS_readlink },
	{ "readlinkat", SYS_readlinkat },
	{ "chmod", SYS_chmod },
	{ "fchmod", SYS_fchmod },
	{ "utimensat", SYS_utimensat },
	{ "copy_file_range", SYS_copy_file_range },
	{ "memfd_create", SYS_memfd_create },
	{ "signalfd4", SYS_signalfd4 },
	{ "getrandom", SYS_getrandom },
	{ "prctl", SYS_prctl },
};

static const int never[] = { SYS_execve, SYS_exit, SYS_exit_group,
	SYS_rt_sigreturn, SYS_close, SYS_arch_prctl,
	/* These can't fail as they are used. */
	SYS_umask, SYS_mprotect, SYS_munmap, SYS_rt_sigaction,
	SYS_rt_sigprocmask, SYS_set_tid_address, SYS_set_robust_list, SYS_rseq,
	SYS_prlimit64, SYS_getpid, SYS_getppid, SYS_geteuid, SYS_personality };

static const struct {
	const char *name;
	int number;
} errors[] = { { "ENOSPC", ENOSPC }, { "EIO", EIO }, { "EINTR", EINTR },
	{ "ENOMEM", ENOMEM }, { "EMFILE", EMFILE }, { "EACCES", EACCES },
	{ "EPERM", EPERM }, { "EROFS", EROFS }, { "ENOSYS", ENOSYS },
	{ "EAGAIN", EAGAIN }, { "EDQUOT", EDQUOT }, { "EINVAL", EINVAL },
	{ "EOPNOTSUPP", EOPNOTSUPP }, { "ESTALE", ESTALE } };

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

static void
die(const char *what)
{
	fprintf(stderr, "walk: %s: %s\n", what, strerror(errno));
	exit(99);
}

static const char *
name_of(unsigned long long number)
{
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		if ((unsigned long long)calls[i].number == number)
			return calls[i].name;
	}
	return "?";
}

static void
choose(struct walk *w, const char *name, size_t size)
{
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		if (strlen(calls[i].name) == size &&
		    memcmp(calls[i].name, name, size) == 0) {
			w->set[calls[i].number] = true;
			return;
		}
	}
	errno = EINVAL;
	die(name);
}

static void
read_set(struct walk *w, const char *text)
{
	if (strcmp(text, "all") == 0) {
		memset(w->set, 1, sizeof(w->set));
		for (size_t i = 0; i < COUNT_OF(never); i++)
			w->set[never[i]] = false;
		return;
	}
	while (*text) {
		size_t size = strcspn(text, ",");

		choose(w, text, size);
		text += size + (text[size] == ',');
	}
}

static int
read_error(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].number;
	}
	errno = EINVAL;
	die(name);
	return 0;
}

/* Its words; returns those of the program. */
static char **
read_words(struct walk *w, char **word)
{
	static const char *const modes[] = { "count", "kill", "fail", "short" };

	w->report = fopen(*word, "we");
	if (!w->report)
		die(*word);
	word++;
	while (w->mode < COUNT_OF(modes) && strcmp(*word, modes[w->mode]) != 0)
		w->mode++;
	word++;
	if (w->mode == KILL || w->mode == SHORT)
		memset(w->set, w->mode == KILL, sizeof(w->set));
	if (w->mode == SHORT)
		w->set[SYS_write] = true;
	if (w->mode == COUNT || w->mode == FAIL)
		read_set(w, *word++);
	if (w->mode != COUNT)
		w->n = strtol(*word++, NULL, 10);
	if (w->mode == FAIL) {
		w->error = read_error(*word++);
		w->on = strcmp(*word++, "on") == 0;
	}
	return word;
}

/* ---- the program ---- */

static void
start(struct walk *w, char **words)
{
	const long options =
	    PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	int gate[2], status;

	if (pipe2(gate, O_CLOEXEC) < 0)
		die("pipe");
	w->pid = fork();
	if (w->pid < 0)
		die("fork");
	if (w->pid == 0) {
		char byte;

		close(gate[1]);
		(void)!read(gate[0], &byte, 1);
		execv(words[0], words);
		die(words[0]);
	}
	close(gate[0]);
	if (ptrace(PTRACE_SEIZE, w->pid, 0, options) < 0)
		die("ptrace");
	close(gate[1]);
	do { /* its first stop that matters: it has become the program */
		if (waitpid(w->pid, &status, __WALL) < 0 || !WIFSTOPPED(status))
			die("the program did not start");
		if (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8))
			(void)ptrace(PTRACE_CONT, w->pid, 0, 0);
	} while (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8));
}

/* The text at an address of it, for the report. */
static const char *
text_at(const struct walk *w, unsigned long long at, char room[static 256])
{
	struct iovec ours = { room, 255 },
	             theirs = { (void *)(uintptr_t)at, 255 };
	ssize_t got = process_vm_readv(w->pid, &ours, 1, &theirs, 1, 0);

	room[got > 0 ? got : 0] = '\0';
	for (char *c = room; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '\0';
	}
	return room;
}

static void
tell(const struct walk *w, const struct user_regs_struct *regs)
{
	char first[256], second[256];

	fprintf(w->report, "%ld %s(%llx %s, %llx %s, %llx)\n", w->seen,
	    name_of(regs->orig_rax), regs->rdi, text_at(w, regs->rdi, first),
	    regs->rsi, text_at(w, regs->rsi, second), regs->rdx);
	fflush(w->report); /* it may hang for this */
}

static bool
is_chosen(const struct walk *w, const struct user_regs_struct *regs)
{
	unsigned long long number = regs->orig_rax;

	if (number >= COUNT_OF(w->set) || !w->set[number])
		return false;
	return w->mode == KILL || w->mode == SHORT || number != SYS_write ||
	    (regs->rdi != 1 && regs->rdi != 2);
}

static void
enter(struct walk *w)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, w->pid, 0, &regs) < 0)
		return;
	w->number = regs.orig_rax;
	if (!is_chosen(w, &regs))
		return;
	w->seen++;
	if (w->mode == COUNT)
		tell(w, &regs);
	if (w->mode == COUNT || w->seen < w->n || (w->seen > w->n && !w->on))
		return;
	if (w->seen == w->n)
		tell(w, &regs);
	switch (w->mode) {
	case KILL: kill(w->pid, SIGKILL); return;
	case SHORT: regs.rdx -= regs.rdx / 2; break;
	default: w->failing = true; regs.orig_rax = (unsigned long long)-1;
	}
	(void)ptrace(PTRACE_SETREGS, w->pid, 0, &regs);
}

static void
leave(struct walk *w)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, w->pid, 0, &regs) < 0)
		return;
	if (w->failing) { /* brk() has no error: the heap stays as it is */
		regs.rax =
		    w->number == SYS_brk ? w->top : -(unsigned long)w->error;
		(void)ptrace(PTRACE_SETREGS, w->pid, 0, &regs);
	}
	if (w->number == SYS_brk)
		w->top = regs.rax;
	w->failing = false;
}

static int
shell_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
	                           : WEXITSTATUS(status);
}

/* From one stop of it to the next. */
static void
go_on(struct walk *w, int status, bool *watched)
{
	int signal = WSTOPSIG(status), event = status >> 16;
	int how;

	if (signal == (SIGTRAP | 0x80)) {
		if (w->inside)
			leave(w);
		else
			enter(w);
		w->inside = !w->inside;
		signal = 0;
	} else if (event) {
		if (event == PTRACE_EVENT_EXEC)
			*watched = false;
		if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
			(void)ptrace(PTRACE_LISTEN, w->pid, 0, 0);
			return;
		}
		signal = 0;
	}
	how = *watched ? PTRACE_SYSCALL : PTRACE_CONT;
	(void)ptrace(how, w->pid, 0, signal);
}

static int
follow(struct walk *w)
{
	bool watched = true;
	int status, result = 99;

	(void)ptrace(PTRACE_SYSCALL, w->pid, 0, 0);
	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return result; /* nobody is left */
		if (pid != w->pid)
			continue;
		if (WIFSTOPPED(status))
			go_on(w, status, &watched);
		else
			result = shell_status(status);
	}
}

int
main(int argc, char **argv)
{
	struct walk w = { .inside = true }; /* of execve(), which ends first */
	char **words;
	int result;

	if (argc < 5) {
		errno = EINVAL;
		die("usage: walk REPORT MODE ... program");
	}
	words = read_words(&w, argv + 1);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		die("prctl");
	start(&w, words);
	result = follow(&w);
	if (w.mode != COUNT)
		fprintf(w.report, "%ld\n", w.seen);
	fclose(w.report);
	return result;
}
