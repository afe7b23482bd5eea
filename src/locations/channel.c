#include "locations/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define HEAD 8                  /* bytes of a frame's head */
#define READ_AT_ONCE (64 << 10) /* bytes */

void
channel_init(struct channel *channel, int fd)
{
	*channel = (struct channel){ .fd = fd, .in = BUF_INIT };
}

void
channel_close(struct channel *channel)
{
	if (channel->fd >= 0)
		close(channel->fd);
	channel->fd = -1;
	channel->used = 0;
	buf_release(&channel->in);
	channel->in = (struct buf)BUF_INIT;
}

/* 0 when it may go on, -1 when it is too late. */
static int
await(int fd, short events, int64_t until, struct error *err)
{
	struct pollfd wait = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = until ? until - clock_us() : -1;
		int ready;

		if (until && left <= 0)
			return error_set(err, ERROR_UNREACHABLE,
			    "the other side says nothing");
		ready = poll(&wait, 1, until ? (int)(left / 1000 + 1) : -1);
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return error_errno(err, "cannot wait");
	}
}

/* ---- sending ---- */

static void
put_u32(unsigned char *to, uint32_t number)
{
	for (size_t i = 0; i < 4; i++)
		to[i] = (unsigned char)(number >> (8 * i));
}

static uint32_t
get_u32(const char *from)
{
	uint32_t number = 0;

	for (size_t i = 4; i-- > 0;)
		number = number << 8 | (unsigned char)from[i];
	return number;
}

static void
advance(struct msghdr *message, size_t sent)
{
	while (message->msg_iovlen > 0 && sent >= message->msg_iov->iov_len) {
		sent -= message->msg_iov->iov_len;
		message->msg_iov++;
		message->msg_iovlen--;
	}
	if (message->msg_iovlen > 0) {
		message->msg_iov->iov_base =
		    (char *)message->msg_iov->iov_base + sent;
		message->msg_iov->iov_len -= sent;
	}
}

static int
send_frame(struct channel *channel, uint32_t what, const void *data,
    size_t size, int64_t until, struct error *err)
{
	unsigned char head[HEAD];
	struct iovec parts[2] = { { head, HEAD },
		{ (void *)(uintptr_t)data, size } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	put_u32(head, (uint32_t)size);
	put_u32(head + 4, what);
	while (message.msg_iovlen > 0) {
		ssize_t sent =
		    sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent >= 0)
			advance(&message, (size_t)sent);
		else if (errno == EAGAIN) {
			if (await(channel->fd, POLLOUT, until, err) < 0)
				return -1;
		} else if (errno != EINTR) {
			return error_set(err, ERROR_UNREACHABLE,
			    "the other side is gone: %s", strerror(errno));
		}
	}
	return 0;
}

int
channel_send(struct channel *channel, const ProtobufCMessage *message,
    int64_t until, struct error *err)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	auto_free uint8_t *data = xmalloc(size);

	if (size > CHANNEL_MESSAGE)
		return error_set(
		    err, ERROR_USAGE, "a message of %zu bytes", size);
	protobuf_c_message_pack(message, data);
	return send_frame(channel, 0, data, size, until, err);
}

int
channel_send_data(struct channel *channel, uint32_t item, const void *data,
    size_t size, int64_t until, struct error *err)
{
	const char *at = data;

	do {
		size_t piece = size < CHANNEL_CHUNK ? size : CHANNEL_CHUNK;

		if (send_frame(channel, item + 1, at, piece, until, err) < 0)
			return -1;
		at += piece;
		size -= piece;
	} while (size > 0);
	return 0;
}

/* ---- receiving ---- */

/* More bytes: 1, or 0 at the end, or -1. */
static int
read_more(struct channel *channel, int64_t until, struct error *err)
{
	char chunk[READ_AT_ONCE];

	for (;;) {
		ssize_t got =
		    recv(channel->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

		if (got > 0) {
			buf_add(&channel->in, chunk, (size_t)got);
			return 1;
		}
		if (got == 0)
			return 0;
		if (errno == EAGAIN) {
			if (await(channel->fd, POLLIN, until, err) < 0)
				return -1;
		} else if (errno != EINTR) {
			return error_set(err, ERROR_UNREACHABLE,
			    "the other side is gone: %s", strerror(errno));
		}
	}
}

static void
drop_used(struct channel *channel)
{
	memmove(channel->in.data, channel->in.data + channel->used,
	    channel->in.len - channel->used);
	channel->in.len -= channel->used;
	channel->used = 0;
}

/* Until `size` bytes are there; 1, or 0 if the end comes before the first, or -1. */
static int
fill(struct channel *channel, size_t size, int64_t until, struct error *err)
{
	while (channel->in.len < size) {
		int more = read_more(channel, until, err);

		if (more > 0)
			continue;
		if (more == 0 && channel->in.len > 0)
			return error_set(err, ERROR_UNREACHABLE,
			    "the other side ended in the middle of a frame");
		return more;
	}
	return 1;
}

int
channel_next(struct channel *channel, struct channel_frame *frame,
    int64_t until, struct error *err)
{
	uint32_t size, what;
	int rc;

	if (channel->used > 0)
		drop_used(channel);
	rc = fill(channel, HEAD, until, err);
	if (rc <= 0)
		return rc;
	size = get_u32(channel->in.data);
	what = get_u32(channel->in.data + 4);
	if (size > (what ? CHANNEL_CHUNK : CHANNEL_MESSAGE) ||
	    what > CHANNEL_KEYS)
		return error_set(err, ERROR_CORRUPT, "not a frame of ours");
	rc = fill(channel, HEAD + size, until, err);
	if (rc <= 0)
		return rc;
	channel->used = HEAD + size;
	*frame = (struct channel_frame){ .is_message = what == 0,
		.item = what ? what - 1 : 0,
		.data = channel->in.data + HEAD,
		.size = size };
	return 1;
}

ProtobufCMessage *
channel_unpack(const struct channel_frame *frame,
    const ProtobufCMessageDescriptor *type, struct error *err)
{
	ProtobufCMessage *message = frame->is_message
	    ? protobuf_c_message_unpack(
	          type, NULL, frame->size, (const uint8_t *)frame->data)
	    : NULL;

	if (!message)
		error_set(
		    err, ERROR_CORRUPT, "expected a %s", type->short_name);
	return message;
}

ProtobufCMessage *
channel_receive(struct channel *channel, const ProtobufCMessageDescriptor *type,
    int64_t until, struct error *err)
{
	struct channel_frame frame;
	int rc = channel_next(channel, &frame, until, err);

	if (rc == 0)
		error_set(err, ERROR_UNREACHABLE, "the other side hung up");
	return rc > 0 ? channel_unpack(&frame, type, err) : NULL;
}

/* ---- keys ---- */

Tarn__DaemonKey
channel_key_of(const struct key *key)
{
	Tarn__DaemonKey to = TARN__DAEMON_KEY__INIT;

	to.space = key->space;
	to.digest.data = (uint8_t *)(uintptr_t)key->digest.bytes;
	to.digest.len = DIGEST_SIZE;
	return to;
}

int
channel_key(const Tarn__DaemonKey *from, struct key *key, struct error *err)
{
	if (!from || from->space > KEY_BLOB ||
	    from->digest.len != DIGEST_SIZE || from->mode > WRITE_REPLACE)
		return error_set(err, ERROR_CORRUPT, "not a key");
	key->space = (enum key_space)from->space;
	memcpy(key->digest.bytes, from->digest.data, DIGEST_SIZE);
	return 0;
}

bool
channel_is_ours(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	    peer.uid == geteuid();
}
