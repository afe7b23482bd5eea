/*
 * Locations that need a server, for tarn-exec, which links no network library: what
 * it wants of them it asks of tarnd. It does so only when it has to: to open the
 * tree takes no system call, and a hit nearby takes none here.
 *
 * tarnd keeps what is written in a spool of its own and answers STORED; whether it
 * was there before is not known until it is uploaded.
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "locations/daemon.h"
#include "locations/kinds.h"

#define INLINE (32 << 10)      /* bytes of a value that go with the request */
#define INLINE_ALL (256 << 10) /* and of all of them */
#define PATIENCE_US 1500000 /* with tarnd, which waits for servers less long */
#define PATIENCE_BLOB_US 10000000 /* which may come in large pieces */
#define GRACE_US 200000 /* for what it says at the deadline to get here */

struct proxy {
	struct location base;
	Tarn__Location *config; /* owned */
	struct digest id;       /* of its description */
	uint32_t number;        /* its name on the channel */
	uint32_t told;          /* on this connection, what that means */
};

static struct proxy *
proxy_of(struct location *loc)
{
	return container_of(loc, struct proxy, base);
}

static Tarn__Location *
copy_config(const Tarn__Location *config, struct digest *id)
{
	size_t size = tarn__location__get_packed_size(config);
	auto_free uint8_t *data = xmalloc(size + 1);

	tarn__location__pack(config, data);
	digest_bytes(id, data, size);
	return tarn__location__unpack(NULL, size, data);
}

static void
proxy_close(struct location *loc)
{
	struct proxy *proxy = proxy_of(loc);

	tarn__location__free_unpacked(proxy->config, NULL);
	free(proxy);
}

static struct location *
proxy_new(const struct location_kind *kind, const Tarn__Location *config,
    struct error *err)
{
	static uint32_t number;
	struct proxy *proxy;
	struct digest id;
	Tarn__Location *copy = copy_config(config, &id);

	if (!copy) {
		error_set(err, ERROR_SYSTEM, "out of memory");
		return NULL;
	}
	proxy = xmalloc(sizeof(*proxy));
	*proxy = (struct proxy){ .base = { .kind = kind },
		.config = copy,
		.id = id,
		.number = ++number };
	return &proxy->base;
}

/* ---- a conversation ---- */

/* One request and what comes of it. */
struct talk {
	struct proxy *proxy;
	struct channel *channel; /* NULL: there is nobody to talk to */
	Tarn__DaemonRequest request;
	Tarn__DaemonKey keys[CHANNEL_KEYS];
	Tarn__DaemonKey *at[CHANNEL_KEYS];
	struct error why; /* it failed as a whole */
};

static void
talk_start(struct talk *talk, struct location *loc, enum channel_request kind)
{
	int64_t left = loc->deadline_us ? loc->deadline_us - clock_us() : 0;
	uint32_t which;

	talk->proxy = proxy_of(loc);
	tarn__daemon_request__init(&talk->request);
	talk->request.kind = kind;
	talk->request.location = talk->proxy->number;
	talk->request.keys = talk->at;
	if (loc->deadline_us)
		talk->request.wait_us = left > 0 ? (uint64_t)left : 1;
	if (kind != CHANNEL_WRITE &&
	    daemon_says_away(&talk->proxy->id, &talk->why))
		return;
	talk->channel = daemon_link(&which, loc->deadline_us, &talk->why);
	if (!talk->channel || talk->proxy->told == which)
		return;
	talk->request.opened = talk->proxy->config;
	talk->proxy->told = which;
}

static Tarn__DaemonKey *
talk_add(struct talk *talk, const struct key *key)
{
	size_t i = talk->request.n_keys++;

	talk->keys[i] = channel_key_of(key);
	talk->at[i] = &talk->keys[i];
	return &talk->keys[i];
}

static void
talk_fail(struct talk *talk)
{
	daemon_lost(&talk->why);
	talk->channel = NULL;
}

static int64_t
until(const struct talk *talk)
{
	int64_t deadline = talk->proxy->base.deadline_us;
	bool blob = talk->request.n_keys > 0 &&
	    talk->keys[0].space == KEY_BLOB &&
	    talk->request.kind == CHANNEL_READ;
	int64_t patience = clock_us() + (blob ? PATIENCE_BLOB_US : PATIENCE_US);

	if (deadline && deadline + GRACE_US < patience)
		return deadline + GRACE_US;
	return patience;
}

