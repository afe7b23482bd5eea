/* config.yml in every form that there is, its compiled form, and lists of labels. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "locations/labels.h"
#include "locations/lake_config.h"
#include "support/check.h"

static const struct {
	const char *text, *meaning;
} right[] = {
	{ "levels:\n- 1\n- -1\n", "[1, -1]" },
	{ "hash:\n  name: sha256\nlevels:\n- 1\n- 31\n", "[1, 31] hash" },
	{ "hash:\n  kwargs: {}\n  name: sha256\nlevels:\n- 1\n- 31\n",
	    "[1, 31] hash" },
	{ "free_disk_size: 1073741824\nhash:\n  name: sha256\nlabels:\n"
	  "  kwargs: {}\n  name: JsonLabels\nlevels:\n- 2\n- 30\nlocker:\n"
	  "  kwargs: {}\n  name: GlobalThreadLocker\nmax_size: 10000000000\n"
	  "usage:\n  kwargs: {}\n  name: StatUsage\n",
	    "[2, 30] hash usage labels free=1073741824 max=10000000000" },
	{ "levels:\n- 1\n- -1\nlocker:\n  args:\n  - localhost\n  kwargs:\n"
	  "    expire: 10\n    prefix: p\n  name: RedisLocker\nsize:\n"
	  "  args:\n  - localhost\n  kwargs:\n    prefix: p\n"
	  "  name: RedisSize\n",
	    "[1, -1]" },
	{ "{levels: [1, -1], hash: sha256}", "[1, -1] hash" },
	{ "{\"levels\": [1, -1], \"hash\": {\"name\": \"sha256\"}}",
	    "[1, -1] hash" },
	{ "hash: sha256", "[1, 31] hash" },
	{ "hash: {name: sha256, usedforsecurity: false, args: []}",
	    "[1, 31] hash" },
	{ "hash: sha256\nusage: StatUsage\nlabels: JsonLabels\n"
	  "locker: DummyLocker\n",
	    "[1, 31] hash usage labels" },
	{ "hash: sha256\nusage: DummyUsage\nlabels: DummyLabels\n",
	    "[1, 31] hash" },
	{ "hash: null\nlevels: ['1', \"-1\"]\nlocker: ~\nsize:\n", "[1, -1]" },
	{ "--- # a lake\nlevels: [32] # flat\n...\n", "[32]" },
	{ "levels: [-1]", "[-1]" },
	{ "levels: !!seq [!!int 1, 1, 1, 29]", "[1, 1, 1, 29]" },
	{ "levels: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
	  "1,1,1]",
	    "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,"
	    " 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]" },
	{ "levels:\r\n  - 2\r\n  - -1\r\n", "[2, -1]" },
	{ "{levels: [1, -1], max_size: 1 GiB, free_disk_size: 10GB}",
	    "[1, -1] free=10000000000 max=1073741824" },
	{ "{levels: [1, -1], max_size: '2 KB', free_disk_size: 1_000}",
	    "[1, -1] free=1000 max=2000" },
};

static void
show(const struct lake_config *config, struct buf *to)
{
	layout_show(&config->layout, to, "[", ", ", "]");
	buf_addf(to, "%s%s%s", config->hash ? " hash" : "",
	    config->usage ? " usage" : "", config->labels ? " labels" : "");
	if (config->free_disk_size)
		buf_addf(to, " free=%llu",
		    (unsigned long long)config->free_disk_size);
	if (config->max_size)
		buf_addf(to, " max=%llu", (unsigned long long)config->max_size);
}

Test(lake_config, is_read_in_every_form)
{
	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		const char *text = right[i].text;
		struct lake_config config;
		struct error err = { 0 };
		auto_buf shown = BUF_INIT;

		lake_config_parse(&config, text, strlen(text), &err);
		check_str(err.text, "");
		show(&config, &shown);
		check_str(shown.data, right[i].meaning);
	}
}

static const struct {
	const char *text, *message;
} wrong[] = {
	{ "", "line 1: a lake's configuration is empty; expected a mapping" },
	{ "- 1\n",
	    "line 1: a lake's configuration is a list; expected a"
	    " mapping" },
	{ "{}",
	    "line 1: neither 'levels' nor 'hash'; expected 'levels:' with a"
	    " list of numbers of bytes" },
	{ "levels: [1, -1]\ncolour: blue\n",
	    "line 2: 'colour' is no key of a lake's configuration; expected one"
	    " of: hash, levels, locker, size, usage, labels, free_disk_size,"
	    " max_size" },
	{ "levels: [1, -1]\nlevels: [1, -1]\n",
	    "line 2: 'levels' is given twice; expected it once" },
	{ "levels: 7\n", "line 1: 'levels' is '7'; expected a list" },
	{ "levels: {1: 2}\n",
	    "line 1: 'levels' is a mapping; expected a list" },
	{ "levels: [1, x]\n",
	    "line 1: 'levels' is 'x'; expected a whole number" },
	{ "levels:\n- 1\n- 010\n",
	    "line 3: 'levels' is '010'; expected a whole number" },
	{ "levels: [1, [2]]\n",
	    "line 1: 'levels' is a list; expected a whole number" },
	{ "levels: [-1, 1]\n",
	    "line 1: 'levels' has 1; expected at most 32 bytes together, and -1"
	    " only for the rest of them, at the end" },
	{ "levels: [32, -1]\n",
	    "line 1: 'levels' has -1; expected at most 32 bytes together, and"
	    " -1 only for the rest of them, at the end" },
	{ "levels: [0, -1]\n",
	    "line 1: 'levels' has 0; expected at most 32 bytes together, and -1"
	    " only for the rest of them, at the end" },
	{ "levels: [1, 15]\n",
	    "line 1: expected 'levels' of 32 bytes together, or -1 at the"
	    " end" },
	{ "levels: []\n",
	    "line 1: expected 'levels' of 32 bytes together, or"
	    " -1 at the end" },
	{ "hash:\n  digest_size: 32\n  name: blake2b\nlevels:\n- 1\n- 31\n",
	    "line 3: 'hash' is 'blake2b'; expected 'sha256': keys of tarn are"
	    " SHA-256 digests, so it can neither read nor write this lake" },
	{ "hash: [sha256]\n",
	    "line 1: 'hash' is a list; expected a name or a mapping" },
	{ "hash: {kwargs: {}}\n",
	    "line 1: 'hash' has no name; expected 'name'" },
	{ "hash: {name: sha256, kwargs: [1]}\n",
	    "line 1: 'kwargs' is a list; expected a mapping" },
	{ "hash: sha256\nusage: {name: StatUsage, speed: 1}\n",
	    "line 2: 'speed' is no key of usage; expected one of: name, args,"
	    " kwargs" },
	{ "hash: sha256\nsize: RedisSize\n",
	    "line 2: 'size' is 'RedisSize'; expected a mapping" },
	{ "hash: sha256\nmax_size: lots\n",
	    "line 2: 'max_size' is 'lots'; expected a size, such as 4096,"
	    " '20 GiB' or '20 GB'" },
	{ "hash: sha256\nmax_size: -5\n",
	    "line 2: 'max_size' is '-5'; expected a size, such as 4096,"
	    " '20 GiB' or '20 GB'" },
	{ "hash: sha256\nfree_disk_size: [1]\n",
	    "line 2: 'free_disk_size' is a list; expected a size, such as 4096,"
	    " '20 GiB' or '20 GB'" },
	{ "a: &a [x, x]\n",
	    "line 1: 'a' is no key of a lake's configuration;"
	    " expected one of: hash, levels, locker, size,"
	    " usage, labels, free_disk_size, max_size" },
	{ "hash: &a sha256\nusage: *a\n",
	    "line 1: '&a' is an anchor; expected a value without one" },
	{ "hash: sha256\nusage: *a\n",
	    "line 2: '*a' is an alias; expected a value" },
	{ "levels: !!python/tuple [1, -1]\n",
	    "line 1: 'tag:yaml.org,2002:python/tuple' is a tag; expected a"
	    " value without one" },
	{ "[x]: 1\n", "line 1: a key is a list; expected a text" },
	{ "? [x]\n: 1\n", "line 1: a key is a list; expected a text" },
	{ "hash: \"sha256\\0x\"\n",
	    "line 1: a NUL; expected a text without one" },
	{ "hash: sha256\n---\nhash: sha256\n",
	    "line 2: a second document; expected one only" },
	{ "levels: [1, -1\n",
	    "line 2: did not find expected ',' or ']'; expected YAML" },
};

Test(lake_config, says_where_it_is_wrong)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		const char *text = wrong[i].text;
		struct lake_config config = { .max_size = 77 };
		struct error err = { 0 };

		check_int(
		    lake_config_parse(&config, text, strlen(text), &err), -1);
		check_str(err.text, wrong[i].message);
		/* Another hash is no damage. */
		check_int(err.kind,
		    strstr(text, "blake2b") ? ERROR_USAGE : ERROR_CORRUPT);
		check_int(config.max_size, 77);
	}
}

