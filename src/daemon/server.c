#include "daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/serve.h"
#include "daemon/thread.h"
#include "daemon/uploads.h"
#include "locations/daemon.h"

#define BACKLOG 1024
#define RIVAL_US 2000000 /* for another one that starts or ends */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned clients;
static bool stopping;

/* ---- starting ---- */

static bool
somebody_listens(int folder)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	daemon_address(folder, &address);
	return fd >= 0 &&
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* HIT: we have the lock. MISS: who has it listens. */
static int
take_lock(struct server *server, struct error *err)
{
	int64_t end = clock_us() + RIVAL_US;
	struct timespec pause = { .tv_nsec = 5000000 };

	server->lock = openat(server->folder, "lock",
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (server->lock < 0)
		return error_errno(err, "cannot open the lock");
	while (flock(server->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_errno(err, "cannot lock");
		if (somebody_listens(server->folder))
			return 0;
		if (clock_us() > end)
			return error_set(err, ERROR_SYSTEM,
			    "another tarnd, on this host or another, has the "
			    "lock and does not listen");
		(void)nanosleep(&pause, NULL);
	}
	return 1;
}

static int
listen_there(struct server *server, struct error *err)
{
	struct sockaddr_un address;
	mode_t mask;
	int rc;

	server->listener =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->listener < 0)
		return error_errno(err, "cannot make a socket");
	daemon_address(server->folder, &address);
	(void)unlinkat(server->folder, "socket", 0);
	mask = umask(0177);
	rc = bind(
	    server->listener, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (rc < 0 || listen(server->listener, BACKLOG) < 0)
		return error_errno(err, "cannot listen");
	return 0;
}

int
server_open(struct server *server, const char *tarn_dir, struct error *err)
{
	int rc;

	*server = (struct server){ .lock = -1,
		.listener = -1,
		.idle_us = (int64_t)SERVER_IDLE_S * 1000000,
		.started = clock_us() };
	server->folder = daemon_folder(tarn_dir, true, err);
	if (server->folder < 0)
		return -1;
	rc = take_lock(server, err);
	if (rc <= 0)
		return rc;
	server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake < 0)
		return error_errno(err, "cannot make an event");
	return listen_there(server, err) < 0 ? -1 : 1;
}

/* ---- clients ---- */

unsigned
server_clients(void)
{
	unsigned count;

	pthread_mutex_lock(&lock);
	count = clients;
	pthread_mutex_unlock(&lock);
	return count;
}

static void
count_client(const struct server *server, int change)
{
	pthread_mutex_lock(&lock);
	clients += (unsigned)change;
	pthread_mutex_unlock(&lock);
	if (change < 0)
		(void)!write(server->wake, &(uint64_t){ 1 }, 8);
}

struct client {
	struct server *server;
	int fd;
};

static void *
serve_client(void *arg)
{
	struct client *client = arg;
	struct server *server = client->server;
	struct channel channel;

	channel_init(&channel, client->fd);
	free(client);
	serve(server, &channel);
	channel_close(&channel);
	count_client(server, -1);
	return NULL;
}

static void
welcome(struct server *server, int fd)
{
	struct client *client;

	if (!channel_is_ours(fd) || server_clients() >= SERVER_CLIENTS) {
		close(fd);
		return;
	}
	client = xmalloc(sizeof(*client));
	*client = (struct client){ server, fd };
	count_client(server, 1);
	if (thread_start(serve_client, client) == 0)
		return;
	count_client(server, -1);
	free(client);
	close(fd);
}

/* All that wait; how many. */
static unsigned
accept_all(struct server *server)
{
	unsigned count = 0;
	int fd;

	while ((fd = accept4(server->listener, NULL, NULL,
	            SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		welcome(server, fd);
		count++;
	}
	return count;
}

/* ---- the end ---- */

void
server_stop(struct server *server)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_mutex_unlock(&lock);
	(void)!write(server->wake, &(uint64_t){ 1 }, 8);
}

static bool
is_stopping(void)
{
	bool stop;

	pthread_mutex_lock(&lock);
	stop = stopping;
	pthread_mutex_unlock(&lock);
	return stop;
}

/* Nobody can find us any more; who did so a moment ago is served. */
static bool
may_end(struct server *server)
{
	struct error err = { 0 };

	(void)unlinkat(server->folder, "socket", 0);
	if (accept_all(server) == 0)
		return true;
	close(server->listener);
	if (listen_there(server, &err) < 0)
		log_error(&err, "tarnd");
	return false;
}

int
server_run(struct server *server)
{
	struct pollfd wait[] = { { .fd = server->listener, .events = POLLIN },
		{ .fd = server->wake, .events = POLLIN } };
	int64_t busy_at = clock_us();
	uint64_t count;

	(void)listen(server->listener, BACKLOG); /* it is us now who does */
	while (!is_stopping()) {
		int64_t idle;

		(void)poll(wait, 2, 1000);
		(void)!read(server->wake, &count, sizeof(count));
		if (accept_all(server) > 0 || server_clients() > 0 ||
		    uploads_sum(NULL).count > 0)
			busy_at = clock_us();
		idle = clock_us() - busy_at;
		if (idle >= server->idle_us && may_end(server))
			return 0;
		wait[0].fd = server->listener;
	}
	(void)unlinkat(server->folder, "socket", 0);
	return 0;
}
