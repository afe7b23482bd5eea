#include "trace/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace/ring.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define NEW_NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

#define PATH(nr, call_, path_, flags_) \
	{ \
		.number = SYS_##nr, .call = (call_), .folder = -1, \
		.path = (path_), .flags = (flags_), .only_arg = -1 \
	}
#define AT(nr, call_, folder_, path_, flags_) \
	{ \
		.number = SYS_##nr, .call = (call_), .folder = (folder_), \
		.path = (path_), .flags = (flags_), .only_arg = -1 \
	}
#define FAST(nr, call_, folder_, path_, flags_) \
	{ \
		.number = SYS_##nr, .call = (call_), .folder = (folder_), \
		.path = (path_), .flags = (flags_), .fast = 1, .only_arg = -1 \
	}
#define FD(nr, call_) \
	{ \
		.number = SYS_##nr, .call = (call_), .folder = 0, .path = -1, \
		.flags = -1, .only_arg = -1 \
	}
#define REFUSED(nr, what_) \
	{ \
		.number = SYS_##nr, .call = CALL_REFUSED, .folder = -1, \
		.path = -1, .flags = -1, .what = (what_), .only_arg = -1 \
	}
#define ONLY(nr, call_, what_, arg, mask, value) \
	{ \
		.number = SYS_##nr, .call = (call_), .folder = -1, .path = -1, \
		.flags = -1, .what = (what_), .only_arg = (arg), \
		.only_mask = (mask), .only_value = (value), .to = -1 \
	}
#define READS(nr, arg) ONLY(nr, CALL_READ, NULL, arg, 3, 0)
#define MOVES(nr, from_, to_) \
	{ \
		.number = SYS_##nr, .call = CALL_READ, .folder = -1, \
		.path = -1, .flags = -1, .only_arg = (from_), .only_mask = 3, \
		.to = (to_) \
	}
#define WRITES(nr, arg) ONLY(nr, CALL_WRITE, NULL, arg, 3, 0)

