#include "cli/describe.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "cli/format.h"

static const char *const places[PLACES] = { "root", "absolute", "output",
	"variable", "machine" };

static const char *const facets[] = { "content", "absent", "link", "type",
	"stat", "listing", "time", "before", "room", "names", "owner" };
#define FACET_COUNT (sizeof(facets) / sizeof(*facets))
_Static_assert(
    1 << (FACET_COUNT - 1) == FACET_OWNER, "each facet has its name");

static const char *const types[] = { "?", "file", "folder", "link" };

/* As it was told: from the root, absolute, or a name in quotation of a shell. */
static void
add_path(struct buf *to, enum place place, const char *path)
{
	switch (place) {
	case PLACE_ROOT:
		buf_addf(to, "%s", path[0] == '/' && path[1] ? path + 1 : ".");
		break;
	case PLACE_OUTPUT: buf_addf(to, "(the output)"); break;
	case PLACE_VARIABLE: buf_addf(to, "$%s", path); break;
	case PLACE_MACHINE: buf_addf(to, "(%s)", path); break;
	default: buf_addf(to, "%s", path);
	}
}

/* ---- a record ---- */

static bool
is_inline(uint64_t size)
{
	return size <= RECORD_INLINE;
}

static void
text_of_output(struct buf *to, const struct output *output)
{
	auto_buf size = BUF_INIT;
	char hex[DIGEST_HEX + 1] = "-";

	if (output->type == OUTPUT_FILE) {
		format_size(&size, output->size);
		digest_hex(&output->digest, hex);
	}
	buf_addf(to, "  %-6s  %04o  %10s  %-64s  ", types[output->type],
	    output->mode, size.len ? size.data : "-", hex);
	add_path(to, output->place, output->path);
	if (output->type == OUTPUT_LINK)
		buf_addf(to, " -> %s", output->target);
	buf_add(to, "\n", 1);
}

static void
text_of_printed(struct buf *to, const char *name, const struct printed *printed)
{
	char hex[DIGEST_HEX + 1];

	buf_addf(to, "%-9s ", name);
	format_size(to, printed->size);
	if (!is_inline(printed->size))
		buf_addf(to, "  %s", digest_hex(&printed->digest, hex));
	buf_add(to, "\n", 1);
}

static void
text_of_record(const struct record *record, struct buf *to)
{
	buf_addf(to, "%-9s ", "command");
	format_words(to, record->command);
	buf_addf(to, "\n%-9s %s\n", "kind", record->kind);
	if (*record->label)
		buf_addf(to, "%-9s %s\n", "label", record->label);
	buf_addf(to, "%-9s %d\n%-9s ", "status", record->status, "took");
	format_duration(to, record->wall_us);
	buf_add(to, "\n", 1);
	text_of_printed(to, "stdout", &record->out);
	if (record->one_stream)
		buf_addf(to, "%-9s with stdout\n", "stderr");
	else
		text_of_printed(to, "stderr", &record->err);
	buf_addf(to, "%-9s %zu\n", "outputs", record->count);
	for (size_t i = 0; i < record->count; i++)
		text_of_output(to, &record->outputs[i]);
}

static void
json_of_output(struct buf *to, const struct output *output)
{
	buf_add(to, "{", 1);
	format_json_text(to, "type", types[output->type]);
	format_json_text(to, "place", places[output->place]);
	format_json_text(to, "path",
	    output->place == PLACE_ROOT && output->path[0] == '/'
	        ? output->path + 1
	        : output->path);
	format_json_number(to, "mode", output->mode);
	if (output->type == OUTPUT_LINK)
		format_json_text(to, "target", output->target);
	if (output->type == OUTPUT_FILE) {
		format_json_number(to, "size", output->size);
		format_json_key(to, "digest", &output->digest);
		format_json_flag(to, "inline", is_inline(output->size));
	}
	buf_add(to, "}", 1);
}

static void
json_of_printed(struct buf *to, const char *name, const struct printed *printed)
{
	json_name(to, name);
	buf_add(to, "{", 1);
	format_json_number(to, "size", printed->size);
	if (!is_inline(printed->size))
		format_json_key(to, "digest", &printed->digest);
	buf_add(to, "}", 1);
}

