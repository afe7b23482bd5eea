#include "remote/redis_wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/mem.h"
#include "remote/addresses.h"

struct wire {
	int fd;
	SSL *ssl;   /* NULL: none */
	char *name; /* for messages */
	bool heard; /* something has come */
};

/* ---- waiting ---- */

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* 0: there is none. */
static int64_t
deadline_of(const struct patience *patience)
{
	return patience->deadline_us ? *patience->deadline_us : 0;
}

/* When `limit_us` from now is over, or the deadline, if that is sooner. */
static int64_t
end_of(const struct patience *patience, int64_t limit_us)
{
	int64_t end = now_us() + limit_us, deadline = deadline_of(patience);

	return deadline && deadline < end ? deadline : end;
}

static int
is_late(const struct patience *patience, const char *name, const char *what,
    int64_t limit_us, struct error *err)
{
	if (deadline_of(patience) && now_us() >= deadline_of(patience))
		return error_set(err, ERROR_UNREACHABLE,
		    "'%s' %s before the time for it was over", name, what);
	return error_set(err, ERROR_UNREACHABLE, "'%s' %s within %g s", name,
	    what, (double)limit_us / 1e6);
}

/* 1: the descriptor is ready; 0: the time is over; -1 with errno. */
static int
wait_until(int fd, short events, int64_t end)
{
	struct pollfd ready = { .fd = fd, .events = events };
	int rc;

	do {
		int64_t left = (end - now_us() + 999) / 1000;

		if (left <= 0)
			return 0; /* also if it is ready by now */
		rc = poll(&ready, 1, (int)left);
	} while (rc < 0 && errno == EINTR);
	return rc;
}

/* ---- names ---- */

static struct addrinfo *
find_host(const struct wire_place *place, const struct patience *patience,
    int64_t end, struct error *err)
{
	int rc;
	struct addrinfo *found =
	    addresses_find(place->host, place->port, end, &rc);

	if (rc == EAI_INPROGRESS)
		is_late(patience, place->host, "had no known address",
		    patience->connect_us, err);
	else if (rc != 0)
		error_set(err, ERROR_UNREACHABLE,
		    "cannot find the address of '%s': %s", place->host,
		    gai_strerror(rc));
	return found;
}

/* ---- connecting ---- */

static int
no_connection(const char *name, int error, struct error *err)
{
	return error_set(err, ERROR_UNREACHABLE, "cannot connect to '%s': %s",
	    name, strerror(error));
}

/* Returns 0, or -1 with the error; a Unix socket's queue may be full for a while. */
static int
connect_until(
    int fd, const struct sockaddr *address, socklen_t size, int64_t end)
{
	const struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };
	socklen_t len = sizeof(int);
	int error = 0;

	while (connect(fd, address, size) < 0) {
		if (errno == EINPROGRESS)
			break;
		if (errno == EAGAIN && now_us() < end)
			(void)nanosleep(&nap, NULL);
		else if (errno != EINTR)
			return -1;
	}
	if (wait_until(fd, POLLOUT, end) != 1) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -1;
	errno = error;
	return error ? -1 : 0;
}

static int
socket_to(
    int family, const struct sockaddr *address, socklen_t size, int64_t end)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0 || connect_until(fd, address, size, end) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static void
set_tcp_options(int fd)
{
	const int on = 1, idle = 60;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

/* Each address in turn, for its part of the time that is left. */
static int
connect_tcp(const struct wire_place *place, const char *name,
    const struct patience *patience, struct error *err)
{
	int64_t end = end_of(patience, patience->connect_us);
	struct addrinfo *found = find_host(place, patience, end, err);
	int fd = -1, count = 0, error;

	if (!found)
		return -1;
	for (const struct addrinfo *ai = found; ai; ai = ai->ai_next)
		count++;
	for (const struct addrinfo *ai = found; ai && fd < 0; ai = ai->ai_next)
		fd = socket_to(ai->ai_family, ai->ai_addr, ai->ai_addrlen,
		    now_us() + (end - now_us()) / count--);
	error = errno;
	freeaddrinfo(found);
	if (fd < 0)
		return no_connection(name, error, err);
	set_tcp_options(fd);
	return fd;
}

static int
connect_unix(const struct wire_place *place, const struct patience *patience,
    struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(place->path) >= sizeof(address.sun_path))
		return error_set(err, ERROR_USAGE,
		    "the path of a Unix socket has at most %zu bytes, got '%s'",
		    sizeof(address.sun_path) - 1, place->path);
	memcpy(address.sun_path, place->path, strlen(place->path));
	fd = socket_to(AF_UNIX, (const struct sockaddr *)&address,
	    sizeof(address), end_of(patience, patience->connect_us));
	if (fd >= 0)
		return fd;
	no_connection(place->path, errno, err);
	if (errno == EACCES || errno == EPERM)
		err->kind = ERROR_DENIED;
	return -1;
}

