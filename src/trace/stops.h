#ifndef STOPS_H
#define STOPS_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Following a tree of processes by ptrace, where the kernel gives no listener.
 *
 * The same filter asks the tracer instead. Every process and thread is followed
 * from its first moment on, since the kernel attaches it to the tracer of the one
 * that makes it, and it stops for nothing but the calls that we ask about, what
 * the kernel tells of new processes, and signals, which are passed on.
 *
 * The kernel itself knows when all are gone: there is nobody left to wait for. If
 * we die, they are killed.
 */

/* Follow this child of ours. False with errno if that is refused. */
bool stops_follow(pid_t pid);

/* What is to become of a call: 0, and it is made; else it is not, and the caller
 * is told this errno. */
typedef int stops_fn(void *arg, pid_t pid, const struct seccomp_data *data);

/*
 * The child puts its filter in place and proves it; see to that up to and with
 * the first exec that it means. False if it ended instead, with `status` as from
 * waitpid().
 */
bool stops_until_exec(pid_t pid, int *status, stops_fn *fn, void *arg);

enum stops_state {
	STOPS_NONE,  /* nobody waits for us */
	STOPS_ENDED, /* a child of our own did, with *pid and *status */
	STOPS_OVER,  /* all of them are gone */
	STOPS_MORE,  /* there may be more who wait */
};

/* See to some of those who wait for us. */
enum stops_state stops_take(pid_t *pid, int *status, stops_fn *fn, void *arg);

#endif