Test(lake_config, is_not_read_any_deeper)
{
	struct lake_config config;
	struct error err = { 0 };
	auto_buf text = BUF_INIT;

	buf_addf(&text, "hash: {name: sha256, x: ");
	for (int i = 0; i < 10000; i++)
		buf_addf(&text, "[");
	check_int(lake_config_parse(&config, text.data, text.len, &err), -1);
	check_str(
	    err.text, "line 1: nested too deep; expected 32 levels at most");
}

static const struct {
	struct lake_config config;
	const char *text;
} written[] = {
	{ { .layout = { 2, true, { 1, 31 } } }, "levels:\n- 1\n- -1\n" },
	{ { .layout = { 2, false, { 1, 31 } }, .hash = true },
	    "hash:\n  name: sha256\nlevels:\n- 1\n- 31\n" },
	{ { .layout = { 3, true, { 2, 1, 29 } },
	      .usage = true,
	      .labels = true },
	    "labels:\n  kwargs: {}\n  name: JsonLabels\nlevels:\n- 2\n- 1\n"
	    "- -1\nusage:\n  kwargs: {}\n  name: StatUsage\n" },
	{ { .layout = { 1, false, { 32 } },
	      .max_size = UINT64_MAX,
	      .free_disk_size = 4096 },
	    "free_disk_size: 4096\nlevels:\n- 32\nmax_size: "
	    "18446744073709551615\n" },
};

