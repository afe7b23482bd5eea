#include "remote/sftp_requests.h"

#include <string.h>

#include "base/mem.h"

#define WINDOW (8U << 20)  /* bytes the server may send unasked for more */
#define PACKET 32768       /* bytes of SSH's own packets */
#define AT_HAND (1U << 18) /* bytes that may wait to be sent */

/* ---- starting ---- */

static int
open_channel(struct sftp *sftp, struct error *err)
{
	struct ssh *ssh = sftp->ssh;
	int rc;

	do {
		sftp->channel = libssh2_channel_open_ex(
		    ssh->session, "session", 7, WINDOW, PACKET, NULL, 0);
		rc = sftp->channel ? 0
		                   : libssh2_session_last_errno(ssh->session);
	} while (ssh_again(ssh, rc));
	if (rc < 0)
		return ssh_fail(ssh, "open a channel", err);
	do
		rc = libssh2_channel_subsystem(sftp->channel, "sftp");
	while (ssh_again(ssh, rc));
	if (rc < 0)
		return ssh_fail(
		    ssh, "start sftp, which the server has to offer", err);
	return 0;
}

static void
take_version(void *arg, const struct sftp_answer *answer)
{
	struct sftp *sftp = arg;
	struct sftp_answer rest = *answer;
	struct sftp_name name;
	struct error ignored;

	while (sftp_next_extension(&rest, &name, &ignored) > 0) {
		sftp->posix_rename |= name.len == 24 &&
		    memcmp(name.name, "posix-rename@openssh.com", 24) == 0;
		sftp->statvfs |= name.len == 19 &&
		    memcmp(name.name, "statvfs@openssh.com", 19) == 0;
	}
	/* OpenSSH counts handles from 0, in four bytes. */
	sftp->guess = (struct sftp_guess){ .len = sftp->posix_rename ? 4 : 0 };
}

int
sftp_open(struct sftp *sftp, struct ssh *ssh, struct error *err)
{
	size_t start;

	*sftp = (struct sftp){ .ssh = ssh, .out = BUF_INIT, .in = BUF_INIT };
	if (open_channel(sftp, err) < 0)
		return -1;
	/* Its answer has no number, but the version where one would be. */
	start = sftp_packet_begin(&sftp->out, SFTP_INIT, 3);
	sftp_packet_end(&sftp->out, start);
	sftp->pending[0] = (struct sftp_pending){ take_version, sftp, true };
	sftp->flight = 1;
	return sftp_wait(sftp, 0, err);
}

void
sftp_close(struct sftp *sftp)
{
	if (sftp->channel && sftp->ssh->session)
		(void)libssh2_channel_free(sftp->channel);
	buf_release(&sftp->out);
	buf_release(&sftp->in);
	*sftp = (struct sftp){ .out = BUF_INIT, .in = BUF_INIT };
}

/* ---- answers ---- */

static int
dispatch(struct sftp *sftp, const char *packet, size_t size, struct error *err)
{
	struct sftp_answer answer;
	struct sftp_pending *pending, was;

	if (sftp_answer_parse(&answer, packet, size, err) < 0)
		return -1;
	pending = answer.type == SFTP_VERSION
	    ? &sftp->pending[0]
	    : &sftp->pending[answer.id % SFTP_FLIGHT];
	if (!pending->busy ||
	    (answer.type == SFTP_VERSION) != (pending->fn == take_version))
		return error_set(err, ERROR_CORRUPT,
		    "the server answered what was not asked");
	was = *pending;
	*pending = (struct sftp_pending){ 0 };
	sftp->flight--;
	if (was.fn)
		was.fn(was.arg, &answer);
	return 0;
}

