#include "remote/ssh_agent.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

/* draft-miller-ssh-agent */
enum { ASK_KEYS = 11, KEYS = 12, ASK_SIGN = 13, SIGNATURE = 14 };
#define ANSWER_MAX (256 * 1024)

int
ssh_agent_open(struct ssh_agent *agent, struct ssh *ssh, const char *path,
    struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	*agent = (struct ssh_agent){ .ssh = ssh, .fd = -1 };
	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(
		    err, ERROR_USAGE, "'%s' is too long for a socket", path);
	strcpy(addr.sun_path, path);
	agent->fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (agent->fd >= 0 &&
	    connect(agent->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	error_errno(err, "cannot connect to the agent at '%s'", path);
	ssh_agent_close(agent);
	return -1;
}

void
ssh_agent_close(struct ssh_agent *agent)
{
	if (agent->fd >= 0)
		close(agent->fd);
	agent->fd = -1;
}

/* ---- messages ---- */

static void
add_u32(struct buf *to, size_t number)
{
	unsigned char bytes[4] = { (unsigned char)(number >> 24),
		(unsigned char)(number >> 16), (unsigned char)(number >> 8),
		(unsigned char)number };

	buf_add(to, bytes, sizeof(bytes));
}

static void
add_text(struct buf *to, const void *data, size_t size)
{
	add_u32(to, size);
	buf_add(to, data, size);
}

/* A text at *at, which moves behind it. */
static bool
take_text(const struct buf *from, size_t *at, const unsigned char **text,
    size_t *size)
{
	const unsigned char *p = (const unsigned char *)from->data + *at;

	if (from->len - *at < 4)
		return false;
	*size =
	    (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (*size > from->len - *at - 4)
		return false;
	*text = p + 4;
	*at += 4 + *size;
	return true;
}

static int
fail(struct ssh_agent *agent, const char *what, struct error *err)
{
	return error_set(err, ERROR_UNREACHABLE, "the ssh agent %s%s", what,
	    agent->ssh->late ? " in time" : "");
}

static int
send_all(struct ssh_agent *agent, const struct buf *message, struct error *err)
{
	for (size_t at = 0; at < message->len;) {
		ssize_t sent = send(agent->fd, message->data + at,
		    message->len - at, MSG_NOSIGNAL);

		if (sent > 0)
			at += (size_t)sent;
		else if (errno != EAGAIN ||
		    !ssh_poll(agent->ssh, agent->fd, POLLOUT))
			return fail(agent, "takes no question", err);
	}
	return 0;
}

static int
receive(struct ssh_agent *agent, size_t size, struct buf *to, struct error *err)
{
	char chunk[4096];

	for (size_t len = 0; len < size;) {
		size_t want = size - len;
		ssize_t got = recv(agent->fd, chunk,
		    want < sizeof(chunk) ? want : sizeof(chunk), 0);

		if (got > 0) {
			buf_add(to, chunk, (size_t)got);
			len += (size_t)got;
		} else if (got == 0 || errno != EAGAIN ||
		    !ssh_poll(agent->ssh, agent->fd, POLLIN)) {
			return fail(agent, "doesn't answer", err);
		}
	}
	return 0;
}

static int
ask(struct ssh_agent *agent, const struct buf *request, struct buf *answer,
    struct error *err)
{
	auto_buf message = BUF_INIT;
	const unsigned char *p;
	size_t size;

	add_text(&message, request->data, request->len);
	buf_reset(answer);
	if (send_all(agent, &message, err) < 0 ||
	    receive(agent, 4, answer, err) < 0)
		return -1;
	p = (const unsigned char *)answer->data;
	size =
	    (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	buf_reset(answer);
	if (size < 1 || size > ANSWER_MAX)
		return error_set(err, ERROR_CORRUPT,
		    "the ssh agent's answer has %zu bytes", size);
	return receive(agent, size, answer, err);
}

/* ---- questions ---- */

int
ssh_agent_keys(struct ssh_agent *agent, struct buf *answer, struct error *err)
{
	auto_buf request = BUF_INIT;

	buf_add(&request, &(char){ ASK_KEYS }, 1);
	return ask(agent, &request, answer, err);
}

int
ssh_agent_next(const struct buf *answer, size_t *at, struct ssh_agent_key *key)
{
	const unsigned char *comment, *type;
	size_t len, inner = 0;
	struct buf blob;

	if (*at == 0)
		*at = 5; /* the type, and how many there are */
	if (answer->len < 5 || answer->data[0] != KEYS)
		return -1;
	if (*at == answer->len)
		return 0;
	if (!take_text(answer, at, &key->data, &key->size) ||
	    !take_text(answer, at, &comment, &len))
		return -1;
	blob = (struct buf){ .data = (char *)(uintptr_t)key->data,
		.len = key->size };
	if (!take_text(&blob, &inner, &type, &key->type_len))
		return -1;
	key->type = (const char *)type;
	return 1;
}

int
ssh_agent_parse_signature(
    const struct buf *answer, struct buf *to, struct error *err)
{
	size_t at = 1, inner = 0, size;
	const unsigned char *text;
	struct buf blob;

	if (answer->len < 1 || answer->data[0] != SIGNATURE)
		return error_set(
		    err, ERROR_DENIED, "the ssh agent doesn't sign");
	if (take_text(answer, &at, &text, &size)) {
		blob = (struct buf){ .data = (char *)(uintptr_t)text,
			.len = size };
		if (take_text(&blob, &inner, &text, &size) &&
		    take_text(&blob, &inner, &text, &size)) {
			buf_add(to, text, size);
			return 0;
		}
	}
	return error_set(
	    err, ERROR_CORRUPT, "the ssh agent's signature is damaged");
}

int
ssh_agent_sign(struct ssh_agent *agent, const struct ssh_agent_key *key,
    const void *data, size_t size, struct buf *to, struct error *err)
{
	auto_buf request = BUF_INIT;
	auto_buf answer = BUF_INIT;

	buf_add(&request, &(char){ ASK_SIGN }, 1);
	add_text(&request, key->data, key->size);
	add_text(&request, data, size);
	add_u32(&request, 0);
	if (ask(agent, &request, &answer, err) < 0)
		return -1;
	return ssh_agent_parse_signature(&answer, to, err);
}
