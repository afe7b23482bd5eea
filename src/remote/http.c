/*
 * One multi handle for each `struct http`, also for single requests, so that all use
 * the same connections. Waiting is ours: libcurl measures speed, but what counts here
 * is that something moves, and that nobody waits past the deadline.
 *
 * HTTP/2 is left alone: libcurl 7.88 can't reuse its connections without TLS, and
 * hangs if a server answers before it has taken the whole body.
 */
#include "remote/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/version.h"
#include "remote/curl_load.h"

#define PARALLEL 16
#define TIMEOUT_S 10
#define CONNECT_S 3
#define MOVES 3
#define HEADERS_MAX (64 * 1024) /* bytes; more is no web server */
#define INTERIM 16              /* "100 Continue" and the like, of one answer */
#define TRIES 3                 /* of a request that waits behind others */
#define TEXT_MAX 2048           /* bytes of a refusal that are kept */
#define REFUSAL_MAX (64 * 1024) /* bytes of it that are waited for */
#define BUFFER (256L * 1024)
#define SMALL (32 * 1024) /* bytes of a body that leave with their headers */
#define SECOND 1000000
#define DIGESTED \
	(32 << 20) /* bytes that a server may take a second to put away */

/* One request on its way, and the handle for the next. */
struct transfer {
	CURL *easy;
	struct http *http;
	struct http_request *request; /* NULL: free */
	struct curl_slist *headers;
	struct buf body; /* of the request, if it is small */
	char text[CURL_ERROR_SIZE];
	int64_t moved_us; /* when something last did */
	int64_t began_us;
	int64_t ours_us; /* of the `ours_us` below, when it began */
	uint64_t sent, got;
	unsigned answers; /* begun: the last one counts */
	bool enough;      /* what came is all we want */
};

struct http {
	struct http_options options; /* with strings of its own */
	CURLM *multi;
	struct transfer *transfers; /* `options.parallel` of them */
	unsigned active;
	unsigned at_once;    /* requests that the server seems to take */
	int64_t answered_us; /* when one last was */
	bool netrc;          /* is to be looked into, and there */
	int64_t ours_us;     /* that sources and sinks have taken in all */
	struct http_request *queue, **last;
	const int64_t *deadline_us; /* borrowed, or NULL */
};

/* ---- setting up ---- */

static const char *
copied(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

struct http *
http_new(const struct http_options *options)
{
	struct http *http = xmalloc(sizeof(*http));

	*http = (struct http){ .options = *options };
	http->last = &http->queue;
	http->options.ca = copied(options->ca);
	http->options.cert = copied(options->cert);
	http->options.key = copied(options->key);
	http->options.proxy = copied(options->proxy);
	http->options.user = copied(options->user);
	http->options.password = copied(options->password);
	if (!options->parallel)
		http->options.parallel = PARALLEL;
	if (!options->timeout_s)
		http->options.timeout_s = TIMEOUT_S;
	if (!options->connect_s)
		http->options.connect_s = CONNECT_S;
	http->at_once = http->options.parallel;
	return http;
}

static void
forget(const char *text)
{
	char *owned = (char *)(uintptr_t)text;

	if (owned)
		explicit_bzero(owned, strlen(owned));
	free(owned);
}

void
http_free(struct http *http)
{
	if (!http)
		return;
	for (unsigned i = 0; http->transfers && i < http->options.parallel;
	     i++) {
		curl_easy_cleanup(http->transfers[i].easy);
		buf_release(&http->transfers[i].body);
	}
	free(http->transfers);
	if (http->multi)
		(void)curl_multi_cleanup(http->multi);
	forget(http->options.ca);
	forget(http->options.cert);
	forget(http->options.key);
	forget(http->options.proxy);
	forget(http->options.user);
	forget(http->options.password);
	free(http);
}

void
http_set_deadline(struct http *http, const int64_t *deadline_us)
{
	http->deadline_us = deadline_us;
}

/* With the first request, since setting up takes libcurl some milliseconds. */
static int
prepare(struct http *http, struct error *err)
{
	size_t size = http->options.parallel * sizeof(*http->transfers);

	if (http->multi)
		return 0;
	if (curl_load(err) < 0)
		return -1;
	http->multi = curl_multi_init();
	if (!http->multi)
		mem_exhausted();
	(void)curl_multi_setopt(
	    http->multi, CURLMOPT_MAXCONNECTS, (long)http->options.parallel);
	http->transfers = memset(xmalloc(size), 0, size);
	for (unsigned i = 0; i < http->options.parallel; i++)
		http->transfers[i].body = (struct buf)BUF_INIT;
	return 0;
}

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000;
}

