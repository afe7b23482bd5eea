#include "daemon/serve.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "daemon/far.h"
#include "daemon/flight.h"
#include "daemon/pulse.h"
#include "daemon/uploads.h"
#include "locations/kinds.h"
#include "store/record.h"

#define GREETING_US 2000000
#define PIECE_US 10000000      /* for the client to take or send the next */
#define UNHURRIED_US 30000000  /* for a server, when nobody said how long */
#define LONGEST_US 86400000000 /* for anything */
#define LOOK_UP_US 1000000     /* while somebody waits for uploads */
#define PLACES 64              /* locations of one client */

struct client {
	struct server *server;
	struct channel *channel;
	struct group *group;
	struct far *far[PLACES]; /* by their numbers on this connection */
	uint32_t number[PLACES];
	size_t places;
};

/* ---- words ---- */

static int64_t
soon(void)
{
	return clock_us() + PIECE_US;
}

static int
answer(struct client *client, size_t item, enum outcome outcome,
    const struct error *why, struct error *err)
{
	Tarn__DaemonAnswer to;

	tarn__daemon_answer__init(&to);
	to.item = (uint32_t)item;
	to.outcome = outcome;
	if (why && outcome <= DECLINED && why->text[0]) {
		to.text = (char *)(uintptr_t)why->text;
		to.skipped = why->kind == ERROR_SKIPPED;
		to.error = to.skipped ? ERROR_UNREACHABLE : why->kind;
	}
	return channel_send(client->channel, &to.base, soon(), err);
}

