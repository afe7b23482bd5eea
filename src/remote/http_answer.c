/* What an answer's headers say, and what its status means. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "remote/http.h"

#define SHOWN 160 /* characters of a refusal */

void
http_release(struct http_request *request)
{
	if (request->headers_in.data)
		buf_release(&request->headers_in);
	if (request->text.data)
		buf_release(&request->text);
	free(request->moved);
	request->moved = NULL;
	request->headers_in = request->text = (struct buf){ 0 };
}

const char *
http_header(const struct http_request *request, const char *name, size_t *len)
{
	const char *line = request->headers_in.data, *end;
	size_t size = strlen(name);

	for (; line && (end = strchr(line, '\n')); line = end + 1) {
		const char *value = line + size + 1;

		if (strncasecmp(line, name, size) != 0 || line[size] != ':')
			continue;
		while (*value == ' ' || *value == '\t')
			value++;
		while (end > value && strchr("\r\n \t", end[-1]))
			end--;
		*len = (size_t)(end - value);
		return value;
	}
	return NULL;
}

/* A date is not understood: who gives one gets the usual pause. */
unsigned
http_retry_after(const struct http_request *request)
{
	size_t len;
	const char *value = http_header(request, "retry-after", &len);
	unsigned long seconds;

	if (!value || *value < '0' || *value > '9')
		return 0;
	seconds = strtoul(value, NULL, 10);
	return seconds < 86400 ? (unsigned)seconds : 86400;
}

static enum error_kind
kind_of_status(const struct http_request *request)
{
	switch (request->status) {
	case 401:
	case 403:
	case 407:
	case 495: /* nginx, of certificates that clients show, or don't */
	case 496: return ERROR_DENIED;
	case 408:
	case 425:
	case 429: return ERROR_UNREACHABLE;
	case 400: /* and what it makes of those two */
		return strstr(request->text.data, "SSL certificate")
		    ? ERROR_DENIED
		    : ERROR_CORRUPT;
	}
	return request->status >= 500 ? ERROR_UNREACHABLE : ERROR_CORRUPT;
}

/* The words of a refusal, without markup and control characters, on one line. */
static void
plain_text(const struct buf *from, char to[static SHOWN + 1])
{
	size_t len = 0;
	bool tag = false;

	for (size_t i = 0; i < from->len && len < SHOWN; i++) {
		char c = from->data[i];
		bool space = (unsigned char)c <= ' ' || c == '>' || c == 127;

		if (c == '<' || tag) {
			tag = c != '>';
			space = true;
			if (tag)
				continue;
		}
		if (space && (len == 0 || to[len - 1] == ' '))
			continue;
		to[len++] = space ? ' ' : c;
	}
	while (len > 0 && to[len - 1] == ' ')
		len--;
	to[len] = '\0';
}

static void
add_details(const struct http_request *request, struct buf *to)
{
	unsigned pause = http_retry_after(request);
	char text[SHOWN + 1];
	const char *where;
	size_t len = 0;

	plain_text(&request->text, text);
	where = http_header(request, "location", &len);
	if (where && request->status / 100 == 3)
		buf_addf(to, ", to '%.*s', where nobody follows",
		    (int)(len < 200 ? len : 200), where);
	else if (*text)
		buf_addf(to, ", '%s'", text);
	if (pause)
		buf_addf(to, ", come back in %u s", pause);
}

int
http_refusal(const struct http_request *request, struct error *err)
{
	auto_buf details = BUF_INIT;

	add_details(request, &details);
	return error_set(err, kind_of_status(request),
	    "cannot %s '%.280s': the server answered %d%s", request->method,
	    request->moved ? request->moved : request->url, request->status,
	    details.data);
}
