#include "cli/cmd.h"

#include <stddef.h>

static int
run(int argc, char **argv)
{
	static const struct cmd_option options[] = { { 0 } };
	const struct cmd *cmd;
	int status,
	    count = cmd_options(
	        &cmd_help, argv, options, (struct cmd_words){ 0, 1 }, &status);

	if (count < 0)
		return status;
	if (count == 0) {
		cmd_print_all();
		return CMD_OK;
	}
	cmd = cmd_find(argv[1]);
	if (!cmd)
		return cmd_usage(NULL, "unknown command '%s'", argv[1]);
	cmd_print(cmd);
	return CMD_OK;
}

const struct cmd cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.summary = "tell what there is, or how one command is used",
	.run = run,
};
