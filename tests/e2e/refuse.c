/*
 * A kernel that refuses: refuse WHAT=ERRNO... -- COMMAND [ARGUMENT...]
 *
 * Puts a seccomp filter on itself that answers calls with an errno, and becomes the
 * command. WHAT is the name of a call, or of one as it is used for something:
 *
 *	listener    a filter with a listener
 *	killable    one that waits like a sleeping caller, which came with 5.19
 *	filter      any filter
 *	receive     taking a call from a listener
 *	continue    answering one, as kernels before 5.5 do if it is to go on
 *	namespace   clone() with a new namespace
 *
 * `docker` alone stands for what Docker's profile refuses to those without rights.
 * `foreign=NAME` gives NAME a listener of another program, which lets it go on.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define NAMESPACES 0x7e020080u

struct what {
	const char *name;
	int number;
	int argument; /* -1: any */
	int has;      /* a bit of it; else it equals it */
	uint32_t value;
};

static const struct what whats[] = {
	{ "listener", SYS_seccomp, 1, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER },
	{ "killable", SYS_seccomp, 1, 1,
	    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
	{ "seccomp", SYS_seccomp, -1, 0, 0 },
	{ "filter", SYS_seccomp, -1, 0, 0 },
	{ "filter", SYS_prctl, 0, 0, PR_SET_SECCOMP },
	{ "receive", SYS_ioctl, 1, 0, (uint32_t)SECCOMP_IOCTL_NOTIF_RECV },
	{ "continue", SYS_ioctl, 1, 0, (uint32_t)SECCOMP_IOCTL_NOTIF_SEND },
	{ "namespace", SYS_clone, 0, 1, NAMESPACES },
	{ "ptrace", SYS_ptrace, -1, 0, 0 },
	{ "process_vm_readv", SYS_process_vm_readv, -1, 0, 0 },
	{ "clone3", SYS_clone3, -1, 0, 0 },
	{ "pidfd_open", SYS_pidfd_open, -1, 0, 0 },
	{ "pidfd_getfd", SYS_pidfd_getfd, -1, 0, 0 },
	{ "statx", SYS_statx, -1, 0, 0 },
	{ "mount", SYS_mount, -1, 0, 0 },
	{ "bpf", SYS_bpf, -1, 0, 0 },
	{ "openat", SYS_openat, -1, 0, 0 },
	{ "memfd_create", SYS_memfd_create, -1, 0, 0 },
	{ "docker", SYS_clone3, -1, 0, 0 },
	{ "docker", SYS_clone, 0, 1, NAMESPACES },
	{ "docker", SYS_unshare, -1, 0, 0 },
	{ "docker", SYS_setns, -1, 0, 0 },
	{ "docker", SYS_mount, -1, 0, 0 },
	{ "docker", SYS_umount2, -1, 0, 0 },
	{ "docker", SYS_pivot_root, -1, 0, 0 },
	{ "docker", SYS_open_tree, -1, 0, 0 },
	{ "docker", SYS_move_mount, -1, 0, 0 },
	{ "docker", SYS_fsopen, -1, 0, 0 },
	{ "docker", SYS_bpf, -1, 0, 0 },
	{ "docker", SYS_perf_event_open, -1, 0, 0 },
	{ "docker", SYS_fanotify_init, -1, 0, 0 },
	{ "docker", SYS_open_by_handle_at, -1, 0, 0 },
	{ "docker", SYS_pidfd_getfd, -1, 0, 0 },
	{ "docker", SYS_kcmp, -1, 0, 0 },
	{ "docker", SYS_userfaultfd, -1, 0, 0 },
	{ "docker", SYS_io_uring_setup, -1, 0, 0 },
	{ "docker", SYS_keyctl, -1, 0, 0 },
	{ "docker", SYS_add_key, -1, 0, 0 },
};

static const struct {
	const char *name;
	int error;
} errors[] = { { "EINVAL", EINVAL }, { "EPERM", EPERM }, { "ENOSYS", ENOSYS },
	{ "EACCES", EACCES }, { "EBUSY", EBUSY } };

static struct sock_filter line[1024];
static unsigned short count;

static void
add(uint16_t code, uint32_t k, int yes, int no)
{
	line[count++] =
	    (struct sock_filter){ code, (uint8_t)yes, (uint8_t)no, k };
}

static void
load(size_t offset)
{
	add(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
refuse(const struct what *what, uint32_t action)
{
	size_t args = offsetof(struct seccomp_data, args);

	load(offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)what->number, 0,
	    what->argument < 0 ? 1 : 3);
	if (what->argument >= 0) {
		load(args + 8 * (size_t)what->argument);
		add(BPF_JMP | BPF_K | (what->has ? BPF_JSET : BPF_JEQ),
		    what->value, 0, 1);
	}
	add(BPF_RET | BPF_K, action, 0, 0);
}

static void
fail(const char *text)
{
	fprintf(stderr, "refuse: %s: %s\n", text, strerror(errno));
	exit(125);
}

static int
install(unsigned flags)
{
	struct sock_fprog program = { count, line };
	int fd;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd =
	    (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (fd < 0)
		fail("seccomp");
	count = 0;
	load(offsetof(struct seccomp_data, arch));
	add(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	return fd;
}

static void
let_one_go_on(int listener)
{
	struct {
		struct seccomp_notif notif;
		char more[256];
	} question;
	struct {
		struct seccomp_notif_resp answer;
		char more[256];
	} reply;

	memset(&question, 0, sizeof(question));
	memset(&reply, 0, sizeof(reply));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question.notif) < 0)
		return;
	reply.answer.id = question.notif.id;
	reply.answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply.answer);
}

/* Answer for the command until it ends, and a copy of us for what it leaves. */
static void
be_another(pid_t child, int listener)
{
	struct pollfd fd = { .fd = listener, .events = POLLIN };
	int status = 0;

	while (!(fd.revents & POLLHUP)) {
		if (child && waitpid(child, &status, WNOHANG) == child) {
			if (fork() != 0)
				break;
			child = 0;
			for (int i = 0; i < 3; i++)
				close(i);
		}
		if (poll(&fd, 1, 20) > 0 && (fd.revents & POLLIN))
			let_one_go_on(listener);
	}
	if (child && status == 0 && waitpid(child, &status, 0) < 0)
		status = 0;
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
	exit(WEXITSTATUS(status));
}

static void
give_to_another(const char *name)
{
	int ends[2], listener, before = count;
	pid_t child;

	for (size_t i = 0; i < sizeof(whats) / sizeof(*whats); i++) {
		if (strcmp(whats[i].name, name) == 0)
			refuse(&whats[i], SECCOMP_RET_USER_NOTIF);
	}
	if (count == before || pipe(ends) < 0)
		fail(name);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	child = fork();
	if (child == 0) {
		listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER);
		(void)!write(ends[1], &listener, sizeof(listener));
		raise(SIGSTOP); /* until he has it */
		close(ends[0]);
		close(ends[1]);
		close(listener);
		return;
	}
	if (read(ends[0], &listener, sizeof(listener)) != sizeof(listener))
		fail("the listener");
	listener = (int)syscall(
	    SYS_pidfd_getfd, syscall(SYS_pidfd_open, child, 0), listener, 0);
	if (listener < 0)
		fail("the listener");
	waitpid(child, NULL, WUNTRACED);
	kill(child, SIGCONT);
	close(ends[0]);
	close(ends[1]);
	be_another(child, listener);
}

