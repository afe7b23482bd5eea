#include "base/log.h"
#include "cli/cmd.h"

int
main(int argc, char **argv)
{
	log_start("tarn", 1);
	return cmd_run(argc, argv);
}
