/* `tarn rm`: forget keys, in both name spaces and all locations that are written. */
#include <limits.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/format.h"
#include "cli/tree.h"

struct rm {
	struct tree_node *leaf;
	size_t count;
	bool as_json, dry_run;
	bool found, failed;
	struct buf line;
};

/* One line of what was done, or would be. */
static void
tell(struct rm *rm, const struct key *key, const char *what,
    const struct location *leaf)
{
	char hex[DIGEST_HEX + 1];

	if (!rm->as_json) {
		buf_addf(&rm->line, "%s %s %s %s %s", what,
		    format_space(key->space), digest_hex(&key->digest, hex),
		    what[0] == 'k' ? "in" : "from", leaf->label);
		format_print(&rm->line);
		return;
	}
	buf_add(&rm->line, "{", 1);
	format_json_key(&rm->line, "key", &key->digest);
	format_json_text(&rm->line, "space", format_space(key->space));
	format_json_text(&rm->line, "location", leaf->label);
	format_json_flag(&rm->line, "removed", what[0] == 'r');
	buf_add(&rm->line, "}", 1);
	format_print(&rm->line);
}

static void
complain(struct rm *rm, const struct location *leaf, struct error *err)
{
	error_wrap(err, "'%s'", leaf->label);
	(void)cmd_fail(err);
	rm->failed = true;
}

static void
remove_from(struct rm *rm, const struct tree_node *leaf, const struct key *key)
{
	struct error err = { 0 };
	enum outcome outcome = location_contains(leaf->loc, key, &err);

	if (outcome == HIT && leaf->may_change && !rm->dry_run)
		outcome = location_remove(leaf->loc, key, &err);
	if (outcome == FAILED) {
		complain(rm, leaf->loc, &err);
		return;
	}
	if (outcome == MISS)
		return;
	rm->found |= leaf->may_change;
	tell(rm, key,
	    !leaf->may_change ? "kept"
	        : rm->dry_run ? "would remove"
	                      : "removed",
	    leaf->loc);
}

static void
remove_key(struct rm *rm, const struct digest *digest)
{
	const struct key index = { KEY_INDEX, *digest },
	                 blob = { KEY_BLOB, *digest };
	char hex[DIGEST_HEX + 1];

	rm->found = false;
	for (size_t i = 0; i < rm->count; i++) {
		remove_from(rm, &rm->leaf[i], &index);
		remove_from(rm, &rm->leaf[i], &blob);
	}
	if (rm->found)
		return;
	fprintf(stderr, "tarn: no location that is written has %s\n",
	    digest_hex(digest, hex));
	rm->failed = true;
}

static int
remove_all(struct rm *rm, char **keys, int count, const char *file)
{
	struct error err = { 0 };
	struct digest digest;
	struct tree tree;

	if (tree_open(&tree, file, &err) < 0)
		return cmd_fail(&err);
	rm->count = tree_leaves(&tree, &rm->leaf);
	for (int i = 0; i < count; i++) {
		if (digest_parse(&digest, keys[i]))
			remove_key(rm, &digest);
	}
	free(rm->leaf);
	buf_release(&rm->line);
	tree_close(&tree);
	return rm->failed ? CMD_FAILED : CMD_OK;
}

static int
run(int argc, char **argv)
{
	struct rm rm = { .line = BUF_INIT };
	const char *file = NULL;
	const struct cmd_option options[] = {
		{ "dry-run", 'n', .flag = &rm.dry_run },
		{ "json", .flag = &rm.as_json },
		{ "config", .value = &file },
		{ 0 },
	};
	struct digest digest;
	int count, status;

	count = cmd_options(
	    &cmd_rm, argv, options, (struct cmd_words){ 1, INT_MAX }, &status);
	if (count < 0)
		return status;
	for (int i = 1; i <= count; i++) {
		if (!cmd_key(&cmd_rm, argv[i], &digest))
			return CMD_USAGE;
	}
	return remove_all(&rm, argv + 1, count, file);
}

const struct cmd cmd_rm = {
	.name = "rm",
	.args = "KEY... [--dry-run] [--json] [--config FILE]",
	.summary = "remove what is kept under these keys",
	.details = "  -n, --dry-run  only say what would go\n"
	           "  --json         an object a line: key, space, location,\n"
	           "                 removed\n"
	           "  --config FILE  this configuration file only\n"
	           "\nLevels that are only read keep what they have.\n",
	.run = run,
};