/* clang-format off */
static const struct call_spec specs[] = {
	FAST(open, CALL_OPEN, -1, 0, 1),
	AT(openat, CALL_OPEN, 0, 1, 2),
	AT(openat2, CALL_OPENAT2, 0, 1, 2),
	{ .number = SYS_creat, .call = CALL_OPEN, .folder = -1, .path = 0,
	    .flags = -1, .only_arg = -1 },
	FAST(stat, CALL_STAT, -1, 0, -1),
	FAST(lstat, CALL_LSTAT, -1, 0, -1),
	AT(newfstatat, CALL_STAT, 0, 1, 3),
	AT(statx, CALL_STAT, 0, 1, 2),
	FAST(access, CALL_ACCESS, -1, 0, -1),
	AT(faccessat, CALL_ACCESS, 0, 1, -1),
	AT(faccessat2, CALL_ACCESS, 0, 1, 3),
	FAST(readlink, CALL_READLINK, -1, 0, -1),
	AT(readlinkat, CALL_READLINK, 0, 1, -1),
	PATH(getxattr, CALL_ATTRIBUTES, 0, -1),
	PATH(lgetxattr, CALL_ATTRIBUTES, 0, -1),
	PATH(listxattr, CALL_ATTRIBUTES, 0, -1),
	PATH(llistxattr, CALL_ATTRIBUTES, 0, -1),
	FD(fgetxattr, CALL_ATTRIBUTES),
	FD(flistxattr, CALL_ATTRIBUTES),
	PATH(execve, CALL_EXEC, 0, -1),
	AT(execveat, CALL_EXEC, 0, 1, 4),
	FD(getdents, CALL_LISTING),
	FD(getdents64, CALL_LISTING),
	PATH(chdir, CALL_CHDIR, 0, -1),
	{ .number = SYS_getcwd, .call = CALL_GETCWD, .folder = -1, .path = -1,
	    .flags = -1, .fast = 1, .only_arg = -1 },
	ONLY(uname, CALL_UNAME, NULL, -1, 0, 0),
	ONLY(sched_getaffinity, CALL_CPU, NULL, -1, 0, 0),
	ONLY(kill, CALL_KILL, NULL, -1, 0, 0),
	ONLY(tkill, CALL_KILL, NULL, -1, 0, 0),
	ONLY(rt_sigqueueinfo, CALL_KILL, NULL, -1, 0, 0),
	REFUSED(pidfd_send_signal, "it sent a signal to a process"),
	PATH(rename, CALL_RENAME, 0, -1),
	AT(renameat, CALL_RENAME, 0, 1, -1),
	AT(renameat2, CALL_RENAME, 0, 1, 4),
	PATH(unlink, CALL_UNLINK, 0, -1),
	AT(unlinkat, CALL_UNLINK, 0, 1, 2),
	PATH(rmdir, CALL_UNLINK, 0, -1),
	PATH(mkdir, CALL_MKDIR, 0, -1),
	AT(mkdirat, CALL_MKDIR, 0, 1, -1),
	PATH(mknod, CALL_MKNOD, 0, -1),
	AT(mknodat, CALL_MKNOD, 0, 1, -1),
	PATH(link, CALL_LINK, 0, -1),
	AT(linkat, CALL_LINK, 0, 1, 4),
	PATH(symlink, CALL_SYMLINK, 1, -1),
	AT(symlinkat, CALL_SYMLINK, 1, 2, -1),
	PATH(truncate, CALL_TRUNCATE, 0, -1),
	PATH(chmod, CALL_CHMOD, 0, -1),
	AT(fchmodat, CALL_CHMOD, 0, 1, -1),
	AT(fchmodat2, CALL_CHMOD, 0, 1, 3),
	FD(fchmod, CALL_CHMOD),
	PATH(chown, CALL_CHOWN, 0, -1),
	PATH(lchown, CALL_CHOWN, 0, -1),
	AT(fchownat, CALL_CHOWN, 0, 1, 4),
	FD(fchown, CALL_CHOWN),
	PATH(utime, CALL_UTIME, 0, -1),
	PATH(utimes, CALL_UTIME, 0, -1),
	AT(futimesat, CALL_UTIME, 0, 1, -1),
	AT(utimensat, CALL_UTIME, 0, 1, 3),
	ONLY(socket, CALL_SOCKET, NULL, -1, 0, 0),
	ONLY(connect, CALL_CONNECT, NULL, -1, 0, 0),
	ONLY(bind, CALL_CONNECT, NULL, -1, 0, 0),
	ONLY(sendto, CALL_SENDTO, NULL, 4, 2, 0),
	ONLY(clone, CALL_CLONE, NULL, 0, 1, NEW_NAMESPACES | CLONE_UNTRACED),
	ONLY(clone3, CALL_CLONE, NULL, -1, 0, 0),
	ONLY(ptrace, CALL_PTRACE, NULL, -1, 0, 0),
	READS(read, 0),
	READS(readv, 0),
	READS(pread64, 0),
	READS(preadv, 0),
	READS(preadv2, 0),
	READS(recvfrom, 0),
	READS(recvmsg, 0),
	READS(recvmmsg, 0),
	MOVES(splice, 0, 2),
	MOVES(tee, 0, 1),
	MOVES(copy_file_range, 0, 2),
	MOVES(sendfile, 1, 0),
	READS(mmap, 4),
	WRITES(write, 0),
	WRITES(writev, 0),
	WRITES(pwrite64, 0),
	WRITES(pwritev, 0),
	WRITES(pwritev2, 0),
	WRITES(sendmsg, 0),
	WRITES(sendmmsg, 0),
	WRITES(vmsplice, 0),
	ONLY(dup, CALL_DUP, NULL, 0, 3, 0),
	ONLY(dup2, CALL_DUP, NULL, 0, 3, 0),
	ONLY(dup3, CALL_DUP, NULL, 0, 3, 0),
	ONLY(fcntl, CALL_DUP, NULL, 0, 3, 0),
	ONLY(prctl, CALL_REFUSED, "it filtered its own system calls", 0, 0,
	    PR_SET_SECCOMP),
	REFUSED(seccomp, "it filtered its own system calls"),
	REFUSED(io_uring_setup, "it used io_uring"),
	REFUSED(unshare, "it made a namespace"),
	REFUSED(setns, "it entered a namespace"),
	REFUSED(mount, "it mounted a file system"),
	REFUSED(umount2, "it unmounted a file system"),
	REFUSED(open_tree, "it mounted a file system"),
	REFUSED(move_mount, "it mounted a file system"),
	REFUSED(fsopen, "it mounted a file system"),
	REFUSED(chroot, "it changed its root folder"),
	REFUSED(pivot_root, "it changed its root folder"),
	REFUSED(name_to_handle_at, "it used file handles"),
	REFUSED(open_by_handle_at, "it used file handles"),
	REFUSED(inotify_add_watch, "it watched files"),
	REFUSED(fanotify_init, "it watched files"),
	PATH(setxattr, CALL_SETXATTR, 0, -1),
	PATH(lsetxattr, CALL_SETXATTR, 0, -1),
	FD(fsetxattr, CALL_SETXATTR),
	PATH(removexattr, CALL_SETXATTR, 0, -1),
	PATH(lremovexattr, CALL_SETXATTR, 0, -1),
	FD(fremovexattr, CALL_SETXATTR),
	REFUSED(shmget, "it used System V shared memory"),
	REFUSED(msgget, "it used System V messages"),
	REFUSED(semget, "it used System V semaphores"),
	REFUSED(mq_open, "it used a message queue"),
	REFUSED(io_submit, "it used asynchronous input and output"),
	REFUSED(add_key, "it used the kernel's keys"),
	REFUSED(request_key, "it used the kernel's keys"),
	REFUSED(keyctl, "it used the kernel's keys"),
	REFUSED(process_vm_readv, "it looked into a process"),
	REFUSED(process_vm_writev, "it looked into a process"),
	REFUSED(pidfd_getfd, "it took a descriptor of a process"),
};
/* clang-format on */

