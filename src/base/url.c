#include "base/url.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* "host", "host:port", "[::1]:port"; a host may be anything but have a colon. */
static bool
is_host(const char *text, size_t len)
{
	const char *six = len > 0 && *text == '[' ? memchr(text, ']', len) : 0;
	const char *from = six ? six : text;
	const char *colon = memchr(from, ':', len - (size_t)(from - text));
	size_t port = colon ? len - (size_t)(colon + 1 - text) : 0;

	return !colon || (port > 0 && strspn(colon + 1, "0123456789") >= port);
}

/* The name of a bucket has no port, so what has a colon is an ID and a secret. */
static bool
may_be_host(const char *url, const char *text, size_t len)
{
	return is_host(text, len) &&
	    (strncmp(url, "s3://", 5) != 0 || !memchr(text, ':', len));
}

const char *
url_user(const char *url, size_t *len)
{
	const char *user = strstr(url, "://"), *at;
	size_t host;

	if (!user)
		return NULL;
	user += 3;
	host = strcspn(user, "/");
	at = memrchr(user, '@', host);
	if (!at && may_be_host(url, user, host))
		return NULL;
	if (!at)
		at = strrchr(user, '@');
	if (!at)
		at = user + strlen(user);
	*len = (size_t)(at - user);
	return user;
}

char *
url_without_user(const char *url)
{
	size_t len = 0;
	const char *user = url_user(url, &len);

	if (!user)
		return xstrdup(url);
	return xasprintf(
	    "%.*s%s", (int)(user - url), url, user + len + (user[len] == '@'));
}
