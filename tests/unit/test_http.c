/* What needs no server that answers: waiting, and what is said of answers. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/location.h"
#include "remote/http.h"
#include "support/check.h"

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A port on which connections are taken by the kernel, and nobody answers. */
static int
silent_port(uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check_int(bind(fd, (struct sockaddr *)&at, len), 0);
	check_int(listen(fd, 64), 0);
	check_int(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static struct location *
open_at(uint16_t port, const char *query)
{
	struct error err = { 0 };
	auto_free char *word =
	    xasprintf("http://127.0.0.1:%u/x?put=1%s", port, query);
	Tarn__Location *config = location_from_word(word, "/", &err);
	struct location *loc = location_open(config, &err);

	check_str(err.text, "");
	tarn__location__free_unpacked(config, NULL);
	return loc;
}

#define MANY 40

Test(http, waits_no_longer_than_its_caller)
{
	static struct location_read_request reads[MANY];
	struct key key = { .space = KEY_BLOB };
	struct error err = { 0 };
	uint16_t port;
	auto_close int fd = silent_port(&port);
	struct location *loc = open_at(port, "");
	int64_t began = now_us();

	location_set_deadline(loc, began + 200000);
	check_int(location_read(loc, &key, sink_null(), &err), FAILED);
	check_int(err.kind, ERROR_UNREACHABLE);
	for (size_t i = 0; i < MANY; i++)
		reads[i] = (struct location_read_request){ .key = key,
			.out = sink_null() };
	location_read_batch(loc, reads, MANY);
	for (size_t i = 0; i < MANY; i++) {
		check_int(reads[i].outcome, FAILED);
		check_int(reads[i].err.kind, ERROR_UNREACHABLE);
	}
	check(now_us() - began < 9000000);
	location_close(loc);
}

Test(http, waits_as_long_as_it_is_told_to)
{
	struct key key = { .space = KEY_INDEX };
	struct error err = { 0 };
	uint16_t port;
	auto_close int fd = silent_port(&port);
	struct location *loc = open_at(port, "&timeout=1");
	int64_t began = now_us();

	check_int(location_contains(loc, &key, &err), FAILED);
	check(strstr(err.text, "nothing moved for 1 s"));
	check(now_us() - began >= 1000000);
	check(now_us() - began < 9000000);
	location_close(loc);
}

static void *
answer_junk(void *arg)
{
	static const char junk[] = "what is HTTP?\r\n\r\n";
	int peer = accept(*(int *)arg, NULL, NULL);
	char head[4096];

	check(recv(peer, head, sizeof(head), 0) > 0);
	check_int(send(peer, junk, sizeof(junk), 0), sizeof(junk));
	close(peer);
	return NULL;
}

Test(http, takes_nothing_else_for_http)
{
	struct key key = { .space = KEY_INDEX };
	struct error err = { 0 };
	uint16_t port;
	auto_close int fd = silent_port(&port);
	struct location *loc = open_at(port, "");
	pthread_t peer;

	check_int(pthread_create(&peer, NULL, answer_junk, &fd), 0);
	check_int(location_read(loc, &key, sink_null(), &err), FAILED);
	check_int(err.kind, ERROR_CORRUPT);
	check_int(pthread_join(peer, NULL), 0);
	location_close(loc);
}

static const char nothing[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/* One connection at a time, for as long as the client keeps it. */
static void *
answer_one_by_one(void *arg)
{
	char head[4096];
	int peer;

	while ((peer = accept(*(int *)arg, NULL, NULL)) >= 0) {
		while (recv(peer, head, sizeof(head), 0) > 0 &&
		    send(peer, nothing, sizeof(nothing) - 1, MSG_NOSIGNAL) > 0)
			;
		close(peer);
	}
	return NULL;
}

Test(http, lets_requests_wait_for_one_another)
{
	static struct location_read_request reads[MANY];
	const struct key key = { .space = KEY_INDEX };
	uint16_t port;
	auto_close int fd = silent_port(&port);
	struct location *loc = open_at(port, "&timeout=2");
	pthread_t peer;

	check_int(pthread_create(&peer, NULL, answer_one_by_one, &fd), 0);
	for (size_t i = 0; i < MANY; i++)
		reads[i] = (struct location_read_request){ .key = key,
			.out = sink_null() };
	location_read_batch(loc, reads, MANY);
	for (size_t i = 0; i < MANY; i++) {
		check_str(reads[i].err.text, "");
		check_int(reads[i].outcome, HIT);
	}
	location_close(loc);
	check_int(shutdown(fd, SHUT_RDWR), 0);
	check_int(pthread_join(peer, NULL), 0);
}

/* A sink that takes longer than servers may, and then lets the other answer go. */
struct slow {
	struct sink sink;
	int done[2]; /* a pipe */
};

#define SLOW_US 3500000

static int
take_slowly(struct sink *sink, const void *data, size_t size, struct error *err)
{
	(void)data, (void)size, (void)err;
	usleep(SLOW_US);
	check_int(write(((struct slow *)sink)->done[1], "", 1), 1);
	return 0;
}

struct two {
	int fd, done;
};

/* The first to be heard is answered at once, the second when that was taken. */
static void *
answer_two(void *arg)
{
	static const char one[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
	const struct two *two = arg;
	char head[4096], byte;
	int peer[2];

	for (int i = 0; i < 2; i++) {
		peer[i] = accept(two->fd, NULL, NULL);
		check(recv(peer[i], head, sizeof(head), 0) > 0);
	}
	check(send(peer[0], one, sizeof(one) - 1, 0) > 0);
	check_int(read(two->done, &byte, 1), 1);
	usleep(100000);
	check(send(peer[1], one, sizeof(one) - 1, MSG_NOSIGNAL) > 0);
	for (int i = 0; i < 2; i++) {
		check(recv(peer[i], head, sizeof(head), 0) <= 0);
		close(peer[i]);
	}
	return NULL;
}

Test(http, blames_no_server_for_a_slow_reader)
{
	static const struct sink_ops ops = { .write = take_slowly };
	struct slow slow = { .sink = { &ops } };
	struct location_read_request reads[2];
	uint16_t port;
	auto_close int fd = silent_port(&port);
	struct location *loc = open_at(port, "&timeout=3");
	pthread_t peer;
	struct two two;

	check_int(pipe2(slow.done, O_CLOEXEC), 0);
	two = (struct two){ fd, slow.done[0] };
	check_int(pthread_create(&peer, NULL, answer_two, &two), 0);
	for (size_t i = 0; i < 2; i++)
		reads[i] = (struct location_read_request){
			.key = { .space = KEY_INDEX }, .out = &slow.sink
		};
	location_read_batch(loc, reads, 2);
	for (size_t i = 0; i < 2; i++) {
		check_str(reads[i].err.text, "");
		check_int(reads[i].outcome, HIT);
	}
	location_close(loc);
	check_int(pthread_join(peer, NULL), 0);
	close(slow.done[0]);
	close(slow.done[1]);
}

static const struct {
	int status;
	const char *headers, *text;
	enum error_kind kind;
	const char *words;
} answers[] = {
	{ 401, "", "", ERROR_DENIED, "answered 401" },
	{ 403, "", "<html><b>For\n\nbidden</b>", ERROR_DENIED,
	    "403, 'For bidden'" },
	{ 400, "", "No required SSL certificate was sent", ERROR_DENIED,
	    "certificate" },
	{ 400, "", "", ERROR_CORRUPT, "400" },
	{ 429, "retry-after:  7\r\n", "", ERROR_UNREACHABLE,
	    "429, come back in 7 s" },
	{ 503, "Retry-After: Sun, 22 Nov 2026 22:18:38 GMT\r\n", "gone",
	    ERROR_UNREACHABLE, "503, 'gone'" },
	{ 301, "Location: http://b/x\r\n", "moved", ERROR_CORRUPT,
	    "301, to 'http://b/x', where nobody follows" },
	{ 500, "", "\033[2J\001", ERROR_UNREACHABLE, "500, '[2J'" },
};

Test(http, says_why_it_was_refused)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct error err = { 0 };
		struct http_request request = { .method = "GET",
			.url = "http://a/x",
			.status = answers[i].status,
			.headers_in = BUF_INIT,
			.text = BUF_INIT };

		buf_addf(&request.headers_in, "HTTP/1.1 %d X\r\n%s\r\n",
		    answers[i].status, answers[i].headers);
		buf_add(
		    &request.text, answers[i].text, strlen(answers[i].text));
		check_int(http_refusal(&request, &err), -1);
		check_int(err.kind, answers[i].kind);
		cr_assert_not_null(
		    strstr(err.text, answers[i].words), "%s", err.text);
		check(strstr(err.text, "cannot GET 'http://a/x'"));
		http_release(&request);
	}
}

static const char *const bad[] = { "&timeout=0", "&timeout=1x", "&put=maybe",
	"&layout=flat", "&colour=blue", "&token=a&token_file=/b",
	"&token=a%20b" };

Test(http, refuses_options_that_mean_nothing)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error err = { 0 };
		auto_free char *word =
		    xasprintf("http://127.0.0.1/x?put=1%s", bad[i]);
		Tarn__Location *config = location_from_word(word, "/", &err);

		check_str(err.text, "");
		check(!location_open(config, &err));
		check_int(err.kind, ERROR_USAGE);
		tarn__location__free_unpacked(config, NULL);
	}
}
