#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/format.h"

#define OFTEN 100   /* milliseconds, on a terminal */
#define SELDOM 1000 /* elsewhere */

void
progress_start(struct progress *progress, const char *verb, bool forced)
{
	bool terminal = isatty(STDERR_FILENO);

	*progress = (struct progress){
		.verb = verb, .on = terminal || forced, .terminal = terminal
	};
	(void)clock_gettime(CLOCK_MONOTONIC, &progress->last);
}

static void
show(struct progress *progress)
{
	auto_buf line = BUF_INIT;

	buf_addf(&line, "tarn: %s %" PRIu64 " entries, ", progress->verb,
	    progress->entries);
	format_size(&line, progress->bytes);
	fprintf(stderr, progress->terminal ? "\r\033[K%s" : "%s\n", line.data);
	progress->shown = progress->terminal;
}

void
progress_add(struct progress *progress, uint64_t bytes)
{
	struct timespec now;
	long since;

	progress->entries++;
	progress->bytes += bytes;
	if (!progress->on)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	since = (now.tv_sec - progress->last.tv_sec) * 1000 +
	    (now.tv_nsec - progress->last.tv_nsec) / 1000000;
	if (since < (progress->terminal ? OFTEN : SELDOM))
		return;
	progress->last = now;
	show(progress);
}

void
progress_hide(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}

void
progress_end(struct progress *progress)
{
	progress_hide(progress);
	if (progress->on && !progress->terminal)
		show(progress);
}
