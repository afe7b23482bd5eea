/* What differs, and why that is likely so. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "report/difference.h"
#include "support/check.h"

static struct difference
compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
	auto_source *first = source_memory(a, a_size);
	auto_source *second = source_memory(b, b_size);
	struct difference d;
	struct error err;

	check_int(difference_find(&d, first, second, &err), 0);
	return d;
}

static struct difference
compare_texts(const char *a, const char *b)
{
	return compare(a, strlen(a), b, strlen(b));
}

Test(difference, of_the_same_is_none)
{
	struct difference d = compare_texts("the same\n", "the same\n");

	check_int(d.causes, 0);
	check_int(d.places, 0);
	check_int(d.bytes, 0);
}

Test(difference, has_a_likely_cause)
{
	static const struct {
		const char *a, *b;
		uint32_t causes;
	} cases[] = {
		{ "made 12:34:56 by", "made 12:34:57 by", CAUSE_TIME },
		{ "on 2026-11-22.", "on 2026-11-23.", CAUSE_TIME },
		{ "Nov 22 2026", "Dec  1 2026", CAUSE_TIME },
		{ "t=1700000000;", "t=1700000123;", CAUSE_TIME },
		{ "dir /home/ann/p/x.c", "dir /home/bob/p/x.c", CAUSE_PATH },
		{ "one\ntwo\nthree\n", "two\none\nthree\n", CAUSE_ORDER },
		{ "value abcdefg", "value xyzuvwt", CAUSE_UNKNOWN },
		{ "short", "short and more", CAUSE_UNKNOWN },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct difference d = compare_texts(cases[i].a, cases[i].b);

		cr_assert_eq(d.causes, cases[i].causes, "%s | %s: %u",
		    cases[i].a, cases[i].b, d.causes);
	}
}

Test(difference, in_a_binary_time_is_seen)
{
	unsigned char a[64] = "head", b[64] = "head";
	uint32_t now = (uint32_t)time(NULL), later = now + 77;
	struct difference d;

	memcpy(a + 20, &now, 4);
	memcpy(b + 20, &later, 4);
	d = compare(a, sizeof(a), b, sizeof(b));
	check_int(d.causes, CAUSE_TIME);
	check_int(d.places, 1);
}

Test(difference, in_a_build_id_is_seen)
{
	static const unsigned char head[] = { 4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0,
		0, 'G', 'N', 'U', 0 };
	unsigned char a[100] = { 0 }, b[100] = { 0 };
	struct difference d;

	memcpy(a + 30, head, sizeof(head));
	memcpy(b + 30, head, sizeof(head));
	memset(a + 46, 0xaa, 20);
	memset(b + 46, 0xbb, 20);
	d = compare(a, sizeof(a), b, sizeof(b));
	check_int(d.causes, CAUSE_BUILD_ID);
	check_int(d.first, 46);
	check_int(d.bytes, 20);
}

/* Wherever it lies, also across the pieces in which it is read. */
Test(difference, is_found_anywhere)
{
	size_t size = 100000;
	auto_free char *a = xmalloc(size), *b = xmalloc(size);

	memset(a, 'x', size);
	for (size_t at = 1; at < size; at = at * 2 + 1) {
		struct difference d;

		memcpy(b, a, size);
		b[at] = 'y';
		d = compare(a, size, b, size);
		check_int(d.first, at);
		check_int(d.bytes, 1);
		check_int(d.places, 1);
	}
}

Test(difference, shows_the_words)
{
	struct difference d =
	    compare_texts("in /home/ann/p.c now", "in /home/bobby/p.c now");
	char text[64];

	check_str(d.sample[0], "/home/ann/p.c");
	check_str(d.sample[1], "/home/bobby/p.c");
	check_str(difference_causes(CAUSE_TIME | CAUSE_PATH, text),
	    "time stamp, path");
}