Test(lake_config, is_written_in_the_form_that_all_versions_read)
{
	for (size_t i = 0; i < sizeof(written) / sizeof(*written); i++) {
		auto_buf text = BUF_INIT;

		lake_config_format(&written[i].config, &text);
		check_str(text.data, written[i].text);
	}
}

Test(lake_config, has_a_compiled_form_that_is_whole_or_nothing)
{
	struct lake_stamp stamp = { 1, 2, 3, 4 }, other = stamp;
	unsigned char data[LAKE_COMPILED_SIZE];

	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		struct lake_config config, again;
		struct error err = { 0 };
		auto_buf shown = BUF_INIT;

		lake_config_parse(
		    &config, right[i].text, strlen(right[i].text), &err);
		lake_config_encode(&config, &stamp, data);
		check(lake_config_decode(&again, &stamp, data, sizeof(data)));
		show(&again, &shown);
		check_str(shown.data, right[i].meaning);
	}
	for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
		struct lake_config config;

		data[bit / 8] ^= (unsigned char)(1 << bit % 8);
		check(!lake_config_decode(&config, &stamp, data, sizeof(data)));
		data[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	other.ctime_ns++;
	check(!lake_config_decode(
	    &(struct lake_config){ 0 }, &other, data, sizeof(data)));
	check(!lake_config_decode(
	    &(struct lake_config){ 0 }, &stamp, data, sizeof(data) - 1));
}