/* ---- TLS ---- */

/* OpenSSL's own way to write to a socket raises SIGPIPE. */
static int
bio_write(BIO *bio, const char *data, int size)
{
	const int *fd = BIO_get_data(bio);
	ssize_t sent = send(*fd, data, (size_t)size, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)sent;
}

static int
bio_read(BIO *bio, char *data, int size)
{
	const int *fd = BIO_get_data(bio);
	ssize_t got = recv(*fd, data, (size_t)size, 0);

	BIO_clear_retry_flags(bio);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)got;
}

static long
bio_ctrl(BIO *bio, int cmd, long number, void *arg)
{
	return cmd == BIO_CTRL_FLUSH;
}

static pthread_once_t bio_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *bio_kind;

static void
make_bio_kind(void)
{
	bio_kind = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wire");
	if (!bio_kind)
		return;
	BIO_meth_set_write(bio_kind, bio_write);
	BIO_meth_set_read(bio_kind, bio_read);
	BIO_meth_set_ctrl(bio_kind, bio_ctrl);
}

/* What OpenSSL has to say, and forget it. */
static const char *
tls_reason(const SSL *ssl)
{
	long verify = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	if (verify != X509_V_OK)
		return X509_verify_cert_error_string(verify);
	return reason ? reason : "the connection was closed";
}

