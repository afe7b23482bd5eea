/* Marks in a tarn.json: what is there stays as it is. */
#include "cli/json_edit.h"
#include "support/check.h"

static const struct {
	const char *before, *match, *list, *spec, *after;
} edits[] = {
	{ "{}\n", "*", "unstable", "a",
	    "{\n  \"actions\": [\n    { \"match\": \"*\", \"unstable\": "
	    "[\"a\"] }\n  ]\n}\n" },
	{ "{\n  \"locations\": \"/x\" // ours\n}\n", "*", "stable", "a",
	    "{\n  \"locations\": \"/x\", // ours\n  \"actions\": [\n    { "
	    "\"match\": \"*\", \"stable\": [\"a\"] }\n  ]\n}\n" },
	{ "{ \"actions\": [] }", "m", "unstable", "a",
	    "{ \"actions\": [{ \"match\": \"m\", \"unstable\": [\"a\"] }] }" },
	{ "{ \"actions\": [ { \"match\": \"m\" } ] }", "m", "unstable", "a",
	    "{ \"actions\": [ { \"match\": \"m\", \"unstable\": [\"a\"] } "
	    "] }" },
	{ "{ \"actions\": [ { \"match\": \"m\" } ] }", "n", "unstable", "a",
	    "{ \"actions\": [ { \"match\": \"m\" }, { \"match\": \"n\", "
	    "\"unstable\": [\"a\"] } ] }" },
	{ "{\"actions\":[{\"match\":\"m\",\"unstable\":[\"a\"]}]}", "m",
	    "unstable", "b",
	    "{\"actions\":[{\"match\":\"m\",\"unstable\":[\"a\", "
	    "\"b\"]}]}" },
	{ "{\"actions\":[{\"match\":\"m\",\"unstable\":[\"a\"]}]}", "m",
	    "unstable", "a",
	    "{\"actions\":[{\"match\":\"m\",\"unstable\":[\"a\"]}]}" },
	{ "{\"actions\":[{\"match\":\"m\",\"unstable\":[\n\t\"a\", // [one]\n"
	  "\t\"b\" /* } */ // two\n]}]}",
	    "m", "unstable", "c",
	    "{\"actions\":[{\"match\":\"m\",\"unstable\":[\n\t\"a\", // "
	    "[one]\n\t\"b\",\n\t\"c\" /* } */ // two\n]}]}" },
	{ "{\"actions\":[{\"match\":\"m\",\"unstable\":[\n\t\"a\", // [one]\n"
	  "\t\"b\" // two ]\n]}]}",
	    "m", "unstable", "c",
	    "{\"actions\":[{\"match\":\"m\",\"unstable\":[\n\t\"a\", // "
	    "[one]\n\t\"b\", // two ]\n\t\"c\"\n]}]}" },
	/* From one list to the other. */
	{ "{\"actions\":[{\"match\":\"m\",\"stable\":[\"x\", \"a\"]}]}", "m",
	    "unstable", "a",
	    "{\"actions\":[{\"match\":\"m\",\"stable\":[\"x\"], "
	    "\"unstable\": [\"a\"]}]}" },
	{ "{\"actions\":[{\"match\":\"m\",\"stable\":[\"a\", \"x\"]}]}", "m",
	    "unstable", "a",
	    "{\"actions\":[{\"match\":\"m\",\"stable\":[\"x\"], "
	    "\"unstable\": [\"a\"]}]}" },
	{ "{\"actions\":[{\"match\":\"m\",\"stable\":[ \"a\" ]}]}", "m",
	    "unstable", "a",
	    "{\"actions\":[{\"match\":\"m\",\"stable\":[  ], \"unstable\": "
	    "[\"a\"]}]}" },
	/* What looks like JSON, but is text. */
	{ "{\"actions\":[{\"match\":\"]}\\\"[\",\"env\":[\"actions\"]},"
	  "{\"match\":\"m\"}]}",
	    "m", "unstable", "q\"",
	    "{\"actions\":[{\"match\":\"]}\\\"[\",\"env\":[\"actions\"]},"
	    "{\"match\":\"m\", \"unstable\": [\"q\\\"\"]}]}" },
};

Test(json_edit, marks)
{
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
		auto_buf text = BUF_INIT;
		struct error err = { 0 };
		struct json_mark mark = { .match = edits[i].match,
			.list = edits[i].list,
			.other =
			    edits[i].list[0] == 's' ? "unstable" : "stable",
			.spec = edits[i].spec };

		buf_add(&text, edits[i].before, strlen(edits[i].before));
		check_int(json_edit_mark(&text, "f", &mark, &err), 0);
		check_str(err.text, "");
		check_str(text.data, edits[i].after);
		/* Once more is as often as once. */
		check_int(json_edit_mark(&text, "f", &mark, &err), 0);
		check(mark.there);
		check(!mark.moved);
		check_str(text.data, edits[i].after);
	}
}

static const struct {
	const char *text, *message;
} wrong[] = {
	{ "[]", "f: it is no object" },
	{ "{ \"actions\": {} }", "f: \"actions\" is no list" },
	{ "{ \"actions\": [ { \"match\": \"m\", \"unstable\": 1 } ] }",
	    "f: a rule's list of sources is no list" },
	{ "{ \"actions\": [ }", "f:1:16: unexpected '}'; expected a value" },
};

Test(json_edit, refuses_what_it_cannot_follow)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		auto_buf text = BUF_INIT;
		struct error err = { 0 };
		struct json_mark mark = { .match = "m",
			.list = "unstable",
			.other = "stable",
			.spec = "a" };

		buf_add(&text, wrong[i].text, strlen(wrong[i].text));
		check_int(json_edit_mark(&text, "f", &mark, &err), -1);
		check_str(err.text, wrong[i].message);
		check_str(text.data, wrong[i].text);
	}
}
