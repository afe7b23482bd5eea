/*
 * A program that is run for what it prints and how it ends. Nothing about its words
 * or variables is known, so a test is a command like any other but for its name in
 * reports; whether a failure is kept is up to the rules (src/exec/rules.h).
 *
 * Chosen by itself for a program of the project whose name says that it tests:
 * "test" or "check" as a word of it, as in tests/run-tests, test_list, ./check.sh.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "actions/action.h"
#include "base/mem.h"

/* Is `word` a word of `name`, alone or with an "s", "er" or "ing" behind it? */
static bool
has_word(const char *name, const char *word)
{
	static const char *const ends[] = { "", "s", "er", "ing" };
	size_t size = strlen(word);

	for (const char *at = name; *at; at++) {
		size_t rest;

		if (strncasecmp(at, word, size) != 0 ||
		    (at > name && isalpha((unsigned char)at[-1])))
			continue;
		for (rest = 0; isalpha((unsigned char)at[size + rest]); rest++)
			;
		for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
			if (strlen(ends[i]) == rest &&
			    strncasecmp(at + size, ends[i], rest) == 0)
				return true;
		}
	}
	return false;
}

static bool
is_of_project(const struct action *action)
{
	size_t size = strlen(action->root);

	return size > 1 && strncmp(action->program, action->root, size) == 0 &&
	    action->program[size] == '/';
}

static bool
test_claims(const struct action *action)
{
	const char *slash = strrchr(action->argv[0], '/');

	return slash && action->program && is_of_project(action) &&
	    (has_word(slash + 1, "test") || has_word(slash + 1, "check"));
}

static void
test_describe(struct action *action)
{
}

const struct action_kind action_test = {
	.name = "test",
	.claims = test_claims,
	.describe = test_describe,
};
