/*
 * What tarnd hears of a client. Requests that name a location are left out: it would
 * be asked.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "daemon/serve.h"
#include "daemon/uploads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/tarn-fuzz-XXXXXX";

static void
remove_folder(void)
{
	auto_free char *command = xasprintf("rm -rf '%s'", folder);

	(void)!system(command);
}

static void
set_up(void)
{
	static bool done;
	struct error err = { 0 };

	if (done)
		return;
	done = true;
	if (!mkdtemp(folder) || uploads_open(folder, 1 << 20, &err) < 0)
		abort();
	atexit(remove_folder);
}

struct bytes {
	const uint8_t *data;
	size_t size;
	int fd;
};

static void *
say(void *arg)
{
	struct bytes *bytes = arg;
	char chunk[4096];

	(void)!send(bytes->fd, bytes->data, bytes->size, MSG_NOSIGNAL);
	shutdown(bytes->fd, SHUT_WR);
	while (recv(bytes->fd, chunk, sizeof(chunk), 0) > 0)
		;
	return NULL;
}

/* Does any frame name a location? */
static bool
names_location(const uint8_t *data, size_t size)
{
	bool named = false;

	while (size >= 8 && !named) {
		size_t len = data[0] | data[1] << 8 | (size_t)data[2] << 16 |
		    (size_t)data[3] << 24;
		Tarn__DaemonRequest *request;

		if (len > size - 8)
			break;
		request = tarn__daemon_request__unpack(NULL, len, data + 8);
		named = request && request->opened;
		if (request)
			tarn__daemon_request__free_unpacked(request, NULL);
		data += 8 + len;
		size -= 8 + len;
	}
	return named;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct server server = { .folder = -1, .wake = -1 };
	struct channel channel;
	pthread_t thread;
	struct bytes bytes = { .data = data, .size = size };
	int ends[2];

	set_up();
	if (names_location(data, size))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return 0;
	bytes.fd = ends[1];
	channel_init(&channel, ends[0]);
	if (pthread_create(&thread, NULL, say, &bytes) == 0) {
		serve(&server, &channel);
		channel_close(&channel);
		pthread_join(thread, NULL);
	}
	close(ends[1]);
	return 0;
}
