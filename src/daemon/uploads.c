#include "daemon/uploads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/thread.h"
#include "daemon/unite.h"
#include "locations/channel.h"

#define BATCH 64               /* uploads in one request */
#define BATCH_BYTES (4u << 20) /* and their bytes, unless it is one */
#define ANSWER_US 10000000     /* for the far end to take it ... */
#define RATE 32768             /* ... and bytes a second */
#define BUCKETS 4096

struct upload {
	struct upload *next, *previous; /* in the order of their numbers */
	struct upload *chain;           /* in its bucket */
	struct upload *sibling;         /* the next of its action */
	uint64_t number;
	struct far *far;
	struct group *group;
	struct key key;
	enum write_mode mode;
	uint64_t start, size; /* of the value in the file */
	time_t time;
	bool busy, gone, unchecked;
};

/* What became of a blob at one of the locations that it was for. */
struct fate {
	struct digest digest;
	const struct far *far;
	bool waiting, stored;
};

struct group {
	struct group *next;
	uint64_t number;
	unsigned users;
	struct upload *first, *last; /* of those that wait */
	struct fate *fate;
	size_t fates;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static struct {
	char *spool, *damaged; /* folders */
	struct upload *first, *last;
	struct upload *bucket[BUCKETS];
	struct group *groups;
	uint64_t number, count, bytes, limit;
} all;

/* ---- actions ---- */

static struct group *
find_group(uint64_t number)
{
	struct group *group = all.groups;

	while (group && group->number != number)
		group = group->next;
	if (group)
		return group;
	group = xmalloc(sizeof(*group));
	*group = (struct group){ .number = number, .next = all.groups };
	all.groups = group;
	return group;
}

static void
let_group_go(struct group *group)
{
	struct group **at = &all.groups;

	if (--group->users > 0)
		return;
	while (*at != group)
		at = &(*at)->next;
	*at = group->next;
	free(group->fate);
	free(group);
}

struct group *
group_of(uint64_t number)
{
	struct group *group;

	pthread_mutex_lock(&lock);
	group = find_group(number);
	group->users++;
	pthread_mutex_unlock(&lock);
	return group;
}

void
group_release(struct group *group)
{
	pthread_mutex_lock(&lock);
	let_group_go(group);
	pthread_mutex_unlock(&lock);
}

static struct fate *
find_fate(const struct group *group, const struct digest *digest,
    const struct far *far)
{
	for (size_t i = 0; i < group->fates; i++) {
		if (group->fate[i].far == far &&
		    digest_equal(&group->fate[i].digest, digest))
			return &group->fate[i];
	}
	return NULL;
}

/* Of a blob that was offered; unless more is known, it is nowhere. */
static struct fate *
have_fate(
    struct group *group, const struct digest *digest, const struct far *far)
{
	struct fate *fate = find_fate(group, digest, far);

