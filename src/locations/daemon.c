#include "locations/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
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
#define START_MS 3000      /* ... and listens within this time ... */
#define LEAST_MS 100       /* ... which is not less than this */
#define AVOID_MAX 60       /* seconds */

/* ---- the folder ---- */

static int
nobody_there(struct error *err)
{
	int sys = errno;

	(void)error_set(err, ERROR_SYSTEM, "tarnd does not run");
	err->sys = sys;
	return -1;
}

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
	if (fd < 0 && errno == ENOENT && !make)
		return nobody_there(err);
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

/* Many that meet the same trouble side by side are one. */
static void
avoid(int folder)
{
	auto_close int fd = -1;

	if (avoided(folder) > 0)
		return;
	fd = openat(folder, "avoid",
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
		return errno == ENOENT || errno == ECONNREFUSED
		    ? nobody_there(err)
		    : error_errno(err, "cannot connect to tarnd");
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

/* Who waits no longer than `until` (0: any time) may find it there later. */
static int
start(const char *tarn_dir, int64_t until, struct error *err)
{
	int64_t left = until ? (until - clock_us()) / 1000 : START_MS;
	int wait = left < LEAST_MS ? LEAST_MS
	    : left < START_MS      ? (int)left
	                           : START_MS;

	auto_free char *dir = xasprintf("TARN_DIR=%s", tarn_dir);
	const char *const words[] = { "tarnd", NULL };
	const char *const variables[] = { dir, NULL };

	return tarn_program_run(words, variables, wait, err);
}

static int
connect_or_start(const char *tarn_dir, int folder, enum daemon_use use,
    int64_t until, struct error *err)
{
	int fd = connect_to(folder, err);

	if (fd >= 0 || !is_absent(err) || use != DAEMON_START)
		return fd;
	if (start(tarn_dir, until, err) < 0) {
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

/* Connected, and greeted; the answer to that is still to be heard. */
static int
open_in(const char *tarn_dir, int folder, enum daemon_use use, int64_t until,
    struct channel *channel, struct error *err)
{
	int64_t wait = avoided(folder);

	if (wait > 0)
		return error_set(err, ERROR_UNREACHABLE,
		    "tarnd could not be started or did not answer; it is "
		    "tried again in %d s",
		    (int)wait);
	channel->fd = connect_or_start(tarn_dir, folder, use, until, err);
	return channel->fd < 0 ? -1 : send_greeting(channel, err);
}

/* After trouble, nobody tries for a while; when it is over, anybody does. */
static int
hear_in(int folder, struct channel *channel, struct error *err)
{
	if (hear_greeting(channel, err) == 0) {
		if (faccessat(folder, "avoid", F_OK, 0) == 0)
			(void)unlinkat(folder, "avoid", 0);
		return 0;
	}
	if (err->kind != ERROR_USAGE)
		avoid(folder);
	channel_close(channel);
	return -1;
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
	if (open_in(tarn_dir, folder, use, 0, channel, err) == 0)
		return hear_in(folder, channel, err);
	channel_close(channel);
	return -1;
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

/* ---- by hand ---- */

void
daemon_forgive(const char *tarn_dir)
{
	struct error err;
	auto_close int folder = daemon_folder(tarn_dir, false, &err);

	if (folder >= 0)
		(void)unlinkat(folder, "avoid", 0);
}

bool
daemon_has_spool(const char *tarn_dir)
{
	auto_free char *path = xasprintf("%s/daemon/spool", tarn_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool any = false;

	while (dir && !any && (entry = readdir(dir)))
		any = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return any;
}

/* It holds the lock to its very end. */
static int
await_end(int folder, int64_t until, struct error *err)
{
	auto_close int fd = openat(folder, "lock", O_RDWR | O_CLOEXEC);
	struct timespec pause = { .tv_nsec = 5000000 };

	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (clock_us() > until)
			return error_set(
			    err, ERROR_SYSTEM, "tarnd does not end");
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

int
daemon_stop(const char *tarn_dir, int64_t until, struct error *err)
{
	auto_close int folder = daemon_folder(tarn_dir, false, err);
	auto_close int fd = -1;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (folder < 0)
		return error_set(err, ERROR_USAGE, "tarnd does not run");
	fd = connect_to(folder, err);
	if (fd < 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    kill(peer.pid, SIGTERM) < 0)
		return error_errno(err, "cannot end tarnd");
	return await_end(folder, until, err);
}

/* ---- this process's own connection ---- */

static struct {
	char *tarn_dir; /* owned */
	enum daemon_use use;
	struct channel channel;
	int folder;
	uint32_t which;
	bool greeted, lost;
	bool late; /* it was lost since it took long to start: look again */
	struct error why; /* there is none any more */
} own = { .channel = CHANNEL_INIT, .folder = -1 };

void
daemon_set_up(const char *tarn_dir, enum daemon_use use)
{
	daemon_hang_up();
	free(own.tarn_dir);
	own.tarn_dir = tarn_dir ? xstrdup(tarn_dir) : NULL;
	own.use = tarn_dir ? use : DAEMON_OFF;
	own.lost = own.late = false;
}

void
daemon_hang_up(void)
{
	channel_close(&own.channel);
	if (own.folder >= 0)
		close(own.folder);
	own.folder = -1;
}

static int
own_folder(struct error *err)
{
	if (own.folder < 0)
		own.folder =
		    daemon_folder(own.tarn_dir, own.use == DAEMON_START, err);
	return own.folder;
}

static int
open_own(int64_t until, struct error *err)
{
	if (own_folder(err) < 0 ||
	    open_in(own.tarn_dir, own.folder, own.use, until, &own.channel,
	        err) < 0) {
		own.late = err->sys == ETIMEDOUT;
		return -1;
	}
	own.greeted = false;
	return 0;
}

/* The one that was started and not waited for listens by now. */
static bool
join_late(void)
{
	struct error err;

	if (!own.late || own.folder < 0)
		return false;
	own.channel.fd = connect_to(own.folder, &err);
	if (own.channel.fd < 0 || send_greeting(&own.channel, &err) < 0)
		return false;
	own.greeted = own.lost = own.late = false;
	return true;
}

struct channel *
daemon_link(uint32_t *which, int64_t until, struct error *err)
{
	*which = own.which;
	if (own.channel.fd >= 0)
		return &own.channel;
	if (own.use == DAEMON_OFF) {
		(void)error_set(err, ERROR_SKIPPED, "offline");
		return NULL;
	}
	if (own.lost ? join_late() : open_own(until, &own.why) == 0) {
		*which = ++own.which;
		return &own.channel;
	}
	channel_close(&own.channel);
	own.lost = true;
	own.why.kind = ERROR_SKIPPED;
	*err = own.why;
	return NULL;
}

int
daemon_hear(struct error *err)
{
	if (own.greeted)
		return 0;
	own.greeted = true;
	return hear_in(own.folder, &own.channel, err);
}

bool
daemon_says_away(const struct digest *id, struct error *err)
{
	char hex[DIGEST_HEX + 1], path[DIGEST_HEX + 8], text[300];
	struct error ignored;
	auto_close int fd = -1;
	struct stat st;
	ssize_t got;

	if (own.use == DAEMON_OFF || own_folder(&ignored) < 0)
		return false;
	snprintf(path, sizeof(path), "away/%s", digest_hex(id, hex));
	fd = openat(own.folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0 ||
	    st.st_mtim.tv_sec + DAEMON_AWAY_S < time(NULL) ||
	    daemon_has_spool(own.tarn_dir))
		return false;
	got = read(fd, text, sizeof(text) - 1);
	text[got > 0 ? got : 0] = '\0';
	(void)error_set(err, ERROR_SKIPPED, "not asked: %s", text);
	return true;
}

void
daemon_wake(void)
{
	struct error err;
	uint32_t which;

	if (own.use == DAEMON_START && daemon_link(&which, 0, &err))
		(void)daemon_hear(&err);
}

void
daemon_lost(const struct error *why)
{
	channel_close(&own.channel);
	own.lost = true;
	own.why = *why;
	(void)error_wrap(&own.why, "tarnd");
}