static int
answer_all(struct client *client, const Tarn__DaemonRequest *request,
    enum outcome outcome, const struct error *why, struct error *err)
{
	for (size_t i = 0; i < request->n_keys; i++) {
		if (answer(client, i, outcome, why, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- reading ---- */

struct reading;

/* Of one item: to the client, in pieces. */
struct item {
	struct sink base;
	struct reading *reading;
	uint32_t number;
	uint64_t size;
	struct buf head; /* of an index value: it may be a record */
	struct flight *flight;
};

struct reading {
	struct client *client;
	struct pulse pulse;
	struct location *loc; /* that is read from */
	int64_t start, until; /* the client waits */
	uint64_t received;    /* bytes of all items */
	bool hung_up;
	struct item item[CHANNEL_KEYS];
	struct location_read_request asked[CHANNEL_KEYS];
	size_t index[CHANNEL_KEYS], count;
	size_t following[CHANNEL_KEYS], followed; /* items */
};

static struct item *
item_of(struct sink *base)
{
	return container_of(base, struct item, base);
}

/*
 * A lookup may go on for as long as bytes come fast enough. What a record names was
 * found worth its time by the client, who said how long that is; a leaf gives up by
 * itself what does not move.
 */
static int64_t
deadline_of(const struct reading *reading)
{
	int64_t limit = reading->start + FAR_FIRST_US +
	    (int64_t)(reading->received * 1000000 / FAR_RATE);

	if (reading->asked[0].key.space == KEY_BLOB)
		return reading->until;
	return limit < reading->until ? limit : reading->until;
}

/* Of what is read from the server, and not from the spool. */
static void
note_piece(struct item *item, const void *data, size_t size)
{
	struct reading *reading = item->reading;

	reading->received += size;
	location_set_deadline(reading->loc, deadline_of(reading));
	if (item->flight)
		flight_add(item->flight, data, size);
	if (item->head.len + size <= RECORD_MAX &&
	    reading->asked[0].key.space == KEY_INDEX)
		buf_add(&item->head, data, size);
}

static int
item_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	struct item *item = item_of(base);
	struct reading *reading = item->reading;
	int rc;

	item->size += size;
	if (reading->loc)
		note_piece(item, data, size);
	if (size == 0)
		return 0;
	pulse_lock(&reading->pulse);
	rc = channel_send_data(
	    reading->client->channel, item->number, data, size, soon(), err);
	pulse_unlock(&reading->pulse);
	reading->hung_up |= rc < 0;
	return rc;
}

static int
item_reset(struct sink *base, struct error *err)
{
	if (item_of(base)->size == 0)
		return 0;
	return error_set(
	    err, ERROR_SYSTEM, "a part of it is on its way already");
}

static int
item_commit(struct sink *base, struct error *err)
{
	return 0;
}

static void
item_close(struct sink *base)
{
	buf_release(&item_of(base)->head);
}

static const struct sink_ops item_ops = { .write = item_write,
	.reset = item_reset,
	.commit = item_commit,
	.close = item_close };

/* What waits to be uploaded is there for readers. */
static bool
read_waiting(struct reading *reading, struct far *far, const struct key *key,
    size_t i, struct error *err)
{
	uint64_t start, size;
	auto_close int fd = uploads_find(far, key, &start, &size);
	auto_source *in = NULL;

	if (fd < 0)
		return false;
	in = parcel_source(fd, start, size);
	if (stream_copy(in, &reading->item[i].base, err) == 0)
		(void)answer(reading->client, i, HIT, NULL, err);
	else
		(void)answer(reading->client, i, FAILED, err, err);
	return true;
}

/* What the run took, if this is a record. */
static uint64_t
saved_us(const struct key *key, const struct buf *value)
{
	struct record record;
	struct error err;
	uint64_t us;

	if (key->space != KEY_INDEX ||
	    record_decode(
	        &record, &key->digest, value->data, value->len, &err) < 0)
		return 0;
	us = record.wall_us;
	record_release(&record);
	return us;
}

static void
note_read(struct far *far, const struct reading *reading)
{
	uint64_t hits = 0;

	for (size_t i = 0; i < reading->count; i++)
		hits += reading->asked[i].outcome == HIT;
	if (hits > 0)
		far_measure(
		    far, reading->received, clock_us() - reading->start);
	far_lock();
	far->counts.reads += reading->count;
	far->counts.hits += hits;
	far_unlock();
}

/* Lookups, and what brought nothing; whether outputs are worth it, clients decide. */
static void
charge(struct far *far, const struct reading *reading, int64_t took)
{
	bool lookup = false;
	uint64_t saved = 0;

	for (size_t i = 0; i < reading->count; i++) {
		const struct location_read_request *asked = &reading->asked[i];
		const struct item *item = &reading->item[reading->index[i]];

		lookup |=
		    asked->key.space == KEY_INDEX || asked->outcome != HIT;
		if (asked->outcome == HIT)
			saved += saved_us(&asked->key, &item->head);
	}
	if (lookup)
		far_charge(far, reading->start, took, saved);
}

/* What went wrong with the server; NULL: nothing. */
static const struct error *
trouble(const struct reading *reading)
{
	for (size_t i = 0; i < reading->count; i++) {
		if (reading->asked[i].outcome == FAILED)
			return &reading->asked[i].err;
	}
	return NULL;
}

/* Whoever waits for what we read. */
static void
land(const struct reading *reading, bool asked)
{
	for (size_t i = 0; i < reading->count; i++) {
		struct flight *flight = reading->item[reading->index[i]].flight;

		if (flight)
			flight_land(
			    flight, asked ? reading->asked[i].outcome : FAILED);
	}
}

static int
read_from(struct far *far, struct reading *reading, struct error *err)
{
	struct client *client = reading->client;
	struct location *loc =
	    far_borrow(far, deadline_of(reading), &reading->asked[0].err);
	struct error why = reading->asked[0].err;
	int64_t end;

	if (!loc)
		land(reading, false);
	for (size_t i = 0; i < reading->count && !loc; i++) {
		if (answer(client, reading->index[i], FAILED, &why, err) < 0)
			return -1;
	}
	if (!loc) {
		far_waited(far, reading->start);
		return 0;
	}
	reading->loc = loc;
	location_set_deadline(loc, deadline_of(reading));
	pulse_begin(
	    &reading->pulse, client->channel, (uint32_t)reading->index[0]);
	location_read_batch(loc, reading->asked, reading->count);
	pulse_end(&reading->pulse);
	location_set_deadline(loc, 0);
	reading->loc = NULL;
	end = clock_us();
	land(reading, true);
	note_read(far, reading);
	far_return(far, loc, trouble(reading),
	    !reading->hung_up &&
	        reading->until - reading->start >= FAR_FIRST_US);
	charge(far, reading, end);
	for (size_t i = 0; i < reading->count; i++) {
		if (answer(client, reading->index[i], reading->asked[i].outcome,
		        &reading->asked[i].err, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- what another one reads already ---- */

/* The outcome, while the client hears now and then that we are here. */
static int
follow(struct reading *reading, size_t item, struct error *err)
{
	struct flight *flight = reading->item[item].flight;
	int64_t end = reading->until;

	for (;;) {
		int64_t now = clock_us();
		int64_t next = now + PULSE_US < end ? now + PULSE_US : end;
		int outcome = flight_wait(flight, next);

		if (outcome != FLIGHT_IN_AIR || next == end)
			return outcome;
		if (channel_send_data(reading->client->channel, (uint32_t)item,
		        "", 0, soon(), err) < 0)
			return FAILED;
	}
}

static int
answer_follower(struct reading *reading, size_t item, struct error *err)
{
	auto_source *in = flight_source(reading->item[item].flight);
	char chunk[64 * 1024];
	ssize_t got;

	while ((got = source_read(in, chunk, sizeof(chunk), err)) > 0) {
		if (channel_send_data(reading->client->channel, (uint32_t)item,
		        chunk, (size_t)got, soon(), err) < 0)
			return -1;
	}
	return answer(reading->client, item, got < 0 ? FAILED : HIT, err, err);
}

static void
add_own(struct reading *reading, size_t item, const struct key *key)
{
	reading->asked[reading->count] =
	    (struct location_read_request){ .key = *key,
		    .out = &reading->item[item].base };
	reading->index[reading->count++] = item;
}

/* Those that others read for us; what failed for them is asked for again. */
static int
read_after_others(struct far *far, struct reading *reading,
    const Tarn__DaemonRequest *request, struct error *err)
{
	size_t followed = reading->followed, served = 0;
	int rc = 0;

	reading->count = 0;
	for (size_t i = 0; i < followed && rc == 0; i++) {
		size_t item = reading->following[i];
		int outcome = follow(reading, item, err);
		struct key key;

		served += outcome == HIT;
		if (outcome == HIT)
			rc = answer_follower(reading, item, err);
		else if (outcome == MISS)
			rc = answer(reading->client, item, MISS, NULL, err);
		else
			rc = channel_key(request->keys[item], &key, err);
		if (rc < 0 || outcome == HIT || outcome == MISS)
			continue;
		flight_leave(take(reading->item[item].flight));
		add_own(reading, item, &key);
	}
	far_lock();
	far->counts.merged += served;
	far_unlock();
	return rc == 0 && reading->count > 0 ? read_from(far, reading, err)
	                                     : rc;
}

/* ---- all of a request ---- */

static int64_t
until(const Tarn__DaemonRequest *request)
{
	uint64_t wait = request->wait_us;

	if (wait == 0)
		wait = UNHURRIED_US;
	return clock_us() + (int64_t)(wait < LONGEST_US ? wait : LONGEST_US);
}

/* From the spool, or by us, or by another one who is at it. */
static int
begin_item(struct far *far, struct reading *reading,
    const Tarn__DaemonRequest *request, size_t i, struct error *err)
{
	struct item *item = &reading->item[i];
	struct key key;
	bool leads;

	*item = (struct item){ .base = { &item_ops },
		.reading = reading,
		.number = (uint32_t)i,
		.head = BUF_INIT };
	if (channel_key(request->keys[i], &key, err) < 0)
		return -1;
	if (read_waiting(reading, far, &key, i, err))
		return 0;
	item->flight = flight_join(far, &key, &leads);
	if (leads)
		add_own(reading, i, &key);
	else
		reading->following[reading->followed++] = i;
	return 0;
}

static int
handle_read(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, struct error *err)
{
	struct reading *reading = xmalloc(sizeof(*reading));
	size_t begun = 0;
	int rc = 0;

	reading->client = client;
	pulse_init(&reading->pulse);
	reading->loc = NULL;
	reading->start = clock_us();
	reading->until = until(request);
	reading->received = 0;
	reading->hung_up = false;
	reading->count = reading->followed = 0;
	for (; begun < request->n_keys && rc == 0; begun++)
		rc = begin_item(far, reading, request, begun, err);
	if (rc < 0)
		land(reading, false);
	if (rc == 0 && reading->count > 0)
		rc = read_from(far, reading, err);
	if (rc == 0 && reading->followed > 0)
		rc = read_after_others(far, reading, request, err);
	for (size_t i = 0; i < begun; i++) {
		if (reading->item[i].flight)
			flight_leave(reading->item[i].flight);
		item_close(&reading->item[i].base);
	}
	pulse_release(&reading->pulse);
	free(reading);
	return rc;
}

/* ---- writing ---- */

/* All bytes of one item: 1; 0: they can't be kept, and *why; -1: the connection is of
 * no use any more. */
static int
receive_value(struct client *client, size_t item, uint64_t size,
    struct uploading *up, struct error *why, struct error *err)
{
	struct channel_frame frame;
	int kept = 1;

	while (size > 0) {
		int rc = channel_next(client->channel, &frame, soon(), err);

		if (rc <= 0)
			return -1;
		if (frame.is_message || frame.item != item ||
		    frame.size > size || frame.size == 0)
			return error_set(err, ERROR_CORRUPT,
			    "expected %llu bytes more of a value",
			    (unsigned long long)size);
		size -= frame.size;
		if (kept &&
		    parcel_add(&up->writer, frame.data, frame.size, why) < 0)
			kept = 0;
	}
	return kept;
}

static int
write_one(struct client *client, size_t item, uint64_t size,
    struct uploading *up, struct error *err)
{
	struct error why = { 0 };
	int rc = receive_value(client, item, size, up, &why, err);

	if (rc <= 0)
		uploads_forget(up);
	else if (uploads_add(up, &why) < 0)
		rc = 0;
	if (rc < 0)
		return -1;
	return answer(client, item, rc > 0 ? STORED : FAILED, &why, err);
}

/* Its bytes came with the request. */
static enum outcome
take_value(const Tarn__DaemonKey *from, struct uploading *up, struct error *why)
{
	if (parcel_add(&up->writer, from->value.data, from->value.len, why) ==
	    0)
		return uploads_add(up, why) == 0 ? STORED : FAILED;
	uploads_forget(up);
	return FAILED;
}

static int
handle_write(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, struct error *err)
{
	struct uploading *up = xrealloc(NULL, request->n_keys, sizeof(*up));
	bool *wanted = xmalloc(request->n_keys + 1);
	size_t begun = 0;
	int rc = 0;

	for (; begun < request->n_keys && rc == 0; begun++) {
		const Tarn__DaemonKey *from = request->keys[begun];
		struct error why = { 0 };
		enum outcome outcome = FAILED;
		struct key key;

		wanted[begun] = false;
		rc = channel_key(from, &key, err);
		if (rc == 0)
			outcome =
			    uploads_begin(&up[begun], far, client->group, &key,
			        from->size, (enum write_mode)from->mode, &why);
		if (rc == 0 && outcome == HIT && from->size > 0 &&
		    from->value.len == from->size)
			outcome = take_value(from, &up[begun], &why);
		else
			wanted[begun] = rc == 0 && outcome == HIT;
		if (rc == 0)
			rc = answer(client, begun,
			    wanted[begun]         ? (enum outcome)CHANNEL_SEND
			        : outcome == KEPT ? STORED
			                          : outcome,
			    &why, err);
	}
	for (size_t i = 0; i < begun; i++) {
		if (wanted[i] && rc == 0)
			rc = write_one(
			    client, i, request->keys[i]->size, &up[i], err);
		else if (wanted[i])
			uploads_forget(&up[i]);
	}
	free(wanted);
	free(up);
	return rc;
}

/* ---- other questions ---- */

typedef enum outcome question_fn(
    struct location *loc, const struct key *key, struct error *err);

static enum outcome
ask_far(struct location *loc, question_fn *fn, const struct key *key,
    struct error *failure, struct error *why)
{
	enum outcome outcome = fn(loc, key, why);

	if (outcome == FAILED)
		*failure = *why;
	return outcome;
}

/* For a request whose keys are understood. */
static int
ask_each(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, question_fn *fn, const bool *here,
    struct error *err)
{
	int64_t start = clock_us(), end = until(request);
	int64_t limit = start + FAR_FIRST_US;
	struct error failure = { 0 };
	struct location *loc;
	int rc = 0;

	if (end < limit)
		limit = end;
	loc = far_borrow(far, limit, &failure);
	if (loc)
		location_set_deadline(loc, limit);
	for (size_t i = 0; i < request->n_keys && rc == 0; i++) {
		struct error why = { 0 };
		struct key key;
		enum outcome outcome = FAILED;

		rc = channel_key(request->keys[i], &key, err);
		if (here[i] && fn != location_remove)
			outcome = HIT;
		else if (rc == 0 && failure.kind == ERROR_NONE)
			outcome = ask_far(loc, fn, &key, &failure, &why);
		if (here[i] && outcome == MISS)
			outcome = HIT;
		if (rc == 0)
			rc = answer(client, i, outcome,
			    outcome == FAILED ? &failure : &why, err);
	}
	if (!loc)
		return rc;
	location_set_deadline(loc, 0);
	far_return(far, loc, failure.kind == ERROR_NONE ? NULL : &failure,
	    end - start >= FAR_FIRST_US);
	far_charge(far, start, clock_us(), 0);
	return rc;
}

/* What waits to be uploaded is there, and is used for the first time when it is. */
static int
ask_unless_here(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, question_fn *fn, struct error *err)
{
	bool here[CHANNEL_KEYS] = { false };
	size_t found = 0;
	struct key key;

	for (size_t i = 0; i < request->n_keys; i++) {
		if (channel_key(request->keys[i], &key, err) < 0)
			return -1;
		here[i] = uploads_contains(far, client->group, &key);
		found += here[i];
	}
	return found == request->n_keys
	    ? answer_all(client, request, HIT, NULL, err)
	    : ask_each(client, far, request, fn, here, err);
}

static int
handle_contains(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, struct error *err)
{
	return ask_unless_here(client, far, request, location_contains, err);
}

static int
handle_touch(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, struct error *err)
{
	return ask_unless_here(client, far, request, location_touch, err);
}

static int
handle_remove(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, struct error *err)
{
	bool here[CHANNEL_KEYS] = { false };
	int64_t end = clock_us() + FAR_FIRST_US;
	struct key key;

	for (size_t i = 0; i < request->n_keys; i++) {
		if (channel_key(request->keys[i], &key, err) < 0)
			return -1;
		here[i] = uploads_remove(far, &key, end);
	}
	return ask_each(client, far, request, location_remove, here, err);
}

static int
handle_expect(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, struct error *err)
{
	Tarn__DaemonAnswer to;

	tarn__daemon_answer__init(&to);
	to.outcome = HIT;
	to.number = far_expect(far, request->bytes, 1);
	return channel_send(client->channel, &to.base, soon(), err);
}

/* ---- questions about us ---- */

/* The first location that has uploads left, and why, if it is known. */
static void
say_what_waits(struct error *why)
{
	for (struct far *far = far_next(NULL); far; far = far_next(far)) {
		struct uploads_sum sum = uploads_sum(far);
		struct error about;

		if (sum.count == 0)
			continue;
		far_lock();
		about = far->away ? far->why : far->upload_why;
		far_unlock();
		(void)error_set(why, ERROR_UNREACHABLE, "'%s'%s%.300s",
		    far->label, about.text[0] ? ": " : "", about.text);
		return;
	}
}

/* Nobody waits for us any more. */
static bool
has_hung_up(const struct client *client)
{
	struct pollfd look = { .fd = client->channel->fd, .events = POLLRDHUP };

	return poll(&look, 1, 0) > 0;
}

static int
handle_flush(struct client *client, const Tarn__DaemonRequest *request,
    struct error *err)
{
	Tarn__DaemonAnswer to;
	int64_t end = (int64_t)1 << 60, now;
	struct error why = { 0 };

	if (request->wait_us && request->wait_us < (uint64_t)end)
		end = clock_us() + (int64_t)request->wait_us;
	tarn__daemon_answer__init(&to);
	do {
		now = clock_us();
		to.number = uploads_flush(
		    now + LOOK_UP_US < end ? now + LOOK_UP_US : end);
	} while (to.number > 0 && clock_us() < end && !has_hung_up(client));
	to.outcome = to.number == 0 ? HIT : MISS;
	if (to.number > 0)
		say_what_waits(&why);
	to.text = why.text;
	return channel_send(client->channel, &to.base, soon(), err);
}

static void
describe(struct far *far, Tarn__DaemonPlace *place)
{
	int64_t left = (far->retry_us - clock_us()) / 1000000 + 1;

	tarn__daemon_place__init(place);
	place->label = far->label;
	place->kind = far->config->kind;
	place->away = far->away;
	if (far->away)
		place->why = far->why.text;
	place->retry_s = far->away && left > 0 ? (uint64_t)left : 0;
	place->connections = far->open;
	place->latency_us = far->latency_us;
	place->rate = far->rate;
	place->reads = far->counts.reads;
	place->hits = far->counts.hits;
	place->merged = far->counts.merged;
	place->uploaded = far->counts.uploaded;
	place->uploaded_bytes = far->counts.uploaded_bytes;
	place->present = far->counts.present;
	place->waited_us = far->counts.waited_us;
	place->refused = far->counts.refused;
}

static int
handle_status(struct client *client, const Tarn__DaemonRequest *request,
    struct error *err)
{
	Tarn__DaemonStatus to;
	char version[] = TARN_VERSION;
	struct uploads_sum sum = uploads_sum(NULL);
	Tarn__DaemonPlace *places = NULL, **at = NULL;
	size_t n = 0, room = 1;
	int rc;

	tarn__daemon_status__init(&to);
	to.pid = (uint32_t)getpid();
	to.version = version;
	to.uptime_s =
	    (uint64_t)(clock_us() - client->server->started) / 1000000;
	to.clients = server_clients();
	to.uploads = sum.count;
	to.upload_bytes = sum.bytes;
	to.spool_limit = sum.limit;
	for (struct far *far = far_next(NULL); far; far = far_next(far))
		room++;
	places = xrealloc(NULL, room, sizeof(*places));
	at = xrealloc(NULL, room, sizeof(*at));
	/* There may be more of them by now. */
	for (struct far *far = far_next(NULL); far && n < room;
	     far = far_next(far)) {
		far_lock();
		describe(far, &places[n]);
		far_unlock();
		places[n].uploads = uploads_sum(far).count;
		at[n] = &places[n];
		n++;
	}
	to.n_places = n;
	to.places = at;
	rc = channel_send(client->channel, &to.base, soon(), err);
	free(places);
	free(at);
	return rc;
}

static int
handle_stop(struct client *client, const Tarn__DaemonRequest *request,
    struct error *err)
{
	Tarn__DaemonAnswer to;
	int rc;

	tarn__daemon_answer__init(&to);
	to.outcome = HIT;
	to.number = uploads_sum(NULL).count;
	rc = channel_send(client->channel, &to.base, soon(), err);
	server_stop(client->server);
	return rc;
}

/* ---- requests ---- */

typedef int far_fn(struct client *client, struct far *far,
    const Tarn__DaemonRequest *request, struct error *err);
typedef int own_fn(struct client *client, const Tarn__DaemonRequest *request,
    struct error *err);

static const struct {
	far_fn *far;
	own_fn *own;
} handlers[] = {
	[CHANNEL_READ] = { handle_read, NULL },
	[CHANNEL_WRITE] = { handle_write, NULL },
	[CHANNEL_CONTAINS] = { handle_contains, NULL },
	[CHANNEL_REMOVE] = { handle_remove, NULL },
	[CHANNEL_TOUCH] = { handle_touch, NULL },
	[CHANNEL_EXPECT] = { handle_expect, NULL },
	[CHANNEL_FLUSH] = { NULL, handle_flush },
	[CHANNEL_STATUS] = { NULL, handle_status },
	[CHANNEL_STOP] = { NULL, handle_stop },
};

/* What needs no server is no business of ours. */
static bool
is_remote(const char *kind)
{
	for (size_t i = 0; location_kinds[i]; i++) {
		if (strcmp(location_kinds[i]->name, kind) == 0)
			return location_kinds[i]->remote;
	}
	return false;
}

static struct far *
far_with(struct client *client, const Tarn__DaemonRequest *request)
{
	for (size_t i = 0; i < client->places; i++) {
		if (client->number[i] == request->location)
			return client->far[i];
	}
	if (!request->opened || !is_remote(request->opened->kind) ||
	    client->places == PLACES)
		return NULL;
	client->number[client->places] = request->location;
	return client->far[client->places++] = far_of(request->opened);
}

static int
handle(struct client *client, const Tarn__DaemonRequest *request,
    struct error *err)
{
	struct far *far;

	if (request->kind >= sizeof(handlers) / sizeof(*handlers) ||
	    request->n_keys > CHANNEL_KEYS)
		return error_set(err, ERROR_CORRUPT, "no request of ours");
	if (handlers[request->kind].own)
		return handlers[request->kind].own(client, request, err);
	far = far_with(client, request);
	if (!handlers[request->kind].far || !far)
		return error_set(err, ERROR_CORRUPT, "no request of ours");
	return handlers[request->kind].far(client, far, request, err);
}

static int
next_request(struct client *client, struct error *err)
{
	struct channel_frame frame;
	int rc = channel_next(client->channel, &frame, 0, err);
	Tarn__DaemonRequest *request;

	if (rc <= 0)
		return rc;
	request = (Tarn__DaemonRequest *)channel_unpack(
	    &frame, &tarn__daemon_request__descriptor, err);
	if (!request)
		return -1;
	rc = handle(client, request, err);
	tarn__daemon_request__free_unpacked(request, NULL);
	return rc < 0 ? -1 : 1;
}

/* ---- the greeting ---- */

/* Why a client is refused; NULL: it isn't. The caller frees it. */
static char *
refusal(const Tarn__DaemonGreeting *theirs)
{
	if (theirs->protocol == CHANNEL_PROTOCOL &&
	    strcmp(theirs->version, TARN_VERSION) == 0)
		return NULL;
	return xasprintf("version %s runs here, and you are %.40s; "
	                 "'tarn daemon stop' makes room",
	    TARN_VERSION, theirs->version);
}

static int
greet(struct client *client, const Tarn__DaemonGreeting *theirs,
    struct error *err)
{
	Tarn__DaemonGreeting ours;
	char version[] = TARN_VERSION;
	auto_free char *why = refusal(theirs);

	tarn__daemon_greeting__init(&ours);
	ours.protocol = CHANNEL_PROTOCOL;
	ours.version = version;
	ours.pid = (uint32_t)getpid();
	if (why)
		ours.refusal = why;
	if (channel_send(client->channel, &ours.base, soon(), err) < 0)
		return -1;
	if (!why)
		return 0;
	/* Make way for a new one if nobody else needs us. */
	if (server_clients() == 1 && uploads_sum(NULL).count == 0)
		server_stop(client->server);
	return error_set(err, ERROR_USAGE, "refused: %s", why);
}

static int
welcome(struct client *client, struct error *err)
{
	Tarn__DaemonGreeting *theirs = (Tarn__DaemonGreeting *)channel_receive(
	    client->channel, &tarn__daemon_greeting__descriptor,
	    clock_us() + GREETING_US, err);
	int rc;

	if (!theirs)
		return -1;
	rc = greet(client, theirs, err);
	if (rc == 0)
		client->group = group_of(theirs->action);
	tarn__daemon_greeting__free_unpacked(theirs, NULL);
	return rc;
}

void
serve(struct server *server, struct channel *channel)
{
	struct client client = { .server = server, .channel = channel };
	struct error err = { 0 };
	int rc = welcome(&client, &err);

	if (rc == 0) {
		while ((rc = next_request(&client, &err)) > 0)
			;
		group_release(client.group);
	}
	if (rc < 0)
		log_info("a client: %s", err.text);
}
