#include "base/size.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* What one `unit` is worth, 0 if there is no such unit. */
static uint64_t
unit_bytes(const char *unit)
{
	static const char letters[] = "KMGTP";
	const char *letter = strchr(letters, toupper((unsigned char)*unit));
	uint64_t step = 1000, bytes = 1;

	if (!*unit || strcasecmp(unit, "b") == 0)
		return 1;
	if (!letter)
		return 0;
	if (strcasecmp(unit + 1, "ib") == 0)
		step = 1024;
	else if (unit[1] && strcasecmp(unit + 1, "b") != 0)
		return 0;
	for (const char *l = letters; l <= letter; l++)
		bytes *= step;
	return bytes;
}

/* Digits, read as thousandths when they follow a point. NULL: too many. */
static const char *
parse_number(const char *p, uint64_t *whole, uint64_t *thousandths)
{
	*whole = *thousandths = 0;
	for (; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(*whole, 10, whole) ||
		    __builtin_add_overflow(*whole, *p - '0', whole))
			return NULL;
	}
	if (*p != '.' || !isdigit((unsigned char)p[1]))
		return p;
	p++;
	for (uint64_t worth = 100; isdigit((unsigned char)*p); p++, worth /= 10)
		*thousandths += worth * (uint64_t)(*p - '0');
	return p;
}

int
size_parse(const char *text, uint64_t *size, struct error *err)
{
	const char *p = text + strspn(text, " \t");
	uint64_t whole, thousandths, unit, sum;

	if (!isdigit((unsigned char)*p))
		return error_set(err, ERROR_USAGE,
		    "'%s' is no size: expected a number and a unit, as in"
		    " '100 KiB'",
		    text);
	p = parse_number(p, &whole, &thousandths);
	if (p) {
		p += strspn(p, " \t");
		unit = unit_bytes(p);
		if (!unit)
			return error_set(err, ERROR_USAGE,
			    "'%s' is no size: '%s' is no unit (B, KB, KiB, MB,"
			    " MiB, GB, GiB, TB, TiB, PB, PiB)",
			    text, p);
		if (!__builtin_mul_overflow(whole, unit, &sum) &&
		    !__builtin_add_overflow(sum,
		        unit / 1000 * thousandths +
		            unit % 1000 * thousandths / 1000,
		        &sum)) {
			*size = sum;
			return 0;
		}
	}
	return error_set(err, ERROR_USAGE, "'%s' is too large a size", text);
}
