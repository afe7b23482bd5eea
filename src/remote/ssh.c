#include "remote/ssh.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/mem.h"
#include "base/url.h"
#include "remote/addresses.h"
#include "remote/known_hosts.h"
#include "remote/ssh_config.h"
#include "remote/ssh_login.h"

/* ---- the clock ---- */

int64_t
ssh_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void
ssh_moved(struct ssh *ssh)
{
	ssh->waited_us = 0;
}

/* How long may be waited now, in microseconds. */
static int64_t
time_left(const struct ssh *ssh)
{
	int64_t left = ssh->timeout_us - ssh->waited_us;
	int64_t whole =
	    *ssh->deadline_us ? *ssh->deadline_us - ssh_now() : left;

	return whole < left ? whole : left;
}

int
ssh_poll(struct ssh *ssh, int fd, short events)
{
	struct pollfd one = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = time_left(ssh), began = ssh_now();
		int rc = left > 0 ? poll(&one, 1, (int)(left / 1000 + 1)) : 0;

		ssh->waited_us += ssh_now() - began;
		if (rc > 0)
			return 1;
		if (rc < 0 && errno == EINTR)
			continue;
		if (left <= 0 || rc < 0) {
			ssh->late = true;
			return 0;
		}
	}
}

bool
ssh_again(struct ssh *ssh, ssize_t rc)
{
	int ways;

	if (rc != LIBSSH2_ERROR_EAGAIN)
		return false;
	ways = libssh2_session_block_directions(ssh->session);
	return ssh_poll(ssh, ssh->fd,
	    (short)(((ways & LIBSSH2_SESSION_BLOCK_OUTBOUND) ? POLLOUT : 0) |
	        ((ways & LIBSSH2_SESSION_BLOCK_INBOUND) || !ways ? POLLIN
	                                                         : 0)));
}

int
ssh_fail(struct ssh *ssh, const char *what, struct error *err)
{
	char *text = NULL;

	ssh->broken = true;
	if (ssh->late)
		return error_set(err, ERROR_UNREACHABLE,
		    "cannot %s: no answer in time", what);
	(void)libssh2_session_last_error(ssh->session, &text, NULL, 0);
	return error_set(err, ERROR_UNREACHABLE, "cannot %s: %s", what,
	    text && *text ? text : "the connection is lost");
}

/* ---- where it is, and as whom ---- */

static void
replace(char **to, const char *text)
{
	if (!text)
		return;
	free(*to);
	*to = xstrdup(text);
}

static int
take_duration(const Tarn__Location *config, const char *name, int64_t without,
    int64_t *us, struct error *err)
{
	const char *text = place_option(config, name);
	char *end;
	double seconds;

	*us = without;
	if (!text)
		return 0;
	seconds = strtod(text, &end);
	if (end == text || *end || !(seconds > 0 && seconds < 1e6))
		return error_set(err, ERROR_USAGE,
		    "expected '%s' in seconds, got '%s'", name, text);
	*us = (int64_t)(seconds * 1e6);
	return 0;
}

int
ssh_init(struct ssh *ssh, const struct place *place,
    const Tarn__Location *config, const int64_t *deadline_us, struct error *err)
{
	auto_free char *shown = url_without_user(config->place);

	*ssh = (struct ssh){
		.port = place->port, .deadline_us = deadline_us, .fd = -1
	};
	if (!place->host[0])
		return error_set(err, ERROR_USAGE, "'%s' names no host", shown);
	replace(&ssh->host, place->host);
	replace(&ssh->user, place->user);
	replace(&ssh->password, place->password);
	replace(&ssh->user, place_option(config, "user"));
	replace(&ssh->password, place_option(config, "password"));
	replace(&ssh->passphrase, place_option(config, "passphrase"));
	replace(&ssh->key, place_option(config, "key"));
	replace(&ssh->known_hosts, place_option(config, "known_hosts"));
	replace(&ssh->config, place_option(config, "config"));
	if (place_flag(config, "accept_new", false, &ssh->accept_new, err) <
	        0 ||
	    take_duration(config, "timeout", 10000000, &ssh->timeout_us, err) <
	        0)
		return -1;
	return take_duration(
	    config, "connect_timeout", 3000000, &ssh->connect_us, err);
}

static void
forget(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(take(*secret));
}

void
ssh_release(struct ssh *ssh)
{
	ssh_disconnect(ssh);
	forget(&ssh->password);
	forget(&ssh->passphrase);
	free(take(ssh->host));
	free(take(ssh->user));
	free(take(ssh->key));
	free(take(ssh->known_hosts));
	free(take(ssh->config));
}

/* Ourselves here, as far as ssh's configuration asks. */
struct us {
	char *home, *name;
};

static void
find_us(struct us *us)
{
	struct passwd entry, *found = NULL;
	char text[4096];
	const char *home = getenv("HOME");

	(void)getpwuid_r(geteuid(), &entry, text, sizeof(text), &found);
	us->home = xstrdup(home && *home ? home : found ? found->pw_dir : "/");
	us->name = xstrdup(found ? found->pw_name : "root");
}

