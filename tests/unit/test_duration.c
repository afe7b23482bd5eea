#include "base/duration.h"
#include "support/check.h"

Test(duration, is_a_number_and_a_unit)
{
	static const struct {
		const char *text;
		long seconds; /* -1: it is none */
	} cases[] = {
		{ "30d", 30 * 86400 },
		{ "12h", 12 * 3600 },
		{ "12 H", 12 * 3600 },
		{ "90 min", 5400 },
		{ "90m", 5400 },
		{ "1.5 hours", 5400 },
		{ "2w", 14 * 86400 },
		{ "0s", 0 },
		{ "7 Seconds", 7 },
		{ "0.5s", 0 },
		{ "30", -1 },
		{ "", -1 },
		{ "d", -1 },
		{ ".5d", -1 },
		{ "-1d", -1 },
		{ "1.2.3d", -1 },
		{ "1dd", -1 },
		{ "1 d ", -1 },
		{ "1e3d", -1 },
		{ "0x10s", -1 },
		{ "99999999999999999999w", -1 },
		{ "inf s", -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t seconds = 77;
		struct error err = { 0 };
		int rc = duration_parse(cases[i].text, &seconds, &err);

		cr_assert_eq(
		    rc, cases[i].seconds < 0 ? -1 : 0, "'%s'", cases[i].text);
		check_int(
		    seconds, cases[i].seconds < 0 ? 77 : cases[i].seconds);
		check((rc < 0) == (err.kind == ERROR_USAGE));
	}
}