static void
take_word(char *word)
{
	char *equals = strchr(word, '=');
	uint32_t error = EPERM;
	int before = count;

	if (equals)
		*equals++ = '\0';
	if (strcmp(word, "foreign") == 0) {
		give_to_another(equals);
		return;
	}
	for (size_t i = 0; equals && i < sizeof(errors) / sizeof(*errors);
	     i++) {
		if (strcmp(errors[i].name, equals) == 0)
			error = (uint32_t)errors[i].error;
	}
	for (size_t i = 0; i < sizeof(whats) / sizeof(*whats); i++) {
		if (strcmp(whats[i].name, word) != 0)
			continue;
		refuse(&whats[i],
		    SECCOMP_RET_ERRNO |
		        (whats[i].number == SYS_clone3 && !equals ? ENOSYS
		                                                  : error));
	}
	errno = EINVAL;
	if (count == before)
		fail(word);
}

int
main(int argc, char **argv)
{
	int i = 1;

	load(offsetof(struct seccomp_data, arch));
	add(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	for (; i < argc && strcmp(argv[i], "--") != 0; i++)
		take_word(argv[i]);
	add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	install(0);
	if (i + 1 >= argc) {
		fprintf(stderr, "refuse: a command is missing\n");
		return 125;
	}
	execvp(argv[i + 1], argv + i + 1);
	fail(argv[i + 1]);
}
