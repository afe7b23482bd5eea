#include "remote/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/percent.h"
#include "base/url.h"
#include "locations/location.h"

/* The port in `text`, all of it; -1: it is none. */
static int
parse_port(const char *text, size_t len, uint16_t *port)
{
	unsigned number = 0;

	if (len == 0 || len > 5)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		number = number * 10 + (unsigned)(text[i] - '0');
	}
	*port = (uint16_t)number;
	return number > 0 && number <= UINT16_MAX ? 0 : -1;
}

/* "user:password", the second of which may have any character. */
static int
parse_user(struct place *place, const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	size_t name = colon ? (size_t)(colon - text) : len;

	place->user = percent_decode(text, name);
	if (colon)
		place->password = percent_decode(colon + 1, len - name - 1);
	return place->user && (!colon || place->password) ? 0 : -1;
}

static int
parse_host(struct place *place, const char *text, size_t len)
{
	const char *end = memchr(text, ']', len), *colon;
	size_t host;

	if (len > 0 && *text == '[') {
		if (!end)
			return -1;
		host = (size_t)(end + 1 - text);
		place->host = percent_decode(text + 1, host - 2);
	} else {
		colon = memchr(text, ':', len);
		host = colon ? (size_t)(colon - text) : len;
		place->host = percent_decode(text, host);
	}
	if (!place->host)
		return -1;
	if (host == len)
		return 0;
	return text[host] == ':'
	    ? parse_port(text + host + 1, len - host - 1, &place->port)
	    : -1;
}

static int
parse(struct place *place, const char *url)
{
	const char *rest = strstr(url, "://"), *at;
	size_t len;

	if (!rest)
		return -1;
	place->scheme = xasprintf("%.*s", (int)(rest - url), url);
	rest += 3;
	len = strcspn(rest, "/");
	place->path = xstrdup(rest + len + (rest[len] == '/'));
	at = memrchr(rest, '@', len);
	if (at && parse_user(place, rest, (size_t)(at - rest)) < 0)
		return -1;
	if (at) {
		len -= (size_t)(at + 1 - rest);
		rest = at + 1;
	}
	return parse_host(place, rest, len);
}

int
place_parse(struct place *place, const char *url, struct error *err)
{
	const char *at = strrchr(url, '@');
	auto_free char *shown = NULL;

	*place = (struct place){ 0 };
	if (parse(place, url) == 0)
		return 0;
	place_release(place);
	shown = strstr(url, "://") ? url_without_user(url)
	                           : xstrdup(at ? at + 1 : url);
	return error_set(err, ERROR_USAGE,
	    "expected scheme://[user[:password]@]host[:port][/path], got '%s'",
	    shown);
}

void
place_release(struct place *place)
{
	free(place->scheme);
	free(place->user);
	if (place->password)
		explicit_bzero(place->password, strlen(place->password));
	free(place->password);
	free(place->host);
	free(place->path);
	*place = (struct place){ 0 };
}

const char *
place_option(const Tarn__Location *config, const char *name)
{
	for (size_t i = config->n_options; i-- > 0;) {
		if (strcmp(config->options[i]->name, name) == 0)
			return config->options[i]->value;
	}
	return NULL;
}

static bool
is_known(const char *name, const char *const *known)
{
	for (; *known; known++) {
		if (strcmp(name, *known) == 0)
			return true;
	}
	return false;
}

int
place_options(
    const Tarn__Location *config, const char *const *known, struct error *err)
{
	auto_buf list = BUF_INIT;

	for (size_t i = 0; i < config->n_options; i++) {
		if (is_known(config->options[i]->name, known) ||
		    strcmp(config->options[i]->name, LOCATION_COMPRESS) == 0)
			continue;
		for (size_t k = 0; known[k]; k++)
			buf_addf(&list, "%s, ", known[k]);
		return error_set(err, ERROR_USAGE,
		    "'%s' is no option of %s: expected one of "
		    "%s" LOCATION_COMPRESS,
		    config->options[i]->name, config->kind, list.data);
	}
	return 0;
}

int
place_flag(const Tarn__Location *config, const char *name, bool without,
    bool *flag, struct error *err)
{
	const char *value = place_option(config, name);

	*flag = without;
	if (!value)
		return 0;
	*flag = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
	if (*flag || strcmp(value, "0") == 0 || strcmp(value, "false") == 0)
		return 0;
	return error_set(err, ERROR_USAGE,
	    "expected '%s' to be 1 or 0, got '%s'", name, value);
}
