/* Credentials: the files of ~/.aws and the answers of endpoints. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "remote/aws_answer.h"
#include "remote/aws_keys.h"
#include "remote/aws_profile.h"
#include "support/check.h"

static const char credentials[] = "# a comment\n"
                                  "; another\n"
                                  "\n"
                                  "[default]\n"
                                  "aws_access_key_id = AKIA\n"
                                  "aws_secret_access_key=se=cret/+\r\n"
                                  "AWS_SESSION_TOKEN = token\n"
                                  "unknown = x\n"
                                  "[ ci ]\n"
                                  "aws_access_key_id = old\n"
                                  "aws_access_key_id = new\n"
                                  "[profile ci]\n"
                                  "region = nowhere";

static const char config[] = "[default]\nregion = us-east-2\n"
                             "[ci]\nregion = wrong\n"
                             "[profile ci]\n"
                             "region = eu-west-1\n"
                             "s3 =\n"
                             "  region = nested\n"
                             "endpoint_url = https://s3.example:9000\n"
                             "[profile  sso ] # as AWS has it\n"
                             "sso_session = corp\n";

static struct aws_profile
parse(const char *name, bool is_config, const char *text)
{
	struct aws_profile profile = { 0 };
	struct error err = { 0 };

	check_int(aws_profile_parse(
	              &profile, name, is_config, text, strlen(text), &err),
	    0);
	check_str(err.text, "");
	return profile;
}

Test(aws_profile, finds_its_section_of_credentials)
{
	struct aws_profile own = parse("default", false, credentials);
	struct aws_profile ci = parse("ci", false, credentials);
	struct aws_profile none = parse("none", false, credentials);

	check(own.found && ci.found && !none.found);
	check_str(own.id, "AKIA");
	check_str(own.secret, "se=cret/+");
	check_str(own.token, "token");
	check_str(ci.id, "new");
	check(!ci.region && !none.id);
	aws_profile_release(&own);
	aws_profile_release(&ci);
}

Test(aws_profile, finds_its_section_of_config)
{
	struct aws_profile own = parse("default", true, config);
	struct aws_profile ci = parse("ci", true, config);
	struct aws_profile sso = parse("sso", true, config);

	check_str(own.region, "us-east-2");
	check_str(ci.region, "eu-west-1");
	check_str(ci.endpoint, "https://s3.example:9000");
	check(!ci.other);
	check_str(sso.other, "sso_session");
	aws_profile_release(&own);
	aws_profile_release(&ci);
	aws_profile_release(&sso);
}

Test(aws_profile, names_the_line_that_is_wrong_and_not_what_is_in_it)
{
	static const struct {
		const char *text, *wrong;
	} bad[] = {
		{ "[default\n", "line 1: expected a ']'" },
		{ "\n\nSECRET\n",
		    "line 3: expected 'name = value' or '[section]'" },
		{ "[x]\n= SECRET",
		    "line 2: expected 'name = value' or '[section]'" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct aws_profile profile = { 0 };
		struct error err = { 0 };

		check_int(aws_profile_parse(&profile, "x", false, bad[i].text,
		              strlen(bad[i].text), &err),
		    -1);
		check_int(err.kind, ERROR_USAGE);
		check_str(err.text, bad[i].wrong);
		aws_profile_release(&profile);
	}
}

/* ---- answers ---- */

Test(aws_answer, takes_keys_and_when_they_end)
{
	static const char text[] =
	    "{\"Code\":\"Success\",\"AccessKeyId\":\"A\","
	    "\"SecretAccessKey\":\"S\",\"Token\":\"T\","
	    "\"Expiration\":\"2026-11-22T20:00:00Z\"}";
	struct aws_answer answer;
	struct error err = { 0 };

	check_int(aws_answer_parse(&answer, text, sizeof(text) - 1, &err), 0);
	check_str(answer.id, "A");
	check_str(answer.secret, "S");
	check_str(answer.token, "T");
	check_int(answer.expires, 1795377600);
	aws_answer_release(&answer);
}

