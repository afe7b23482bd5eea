#include "remote/ssh_exec.h"

#include <string.h>

#define WINDOW (8U << 20) /* bytes that the far end may send unasked */
#define PACKET 32768
#define COMPLAINTS 2048    /* bytes that are kept */
#define ERRORS (16u << 20) /* bytes of those that are read */
#define REST (1u << 20)    /* bytes that are passed over at the end */

static LIBSSH2_CHANNEL *
open_channel(struct ssh *ssh)
{
	LIBSSH2_CHANNEL *channel;
	int rc;

	do {
		channel = libssh2_channel_open_ex(
		    ssh->session, "session", 7, WINDOW, PACKET, NULL, 0);
		rc = channel ? 0 : libssh2_session_last_errno(ssh->session);
	} while (ssh_again(ssh, rc));
	return channel;
}

bool
ssh_exec_is_open(const struct ssh_exec *exec)
{
	return exec->channel && exec->round == exec->ssh->round &&
	    !exec->ssh->broken;
}

static int
check_open(const struct ssh_exec *exec, struct error *err)
{
	if (ssh_exec_is_open(exec))
		return 0;
	return error_set(err, ERROR_UNREACHABLE,
	    "the connection was lost while a command ran");
}

int
ssh_exec_open(struct ssh_exec *exec, struct ssh *ssh, const char *command,
    struct error *err)
{
	int rc = ssh_connect(ssh, err);

	*exec = (struct ssh_exec){ .ssh = ssh, .complaints = BUF_INIT };
	if (rc < 0)
		return -1;
	exec->channel = open_channel(ssh);
	if (!exec->channel && rc == 0 && !ssh->late) { /* it may have gone */
		ssh->broken = true;
		if (ssh_connect(ssh, err) < 0)
			return -1;
		exec->channel = open_channel(ssh);
	}
	if (!exec->channel)
		return ssh_fail(ssh, "open a channel", err);
	exec->round = ssh->round;
	do
		rc = libssh2_channel_exec(exec->channel, command);
	while (ssh_again(ssh, rc));
	return rc < 0 ? ssh_fail(ssh, "run a command there", err) : 0;
}

int
ssh_exec_refill(struct ssh_exec *exec, struct error *err)
{
	unsigned long left;
	unsigned now;
	int rc;

	if (check_open(exec, err) < 0)
		return -1;
	left = libssh2_channel_window_read_ex(exec->channel, NULL, NULL);
	if (left >= WINDOW - PACKET)
		return 0;
	do
		rc = libssh2_channel_receive_window_adjust2(
		    exec->channel, WINDOW - left, 1, &now);
	while (ssh_again(exec->ssh, rc));
	return rc < 0 ? ssh_fail(exec->ssh, "write to it", err) : 0;
}

int
ssh_exec_write(
    struct ssh_exec *exec, const void *data, size_t size, struct error *err)
{
	const char *from = data;

	if (check_open(exec, err) < 0)
		return -1;
	while (size > 0) {
		ssize_t rc;

		do
			rc = libssh2_channel_write(exec->channel, from, size);
		while (ssh_again(exec->ssh, rc));
		if (rc < 0)
			return ssh_fail(exec->ssh, "write to it", err);
		ssh_moved(exec->ssh);
		from += rc;
		size -= (size_t)rc;
	}
	return 0;
}

static ssize_t
read_complaints(struct ssh_exec *exec)
{
	char chunk[1024];
	ssize_t got =
	    libssh2_channel_read_stderr(exec->channel, chunk, sizeof(chunk));

	if (got > 0 && exec->complaints.len < COMPLAINTS)
		buf_add(&exec->complaints, chunk, (size_t)got);
	if (got > 0)
		exec->complained += (size_t)got;
	return got;
}

static int
too_much(struct ssh_exec *exec, const char *of, struct error *err)
{
	exec->ssh->broken = true;
	return error_set(
	    err, ERROR_CORRUPT, "a command there goes on with %s", of);
}

ssize_t
ssh_exec_read(struct ssh_exec *exec, void *data, size_t size, struct error *err)
{
	if (check_open(exec, err) < 0)
		return -1;
	for (;;) { /* the last to be read is the one that is waited for */
		ssize_t more = read_complaints(exec);
		ssize_t got = libssh2_channel_read(exec->channel, data, size);

		if (got > 0 || more > 0)
			ssh_moved(exec->ssh);
		if (exec->complained > ERRORS)
			return too_much(exec, "complaints", err);
		if (got > 0)
			return got;
		if (got < 0 && got != LIBSSH2_ERROR_EAGAIN)
			return ssh_fail(exec->ssh, "read from it", err);
		if (libssh2_channel_eof(exec->channel)) {
			(void)read_complaints(exec);
			return 0;
		}
		if (more <= 0 && !ssh_again(exec->ssh, LIBSSH2_ERROR_EAGAIN))
			return ssh_fail(exec->ssh, "read from it", err);
	}
}

int
ssh_exec_finish(struct ssh_exec *exec, int *status, struct error *err)
{
	char chunk[4096];
	size_t rest = 0;
	ssize_t got;
	int rc;

	if (check_open(exec, err) < 0)
		return -1;
	do
		rc = libssh2_channel_send_eof(exec->channel);
	while (ssh_again(exec->ssh, rc));
	if (rc < 0)
		return ssh_fail(exec->ssh, "end its input", err);
	while ((got = ssh_exec_read(exec, chunk, sizeof(chunk), err)) > 0 &&
	    rest <= REST)
		rest += (size_t)got;
	if (got > 0)
		return too_much(exec, "what nobody asked for", err);
	if (got < 0)
		return -1;
	do
		rc = libssh2_channel_close(exec->channel);
	while (ssh_again(exec->ssh, rc));
	if (rc == 0)
		do
			rc = libssh2_channel_wait_closed(exec->channel);
		while (ssh_again(exec->ssh, rc));
	if (rc < 0)
		return ssh_fail(exec->ssh, "end a command", err);
	*status = libssh2_channel_get_exit_status(exec->channel);
	return 0;
}

void
ssh_exec_close(struct ssh_exec *exec)
{
	int rc = 0;

	while (exec->channel && ssh_exec_is_open(exec)) {
		rc = libssh2_channel_free(exec->channel);
		if (rc != LIBSSH2_ERROR_EAGAIN)
			break;
		if (!ssh_again(exec->ssh, rc))
			exec->ssh->broken = true;
	}
	exec->channel = NULL;
	buf_release(&exec->complaints);
}

void
ssh_quote(struct buf *to, const char *text)
{
	buf_addf(to, "'");
	for (; *text; text++) {
		if (*text == '\'')
			buf_addf(to, "'\\''");
		else
			buf_add(to, text, 1);
	}
	buf_addf(to, "'");
}