/* Numbers from here on had no meaning when the table was made (Linux 6.12). */
#define NEWER 463

static const struct call_spec newer = { .number = NEWER,
	.call = CALL_REFUSED,
	.folder = -1,
	.path = -1,
	.flags = -1,
	.what = "it made a system call that is newer than tarn knows",
	.only_arg = -1 };

#define SPECS (sizeof(specs) / sizeof(*specs))

const struct call_spec *
filter_find(int number)
{
	static uint8_t at[NEWER]; /* one more than the place in specs */
	static bool made;

	for (size_t i = 0; !made && i < SPECS; i++)
		at[specs[i].number] = (uint8_t)(i + 1);
	made = true;
	if (number >= NEWER && number < __X32_SYSCALL_BIT)
		return &newer;
	if (number < 0 || number >= NEWER || at[number] == 0)
		return NULL;
	return &specs[at[number] - 1];
}

struct program {
	struct sock_filter line[32 * SPECS];
	unsigned short size;
	enum filter_asks asks;
};

static void
add(struct program *p, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	p->line[p->size++] = (struct sock_filter){ code, yes, no, k };
}

static void
load(struct program *p, size_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
answer(struct program *p, uint32_t action)
{
	add(p, BPF_RET | BPF_K, action, 0, 0);
}

static void
ask(struct program *p)
{
	answer(p,
	    p->asks == ASK_TRACER ? SECCOMP_RET_TRACE : SECCOMP_RET_USER_NOTIF);
}

static void
ask_about_other(struct program *p)
{
	answer(p,
	    p->asks == ASK_TRACER ? SECCOMP_RET_TRACE | FILTER_OTHER
	                          : SECCOMP_RET_USER_NOTIF);
}

/* Let it through if it comes from behind the accelerator's instruction. */
static void
add_fast(struct program *p)
{
	size_t at = offsetof(struct seccomp_data, instruction_pointer);

	load(p, at + 4);
	add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(RING_STUB_AFTER >> 32), 0,
	    3);
	load(p, at);
	add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)RING_STUB_AFTER, 0, 1);
	answer(p, SECCOMP_RET_ALLOW);
	ask(p);
}

/* Ask only about calls whose argument fits. */
static void
add_only(struct program *p, const struct call_spec *spec)
{
	static const uint16_t tests[] = { BPF_JEQ, BPF_JSET };
	size_t at =
	    offsetof(struct seccomp_data, args) + 8 * (size_t)spec->only_arg;

	if (spec->only_mask == 2) { /* any bit of either half */
		load(p, at);
		add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
		load(p, at + 4);
		add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
		answer(p, SECCOMP_RET_ALLOW);
		ask(p);
		return;
	}
	load(p, at); /* descriptors and flags: the low half */
	add(p, BPF_JMP | BPF_K | tests[spec->only_mask], spec->only_value, 1,
	    0);
	answer(p, SECCOMP_RET_ALLOW);
	ask(p);
}

/* Ask only about the descriptors that lead outside. */
static void
add_descriptor(
    struct program *p, int arg, bool input, const struct strays *strays)
{
	load(p, offsetof(struct seccomp_data, args) + 8 * (size_t)arg);
	for (int i = input ? -1 : 0; i < strays->count; i++) {
		add(p, BPF_JMP | BPF_JEQ | BPF_K,
		    i < 0 ? 0 : (uint32_t)strays->fd[i], 0, 1);
		ask(p);
	}
}

static void
add_descriptors(struct program *p, const struct call_spec *spec,
    const struct strays *strays)
{
	add_descriptor(p, spec->only_arg, spec->call != CALL_WRITE, strays);
	if (spec->to >= 0)
		add_descriptor(p, spec->to, false, strays);
	answer(p, SECCOMP_RET_ALLOW);
}

/* What a compiler asks of its open files, their size, comes with their content. */
static void
add_fstat(struct program *p)
{
	size_t args = offsetof(struct seccomp_data, args);

	load(p, args + 3 * 8);
	add(p, BPF_JMP | BPF_JSET | BPF_K, AT_EMPTY_PATH, 0, 3);
	load(p, args);
	add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)AT_FDCWD, 1, 0);
	answer(p, SECCOMP_RET_ALLOW);
	ask(p);
}

