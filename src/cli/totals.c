#include "cli/totals.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/format.h"

/* The longest name that is kept, in bytes. */
#define NAME_MAX_BYTES 200

const char *const totals_outcome_names[TOTALS_OUTCOMES] = { "hit", "miss",
	"uncacheable", "failed", "disabled", "error" };

/* ---- one line ---- */

static const char *
text_of(const cJSON *object, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(value) ? value->valuestring : NULL;
}

static uint64_t
number_of(const cJSON *object, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

	if (!cJSON_IsNumber(value) ||
	    !(value->valuedouble >= 0 && value->valuedouble < 9e15))
		return 0;
	return (uint64_t)value->valuedouble;
}

static char *
short_copy(const char *name)
{
	return xasprintf("%.*s", NAME_MAX_BYTES, name);
}

static struct totals_kind *
find_kind(struct totals *totals, const char *name)
{
	struct totals_kind *kind = totals->kinds;
	size_t i = 0;

	while (i < totals->kind_count && strcmp(kind[i].name, name) != 0)
		i++;
	if (i == TOTALS_KINDS)
		return &kind[TOTALS_KINDS - 1];
	if (i == totals->kind_count) {
		totals->kind_count++;
		kind[i].name =
		    short_copy(i == TOTALS_KINDS - 1 ? "(others)" : name);
	}
	return &kind[i];
}

static struct totals_location *
find_location(struct totals *totals, const char *name)
{
	struct totals_location *loc = totals->locations;
	size_t i = 0;

	while (i < totals->location_count && strcmp(loc[i].name, name) != 0)
		i++;
	if (i == TOTALS_LOCATIONS)
		return &loc[TOTALS_LOCATIONS - 1];
	if (i == totals->location_count) {
		totals->location_count++;
		loc[i].name =
		    short_copy(i == TOTALS_LOCATIONS - 1 ? "(others)" : name);
	}
	return &loc[i];
}

/* A new one takes the place of the rarest if there is no room. */
static void
add_reason(struct totals_reasons *reasons, const char *text)
{
	struct totals_reason *item = reasons->item;
	size_t rarest = 0;

	for (size_t i = 0; i < reasons->count; i++) {
		if (strncmp(item[i].text, text, NAME_MAX_BYTES) == 0) {
			item[i].count++;
			return;
		}
		if (item[i].count < item[rarest].count)
			rarest = i;
	}
	if (reasons->count < TOTALS_REASONS)
		rarest = reasons->count++;
	free(item[rarest].text);
	item[rarest] = (struct totals_reason){ short_copy(text), 1 };
}

static void
add_locations(struct totals *totals, const cJSON *list)
{
	const cJSON *item;

	if (!cJSON_IsArray(list))
		return;
	cJSON_ArrayForEach(item, list) {
		const char *name = text_of(item, "name");
		struct totals_location *loc;

		if (!name)
			continue;
		loc = find_location(totals, name);
		loc->reads += number_of(item, "reads");
		loc->hits += number_of(item, "hits");
		loc->writes += number_of(item, "writes");
		loc->errors += number_of(item, "errors");
		loc->us += number_of(item, "us");
	}
}

static void
add_event(
    struct totals *totals, const cJSON *event, enum totals_outcome outcome)
{
	const char *kind = text_of(event, "kind");
	const char *reason = text_of(event, "reason");
	const char *when = text_of(event, "time");

	totals->actions++;
	totals->outcomes[outcome]++;
	find_kind(totals, kind ? kind : "(none)")->counts[outcome]++;
	totals->bytes += number_of(event, "bytes");
	totals->wall_us += number_of(event, "wall_us");
	totals->saved_us += number_of(event, "saved_us");
	if (reason && outcome == TOTALS_MISS)
		add_reason(&totals->missed, reason);
	if (reason && outcome == TOTALS_UNCACHEABLE)
		add_reason(&totals->refused, reason);
	if (when && !totals->since[0] && strlen(when) < sizeof(totals->since))
		memcpy(totals->since, when, strlen(when) + 1);
	add_locations(
	    totals, cJSON_GetObjectItemCaseSensitive(event, "locations"));
}

