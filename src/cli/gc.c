/*
 * `tarn gc`: remove what was used least, in each location that gets values. It does
 * at once and in one go what tarn-exec has done behind the build's back.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/duration.h"
#include "base/json.h"
#include "base/size.h"
#include "cli/cmd.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/tree.h"
#include "locations/collect.h"

struct gc {
	struct collect_request request;
	bool as_json;
	struct progress progress;
	struct location *part; /* of the tree; only its leaves */
	int status;
};

static void
count(void *arg, const struct location_entry *entry)
{
	progress_add(arg, entry->size);
}

/* ---- telling ---- */

static void
add_amount(struct buf *to, uint64_t entries, uint64_t bytes)
{
	buf_addf(
	    to, "%" PRIu64 " %s", entries, entries == 1 ? "entry" : "entries");
	if (entries) {
		buf_addf(to, ", ");
		format_size(to, bytes);
	}
}

static void
show(const struct gc *gc, const struct location *leaf,
    const struct collect_result *result)
{
	auto_buf line = BUF_INIT;

	buf_addf(&line, "%s: %s ", leaf->label,
	    gc->request.dry_run ? "would remove" : "removed");
	add_amount(&line, result->removed, result->removed_bytes);
	buf_addf(&line, "; %s ", gc->request.dry_run ? "would keep" : "kept");
	add_amount(&line, result->entries, result->bytes);
	format_print(&line);
}

static void
show_json(const struct gc *gc, const struct location *leaf,
    const struct collect_result *result, const char *trouble)
{
	auto_buf line = BUF_INIT;

	buf_add(&line, "{", 1);
	format_json_text(&line, "location", leaf->label);
	format_json_flag(&line, "dry_run", gc->request.dry_run);
	format_json_number(&line, "removed", result->removed);
	format_json_number(&line, "removed_bytes", result->removed_bytes);
	format_json_number(&line, "entries", result->entries);
	format_json_number(&line, "bytes", result->bytes);
	format_json_text(&line, "error", trouble);
	buf_add(&line, "}", 1);
	format_print(&line);
}

/* ---- collecting ---- */

static const char *
trouble_of(enum outcome outcome, const struct error *err)
{
	return outcome == HIT ? NULL
	    : err->text[0]    ? err->text
	                      : "another process collects there";
}

/* That nothing can be removed there is no failure, but somebody may wonder. */
static bool
cannot(enum outcome outcome, const struct error *err)
{
	return outcome == MISS && err->kind == ERROR_DENIED;
}

static void
collect(struct gc *gc, struct location *leaf)
{
	struct collect_result result;
	struct error err = { 0 };
	enum outcome outcome =
	    location_collect(leaf, &gc->request, &result, &err);
	const char *trouble = trouble_of(outcome, &err);

	progress_hide(&gc->progress);
	if (gc->as_json)
		show_json(gc, leaf, &result, trouble);
	else if (cannot(outcome, &err))
		printf("%s: left as it is: %s\n", leaf->label, err.text);
	else if (outcome != MISS)
		show(gc, leaf, &result);
	if (!trouble || cannot(outcome, &err))
		return;
	fprintf(stderr, "tarn: '%s': %s\n", leaf->label, trouble);
	gc->status = CMD_FAILED;
}

static int
collect_leaf(void *arg, const struct tree_node *node)
{
	struct gc *gc = arg;

	if (node->loc->kind->member || !tree_has_leaf(gc->part, node->loc))
		return 0;
	if (node->may_change)
		collect(gc, node->loc);
	else if (!gc->as_json)
		printf("%s: only read, left as it is\n", node->loc->label);
	return 0;
}

static int
collect_tree(struct gc *gc, const char *file, const char *name)
{
	struct error err = { 0 };
	struct tree tree;

	if (tree_open(&tree, file, &err) < 0)
		return cmd_fail(&err);
	gc->part = tree_part(&tree, name, &err);
	if (gc->part)
		(void)tree_each(&tree, collect_leaf, gc);
	else
		gc->status = cmd_fail(&err);
	progress_end(&gc->progress);
	tree_close(&tree);
	return gc->status;
}

/* ---- options ---- */

static int
parse_limits(struct collect_request *request, const char *max_size,
    const char *max_age, struct error *err)
{
	if (max_size && size_parse(max_size, &request->max_size, err) < 0)
		return error_wrap(err, "--max-size");
	if (max_age && duration_parse(max_age, &request->max_age, err) < 0)
		return error_wrap(err, "--max-age");
	request->own_size = !max_size && !max_age;
	/* Nothing may stay, but 0 stands for no limit. */
	if (max_size && request->max_size == 0)
		request->max_size = 1;
	if (max_age && request->max_age == 0)
		request->max_age = 1;
	return 0;
}

static int
run(int argc, char **argv)
{
	struct gc gc = { .request.progress = count };
	const char *file = NULL, *name = NULL, *max_size = NULL,
	           *max_age = NULL;
	bool progress = false;
	const struct cmd_option options[] = {
		{ "max-size", .value = &max_size },
		{ "max-age", .value = &max_age },
		{ "dry-run", 'n', .flag = &gc.request.dry_run },
		{ "location", .value = &name },
		{ "json", .flag = &gc.as_json },
		{ "progress", .flag = &progress },
		{ "config", .value = &file },
		{ 0 },
	};
	struct error err = { 0 };
	int status;

	if (cmd_options(&cmd_gc, argv, options, (struct cmd_words){ 0, 0 },
	        &status) < 0)
		return status;
	if (parse_limits(&gc.request, max_size, max_age, &err) < 0)
		return cmd_usage(&cmd_gc, "%s", err.text);
	gc.request.arg = &gc.progress;
	progress_start(&gc.progress, "looked at", progress);
	return collect_tree(&gc, file, name);
}

const struct cmd cmd_gc = {
	.name = "gc",
	.args = "[--max-size S] [--max-age D] [--dry-run] [--location NAME]"
	        " [--json]\n               [--progress] [--config FILE]",
	.summary = "remove what was used least",
	.details =
	    "  --max-size S     where there is more than S, down to four "
	    "fifths of it\n"
	    "  --max-age D      what was not used for D, such as 30d or 12h\n"
	    "  -n, --dry-run    only say what would go\n"
	    "  --location NAME  only in the location or level of this name\n"
	    "  --json           an object a line for each location\n"
	    "  --progress       tell on stderr how far it is\n"
	    "  --config FILE    this configuration file only\n"
	    "\nWith neither size nor age, each location's own max_size "
	    "counts.\n"
	    "What is only read is left as it is.\n",
	.run = run,
};
