/*
 * Objects to a library that is linked from, by ar or ranlib in any of their names.
 *
 * An archive is changed in place: what was there before is an input like any other,
 * digested before the first write. Its members' times and owners would be inputs,
 * too, but archivers leave them out unless they are told otherwise, and an archive
 * that holds some is not kept (src/exec/keep_archive.c).
 */
#include <string.h>

#include "actions/action.h"
#include "base/mem.h"
#include "trace/classify.h"

static bool
archive_claims(const struct action *action)
{
	return classify_program(action->argv[0]) == PROGRAM_ARCHIVER &&
	    action->argv[1];
}

/* The first word that looks like an archive: what it is about, for rules. */
static void
archive_describe(struct action *action)
{
	for (char *const *word = action->argv + 1; *word; word++) {
		size_t size = strlen(*word);

		if (size > 2 && strcmp(*word + size - 2, ".a") == 0) {
			action->output = action_path(action, *word);
			return;
		}
	}
}

const struct action_kind action_archive = {
	.name = "archive",
	.claims = archive_claims,
	.describe = archive_describe,
};
