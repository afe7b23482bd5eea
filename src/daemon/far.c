#include "daemon/far.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/thread.h"

#define OPEN_US 10000000 /* for a connection, when nobody waits for it */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* of any; waited for by CLOCK_MONOTONIC */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct far *all;
static int away_folder = -1;

static void
init(void)
{
	thread_cond_init(&changed);
}

void
far_lock(void)
{
	(void)pthread_once(&once, init);
	pthread_mutex_lock(&lock);
}

void
far_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

struct far *
far_next(struct far *far)
{
	return far ? far->next : all;
}

/* ---- which one ---- */

static struct far *
far_new(const Tarn__Location *config, const uint8_t *data, size_t size)
{
	struct far *far = xmalloc(sizeof(*far));

	*far = (struct far){ .account_us = FAR_CREDIT_US,
		.account_at = clock_us() };
	digest_bytes(&far->id, data, size);
	far->config = tarn__location__unpack(NULL, size, data);
	if (!far->config)
		abort();
	far->label = location_place(config);
	return far;
}

struct far *
far_of(const Tarn__Location *config)
{
	size_t size = tarn__location__get_packed_size(config);
	auto_free uint8_t *data = xmalloc(size + 1);
	struct digest id;
	struct far *far;

	tarn__location__pack(config, data);
	digest_bytes(&id, data, size);
	far_lock();
	for (far = all; far && !digest_equal(&far->id, &id);)
		far = far->next;
	if (!far) {
		far = far_new(config, data, size);
		far->next = all;
		all = far;
	}
	far_unlock();
	return far;
}

/* ---- the account ---- */

static void
regain(struct far *far)
{
	int64_t now = clock_us();

	if (far->account_us < FAR_CREDIT_US)
		far->account_us += (now - far->account_at) / FAR_REGAIN;
	far->account_at = now;
}

/* When there is enough on it again. */
static int64_t
account_ready(const struct far *far)
{
	return far->account_us < FAR_AGAIN_US
	    ? far->account_at + (FAR_AGAIN_US - far->account_us) * FAR_REGAIN
	    : 0;
}

/* ---- away, and back ---- */

