/*
 * What a client hears of tarnd: the bytes are the answers to a read, a question and a
 * write. They come from a socket where tarnd would listen.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/daemon.h"
#include "locations/kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/tarn-fuzz-XXXXXX";
static int listener = -1;

static void
remove_folder(void)
{
	auto_free char *command = xasprintf("rm -rf '%s'", folder);

	(void)!system(command);
}

static void
set_up(void)
{
	auto_free char *path = NULL;
	struct sockaddr_un address;
	struct error err = { 0 };
	int fd;

	if (listener >= 0)
		return;
	if (!mkdtemp(folder))
		abort();
	atexit(remove_folder);
	fd = daemon_folder(folder, true, &err);
	daemon_address(fd, &address);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 10) < 0)
		abort();
	close(fd);
}

struct bytes {
	const uint8_t *data;
	size_t size;
	int over; /* closed at the far end: nobody will come */
};

/* One connection: say all, then listen to the end. */
static void *
serve(void *arg)
{
	const struct bytes *bytes = arg;
	struct pollfd come[] = { { listener, POLLIN, 0 },
		{ bytes->over, POLLIN, 0 } };
	char chunk[4096];
	int fd;

	(void)poll(come, 2, -1);
	if (!come[0].revents)
		return NULL; /* on a busy machine it may not have come at all */
	fd = accept(listener, NULL, NULL);
	(void)!send(fd, bytes->data, bytes->size, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (recv(fd, chunk, sizeof(chunk), 0) > 0)
		;
	close(fd);
	return NULL;
}

static void
ask(struct location *loc)
{
	struct key key = { KEY_BLOB, { { 1 } } };
	struct location_read_request reads[3] = { { .key = key },
		{ .key = key }, { .key = { KEY_INDEX, { { 2 } } } } };
	struct error err = { 0 };
	struct source *in = source_memory("hello", 5);

	for (size_t i = 0; i < 3; i++)
		reads[i].out = sink_null();
	location_read_batch(loc, reads, 3);
	for (size_t i = 0; i < 3; i++)
		sink_close(reads[i].out);
	(void)location_contains(loc, &key, &err);
	(void)location_write(loc, &key, in, WRITE_REPLACE, &err);
	source_close(in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Tarn__Location config = TARN__LOCATION__INIT;
	int over[2];
	struct bytes bytes = { data, size, -1 };
	struct error err = { 0 };
	struct location *loc;
	pthread_t thread;

	set_up();
	if (pipe2(over, O_CLOEXEC) < 0)
		return 0;
	bytes.over = over[0];
	if (pthread_create(&thread, NULL, serve, &bytes) != 0)
		return 0;
	daemon_set_up(folder, DAEMON_JOIN);
	config.kind = (char *)(uintptr_t) "redis";
	config.place = (char *)(uintptr_t) "redis://127.0.0.1:1";
	loc = proxy_redis.open(&config, &err);
	ask(loc);
	location_close(loc);
	daemon_set_up(NULL, DAEMON_OFF);
	close(over[1]);
	pthread_join(thread, NULL);
	close(over[0]);
	return 0;
}
