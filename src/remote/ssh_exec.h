#ifndef SSH_EXEC_H
#define SSH_EXEC_H

#include "base/buf.h"
#include "remote/ssh.h"

/*
 * A command on the far machine, run by the shell of whoever logs in there. What it
 * writes to its standard error is kept, as far as it is short; one that doesn't end with
 * that, or with what is passed over at the end, is hung up on.
 */
struct ssh_exec {
	struct ssh *ssh;
	LIBSSH2_CHANNEL *channel;
	unsigned round; /* of the connection that it is on */
	struct buf complaints;
	size_t complained; /* bytes, of which the first are kept */
};

/* On the connection that there is? Another may have been made meanwhile. */
bool ssh_exec_is_open(const struct ssh_exec *exec);

/* All return -1 if the connection failed; then it is broken. */
int ssh_exec_open(struct ssh_exec *exec, struct ssh *ssh, const char *command,
    struct error *err);

/*
 * The far end may again send as much as at first. Else it is told so in the middle of
 * its answers, which is a word more on the wire.
 */
int ssh_exec_refill(struct ssh_exec *exec, struct error *err);
int ssh_exec_write(
    struct ssh_exec *exec, const void *data, size_t size, struct error *err);

/* Up to `size` bytes, 0 at the end. */
ssize_t ssh_exec_read(
    struct ssh_exec *exec, void *data, size_t size, struct error *err);

/* No more input; what it still writes is passed over; its status. */
int ssh_exec_finish(struct ssh_exec *exec, int *status, struct error *err);
void ssh_exec_close(struct ssh_exec *exec);

/* One argument for a shell: in quotes. */
void ssh_quote(struct buf *to, const char *text);

#endif
