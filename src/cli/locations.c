/*
 * `tarn locations`: the tree of locations, and with --test whether each leaf keeps
 * what it is given.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/config_reader.h"
#include "cli/format.h"
#include "cli/trial.h"

struct locations {
	bool as_json, test, failed;
	struct buf line;
};

/* ---- showing ---- */

static void
add_trial(struct buf *to, const struct trial *trial)
{
	bool first = true;

	buf_addf(to, "%s", trial_verdicts[trial->verdict]);
	for (size_t i = 0; i < TRIAL_STEPS; i++) {
		if (!trial->done[i])
			continue;
		buf_addf(to, "%s%s %.2f ms", first ? ": " : ", ",
		    trial_steps[i], (double)trial->us[i] / 1000);
		first = false;
	}
	if (trial->err.text[0])
		buf_addf(to, "; %s", trial->err.text);
}

/* Which of its level's switches are not as usual. */
static void
add_policies(struct buf *to, const struct tree_node *node)
{
	const Tarn__Level *level = node->level;

	if (level && level->read_only)
		buf_addf(to, ", write: false");
	if (level && level->no_replicate)
		buf_addf(to, ", replicate: false");
	if (level && level->touch)
		buf_addf(to, ", touch: true");
}

static void
add_text(struct buf *to, const struct tree_node *node)
{
	const Tarn__Location *config = node->config;
	auto_free char *place = reader_hide_password(config->place);

	buf_addf(to, "%*s", (int)(2 * node->depth), "");
	if (node->level && *node->level->name)
		buf_addf(to, "%s: ", node->level->name);
	buf_addf(to, "%s%s%s", config->kind, *place ? " " : "", place);
	if (config->n_levels)
		buf_addf(to, ", writes: %s", config->first ? "first" : "all");
	if (config->max_size) {
		buf_addf(to, ", max_size: ");
		format_size(to, config->max_size);
	}
	for (size_t i = 0; i < config->n_options; i++) {
		const Tarn__Option *o = config->options[i];

		buf_addf(to, ", %s: %s", o->name,
		    reader_secret_name(o->name) ? "***" : o->value);
	}
	add_policies(to, node);
}

static void
json_of_trial(struct buf *to, const struct trial *trial)
{
	json_name(to, "test");
	buf_add(to, "{", 1);
	format_json_text(to, "outcome", trial_verdicts[trial->verdict]);
	format_json_text(
	    to, "error", trial->err.text[0] ? trial->err.text : NULL);
	for (size_t i = 0; i < TRIAL_STEPS; i++) {
		auto_free char *name = xasprintf("%s_us", trial_steps[i]);

		if (trial->done[i])
			format_json_number(to, name, trial->us[i]);
	}
	buf_add(to, "}", 1);
}

static void
add_json(struct buf *to, const struct tree_node *node)
{
	const Tarn__Location *config = node->config;
	auto_free char *place = reader_hide_password(config->place);
	const Tarn__Level *level = node->level;

	format_json_text(to, "name", node->loc->label);
	format_json_number(to, "depth", node->depth);
	format_json_text(to, "kind", config->kind);
	format_json_text(to, "place", *place ? place : NULL);
	if (config->n_levels)
		format_json_text(to, "writes", config->first ? "first" : "all");
	if (config->max_size)
		format_json_number(to, "max_size", config->max_size);
	for (size_t i = 0; i < config->n_options; i++) {
		const Tarn__Option *o = config->options[i];

		format_json_text(to, o->name,
		    reader_secret_name(o->name) ? "***" : o->value);
	}
	if (!level)
		return;
	format_json_flag(to, "write", !level->read_only);
	format_json_flag(to, "replicate", !level->no_replicate);
	format_json_flag(to, "touch", level->touch);
}

static int
show_node(void *arg, const struct tree_node *node)
{
	struct locations *locations = arg;
	bool tested = locations->test && !node->loc->kind->member;
	struct buf *to = &locations->line;
	struct trial trial = { 0 };

	if (tested)
		trial_make(node, &trial);
	locations->failed |= trial.verdict == TRIAL_FAILED;
	buf_add(to, "{", locations->as_json);
	(locations->as_json ? add_json : add_text)(to, node);
	if (tested && locations->as_json)
		json_of_trial(to, &trial);
	buf_add(to, "}", locations->as_json);
	format_print(to);
	if (!tested || locations->as_json)
		return 0;
	buf_addf(to, "%*s", (int)(2 * node->depth + 2), "");
	add_trial(to, &trial);
	format_print(to);
	return 0;
}

static int
run(int argc, char **argv)
{
	struct locations locations = { .line = BUF_INIT };
	const char *file = NULL;
	const struct cmd_option options[] = {
		{ "test", .flag = &locations.test },
		{ "json", .flag = &locations.as_json },
		{ "config", .value = &file },
		{ 0 },
	};
	struct error err = { 0 };
	struct tree tree;
	int status;

	if (cmd_options(&cmd_locations, argv, options,
	        (struct cmd_words){ 0, 0 }, &status) < 0)
		return status;
	if (tree_open(&tree, file, &err) < 0)
		return cmd_fail(&err);
	(void)tree_each(&tree, show_node, &locations);
	tree_close(&tree);
	buf_release(&locations.line);
	return locations.failed ? CMD_FAILED : CMD_OK;
}

const struct cmd cmd_locations = {
	.name = "locations",
	.args = "[--test] [--json] [--config FILE]",
	.summary = "show the tree of locations, and whether each works",
	.details =
	    "  --test         write, read, compare and remove a value in each\n"
	    "  --json         an object a line\n"
	    "  --config FILE  this configuration file only\n",
	.run = run,
};