	if (!fate) {
		group->fate = xrealloc(
		    group->fate, group->fates + 1, sizeof(*group->fate));
		fate = &group->fate[group->fates++];
		*fate = (struct fate){ .digest = *digest, .far = far };
	}
	return fate;
}

static void
await_fate(
    struct group *group, const struct digest *digest, const struct far *far)
{
	have_fate(group, digest, far)->waiting = true;
}

static void
link_to_group(struct upload *up)
{
	struct group *group = up->group;

	group->users++;
	if (group->last)
		group->last->sibling = up;
	else
		group->first = up;
	group->last = up;
	if (up->key.space == KEY_BLOB)
		await_fate(group, &up->key.digest, up->far);
}

static void
unlink_from_group(struct upload *up)
{
	struct group *group = up->group;
	struct upload **at = &group->first, *last = NULL;

	while (*at != up) {
		last = *at;
		at = &last->sibling;
	}
	*at = up->sibling;
	if (group->last == up)
		group->last = last;
}

/* To all actions that wrote this blob: it is there now, or it will never be. */
static void
tell_fate(const struct upload *up, bool stored)
{
	for (struct group *a = all.groups; a; a = a->next) {
		struct fate *fate = find_fate(a, &up->key.digest, up->far);

		if (!fate)
			continue;
		fate->waiting = false;
		fate->stored |= stored;
	}
}

/* ---- what waits ---- */

static struct upload **
bucket_of(const struct key *key)
{
	return &all.bucket[(key->digest.bytes[0] << 8 | key->digest.bytes[1]) %
	    BUCKETS];
}

static void
link_upload(struct upload *up)
{
	struct upload **bucket = bucket_of(&up->key), *before = all.last;

	while (before && before->number > up->number)
		before = before->previous;
	up->previous = before;
	up->next = before ? before->next : all.first;
	*(before ? &before->next : &all.first) = up;
	*(up->next ? &up->next->previous : &all.last) = up;
	up->chain = *bucket;
	*bucket = up;
	all.count++;
	link_to_group(up);
}

static char *
path_of(const char *folder, uint64_t number)
{
	return xasprintf("%s/%016" PRIx64, folder, number);
}

/* The lock is held. The file is gone or in its way. */
static void
unlink_upload(struct upload *up, bool stored)
{
	struct upload **at = bucket_of(&up->key);

	while (*at != up)
		at = &(*at)->chain;
	*at = up->chain;
	*(up->previous ? &up->previous->next : &all.first) = up->next;
	*(up->next ? &up->next->previous : &all.last) = up->previous;
	unlink_from_group(up);
	if (up->key.space == KEY_BLOB)
		tell_fate(up, stored);
	let_group_go(up->group);
	all.count--;
	all.bytes -= up->size;
	free(up);
	pthread_cond_broadcast(&changed);
}

static void
finish(struct upload *up, bool stored)
{
	auto_free char *path = path_of(all.spool, up->number);

	(void)unlink(path);
	unlink_upload(up, stored);
}

static void
set_aside(struct upload *up, const char *why)
{
	auto_free char *path = path_of(all.spool, up->number);
	auto_free char *aside = path_of(all.damaged, up->number);

	log_warn("'%s' is not uploaded: %s; it is now '%s'", path, why, aside);
	if (rename(path, aside) < 0)
		(void)unlink(path);
	unlink_upload(up, false);
}

/* ---- which may go ---- */

/* Is a blob of this action anywhere? 0: not yet; -1: it will not be. */
static int
is_stored(const struct group *group, const struct digest *digest)
{
	int answer = -1;

	for (size_t i = 0; i < group->fates; i++) {
		const struct fate *fate = &group->fate[i];

		if (!digest_equal(&fate->digest, digest))
			continue;
		if (fate->stored)
			return 1;
		if (fate->waiting)
			answer = 0;
	}
	return answer;
}

/* May what is written to the index go now? -1: never. */
static int
index_may_go(const struct upload *up)
{
	const struct group *group = up->group;

	for (const struct upload *u = group->first; u != up; u = u->sibling) {
		if (u->far == up->far)
			return 0;
	}
	for (size_t i = 0; i < group->fates; i++) {
		int stored = is_stored(group, &group->fate[i].digest);

		if (stored <= 0)
			return stored;
	}
	return 1;
}

static void
drop(struct upload *up, const char *why)
{
	char hex[DIGEST_HEX + 1];

	log_warn("%s: %s %s is not uploaded: %s", up->far->label,
	    up->key.space == KEY_BLOB ? "blob" : "index entry",
	    digest_hex(&up->key.digest, hex), why);
	far_lock();
	up->far->counts.refused++;
	far_unlock();
	finish(up, false);
}

/* Of several values for one key one goes after the other. */
static bool
is_under_way(const struct upload *up)
{
	const struct upload *other = *bucket_of(&up->key);

	while (other &&
	    (other->far != up->far || !other->busy ||
	        other->key.space != up->key.space ||
	        !digest_equal(&other->key.digest, &up->key.digest)))
		other = other->chain;
	return other != NULL;
}

/* Those for `far` that may go, oldest first; how many. */
static size_t
pick(const struct far *far, struct upload **picked)
{
	uint64_t bytes = 0;
	size_t n = 0;

	for (struct upload *up = all.first, *next; up && n < BATCH; up = next) {
		int may;

		next = up->next;
		if (up->far != far || up->busy || is_under_way(up))
			continue;
		may = up->key.space == KEY_BLOB ? 1 : index_may_go(up);
		if (may < 0) {
			drop(up, "a blob that it names was declined");
			continue;
		}
		if (!may || (n > 0 && bytes + up->size > BATCH_BYTES))
			continue;
		bytes += up->size;
		up->busy = true;
		picked[n++] = up;
	}
	return n;
}

/* ---- a batch ---- */

struct batch {
	struct far *far;
	struct upload *up[BATCH];
	size_t count;
	int fd[BATCH];
	enum outcome outcome[BATCH];
	struct error err[BATCH];
	bool there[BATCH], damaged[BATCH];
	struct buf value[BATCH]; /* to be written instead, if not empty */
	struct error why;        /* the server's trouble; ERROR_NONE: none */
};

static void
note_trouble(struct batch *batch, const struct error *err)
{
	if (batch->why.kind == ERROR_NONE || batch->why.text[0] == '\0')
		batch->why = *err;
}

/* What was in the spool before us may have seen a power failure. */
static void
open_upload(struct batch *batch, size_t i)
{
	struct upload *up = batch->up[i];
	auto_free char *path = path_of(all.spool, up->number);
	struct parcel parcel;
	struct error err;

	batch->fd[i] = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	batch->outcome[i] = FAILED;
	if (batch->fd[i] < 0) {
		batch->damaged[i] = errno != EMFILE && errno != ENFILE;
		(void)error_errno(&err, "cannot open '%s'", path);
		if (!batch->damaged[i])
			note_trouble(batch, &err);
		return;
	}
	if (!up->unchecked)
		return;
	if (parcel_open(&parcel, batch->fd[i], &err) < 0 ||
	    parcel_is_whole(&parcel, batch->fd[i], &err) <= 0)
		batch->damaged[i] = true;
	parcel_release(&parcel);
	up->unchecked = false;
}

static void
look_what_is_there(struct batch *batch, struct location *loc)
{
	struct location_contains_request asked[BATCH];
	size_t index[BATCH], n = 0;

	for (size_t i = 0; i < batch->count; i++) {
		if (batch->damaged[i] || batch->up[i]->key.space != KEY_BLOB ||
		    batch->up[i]->mode != WRITE_IF_ABSENT)
			continue;
		asked[n] =
		    (struct location_contains_request){ .key =
			                                    batch->up[i]->key };
		index[n++] = i;
	}
	location_contains_batch(loc, asked, n);
	for (size_t i = 0; i < n; i++) {
		batch->there[index[i]] = asked[i].outcome == HIT;
		if (asked[i].outcome == FAILED)
			note_trouble(batch, &asked[i].err);
	}
}

static void
unite_with_what_is_there(struct batch *batch, struct location *loc)
{
	struct unite lists[BATCH];
	size_t index[BATCH], n = 0;
	struct error err = { 0 };

	for (size_t i = 0; i < batch->count; i++) {
		const struct upload *up = batch->up[i];

		if (batch->damaged[i] || up->key.space != KEY_INDEX ||
		    up->mode != WRITE_REPLACE)
			continue;
		lists[n] = (struct unite){ .key = up->key.digest,
			.in = parcel_source(batch->fd[i], up->start, up->size),
			.value = BUF_INIT };
		index[n++] = i;
	}
	if (unite_lists(loc, lists, n, &err) < 0)
		note_trouble(batch, &err);
	for (size_t i = 0; i < n; i++) {
		batch->there[index[i]] = lists[i].there;
		batch->value[index[i]] = lists[i].value;
		source_close(lists[i].in);
	}
}

static struct source *
source_of(const struct batch *batch, size_t i)
{
	const struct upload *up = batch->up[i];

	if (batch->value[i].len > 0)
		return source_memory(batch->value[i].data, batch->value[i].len);
	return parcel_source(batch->fd[i], up->start, up->size);
}

static void
send_missing(struct batch *batch, struct location *loc)
{
	struct location_write_request asked[BATCH];
	size_t index[BATCH], n = 0;

	for (size_t i = 0; i < batch->count; i++) {
		if (batch->damaged[i] || batch->there[i])
			continue;
		asked[n] = (struct location_write_request){
			.key = batch->up[i]->key,
			.in = source_of(batch, i),
			.mode = batch->up[i]->mode,
		};
		index[n++] = i;
	}
	location_write_batch(loc, asked, n);
	for (size_t i = 0; i < n; i++) {
		batch->outcome[index[i]] = asked[i].outcome;
		batch->err[index[i]] = asked[i].err;
		if (asked[i].outcome == FAILED)
			note_trouble(batch, &asked[i].err);
		source_close(asked[i].in);
	}
}

static void
transfer(struct batch *batch, struct location *loc)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < batch->count; i++) {
		open_upload(batch, i);
		bytes += batch->up[i]->size;
	}
	location_set_deadline(
	    loc, clock_us() + ANSWER_US + (int64_t)(bytes * 1000000 / RATE));
	look_what_is_there(batch, loc);
	if (batch->why.kind == ERROR_NONE)
		unite_with_what_is_there(batch, loc);
	if (batch->why.kind == ERROR_NONE)
		send_missing(batch, loc);
	location_set_deadline(loc, 0);
}

