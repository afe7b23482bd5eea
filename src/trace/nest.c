#include "trace/nest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

void
nest_open(struct nest *nest)
{
	struct nest_greeting greeting = { 0 };
	int fd = open(NEST_PATH, O_RDWR | O_CLOEXEC);

	*nest = (struct nest){ .mode = NEST_NONE,
		.socket = -1,
		.request = TARN__NEST_REQUEST__INIT };
	if (fd < 0) {
		nest->mode = errno == NEST_ERROR ? NEST_WHOLE : NEST_NONE;
		return;
	}
	nest->mode = NEST_WHOLE;
	if (recv(fd, &greeting, sizeof(greeting), MSG_DONTWAIT) ==
	        (ssize_t)sizeof(greeting) &&
	    greeting.magic == NEST_MAGIC && greeting.version == NEST_VERSION &&
	    greeting.mode == NEST_OPEN && greeting.strays.count >= 0 &&
	    greeting.strays.count <= STRAYS_MAX) {
		nest->mode = NEST_OPEN;
		nest->socket = fd;
		nest->strays = greeting.strays;
	} else
		close(fd);
}

void
nest_close(struct nest *nest)
{
	if (nest->socket >= 0)
		close(nest->socket);
	nest->socket = -1;
	nest->mode = NEST_NONE;
	nest_forget(nest);
}

ProtobufCBinaryData
nest_bytes(const char *text)
{
	return (
	    ProtobufCBinaryData){ strlen(text), (uint8_t *)(uintptr_t)text };
}

char *
nest_text(const ProtobufCBinaryData *bytes)
{
	if (bytes->len > 0 && memchr(bytes->data, '\0', bytes->len))
		return NULL;
	return xasprintf("%.*s", (int)bytes->len,
	    bytes->len > 0 ? (const char *)bytes->data : "");
}

/* ---- messages ---- */

struct head {
	uint32_t magic, size;
};

/* Room for two descriptors. */
union control {
	char room[CMSG_SPACE(2 * sizeof(int))];
	struct cmsghdr align;
};

static int
send_head(int socket, const struct head *head, const int *fds, size_t count)
{
	union control control = { { 0 } };
	struct iovec data = { (void *)(uintptr_t)head, sizeof(*head) };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
	return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(*head)
	    ? 0
	    : -1;
}

int
nest_send(int socket, const void *data, size_t size, int fd)
{
	auto_close int memory = memfd_create("tarn", MFD_CLOEXEC);
	const struct head head = { NEST_MAGIC, (uint32_t)size };
	const int fds[] = { memory, fd };

	if (memory < 0 || size > NEST_MESSAGE_MAX ||
	    file_write_all(memory, data, size) < 0)
		return -1;
	return send_head(socket, &head, fds, fd < 0 ? 1 : 2);
}

/* The descriptors that came with a message; how many. */
static size_t
take_rights(struct msghdr *message, int fds[static 2])
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c;
	     c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (count > 2)
			count = 2;
		memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	}
	return count;
}

/* Exactly `size` bytes from its start: its sender may have it open, too. */
static int
read_memory(int memory, struct buf *data, size_t size)
{
	char chunk[64 * 1024];
	size_t at = 0;

	while (at < size) {
		size_t want =
		    size - at < sizeof(chunk) ? size - at : sizeof(chunk);
		ssize_t got = pread(memory, chunk, want, (off_t)at);

		if (got <= 0)
			return -1;
		buf_add(data, chunk, (size_t)got);
		at += (size_t)got;
	}
	return 1;
}

int
nest_receive(int socket, struct buf *data, int *fd)
{
	union control control;
	struct head head = { 0, 0 };
	struct iovec room = { &head, sizeof(head) };
	struct msghdr message = {
		.msg_iov = &room,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	int fds[2] = { -1, -1 }, result = -1;
	ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (got <= 0)
		return got == 0 || errno == ECONNRESET ? 0 : -1;
	(void)take_rights(&message, fds);
	if (got == (ssize_t)sizeof(head) && head.magic == NEST_MAGIC &&
	    head.size <= NEST_MESSAGE_MAX && fds[0] >= 0)
		result = read_memory(fds[0], data, head.size);
	if (fds[0] >= 0)
		close(fds[0]);
	if (result > 0)
		*fd = fds[1];
	else if (fds[1] >= 0)
		close(fds[1]);
	return result;
}

/* ---- asking ---- */

/* Room for one more, where the count is 0 or a power of two. */
#define GROW(list, count) \
	do { \
		if (((count) & ((count)-1)) == 0) \
			(list) = xrealloc((list), (count) ? 2 * (count) : 1, \
			    sizeof(*(list))); \
	} while (0)

void
nest_seen(struct nest *nest, const char *path, uint32_t facets)
{
	Tarn__NestRequest *r = &nest->request;
	Tarn__NestSeen *seen = xmalloc(sizeof(*seen));

	tarn__nest_seen__init(seen);
	seen->path = nest_bytes(xstrdup(path));
	seen->facets = facets;
	GROW(r->seen, r->n_seen);
	r->seen[r->n_seen++] = seen;
}

void
nest_made(struct nest *nest, const char *path, int type, uint32_t flags)
{
	Tarn__NestRequest *r = &nest->request;
	Tarn__NestMade *made = xmalloc(sizeof(*made));

	tarn__nest_made__init(made);
	made->path = nest_bytes(xstrdup(path));
	made->type = (uint32_t)type;
	made->flags = flags;
	GROW(r->made, r->n_made);
	r->made[r->n_made++] = made;
}

void
nest_forget(struct nest *nest)
{
	Tarn__NestRequest *r = &nest->request;

	for (size_t i = 0; i < r->n_seen; i++) {
		free(r->seen[i]->path.data);
		free(r->seen[i]);
	}
	for (size_t i = 0; i < r->n_made; i++) {
		free(r->made[i]->path.data);
		free(r->made[i]);
	}
	free(r->seen);
	free(r->made);
	*r = (Tarn__NestRequest)TARN__NEST_REQUEST__INIT;
}

int
nest_ask(struct nest *nest, int ring, struct buf *answer, struct error *err)
{
	size_t size = tarn__nest_request__get_packed_size(&nest->request);
	auto_free uint8_t *data = xmalloc(size + 1);
	auto_buf unused = BUF_INIT;
	int fd;

	(void)tarn__nest_request__pack(&nest->request, data);
	if (nest->socket < 0 || nest_send(nest->socket, data, size, ring) < 0)
		return error_set(err, ERROR_UNREACHABLE,
		    "the outer tarn-exec can't be asked");
	if (nest_receive(nest->socket, answer ? answer : &unused, &fd) <= 0)
		return error_set(err, ERROR_UNREACHABLE,
		    "the outer tarn-exec does not answer");
	if (fd >= 0)
		close(fd);
	return 0;
}
