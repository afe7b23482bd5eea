/*
 * `tarn stats`: what the events of TARN_DIR add up to, read line by line, so that
 * it takes no more memory for a million of them than for one.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/event_lines.h"
#include "cli/totals.h"

/*
 * Away at once under another name, then removed: whoever appends meanwhile
 * writes to the old file or starts a new one.
 */
static int
remove_file(const char *path, struct error *err)
{
	auto_free char *old = xasprintf("%s.reset-%d", path, getpid());

	if (rename(path, old) < 0)
		return errno == ENOENT
		    ? 0
		    : error_errno(err, "cannot rename '%s'", path);
	if (unlink(old) < 0)
		return error_errno(err, "cannot remove '%s'", old);
	return 0;
}

static void
add_line(void *arg, const char *line, size_t size)
{
	struct totals *totals = arg;

	if (line)
		totals_add_line(totals, line, size);
	else
		totals->unreadable++;
}

static int
show(const char *tarn_dir, bool as_json, struct error *err)
{
	struct totals *totals = xmalloc(sizeof(*totals));
	auto_buf text = BUF_INIT;
	int result;

	*totals = (struct totals){ 0 };
	result = event_lines_each(tarn_dir, add_line, totals, err);
	totals_sort(totals);
	(as_json ? totals_json : totals_text)(totals, &text);
	totals_release(totals);
	free(totals);
	if (result == 0)
		fwrite(text.data, 1, text.len, stdout);
	return result;
}

static int
run(int argc, char **argv)
{
	bool as_json = false, reset = false;
	const struct cmd_option options[] = {
		{ "json", .flag = &as_json },
		{ "reset", .flag = &reset },
		{ 0 },
	};
	auto_free char *dir = NULL, *older = NULL, *newer = NULL;
	struct error err = { 0 };
	int status, result;

	if (cmd_options(&cmd_stats, argv, options, (struct cmd_words){ 0, 0 },
	        &status) < 0)
		return status;
	dir = cmd_dir();
	if (!dir)
		return CMD_FAILED;
	if (!reset)
		return show(dir, as_json, &err) < 0 ? cmd_fail(&err) : CMD_OK;
	event_lines_paths(dir, &older, &newer);
	result = remove_file(older, &err);
	if (result == 0)
		result = remove_file(newer, &err);
	return result < 0 ? cmd_fail(&err) : CMD_OK;
}

const struct cmd cmd_stats = {
	.name = "stats",
	.args = "[--json] [--reset]",
	.summary = "add up hits, misses, time saved and work of the locations",
	.details = "  --json   as one JSON object\n"
	           "  --reset  forget the events so far, and show nothing\n",
	.run = run,
};