/* ---- what libcurl calls ---- */

static void
moved(struct transfer *transfer)
{
	transfer->moved_us = now_us();
}

/* The status line begins the headers of an answer; 100 Continue is one, too. */
static void
begin_answer(struct http_request *request, const char *line, size_t size)
{
	const char *space = memchr(line, ' ', size);

	buf_reset(&request->headers_in);
	request->length = HTTP_UNKNOWN;
	request->status = 0;
	for (const char *p = space; p && ++p < line + size;) {
		if (*p < '0' || *p > '9' || request->status > 99)
			break;
		request->status = request->status * 10 + *p - '0';
	}
}

static void
end_headers(struct http_request *request)
{
	size_t len = 0;
	const char *value = http_header(request, "content-length", &len);
	char *end;

	if (http_header(request, "transfer-encoding", &len))
		return; /* then Content-Length means nothing */
	if (value && *value >= '0' && *value <= '9')
		request->length = strtoull(value, &end, 10);
}

/* Headers go into messages: nobody writes to a terminal with them. */
static void
add_header(struct buf *to, const char *data, size_t size)
{
	size_t from = to->len;

	buf_add(to, data, size);
	for (char *c = to->data + from; c < to->data + to->len; c++) {
		if (((unsigned char)*c < ' ' && !strchr("\t\r\n", *c)) ||
		    *c == 127)
			*c = '?';
	}
}

static size_t
take_header(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	struct http_request *request = transfer->request;

	size *= count;
	if (size > 5 && memcmp(data, "HTTP/", 5) == 0) {
		begin_answer(request, data, size);
		transfer->answers++;
	}
	if (transfer->answers > INTERIM) {
		error_set(&request->err, ERROR_CORRUPT,
		    "%d times only the headers of another answer came",
		    INTERIM);
		return 0;
	}
	if (request->headers_in.len + size > HEADERS_MAX) {
		error_set(&request->err, ERROR_CORRUPT,
		    "the headers of the answer are longer than %d bytes",
		    HEADERS_MAX);
		return 0;
	}
	add_header(&request->headers_in, data, size);
	if (size <= 2 && (*data == '\r' || *data == '\n')) {
		end_headers(request);
		moved(transfer); /* but not with each line */
	}
	return size;
}

static size_t
take_refusal(struct transfer *transfer, const char *data, size_t size)
{
	struct buf *text = &transfer->request->text;
	size_t room = TEXT_MAX - text->len;

	buf_add(text, data, size < room ? size : room);
	transfer->enough = transfer->got > REFUSAL_MAX;
	return transfer->enough ? 0 : size;
}

static int
check_length(struct transfer *transfer)
{
	struct http_request *request = transfer->request;
	bool announced = request->length != HTTP_UNKNOWN;
	uint64_t max = request->max;

	if (!announced && request->max_unannounced &&
	    (!max || request->max_unannounced < max))
		max = request->max_unannounced;
	if (!max || transfer->got <= max)
		return 0;
	return error_set(&request->err, ERROR_CORRUPT,
	    "the answer is longer than %llu bytes%s", (unsigned long long)max,
	    announced ? "" : " and came without a Content-Length");
}

