#include "remote/redis_link.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK ((size_t)64 * 1024)
#define MAX_ELEMENTS (1 << 20) /* of an answer, in all of its arrays */

struct redis_link {
	struct redis_settings *settings;
	char *host, *name;
	uint16_t port;
	SSL_CTX *tls;      /* NULL until it is needed */
	struct wire *wire; /* NULL: not connected */
	redisReader *reader;
	const redisReplyObjectFunctions *usual; /* hiredis's own */
	redisReplyObjectFunctions make; /* the same, but for two of ours */
	struct buf out;
	size_t largest;

	/* While an answer is read: how much of it came, and where its string goes. */
	size_t elements, bytes;
	struct redis_call *call;
	struct error sink_error;
	bool sink_failed;
};

/* ---- a call ---- */

void
redis_call_word(struct redis_call *call, const void *data, size_t len)
{
	call->word[call->count++] = (struct redis_word){ data, len };
}

void
redis_call_text(struct redis_call *call, const char *text)
{
	redis_call_word(call, text, strlen(text));
}

void
redis_call_release(struct redis_call *call)
{
	free(call->name);
	if (call->reply)
		freeReplyObject(call->reply);
	*call = (struct redis_call){ 0 };
}

/* ---- a link ---- */

struct redis_link *
redis_link_new(struct redis_settings *settings, const char *host, uint16_t port)
{
	struct redis_link *link = xmalloc(sizeof(*link));

	*link = (struct redis_link){ .settings = settings,
		.host = host ? xstrdup(host) : NULL,
		.port = port,
		.out = BUF_INIT };
	link->name = !host      ? xstrdup(settings->path)
	    : strchr(host, ':') ? xasprintf("[%s]:%u", host, port)
	                        : xasprintf("%s:%u", host, port);
	return link;
}

void
redis_link_close(struct redis_link *link)
{
	wire_close(link->wire);
	link->wire = NULL;
	if (link->reader)
		redisReaderFree(link->reader);
	link->reader = NULL;
	buf_release(&link->out);
}

void
redis_link_free(struct redis_link *link)
{
	if (!link)
		return;
	redis_link_close(link);
	SSL_CTX_free(link->tls);
	free(link->host);
	free(link->name);
	free(link);
}

const char *
redis_link_host(const struct redis_link *link)
{
	return link->host ? link->host : "";
}

uint16_t
redis_link_port(const struct redis_link *link)
{
	return link->port;
}

const char *
redis_link_name(const struct redis_link *link)
{
	return link->name;
}

bool
redis_link_is_open(const struct redis_link *link)
{
	return link->wire != NULL;
}

size_t
redis_link_largest(const struct redis_link *link)
{
	return link->largest;
}

const char *
redis_said(const redisReply *reply, char said[static REDIS_SAID])
{
	size_t len = (size_t)reply->len;

	if (len >= REDIS_SAID)
		len = REDIS_SAID - 1;
	for (size_t i = 0; i < len; i++)
		said[i] = reply->str[i] >= ' ' && reply->str[i] < 0x7f
		    ? reply->str[i]
		    : '?';
	said[len] = '\0';
	return said;
}

/* ---- sending ---- */

static void
add_head(struct buf *out, char kind, size_t number)
{
	char text[24], *at = text + sizeof(text);

	*--at = '\n';
	*--at = '\r';
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	*--at = kind;
	buf_add(out, at, (size_t)(text + sizeof(text) - at));
}

int
redis_link_flush(struct redis_link *link, struct error *err)
{
	int rc = wire_write(link->wire, link->out.data, link->out.len,
	    &link->settings->patience, err);

	buf_reset(&link->out);
	return rc;
}

