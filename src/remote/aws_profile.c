#include "remote/aws_profile.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define BLANK " \t\r"
#define AT(member) offsetof(struct aws_profile, member)

static const struct {
	const char *name;
	size_t at;
	bool names_itself; /* what counts is that it is there */
} settings[] = {
	{ "aws_access_key_id", AT(id), false },
	{ "aws_secret_access_key", AT(secret), false },
	{ "aws_session_token", AT(token), false },
	{ "region", AT(region), false },
	{ "endpoint_url", AT(endpoint), false },
	{ "role_arn", AT(other), true },
	{ "credential_process", AT(other), true },
	{ "sso_session", AT(other), true },
	{ "sso_start_url", AT(other), true },
	{ "web_identity_token_file", AT(other), true },
};

struct text {
	const char *at;
	size_t len;
};

static struct text
trim(const char *at, const char *end)
{
	while (at < end && strchr(BLANK, *at))
		at++;
	while (at < end && strchr(BLANK, end[-1]))
		end--;
	return (struct text){ at, (size_t)(end - at) };
}

static bool
is(struct text text, const char *word)
{
	return text.len == strlen(word) &&
	    strncasecmp(text.at, word, text.len) == 0;
}

/* "[profile name]" in config, but "[default]"; "[name]" in credentials. */
static bool
is_section(struct text title, const char *name, bool is_config)
{
	if (is_config && title.len > 8 && memcmp(title.at, "profile", 7) == 0 &&
	    strchr(BLANK, title.at[7]))
		title = trim(title.at + 8, title.at + title.len);
	else if (is_config && strcmp(name, "default") != 0)
		return false;
	return title.len == strlen(name) &&
	    memcmp(title.at, name, title.len) == 0;
}

static void
set(struct aws_profile *profile, struct text name, struct text value)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		char **member =
		    (char **)(void *)((char *)profile + settings[i].at);

		if (!is(name, settings[i].name))
			continue;
		free(*member);
		*member = settings[i].names_itself
		    ? xstrdup(settings[i].name)
		    : xasprintf("%.*s", (int)value.len, value.at);
		return;
	}
}

struct parser {
	struct aws_profile *profile;
	const char *name;
	bool is_config;
	bool inside; /* of the section that is wanted */
};

/* What was expected instead; NULL: fine. */
static const char *
parse_section(struct parser *p, struct text line)
{
	const char *end = memchr(line.at, ']', line.len);

	if (!end)
		return "expected a ']'";
	p->inside = is_section(trim(line.at + 1, end), p->name, p->is_config);
	p->profile->found |= p->inside;
	return NULL;
}

static const char *
parse_line(struct parser *p, const char *start, const char *end)
{
	struct text line = trim(start, end);
	const char *equals;

	if (line.len == 0 || *start == '#' || *start == ';' ||
	    strchr(BLANK, *start))
		return NULL;
	if (memchr(line.at, '\0', line.len))
		return "a NUL";
	if (*line.at == '[')
		return parse_section(p, line);
	equals = memchr(line.at, '=', line.len);
	if (!equals || equals == line.at)
		return "expected 'name = value' or '[section]'";
	if (p->inside)
		set(p->profile, trim(line.at, equals),
		    trim(equals + 1, line.at + line.len));
	return NULL;
}

int
aws_profile_parse(struct aws_profile *profile, const char *name, bool is_config,
    const char *data, size_t size, struct error *err)
{
	struct parser p = { profile, name, is_config, false };
	const char *end = data + size;

	for (unsigned line = 1; data < end; line++) {
		const char *stop = memchr(data, '\n', (size_t)(end - data));
		const char *wrong = parse_line(&p, data, stop ? stop : end);

		if (wrong)
			return error_set(
			    err, ERROR_USAGE, "line %u: %s", line, wrong);
		data = stop ? stop + 1 : end;
	}
	return 0;
}

static void
release_secret(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

void
aws_profile_release(struct aws_profile *profile)
{
	release_secret(&profile->id);
	release_secret(&profile->secret);
	release_secret(&profile->token);
	free(profile->region);
	free(profile->endpoint);
	free(profile->other);
	*profile = (struct aws_profile){ 0 };
}
