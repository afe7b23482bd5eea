#ifndef EVENT_LINES_H
#define EVENT_LINES_H

#include <stddef.h>

#include "base/error.h"

/*
 * The lines of the events in `tarn_dir`, oldest first, without their newlines and
 * one at a time: a million of them take the memory of the longest. `line` is NULL
 * for one that is too long to be an event. Files that aren't there have no lines.
 * Returns 0 or -1.
 */
typedef void event_line_fn(void *arg, const char *line, size_t size);
int event_lines_each(
    const char *tarn_dir, event_line_fn *fn, void *arg, struct error *err);

/* The files that they are in; both the caller's to free. */
void event_lines_paths(const char *tarn_dir, char **older, char **newer);

#endif
