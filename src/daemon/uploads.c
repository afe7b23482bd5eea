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
#define BLOBS 16384          /* that an index entry is said to need */
#define FILE_BYTES 4096      /* that a file takes beside its value */
#define REFUSED_BYTES 262144 /* of words about what was refused */

struct upload {
	struct upload *next, *previous; /* of its location, by their numbers */
	struct upload *chain;           /* in its bucket */
	struct upload *sibling;         /* the next of its action */
	uint64_t number;
	struct far *far;
	struct group *group;
	struct key key;
	enum write_mode mode;
	uint64_t start, size; /* of the value in the file */
	time_t time;
	int64_t retry_us; /* not before, since it failed alone */
	unsigned failures;
	bool busy, gone, unchecked;
	bool orphan; /* a blob of it may have been lost */
	struct digest
	    *needs; /* owned: those blobs, of one that an earlier tarnd
	                       * left; until they are found */
	size_t need_count;
};

/* What became of a blob at one of the locations that it was for. */
struct fate {
	struct fate *chain; /* in its bucket */
	struct fate *next;  /* of its group */
	struct group *group;
	struct digest digest;
	const struct far *far;
	bool waiting, stored;
};

struct group {
	struct group *next; /* in its bucket */
	uint64_t number;
	unsigned users;
	struct upload *first, *last; /* of those that wait */
	struct fate *fates;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static struct {
	char *spool, *damaged; /* folders */
	char *refused;         /* a file */
	struct upload *bucket[BUCKETS];
	struct fate *fates[BUCKETS];
	struct group *groups[BUCKETS];
	uint64_t number, count, bytes, limit;
	uint64_t lost; /* the least number of a damaged file; 0: none */
} all;

/* ---- actions ---- */

static bool
key_equal(const struct key *a, const struct key *b)
{
	return a->space == b->space && digest_equal(&a->digest, &b->digest);
}

static struct group *
find_group(uint64_t number)
{
	struct group **bucket = &all.groups[number % BUCKETS];
	struct group *group = *bucket;

	while (group && group->number != number)
		group = group->next;
	if (group)
		return group;
	group = xmalloc(sizeof(*group));
	*group = (struct group){ .number = number, .next = *bucket };
	return *bucket = group;
}

static size_t
bucket_of(const struct digest *digest)
{
	return (size_t)(digest->bytes[0] << 8 | digest->bytes[1]) % BUCKETS;
}

static void
free_fates(struct group *group)
{
	while (group->fates) {
		struct fate *fate = group->fates;
		struct fate **at = &all.fates[bucket_of(&fate->digest)];

		while (*at != fate)
			at = &(*at)->chain;
		*at = fate->chain;
		group->fates = fate->next;
		free(fate);
	}
}

static void
let_group_go(struct group *group)
{
	struct group **at = &all.groups[group->number % BUCKETS];

	if (--group->users > 0)
		return;
	while (*at != group)
		at = &(*at)->next;
	*at = group->next;
	free_fates(group);
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
	struct fate *fate = all.fates[bucket_of(digest)];

	while (fate &&
	    (fate->group != group || fate->far != far ||
	        !digest_equal(&fate->digest, digest)))
		fate = fate->chain;
	return fate;
}

/* Of a blob that was offered; unless more is known, it is nowhere. */
static struct fate *
have_fate(
    struct group *group, const struct digest *digest, const struct far *far)
{
	struct fate **bucket = &all.fates[bucket_of(digest)];
	struct fate *fate = find_fate(group, digest, far);

	if (fate)
		return fate;
	fate = xmalloc(sizeof(*fate));
	*fate = (struct fate){ .chain = *bucket,
		.next = group->fates,
		.group = group,
		.digest = *digest,
		.far = far };
	group->fates = fate;
	return *bucket = fate;
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
	struct fate *fate = all.fates[bucket_of(&up->key.digest)];

