#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actions/action.h"
#include "actions/response.h"
#include "base/file.h"
#include "base/mem.h"
#include "support/check.h"

static char folder[] = "/tmp/tarn-test-XXXXXX";

static void
put(const char *name, const char *text)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);
	struct error err = { 0 };

	check_int(file_replace(path, text, strlen(text), 0600, &err), 0);
}

static void
begin(void)
{
	check(mkdtemp(folder));
}

static void
end(void)
{
	auto_free char *path = xasprintf("%s/flags", folder);

	(void)unlink(path);
	(void)rmdir(folder);
}

TestSuite(response, .init = begin, .fini = end);

static const struct {
	const char *text, *words;
} files[] = {
	{ "", "-c|a.c" },
	{ "-O2 -g\n", "-c|-O2|-g|a.c" },
	{ "'-DX=a b' -D\"Y\"=1", "-c|-DX=a b|-DY=1|a.c" },
	{ "\t-I\n\ninclude\n", "-c|-I|include|a.c" },
	/* Not understood: it stays. */
	{ "-DX=\\\"1\\\"", "-c|@flags|a.c" },
	{ "-O2 'open", "-c|@flags|a.c" },
	{ "@more", "-c|@flags|a.c" },
};

Test(response, reads_words_as_compilers_do)
{
	const char *const argv[] = { "gcc", "-c", "@flags", "a.c", NULL };

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct response words;
		auto_buf text = BUF_INIT;

		put("flags", files[i].text);
		response_init(&words, (char *const *)argv, folder);
		for (size_t j = 0; j < words.count; j++)
			buf_addf(
			    &text, "%s%s", j ? "|" : "", words.word[j].text);
		check_str(text.data, files[i].words);
		check_int(words.understood, !strstr(text.data, "@"));
		response_release(&words);
	}
}

static void
describe(struct action *action, const char *const *argv)
{
	*action = (struct action){
		.program = "/usr/bin/gcc",
		.argv = (char *const *)argv,
		.cwd = folder,
		.root = folder,
	};
	action_describe(action, NULL);
}

Test(response, is_a_source_of_a_compile)
{
	const char *const argv[] = { "gcc", "-c", "@flags", "a.c", "-o", "x.o",
		NULL };
	struct action action;

	put("flags", "-O2 -Isrc");
	describe(&action, argv);
	check(action.known && action.output_free);
	check_int(action.source_count, 2);
	check(strstr(action.sources[1], "/flags"));
	action_release(&action);
}

Test(response, with_what_is_not_known_widens_the_key)
{
	static const char *const bad[] = { "-o y.o", "-fplugin=x", "\\" };
	const char *const argv[] = { "gcc", "-c", "a.c", "-o", "x.o", "@flags",
		NULL };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct action action;

		put("flags", bad[i]);
		describe(&action, argv);
		check(!action.known && !action.output_free);
		action_release(&action);
	}
}