Test(aws_answer, refuses_what_is_none)
{
	static const struct {
		const char *text;
		enum error_kind kind;
	} bad[] = {
		{ "", ERROR_CORRUPT },
		{ "[]", ERROR_CORRUPT },
		{ "{\"AccessKeyId\":\"A\"}", ERROR_CORRUPT },
		{ "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":7}",
		    ERROR_CORRUPT },
		{ "{\"AccessKeyId\":\"A\\nHost: x\",\"SecretAccessKey\":\"S\"}",
		    ERROR_CORRUPT },
		{ "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\","
		  "\"Expiration\":\"soon\"}",
		    ERROR_CORRUPT },
		{ "{\"Code\":\"Failed\"}", ERROR_DENIED },
		{ "{\"code\":\"Failed\",\"AccessKeyId\":\"A\","
		  "\"SecretAccessKey\":\"S\"}",
		    ERROR_DENIED },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct aws_answer answer;
		struct error err = { 0 };

		check_int(aws_answer_parse(
		              &answer, bad[i].text, strlen(bad[i].text), &err),
		    -1);
		check_int(err.kind, bad[i].kind);
		check(!answer.id && !answer.secret);
	}
}

/* ---- where they are looked for ---- */

static void
forget_environment(void)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_S3", "AWS_SHARED_CREDENTIALS_FILE",
		"AWS_CONFIG_FILE" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
	setenv("HOME", "/nonexistent", 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

Test(aws_keys, come_from_the_url_then_the_environment)
{
	struct aws *url, *aws;
	const struct sigv4_keys *keys;
	struct error err = { 0 };

	forget_environment();
	setenv("AWS_ACCESS_KEY_ID", "env", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("AWS_SESSION_TOKEN", "token", 1);
	setenv("AWS_REGION", "here", 1);
	url = aws_new(NULL, "own", "mine");
	keys = aws_keys(url, 0, &err);
	check_str(keys->id, "own");
	check(!keys->token);
	aws = aws_new(NULL, NULL, NULL);
	keys = aws_keys(aws, 0, &err);
	check_str(keys->id, "env");
	check_str(keys->token, "token");
	check_str(aws_region(aws), "here");
	aws_free(url);
	aws_free(aws);
}

Test(aws_keys, say_where_they_were_looked_for)
{
	struct aws *aws;
	struct error err = { 0 };

	forget_environment();
	aws = aws_new(NULL, NULL, NULL);
	check(!aws_keys(aws, 0, &err));
	check_int(err.kind, ERROR_DENIED);
	check(strstr(err.text, "not in profile 'default'"));
	check(!aws_region(aws) && !aws_endpoint(aws));
	aws_free(aws);
	setenv("AWS_ACCESS_KEY_ID", "env", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	aws = aws_new("named", NULL, NULL);
	check(!aws_keys(aws, 0, &err)); /* a named one is not passed over */
	check(strstr(err.text, "there is no profile 'named'"));
	aws_free(aws);
}

Test(aws_keys, are_asked_for_in_the_clear_on_this_machine_only)
{
	static const char *const urls[] = { "http://127.evil.example/",
		"http://127.0.0.1.evil.example/", "http://[::1].evil.example/",
		"http://localhost.evil.example/", "http://127.1@evil.example/",
		"http://169.254.170.2.evil.example/", "ftp://127.0.0.1/",
		"http:127.0.0.1" };

	forget_environment();
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct aws *aws = aws_new(NULL, NULL, NULL);
		struct error err = { 0 };

		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", urls[i], 1);
		check(!aws_keys(aws, 0, &err));
		cr_assert_not_null(
		    strstr(err.text, "expected https or an address of"), "%s",
		    err.text);
		aws_free(aws);
	}
}

static void
write_keys(const char *path, const char *id)
{
	FILE *file = fopen(path, "w");

	check(file);
	fprintf(file,
	    "[default]\naws_access_key_id = %s\naws_secret_access_key = s\n",
	    id);
	check_int(fclose(file), 0);
}

Test(aws_keys, are_read_again_when_they_were_refused)
{
	char path[] = "/tmp/tarn-aws-XXXXXX";
	auto_close int fd = mkstemp(path);
	struct aws *aws = aws_new(NULL, NULL, NULL);
	const struct sigv4_keys *keys;
	struct error err = { 0 };

	forget_environment();
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	write_keys(path, "old");
	keys = aws_keys(aws, 0, &err);
	check_str(keys->id, "old");
	write_keys(path, "new");
	keys = aws_keys(aws, 0, &err);
	check_str(keys->id, "old");
	aws_refused(aws);
	keys = aws_keys(aws, 0, &err);
	check_str(keys->id, "new");
	aws_free(aws);
	unlink(path);
}