	for (; fate; fate = fate->chain) {
		if (fate->far != up->far ||
		    !digest_equal(&fate->digest, &up->key.digest))
			continue;
		fate->waiting = false;
		fate->stored |= stored;
	}
}

/* ---- what waits ---- */

static struct upload **
chain_of(const struct key *key)
{
	return &all.bucket[bucket_of(&key->digest)];
}

static void
link_upload(struct upload *up)
{
	struct upload **chain = chain_of(&up->key);
	struct far_uploads *own = &up->far->uploads;
	struct upload *before = own->last;

	while (before && before->number > up->number)
		before = before->previous;
	up->previous = before;
	up->next = before ? before->next : own->first;
	*(before ? &before->next : &own->first) = up;
	*(up->next ? &up->next->previous : &own->last) = up;
	up->chain = *chain;
	*chain = up;
	all.count++;
	own->count++;
	own->bytes += up->size;
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
	struct upload **at = chain_of(&up->key);
	struct far_uploads *own = &up->far->uploads;

	while (*at != up)
		at = &(*at)->chain;
	*at = up->chain;
	*(up->previous ? &up->previous->next : &own->first) = up->next;
	*(up->next ? &up->next->previous : &own->last) = up->previous;
	own->count--;
	own->bytes -= up->size;
	unlink_from_group(up);
	if (up->key.space == KEY_BLOB)
		tell_fate(up, stored);
	let_group_go(up->group);
	all.count--;
	all.bytes -= up->size + FILE_BYTES;
	free(up->needs);
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

/*
 * For `tarn flush` and `tarn doctor`: what will never be at the far end, though it was
 * acknowledged. Whoever told the user takes the file away.
 */
static void
note_refused(const struct upload *up, const char *why)
{
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	auto_close int fd = open(all.refused, flags, 0600);
	char hex[DIGEST_HEX + 1];
	auto_free char *line = xasprintf("%s: %s %s: %.300s\n", up->far->label,
	    up->key.space == KEY_BLOB ? "blob" : "index entry",
	    digest_hex(&up->key.digest, hex), why);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size < REFUSED_BYTES)
		(void)!write(fd, line, strlen(line));
}

static void
set_aside(struct upload *up, const char *why)
{
	auto_free char *path = path_of(all.spool, up->number);
	auto_free char *aside = path_of(all.damaged, up->number);

	log_warn("'%s' is not uploaded: %s; it is now '%s'", path, why, aside);
	if (rename(path, aside) < 0)
		(void)unlink(path);
	note_refused(up, why);
	unlink_upload(up, false);
}

/* ---- which may go ---- */

/* Is a blob of this action anywhere? 0: not yet; -1: it will not be. */
static int
is_stored(const struct group *group, const struct digest *digest)
{
	const struct fate *fate = all.fates[bucket_of(digest)];
	int answer = -1;

	for (; fate; fate = fate->chain) {
		if (fate->group != group ||
		    !digest_equal(&fate->digest, digest))
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

	if (up->orphan)
		return -1;
	for (const struct upload *u = group->first; u != up; u = u->sibling) {
		if (u->far == up->far)
			return 0;
	}
	for (const struct fate *f = group->fates; f; f = f->next) {
		int stored = is_stored(group, &f->digest);

		if (stored <= 0)
			return stored;
	}
	return 1;
}

/* Does another location have this blob, or will it? */
static bool
is_elsewhere(const struct upload *up)
{
	const struct fate *fate = all.fates[bucket_of(&up->key.digest)];

	for (; fate; fate = fate->chain) {
		if (fate->group == up->group && fate->far != up->far &&
		    (fate->stored || fate->waiting) &&
		    digest_equal(&fate->digest, &up->key.digest))
			return true;
	}
	return false;
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
	if (up->key.space != KEY_BLOB || !is_elsewhere(up))
		note_refused(up, why);
	finish(up, false);
}

/* Of several values for one key one goes after the other. */
static bool
is_under_way(const struct upload *up)
{
	const struct upload *other = *chain_of(&up->key);

	while (other &&
	    (other->far != up->far || !other->busy ||
	        !key_equal(&other->key, &up->key)))
		other = other->chain;
	return other != NULL;
}

/* Those for `far` that may go, oldest first; how many. */
static size_t
pick(const struct far *far, struct upload **picked)
{
	struct upload *up = far->uploads.first, *next;
	int64_t now = clock_us();
	uint64_t bytes = 0;
	size_t n = 0;

	for (; up && n < BATCH; up = next) {
		int may;

		next = up->next;
		if (up->busy || up->retry_us > now || is_under_way(up))
			continue;
		may = up->key.space == KEY_BLOB ? 1 : index_may_go(up);
		if (may < 0) {
			drop(up, "a blob that it names is not there");
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
	bool unknown[BATCH];     /* what is there */
	size_t answered;         /* by the far end, whatever it said */
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
		batch->unknown[index[i]] = asked[i].outcome == FAILED;
		batch->answered += asked[i].outcome != FAILED;
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
	int rc;

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
	rc = unite_lists(loc, lists, n, &err);
	if (rc < 0)
		note_trouble(batch, &err);
	for (size_t i = 0; i < n; i++) {
		batch->unknown[index[i]] = rc < 0;
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
		if (batch->damaged[i] || batch->there[i] || batch->unknown[i])
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
		batch->answered += asked[i].outcome != FAILED;
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
	if (batch->why.kind == ERROR_NONE || batch->answered > 0)
		unite_with_what_is_there(batch, loc);
	/* A question that fails alone is no reason to keep the others waiting. */
	if (batch->why.kind == ERROR_NONE || batch->answered > 0)
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
		if (batch->answered > 0)
			up->retry_us = clock_us() +
			    ((int64_t)1000000
			        << (up->failures < 6 ? up->failures++ : 6));
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

/* `why`: some failed, or NULL. */
static void
speed_up(struct far *far, const struct error *why)
{
	far_lock();
	far->upload_failures = 0;
	far->upload_why = why ? *why : (struct error){ 0 };
	far_unlock();
}

/*
 * What was removed while we stored it is removed once more. Nobody can remove it
 * in this way once we are done: it is looked for under the lock that settles it.
 */
static void
remove_gone(struct batch *batch, struct location *loc)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < batch->count; i++) {
		struct key key = batch->up[i]->key;
		struct error err = { 0 };

		if (!batch->up[i]->gone || batch->outcome[i] != STORED)
			continue;
		batch->outcome[i] = DECLINED;
		pthread_mutex_unlock(&lock);
		location_set_deadline(loc, clock_us() + ANSWER_US);
		if (location_remove(loc, &key, &err) == FAILED)
			log_warn("%s: what was removed is there again: %s",
			    batch->far->label, err.text);
		location_set_deadline(loc, 0);
		pthread_mutex_lock(&lock);
		i = (size_t)-1; /* others may be gone by now */
	}
}

static void
upload_batch(struct batch *batch)
{
	struct location *loc = far_borrow_for_upload(batch->far);
	bool failed, alone;

	transfer(batch, loc);
	failed = batch->why.kind != ERROR_NONE;
	alone = failed && batch->answered > 0;
	if (failed)
		log_info(
		    "%s: uploads wait: %s", batch->far->label, batch->why.text);
	remove_gone(batch, loc); /* with the lock from now on */
	if (failed && !alone)
		slow_down(batch->far, &batch->why);
	else
		speed_up(batch->far, alone ? &batch->why : NULL);
	for (size_t i = 0; i < batch->count; i++)
		settle(batch, i);
	pthread_mutex_unlock(&lock);
	far_return(batch->far, loc, failed ? &batch->why : NULL,
	    batch->why.kind == ERROR_UNREACHABLE && !alone);
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
	for (const struct upload *up = far->uploads.first; up; up = up->next) {
		if (!up->busy)
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

/* The newest. */
static struct upload *
find(const struct far *far, const struct key *key)
{
	struct upload *found = NULL;

	for (struct upload *up = *chain_of(key); up; up = up->chain) {
		if (up->far == far && !up->gone && key_equal(&up->key, key) &&
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

	if (same && up->key.space == KEY_BLOB)
		await_fate(up->group, &up->key.digest, up->far);
	if (same && (up->key.space == KEY_BLOB || up->mode == WRITE_IF_ABSENT))
		return KEPT;
	if (up->key.space == KEY_BLOB)
		(void)have_fate(up->group, &up->key.digest, up->far);
	if (size > all.limit || all.bytes + FILE_BYTES > all.limit - size) {
		(void)error_set(err, ERROR_NONE,
		    "the spool holds %" PRIu64 " MiB, and may hold no more",
		    all.bytes >> 20);
		return DECLINED;
	}
	up->reserved = size + FILE_BYTES;
	all.bytes += up->reserved;
	up->number = ++all.number;
	return HIT;
}

/* What an index entry may name, for a tarnd that finds it in the spool. */
static size_t
list_blobs(
    struct group *group, struct digest **digests, ProtobufCBinaryData **blobs)
{
	size_t count = 0, n = 0;

	pthread_mutex_lock(&lock);
	for (const struct fate *f = group->fates; f && count < BLOBS;
	     f = f->next)
		count++;
	*digests = xrealloc(NULL, count + 1, sizeof(**digests));
	*blobs = xrealloc(NULL, count + 1, sizeof(**blobs));
	for (const struct fate *f = group->fates; n < count; f = f->next) {
		(*digests)[n] = f->digest;
		(*blobs)[n].data = (*digests)[n].bytes;
		(*blobs)[n++].len = DIGEST_SIZE;
	}
	pthread_mutex_unlock(&lock);
	return count;
}

static int
start_writing(struct uploading *up, uint64_t size, struct error *err)
{
	Tarn__DaemonUpload upload;
	Tarn__DaemonKey key = channel_key_of(&up->key);
	auto_free struct digest *digests = NULL;
	auto_free ProtobufCBinaryData *blobs = NULL;

	tarn__daemon_upload__init(&upload);
	key.size = size;
	key.mode = up->mode;
	upload.location = up->far->config;
	upload.key = &key;
	upload.action = up->group->number;
	upload.time = (uint64_t)time(NULL);
	if (up->key.space == KEY_INDEX)
		upload.n_blobs = list_blobs(up->group, &digests, &blobs);
	upload.blobs = blobs;
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
	if (far_declines(far, size)) {
		(void)error_set(err, ERROR_NONE, "it takes no value so large");
		return DECLINED;
	}
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

static struct upload *
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
	return up;
}

int
uploads_add(struct uploading *up, struct error *err)
{
	int rc = parcel_finish(&up->writer, up->path, err);

	if (rc == 0) {
		pthread_mutex_lock(&lock);
		(void)add(up, time(NULL), false);
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
uploads_contains(struct far *far, struct group *group, const struct key *key)
{
	bool found;

	pthread_mutex_lock(&lock);
	found = find(far, key) != NULL;
	if (found && key->space == KEY_BLOB)
		await_fate(group, &key->digest, far);
	pthread_mutex_unlock(&lock);
	return found;
}

/* One that was removed while it was on its way, and still is. */
static bool
is_going(const struct far *far, const struct key *key)
{
	for (struct upload *up = *chain_of(key); up; up = up->chain) {
		if (up->far == far && up->gone && up->busy &&
		    key_equal(&up->key, key))
			return true;
	}
	return false;
}

bool
uploads_remove(struct far *far, const struct key *key, int64_t until)
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
	while (is_going(far, key) && clock_us() < until)
		thread_wait(&changed, &lock, until);
	pthread_mutex_unlock(&lock);
	return any;
}

struct uploads_sum
uploads_sum(const struct far *far)
{
	struct uploads_sum sum = { 0 };

	pthread_mutex_lock(&lock);
	sum.count = far ? far->uploads.count : all.count;
	sum.bytes = far ? far->uploads.bytes : all.bytes;
	sum.limit = all.limit;
	pthread_mutex_unlock(&lock);
	return sum;
}

static void
hurry(void)
{
	for (struct far *far = far_next(NULL); far; far = far_next(far)) {
		for (struct upload *up = far->uploads.first; up; up = up->next)
			up->retry_us = 0;
	}
}

uint64_t
uploads_flush(int64_t until)
{
	uint64_t left;

	far_hurry();
	pthread_mutex_lock(&lock);
	hurry();
	pthread_cond_broadcast(&changed);
	while (all.count > 0 && clock_us() < until)
		thread_wait(&changed, &lock, until);
	left = all.count;
	pthread_mutex_unlock(&lock);
	return left;
}

/* ---- what was there before ---- */

/* A file that can't be understood any more. It may have been a blob. */
static void
give_up(const char *path, const char *aside, uint64_t number, const char *why)
{
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	auto_close int fd = open(all.refused, flags, 0600);
	auto_free char *line = xasprintf("'%s': %.300s\n", aside, why);

	log_warn("'%s' is not uploaded: %s; it is now '%s'", path, why, aside);
	(void)rename(path, aside);
	if (fd >= 0)
		(void)!write(fd, line, strlen(line));
	if (number > 0 && (all.lost == 0 || number < all.lost))
		all.lost = number;
	if (number > all.number)
		all.number = number;
}

static void
take_needs(struct upload *up, const Tarn__DaemonUpload *from)
{
	up->needs = xrealloc(NULL, from->n_blobs + 1, sizeof(*up->needs));
	for (size_t i = 0; i < from->n_blobs; i++) {
		if (from->blobs[i].len == DIGEST_SIZE)
			memcpy(up->needs[up->need_count++].bytes,
			    from->blobs[i].data, DIGEST_SIZE);
	}
}

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
	struct upload *up;
	char *end;

	from.number = strtoull(name, &end, 16);
	if (strlen(name) != 16 || *end) {
		give_up(path, aside, 0, "it is not ours");
		return;
	}
	if (fd < 0 || parcel_open(&parcel, fd, &err) < 0) {
		give_up(path, aside, from.number,
		    fd < 0 ? "it can't be opened" : err.text);
		return;
	}
	(void)channel_key(parcel.upload->key, &from.key, &err);
	from.mode = (enum write_mode)parcel.upload->key->mode;
	from.far = far_of(parcel.upload->location);
	from.group = find_group(parcel.upload->action);
	from.writer.parcel.start = parcel.start;
	from.writer.parcel.size = parcel.size;
	all.bytes += parcel.size + FILE_BYTES;
	if (from.number > all.number)
		all.number = from.number;
	up = add(&from, (time_t)parcel.upload->time, true);
	if (up->key.space == KEY_INDEX)
		take_needs(up, parcel.upload);
	parcel_release(&parcel);
}

/* Does this blob wait, for any location? Then its fate is known in time. */
static bool
await_need(struct group *group, const struct digest *digest)
{
	const struct key key = { KEY_BLOB, *digest };
	bool waits = false;

	for (struct upload *up = *chain_of(&key); up; up = up->chain) {
		if (!key_equal(&up->key, &key))
			continue;
		waits = true;
		await_fate(group, digest, up->far);
	}
	return waits;
}

/*
 * What an earlier tarnd knew of other actions' blobs that an entry may name: those
 * that wait are waited for. Those that don't are there, unless a file was lost that
 * may have been one.
 */
static void
find_needs(struct far *far)
{
	for (struct upload *up = far->uploads.first; up; up = up->next) {
		for (size_t i = 0; i < up->need_count; i++)
			up->orphan |= !await_need(up->group, &up->needs[i]) &&
			    all.lost && all.lost < up->number;
		free(take(up->needs));
		up->need_count = 0;
	}
}

static bool
is_left_over(const char *name)
{
	return name[0] == '.'; /* of a killed one, where files need names */
}

/* In the order of their numbers: each is put behind the last. */
static int
take_up_all(struct error *err)
{
	struct dirent **names;
	int count = scandir(all.spool, &names, NULL, alphasort);

	if (count < 0)
		return error_errno(err, "cannot list '%s'", all.spool);
	for (int i = 0; i < count; i++) {
		const char *name = names[i]->d_name;
		auto_free char *path = xasprintf("%s/%s", all.spool, name);

		if (!is_left_over(name))
			take_up(name);
		else if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			(void)unlink(path);
		free(names[i]);
	}
	free(names);
	for (struct far *far = far_next(NULL); far; far = far_next(far))
		find_needs(far);
	return 0;
}

int
uploads_open(const char *folder, uint64_t limit, struct error *err)
{
	int rc;

	thread_cond_init(&changed);
	all.spool = xasprintf("%s/spool", folder);
	all.damaged = xasprintf("%s/damaged", folder);
	all.refused = xasprintf("%s/refused", folder);
	all.limit = limit;
	if ((mkdir(all.spool, 0700) < 0 && errno != EEXIST) ||
	    (mkdir(all.damaged, 0700) < 0 && errno != EEXIST))
		return error_errno(err, "cannot make '%s'", all.spool);
	pthread_mutex_lock(&lock);
	rc = take_up_all(err);
	pthread_mutex_unlock(&lock);
	return rc;
}