/* The next bytes of a value, up to `size`, of which `left` are announced. */
static size_t
next_bytes(struct redis_call *call, char *data, size_t size, uint64_t left)
{
	struct error why = { 0 };
	ssize_t got = source_read(
	    call->in, data, size < left ? size : (size_t)left, &why);

	if (got > 0)
		return (size_t)got;
	if (got == 0)
		error_set(&why, ERROR_CORRUPT,
		    "expected a value of %llu bytes, got %llu fewer",
		    (unsigned long long)call->in->size,
		    (unsigned long long)left);
	if (call->err)
		*call->err = why;
	return 0;
}

/* The value, piece by piece; what is small leaves with what is beside it. */
static enum redis_sent
send_value(struct redis_link *link, struct redis_call *call, struct error *err)
{
	uint64_t left = call->in->size;
	bool small = left <= CHUNK;
	char chunk[CHUNK];

	while (left > 0) {
		size_t got = next_bytes(call, chunk, sizeof(chunk), left);

		if (got == 0)
			return small ? REDIS_NOT_SENT : REDIS_SPOILED;
		buf_add(&link->out, chunk, got);
		left -= got;
		if (!small && link->out.len >= CHUNK &&
		    redis_link_flush(link, err) < 0)
			return REDIS_BROKEN;
	}
	return REDIS_SENT;
}

enum redis_sent
redis_link_send(
    struct redis_link *link, struct redis_call *call, struct error *err)
{
	size_t start = link->out.len;
	enum redis_sent sent = REDIS_SENT;

	add_head(&link->out, '*', call->count);
	for (unsigned i = 0; i < call->count; i++) {
		const struct redis_word *word = &call->word[i];

		add_head(&link->out, '$', word->len);
		if (word->data)
			buf_add(&link->out, word->data, word->len);
		else
			sent = send_value(link, call, err);
		if (sent == REDIS_NOT_SENT)
			link->out.len = start;
		if (sent != REDIS_SENT)
			return sent;
		buf_add(&link->out, "\r\n", 2);
	}
	if (link->out.len >= CHUNK && redis_link_flush(link, err) < 0)
		return REDIS_BROKEN;
	return REDIS_SENT;
}

/* ---- receiving ---- */

/* A string that is the whole answer goes to the call's sink, and is not kept. */
static void *
make_string(const redisReadTask *task, char *text, size_t len)
{
	struct redis_link *link = task->privdata;
	redisReply *made;
	bool sunk = !task->parent && task->type == REDIS_REPLY_STRING &&
	    link->call->out;

	link->largest -= link->largest / 16;
	if (len > link->largest)
		link->largest = len;
	made = link->usual->createString(task, text, sunk ? 0 : len);
	if (sunk && !link->sink_failed &&
	    sink_write(link->call->out, text, len, &link->sink_error) < 0)
		link->sink_failed = true;
	return made;
}

/* What is announced takes memory before it comes. */
static void *
make_array(const redisReadTask *task, int elements)
{
	struct redis_link *link = task->privdata;

	if (elements > 0)
		link->elements += (size_t)elements;
	if (link->elements > MAX_ELEMENTS)
		return NULL;
	return link->usual->createArray(task, elements);
}

static void
start_reader(struct redis_link *link)
{
	link->reader = redisReaderCreate();
	if (!link->reader)
		abort();
	link->usual = link->reader->fn;
	link->make = *link->usual;
	link->make.createString = make_string;
	link->make.createArray = make_array;
	link->reader->fn = &link->make;
	link->reader->privdata = link;
}

static int
closed(const struct redis_link *link, struct error *err)
{
	return error_set(
	    err, ERROR_UNREACHABLE, "'%s' closed the connection", link->name);
}

static int
no_protocol(const struct redis_link *link, struct error *err)
{
	return error_set(err, ERROR_CORRUPT,
	    "'%s' does not speak Redis' protocol", link->name);
}

static int
too_much(const struct redis_link *link, struct error *err)
{
	return error_set(err, ERROR_CORRUPT,
	    "'%s' answers with more than %zu bytes, which is the limit",
	    link->name, link->settings->max_reply);
}

