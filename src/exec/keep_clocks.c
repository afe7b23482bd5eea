/* What a compiler would turn into the time of the run must not be kept. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/keeping.h"
#include "store/content.h"
#include "trace/classify.h"

/* In pieces, or this file would name them itself. */
static const char names_clock[] = "names __"
                                  "DATE__, __"
                                  "TIME__ or __"
                                  "TIMESTAMP__";

/* The flags of content that a compiler would turn into the time of the run. */
static uint32_t
clocks_that_count(const struct keeping *k)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");

	/* Who knows what other programs do to the variable on its way. */
	if (!epoch || !*epoch || !keeping_knows_programs(k))
		return TABLE_CLOCK | TABLE_TIMESTAMP;
	for (size_t i = 0; i < k->trace->program_count; i++) {
		/* Until version 16 it looks at the clock all the same. */
		if (strstr(k->trace->programs[i], "clang"))
			return TABLE_CLOCK | TABLE_TIMESTAMP;
	}
	return TABLE_TIMESTAMP;
}

static bool
runs_compiler(const struct keeping *k)
{
	for (size_t i = 0; i < k->trace->program_count; i++) {
		if (classify_program(k->trace->programs[i]) == PROGRAM_COMPILER)
			return true;
	}
	return false;
}

static uint32_t
flags_of(struct table *table, const char *path)
{
	struct content content;
	struct error err;

	if (content_of(&content, table, AT_FDCWD, path, &err) < 0)
		return 0;
	return content.flags;
}

uint32_t
keeping_flags(const struct keeping *k, const struct touched *t)
{
	struct table_key key = table_file_key(&t->stamp);
	struct digest unused;
	uint32_t flags;

	if (t->stamped && !t->written &&
	    table_get(k->job->table, &key, &unused, &flags))
		return flags;
	return flags_of(k->job->table, t->path);
}

static bool
has_no_clock(
    struct keeping *k, const char *name, uint32_t flags, uint32_t clocks)
{
	k->named_clock |= flags & TABLE_CLOCK;
	if (!(flags & clocks))
		return !(flags & TABLE_AGES) ||
		    keeping_refuse(k, name,
		        "compares the times of files (GCC "
		        "dependency)");
	return keeping_refuse(k, name,
	    content_is_source(name) || !(flags & TABLE_OWN_PATH)
	        ? names_clock
	        : "is precompiled: it may hold macros that stand for the time");
}

/* Macros in the words, as in -DNOW=, which no file shows. */
static bool
words_have_no_clock(struct keeping *k, uint32_t clocks)
{
	for (char *const *word = k->job->action.words; *word; word++) {
		uint32_t flags = content_clocks(*word, strlen(*word));

		k->named_clock |= flags & TABLE_CLOCK;
		if (flags & clocks)
			return keeping_refuse(k, *word, names_clock);
	}
	return true;
}

static bool
input_has_no_clock(struct keeping *k, uint32_t clocks)
{
	char path[64];

	if (!k->job->options.stdin_)
		return true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", k->job->input);
	return has_no_clock(k, "standard input", flags_of(NULL, path), clocks);
}

/* A name pasted together is in no text; but to tell the time, a compiler looks up
 * where it is. With a time of its own it does so as well, and names the macro. */
static bool
told_no_time(struct keeping *k, uint32_t clocks)
{
	if (!k->trace->asked_clock ||
	    (!(clocks & TABLE_CLOCK) && k->named_clock))
		return true;
	snprintf(
	    k->text, sizeof(k->text), "a compiler asked for the time of day");
	return false;
}

/* Is it a link, and was nothing run that reads sources? What was compiled before
 * may still name its macros, for debuggers, and means nothing by it. */
static bool
reads_no_source(const struct keeping *k)
{
	if (!k->job->action.no_source || !keeping_knows_programs(k))
		return false;
	for (size_t i = 0; i < k->trace->program_count; i++) {
		const char *slash = strrchr(k->trace->programs[i], '/');

		if (slash && strncmp(slash, "/cc1", 4) == 0)
			return false;
	}
	return true;
}

bool
keep_no_clock(struct keeping *k)
{
	uint32_t clocks = clocks_that_count(k);

	if (k->scan.found[SCAN_HOST]) {
		snprintf(k->text, sizeof(k->text),
		    "it asked for the host's name, which stands in its output");
		return false;
	}
	if (k->scan.found[SCAN_CLOCK]) {
		snprintf(k->text, sizeof(k->text),
		    "the time of the run stands in its output");
		return false;
	}
	if (reads_no_source(k) ||
	    (!k->job->action.compiler && !runs_compiler(k)))
		return true;
	if (k->trace->own_clocks & clocks)
		return keeping_refuse(k, "a source of its own", names_clock);
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];
		bool read = t->written ? content_is_source(t->path)
		                       : (t->facets & FACET_CONTENT) != 0;

		if (read && !t->program &&
		    !has_no_clock(k, t->path, keeping_flags(k, t), clocks))
			return false;
	}
	return words_have_no_clock(k, clocks) &&
	    input_has_no_clock(k, clocks) && told_no_time(k, clocks);
}
