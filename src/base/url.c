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
	if (!at && !is_host(user, host))
		at = strrchr(user, '@');
	if (!at)
		return NULL;
	*len = (size_t)(at - user);
	return user;
}

char *
url_without_user(const char *url)
{
	size_t len = 0;
	const char *user = url_user(url, &len);

	return user
	    ? xasprintf("%.*s%s", (int)(user - url), url, user + len + 1)
	    : xstrdup(url);
}
