#include "remote/aws_keys.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "remote/aws_answer.h"
#include "remote/aws_profile.h"
#include "remote/http.h"
#include "remote/place.h"

#define FILE_MAX ((size_t)1 << 20)
#define ANSWER_MAX ((size_t)64 << 10)
#define WAIT_US INT64_C(2000000) /* for an endpoint, all requests together */
#define EARLY_S 300              /* before keys end, new ones are asked for */
#define AGAIN_S 30               /* after a failure, not before this time */

#define CONTAINER "http://169.254.170.2"
#define INSTANCE "http://169.254.169.254"
#define INSTANCE_ROLES "latest/meta-data/iam/security-credentials/"

struct aws {
	char *profile, *id, *secret;

	bool looked;                    /* into the files */
	struct aws_profile own, config; /* of credentials and config */
	struct error trouble;           /* with the files */

	struct aws_answer answer; /* of an endpoint */
	time_t asked;             /* when that failed last; 0: it didn't */
	struct error why;
	struct http *http;

	struct sigv4_keys keys;
};

struct aws *
aws_new(const char *profile, const char *id, const char *secret)
{
	struct aws *aws = xmalloc(sizeof(*aws));

	*aws = (struct aws){
		.profile = profile ? xstrdup(profile) : NULL,
		.id = id ? xstrdup(id) : NULL,
		.secret = secret ? xstrdup(secret) : NULL,
	};
	return aws;
}

void
aws_free(struct aws *aws)
{
	if (!aws)
		return;
	if (aws->secret)
		explicit_bzero(aws->secret, strlen(aws->secret));
	free(aws->profile);
	free(aws->id);
	free(aws->secret);
	aws_profile_release(&aws->own);
	aws_profile_release(&aws->config);
	aws_answer_release(&aws->answer);
	http_free(aws->http);
	free(aws);
}

/* A variable that says something. */
static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *
first_of(const char *a, const char *b, const char *c)
{
	if (a && *a)
		return a;
	if (b && *b)
		return b;
	return c && *c ? c : NULL;
}

/* ---- files ---- */

static const char *
profile_name(const struct aws *aws)
{
	return first_of(aws->profile, variable("AWS_PROFILE"), "default");
}

/* The path of one of the two files; NULL: there is no home. */
static char *
file_path(const char *name, const char *file)
{
	const char *given = variable(name), *home = variable("HOME");

	if (given && strncmp(given, "~/", 2) == 0 && home)
		return xasprintf("%s%s", home, given + 1);
	if (given)
		return xstrdup(given);
	return home ? xasprintf("%s/.aws/%s", home, file) : NULL;
}

static int
read_profile(struct aws *aws, struct aws_profile *profile, const char *name,
    const char *file, struct error *err)
{
	auto_free char *path = file_path(name, file);
	auto_buf text = BUF_INIT;
	int rc;

	if (!path)
		return 0;
	if (buf_read_bounded(&text, path, FILE_MAX, err) < 0)
		return -1;
	rc = aws_profile_parse(profile, profile_name(aws),
	    profile == &aws->config, text.data, text.len, err);
	explicit_bzero(text.data, text.len);
	return rc < 0 ? error_wrap(err, "'%s'", path) : 0;
}

/* Once. */
static void
look(struct aws *aws)
{
	if (aws->looked)
		return;
	aws->looked = true;
	if (read_profile(aws, &aws->own, "AWS_SHARED_CREDENTIALS_FILE",
	        "credentials", &aws->trouble) == 0)
		(void)read_profile(aws, &aws->config, "AWS_CONFIG_FILE",
		    "config", &aws->trouble);
}

const char *
aws_region(struct aws *aws)
{
	const char *said = first_of(
	    variable("AWS_REGION"), variable("AWS_DEFAULT_REGION"), NULL);

	if (said)
		return said;
	look(aws);
	return first_of(aws->config.region, aws->own.region, NULL);
}

const char *
aws_endpoint(struct aws *aws)
{
	const char *said = first_of(variable("AWS_ENDPOINT_URL_S3"),
	    variable("AWS_ENDPOINT_URL"), NULL);

	if (said)
		return said;
	look(aws);
	return first_of(aws->config.endpoint, aws->own.endpoint, NULL);
}

/* ---- endpoints ---- */

