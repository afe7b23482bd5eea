#ifndef STAND_IN_H
#define STAND_IN_H

/*
 * A tracer can't hand on whom it traces, so a daemon that a command leaves behind
 * keeps it alive; but whoever called tarn-exec waits for the process that he
 * started. So with ptrace all work is done in a child, and the process that was
 * started stands in for it: passes signals on to it, and ends as it did, or as it
 * says.
 *
 * Returns in the child alone, with the descriptor for stand_in_leave(), or in the
 * caller with -1 if there can be no child. `signals` is a signalfd of all that is
 * to be passed on, and of SIGCHLD.
 */
int stand_in(int signals);

/* The parent may go, and end as a wait status says; the caller stays. */
void stand_in_leave(int channel, int status);

#endif
