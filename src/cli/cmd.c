#include "cli/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/dirs.h"
#include "base/version.h"

static const struct cmd *const cmds[] = {
	&cmd_config,
	&cmd_copy,
	&cmd_daemon,
	&cmd_doctor,
	&cmd_fetch,
	&cmd_flush,
	&cmd_gc,
	&cmd_help,
	&cmd_locations,
	&cmd_ls,
	&cmd_mark,
	&cmd_read,
	&cmd_rm,
	&cmd_show,
	&cmd_stats,
	&cmd_verify,
	&cmd_write,
	NULL,
};

void
cmd_print_all(void)
{
	puts("usage: tarn COMMAND [ARGUMENT...]\n");
	for (const struct cmd *const *c = cmds; *c; c++)
		printf("  %-9s %s\n", (*c)->name, (*c)->summary);
	puts("\n'tarn COMMAND --help' tells more of one; tarn(1) of all.");
}

void
cmd_print(const struct cmd *cmd)
{
	printf("usage: tarn %s%s%s\n\n%s\n", cmd->name, *cmd->args ? " " : "",
	    cmd->args, cmd->summary);
	if (cmd->details)
		printf("\n%s", cmd->details);
}

const struct cmd *
cmd_find(const char *name)
{
	for (const struct cmd *const *c = cmds; *c; c++) {
		if (strcmp((*c)->name, name) == 0)
			return *c;
	}
	return NULL;
}

int
cmd_run(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct cmd *cmd;

	if (!name)
		return cmd_usage(NULL, "no command given");
	if (strcmp(name, "--version") == 0) {
		puts("tarn " TARN_VERSION);
		return cmd_finish(CMD_OK);
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		cmd_print_all();
		return cmd_finish(CMD_OK);
	}
	if (name[0] == '-')
		return cmd_usage(NULL, "unknown option '%s'", name);
	cmd = cmd_find(name);
	if (!cmd)
		return cmd_usage(NULL, "unknown command '%s'", name);
	return cmd_finish(cmd->run(argc - 1, argv + 1));
}

int
cmd_usage(const struct cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	fputs("tarn: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see 'tarn %s%s--help'\n", cmd ? cmd->name : "",
	    cmd ? " " : "");
	return CMD_USAGE;
}

int
cmd_fail(const struct error *err)
{
	fprintf(stderr, "tarn: %s\n", err->text);
	return CMD_FAILED;
}

int
cmd_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "tarn: cannot write the output: %s\n", strerror(errno));
	return CMD_FAILED;
}

bool
cmd_key(const struct cmd *cmd, const char *word, struct digest *digest)
{
	if (digest_parse(digest, word))
		return true;
	cmd_usage(cmd, "'%.100s' is no key; expected 64 hex digits, lower case",
	    word);
	return false;
}

char *
cmd_dir(void)
{
	char *dir = dirs_tarn();

	if (!dir)
		fputs("tarn: no folder to work in; set HOME or TARN_DIR\n",
		    stderr);
	return dir;
}

/* ---- options ---- */

/* "--name", "--name=VALUE" or "-l", "-lVALUE"; *value is what is attached. */
static const struct cmd_option *
find_option(
    const struct cmd_option *options, const char *word, const char **value)
{
	for (const struct cmd_option *o = options; o->name; o++) {
		size_t len = strlen(o->name);

		*value = NULL;
		if (word[1] != '-') {
			if (!o->letter || word[1] != o->letter)
				continue;
			*value = word[2] ? word + 2 : NULL;
			return o;
		}
		if (strncmp(word + 2, o->name, len) != 0)
			continue;
		if (word[2 + len] == '=')
			*value = word + 2 + len + 1;
		if (*value || !word[2 + len])
			return o;
	}
	return NULL;
}

/* Take one option and perhaps the word behind it; 0, or -1 and it is told. */
static int
take_option(
    const struct cmd *cmd, char ***word, const struct cmd_option *options)
{
	const char *value = NULL;
	const struct cmd_option *o = find_option(options, **word, &value);

	if (!o || (o->flag && value)) {
		cmd_usage(cmd, "unknown option '%s'", **word);
		return -1;
	}
	if (o->flag) {
		*o->flag = true;
		return 0;
	}
	if (!value)
		value = *++*word;
	if (!value) {
		cmd_usage(cmd, "--%s needs a value", o->name);
		return -1;
	}
	if (o->value) {
		*o->value = value;
		return 0;
	}
	if (o->values->count == CMD_VALUES) {
		cmd_usage(cmd, "--%s is given more than %d times", o->name,
		    CMD_VALUES);
		return -1;
	}
	o->values->item[o->values->count++] = value;
	return 0;
}

int
cmd_options(const struct cmd *cmd, char **argv,
    const struct cmd_option *options, struct cmd_words words, int *status)
{
	bool ended = false;
	int count = 0;

	*status = CMD_USAGE;
	for (char **word = argv + 1; *word; word++) {
		if (!ended && strcmp(*word, "--") == 0) {
			ended = true;
		} else if (!ended && strcmp(*word, "--help") == 0) {
			cmd_print(cmd);
			*status = CMD_OK;
			return -1;
		} else if (ended || (*word)[0] != '-' || !(*word)[1]) {
			argv[++count] = *word;
		} else if (take_option(cmd, &word, options) < 0) {
			return -1;
		}
	}
	if (count >= words.least && count <= words.most)
		return count;
	if (count < words.least)
		cmd_usage(cmd, "'%s' needs %s", cmd->name, cmd->args);
	else
		cmd_usage(cmd, "unexpected '%s'", argv[words.most + 1]);
	return -1;
}