static uint32_t
length_at(const char *data)
{
	const unsigned char *bytes = (const unsigned char *)data;

	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
	    (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Every whole packet; what is left moves to the front. */
static int
take_packets(struct sftp *sftp, struct error *err)
{
	struct buf *in = &sftp->in;
	size_t at = 0;

	while (in->len - at >= 4) {
		size_t size = length_at(in->data + at);

		if (size > SFTP_PACKET_MAX)
			return error_set(err, ERROR_CORRUPT,
			    "the server sent a packet of %zu bytes; expected "
			    "at most %d",
			    size, SFTP_PACKET_MAX);
		if (in->len - at - 4 < size)
			break;
		if (dispatch(sftp, in->data + at + 4, size, err) < 0)
			return -1;
		at += 4 + size;
	}
	if (at > 0) {
		memmove(in->data, in->data + at, in->len - at);
		in->len -= at;
	}
	return 0;
}

/* ---- moving bytes ---- */

/* 1: something came, 0: nothing is there, -1. */
static int
receive(struct sftp *sftp, struct error *err)
{
	char chunk[65536];
	ssize_t got;

	do { /* a part of a packet of its own may have to be sent first */
		got = libssh2_channel_read(sftp->channel, chunk, sizeof(chunk));
		if (got != LIBSSH2_ERROR_EAGAIN ||
		    !(libssh2_session_block_directions(sftp->ssh->session) &
		        LIBSSH2_SESSION_BLOCK_OUTBOUND))
			break;
	} while (ssh_again(sftp->ssh, got));
	if (got == LIBSSH2_ERROR_EAGAIN)
		return 0;
	if (got < 0)
		return ssh_fail(sftp->ssh, "read from it", err);
	if (got == 0 && libssh2_channel_eof(sftp->channel))
		return error_set(err, ERROR_UNREACHABLE,
		    "the server ended the sftp session");
	if (got == 0)
		return 0;
	ssh_moved(sftp->ssh);
	buf_add(&sftp->in, chunk, (size_t)got);
	return take_packets(sftp, err) < 0 ? -1 : 1;
}

/* 1: all is sent, 0: the server has to take some first, -1. */
static int
send_out(struct sftp *sftp, struct error *err)
{
	while (sftp->sent < sftp->out.len) {
		ssize_t rc = libssh2_channel_write(sftp->channel,
		    sftp->out.data + sftp->sent, sftp->out.len - sftp->sent);

		if (rc == LIBSSH2_ERROR_EAGAIN) {
			if (!(libssh2_session_block_directions(
			          sftp->ssh->session) &
			        LIBSSH2_SESSION_BLOCK_OUTBOUND))
				return 0;
			if (ssh_again(sftp->ssh, rc))
				continue;
		}
		if (rc < 0)
			return ssh_fail(sftp->ssh, "write to it", err);
		ssh_moved(sftp->ssh);
		sftp->sent += (size_t)rc;
	}
	sftp->sent = 0;
	buf_reset(&sftp->out);
	return 1;
}

static int
pump(struct sftp *sftp, size_t left, struct error *err)
{
	for (;;) {
		int sent = send_out(sftp, err);
		int came = sent < 0 ? -1 : receive(sftp, err);

		if (came < 0)
			return -1;
		if (sent > 0 && sftp->flight <= left)
			return 0;
		if (came > 0)
			continue;
		if (!ssh_again(sftp->ssh, LIBSSH2_ERROR_EAGAIN))
			return ssh_fail(sftp->ssh, "wait for its answer", err);
	}
}

int
sftp_wait(struct sftp *sftp, size_t left, struct error *err)
{
	if (sftp->ssh->broken)
		return error_set(
		    err, ERROR_UNREACHABLE, "the connection is broken");
	if (pump(sftp, left, err) == 0)
		return 0;
	sftp->ssh->broken = true;
	return -1;
}

bool
sftp_is_gone(struct sftp *sftp)
{
	struct error ignored;
	int came;

	while ((came = receive(sftp, &ignored)) > 0)
		;
	return came < 0;
}

/* ---- requests ---- */

struct buf *
sftp_begin(struct sftp *sftp, enum sftp_type type)
{
	while (sftp->pending[sftp->slot].busy)
		sftp->slot = (sftp->slot + 1) % SFTP_FLIGHT;
	sftp->packet = sftp_packet_begin(
	    &sftp->out, type, sftp->round++ * SFTP_FLIGHT + sftp->slot);
	return &sftp->out;
}

int
sftp_end(struct sftp *sftp, sftp_answer_fn *fn, void *arg, struct error *err)
{
	sftp_packet_end(&sftp->out, sftp->packet);
	sftp->pending[sftp->slot] = (struct sftp_pending){ fn, arg, true };
	sftp->flight++;
	if (sftp->flight < SFTP_FLIGHT - 1 &&
	    sftp->out.len - sftp->sent < AT_HAND)
		return 0;
	return sftp_wait(sftp, SFTP_FLIGHT - SFTP_FLIGHT / 4, err);
}