static int
feed(struct redis_link *link, struct error *err)
{
	redisReader *reader = link->reader;
	char chunk[CHUNK];
	ssize_t got = wire_read(
	    link->wire, chunk, sizeof(chunk), &link->settings->patience, err);

	if (got <= 0)
		return got < 0 ? -1 : closed(link, err);
	link->bytes += (size_t)got;
	if (link->bytes > link->settings->max_reply + CHUNK)
		return too_much(link, err);
	(void)redisReaderFeed(reader, chunk, (size_t)got);
	return 0;
}

static int
next_reply(struct redis_link *link, redisReply **reply, struct error *err)
{
	void *got = NULL;

	while (!got) {
		if (redisReaderGetReply(link->reader, &got) != REDIS_OK)
			return no_protocol(link, err);
		if (!got && feed(link, err) < 0)
			return -1;
	}
	*reply = got;
	return 0;
}

/* ---- large strings ---- */

#define LARGE (2 * CHUNK) /* more than the reader ever has unread */
#define HEAD 20           /* bytes of "$<length>\r\n" at most */

int64_t
redis_string_size(const char *data, size_t left, size_t *head)
{
	const char *end = memchr(data, '\n', left < HEAD ? left : HEAD);
	int64_t size = 0;

	if (left > 0 && *data != '$')
		return REDIS_NO_STRING;
	if (!end)
		return left < HEAD ? REDIS_UNTOLD : REDIS_NO_STRING;
	for (const char *p = data + 1; p < end - 1; p++) {
		if (*p < '0' || *p > '9')
			return REDIS_NO_STRING;
		size = size * 10 + (*p - '0');
	}
	*head = (size_t)(end + 1 - data);
	return *head > 3 && end[-1] == '\r' ? size : REDIS_NO_STRING;
}

static void
sink_piece(struct redis_link *link, const char *data, size_t size)
{
	if (!link->sink_failed &&
	    sink_write(link->call->out, data, size, &link->sink_error) < 0)
		link->sink_failed = true;
}

/* The bytes that are still on the wire, and what ends them. */
static int
sink_rest(struct redis_link *link, size_t left, struct error *err)
{
	char chunk[CHUNK], end[2];
	size_t ended = 0;

	while (left > 0 || ended < sizeof(end)) {
		char *to = left > 0 ? chunk : end + ended;
		size_t room = left == 0 ? sizeof(end) - ended
		    : left < CHUNK      ? left
		                        : CHUNK;
		ssize_t got = wire_read(
		    link->wire, to, room, &link->settings->patience, err);

		if (got <= 0)
			return got < 0 ? -1 : closed(link, err);
		if (left > 0) {
			sink_piece(link, chunk, (size_t)got);
			left -= (size_t)got;
		} else {
			ended += (size_t)got;
		}
	}
	return memcmp(end, "\r\n", 2) == 0 ? 0 : no_protocol(link, err);
}

/* A string of `size` bytes goes through to the sink, and an empty one stands for it. */
static redisReply *
stream_string(
    struct redis_link *link, size_t head, size_t size, struct error *err)
{
	const redisReadTask task = { .type = REDIS_REPLY_STRING };
	redisReader *reader = link->reader;
	size_t had = reader->len - reader->pos - head;
	char none[1] = "";

	if (size > link->settings->max_reply) {
		too_much(link, err);
		return NULL;
	}
	sink_piece(link, reader->buf + reader->pos + head, had);
	redisReaderFree(reader);
	start_reader(link);
	link->largest = size;
	if (sink_rest(link, size - had, err) < 0)
		return NULL;
	return link->usual->createString(&task, none, 0);
}

/* The next reply, but for what goes to a sink. NULL: *err says why. */
static redisReply *
receive_reply(struct redis_link *link, struct error *err)
{
	redisReply *reply = NULL;
	int64_t size = link->call->out ? REDIS_UNTOLD : REDIS_NO_STRING;
	size_t head = 0;

	while (size == REDIS_UNTOLD) {
		const redisReader *reader = link->reader;

		size = redis_string_size(reader->buf + reader->pos,
		    reader->len - reader->pos, &head);
		if (size == REDIS_UNTOLD && feed(link, err) < 0)
			return NULL;
	}
	if (size > (int64_t)LARGE)
		return stream_string(link, head, (size_t)size, err);
	return next_reply(link, &reply, err) < 0 ? NULL : reply;
}

