#include "cli/cmd.h"
static int
run(int argc, char **argv)
{
	return 0;
}
const struct cmd cmd_stats = {
	.name = "stats", .args = "", .summary = "", .run = run
};
