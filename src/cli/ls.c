/*
 * `tarn ls`: what is kept, a line for each value in each location, as the
 * locations list it: nothing is sorted or joined, so that a million entries take
 * the memory of one.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cmd.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/tree.h"

struct ls {
	const char *prefix, *label; /* or NULL: any */
	bool as_json;
	bool labelled; /* this entry has the label */
	uint64_t found;
	struct buf line, labels; /* of this entry */
	struct progress progress;
};

static int
add_label(void *arg, const char *label)
{
	struct ls *ls = arg;

	ls->labelled |= ls->label && strcmp(ls->label, label) == 0;
	if (ls->labels.len > 0)
		buf_addf(&ls->labels, ls->as_json ? "," : ", ");
	if (ls->as_json)
		json_text(&ls->labels, label);
	else
		buf_addf(&ls->labels, "%s", label);
	return 0;
}

static void
add_json(struct ls *ls, const struct location_entry *entry)
{
	struct buf *to = &ls->line;

	buf_add(to, "{", 1);
	format_json_key(to, "key", &entry->key.digest);
	format_json_text(to, "space", format_space(entry->key.space));
	format_json_number(to, "size", entry->size);
	format_json_time(to, "last_used", entry->last_used);
	format_json_text(to, "location", entry->leaf->label);
	json_name(to, "labels");
	buf_addf(to, "[%s]}", ls->labels.data);
}

static void
add_text(struct ls *ls, const struct location_entry *entry, const char *hex)
{
	auto_buf size = BUF_INIT;
	auto_buf when = BUF_INIT;

	format_size(&size, entry->size);
	format_time(&when, entry->last_used);
	buf_addf(&ls->line, "%-5s  %10s  %-19s  %s  %s",
	    format_space(entry->key.space), size.data, when.data, hex,
	    entry->leaf->label);
	if (ls->labels.len)
		buf_addf(&ls->line, "  %s", ls->labels.data);
}

static int
list_entry(void *arg, const struct location_entry *entry)
{
	struct ls *ls = arg;
	struct error err = { 0 };
	char hex[DIGEST_HEX + 1];

	digest_hex(&entry->key.digest, hex);
	progress_add(&ls->progress, entry->size);
	if (ls->prefix && strncmp(hex, ls->prefix, strlen(ls->prefix)) != 0)
		return 0;
	buf_reset(&ls->labels);
	ls->labelled = !ls->label;
	if (entry->key.space == KEY_BLOB && !entry->unlabelled)
		(void)location_labels(
		    entry->leaf, &entry->key, add_label, ls, &err);
	if (!ls->labelled)
		return 0;
	ls->found++;
	if (ls->as_json)
		add_json(ls, entry);
	else
		add_text(ls, entry, hex);
	format_print(&ls->line);
	return ferror(stdout) ? 1 : 0;
}

static int
list(struct ls *ls, const char *file, const char *name)
{
	struct error err = { 0 };
	struct location *part;
	struct tree tree;
	int rc = -1;

	if (tree_open(&tree, file, &err) < 0)
		return cmd_fail(&err);
	part = tree_part(&tree, name, &err);
	if (part)
		rc = location_list(part, list_entry, ls, &err);
	progress_end(&ls->progress);
	tree_close(&tree);
	if (rc < 0)
		return cmd_fail(&err);
	return CMD_OK;
}

static int
run(int argc, char **argv)
{
	struct ls ls = { .line = BUF_INIT, .labels = BUF_INIT };
	const char *file = NULL, *name = NULL;
	bool progress = false;
	const struct cmd_option options[] = {
		{ "location", .value = &name },
		{ "label", .value = &ls.label },
		{ "json", .flag = &ls.as_json },
		{ "progress", .flag = &progress },
		{ "config", .value = &file },
		{ 0 },
	};
	int count, status;

	count = cmd_options(
	    &cmd_ls, argv, options, (struct cmd_words){ 0, 1 }, &status);
	if (count < 0)
		return status;
	ls.prefix = count > 0 ? argv[1] : NULL;
	if (ls.prefix &&
	    ls.prefix[strspn(ls.prefix, "0123456789abcdef")] != '\0')
		return cmd_usage(&cmd_ls,
		    "'%.100s' begins no key; expected hex digits, lower case",
		    ls.prefix);
	progress_start(&ls.progress, "listed", progress);
	status = list(&ls, file, name);
	if (status == CMD_OK && ls.prefix && ls.found == 0) {
		fprintf(stderr, "tarn: no key begins with %s\n", ls.prefix);
		status = CMD_FAILED;
	}
	buf_release(&ls.line);
	buf_release(&ls.labels);
	return status;
}

const struct cmd cmd_ls = {
	.name = "ls",
	.args = "[PREFIX] [--location NAME] [--label L] [--json] [--progress]"
	        " [--config FILE]",
	.summary = "list what the locations keep",
	.details =
	    "  PREFIX           only keys that begin with these hex digits\n"
	    "  --location NAME  only of the location or level of this name\n"
	    "  --label L        only what has this label\n"
	    "  --json           an object a line: key, space, size, "
	    "last_used,\n"
	    "                   location, labels\n"
	    "  --progress       tell on stderr how far it is\n"
	    "  --config FILE    this configuration file only\n",
	.run = run,
};
