#ifndef TOLD_H
#define TOLD_H

#include "exec/job.h"

/*
 * Where nobody can watch a compile, what its compiler tells of it:
 *
 *	what it is, what it runs, where it looks: asked each time, in the key
 *	what it read: from a depfile of the same run
 *	what it looked for in vain: every name that stands in what it read, in
 *	every folder where it looks
 *
 * Where that may not be all, nothing is recorded. Such records have keys of their own,
 * so that what was told is never taken for what was seen.
 */

/* Shall it be tried? Then job->tools is there from now on. */
bool told_begin(struct job *job);
void told_end(struct job *job);

/* What belongs to the key. -1 with *err: the compiler can't tell. */
int told_key(struct job *job, struct hasher *h, struct error *err);

/* Run it. As trace_run(). */
int told_run(struct job *job, struct trace *trace, struct error *err);

/* When it has ended: fill in `trace` as if it had been watched. */
void told_look(struct job *job, struct trace *trace);

/* told_inputs.c: that it read the files in `list`, absolute, and all that follows
 * from that. False: nothing may be recorded, and `trace` says why. */
bool told_inputs(
    struct job *job, struct trace *trace, const struct words *list);

/* told_inputs.c: is `path` none of the project's, but one that came with the system? */
bool told_is_system(const struct job *job, const char *path);

#endif
