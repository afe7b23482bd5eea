#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/*
 * How far long work has come, on stderr: "tarn: verified 1200 entries, 3.4 MiB".
 * A terminal has one line that changes ten times a second and is gone in the end.
 * What is no terminal has nothing, or with --progress a line a second and a
 * last one.
 */
struct progress {
	const char *verb;
	bool on, terminal, shown;
	uint64_t entries, bytes;
	struct timespec last;
};

void progress_start(struct progress *progress, const char *verb, bool forced);
void progress_add(struct progress *progress, uint64_t bytes);

/* Clear the line, since something else is to be printed. */
void progress_hide(struct progress *progress);
void progress_end(struct progress *progress);

#endif