static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	struct http_request *request = transfer->request;

	size *= count;
	moved(transfer);
	transfer->got += size;
	if (request->status / 100 != 2)
		return take_refusal(transfer, data, size);
	transfer->enough = request->only_head;
	if (transfer->enough || check_length(transfer) < 0)
		return 0;
	if (request->out &&
	    sink_write(request->out, data, size, &request->err) < 0)
		return 0;
	moved(transfer); /* however long the other end took */
	return size;
}

static int
ended_early(struct transfer *transfer)
{
	struct http_request *request = transfer->request;

	return error_set(&request->err, ERROR_CORRUPT,
	    "there were %llu bytes to send instead of %llu",
	    (unsigned long long)transfer->sent,
	    (unsigned long long)request->in->size);
}

static size_t
give_body(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	struct http_request *request = transfer->request;
	uint64_t left = request->in->size - transfer->sent;
	ssize_t got;

	size *= count;
	if (size > left)
		size = (size_t)left;
	got = size ? source_read(request->in, data, size, &request->err) : 0;
	if (got == 0 && size > 0)
		got = ended_early(transfer);
	if (got < 0)
		return CURL_READFUNC_ABORT;
	transfer->sent += (uint64_t)got;
	moved(transfer);
	return (size_t)got;
}

/* A connection that was kept may be dead: libcurl tries another. */
static int
seek_body(void *arg, curl_off_t offset, int origin)
{
	struct transfer *transfer = arg;
	struct http_request *request = transfer->request;

	if (offset != 0 || origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	transfer->sent = 0;
	return source_rewind(request->in, &request->err) < 0
	    ? CURL_SEEKFUNC_FAIL
	    : CURL_SEEKFUNC_OK;
}

/* ---- starting ---- */

/* Headers and body are one packet so. It is no form, which libcurl would call it. */
static void
set_small_body(CURL *easy, struct transfer *transfer)
{
	(void)curl_easy_setopt(
	    easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body.len);
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body.data);
	transfer->headers =
	    curl_slist_append(transfer->headers, "Content-Type:");
}

