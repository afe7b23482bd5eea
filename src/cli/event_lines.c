#include "cli/event_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "report/event.h"

/* A line that is longer is no event of ours, in bytes. */
#define LINE_MAX_BYTES ((size_t)8 << 20)

struct lines {
	struct buf line;
	bool too_long;
	event_line_fn *fn;
	void *arg;
};

static void
end_line(struct lines *lines)
{
	if (lines->too_long)
		lines->fn(lines->arg, NULL, 0);
	else if (lines->line.len)
		lines->fn(lines->arg, lines->line.data, lines->line.len);
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
add_file(event_line_fn *fn, void *arg, const char *path, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct lines lines = { .line = BUF_INIT, .fn = fn, .arg = arg };
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

void
event_lines_paths(const char *tarn_dir, char **older, char **newer)
{
	*newer = event_path(tarn_dir);
	*older = xasprintf("%s/events.1.jsonl", tarn_dir);
}

int
event_lines_each(
    const char *tarn_dir, event_line_fn *fn, void *arg, struct error *err)
{
	auto_free char *older = NULL, *newer = NULL;

	event_lines_paths(tarn_dir, &older, &newer);
	if (add_file(fn, arg, older, err) < 0)
		return -1;
	return add_file(fn, arg, newer, err);
}
