/* The names that a text asks for, and the ways of asking that no list can hold. */
#include <string.h>

#include "actions/includes.h"
#include "base/buf.h"
#include "support/check.h"

static const struct {
	const char *text, *names;
} known[] = {
	{ "int a;\n", "" },
	{ "#include <a.h>\n", "<a.h" },
	{ "#include \"d/a.h\"\n#include \"d/a.h\"\n", "\"d/a.h" },
	{ " # /* x */ include /* y\n */ <a.h>\n", "<a.h" },
	{ "%:include <a.h>\n?\?=include <b.h>\n", "<a.h<b.h" },
	{ "#inc\\\nlude \\ \n <a.h>\n", "<a.h" },
	{ "/* x\n */ # include <a.h>\n", "<a.h" },
	{ "# /* x\n */ include <a.h>\n", "<a.h" },
	{ "#include_next <a.h>\n#import \"b.h\"\n", "<a.h\"b.h" },
	{ "#if __has_include(<a.h>) || __has_include_next ( \"b.h\" )\n",
	    "<a.h\"b.h" },
	{ "#ifdef __has_include\n#if defined(__has_include)\n", "" },
	{ "#if 0\n#include <a.h>\n#endif\n// #include <b.h>\n", "<a.h" },
	{ " *  This is a file.  You should @c \\#include this file\n", "" },
	{ "/* We may #include_next through here */\n", "" },
	{ "   #include's protect themselves\n", "" },
	{ "#include <a.h> // what others include, too\n", "<a.h" },
	{ "#endif // __has_include\n", "" },
	{ "int import, include, embed; void f(int include);\n", "" },
	{ "#include <a.h>\r\n", "<a.h" },
	{ "\xef\xbb\xbf#include <a.h>\n", "<a.h" },
	{ "#define HAVE (defined(__has_include) && defined __has_embed_)\n",
	    "" },
	{ "int has, _inc, clude; /* a_h */\n", "" },
	{ "/* one */ 1, \"a\"\n#line 5\n# 7\n", "" },
};

static const struct {
	const char *text, *why;
} unknown[] = {
	{ "#line 5 A\n", "no literal" },
	{ "#line A\n", "no literal" },
	{ "# 5 A\n", "no literal" },
	{ "#line 1'0 \"/usr/a.h\"\n", "no literal" },
	{ "%: /* */ 5 \"\\057usr/a.h\"\n", "no literal" },
	{ "#include A\n", "no literal" },
	{ "#include A(b.h)\n", "no literal" },
	{ "#inc\\\nlude A\n", "no literal" },
	{ "#import _A\n", "no literal" },
	{ "x */ # include A\n", "no literal" },
	{ "# /*\n\n*/ include A\n", "no literal" },
	{ "%:include A\n", "no literal" },
	{ "?\?=include A\n", "no literal" },
	{ "#include \\u00e9\n", "no literal" },
	{ "#if __has_include(A)\n", "no literal" },
	{ "#define HAS __has_include\n", "another name" },
	{ "#define HAS __has_include // if defined\n", "another name" },
	{ "#if J(__has_include, _next)(<a.h>)\n", "another name" },
	{ "#if J(, __has_include)(<a.h>)\n", "another name" },
	{ "#if J(__has_, include)(<a.h>)\n", "the pieces" },
	{ "#if J(__has_inc, lude)(<a.h>)\n", "the pieces" },
	{ "#if J(__h, as_, inc, lu, de)(<a.h>)\n", "the pieces" },
	{ "\xef\xbb\xbf#include A\n", "no literal" },
	{ "\xc2\xa0#\xc2\xa0include A\n", "no literal" },
	{ "#embed \"a\"\n", "embeds" },
	{ "#if __has_embed(\"a\")\n", "embed" },
	{ "asm(\"nop\");\n", "assembly" },
	{ "\".incbin\"\n", ".incbin" },
	{ "\".include\"\n", ".include" },
	{ "?\?/\n", "trigraph" },
	{ "//\r#include A\n", "odd end" },
	{ "#pragma include_alias(\"a\", \"b\")\n", "another name" },
	{ "#pragma GCC pch_preprocess \"a\"\n", "precompiled" },
};

Test(includes, names)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		struct includes found = { .item = NULL };
		auto_buf names = BUF_INIT;

		includes_scan(
		    &found, known[i].text, strlen(known[i].text), false);
		for (size_t j = 0; j < found.count; j++)
			buf_addf(&names, "%c%s",
			    found.item[j].quoted ? '"' : '<',
			    found.item[j].name);
		check_str(names.data, known[i].names);
		check(!found.why);
		includes_release(&found);
	}
}

Test(includes, what_no_list_can_hold)
{
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		struct includes found = { .item = NULL };

		includes_scan(
		    &found, unknown[i].text, strlen(unknown[i].text), false);
		check(found.why && strstr(found.why, unknown[i].why));
		includes_release(&found);
	}
}

Test(includes, a_byte_that_is_no_text)
{
	struct includes found = { .item = NULL };

	includes_scan(&found, "int\0a;\n", 7, false);
	check(found.why);
	includes_release(&found);
}

Test(includes, pieces_in_two_texts)
{
	static const char *const texts[] = { "P(__h, a)\n",
		"P(s_, include)\n" };
	struct includes found = { .item = NULL };

	includes_scan(&found, texts[0], strlen(texts[0]), false);
	check(!found.why);
	includes_clear(&found);
	includes_scan(&found, texts[1], strlen(texts[1]), false);
	check(found.why && strstr(found.why, "the pieces"));
	includes_release(&found);
}

Test(includes, what_it_passes_for)
{
	static const char text[] =
	    "#line 5 \"a.y\"\n # 1 \"/usr/a.h\" 1 3\n#line 7\n"
	    "int line = 5; /* # 5 \"no\" */\n";
	struct includes found = { .item = NULL };

	includes_scan(&found, text, sizeof(text) - 1, true);
	check_int(found.posings, 0);
	includes_scan(&found, text, sizeof(text) - 1, false);
	check(!found.why);
	check_int(found.posings, 2);
	check_str(found.posing[0], "a.y");
	check_str(found.posing[1], "/usr/a.h");
	includes_clear(&found);
	check_int(found.posings, 0);
	includes_release(&found);
}

Test(includes, assembly_of_the_system)
{
	static const char text[] = "int f(void) __asm__(\"g\");\n";
	struct includes found = { .item = NULL };

	includes_scan(&found, text, sizeof(text) - 1, true);
	check(!found.why);
	includes_release(&found);
}