static void
set_method(CURL *easy, struct transfer *transfer)
{
	const struct http_request *request = transfer->request;

	if (strcmp(request->method, "HEAD") == 0)
		(void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else
		(void)curl_easy_setopt(
		    easy, CURLOPT_CUSTOMREQUEST, request->method);
	if (!request->in)
		return;
	if (request->in->size <= SMALL) {
		set_small_body(easy, transfer);
		return;
	}
	(void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	(void)curl_easy_setopt(
	    easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->in->size);
	(void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
	(void)curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
	(void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER);
	(void)curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 300L);
}

static void
set_options(CURL *easy, const struct http *http)
{
	const struct http_options *options = &http->options;

	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(
	    easy, CURLOPT_PROXY, options->proxy ? options->proxy : "");
	(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	(void)curl_easy_setopt(
	    easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER);
	(void)curl_easy_setopt(
	    easy, CURLOPT_CONNECTTIMEOUT_MS, 1000L * (long)options->connect_s);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "tarn/" TARN_VERSION);
	if (options->ca) {
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca);
		(void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	(void)curl_easy_setopt(easy, CURLOPT_SSLCERT, options->cert);
	(void)curl_easy_setopt(
	    easy, CURLOPT_SSLKEY, options->key ? options->key : options->cert);
	(void)curl_easy_setopt(easy, CURLOPT_USERNAME, options->user);
	(void)curl_easy_setopt(easy, CURLOPT_PASSWORD, options->password);
	(void)curl_easy_setopt(easy, CURLOPT_NETRC,
	    http->netrc ? (long)CURL_NETRC_OPTIONAL : (long)CURL_NETRC_IGNORED);
}

static void
set_answer(CURL *easy, struct transfer *transfer)
{
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->text);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

static void conclude(struct transfer *transfer, CURLcode code);

/* Its body can't be had: it ends before it began. */
static void
give_up_unsent(struct transfer *transfer)
{
	struct http_request *request = transfer->request;

	conclude(transfer, CURLE_ABORTED_BY_CALLBACK);
	transfer->request = NULL;
	if (request->done)
		request->done(request);
}

/* Returns 0, or -1: the request has the error. */
static int
read_small_body(struct transfer *transfer)
{
	struct http_request *request = transfer->request;
	struct source *in = request->in;
	char chunk[SMALL];
	ssize_t got = 1;

	buf_reset(&transfer->body);
	if (!in || in->size > SMALL)
		return 0;
	while (got > 0 && transfer->body.len < in->size) {
		got = source_read(in, chunk,
		    (size_t)in->size - transfer->body.len, &request->err);
		if (got > 0)
			buf_add(&transfer->body, chunk, (size_t)got);
	}
	transfer->sent = transfer->body.len;
	return got == 0 ? ended_early(transfer) : got < 0 ? -1 : 0;
}

static void
begin(struct transfer *transfer, struct http_request *request)
{
	struct http *http = transfer->http;
	CURL *easy = transfer->easy;
	char *url = request->moved;

	transfer->request = request;
	request->status = 0;
	transfer->sent = transfer->got = 0;
	transfer->answers = 0;
	transfer->enough = false;
	transfer->text[0] = '\0';
	moved(transfer);
	transfer->began_us = transfer->moved_us;
	transfer->ours_us = http->ours_us;
	if (read_small_body(transfer) < 0) {
		give_up_unsent(transfer);
		return;
	}
	set_options(easy, http);
	set_answer(easy, transfer);
	set_method(easy, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_URL, url ? url : request->url);
	for (size_t i = 0; request->headers && request->headers[i]; i++)
		transfer->headers =
		    curl_slist_append(transfer->headers, request->headers[i]);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
	(void)curl_multi_add_handle(http->multi, easy);
	http->active++;
}

/* A free one, whose handle forgets its last request but not its connections. */
static struct transfer *
free_transfer(struct http *http)
{
	struct transfer *transfer = http->transfers;

	while (transfer->request)
		transfer++;
	if (transfer->easy)
		curl_easy_reset(transfer->easy);
	else
		transfer->easy = curl_easy_init();
	if (!transfer->easy)
		mem_exhausted();
	transfer->http = http;
	return transfer;
}

static struct http_request *
next_request(struct http *http)
{
	struct http_request *request = http->queue;

	http->queue = request->next;
	if (!http->queue)
		http->last = &http->queue;
	return request;
}

static void
fill(struct http *http)
{
	while (http->queue && http->active < http->at_once)
		begin(free_transfer(http), next_request(http));
}

/* ---- ending ---- */

/* What isn't here may pass. */
static const struct {
	CURLcode code;
	enum error_kind kind;
} kinds[] = {
	{ CURLE_PEER_FAILED_VERIFICATION, ERROR_DENIED },
	{ CURLE_SSL_CERTPROBLEM, ERROR_DENIED },
	{ CURLE_SSL_ISSUER_ERROR, ERROR_DENIED },
	{ CURLE_LOGIN_DENIED, ERROR_DENIED },
	{ CURLE_SSL_CACERT_BADFILE, ERROR_USAGE },
	{ CURLE_URL_MALFORMAT, ERROR_USAGE },
	{ CURLE_UNSUPPORTED_PROTOCOL, ERROR_CORRUPT }, /* no HTTP came */
	{ CURLE_COULDNT_RESOLVE_PROXY, ERROR_USAGE },
	{ CURLE_WEIRD_SERVER_REPLY, ERROR_CORRUPT },
	{ CURLE_HTTP2, ERROR_CORRUPT },
};

static enum error_kind
kind_of(CURLcode code)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].code == code)
			return kinds[i].kind;
	}
	return ERROR_UNREACHABLE;
}