void
far_set_up(int folder)
{
	struct dirent *entry;
	DIR *dir;

	(void)mkdirat(folder, "away", 0700);
	away_folder =
	    openat(folder, "away", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = away_folder < 0 ? NULL : fdopendir(dup(away_folder));
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			(void)unlinkat(away_folder, entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* For clients: the lock is held. */
static void
mark(const struct far *far)
{
	char name[DIGEST_HEX + 1];
	int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	auto_close int fd =
	    openat(away_folder, digest_hex(&far->id, name), flags, 0600);

	if (fd >= 0)
		(void)!write(fd, far->why.text, strlen(far->why.text));
}

static void
unmark(const struct far *far)
{
	char name[DIGEST_HEX + 1];

	(void)unlinkat(away_folder, digest_hex(&far->id, name), 0);
}

static void *mend(void *arg);

static void
drop_idle(struct far *far, struct location **dropped)
{
	memcpy(dropped, far->idle, sizeof(far->idle));
	for (size_t i = far->idle_count; i < FAR_OPEN; i++)
		dropped[i] = NULL;
	far->open -= far->idle_count;
	far->idle_count = 0;
}

/* Without one it would be away for good; so whoever meets that starts one. */
static void
have_mender(struct far *far)
{
	if (!far->mending && thread_start(mend, far) == 0)
		far->mending = true;
}

/* The lock is held. */
static void
go_away(struct far *far, const struct error *why)
{
	unsigned s = far->failures < 6 ? 1u << far->failures : FAR_RETRY_S;
	int64_t now = clock_us(), last = now + (int64_t)FAR_RETRY_S * 1000000;

	if (far->away)
		return;
	far->away = true;
	far->why = *why;
	far->failures++;
	far->retry_us = now + (int64_t)s * 1000000;
	if (far->retry_us < account_ready(far))
		far->retry_us = account_ready(far);
	if (far->retry_us > last)
		far->retry_us = last;
	mark(far);
	log_info("%s: skipped from now on: %s", far->label, why->text);
	have_mender(far);
	pthread_cond_broadcast(&changed);
}

/* Open a leaf and see whether the server answers. NULL with *why. */
static struct location *
try_open(struct far *far, struct error *why)
{
	static const struct key nothing = { .space = KEY_BLOB };
	struct location *loc = location_open(far->config, why);
	int64_t start = clock_us();

	if (!loc)
		return NULL;
	location_set_deadline(loc, start + OPEN_US);
	if (location_contains(loc, &nothing, why) != FAILED)
		return loc;
	location_close(loc);
	return NULL;
}

static void
add_idle(struct far *far, struct location *loc)
{
	far->limit = location_limit(loc);
	if (far->idle_count < FAR_OPEN) {
		far->idle[far->idle_count++] = loc;
	} else {
		far->open--;
		location_close(loc);
	}
	pthread_cond_broadcast(&changed);
}

/* A connection is there. */
static void
come_back(struct far *far, struct location *loc)
{
	if (far->away) {
		far->away = far->unconnected = false;
		unmark(far);
		far->upload_retry_us = 0;
		far->lies = 0;
		if (far->account_us < FAR_AGAIN_US)
			far->account_us = FAR_AGAIN_US;
		log_info("%s: asked again", far->label);
	}
	far->open++;
	add_idle(far, loc);
}

static void *
connect_one(void *arg)
{
	struct far *far = arg;
	struct error why = { 0 };
	struct location *loc = try_open(far, &why);

	far_lock();
	far->connecting--;
	far->open--;
	if (!loc) {
		go_away(far, &why);
	} else if (!far->away || far->unconnected) {
		come_back(far, loc);
	} else { /* it was found too slow, or worse, meanwhile */
		far->open++;
		add_idle(far, loc);
	}
	pthread_cond_broadcast(&changed);
	far_unlock();
	return NULL;
}

/* The lock is held. */
static void
start_connecting(struct far *far)
{
	if (far->connecting++ == 0)
		far->connecting_since = clock_us();
	far->open++;
	if (thread_start(connect_one, far) == 0)
		return;
	far->connecting--;
	far->open--;
}

/* Wait for the time of the next try, under the lock. */
static void
await_retry(struct far *far)
{
	while (clock_us() < far->retry_us)
		thread_wait(&changed, &lock, far->retry_us);
}

/* While it is away: try again, and again. */
static void *
mend(void *arg)
{
	struct far *far = arg;

	far_lock();
	while (far->away) {
		struct error why = { 0 };
		struct location *loc;

		await_retry(far);
		far_unlock();
		loc = try_open(far, &why);
		far_lock();
		if (loc) {
			come_back(far, loc);
		} else if (far->away) {
			far->away = far->unconnected = false;
			go_away(far, &why);
		}
	}
	far->mending = false;
	far_unlock();
	return NULL;
}

void
far_hurry(void)
{
	far_lock();
	for (struct far *far = all; far; far = far->next) {
		far->retry_us = 0;
		far->upload_retry_us = 0;
	}
	pthread_cond_broadcast(&changed);
	far_unlock();
}

/* ---- lending ---- */

static void
say_away(const struct far *far, struct error *err)
{
	(void)error_set(err, ERROR_SKIPPED, "not asked: %s", far->why.text);
}

/* Is there nothing to wait for? */
static bool
is_hopeless(const struct far *far)
{
	return far->connecting > 0 && far->open == far->connecting &&
	    clock_us() - far->connecting_since > FAR_CONNECT_US;
}

static int64_t
patience(const struct far *far, int64_t until)
{
	int64_t first = far->connecting_since + FAR_CONNECT_US;

	return far->connecting > 0 && far->open == far->connecting &&
	        first < until
	    ? first
	    : until;
}

static struct location *
borrow(struct far *far, int64_t until, struct error *err)
{
	struct error slow = { 0 };

	for (;;) {
		if (far->away) {
			have_mender(far);
			say_away(far, err);
			return NULL;
		}
		if (far->idle_count > 0)
			return far->idle[--far->idle_count];
		if (far->open < FAR_OPEN && far->connecting < far->waiting)
			start_connecting(far);
		if (is_hopeless(far)) {
			(void)error_set(&slow, ERROR_UNREACHABLE,
			    "no connection within %d ms",
			    FAR_CONNECT_US / 1000);
			go_away(far, &slow);
			far->unconnected = true;
			continue;
		}
		if (clock_us() >= until) {
			(void)error_set(
			    err, ERROR_SKIPPED, "no connection is free");
			return NULL;
		}
		thread_wait(&changed, &lock, patience(far, until));
	}
}

struct location *
far_borrow(struct far *far, int64_t until, struct error *err)
{
	struct location *loc;

	far_lock();
	far->waiting++;
	loc = borrow(far, until, err);
	far->waiting--;
	far_unlock();
	return loc;
}

struct location *
far_borrow_for_upload(struct far *far)
{
	struct location *loc = NULL;
	struct error err;

	far_lock();
	far->waiting++;
	while (!loc) {
		while (far->away) {
			have_mender(far);
			thread_wait(&changed, &lock, clock_us() + OPEN_US);
		}
		loc = borrow(far, clock_us() + OPEN_US, &err);
		if (!loc && !far->away)
			thread_wait(&changed, &lock, clock_us() + 100000);
	}
	far->waiting--;
	far_unlock();
	return loc;
}

/* Is this news about the server, and not about a value? */
static bool
tells_of_server(struct far *far, const struct error *err)
{
	if (err->kind == ERROR_CORRUPT)
		return ++far->lies >= 3;
	return err->kind == ERROR_UNREACHABLE || err->kind == ERROR_DENIED;
}

void
far_return(
    struct far *far, struct location *loc, const struct error *err, bool fair)
{
	struct location *dropped[FAR_OPEN] = { NULL };

	far_lock();
	if (!err) {
		far->failures = 0;
		far->lies = 0;
		add_idle(far, loc);
	} else {
		far->open--;
		if (fair && tells_of_server(far, err)) {
			drop_idle(far, dropped);
			go_away(far, err);
		}
	}
	pthread_cond_broadcast(&changed);
	far_unlock();
	if (err)
		location_close(loc);
	for (size_t i = 0; i < FAR_OPEN; i++)
		location_close(dropped[i]);
}

/* ---- what it costs, and what it brings ---- */

/* How much later `a` is; 0: it isn't. */
static uint64_t
later(int64_t a, int64_t b)
{
	return a > b ? (uint64_t)(a - b) : 0;
}

static void
note_waiting(struct far *far, int64_t start, int64_t end)
{
	if (start < far->waited_until)
		start = far->waited_until;
	far->counts.waited_us += later(end, start);
	if (end > far->waited_until)
		far->waited_until = end;
}

void
far_waited(struct far *far, int64_t start)
{
	far_lock();
	note_waiting(far, start, clock_us());
	far_unlock();
}

void
far_charge(struct far *far, int64_t start, int64_t end, uint64_t saved_us)
{
	int64_t from = start + FAR_FREE_US;
	struct error slow;

	far_lock();
	regain(far);
	note_waiting(far, start, end);
	if (from < far->charged_until)
		from = far->charged_until;
	if (from < end) {
		far->account_us -= end - from;
		far->charged_until = end;
	}
	if (saved_us > FAR_CREDIT_MAX_US)
		saved_us = FAR_CREDIT_MAX_US;
	far->account_us += (int64_t)saved_us;
	if (far->account_us > FAR_CREDIT_MAX_US)
		far->account_us = FAR_CREDIT_MAX_US;
	if (far->account_us <= 0) {
		(void)error_set(&slow, ERROR_UNREACHABLE,
		    "it takes more time than it saves");
		go_away(far, &slow);
	}
	far_unlock();
}

static bool
is_known(int64_t at)
{
	return at && clock_us() - at < (int64_t)FAR_KNOWN_S * 1000000;
}

static void
average(uint64_t *value, int64_t *at, uint64_t fresh)
{
	*value = is_known(*at) ? (3 * *value + fresh) / 4 : fresh;
	*at = clock_us();
}

void
far_measure(struct far *far, uint64_t bytes, int64_t us)
{
	far_lock();
	if (bytes < 65536)
		average(&far->latency_us, &far->latency_at, (uint64_t)us);
	else if (us > 0)
		average(
		    &far->rate, &far->rate_at, bytes * 1000000 / (uint64_t)us);
	far_unlock();
}

uint64_t
far_expect(const struct far *far, uint64_t bytes, size_t count)
{
	uint64_t us = 0;

	far_lock();
	if (is_known(far->latency_at))
		us += far->latency_us;
	if (is_known(far->rate_at) && far->rate > 0)
		us += bytes < UINT64_MAX / 1000000 ? bytes * 1000000 / far->rate
		                                   : UINT64_MAX / 1000000;
	far_unlock();
	return us;
}

bool
far_declines(const struct far *far, uint64_t size)
{
	bool declines;

	far_lock();
	declines = far->limit > 0 && size > far->limit;
	far_unlock();
	return declines;
}
