/*
 * `tarn stats`: what the events of TARN_DIR add up to, read line by line, so that
 * it takes no more memory for a million of them than for one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/totals.h"
#include "report/event.h"

/* A line that is longer is no event of ours, in bytes. */
#define LINE_MAX_BYTES ((size_t)8 << 20)

struct lines {
	struct buf line;
	bool too_long;
	struct totals *totals;
};

static void
end_line(struct lines *lines)
{
	if (lines->too_long)
		lines->totals->unreadable++;
	else if (lines->line.len)
		totals_add_line(
		    lines->totals, lines->line.data, lines->line.len);
	buf_reset(&lines->line);
	lines->too_long = false;
}

static void
add_piece(struct lines *lines, const char *piece, size_t size)
{
	if (lines->line.len + size > LINE_MAX_BYTES)
		lines->too_long = true;
	if (!lines->too_long)
		buf_add(&lines->line, piece, size);
}

static void
add_chunk(struct lines *lines, const char *chunk, size_t size)
{
	const char *end = chunk + size, *newline;

	while ((newline = memchr(chunk, '\n', (size_t)(end - chunk)))) {
		add_piece(lines, chunk, (size_t)(newline - chunk));
		end_line(lines);
		chunk = newline + 1;
	}
	add_piece(lines, chunk, (size_t)(end - chunk));
}

/* A file that isn't there has no lines. */
static int
add_file(struct totals *totals, const char *path, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct lines lines = { .line = BUF_INIT, .totals = totals };
	char chunk[64 * 1024];
	ssize_t got;

	if (fd < 0)
		return errno == ENOENT
		    ? 0
		    : error_errno(err, "cannot open '%s'", path);
	while ((got = read(fd, chunk, sizeof(chunk))) > 0)
		add_chunk(&lines, chunk, (size_t)got);
	if (got < 0)
		error_errno(err, "cannot read '%s'", path);
	else
		end_line(&lines); /* torn, or without a newline yet */
	buf_release(&lines.line);
	return got < 0 ? -1 : 0;
}

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

static int
show(const char *const *paths, bool as_json, struct error *err)
{
	struct totals *totals = xmalloc(sizeof(*totals));
	auto_buf text = BUF_INIT;
	int result = 0;

	*totals = (struct totals){ 0 };
	for (; *paths && result == 0; paths++)
		result = add_file(totals, *paths, err);
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
	int status, result = 0;

	if (cmd_options(&cmd_stats, argv, options, (struct cmd_words){ 0, 0 },
	        &status) < 0)
		return status;
	dir = cmd_dir();
	if (!dir)
		return CMD_FAILED;
	newer = event_path(dir);
	older = xasprintf("%s/events.1.jsonl", dir);
	const char *const paths[] = { older, newer, NULL };
	if (!reset)
		result = show(paths, as_json, &err);
	for (size_t i = 0; reset && result == 0 && paths[i]; i++)
		result = remove_file(paths[i], &err);
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