static void
talk_ask(struct talk *talk)
{
	if (talk->channel &&
	    channel_send(talk->channel, &talk->request.base, until(talk),
	        &talk->why) < 0)
		talk_fail(talk);
}

/* The next frame; false: there is none, and the talk has failed. */
static bool
talk_hear(struct talk *talk, struct channel_frame *frame)
{
	int rc;

	if (!talk->channel)
		return false;
	rc = daemon_hear(&talk->why);
	if (rc == 0)
		rc =
		    channel_next(talk->channel, frame, until(talk), &talk->why);
	if (rc == 0)
		error_set(&talk->why, ERROR_UNREACHABLE, "it hung up");
	if (rc > 0 && (frame->is_message || frame->item < talk->request.n_keys))
		return true;
	if (rc > 0)
		error_set(&talk->why, ERROR_CORRUPT, "not what was asked for");
	talk_fail(talk);
	return false;
}

/* An answer in a frame; NULL: it is none, and the talk has failed. */
static Tarn__DaemonAnswer *
talk_answer(struct talk *talk, const struct channel_frame *frame)
{
	Tarn__DaemonAnswer *answer = (Tarn__DaemonAnswer *)channel_unpack(
	    frame, &tarn__daemon_answer__descriptor, &talk->why);

	if (answer && answer->outcome >= FAILED &&
	    answer->outcome <= CHANNEL_SEND && answer->item < CHANNEL_KEYS &&
	    answer->error <= ERROR_USAGE &&
	    (answer->item < talk->request.n_keys || !talk->request.n_keys))
		return answer;
	if (answer) {
		tarn__daemon_answer__free_unpacked(answer, NULL);
		error_set(&talk->why, ERROR_CORRUPT, "not an answer");
	}
	talk_fail(talk);
	return NULL;
}

static enum outcome
take_answer(const Tarn__DaemonAnswer *answer, struct error *err)
{
	if (*answer->text)
		(void)error_set(err,
		    answer->skipped ? ERROR_SKIPPED
		                    : (enum error_kind)answer->error,
		    "%s", answer->text);
	else if (answer->outcome == FAILED)
		(void)error_set(err, ERROR_UNREACHABLE, "tarnd can't say why");
	return (enum outcome)answer->outcome;
}

/* ---- reading ---- */

struct reading {
	struct talk talk;
	struct location_read_request *requests;
	bool done[CHANNEL_KEYS], broken[CHANNEL_KEYS];
	size_t left;
};

/* There may be no end of it. Only hanging up keeps tarnd from fetching the rest; what
 * else was asked for is not to blame. */
static void
stop_at_too_much(struct reading *reading, uint32_t item)
{
	struct location_read_request *request = &reading->requests[item];
	struct talk *talk = &reading->talk;

	error_set(
	    &request->err, ERROR_CORRUPT, "it holds more than was asked for");
	reading->broken[item] = true;
	error_set(&talk->why, ERROR_UNREACHABLE,
	    "given up, since a value holds more than was asked for");
	talk_fail(talk);
}

/* What the reader can't take any more of is heard all the same. */
static void
take_piece(struct reading *reading, const struct channel_frame *frame)
{
	struct location_read_request *request = &reading->requests[frame->item];

	if (reading->done[frame->item] || reading->broken[frame->item])
		return;
	reading->broken[frame->item] = sink_write(request->out, frame->data,
	                                   frame->size, &request->err) < 0;
	if (!reading->broken[frame->item] && sink_is_full(request->out))
		stop_at_too_much(reading, frame->item);
}

static void
take_read_answer(struct reading *reading, const struct channel_frame *frame)
{
	Tarn__DaemonAnswer *answer = talk_answer(&reading->talk, frame);
	struct location_read_request *request;

	if (!answer)
		return;
	request = &reading->requests[answer->item];
	if (!reading->done[answer->item]) {
		reading->done[answer->item] = true;
		reading->left--;
		request->outcome = FAILED;
		if (!reading->broken[answer->item])
			request->outcome = take_answer(answer, &request->err);
	}
	tarn__daemon_answer__free_unpacked(answer, NULL);
}

