#include "locations/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tarn_program.h"
#include "base/version.h"

#define GREETING_US 300000 /* tarnd greets at once, unless it is stopped */
#define START_MS 1000      /* ... and listens within this time */
#define AVOID_MAX 60       /* seconds */

/* ---- the folder ---- */

int
daemon_folder(const char *tarn_dir, bool make, struct error *err)
{
	auto_free char *path = xasprintf("%s/daemon", tarn_dir);
	auto_close int fd = -1;
	struct stat st;

	if (make && mkdir(path, 0700) < 0 && errno == ENOENT &&
	    file_make_folder(tarn_dir, err) == 0)
		(void)mkdir(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "cannot open '%s'", path);
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return error_set(err, ERROR_DENIED,
		    "'%s' is not private: expected our own, with mode 0700",
		    path);
	return take_fd(&fd);
}

void
daemon_address(int folder, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path),
	    "/proc/self/fd/%d/socket", folder);
}

/* ---- trouble with tarnd itself ---- */

/* How long nobody tries any more, in seconds; 0: it may be tried. */
static int64_t
avoided(int folder)
{
	struct stat st;
	int64_t wait, left;

	if (fstatat(folder, "avoid", &st, 0) < 0)
		return 0;
	wait = st.st_size < 6 ? 1 << st.st_size : AVOID_MAX;
	left = st.st_mtim.tv_sec + wait - time(NULL);
	return left > 0 && left <= wait ? left : 0;
}

static void
avoid(int folder)
{
	auto_close int fd = openat(folder, "avoid",
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		(void)!write(fd, "!", 1);
}

/* ---- connecting ---- */

static int
connect_to(int folder, struct error *err)
{
	auto_close int fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;

	daemon_address(folder, &address);
	if (fd < 0)
		return error_errno(err, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(err, "cannot connect to tarnd");
	if (!channel_is_ours(fd))
		return error_set(
		    err, ERROR_DENIED, "tarnd's socket is another user's");
	return take_fd(&fd);
}

/* Does this mean that nobody listens? */
static bool
is_absent(const struct error *err)
{
	return err->kind == ERROR_SYSTEM &&
	    (err->sys == ENOENT || err->sys == ECONNREFUSED);
}

static int
start(const char *tarn_dir, struct error *err)
{
	auto_free char *dir = xasprintf("TARN_DIR=%s", tarn_dir);
	const char *const words[] = { "tarnd", NULL };
	const char *const variables[] = { dir, NULL };

	return tarn_program_run(words, variables, START_MS, err);
}

static int
connect_or_start(
    const char *tarn_dir, int folder, enum daemon_use use, struct error *err)
{
	int fd = connect_to(folder, err);

	if (fd >= 0 || !is_absent(err) || use != DAEMON_START)
		return fd;
	if (start(tarn_dir, err) < 0) {
		avoid(folder);
		return -1;
	}
	return connect_to(folder, err);
}

static uint64_t
action_number(void)
{
	static uint64_t number;
	struct timespec now;

	if (number == 0 &&
	    getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0) {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		number = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^
		    (uint64_t)getpid() << 16;
	}
	return number;
}

/* Does it take our requests? It is heard later what it says to this. */
static int
send_greeting(struct channel *channel, struct error *err)
{
	Tarn__DaemonGreeting ours;
	char version[] = TARN_VERSION;

	tarn__daemon_greeting__init(&ours);
	ours.protocol = CHANNEL_PROTOCOL;
	ours.version = version;
	ours.action = action_number();
	return channel_send(channel, &ours.base, clock_us() + GREETING_US, err);
}

static int
hear_greeting(struct channel *channel, struct error *err)
{
	ProtobufCMessage *message = channel_receive(channel,
	    &tarn__daemon_greeting__descriptor, clock_us() + GREETING_US, err);
	Tarn__DaemonGreeting *theirs = (Tarn__DaemonGreeting *)message;
	int rc = 0;

	if (!theirs)
		return -1;
	if (*theirs->refusal)
		rc = error_set(err, ERROR_USAGE, "tarnd: %s", theirs->refusal);
	else if (theirs->protocol != CHANNEL_PROTOCOL)
		rc = error_set(err, ERROR_USAGE,
		    "tarnd is of version '%s', this is %s", theirs->version,
		    TARN_VERSION);
	protobuf_c_message_free_unpacked(message, NULL);
	return rc;
}

static int
open_in(const char *tarn_dir, int folder, enum daemon_use use,
    struct channel *channel, struct error *err)
{
	int64_t wait = avoided(folder);

	if (wait > 0)
		return error_set(err, ERROR_UNREACHABLE,
		    "tarnd could not be started or did not answer; it is "
		    "tried again in %d s",
		    (int)wait);
	channel->fd = connect_or_start(tarn_dir, folder, use, err);
	if (channel->fd < 0)
		return -1;
	if (send_greeting(channel, err) < 0 ||
	    hear_greeting(channel, err) < 0) {
		if (err->kind != ERROR_USAGE)
			avoid(folder);
		channel_close(channel);
		return -1;
	}
	(void)unlinkat(folder, "avoid", 0);
	return 0;
}

int
daemon_open(const char *tarn_dir, enum daemon_use use, struct channel *channel,
    struct error *err)
{
	auto_close int folder = -1;

	channel_init(channel, -1);
	folder = daemon_folder(tarn_dir, use == DAEMON_START, err);
	if (folder < 0)
		return -1;
	return open_in(tarn_dir, folder, use, channel, err);
}

ProtobufCMessage *
daemon_ask(struct channel *channel, enum channel_request kind, uint64_t wait_us,
    const ProtobufCMessageDescriptor *type, int64_t until, struct error *err)
{
	Tarn__DaemonRequest request;

	tarn__daemon_request__init(&request);
	request.kind = kind;
	request.wait_us = wait_us;
	if (channel_send(channel, &request.base, until, err) < 0)
		return NULL;
	return channel_receive(channel, type, until, err);
}

/* ---- this process's own connection ---- */

static struct {
	char *tarn_dir; /* owned */
	enum daemon_use use;
	struct channel channel;
	uint32_t which;
	bool lost;
	struct error why; /* there is none any more */
} own = { .channel = CHANNEL_INIT };

void
daemon_set_up(const char *tarn_dir, enum daemon_use use)
{
	daemon_hang_up();
	free(own.tarn_dir);
	own.tarn_dir = tarn_dir ? xstrdup(tarn_dir) : NULL;
	own.use = tarn_dir ? use : DAEMON_OFF;
	own.lost = false;
}

void
daemon_hang_up(void)
{
	channel_close(&own.channel);
}

struct channel *
daemon_link(uint32_t *which, struct error *err)
{
	*which = own.which;
	if (own.channel.fd >= 0)
		return &own.channel;
	if (own.use == DAEMON_OFF)
		(void)error_set(&own.why, ERROR_SKIPPED, "offline");
	else if (!own.lost &&
	    daemon_open(own.tarn_dir, own.use, &own.channel, &own.why) == 0) {
		*which = ++own.which;
		return &own.channel;
	}
	own.lost = true;
	own.why.kind = ERROR_SKIPPED;
	*err = own.why;
	return NULL;
}

void
daemon_wake(void)
{
	struct error err;
	uint32_t which;

	if (own.use == DAEMON_START)
		(void)daemon_link(&which, &err);
}

void
daemon_lost(const struct error *why)
{
	channel_close(&own.channel);
	own.lost = true;
	own.why = *why;
	(void)error_wrap(&own.why, "tarnd");
}
