#include "remote/aws_answer.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

static void
free_json(cJSON **json)
{
	cJSON_Delete(*json);
}

#define auto_json auto_cleanup(free_json) cJSON

/* A text without control characters, which could not be sent; else NULL. */
static const char *
text_of(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
	const char *text = cJSON_GetStringValue(item);

	for (const char *c = text; c && *c; c++) {
		if (*c <= ' ' || *c > '~')
			return NULL;
	}
	return text && *text ? text : NULL;
}

static int
parse_time(int64_t *seconds, const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end)
		return -1;
	if (*end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	*seconds = timegm(&tm);
	return strcmp(end, "Z") == 0 && *seconds > 0 ? 0 : -1;
}

/* "Code" is "Success" where there are keys; then it may be missing, too. */
static int
check_code(const cJSON *json, struct error *err)
{
	const char *code = text_of(json, "Code");

	if (!code)
		code = text_of(json, "code");
	if (!code || strcmp(code, "Success") == 0)
		return 0;
	return error_set(
	    err, ERROR_DENIED, "no credentials were given: %.64s", code);
}

static int
take_keys(struct aws_answer *answer, const cJSON *json, struct error *err)
{
	const char *id = text_of(json, "AccessKeyId");
	const char *secret = text_of(json, "SecretAccessKey");
	const char *token = text_of(json, "Token");
	const char *until = text_of(json, "Expiration");
	int64_t expires = 0;

	if (!id || !secret)
		return error_set(err, ERROR_CORRUPT,
		    "expected JSON with AccessKeyId and SecretAccessKey");
	if (until && parse_time(&expires, until) < 0)
		return error_set(err, ERROR_CORRUPT,
		    "expected the Expiration of credentials as a time");
	answer->id = xstrdup(id);
	answer->secret = xstrdup(secret);
	answer->token = token ? xstrdup(token) : NULL;
	answer->expires = expires;
	return 0;
}

int
aws_answer_parse(
    struct aws_answer *answer, const char *data, size_t size, struct error *err)
{
	auto_json *json = cJSON_ParseWithLength(data, size);

	*answer = (struct aws_answer){ 0 };
	if (!cJSON_IsObject(json))
		return error_set(
		    err, ERROR_CORRUPT, "expected credentials as JSON");
	if (check_code(json, err) < 0)
		return -1;
	return take_keys(answer, json, err);
}

static void
release_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void
aws_answer_release(struct aws_answer *answer)
{
	release_secret(answer->id);
	release_secret(answer->secret);
	release_secret(answer->token);
	*answer = (struct aws_answer){ 0 };
}