static void
read_some(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	struct reading *reading = xmalloc(sizeof(*reading));
	struct talk *talk = &reading->talk;
	struct channel_frame frame;

	memset(reading, 0, sizeof(*reading));
	reading->requests = requests;
	reading->left = count;
	talk_start(talk, loc, CHANNEL_READ);
	for (size_t i = 0; i < count; i++)
		(void)talk_add(talk, &requests[i].key);
	talk_ask(talk);
	while (reading->left > 0 && talk_hear(talk, &frame)) {
		if (frame.is_message)
			take_read_answer(reading, &frame);
		else
			take_piece(reading, &frame);
	}
	for (size_t i = 0; i < count; i++) {
		if (reading->done[i])
			continue;
		requests[i].outcome = FAILED;
		if (!reading->broken[i])
			requests[i].err = talk->why;
	}
	free(reading);
}

static size_t
at_once(size_t count)
{
	return count < CHANNEL_KEYS ? count : CHANNEL_KEYS;
}

static void
proxy_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i += CHANNEL_KEYS)
		read_some(loc, requests + i, at_once(count - i));
}

static enum outcome
proxy_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct location_read_request request = { .key = *key, .out = out };

	read_some(loc, &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

/* ---- questions with a word for an answer ---- */

/* `said` has the answers in the keys' order; those that came are `done`. */
static void
hear_answers(struct talk *talk, struct location_contains_request *said,
    bool *done, size_t left)
{
	struct channel_frame frame;

	while (left > 0 && talk_hear(talk, &frame)) {
		Tarn__DaemonAnswer *answer = talk_answer(talk, &frame);

		if (!answer)
			break;
		left -= !done[answer->item];
		done[answer->item] = true;
		said[answer->item].outcome =
		    take_answer(answer, &said[answer->item].err);
		tarn__daemon_answer__free_unpacked(answer, NULL);
	}
}

static void
say_unheard(const struct talk *talk, struct location_contains_request *said,
    const bool *done, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (done[i])
			continue;
		said[i].outcome = FAILED;
		said[i].err = talk->why;
	}
}

static void
ask_some(struct location *loc, enum channel_request kind,
    struct location_contains_request *requests, size_t count)
{
	struct talk *talk = xmalloc(sizeof(*talk));
	bool done[CHANNEL_KEYS] = { false };

	memset(talk, 0, sizeof(*talk));
	talk_start(talk, loc, kind);
	for (size_t i = 0; i < count; i++)
		(void)talk_add(talk, &requests[i].key);
	talk_ask(talk);
	hear_answers(talk, requests, done, count);
	say_unheard(talk, requests, done, count);
	free(talk);
}

static void
proxy_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i += CHANNEL_KEYS)
		ask_some(
		    loc, CHANNEL_CONTAINS, requests + i, at_once(count - i));
}

static enum outcome
ask_one(struct location *loc, enum channel_request kind, const struct key *key,
    struct error *err)
{
	struct location_contains_request request = { .key = *key };

