/*
 * Any command: all that is known of it is what it says. The words are the key as
 * they are, the whole environment counts, and what it reads and writes is seen
 * when it runs.
 */
#include <string.h>

#include "actions/action.h"
#include "base/mem.h"
#include "trace/classify.h"

static bool
command_claims(const struct action *action)
{
	return true;
}

static void
command_describe(struct action *action)
{
	/* A compiler that says its version asks as many questions as one that
	 * works. */
	action->accelerate =
	    classify_program(action->argv[0]) == PROGRAM_COMPILER;
}

const struct action_kind action_command = {
	.name = "command",
	.claims = command_claims,
	.describe = command_describe,
};
