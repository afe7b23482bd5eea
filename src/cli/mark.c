/*
 * `tarn mark`: what the project declares of its sources, in its own tarn.json.
 *
 * A mark goes into the rule for a glob, by default the one for everything. What
 * would be wrong after the edit, or is laid out in a way that we don't follow, is
 * left as it is, with a word on what to add by hand.
 */
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dirs.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/config_json.h"
#include "cli/json_edit.h"

/* The tarn.json to be edited. */
struct sheet {
	char *cwd, *root, *path; /* owned */
	mode_t mode;
	struct buf text;
};

static void
sheet_release(struct sheet *sheet)
{
	free(sheet->cwd);
	free(sheet->root);
	free(sheet->path);
	buf_release(&sheet->text);
}

static int
sheet_open(struct sheet *sheet, struct error *err)
{
	auto_free char *path = NULL;
	struct stat st;

	*sheet = (struct sheet){ .mode = 0644, .text = BUF_INIT };
	sheet->cwd = getcwd(NULL, 0);
	if (!sheet->cwd)
		return error_errno(err, "cannot tell the working directory");
	sheet->root = dirs_root(sheet->cwd);
	path = xasprintf("%s/tarn.json", sheet->root);
	sheet->path = realpath(path, NULL); /* a link stays one */
	if (!sheet->path && errno != ENOENT)
		return error_errno(err, "cannot open '%s'", path);
	if (!sheet->path) {
		sheet->path = take(path);
		buf_add(&sheet->text, "{}\n", 3);
		return 0;
	}
	if (stat(sheet->path, &st) == 0)
		sheet->mode = st.st_mode & 0777;
	return buf_read_file(&sheet->text, sheet->path, err);
}

/* ---- what is marked ---- */

/* Without "./" and "x/..", as far as names alone tell. */
static char *
tidy(const char *cwd, const char *path)
{
	auto_free char *full =
	    path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", cwd, path);
	auto_buf to = BUF_INIT;
	char *rest = full, *name;

	while ((name = strsep(&rest, "/"))) {
		if (!*name || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0 && to.len > 0) {
			to.len = (size_t)(strrchr(to.data, '/') - to.data);
			to.data[to.len] = '\0';
		} else if (strcmp(name, "..") != 0)
			buf_addf(&to, "/%s", name);
	}
	return to.len ? buf_take(&to) : xstrdup("/");
}

/* As rules have it: from the root, if it is below it. The caller frees it. */
static char *
from_root(const struct sheet *sheet, const char *spec, bool stable)
{
	size_t size = strlen(sheet->root);
	size_t end = stable ? strcspn(spec, "=") : strlen(spec);
	auto_free char *words = NULL;
	auto_free char *path = NULL;

	if (strncmp(spec, "package:", 8) == 0)
		return xstrdup(spec);
	words = xasprintf("%.*s", (int)end, spec);
	path = tidy(sheet->cwd, words);
	if (strncmp(path, sheet->root, size) == 0 && path[size] == '/')
		return xasprintf("%s%s", path + size + 1, spec + end);
	return xasprintf("%s%s", path, spec + end);
}

static bool
fits_a_file(const char *path)
{
	glob_t found;

	if (access(path, F_OK) == 0)
		return true;
	if (glob(path, 0, NULL, &found) != 0)
		return false;
	globfree(&found);
	return true;
}

static int
check_region(const char *path, const char *name, struct error *err)
{
	auto_buf text = BUF_INIT;
	auto_free char *begin = xasprintf("tarn:begin %s", name);
	auto_free char *end = xasprintf("tarn:end %s", name);
	const char *from;

	if (buf_read_file(&text, path, err) < 0)
		return -1;
	from = strstr(text.data, begin);
	if (from && strstr(from, end))
		return 0;
	return error_set(err, ERROR_USAGE,
	    "'%s' has no region '%s': expected lines with '%s' and '%s'", path,
	    name, begin, end);
}

/* What fits nothing would keep every action that it is for from being stored. */
static int
check_spec(const char *spec, bool stable, struct error *err)
{
	size_t size = stable ? strcspn(spec, "=") : strlen(spec);
	auto_free char *path = xasprintf("%.*s", (int)size, spec);
	char *hash = strrchr(path, '#');

	if (strncmp(spec, "package:", 8) == 0)
		return stable ? 0
		              : error_set(err, ERROR_USAGE,
		                    "'%s': a package can only be stable", spec);
	if (fits_a_file(path))
		return 0;
	if (!hash)
		return error_set(err, ERROR_USAGE, "'%s' fits no file", path);
	*hash = '\0';
	return check_region(path, hash + 1, err);
}

