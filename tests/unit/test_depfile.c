/* Depfiles of one root, laid out for another as the compiler itself would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actions/depfile.h"
#include "base/mem.h"
#include "support/check.h"

static const char *const roots[] = {
	"/p",
	"/home/user/project",
	"/a/much/longer/folder/for/the/checkout/of/the/very/same/project-2.0",
	"/w/x-1",
};
#define ROOTS (sizeof(roots) / sizeof(*roots))

/* As gcc does: break before a word that would pass column 72. */
static void
add_word(struct buf *to, const char *word, size_t *column)
{
	if (*column && *column + strlen(word) > 72) {
		buf_addf(to, " \\\n");
		*column = 0;
	}
	*column += 1 + strlen(word);
	buf_addf(to, " %s", word);
}

static void
as_gcc(struct buf *to, const char *root, int count)
{
	size_t column;
	auto_free char *source = xasprintf("%s/src/main.c", root);

	buf_addf(to, "src/main.o:");
	column = to->len;
	add_word(to, source, &column);
	for (int i = 0; i < count; i++) {
		auto_free char *name =
		    xasprintf("%s/inc/header-%0*d.h", root, i % 19 + 1, i);

		add_word(to, name, &column);
		if (i % 3 == 0)
			add_word(to, "/usr/include/stdio.h", &column);
	}
	buf_addf(to, "\n");
}

Test(depfile, every_root_to_every_other)
{
	for (size_t i = 0; i < ROOTS * ROOTS * 12; i++) {
		const char *from = roots[i % ROOTS];
		const char *to = roots[i / ROOTS % ROOTS];
		int count = (int)(i / ROOTS / ROOTS * 3);
		auto_buf text = BUF_INIT;
		auto_buf plain = BUF_INIT;
		auto_buf found = BUF_INIT;
		auto_buf wanted = BUF_INIT;

		as_gcc(&text, from, count);
		as_gcc(&wanted, to, count);
		cr_assert(depfile_unroot(text.data, text.len, from, &plain),
		    "%s", text.data);
		check(!strstr(plain.data, from));
		check(depfile_rewrite(plain.data, plain.len, to, &found));
		check_str(found.data, wanted.data);
	}
}

Test(depfile, what_can_not_be_done_is_refused)
{
	static const char *const texts[] = {
		"a.o: /p/a.c \\\n /p/b.h\n", /* broken by nobody's rule */
		"a.o:  /p/a.c\n",
		"a.o:\t/p/a.c\n",
		"a.o: /p/a.c \\\n\n \\\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		auto_buf plain = BUF_INIT;
		auto_buf again = BUF_INIT;
		size_t size = strlen(texts[i]);

		/* Either it is, or it comes back as it was. */
		if (!depfile_unroot(texts[i], size, "/p", &plain))
			continue;
		check(depfile_rewrite(plain.data, plain.len, "/p", &again));
		check_str(again.data, texts[i]);
	}
}

static void
collect(void *arg, const char *path)
{
	buf_addf(arg, "[%s]", path);
}

Test(depfile, prerequisites)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{ "a.o: a.c b.h\n", "[a.c][b.h]" },
		{ "a.o b.o: a.c \\\n  b.h \\\n c.h\n", "[a.c][b.h][c.h]" },
		{ "a.o: a.c\n\nb.h:\n", "[a.c]" },
		{ "a.o: a\\ b.c\n", "[a b.c]" },
		{ "a.o: a$$b.c\n", "[a$b.c]" },
		{ "a.o: a\\#b.c\n", "[a#b.c]" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf found = BUF_INIT;

		check(depfile_each(
		    cases[i].text, strlen(cases[i].text), collect, &found));
		check_str(found.data, cases[i].wanted);
	}
}