/* A refusal is an answer, however the connection ended. */
static void
conclude(struct transfer *transfer, CURLcode code)
{
	struct http_request *request = transfer->request;
	const char *why = transfer->text;

	if (request->err.kind == ERROR_NONE &&
	    (code == CURLE_OK || transfer->enough || request->status >= 300))
		return;
	if (request->err.kind == ERROR_NONE)
		error_set(&request->err, kind_of(code), "%s",
		    *why ? why : curl_easy_strerror(code));
	request->result = error_wrap(&request->err, "cannot %s '%s'",
	    request->method, request->moved ? request->moved : request->url);
}

/* The bytes of "scheme://host:port" at the start of a URL. */
static size_t
server_len(const char *url)
{
	const char *host = strstr(url, "://");

	return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

static bool
may_move(const struct http_request *request, const char *to)
{
	const char *from = request->moved ? request->moved : request->url;
	size_t server = server_len(from), len = strlen(from);

	if (request->result < 0 || !to || !request->follow || request->in ||
	    request->status / 100 != 3 || request->moves == MOVES)
		return false;
	if (strncmp(to, from, len) == 0 && strcmp(to + len, "/") == 0)
		return false;
	return server > 0 && server_len(to) == server &&
	    strncasecmp(to, from, server) == 0;
}

static void
enqueue(struct http *http, struct http_request *request)
{
	request->next = NULL;
	*http->last = request;
	http->last = &request->next;
}

/* The handle is free for another request. Returns where the server sent us on. */
static char *
detach(struct transfer *transfer)
{
	struct http *http = transfer->http;
	char *to = NULL;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &to);
	to = to ? xstrdup(to) : NULL;
	(void)curl_multi_remove_handle(http->multi, transfer->easy);
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	transfer->request = NULL;
	http->active--;
	return to;
}

static void
finish(struct transfer *transfer, CURLcode code)
{
	struct http *http = transfer->http;
	struct http_request *request = transfer->request;
	char *to;

	conclude(transfer, code);
	if (request->status)
		http->answered_us = now_us();
	to = detach(transfer);
	if (may_move(request, to)) {
		free(request->moved);
		request->moved = to;
		request->moves++;
		buf_reset(&request->text);
		enqueue(http, request);
		return;
	}
	free(to);
	if (request->done)
		request->done(request);
}

/* Nothing came of it, and its body can be had once more: it is put at the end. */
static bool
try_again(struct transfer *transfer)
{
	struct http_request *request = transfer->request;
	struct error err;

	if (request->err.kind != ERROR_NONE || transfer->answers > 0 ||
	    strcmp(request->method, "POST") == 0 ||
	    request->tries + 1 == TRIES ||
	    (request->in && source_rewind(request->in, &err) < 0))
		return false;
	request->tries++;
	free(detach(transfer));
	enqueue(transfer->http, request);
	return true;
}

/*
 * libcurl's own limit is that for connections, and it goes on counting while we are
 * busy with what another request gets or gives.
 */
static bool
was_our_fault(const struct transfer *transfer, CURLcode code)
{
	const struct http *http = transfer->http;

	return code == CURLE_OPERATION_TIMEDOUT &&
	    http->ours_us - transfer->ours_us >
	    (int64_t)http->options.connect_s * SECOND / 4;
}

static void
end_one(struct transfer *transfer, CURLcode code)
{
	if (!was_our_fault(transfer, code) || !try_again(transfer))
		finish(transfer, code);
}

static void
finish_all_done(struct http *http)
{
	CURLMsg *message;
	char *transfer;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(
		    message->easy_handle, CURLINFO_PRIVATE, &transfer);
		end_one((struct transfer *)(void *)transfer, code);
	}
}

/* ---- waiting ---- */

/* 0: there is none. */
static int64_t
deadline_of(const struct http *http)
{
	return http->deadline_us ? *http->deadline_us : 0;
}

/*
 * Until when may nothing move? After a large body, which the server has to put away,
 * for longer.
 */
static int64_t
patience_ends(const struct transfer *transfer)
{
	const struct http *http = transfer->http;
	int64_t deadline = deadline_of(http);
	int64_t until = transfer->moved_us +
	    (int64_t)(http->options.timeout_s + transfer->sent / DIGESTED) *
	        SECOND;

	return deadline && deadline < until ? deadline : until;
}