static void
count_upload(const struct batch *batch, size_t i)
{
	struct far_counts *counts = &batch->far->counts;

	far_lock();
	counts->present += batch->there[i] || batch->outcome[i] == KEPT;
	if (!batch->there[i] && batch->outcome[i] == STORED) {
		counts->uploaded++;
		counts->uploaded_bytes += batch->up[i]->size;
	}
	far_unlock();
}

/* The lock is held. */
static void
settle(struct batch *batch, size_t i)
{
	struct upload *up = batch->up[i];
	const struct error *err = &batch->err[i];

	if (batch->fd[i] >= 0)
		close(batch->fd[i]);
	buf_release(&batch->value[i]);
	if (batch->damaged[i]) {
		set_aside(up, "it is damaged");
	} else if (up->gone) {
		finish(up, false);
	} else if (batch->there[i] || batch->outcome[i] > DECLINED) {
		count_upload(batch, i);
		finish(up, true);
	} else if (batch->outcome[i] == DECLINED) {
		drop(up, err->text[0] ? err->text : "it was declined");
	} else if (time(NULL) - up->time > UPLOADS_AGE_S) {
		drop(up, err->text[0] ? err->text : "it waited for too long");
	} else {
		up->busy = false;
	}
}

static void
slow_down(struct far *far, const struct error *why)
{
	unsigned s;

	far_lock();
	s = far->upload_failures < 6 ? 1u << far->upload_failures : FAR_RETRY_S;
	if (s > FAR_RETRY_S)
		s = FAR_RETRY_S;
	far->upload_failures++;
	far->upload_why = *why;
	far->upload_retry_us = clock_us() + (int64_t)s * 1000000;
	far_unlock();
}