static int
ask(struct aws *aws, const char *method, const char *url, const char *header,
    struct buf *answer, struct error *err)
{
	const char *headers[] = { header, NULL };
	auto_sink *out = sink_buf(answer, ANSWER_MAX);
	struct http_request request = { .method = method,
		.url = url,
		.headers = header ? headers : NULL,
		.out = out,
		.max = ANSWER_MAX };
	int rc = http_send(aws->http, &request, err);

	if (rc == 0 && request.status != 200)
		rc = http_refusal(&request, err);
	if (rc == 0)
		rc = sink_commit(out, err);
	http_release(&request);
	return rc < 0 ? error_wrap(err, "credentials from %s", url) : 0;
}

static int
ask_for_keys(
    struct aws *aws, const char *url, const char *header, struct error *err)
{
	auto_buf text = BUF_INIT;
	struct aws_answer answer;
	int rc = ask(aws, "GET", url, header, &text, err);

	if (rc < 0)
		return -1;
	rc = aws_answer_parse(&answer, text.data, text.len, err);
	explicit_bzero(text.data, text.len);
	if (rc < 0)
		return error_wrap(err, "credentials from %s", url);
	aws_answer_release(&aws->answer);
	aws->answer = answer;
	return 0;
}

/* A header can't have more than one line. */
static void
cut_line(struct buf *text)
{
	text->len = strcspn(text->data, "\r\n");
	text->data[text->len] = '\0';
}

/* Keys are asked for in the clear only where nobody listens in. */
static bool
is_near(const char *url)
{
	static const char *const fine[] = { "localhost", "::1", "169.254.170.2",
		"169.254.170.23", "fd00:ec2::23" };
	struct place place;
	struct error ignored;
	struct in_addr four;
	bool near;

	if (strpbrk(url, "@\\ \r\n") || place_parse(&place, url, &ignored) < 0)
		return false;
	near = strcmp(place.scheme, "https") == 0 && *place.host;
	if (strcmp(place.scheme, "http") == 0) {
		for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++)
			near |= strcmp(place.host, fine[i]) == 0;
		near |= inet_pton(AF_INET, place.host, &four) == 1 &&
		    ntohl(four.s_addr) >> 24 == 127;
	}
	place_release(&place);
	return near;
}

static int
container_token(struct buf *header, struct error *err)
{
	const char *file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");

	if (!file && !token)
		return 0;
	buf_addf(header, "Authorization: %s", file ? "" : token);
	if (file && buf_read_bounded(header, file, FILE_MAX, err) < 0)
		return -1;
	cut_line(header);
	return 0;
}

static int
ask_container(
    struct aws *aws, const char *relative, const char *full, struct error *err)
{
	auto_free char *url =
	    relative ? xasprintf(CONTAINER "%s", relative) : xstrdup(full);
	auto_buf header = BUF_INIT;

	if (!is_near(url))
		return error_set(err, ERROR_USAGE,
		    "AWS_CONTAINER_CREDENTIALS_FULL_URI: expected https or an "
		    "address of this machine");
	if (container_token(&header, err) < 0)
		return -1;
	return ask_for_keys(aws, url, header.len ? header.data : NULL, err);
}

/* A session with the instance's endpoint, the role's name, and its keys. */
static int
ask_instance(struct aws *aws, struct error *err)
{
	const char *base = first_of(
	    variable("AWS_EC2_METADATA_SERVICE_ENDPOINT"), INSTANCE, NULL);
	size_t len = strlen(base) - (base[strlen(base) - 1] == '/');
	auto_free char *session =
	    xasprintf("%.*s/latest/api/token", (int)len, base);
	auto_free char *roles =
	    xasprintf("%.*s/" INSTANCE_ROLES, (int)len, base);
	auto_free char *role = NULL;
	auto_buf token = BUF_INIT, name = BUF_INIT;

	buf_addf(&token, "X-aws-ec2-metadata-token: ");
	if (ask(aws, "PUT", session,
	        "X-aws-ec2-metadata-token-ttl-seconds: 21600", &token, err) < 0)
		return -1;
	cut_line(&token);
	if (ask(aws, "GET", roles, token.data, &name, err) < 0)
		return -1;
	cut_line(&name);
	role = xasprintf("%s%s", roles, name.data);
	return ask_for_keys(aws, role, token.data, err);
}