static bool
expect_host(SSL *ssl, const char *host)
{
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
		return true;
	ERR_clear_error();
	return SSL_set1_host(ssl, host) == 1 &&
	    SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int
tls_start(struct wire *wire, const struct wire_place *place, struct error *err)
{
	BIO *bio;

	pthread_once(&bio_once, make_bio_kind);
	wire->ssl = SSL_new(place->tls);
	bio = bio_kind ? BIO_new(bio_kind) : NULL;
	if (!wire->ssl || !bio || !expect_host(wire->ssl, place->host)) {
		BIO_free(bio);
		return error_set(err, ERROR_SYSTEM,
		    "cannot start TLS with '%s': %s", wire->name,
		    tls_reason(NULL));
	}
	BIO_set_data(bio, &wire->fd);
	BIO_set_init(bio, 1);
	SSL_set_bio(wire->ssl, bio, bio);
	SSL_set_mode(wire->ssl,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return 0;
}

/* What to wait for before the call that returned `rc` is made again; 0: it failed. */
static short
tls_wants(const struct wire *wire, int rc)
{
	switch (SSL_get_error(wire->ssl, rc)) {
	case SSL_ERROR_WANT_READ: return POLLIN;
	case SSL_ERROR_WANT_WRITE: return POLLOUT;
	default: return 0;
	}
}

/*
 * Where TLS failed before anything was read, certificates are the cause: with TLS 1.3
 * a server that wants one says so, or hangs up, only after our part of the handshake.
 */
static int
tls_failed(struct wire *wire, const char *what, struct error *err)
{
	bool doubted = SSL_get_verify_result(wire->ssl) != X509_V_OK;
	bool silent = ERR_peek_last_error() == 0 && !doubted;

	return error_set(err,
	    wire->heard && !doubted ? ERROR_UNREACHABLE : ERROR_DENIED,
	    "cannot %s '%s' over TLS: %s%s", what, wire->name,
	    tls_reason(wire->ssl),
	    silent && !wire->heard
	        ? ", as if it wanted another certificate of ours"
	        : "");
}

static int
tls_greet(struct wire *wire, const struct patience *patience, struct error *err)
{
	int64_t end = end_of(patience, patience->connect_us);

	for (;;) {
		int rc;
		short events;

		ERR_clear_error();
		rc = SSL_connect(wire->ssl);
		if (rc == 1)
			return 0;
		events = tls_wants(wire, rc);
		if (!events)
			return tls_failed(wire, "speak to", err);
		if (wait_until(wire->fd, events, end) != 1)
			return is_late(patience, wire->name,
			    "did not begin TLS", patience->connect_us, err);
	}
}

static bool
tls_load(SSL_CTX *tls, const char *ca, const char *cert, const char *key,
    struct error *err)
{
	const char *wrong = NULL;

	if (ca ? SSL_CTX_load_verify_locations(tls, ca, NULL) != 1
	       : SSL_CTX_set_default_verify_paths(tls) != 1)
		wrong = ca ? ca : "the system's certificates";
	else if (cert && SSL_CTX_use_certificate_chain_file(tls, cert) != 1)
		wrong = cert;
	else if (key &&
	    SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
		wrong = key;
	if (wrong)
		error_set(err, ERROR_USAGE,
		    "cannot use '%s' for TLS: %s; expected PEM", wrong,
		    tls_reason(NULL));
	return !wrong;
}

SSL_CTX *
wire_tls(const char *ca, const char *cert, const char *key, struct error *err)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	ERR_clear_error();
	if (!tls) {
		error_set(
		    err, ERROR_SYSTEM, "cannot use TLS: %s", tls_reason(NULL));
		return NULL;
	}
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	if (tls_load(tls, ca, cert, key ? key : cert, err))
		return tls;
	SSL_CTX_free(tls);
	return NULL;
}

/* ---- a wire ---- */

struct wire *
wire_open(const struct wire_place *place, const struct patience *patience,
    struct error *err)
{
	struct wire *wire = xmalloc(sizeof(*wire));

	*wire = (struct wire){ .fd = -1 };
	wire->name = !place->host ? xstrdup(place->path)
	    : strchr(place->host, ':')
	    ? xasprintf("[%s]:%u", place->host, place->port)
	    : xasprintf("%s:%u", place->host, place->port);
	wire->fd = place->host ? connect_tcp(place, wire->name, patience, err)
	                       : connect_unix(place, patience, err);
	if (wire->fd >= 0 &&
	    (!place->tls ||
	        (tls_start(wire, place, err) == 0 &&
	            tls_greet(wire, patience, err) == 0)))
		return wire;
	wire_close(wire);
	return NULL;
}

void
wire_close(struct wire *wire)
{
	if (!wire)
		return;
	if (wire->ssl && wire->heard) {
		ERR_clear_error();
		(void)SSL_shutdown(wire->ssl);
		ERR_clear_error();
	}
	SSL_free(wire->ssl);
	if (wire->fd >= 0)
		close(wire->fd);
	free(wire->name);
	free(wire);
}

bool
wire_is_quiet(struct wire *wire)
{
	char byte;
	int rc;

	if (!wire->ssl)
		return recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
		    errno == EAGAIN;
	ERR_clear_error();
	rc = SSL_peek(wire->ssl, &byte, 1);
	return rc <= 0 && tls_wants(wire, rc) == POLLIN;
}

/* As recv(); *events: what to wait for, if it would block. */
static ssize_t
try_read(struct wire *wire, void *data, size_t size, short *events,
    struct error *err)
{
	ssize_t got;

	*events = 0;
	if (wire->ssl) {
		ERR_clear_error();
		got = SSL_read(wire->ssl, data, (int)size);
		if (got > 0)
			return got;
		*events = tls_wants(wire, (int)got);
		if (!*events && wire->heard)
			return 0;
		return *events ? -1 : tls_failed(wire, "read from", err);
	}
	got = recv(wire->fd, data, size, 0);
	if (got >= 0)
		return got;
	if (errno == EAGAIN || errno == EINTR)
		*events = POLLIN;
	else
		error_set(err, ERROR_UNREACHABLE, "cannot read from '%s': %s",
		    wire->name, strerror(errno));
	return -1;
}

ssize_t
wire_read(struct wire *wire, void *data, size_t size,
    const struct patience *patience, struct error *err)
{
	int64_t end = 0;

	if (deadline_of(patience) && now_us() >= deadline_of(patience))
		return is_late(patience, wire->name, "did not answer", 0, err);
	for (;;) {
		short events;
		ssize_t got = try_read(wire, data, size, &events, err);

		wire->heard |= got > 0;
		if (!events)
			return got;
		end = end ? end : end_of(patience, patience->step_us);
		if (wait_until(wire->fd, events, end) != 1)
			return is_late(patience, wire->name, "did not answer",
			    patience->step_us, err);
	}
}

static ssize_t
try_write(struct wire *wire, const void *data, size_t size, short *events,
    struct error *err)
{
	ssize_t sent;

	*events = 0;
	if (wire->ssl) {
		ERR_clear_error();
		sent = SSL_write(
		    wire->ssl, data, (int)(size < 1 << 30 ? size : 1 << 30));
		if (sent > 0)
			return sent;
		*events = tls_wants(wire, (int)sent);
		return *events ? -1 : tls_failed(wire, "write to", err);
	}
	sent = send(wire->fd, data, size, MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN || errno == EINTR)
		*events = POLLOUT;
	else
		error_set(err, ERROR_UNREACHABLE, "cannot write to '%s': %s",
		    wire->name, strerror(errno));
	return -1;
}

int
wire_write(struct wire *wire, const void *data, size_t size,
    const struct patience *patience, struct error *err)
{
	const char *at = data;

	while (size > 0) {
		short events;
		ssize_t sent = try_write(wire, at, size, &events, err);

		if (sent < 0 && !events)
			return -1;
		if (sent < 0 &&
		    wait_until(wire->fd, events,
		        end_of(patience, patience->step_us)) != 1)
			return is_late(patience, wire->name,
			    "took nothing more", patience->step_us, err);
		if (sent > 0) {
			at += sent;
			size -= (size_t)sent;
		}
	}
	return 0;
}