static void
release_us(struct us *us)
{
	free(us->home);
	free(us->name);
}

static int
read_config(const struct ssh *ssh, struct ssh_host *host, struct error *err)
{
	auto_free char *folder = xasprintf("%s/.ssh", host->home);
	auto_free char *usual = xasprintf("%s/config", folder);
	bool none = ssh->config && strcmp(ssh->config, "none") == 0;

	if (!none &&
	    ssh_config_read(
	        host, ssh->config ? ssh->config : usual, folder, err) < 0)
		return -1;
	if (!ssh->config &&
	    ssh_config_read(host, "/etc/ssh/ssh_config", "/etc/ssh", err) < 0)
		return -1;
	return ssh_host_finish(host, err);
}

/* What the location says comes first. */
static int
find_host(const struct ssh *ssh, struct ssh_host *host, struct error *err)
{
	host->port = ssh->port;
	replace(&host->user, ssh->user);
	if (read_config(ssh, host, err) < 0)
		return -1;
	if (ssh->known_hosts) {
		ssh_texts_release(&host->known_hosts);
		ssh_texts_add(&host->known_hosts, ssh->known_hosts);
	}
	if (!host->host_name)
		host->host_name = xstrdup(host->name);
	if (!host->user)
		host->user = xstrdup(host->local_user);
	if (!host->port)
		host->port = 22;
	if (host->known_hosts.count == 0) {
		auto_free char *one =
		    xasprintf("%s/.ssh/known_hosts", host->home);
		auto_free char *two =
		    xasprintf("%s/.ssh/known_hosts2", host->home);

		ssh_texts_add(&host->known_hosts, one);
		ssh_texts_add(&host->known_hosts, two);
	}
	return 0;
}

/* ---- the socket ---- */

static struct addrinfo *
look_up(const struct ssh *ssh, const struct ssh_host *host, struct error *err)
{
	int64_t end = ssh_now() + ssh->connect_us;
	int rc;
	struct addrinfo *found;

	if (*ssh->deadline_us && *ssh->deadline_us < end)
		end = *ssh->deadline_us;
	found = addresses_find(host->host_name, (uint16_t)host->port, end, &rc);
	if (rc == EAI_INPROGRESS)
		error_set(
		    err, ERROR_UNREACHABLE, "its name isn't found in time");
	else if (rc != 0)
		error_set(err, ERROR_UNREACHABLE, "its name isn't found: %s",
		    gai_strerror(rc));
	return found;
}

