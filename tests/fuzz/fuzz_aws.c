/* A file of ~/.aws, and the JSON of an endpoint that hands out credentials. */
#include <stdlib.h>
#include <string.h>

#include "remote/aws_answer.h"
#include "remote/aws_profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_profile(const char *name, bool is_config, const char *text, size_t size)
{
	struct aws_profile profile = { 0 };
	struct error err = { 0 };

	if (aws_profile_parse(&profile, name, is_config, text, size, &err) <
	        0 &&
	    (err.kind != ERROR_USAGE || strncmp(err.text, "line ", 5) != 0))
		abort();
	if (!profile.found && (profile.id || profile.region || profile.other))
		abort();
	if (profile.id && strpbrk(profile.id, "\n"))
		abort();
	aws_profile_release(&profile);
}

static void
read_answer(const char *text, size_t size)
{
	struct aws_answer answer;
	struct error err = { 0 };

	if (aws_answer_parse(&answer, text, size, &err) < 0) {
		if (answer.id || !err.text[0])
			abort();
	} else if (!answer.id || !answer.secret || answer.expires < 0 ||
	    strpbrk(answer.id, "\r\n ") || strpbrk(answer.secret, "\r\n ")) {
		abort();
	}
	aws_answer_release(&answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	read_profile("default", false, text, size);
	read_profile("ci", true, text, size);
	read_answer(text, size);
	return 0;
}
