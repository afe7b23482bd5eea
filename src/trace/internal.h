#ifndef TRACE_INTERNAL_H
#define TRACE_INTERNAL_H

#include <linux/seccomp.h>

#include "trace/filter.h"
#include "trace/trace.h"

/* What the files of trace/ share among themselves. */

/* touched.c: what is known of `path`, made if need be; valid until the next. */
struct touched *touched_get(struct trace *trace, const char *path);

/* capture.c */
void capture_init(struct capture *capture);
void capture_release(struct capture *capture);
int capture_add(struct capture *capture, const char *tarn_dir, const void *data,
    size_t size, struct error *err);

/* A call that a process waits in, or an entry of the accelerator's log. */
struct question {
	struct trace *trace;
	pid_t pid;
	const struct seccomp_data *data; /* NULL: from the log */
	bool alive; /* false: the caller is gone, nothing was learned */

	/* Of the accelerator's log, the kernel's own answer: */
	bool answered;
	int error; /* errno, or 0 */
	struct stamp stamp;
	uint32_t mode;
};

/* events.c: note what the call says; everything goes on after it. */
void events_handle(struct question *question);

/* events.c: one entry of the accelerator's log. */
void events_logged(struct question *question, int op, const char *path);

/* events.c: the question that an entry of that log answers; for no trace yet. */
struct ring_entry;
struct question events_question(const struct ring_entry *entry);

/*
 * events.c: an inner tarn-exec says that its command would have looked at `path`
 * (enum facet), or is about to make it (enum output_type, output_flags).
 */
void events_reported(struct trace *trace, const char *path, uint32_t facets);
void events_made(
    struct trace *trace, const char *path, int type, uint32_t flags);

/* events.c: the command itself, which started before its filter was seen. */
void events_started(struct trace *trace, const char *program);

/* process.c: of a process that waits for us. False: it is gone, or unreadable. */
bool process_text(pid_t pid, uint64_t address, char *to, size_t size);
void process_forget(void); /* another call waits: its memory may differ */
bool process_bytes(pid_t pid, uint64_t address, void *to, size_t size);
/* process.c: 0 if that can't be known. */
pid_t process_parent(pid_t pid);

bool process_link(pid_t pid, const char *what, char *to, size_t size);

/*
 * process.c: the path that a call names, absolute and without needless dots.
 * `folder` is a descriptor or AT_FDCWD. `size` is that of `to`. False if the
 * process is gone.
 */
bool process_path(
    pid_t pid, int folder, uint64_t address, char *to, size_t size);
void path_tidy(char *path);

/* process.c: `name` as seen from `folder`, a real path without a slash at its
 * end, in its place. False if there is no room. */
bool process_join(char *folder, size_t size, const char *name);

#endif
