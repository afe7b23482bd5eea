#ifndef WATCH_H
#define WATCH_H

#include "exec/job.h"

/*
 * Run the command, observed by the best means that the kernel grants:
 *
 *	a listener of its system calls; or
 *	ptrace, but for commands that would notice; or
 *	not at all: if what it reads and writes is declared, that is trusted;
 *	else a compiler is asked; else nothing is recorded
 *
 * Returns as trace_run() does; or 1 if nothing was run, since one of the latter two
 * is to be taken, which have keys of their own.
 */
int watch_command(struct job *job, struct trace *trace, struct error *err);

/* Is /proc there, and does it know us by the number that we know? */
bool watch_has_proc(void);

#endif
