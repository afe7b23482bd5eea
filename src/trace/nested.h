#ifndef NESTED_H
#define NESTED_H

#include <poll.h>

#include "trace/internal.h"
#include "trace/nest.h"

/*
 * The outer side of trace/nest.h: those who run their own actions inside of ours.
 *
 * Each is known by its process. Whatever comes from that process itself is a cache's
 * work and passed over, but for what it does to descriptors from outside, and until it
 * becomes another program. What comes from its children belongs to ours and, between
 * NEST_WATCH and NEST_END, to the inner action as well; before it has said what it
 * wants, to neither. Inner ones may have inner ones.
 */
struct nested;

struct nested_list {
	struct trace *trace; /* of our own action */
	struct nested **item;
	size_t count;
};

void nested_release(struct nested_list *list);

/* The process that waits in call `id` opens NEST_PATH: answer it. False if that can't
 * be done and the call has to go on. */
bool nested_greet(
    struct nested_list *list, int listener, uint64_t id, pid_t pid);

/* Process `owner` speaks through `socket`, which is taken over. */
void nested_add(struct nested_list *list, pid_t owner, int socket);

/*
 * A call of `pid`, which waits: calls `fn` for the trace of each action that it belongs
 * to. `own` says that it may be passed over if it is an inner tarn-exec's own,
 * `leaves` that the process becomes another program.
 */
struct nested_call {
	pid_t pid;
	bool own, leaves;
};
typedef void nested_fn(void *arg, struct trace *trace);
void nested_call(struct nested_list *list, const struct nested_call *call,
    nested_fn *fn, void *arg);

/* Is this path one that an inner accelerator opens for itself? */
bool nested_is_own_path(const struct nested_list *list, const char *path);

/* Take what inner accelerators logged. */
void nested_drain(struct nested_list *list);

/* What to wait for: as many as there are inner ones. */
void nested_watch(const struct nested_list *list, struct pollfd *fds);

/* There is a request of the i-th, or it is gone. */
void nested_serve(struct nested_list *list, size_t i);

/* Those that have gone or go now: take what they said last. */
void nested_finish(struct nested_list *list);

#endif