/* MISS-like: 1, nobody to be asked; else as the others. */
static int
ask_endpoint(struct aws *aws, struct error *err)
{
	const char *relative =
	    variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *disabled = variable("AWS_EC2_METADATA_DISABLED");

	if (relative || full)
		return ask_container(aws, relative, full, err);
	if (disabled && strcasecmp(disabled, "true") == 0)
		return error_set(
		    err, ERROR_DENIED, "AWS_EC2_METADATA_DISABLED is true");
	return ask_instance(aws, err);
}

/* ---- choosing ---- */

static const struct sigv4_keys *
give(struct aws *aws, const char *id, const char *secret, const char *token)
{
	aws->keys = (struct sigv4_keys){ .id = id,
		.secret = secret,
		.token = token && *token ? token : NULL };
	return &aws->keys;
}

static const struct sigv4_keys *
give_answer(struct aws *aws)
{
	return give(aws, aws->answer.id, aws->answer.secret, aws->answer.token);
}

/* Is what we have good for `seconds` more? */
static bool
lasts(const struct aws *aws, time_t seconds)
{
	return aws->answer.id &&
	    (!aws->answer.expires ||
	        aws->answer.expires - time(NULL) > seconds);
}

static const struct sigv4_keys *
no_keys(const struct aws *aws, struct error *err)
{
	*err = aws->why;
	error_wrap(err,
	    "no credentials: not in AWS_ACCESS_KEY_ID and "
	    "AWS_SECRET_ACCESS_KEY, not in profile '%s' of ~/.aws, not from "
	    "a container or instance",
	    profile_name(aws));
	if (err->kind != ERROR_USAGE)
		err->kind = ERROR_DENIED;
	return NULL;
}

static const struct sigv4_keys *
from_endpoint(struct aws *aws, int64_t deadline_us, struct error *err)
{
	static const struct http_options options = {
		.timeout_s = 1, .connect_s = 1, .parallel = 1
	};
	int64_t stop = clock_us() + WAIT_US;
	int rc;

	if (lasts(aws, EARLY_S))
		return give_answer(aws);
	if (!aws->asked || time(NULL) - aws->asked >= AGAIN_S) {
		if (!aws->http)
			aws->http = http_new(&options);
		if (deadline_us && deadline_us < stop)
			stop = deadline_us;
		http_set_deadline(aws->http, &stop);
		rc = ask_endpoint(aws, &aws->why);
		http_set_deadline(aws->http, NULL);
		aws->asked = rc < 0 ? time(NULL) : 0;
	}
	if (lasts(aws, 0))
		return give_answer(aws);
	return no_keys(aws, err);
}

static const struct sigv4_keys *
from_files(struct aws *aws, struct error *err)
{
	const struct aws_profile *of[] = { &aws->own, &aws->config };
	const char *other = NULL;

	look(aws);
	if (aws->trouble.kind != ERROR_NONE) {
		*err = aws->trouble;
		return NULL;
	}
	for (size_t i = 0; i < 2; i++) {
		if (of[i]->id && of[i]->secret)
			return give(
			    aws, of[i]->id, of[i]->secret, of[i]->token);
		if (of[i]->other)
			other = of[i]->other;
	}
	if (other)
		error_set(err, ERROR_DENIED,
		    "profile '%s' has its credentials from %s, which is not "
		    "known here; 'aws configure export-credentials' shows "
		    "them",
		    profile_name(aws), other);
	else if (!aws->own.found && !aws->config.found &&
	    (aws->profile || variable("AWS_PROFILE")))
		error_set(err, ERROR_DENIED,
		    "there is no profile '%s' in ~/.aws", profile_name(aws));
	return NULL;
}

const struct sigv4_keys *
aws_keys(struct aws *aws, int64_t deadline_us, struct error *err)
{
	const char *id = variable("AWS_ACCESS_KEY_ID");
	const char *secret = variable("AWS_SECRET_ACCESS_KEY");
	const struct sigv4_keys *keys;

	if (aws->id && aws->secret)
		return give(aws, aws->id, aws->secret, NULL);
	if (!aws->profile && id && secret)
		return give(aws, id, secret, variable("AWS_SESSION_TOKEN"));
	err->kind = ERROR_NONE;
	keys = from_files(aws, err);
	if (keys || err->kind != ERROR_NONE)
		return keys;
	return from_endpoint(aws, deadline_us, err);
}

void
aws_refused(struct aws *aws)
{
	aws_answer_release(&aws->answer);
	aws_profile_release(&aws->own);
	aws_profile_release(&aws->config);
	aws->trouble = (struct error){ 0 };
	aws->looked = false;
}
