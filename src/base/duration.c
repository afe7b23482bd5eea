#include "base/duration.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LONGEST 1e12 /* seconds; more is a mistake */

static const struct unit {
	const char *names[4];
	double seconds;
} units[] = {
	{ { "s", "sec", "second", "seconds" }, 1 },
	{ { "m", "min", "minute", "minutes" }, 60 },
	{ { "h", "hour", "hours" }, 3600 },
	{ { "d", "day", "days" }, 86400 },
	{ { "w", "week", "weeks" }, 604800 },
};

/* 0: it is none. */
static double
unit_seconds(const char *name)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		for (size_t k = 0; k < 4 && units[i].names[k]; k++) {
			if (strcasecmp(name, units[i].names[k]) == 0)
				return units[i].seconds;
		}
	}
	return 0;
}

/* The end of digits with at most one point among them; NULL: there are none. */
static const char *
skip_number(const char *text)
{
	static const char digits[] = "0123456789";
	const char *end = text + strspn(text, digits);

	if (end == text)
		return NULL;
	return *end == '.' ? end + 1 + strspn(end + 1, digits) : end;
}

int
duration_parse(const char *text, uint64_t *seconds, struct error *err)
{
	const char *unit = skip_number(text);
	double each = unit ? unit_seconds(unit + strspn(unit, " ")) : 0;
	double all = each > 0 ? strtod(text, NULL) * each : LONGEST + 1;

	if (all <= LONGEST) {
		*seconds = (uint64_t)all;
		return 0;
	}
	return error_set(err, ERROR_USAGE,
	    "'%.100s' is no time span: expected a number and a unit (s, min, h,"
	    " d, w), as in '30d'",
	    text);
}
