#include "base/size.h"
#include "support/check.h"

static const struct {
	const char *text;
	uint64_t bytes;
} good[] = {
	{ "0", 0 },
	{ "4096", 4096 },
	{ "100KiB", 102400 },
	{ "100 KiB", 102400 },
	{ "20 GiB", 20ull << 30 },
	{ "10GB", 10000000000 },
	{ "10 gb", 10000000000 },
	{ "7 B", 7 },
	{ "5K", 5000 },
	{ "1.5 GiB", 3ull << 29 },
	{ "0.25KB", 250 },
	{ " 1 TiB", 1ull << 40 },
	{ "18446744073709551615", UINT64_MAX },
};

Test(size, reads_what_people_write)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct error err = { 0 };
		uint64_t bytes = 1;

		check_int(size_parse(good[i].text, &bytes, &err), 0);
		check_int(bytes, good[i].bytes);
	}
}

Test(size, refuses_the_rest)
{
	static const char *const bad[] = { "", "x", "-1", "1 XB", "1 KiBB",
		"1..5K", "GiB", "18446744073709551616", "99999999 PiB",
		"10 GiB please" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error err = { 0 };
		uint64_t bytes = 1;

		check_int(size_parse(bad[i], &bytes, &err), -1);
		check_int(err.kind, ERROR_USAGE);
		check_int(bytes, 1);
	}
}