static void
json_of_record(const struct record *record, struct buf *to)
{
	json_name(to, "command");
	buf_add(to, "[", 1);
	for (char *const *word = record->command; *word; word++) {
		buf_add(to, ",", word != record->command);
		json_text(to, *word);
	}
	buf_add(to, "]", 1);
	format_json_text(to, "kind", record->kind);
	format_json_text(to, "label", *record->label ? record->label : NULL);
	json_name(to, "status");
	buf_addf(to, "%d", record->status);
	format_json_number(to, "wall_us", record->wall_us);
	json_of_printed(to, "stdout", &record->out);
	json_of_printed(to, "stderr", &record->err);
	format_json_flag(to, "one_stream", record->one_stream);
	json_name(to, "outputs");
	buf_add(to, "[", 1);
	for (size_t i = 0; i < record->count; i++) {
		buf_add(to, ",", i > 0);
		json_of_output(to, &record->outputs[i]);
	}
	buf_add(to, "]", 1);
}

void
describe_record(const struct record *record, bool as_json, struct buf *to)
{
	(as_json ? json_of_record : text_of_record)(record, to);
}

/* ---- path sets ---- */

struct entries {
	struct buf *to;
	bool as_json;
	size_t count;
};

static void
add_facets(struct buf *to, uint32_t set, const char *between)
{
	bool first = true;

	for (size_t i = 0; i < FACET_COUNT; i++) {
		if (!(set & 1u << i))
			continue;
		buf_addf(to, "%s%s", first ? "" : between, facets[i]);
		first = false;
	}
}

static void
json_of_entry(struct buf *to, enum place place, uint32_t set, const char *path)
{
	buf_add(to, "{", 1);
	json_name(to, "facets");
	buf_addf(to, "[\"");
	add_facets(to, set, "\",\"");
	buf_addf(to, "\"]");
	format_json_text(to, "place", places[place]);
	format_json_text(to, "path",
	    place == PLACE_ROOT && path[0] == '/' ? path + 1 : path);
	buf_add(to, "}", 1);
}

static int
add_entry(void *arg, enum place place, uint32_t set, const char *path)
{
	struct entries *entries = arg;
	auto_buf kinds = BUF_INIT;

	if (entries->as_json) {
		buf_add(entries->to, ",", entries->count++ > 0);
		json_of_entry(entries->to, place, set, path);
		return 0;
	}
	add_facets(&kinds, set, ",");
	buf_addf(entries->to, "  %-14s  ", kinds.data);
	add_path(entries->to, place, path);
	buf_add(entries->to, "\n", 1);
	return 0;
}

static int
count_entry(void *arg, enum place place, uint32_t set, const char *path)
{
	++*(size_t *)arg;
	return 0;
}

static void
add_set(const struct path_set_item *item, bool as_json, struct buf *to)
{
	struct entries entries = { .to = to, .as_json = as_json };
	char hex[DIGEST_HEX + 1];
	struct error err = { 0 };
	size_t count = 0;

	if (as_json) {
		buf_add(to, "{", 1);
		format_json_key(to, "name", &item->name);
		json_name(to, "observations");
		buf_add(to, "[", 1);
	} else {
		(void)path_set_each(
		    item->data.data, item->data.len, count_entry, &count, &err);
		buf_addf(to, "path set  %s, %zu observations\n",
		    digest_hex(&item->name, hex), count);
	}
	(void)path_set_each(
	    item->data.data, item->data.len, add_entry, &entries, &err);
	if (as_json)
		buf_add(to, "]}", 2);
}

void
describe_path_sets(const struct path_sets *sets, bool as_json, struct buf *to)
{
	if (as_json) {
		json_name(to, "path_sets");
		buf_add(to, "[", 1);
	}
	for (size_t i = 0; i < sets->count; i++) {
		buf_add(to, ",", as_json && i > 0);
		add_set(&sets->item[i], as_json, to);
	}
	buf_add(to, "]", as_json);
}