/* ---- labels ---- */

static const struct {
	const char *json, *labels, *again;
} lists[] = {
	{ "[]", "", "[]" },
	{ "[\"x\", \"y\"]", "x|y", "[\"x\", \"y\"]" },
	{ " [ \"y\" ,\t\"x\",\n\"y\" ] \r\n", "x|y", "[\"x\", \"y\"]" },
	{ "[\"\\u00e9\\ud83d\\ude00\"]", "\u00e9\U0001f600",
	    "[\"\\u00e9\\ud83d\\ude00\"]" },
	{ "[\"\u00e9\"]", "\u00e9", "[\"\\u00e9\"]" },
	{ "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u007f\\u0001\"]",
	    "\"\\/\b\f\n\r\t\x7f\x01",
	    "[\"\\\"\\\\/\\b\\f\\n\\r\\t\\u007f\\u0001\"]" },
	{ "[\"\\uDCFF\\udc80\"]", "\xff\x80", "[\"\\udcff\\udc80\"]" },
	{ "[\"\xc3\"]", "\xc3", "[\"\\udcc3\"]" },
	{ "[\"\\uffff\\ud800\\udc00\"]", "\uffff\U00010000",
	    "[\"\\uffff\\ud800\\udc00\"]" },
};

Test(labels, are_read_and_written_as_python_has_them)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		auto_labels labels = LABELS_INIT;
		auto_buf joined = BUF_INIT;
		auto_buf json = BUF_INIT;
		struct error err = { 0 };

		labels_parse(
		    &labels, lists[i].json, strlen(lists[i].json), &err);
		check_str(err.text, "");
		labels_sort(&labels);
		for (size_t j = 0; j < labels.count; j++)
			buf_addf(&joined, "%s%s", j ? "|" : "", labels.item[j]);
		check_str(joined.data, lists[i].labels);
		labels_format(&labels, &json);
		check_str(json.data, lists[i].again);
	}
}

static const struct {
	const char *json, *message;
} no_lists[] = {
	{ "", "byte 1: expected '['" },
	{ "{}", "byte 1: expected '['" },
	{ "[1]", "byte 2: expected a text" },
	{ "[\"a\"", "byte 5: expected ',' or ']'" },
	{ "[\"a\",]", "byte 6: expected a text" },
	{ "[\"a", "byte 4: expected the end of a text" },
	{ "[\"\n\"]", "byte 3: expected no control character" },
	{ "[\"\\x\"]",
	    "byte 4: expected one of \" \\ / b f n r t u behind a \\" },
	{ "[\"\\u00g0\"]",
	    "byte 7: expected four hexadecimal digits, not all 0" },
	{ "[\"\\u0000\"]",
	    "byte 9: expected four hexadecimal digits, not all 0" },
	{ "[\"\\ud83d\"]",
	    "byte 9: expected the other half of a pair of surrogates" },
	{ "[\"\\ud83d\\u0041\"]",
	    "byte 15: expected the other half of a pair of surrogates" },
	{ "[\"a\"] x", "byte 7: expected the end" },
};

Test(labels, that_are_damaged_are_refused)
{
	for (size_t i = 0; i < sizeof(no_lists) / sizeof(*no_lists); i++) {
		auto_labels labels = LABELS_INIT;
		auto_free char *message = xasprintf(
		    "%s, in a JSON list of texts", no_lists[i].message);
		struct error err = { 0 };

		check_int(labels_parse(&labels, no_lists[i].json,
		              strlen(no_lists[i].json), &err),
		    -1);
		check_str(err.text, message);
	}
}