static void
add_spec(struct program *p, const struct call_spec *spec, bool fast,
    const struct strays *strays)
{
	unsigned short test = p->size;

	if ((spec->call == CALL_WRITE && strays->count == 0) ||
	    (spec->call == CALL_PTRACE && p->asks != ASK_TRACER))
		return;
	add(p, BPF_JMP | BPF_JEQ | BPF_K, spec->number, 0, 0);
	if (spec->fast)
		add_fast(p);
	else if (fast && spec->number == SYS_newfstatat)
		add_fstat(p);
	else if (spec->only_mask == 3)
		add_descriptors(p, spec, strays);
	else if (spec->only_arg >= 0)
		add_only(p, spec);
	else
		ask(p);
	p->line[test].jf = (uint8_t)(p->size - test - 1);
}

/*
 * Calls of 32-bit programs have other numbers. The few by which one could get
 * at a file are asked about, so that it is noticed and refused.
 */
static void
add_other_architecture(struct program *p)
{
	static const uint8_t numbers[] = { 5 /* open */, 8 /* creat */,
		10 /* unlink */, 11 /* execve */, 38 /* rename */, 9 /* link */,
		83 /* symlink */ };
	unsigned short test;

	load(p, offsetof(struct seccomp_data, arch));
	test = p->size;
	add(p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 0);
	load(p, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof(numbers); i++) {
		add(p, BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
		ask_about_other(p);
	}
	add(p, BPF_JMP | BPF_JEQ | BPF_K, 295 /* openat */, 0, 1);
	ask_about_other(p);
	answer(p, SECCOMP_RET_ALLOW);
	p->line[test].jt = (uint8_t)(p->size - test - 1);
	/* x32 has the same architecture, and a bit of its own. */
	load(p, offsetof(struct seccomp_data, nr));
	add(p, BPF_JMP | BPF_JGE | BPF_K, __X32_SYSCALL_BIT, 0, 1);
	ask_about_other(p);
}

static int
install_listener(const struct sock_fprog *filter)
{
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, filter);

	if (fd < 0 && errno == EINVAL) /* before 5.19 */
		fd = (int)syscall(
		    SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, filter);
	return fd;
}

static int
install(const struct sock_fprog *filter, enum filter_asks asks)
{
	if (asks == ASK_LISTENER)
		return install_listener(filter);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0);
}

int
filter_install(enum filter_asks asks, bool fast, const struct strays *strays)
{
	struct program p = { .asks = asks };
	struct sock_fprog filter;
	int fd;

	add_other_architecture(&p);
	for (size_t i = 0; i < SPECS; i++)
		add_spec(&p, &specs[i], fast, strays);
	add(&p, BPF_JMP | BPF_JGE | BPF_K, NEWER, 0, 1);
	ask(&p);
	answer(&p, SECCOMP_RET_ALLOW);
	filter = (struct sock_fprog){ p.size, p.line };
	fd = install(&filter, asks);
	if (fd < 0 && errno == EACCES &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		fd = install(&filter, asks);
	return fd;
}

/* Make the call so that the filter asks about it, and that it does nothing if it
 * is made all the same. */
static int
make_idle_call(const struct call_spec *spec)
{
	long args[6] = { -1, -1, -1, -1, -1, -1 };

	if (spec->only_mask == 3)
		args[spec->only_arg] = 0;
	else if (spec->only_arg >= 0 && spec->only_mask == 0)
		args[spec->only_arg] = spec->only_value;
	else if (spec->number == SYS_msgget || spec->number == SYS_seccomp)
		args[1] = 0; /* makes no queue; asks for no listener */
	else if (spec->number == SYS_newfstatat)
		args[0] = AT_FDCWD;
	else if (spec->number == SYS_clone) /* a thread with nothing shared */
		args[0] = CLONE_UNTRACED | CLONE_THREAD;
	if (syscall(spec->number, args[0], args[1], args[2], args[3], args[4],
	        args[5]) >= 0)
		return 0;
	return errno;
}

/* A call that the kernel or a container may lack; a program is told the same
 * each time. */
static bool
may_be_missing(const struct call_spec *spec)
{
	return spec->call == CALL_REFUSED || spec->call == CALL_PTRACE ||
	    spec->number >= SYS_statx;
}

int
filter_prove(void)
{
	for (size_t i = 0; i < SPECS; i++) {
		int error = 0;

		if (specs[i].call == CALL_WRITE)
			continue; /* asked about only where there are strays */
		error = make_idle_call(&specs[i]);
		if (error == PROOF_ERROR ||
		    ((error == EPERM || error == ENOSYS) &&
		        may_be_missing(&specs[i])))
			continue;
		errno = EBUSY;
		return -1;
	}
	return 0;
}