void
totals_add_line(struct totals *totals, const char *line, size_t len)
{
	const char *end = NULL, *name;
	cJSON *event = cJSON_ParseWithLengthOpts(line, len, &end, false);
	int outcome = TOTALS_OUTCOMES;

	name = event && end == line + len ? text_of(event, "outcome") : NULL;
	for (int i = 0; name && i < TOTALS_OUTCOMES; i++) {
		if (strcmp(totals_outcome_names[i], name) == 0)
			outcome = i;
	}
	if (outcome < TOTALS_OUTCOMES)
		add_event(totals, event, (enum totals_outcome)outcome);
	else
		totals->unreadable++;
	cJSON_Delete(event);
}

/* ---- all of them ---- */

double
totals_hit_rate(const struct totals *totals)
{
	uint64_t hits = totals->outcomes[TOTALS_HIT];
	uint64_t all = hits + totals->outcomes[TOTALS_MISS];

	return all ? (double)hits / (double)all : -1;
}

static int
compare_reasons(const void *a, const void *b)
{
	const struct totals_reason *one = a, *other = b;

	if (one->count != other->count)
		return one->count < other->count ? 1 : -1;
	return strcmp(one->text, other->text);
}

void
totals_sort(struct totals *totals)
{
	struct totals_reasons *both[] = { &totals->missed, &totals->refused };

	for (size_t i = 0; i < 2; i++)
		qsort(both[i]->item, both[i]->count, sizeof(*both[i]->item),
		    compare_reasons);
}

void
totals_release(struct totals *totals)
{
	for (size_t i = 0; i < totals->kind_count; i++)
		free(totals->kinds[i].name);
	for (size_t i = 0; i < totals->location_count; i++)
		free(totals->locations[i].name);
	for (size_t i = 0; i < totals->missed.count; i++)
		free(totals->missed.item[i].text);
	for (size_t i = 0; i < totals->refused.count; i++)
		free(totals->refused.item[i].text);
	*totals = (struct totals){ 0 };
}

/* ---- for people ---- */

static void
text_of_kinds(const struct totals *totals, struct buf *to)
{
	if (totals->kind_count)
		buf_addf(to, "\n%-16s", "kind");
	for (size_t i = 0; totals->kind_count && i < TOTALS_OUTCOMES; i++)
		buf_addf(to, " %11s", totals_outcome_names[i]);
	buf_add(to, "\n", totals->kind_count > 0);
	for (size_t i = 0; i < totals->kind_count; i++) {
		buf_addf(to, "%-16s", totals->kinds[i].name);
		for (size_t k = 0; k < TOTALS_OUTCOMES; k++)
			buf_addf(to, " %11" PRIu64, totals->kinds[i].counts[k]);
		buf_add(to, "\n", 1);
	}
}

/* Per request, on average; in microseconds. */
static uint64_t
latency(const struct totals_location *loc)
{
	uint64_t requests = loc->reads + loc->writes;

	return requests ? loc->us / requests : 0;
}

/* Of the longest name: by default that is a path. */
static int
name_width(const struct totals *totals)
{
	size_t width = 24;

	for (size_t i = 0; i < totals->location_count; i++) {
		size_t len = strlen(totals->locations[i].name);

		width = len > width ? len : width;
	}
	return width < 100 ? (int)width : 100;
}

static void
text_of_locations(const struct totals *totals, struct buf *to)
{
	int width = name_width(totals);

	if (totals->location_count)
		buf_addf(to, "\n%-*s %9s %9s %9s %9s %12s\n", width, "location",
		    "reads", "hits", "writes", "errors", "latency");
	for (size_t i = 0; i < totals->location_count; i++) {
		const struct totals_location *loc = &totals->locations[i];

		buf_addf(to,
		    "%-*s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
		    " %9.2f ms\n",
		    width, loc->name, loc->reads, loc->hits, loc->writes,
		    loc->errors, (double)latency(loc) / 1000);
	}
}

static void
text_of_reasons(
    const struct totals_reasons *reasons, const char *title, struct buf *to)
{
	if (reasons->count)
		buf_addf(to, "\n%s\n", title);
	for (size_t i = 0; i < reasons->count && i < TOTALS_TOP; i++)
		buf_addf(to, "%9" PRIu64 "  %s\n", reasons->item[i].count,
		    reasons->item[i].text);
}

