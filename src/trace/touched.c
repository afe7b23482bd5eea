/*
 * What is known of each path, found by name. Each step may be the last, if there is
 * no memory left for it: what is there then can be released.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "trace/internal.h"

static uint64_t
hash_text(const char *text)
{
	struct mixer m = MIXER_INIT;

	mixer_add_bytes(&m, text, strlen(text));
	return m.lane[0] ^ m.lane[1];
}

/* Where `path` is in the index, or the free place where it would be. */
static size_t
place_of(const struct trace *trace, const char *path)
{
	size_t at = hash_text(path) & (trace->index_size - 1);

	while (trace->index[at] &&
	    strcmp(trace->touched[trace->index[at] - 1].path, path) != 0)
		at = (at + 1) & (trace->index_size - 1);
	return at;
}

struct touched *
trace_find(const struct trace *trace, const char *path)
{
	size_t at;

	if (trace->index_size == 0)
		return NULL;
	at = place_of(trace, path);
	return trace->index[at] ? &trace->touched[trace->index[at] - 1] : NULL;
}

static void
grow_index(struct trace *trace)
{
	size_t size = trace->index_size ? 2 * trace->index_size : 1024;

	trace->index = xrealloc(trace->index, size, sizeof(*trace->index));
	memset(trace->index, 0, size * sizeof(*trace->index));
	trace->index_size = size;
	for (size_t i = 0; i < trace->count; i++)
		trace->index[place_of(trace, trace->touched[i].path)] =
		    (uint32_t)(i + 1);
}

struct touched *
touched_get(struct trace *trace, const char *path)
{
	struct touched *known = trace_find(trace, path);

	if (known)
		return known;
	if (trace->index_size <= 2 * trace->count)
		grow_index(trace);
	if (trace->count == trace->cap) {
		trace->cap = trace->cap ? 2 * trace->cap : 512;
		trace->touched = xrealloc(
		    trace->touched, trace->cap, sizeof(*trace->touched));
	}
	known = &trace->touched[trace->count];
	*known = (struct touched){ .path = xstrdup(path) };
	trace->index[place_of(trace, path)] = (uint32_t)++trace->count;
	return known;
}

struct touched *
trace_touch(struct trace *trace, const char *path)
{
	auto_free char *tidy = xstrdup(path);

	path_tidy(tidy);
	return touched_get(trace, tidy);
}

void
trace_add_program(struct trace *trace, const char *path)
{
	trace->programs = xrealloc(trace->programs, trace->program_count + 1,
	    sizeof(*trace->programs));
	trace->programs[trace->program_count++] = xstrdup(path);
}

bool
trace_is_own(const struct trace *trace, const char *path)
{
	auto_free char *folder = NULL;
	const struct touched *t;
	char *slash;

	if (trace->folders_made == 0)
		return false;
	folder = xstrdup(path);
	while ((slash = strrchr(folder, '/')) && slash != folder) {
		*slash = '\0';
		t = trace_find(trace, folder);
		if (t && t->written && (t->before == 0 || t->tree))
			return true;
	}
	return false;
}

void
trace_refuse(struct trace *trace, const char *fmt, ...)
{
	va_list ap;

	if (trace->refusal[0])
		return;
	va_start(ap, fmt);
	vsnprintf(trace->refusal, sizeof(trace->refusal), fmt, ap);
	va_end(ap);
}

void
trace_release(struct trace *trace)
{
	for (size_t i = 0; i < trace->count; i++)
		free(trace->touched[i].path);
	for (size_t i = 0; i < trace->program_count; i++)
		free(trace->programs[i]);
	free(trace->touched);
	free(trace->index);
	free(trace->programs);
	free(trace->order);
	capture_release(&trace->out);
	capture_release(&trace->err);
}
