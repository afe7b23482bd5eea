#include "actions/plain_compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum meaning {
	KEPT,
	DROPPED,
	MODE, /* -c or -S */
	LISTS_ALL,
	LISTS_SOME,
	FORCED, /* a header that no text names */
	REFUSED,
};

/*
 * Of the options that compile.c knows, those that mean more than others here. The
 * first that fits counts; one with an argument of its own has it in the same word or
 * in the next.
 */
static const struct {
	const char *text;
	enum { ALONE, BEGINS, ARGUMENT } form;
	enum meaning meaning;
} options[] = {
	{ "-c", ALONE, MODE }, { "-S", ALONE, MODE },
	{ "-MD", ALONE, LISTS_ALL }, { "-MMD", ALONE, LISTS_SOME },
	{ "-MP", ALONE, DROPPED }, { "-MF", ARGUMENT, DROPPED },
	{ "-MT", ARGUMENT, DROPPED }, { "-MQ", ARGUMENT, DROPPED },
	{ "-M", BEGINS, REFUSED }, { "-o", ARGUMENT, DROPPED },
	{ "-include-pch", BEGINS, REFUSED }, { "-include", ARGUMENT, FORCED },
	{ "-imacros", ARGUMENT, FORCED }, { "-isysroot", ARGUMENT, KEPT },
	{ "-isystem", ARGUMENT, KEPT }, { "-iquote", ARGUMENT, KEPT },
	{ "-idirafter", ARGUMENT, KEPT }, { "-i", BEGINS, REFUSED },
	{ "-I", ARGUMENT, KEPT }, { "-D", ARGUMENT, KEPT },
	{ "-U", ARGUMENT, KEPT }, { "-L", ARGUMENT, DROPPED },
	{ "-l", ARGUMENT, DROPPED }, { "-target", ALONE, REFUSED },
	{ "-x", BEGINS, REFUSED }, { "-E", ALONE, REFUSED },
	{ "-H", ALONE, REFUSED }, { "-P", ALONE, REFUSED },
	{ "-C", BEGINS, REFUSED }, { "-w", ALONE, DROPPED },
	{ "-pipe", ALONE, DROPPED },
	{ "-grecord", BEGINS, REFUSED }, /* our words, too */
	{ "-gmodules", ALONE, REFUSED },
	{ "-fsanitize", BEGINS, REFUSED }, /* lists of what to leave alone */
	{ "-fopenmp", ALONE, KEPT }, { "-fopenmp", BEGINS, REFUSED },
	{ "-finput-charset", BEGINS, REFUSED },
	{ "-fexec-charset", BEGINS, REFUSED },
	{ "-fwide-exec-charset", BEGINS, REFUSED },
	{ "-fno-integrated-as", ALONE, REFUSED },
	{ "-fpreprocessed", ALONE, REFUSED },
	{ "-fdirectives-only", ALONE, REFUSED },
	{ "-fdiagnostics-color", BEGINS, KEPT },
	{ "-fdiagnostics-show", BEGINS, KEPT },
	{ "-fdiagnostics-plain-output", ALONE, KEPT },
	{ "-fdiagnostics-", BEGINS, REFUSED }, /* some write files */
};
#define OPTIONS (sizeof(options) / sizeof(*options))

static size_t
find_option(const char *word)
{
	size_t i;

	for (i = 0; i < OPTIONS; i++) {
		size_t size = strlen(options[i].text);

		if (strncmp(word, options[i].text, size) == 0 &&
		    (options[i].form != ALONE || !word[size]))
			break;
	}
	return i;
}

static const char *
language_of(const char *source)
{
	static const struct {
		const char *suffix, *language;
	} known[] = { { ".c", "c" }, { ".cc", "c++" }, { ".cp", "c++" },
		{ ".cpp", "c++" }, { ".cxx", "c++" }, { ".c++", "c++" },
		{ ".C", "c++" } };
	const char *dot = strrchr(source, '.');

	for (size_t i = 0; dot && i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(dot, known[i].suffix) == 0)
			return known[i].language;
	}
	return NULL;
}

struct reading {
	struct plain_compile *plain;
	char *why;
	size_t size, modes;
};

static bool
refuse(struct reading *r, const char *word, const char *what)
{
	snprintf(r->why, r->size, "'%.80s' %s", word, what);
	return false;
}

static bool
read_source(struct reading *r, char *word)
{
	if (word[0] == '@')
		return refuse(r, word, "holds more words");
	if (r->plain->source)
		return refuse(r, word, "is a second source");
	r->plain->source = word;
	r->plain->language = language_of(word);
	return r->plain->language || refuse(r, word, "is no C or C++ source");
}

/* How many words it takes, or 0 if it is refused. */
static size_t
read_option(struct reading *r, char **word, size_t i)
{
	struct plain_compile *plain = r->plain;
	enum meaning meaning = i < OPTIONS ? options[i].meaning : KEPT;
	bool separate = i < OPTIONS && options[i].form == ARGUMENT &&
	    !(*word)[strlen(options[i].text)];
	const char *argument;

	if (meaning == REFUSED || (separate && !word[1])) {
		(void)refuse(
		    r, *word, "may read or write what it does not list");
		return 0;
	}
	if (meaning == KEPT || meaning == FORCED) {
		for (size_t n = 0; n <= separate; n++)
			plain->words[plain->count++] = word[n];
	}
	r->modes += meaning == MODE;
	plain->assembles |= meaning == MODE && (*word)[1] == 'c';
	plain->lists |= meaning == LISTS_ALL || meaning == LISTS_SOME;
	if (meaning == LISTS_ALL || meaning == LISTS_SOME)
		plain->lists_all = meaning == LISTS_ALL;
	argument = separate ? word[1]
	    : i < OPTIONS   ? *word + strlen(options[i].text)
	                    : "";
	if (meaning == FORCED)
		includes_add(&plain->forced, argument, strlen(argument), true);
	return 1 + separate;
}

static bool
read_words(struct reading *r, char **word)
{
	while (*word) {
		size_t taken = 1;

		if (**word != '-') {
			if (!read_source(r, *word))
				return false;
		} else {
			taken = read_option(r, word, find_option(*word));
			if (taken == 0)
				return false;
		}
		word += taken;
	}
	return true;
}

bool
plain_compile_read(struct plain_compile *plain, const struct action *action,
    char *why, size_t size)
{
	struct reading r = { .plain = plain, .why = why, .size = size };
	size_t count = 0;

	*plain = (struct plain_compile){ .words = NULL };
	while (action->words[count])
		count++;
	plain->words = xmalloc((count + PLAIN_MORE + 1) * sizeof(char *));
	plain->words[plain->count++] = action->words[0];
	if (action->kind != &action_compile) {
		snprintf(why, size, "it is no compile");
		return false;
	}
	if (!read_words(&r, action->words + 1))
		return false;
	plain->words[plain->count] = NULL;
	if (!action->known || r.modes != 1 || !plain->source ||
	    !action->output) {
		snprintf(why, size, "%s",
		    !action->known       ? "it has an option that isn't known"
		        : r.modes != 1   ? "it does more than to compile"
		        : !plain->source ? "it has no source"
		                         : "it has no output that is known");
		return false;
	}
	return true;
}

void
plain_compile_release(struct plain_compile *plain)
{
	free(plain->words);
	plain->words = NULL;
	includes_release(&plain->forced);
}