void
totals_text(const struct totals *totals, struct buf *to)
{
	double rate = totals_hit_rate(totals);

	buf_addf(to, "actions          %" PRIu64, totals->actions);
	if (totals->since[0])
		buf_addf(to, " since %s", totals->since);
	buf_add(to, "\n", 1);
	for (size_t i = 0; i < TOTALS_OUTCOMES; i++) {
		if (totals->outcomes[i])
			buf_addf(to, "  %-14s %" PRIu64 "\n",
			    totals_outcome_names[i], totals->outcomes[i]);
	}
	if (rate >= 0)
		buf_addf(to, "hit rate         %.1f %%\n", 100 * rate);
	buf_addf(to, "time saved       ");
	format_duration(to, totals->saved_us);
	buf_addf(to, "\nbytes            ");
	format_size(to, totals->bytes);
	buf_add(to, "\n", 1);
	if (totals->unreadable)
		buf_addf(
		    to, "unreadable lines %" PRIu64 "\n", totals->unreadable);
	text_of_kinds(totals, to);
	text_of_locations(totals, to);
	text_of_reasons(&totals->missed, "most frequent reasons of a miss", to);
	text_of_reasons(
	    &totals->refused, "most frequent reasons not to store", to);
}

/* ---- for programs ---- */

static void
add_number(struct buf *to, const char *name, uint64_t number)
{
	json_name(to, name);
	buf_addf(to, "%" PRIu64, number);
}

static void
add_outcomes(struct buf *to, const uint64_t *counts)
{
	buf_add(to, "{", 1);
	for (size_t i = 0; i < TOTALS_OUTCOMES; i++)
		add_number(to, totals_outcome_names[i], counts[i]);
	buf_add(to, "}", 1);
}

static void
json_of_kinds(const struct totals *totals, struct buf *to)
{
	json_name(to, "kinds");
	buf_add(to, "[", 1);
	for (size_t i = 0; i < totals->kind_count; i++) {
		buf_addf(to, "%s{", i ? "," : "");
		json_name(to, "name");
		json_text(to, totals->kinds[i].name);
		json_name(to, "outcomes");
		add_outcomes(to, totals->kinds[i].counts);
		buf_add(to, "}", 1);
	}
	buf_add(to, "]", 1);
}

static void
json_of_locations(const struct totals *totals, struct buf *to)
{
	json_name(to, "locations");
	buf_add(to, "[", 1);
	for (size_t i = 0; i < totals->location_count; i++) {
		const struct totals_location *loc = &totals->locations[i];

		buf_addf(to, "%s{", i ? "," : "");
		json_name(to, "name");
		json_text(to, loc->name);
		add_number(to, "reads", loc->reads);
		add_number(to, "hits", loc->hits);
		add_number(to, "writes", loc->writes);
		add_number(to, "errors", loc->errors);
		add_number(to, "us", loc->us);
		add_number(to, "latency_us", latency(loc));
		buf_add(to, "}", 1);
	}
	buf_add(to, "]", 1);
}

static void
json_of_reasons(
    const struct totals_reasons *reasons, const char *name, struct buf *to)
{
	json_name(to, name);
	buf_add(to, "[", 1);
	for (size_t i = 0; i < reasons->count && i < TOTALS_TOP; i++) {
		buf_addf(to, "%s{", i ? "," : "");
		json_name(to, "reason");
		json_text(to, reasons->item[i].text);
		add_number(to, "count", reasons->item[i].count);
		buf_add(to, "}", 1);
	}
	buf_add(to, "]", 1);
}

void
totals_json(const struct totals *totals, struct buf *to)
{
	double rate = totals_hit_rate(totals);

	buf_add(to, "{", 1);
	add_number(to, "actions", totals->actions);
	json_name(to, "since");
	json_text(to, totals->since[0] ? totals->since : NULL);
	json_name(to, "outcomes");
	add_outcomes(to, totals->outcomes);
	json_name(to, "hit_rate");
	if (rate < 0)
		buf_addf(to, "null");
	else
		buf_addf(to, "%.6f", rate);
	add_number(to, "saved_us", totals->saved_us);
	add_number(to, "wall_us", totals->wall_us);
	add_number(to, "bytes", totals->bytes);
	add_number(to, "unreadable_lines", totals->unreadable);
	json_of_kinds(totals, to);
	json_of_locations(totals, to);
	json_of_reasons(&totals->missed, "miss_reasons", to);
	json_of_reasons(&totals->refused, "uncacheable_reasons", to);
	buf_add(to, "}\n", 2);
}
