/*
 * Objects and libraries to a program or a library, by a compiler's driver or by a
 * linker itself. (A driver that is given sources, too, does a compile.)
 *
 * The words of a driver are read by the table of options in compile.c, and the same
 * holds for them. Those of a linker count as they are. Either way the variables
 * that count are those that linkers and drivers document, and what was at the
 * output's place is no part of the result: linkers take the old file away, or
 * write over it from its beginning. One that reads the old file first, as
 * incremental linkers do, is seen doing so, and then it counts.
 */
#include <string.h>

#include "actions/action.h"
#include "actions/compile.h"
#include "base/mem.h"
#include "trace/classify.h"

/* "ld", "ld.lld", "mold", "collect2", with a target in front or a version behind. */
static bool
is_linker(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	if (classify_program(program) != PROGRAM_COMPILER)
		return false;
	if (strcmp(name, "collect2") == 0 || strcmp(name, "mold") == 0)
		return true;
	name = strstr(name, "ld");
	return name && !compile_is_driver(program);
}

static bool
link_claims(const struct action *action)
{
	const char *program = action->argv[0];

	return (compile_is_driver(program) || is_linker(program)) &&
	    compile_names_input(action->argv);
}

/* A linker's own words: only the output's name is understood. */
static void
describe_linker(struct action *action)
{
	const char *output = "a.out";

	for (char *const *word = action->argv + 1; *word; word++) {
		if (strcmp(*word, "-o") == 0 && word[1])
			output = word[1];
		else if (strncmp(*word, "--output=", 9) == 0)
			output = *word + 9;
	}
	action->output = action_path(action, output);
	action->no_source = true;
}

static void
link_describe(struct action *action)
{
	action->compiler = true;
	action->accelerate =
	    classify_program(action->argv[0]) == PROGRAM_COMPILER;
	if (compile_is_driver(action->argv[0]))
		compile_describe_link(action);
	else
		describe_linker(action);
}

const struct action_kind action_link = {
	.name = "link",
	.claims = link_claims,
	.describe = link_describe,
};