redisReply *
redis_link_receive(
    struct redis_link *link, struct redis_call *call, struct error *err)
{
	redisReply *reply;

	link->call = call;
	link->elements = link->bytes = 0;
	link->sink_failed = false;
	link->sink_error = (struct error){ 0 };
	reply = receive_reply(link, err);
	if (!reply)
		return NULL;
	if (link->sink_failed && call->err)
		*call->err = link->sink_error;
	call->sink_failed = link->sink_failed;
	return reply;
}

redisReader *
redis_link_reader(struct redis_link *link, struct redis_call *call)
{
	redis_link_close(link);
	start_reader(link);
	link->call = call;
	link->elements = link->bytes = 0;
	return link->reader;
}

/* ---- connecting ---- */

/* What the server says of a password may repeat it: only its first word is told. */
static int
refused(const struct redis_link *link, const redisReply *reply,
    const char *what, struct error *err)
{
	char said[REDIS_SAID];

	redis_said(reply, said);
	said[strcspn(said, " ")] = '\0';
	return error_set(
	    err, ERROR_DENIED, "'%s' refuses %s: %s", link->name, what, said);
}

/* 0: done; 1: refused; -1: no answer. */
static int
ask(struct redis_link *link, struct redis_call *call, struct error *err)
{
	if (redis_link_send(link, call, err) != REDIS_SENT ||
	    redis_link_flush(link, err) < 0)
		return -1;
	call->reply = redis_link_receive(link, call, err);
	if (!call->reply)
		return -1;
	return call->reply->type == REDIS_REPLY_ERROR;
}

static int
log_in(struct redis_link *link, struct error *err)
{
	const struct redis_settings *settings = link->settings;
	struct redis_call call = { 0 };
	int rc;

	if (!settings->password)
		return 0;
	redis_call_text(&call, "AUTH");
	if (settings->user)
		redis_call_text(&call, settings->user);
	redis_call_text(&call, settings->password);
	rc = ask(link, &call, err);
	if (rc > 0)
		rc =
		    refused(link, call.reply, "our user name or password", err);
	redis_call_release(&call);
	return rc;
}

static int
choose_database(struct redis_link *link, struct error *err)
{
	const char *database = link->settings->database;
	struct redis_call call = { 0 };
	char said[REDIS_SAID];
	int rc;

	if (!database)
		return 0;
	redis_call_text(&call, "SELECT");
	redis_call_text(&call, database);
	rc = ask(link, &call, err);
	if (rc > 0)
		rc = error_set(err,
		    strncmp(call.reply->str, "NO", 2) == 0 ? ERROR_DENIED
		                                           : ERROR_USAGE,
		    "'%s' refuses database %s: %s", link->name, database,
		    redis_said(call.reply, said));
	redis_call_release(&call);
	return rc;
}

static int
connect_link(struct redis_link *link, struct error *err)
{
	const struct redis_settings *settings = link->settings;
	struct wire_place place = {
		.host = link->host, .port = link->port, .path = settings->path
	};

	if (settings->encrypted && !link->tls) {
		link->tls =
		    wire_tls(settings->ca, settings->cert, settings->key, err);
		if (!link->tls)
			return -1;
	}
	place.tls = link->tls;
	link->wire = wire_open(&place, &settings->patience, err);
	if (!link->wire)
		return -1;
	start_reader(link);
	if (log_in(link, err) == 0 && choose_database(link, err) == 0)
		return 0;
	redis_link_close(link);
	return -1;
}

int
redis_link_ready(struct redis_link *link, struct error *err)
{
	if (link->wire && wire_is_quiet(link->wire))
		return 0;
	redis_link_close(link);
	return connect_link(link, err);
}
