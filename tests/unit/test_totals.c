#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/totals.h"
#include "support/check.h"

static void
add(struct totals *totals, const char *line)
{
	totals_add_line(totals, line, strlen(line));
}

Test(totals, adds_up_and_survives_foreign_lines)
{
	struct totals *t = calloc(1, sizeof(*t));

	add(t,
	    "{\"outcome\":\"hit\",\"kind\":\"compile\",\"bytes\":10,"
	    "\"saved_us\":500,\"locations\":[{\"name\":\"ssd\",\"reads\":2,"
	    "\"hits\":1,\"us\":30}]}");
	add(t,
	    "{\"outcome\":\"miss\",\"kind\":\"compile\",\"reason\":\"new\","
	    "\"locations\":[{\"name\":\"ssd\",\"reads\":1,\"writes\":1},"
	    "7,{\"name\":3}]}");
	add(t, "{\"outcome\":\"hit\",\"kind\":\"li");
	add(t, "{\"outcome\":\"what\"}");
	add(t, "7");
	add(t,
	    "{\"outcome\":\"hit\",\"bytes\":-1,\"saved_us\":1e300,"
	    "\"locations\":{}} ");
	add(t,
	    "{\"outcome\":\"hit\",\"bytes\":-1,\"saved_us\":1e300,"
	    "\"locations\":{}}");
	check_int(t->actions, 3);
	check_int(t->unreadable, 4);
	check_int(t->outcomes[TOTALS_HIT], 2);
	check_int(t->bytes, 10);
	check_int(t->saved_us, 500);
	check_int(t->kind_count, 2);
	check_int(t->location_count, 1);
	check_int(t->locations[0].reads, 3);
	check(totals_hit_rate(t) > 0.66 && totals_hit_rate(t) < 0.67);
	totals_release(t);
	free(t);
}

Test(totals, stays_bounded)
{
	struct totals *t = calloc(1, sizeof(*t));
	auto_buf out = BUF_INIT;
	cJSON *parsed;
	char line[256];

	for (int i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line),
		    "{\"outcome\":\"miss\",\"kind\":\"k%d\",\"reason\":\"%s%"
		    "d\","
		    "\"locations\":[{\"name\":\"l%d\",\"reads\":1}]}",
		    i, i % 3 ? "r" : "often", i % 3 ? i : 0, i);
		add(t, line);
	}
	check_int(t->actions, 2000);
	check_int(t->kind_count, TOTALS_KINDS);
	check_int(t->kinds[TOTALS_KINDS - 1].counts[TOTALS_MISS],
	    2000 - TOTALS_KINDS + 1);
	check_int(t->location_count, TOTALS_LOCATIONS);
	totals_sort(t);
	check_str(t->missed.item[0].text, "often0");
	check_int(t->missed.item[0].count, 667);
	totals_json(t, &out);
	parsed = cJSON_Parse(out.data);
	check(parsed != NULL);
	cJSON_Delete(parsed);
	totals_release(t);
	free(t);
}