static void
speed_up(struct far *far)
{
	far_lock();
	far->upload_failures = 0;
	far->upload_why = (struct error){ 0 };
	far_unlock();
}

static void
upload_batch(struct batch *batch)
{
	struct location *loc = far_borrow_for_upload(batch->far);
	bool failed;

	transfer(batch, loc);
	failed = batch->why.kind != ERROR_NONE;
	if (failed)
		log_info(
		    "%s: uploads wait: %s", batch->far->label, batch->why.text);
	far_return(batch->far, loc, failed ? &batch->why : NULL,
	    batch->why.kind == ERROR_UNREACHABLE);
	if (failed)
		slow_down(batch->far, &batch->why);
	else
		speed_up(batch->far);
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < batch->count; i++)
		settle(batch, i);
	pthread_mutex_unlock(&lock);
}

static bool
has_to_wait(const struct far *far)
{
	bool wait;

	far_lock();
	wait = far->upload_retry_us > clock_us();
	far_unlock();
	return wait;
}

static bool
has_work(const struct far *far)
{
	for (const struct upload *up = all.first; up; up = up->next) {
		if (up->far == far && !up->busy)
			return true;
	}
	return false;
}

static void *
uploader(void *arg)
{
	struct far *far = arg;

	pthread_mutex_lock(&lock);
	while (has_work(far)) {
		struct batch *batch = xmalloc(sizeof(*batch));

		memset(batch, 0, sizeof(*batch));
		batch->far = far;
		if (!has_to_wait(far))
			batch->count = pick(far, batch->up);
		if (batch->count > 0) {
			pthread_mutex_unlock(&lock);
			upload_batch(batch);
			pthread_mutex_lock(&lock);
		} else {
			thread_wait(&changed, &lock, clock_us() + 100000);
		}
		free(batch);
	}
	far->uploaders--;
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* The lock is held. */
static void
have_uploader(struct far *far)
{
	if (far->uploaders >= UPLOADS_THREADS)
		return;
	if (thread_start(uploader, far) == 0)
		far->uploaders++;
}

/* ---- new ones ---- */

static struct upload *
find(const struct far *far, const struct key *key)
{
	struct upload *found = NULL;

	for (struct upload *up = *bucket_of(key); up; up = up->chain) {
		if (up->far == far && !up->gone &&
		    up->key.space == key->space &&
		    digest_equal(&up->key.digest, &key->digest) &&
		    (!found || up->number > found->number))
			found = up;
	}
	return found;
}

static void
release(struct uploading *up)
{
	parcel_drop(&up->writer);
	free(up->path);
	pthread_mutex_lock(&lock);
	all.bytes -= up->reserved;
	pthread_mutex_unlock(&lock);
	up->reserved = 0;
}

/* Room for it, and a number; or the reason why there is none. */
static enum outcome
reserve(struct uploading *up, uint64_t size, struct error *err)
{
	const struct upload *same = find(up->far, &up->key);

	if (same && up->key.space == KEY_BLOB) {
		await_fate(up->group, &up->key.digest, up->far);
		return KEPT;
	}
	if (up->key.space == KEY_BLOB)
		(void)have_fate(up->group, &up->key.digest, up->far);
	if (size > all.limit || all.bytes > all.limit - size) {
		(void)error_set(err, ERROR_NONE,
		    "the spool holds %" PRIu64 " MiB, and may hold no more",
		    all.bytes >> 20);
		return DECLINED;
	}
	all.bytes += size;
	up->reserved = size;
	up->number = ++all.number;
	return HIT;
}

static int
start_writing(struct uploading *up, uint64_t size, struct error *err)
{
	Tarn__DaemonUpload upload;
	Tarn__DaemonKey key = channel_key_of(&up->key);

	tarn__daemon_upload__init(&upload);
	key.size = size;
	key.mode = up->mode;
	upload.location = up->far->config;
	upload.key = &key;
	upload.action = up->group->number;
	upload.time = (uint64_t)time(NULL);
	return parcel_start(&up->writer, up->path, &upload, size, err);
}

enum outcome
uploads_begin(struct uploading *up, struct far *far, struct group *group,
    const struct key *key, uint64_t size, enum write_mode mode,
    struct error *err)
{
	enum outcome outcome;

	*up = (struct uploading){ .writer = { .file = ASIDE_INIT,
		                      .head = BUF_INIT },
		.far = far,
		.group = group,
		.key = *key,
		.mode = mode };
	pthread_mutex_lock(&lock);
	outcome = reserve(up, size, err);
	pthread_mutex_unlock(&lock);
	if (outcome != HIT)
		return outcome;
	up->path = path_of(all.spool, up->number);
	if (start_writing(up, size, err) == 0)
		return HIT;
	release(up);
	return FAILED;
}

static void
add(struct uploading *from, time_t when, bool unchecked)
{
	struct upload *up = xmalloc(sizeof(*up));

	*up = (struct upload){ .number = from->number,
		.far = from->far,
		.group = from->group,
		.key = from->key,
		.mode = from->mode,
		.start = from->writer.parcel.start,
		.size = from->writer.parcel.size,
		.time = when,
		.unchecked = unchecked };
	link_upload(up);
	have_uploader(up->far);
	pthread_cond_broadcast(&changed);
}

int
uploads_add(struct uploading *up, struct error *err)
{
	int rc = parcel_finish(&up->writer, up->path, err);

	if (rc == 0) {
		pthread_mutex_lock(&lock);
		add(up, time(NULL), false);
		pthread_mutex_unlock(&lock);
		up->reserved = 0;
	}
	release(up);
	return rc;
}

void
uploads_forget(struct uploading *up)
{
	release(up);
}

/* ---- what others ask ---- */

int
uploads_find(
    struct far *far, const struct key *key, uint64_t *start, uint64_t *size)
{
	auto_free char *path = NULL;
	struct upload *up;
	int fd = -1;

	pthread_mutex_lock(&lock);
	up = find(far, key);
	if (up) {
		path = path_of(all.spool, up->number);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		*start = up->start;
		*size = up->size;
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

bool
uploads_remove(struct far *far, const struct key *key)
{
	struct upload *up;
	bool any = false;

	pthread_mutex_lock(&lock);
	while ((up = find(far, key))) {
		any = true;
		if (up->busy)
			up->gone = true;
		else
			finish(up, false);
	}
	pthread_mutex_unlock(&lock);
	return any;
}

struct uploads_sum
uploads_sum(const struct far *far)
{
	struct uploads_sum sum = { 0 };

	pthread_mutex_lock(&lock);
	for (struct upload *up = all.first; up && far; up = up->next) {
		sum.count += up->far == far;
		sum.bytes += up->far == far ? up->size : 0;
	}
	if (!far) {
		sum.count = all.count;
		sum.bytes = all.bytes;
	}
	sum.limit = all.limit;
	pthread_mutex_unlock(&lock);
	return sum;
}

uint64_t
uploads_flush(int64_t until)
{
	uint64_t left;

	far_hurry();
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&changed);
	while (all.count > 0 && clock_us() < until)
		thread_wait(&changed, &lock, until);
	left = all.count;
	pthread_mutex_unlock(&lock);
	return left;
}

/* ---- what was there before ---- */

/* One of ours, or it goes out of the way. */
static void
take_up(const char *name)
{
	auto_free char *path = xasprintf("%s/%s", all.spool, name);
	auto_free char *aside = xasprintf("%s/%s", all.damaged, name);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct uploading from = { .writer.file = ASIDE_INIT };
	struct parcel parcel;
	struct error err = { 0 };
	char *end;

	from.number = strtoull(name, &end, 16);
	if (fd < 0 || strlen(name) != 16 || *end ||
	    parcel_open(&parcel, fd, &err) < 0) {
		log_warn("'%s' is not uploaded: %s; it is now '%s'", path,
		    err.text[0] ? err.text : "it is not ours", aside);
		(void)rename(path, aside);
		return;
	}
	(void)channel_key(parcel.upload->key, &from.key, &err);
	from.mode = (enum write_mode)parcel.upload->key->mode;
	from.far = far_of(parcel.upload->location);
	from.group = find_group(parcel.upload->action);
	from.writer.parcel.start = parcel.start;
	from.writer.parcel.size = parcel.size;
	all.bytes += parcel.size;
	if (from.number > all.number)
		all.number = from.number;
	add(&from, (time_t)parcel.upload->time, true);
	parcel_release(&parcel);
}

static bool
is_left_over(const char *name)
{
	return name[0] == '.'; /* of a killed one, where files need names */
}

int
uploads_open(const char *folder, uint64_t limit, struct error *err)
{
	struct dirent *entry;
	DIR *dir;

	thread_cond_init(&changed);
	all.spool = xasprintf("%s/spool", folder);
	all.damaged = xasprintf("%s/damaged", folder);
	all.limit = limit;
	if ((mkdir(all.spool, 0700) < 0 && errno != EEXIST) ||
	    (mkdir(all.damaged, 0700) < 0 && errno != EEXIST))
		return error_errno(err, "cannot make '%s'", all.spool);
	dir = opendir(all.spool);
	if (!dir)
		return error_errno(err, "cannot list '%s'", all.spool);
	pthread_mutex_lock(&lock);
	while ((entry = readdir(dir))) {
		auto_free char *path = NULL;

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		path = xasprintf("%s/%s", all.spool, entry->d_name);
		if (is_left_over(entry->d_name))
			(void)unlink(path);
		else
			take_up(entry->d_name);
	}
	pthread_mutex_unlock(&lock);
	closedir(dir);
	return 0;
}