/* Within the time for that; a descriptor, or -1 and errno. */
static int
connect_to(struct ssh *ssh, const struct addrinfo *at)
{
	int fd = socket(
	    at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0, one = 1;
	socklen_t size = sizeof(error);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
		return fd;
	if (errno != EINPROGRESS)
		error = errno;
	else if (!ssh_poll(ssh, fd, POLLOUT))
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

/* Each address in turn, for its part of the time. */
static int
open_socket(struct ssh *ssh, const struct ssh_host *host, struct error *err)
{
	struct addrinfo *found = look_up(ssh, host, err);
	int64_t timeout = ssh->timeout_us;
	int count = 0;

	if (!found)
		return -1;
	for (struct addrinfo *at = found; at; at = at->ai_next)
		count++;
	ssh->timeout_us = ssh->connect_us / count;
	for (struct addrinfo *at = found; at && ssh->fd < 0; at = at->ai_next) {
		ssh->waited_us = 0;
		ssh->late = false;
		ssh->fd = connect_to(ssh, at);
	}
	ssh->timeout_us = timeout;
	freeaddrinfo(found);
	if (ssh->fd >= 0)
		return 0;
	return error_set(err, ERROR_UNREACHABLE,
	    "cannot connect to port %u: %s", (unsigned)host->port,
	    strerror(errno));
}

/* ---- whether it is the server that it says ---- */

static const char *const key_types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa" };
#define KEY_TYPES (sizeof(key_types) / sizeof(*key_types))

/* Ask for a key of a kind that we know of this host; if of none, for the best. */
static void
prefer_keys(struct ssh *ssh, const struct known_hosts *known)
{
	auto_buf list = BUF_INIT;

	for (size_t i = 0; i < KEY_TYPES; i++) {
		if (known->count == 0 || known_hosts_has(known, key_types[i]))
			buf_addf(
			    &list, "%s%s", list.len ? "," : "", key_types[i]);
	}
	if (list.len)
		(void)libssh2_session_method_pref(
		    ssh->session, LIBSSH2_METHOD_HOSTKEY, list.data);
}

static int
handshake(struct ssh *ssh, const struct known_hosts *known, struct error *err)
{
	int rc;

	ssh->session = libssh2_session_init_ex(NULL, NULL, NULL, ssh);
	if (!ssh->session)
		return error_set(err, ERROR_SYSTEM, "cannot start libssh2");
	libssh2_session_set_blocking(ssh->session, 0);
	prefer_keys(ssh, known);
	do
		rc = libssh2_session_handshake(ssh->session, ssh->fd);
	while (ssh_again(ssh, rc));
	if (rc == 0)
		return 0;
	if (rc != LIBSSH2_ERROR_KEX_FAILURE || known->count == 0)
		return ssh_fail(ssh, "agree on how to talk", err);
	return error_set(err, ERROR_DENIED,
	    "it offers no key of a kind that %s has for it, and that "
	    "libssh2 " LIBSSH2_VERSION
	    " can check, which of RSA keys is only that with "
	    "SHA-1: add its ed25519 key, as from ssh-keyscan -t ed25519",
	    known->keys[0].where);
}

static int
add_host(const struct ssh_host *host, const char *name, const char *key,
    size_t size, struct error *err)
{
	return known_hosts_add(host->known_hosts.item[0], name, key, size,
	    host->hash_known_hosts > 0, err);
}

static int
check_key(struct ssh *ssh, const struct ssh_host *host, const char *name,
    const struct known_hosts *known, struct error *err)
{
	const struct known_key *which;
	size_t size = 0;
	int type;
	const char *key = libssh2_session_hostkey(ssh->session, &size, &type);

	if (!key)
		return ssh_fail(ssh, "get its key", err);
	switch (known_hosts_check(known, key, size, &which)) {
	case KNOWN: return 0;
	case KNOWN_REVOKED:
		return error_set(err, ERROR_DENIED, "its key is revoked in %s",
		    which->where);
	case KNOWN_OTHER:
		return error_set(err, ERROR_DENIED,
		    "its key is not the one in %s: it was changed, or "
		    "somebody is in between; if it was, remove that line with "
		    "ssh-keygen -R '%s'",
		    which->where, name);
	default: break;
	}
	if (known->damaged)
		return error_set(err, ERROR_DENIED,
		    "the key that %s has for it is damaged: mend or remove "
		    "that line",
		    known->damaged);
	if (ssh->accept_new)
		return add_host(host, name, key, size, err);
	return error_set(err, ERROR_DENIED,
	    "its key is not known: '%s' has none for '%s'; connect to it once "
	    "with ssh, or set the option 'accept_new'",
	    host->known_hosts.item[0], name);
}

static int
read_known_hosts(const struct ssh_host *host, const char *name,
    struct known_hosts *known, struct error *err)
{
	const struct ssh_texts *more = &host->global_known_hosts;

	for (size_t i = 0; i < host->known_hosts.count; i++) {
		if (known_hosts_read(
		        known, name, host->known_hosts.item[i], err) < 0)
			return -1;
	}
	for (size_t i = 0; i < more->count; i++) {
		if (known_hosts_read(known, name, more->item[i], err) < 0)
			return -1;
	}
	return more->count > 0
	    ? 0
	    : known_hosts_read(known, name, "/etc/ssh/ssh_known_hosts", err);
}

/* ---- all of it ---- */

static pthread_once_t started = PTHREAD_ONCE_INIT;

static void
start(void)
{
	(void)libssh2_init(0);
}

static int
meet(struct ssh *ssh, const struct ssh_host *host, struct error *err)
{
	struct known_hosts known = { 0 };
	auto_free char *name = known_hosts_name(
	    host->key_alias ? host->key_alias : host->host_name,
	    host->key_alias ? 22 : host->port);
	int rc = read_known_hosts(host, name, &known, err);

	if (rc == 0)
		rc = open_socket(ssh, host, err);
	if (rc == 0)
		rc = handshake(ssh, &known, err);
	if (rc == 0)
		rc = check_key(ssh, host, name, &known, err);
	known_hosts_release(&known);
	return rc;
}

static int
connect_host(struct ssh *ssh, struct ssh_host *host, struct error *err)
{
	if (find_host(ssh, host, err) < 0 || meet(ssh, host, err) < 0)
		return -1;
	return ssh_login(ssh, host, host->user, err);
}

int
ssh_connect(struct ssh *ssh, struct error *err)
{
	struct ssh_host host;
	struct us us;
	int rc;

	ssh->waited_us = 0;
	if (ssh->session && !ssh->broken)
		return 0;
	ssh_disconnect(ssh);
	(void)pthread_once(&started, start);
	find_us(&us);
	ssh_host_init(&host, ssh->host, us.home, us.name);
	rc = connect_host(ssh, &host, err);
	ssh_host_release(&host);
	release_us(&us);
	if (rc < 0) {
		ssh_disconnect(ssh);
		return error_wrap(err, "ssh to '%s'", ssh->host);
	}
	return 1;
}

void
ssh_disconnect(struct ssh *ssh)
{
	if (ssh->session && !ssh->broken)
		(void)libssh2_session_disconnect(ssh->session, "done");
	if (ssh->fd >= 0)
		(void)shutdown(ssh->fd, SHUT_RDWR);
	for (int tries = 0; ssh->session && tries < 100; tries++) {
		if (libssh2_session_free(ssh->session) != LIBSSH2_ERROR_EAGAIN)
			ssh->session = NULL;
	}
	ssh->session = NULL;
	if (ssh->fd >= 0)
		close(ssh->fd);
	ssh->fd = -1;
	ssh->broken = ssh->late = false;
	ssh->round++;
}