/* ---- marking ---- */

static void
say_by_hand(const struct sheet *sheet, const struct json_mark *mark)
{
	auto_buf rule = BUF_INIT;

	buf_addf(&rule, "{ \"match\": ");
	json_text(&rule, mark->match);
	buf_addf(&rule, ", \"%s\": [", mark->list);
	json_text(&rule, mark->spec);
	buf_addf(&rule, "] }");
	fprintf(stderr, "tarn: add by hand to \"actions\" in '%s': %s\n",
	    sheet->path, rule.data);
}

static bool
holds(char *const *texts, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(texts[i], text) == 0)
			return true;
	}
	return false;
}

/* Read as tarn-exec will read it: does it say so now? */
static int
check_result(
    const struct sheet *sheet, const struct json_mark *mark, struct error *err)
{
	bool stable = strcmp(mark->list, "stable") == 0, there = false;
	struct config_json json;
	int status;

	config_json_init(&json);
	status = config_json_parse(
	    &json, sheet->path, true, sheet->text.data, sheet->text.len, err);
	for (size_t i = 0; status == 0 && i < json.config->n_rules; i++) {
		const Tarn__Rule *rule = json.config->rules[i];

		there |= strcmp(rule->match, mark->match) == 0 &&
		    holds(stable ? rule->stable : rule->unstable,
		        stable ? rule->n_stable : rule->n_unstable, mark->spec);
	}
	config_json_release(&json);
	if (status == 0 && !there)
		status = error_set(err, ERROR_USAGE,
		    "%s: it is laid out in a way that can't be edited safely",
		    sheet->path);
	return status;
}

static int
mark_one(struct sheet *sheet, struct json_mark *mark, const char *spec)
{
	bool stable = strcmp(mark->list, "stable") == 0;
	auto_free char *path = from_root(sheet, spec, stable);
	struct error err = { 0 };

	if (check_spec(spec, stable, &err) < 0)
		return cmd_fail(&err);
	mark->spec = path;
	if (json_edit_mark(&sheet->text, sheet->path, mark, &err) < 0 ||
	    check_result(sheet, mark, &err) < 0) {
		(void)cmd_fail(&err);
		say_by_hand(sheet, mark);
		return CMD_FAILED;
	}
	if (mark->moved)
		fprintf(stderr, "tarn: '%s' was %s for '%s'\n", path,
		    mark->other, mark->match);
	return CMD_OK;
}

static int
mark_all(const char *match, bool stable, char *const *specs)
{
	struct json_mark mark = {
		.match = match,
		.list = stable ? "stable" : "unstable",
		.other = stable ? "unstable" : "stable",
	};
	struct error err = { 0 };
	struct sheet sheet;
	int status = CMD_OK;

	if (sheet_open(&sheet, &err) < 0)
		status = cmd_fail(&err);
	while (status == CMD_OK && *specs)
		status = mark_one(&sheet, &mark, *specs++);
	if (status == CMD_OK &&
	    file_replace(sheet.path, sheet.text.data, sheet.text.len,
	        sheet.mode, &err) < 0) {
		status = cmd_fail(&err);
		say_by_hand(&sheet, &mark);
	}
	sheet_release(&sheet);
	return status;
}

static int
run(int argc, char **argv)
{
	const char *match = "*";
	const struct cmd_option options[] = {
		{ "match", 'm', .value = &match },
		{ 0 },
	};
	bool stable;
	int status, count;

	count = cmd_options(&cmd_mark, argv, options,
	    (struct cmd_words){ 2, INT_MAX }, &status);
	if (count < 0)
		return status;
	argv[count + 1] = NULL;
	stable = strcmp(argv[1], "stable") == 0;
	if (!stable && strcmp(argv[1], "unstable") != 0)
		return cmd_usage(&cmd_mark,
		    "unexpected '%s'; expected unstable or stable", argv[1]);
	return mark_all(match, stable, argv + 2);
}

const struct cmd cmd_mark = {
	.name = "mark",
	.args = "unstable|stable [-m GLOB] SPEC...",
	.summary = "declare sources in the project's tarn.json",
	.details =
	    "  unstable          their content counts: PATH, glob, PATH#NAME\n"
	    "  stable            only who they are counts, which you vouch "
	    "for:\n"
	    "                    PATH, glob, PATH=COMMAND, package:NAME\n"
	    "  -m, --match GLOB  for the actions with this output or command;\n"
	    "                    without it, for all of them\n",
	.run = run,
};