	ask_some(loc, kind, &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

static enum outcome
proxy_contains(struct location *loc, const struct key *key, struct error *err)
{
	return ask_one(loc, CHANNEL_CONTAINS, key, err);
}

static enum outcome
proxy_remove(struct location *loc, const struct key *key, struct error *err)
{
	return ask_one(loc, CHANNEL_REMOVE, key, err);
}

static enum outcome
proxy_touch(struct location *loc, const struct key *key, struct error *err)
{
	return ask_one(loc, CHANNEL_TOUCH, key, err);
}

/* ---- writing ---- */

/* The whole of `in`; false: the talk has failed. */
static bool
send_value(struct talk *talk, uint32_t item, struct source *in)
{
	auto_free char *chunk = xmalloc(CHANNEL_CHUNK);
	uint64_t left = in->size;
	ssize_t got;

	while ((got = source_read(in, chunk, CHANNEL_CHUNK, &talk->why)) > 0 &&
	    (uint64_t)got <= left) {
		if (channel_send_data(talk->channel, item, chunk, (size_t)got,
		        until(talk), &talk->why) < 0)
			break;
		left -= (uint64_t)got;
	}
	if (got >= 0 && talk->why.kind == ERROR_NONE && (got > 0 || left > 0))
		(void)error_set(&talk->why, ERROR_CORRUPT,
		    "the value has not the size that it was said to have");
	if (got != 0 || left > 0)
		talk_fail(talk);
	return got == 0 && left == 0;
}

/* Those that are wanted; how many. An empty value needs no bytes. */
static size_t
send_wanted(struct talk *talk, const struct location_write_request *requests,
    const struct location_contains_request *said, bool *done, size_t count)
{
	size_t sent = 0;

	for (size_t i = 0; i < count && talk->channel; i++) {
		if (!done[i] || (int)said[i].outcome != CHANNEL_SEND)
			continue;
		done[i] = false;
		sent++;
		(void)send_value(talk, (uint32_t)i, requests[i].in);
	}
	return sent;
}

/* A small value goes along with the request, within a limit for all of them. What can't
 * be read is found out when it is to be sent. */
static void
add_value(Tarn__DaemonKey *key, struct source *in, struct buf *room)
{
	struct error err;
	ssize_t got;

	key->size = in->size;
	if (in->size == 0 || in->size > INLINE ||
	    room->len + in->size > INLINE_ALL)
		return;
	key->value.data = (uint8_t *)room->data + room->len;
	while (key->value.len < in->size) {
		got = source_read(in, key->value.data + key->value.len,
		    in->size - key->value.len, &err);
		if (got <= 0) {
			key->value.len = 0;
			(void)source_rewind(in, &err);
			return;
		}
		key->value.len += (size_t)got;
	}
	room->len += in->size;
}

static void
write_some(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	struct talk *talk = xmalloc(sizeof(*talk));
	struct location_contains_request *said =
	    xrealloc(NULL, count, sizeof(*said));
	bool done[CHANNEL_KEYS] = { false };
	struct buf room = { .data = xmalloc(INLINE_ALL) };

	memset(talk, 0, sizeof(*talk));
	memset(said, 0, count * sizeof(*said));
	talk_start(talk, loc, CHANNEL_WRITE);
	for (size_t i = 0; i < count; i++) {
		Tarn__DaemonKey *key = talk_add(talk, &requests[i].key);

		add_value(key, requests[i].in, &room);
		key->mode = requests[i].mode;
	}
	talk_ask(talk);
	hear_answers(talk, said, done, count);
	hear_answers(
	    talk, said, done, send_wanted(talk, requests, said, done, count));
	say_unheard(talk, said, done, count);
	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = said[i].outcome;
		requests[i].err = said[i].err;
	}
	free(room.data);
	free(said);
	free(talk);
}

static void
proxy_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i += CHANNEL_KEYS)
		write_some(loc, requests + i, at_once(count - i));
}

static enum outcome
proxy_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct location_write_request request = {
		.key = *key, .in = in, .mode = mode
	};

	write_some(loc, &request, 1);
	if (request.outcome <= DECLINED)
		*err = request.err;
	return request.outcome;
}

/* ---- expecting ---- */

static uint64_t
proxy_expect(struct location *loc, uint64_t bytes)
{
	struct talk *talk = xmalloc(sizeof(*talk));
	struct channel_frame frame;
	Tarn__DaemonAnswer *answer = NULL;
	uint64_t us = 0;

	memset(talk, 0, sizeof(*talk));
	talk_start(talk, loc, CHANNEL_EXPECT);
	talk->request.bytes = bytes;
	talk_ask(talk);
	if (talk_hear(talk, &frame))
		answer = talk_answer(talk, &frame);
	if (answer) {
		us = answer->number;
		tarn__daemon_answer__free_unpacked(answer, NULL);
	}
	free(talk);
	return us;
}

/* ---- the kinds that tarnd speaks for ---- */

#define PROXY(kind) \
	static struct location *open_##kind( \
	    const Tarn__Location *config, struct error *err) \
	{ \
		return proxy_new(&proxy_##kind, config, err); \
	} \
	const struct location_kind proxy_##kind = { \
		.name = #kind, \
		.remote = true, \
		.forwards = true, \
		.open = open_##kind, \
		.close = proxy_close, \
		.read = proxy_read, \
		.write = proxy_write, \
		.contains = proxy_contains, \
		.remove = proxy_remove, \
		.touch = proxy_touch, \
		.read_batch = proxy_read_batch, \
		.write_batch = proxy_write_batch, \
		.contains_batch = proxy_contains_batch, \
		.expect = proxy_expect, \
	};

PROXY(nginx)
PROXY(redis)
PROXY(s3)
PROXY(scp)
PROXY(sftp)