/*
 * A server that takes few connections lets the others wait until those are closed,
 * which we don't do while there is more to ask. So who waited while others were
 * answered waits again, behind them, and fewer are sent at once from then on.
 */
static bool
queues_again(struct transfer *transfer)
{
	struct http *http = transfer->http;

	if (http->answered_us <= transfer->began_us || !try_again(transfer))
		return false;
	if (http->at_once > 1)
		http->at_once--;
	return true;
}

static void
give_up(struct transfer *transfer)
{
	struct http *http = transfer->http;
	struct http_request *request = transfer->request;
	bool late = deadline_of(http) && deadline_of(http) <= now_us();

	if (!late && queues_again(transfer))
		return;
	if (request->err.kind == ERROR_NONE && request->status < 300) {
		if (late)
			error_set(&request->err, ERROR_UNREACHABLE,
			    "there was no time to wait for it");
		else
			error_set(&request->err, ERROR_UNREACHABLE,
			    "nothing moved for %u s", http->options.timeout_s);
	}
	finish(transfer, CURLE_OPERATION_TIMEDOUT);
}

/* Milliseconds until the next of those under way is to be given up. */
static int
give_up_overdue(struct http *http)
{
	int64_t now = now_us(), first = now + SECOND;

	for (unsigned i = 0; i < http->options.parallel; i++) {
		struct transfer *transfer = &http->transfers[i];
		int64_t until =
		    transfer->request ? patience_ends(transfer) : first;

		if (transfer->request && until <= now)
			give_up(transfer);
		else if (until < first)
			first = until;
	}
	return (int)((first - now) / 1000) + 1;
}

/* What other requests took of us nobody waited for the server. */
static void
forgive(struct http *http, int64_t began_us)
{
	int64_t now = now_us();

	http->ours_us += now - began_us;
	for (unsigned i = 0; i < http->options.parallel; i++) {
		struct transfer *transfer = &http->transfers[i];

		transfer->moved_us += now - began_us;
		if (transfer->moved_us > now)
			transfer->moved_us = now;
	}
}

static void
fail_all(struct http *http, const struct error *why)
{
	while (http->queue) {
		struct http_request *request = next_request(http);

		request->result = -1;
		request->err = *why;
		if (request->done)
			request->done(request);
	}
}

/* libcurl would open it for each request, and for most of us it isn't there. */
static bool
has_netrc(const struct http *http)
{
	const char *home = getenv("HOME");
	auto_free char *path = xasprintf("%s/.netrc", home ? home : "");

	if (!http->options.netrc || http->options.user)
		return false;
	return !home || access(path, F_OK) == 0 || errno != ENOENT;
}

void
http_run(struct http *http)
{
	struct error err = { 0 };
	int running, wait_ms;

	http->netrc = has_netrc(http);
	if (prepare(http, &err) < 0)
		fail_all(http, &err);
	while (fill(http), http->active > 0) {
		int64_t began_us = now_us();

		(void)curl_multi_perform(http->multi, &running);
		finish_all_done(http);
		forgive(http, began_us);
		wait_ms = give_up_overdue(http);
		if (running > 0 && (unsigned)running == http->active)
			(void)curl_multi_poll(
			    http->multi, NULL, 0, wait_ms, NULL);
	}
}

void
http_add(struct http *http, struct http_request *request)
{
	request->result = request->status = 0;
	request->length = HTTP_UNKNOWN;
	request->headers_in = (struct buf)BUF_INIT;
	request->text = (struct buf)BUF_INIT;
	request->err = (struct error){ 0 };
	request->moved = NULL;
	request->moves = request->tries = 0;
	enqueue(http, request);
}

int
http_send(struct http *http, struct http_request *request, struct error *err)
{
	http_add(http, request);
	http_run(http);
	if (request->result < 0)
		*err = request->err;
	return request->result;
}
