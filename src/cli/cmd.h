#ifndef CMD_H
#define CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * One file per subcommand, one entry per file. `run` gets argv from the
 * subcommand's name on and returns the exit status: 0; 1 for what failed or was
 * not there; 2 for a command line that can't be understood. Results go to
 * stdout, all else to stderr.
 */
enum cmd_status { CMD_OK, CMD_FAILED, CMD_USAGE };

struct cmd {
	const char *name, *args, *summary;
	const char *details; /* for --help; lines, or NULL */
	int (*run)(int argc, char **argv);
};

extern const struct cmd cmd_config, cmd_copy, cmd_daemon, cmd_doctor, cmd_fetch,
    cmd_flush, cmd_gc, cmd_help, cmd_locations, cmd_ls, cmd_mark, cmd_read,
    cmd_rm, cmd_show, cmd_stats, cmd_verify, cmd_write;

/* argv as main() got it. */
int cmd_run(int argc, char **argv);

/* NULL if there is none of that name. */
const struct cmd *cmd_find(const char *name);

/* What `tarn --help` and `tarn <command> --help` print. */
void cmd_print_all(void);
void cmd_print(const struct cmd *cmd);

/* All values of an option that may be given several times; a NULL is at the end. */
#define CMD_VALUES 64
struct cmd_values {
	const char *item[CMD_VALUES + 1]; /* borrowed from argv */
	size_t count;
};

/* An option fills in one of the three; the table ends with an empty one. */
struct cmd_option {
	const char *name;   /* without the dashes */
	char letter;        /* 0 if it has none */
	bool *flag;         /* takes no value */
	const char **value; /* takes one; borrowed from argv */
	struct cmd_values *values;
};

/*
 * Take the options out of argv, wherever they stand before a "--"; what is left
 * is argv[1] to argv[n], whose number is returned. -1: `run` returns `*status`
 * at once, for --help was asked for (CMD_OK) or something was wrong, and told
 * (CMD_USAGE); as it is when less than `least` or more than `most` are left.
 */
struct cmd_words {
	int least, most;
};
int cmd_options(const struct cmd *cmd, char **argv,
    const struct cmd_option *options, struct cmd_words words, int *status);

/* Print "tarn: <message>" and, if it is one of usage, where to find help. */
int cmd_usage(const struct cmd *cmd, const char *fmt, ...) PRINTF_LIKE(2, 3);
int cmd_fail(const struct error *err);

/* A key as it is written. False, and it is told, if `word` is none. */
struct digest;
bool cmd_key(const struct cmd *cmd, const char *word, struct digest *digest);

/* dirs_tarn(); NULL if there is none, and it is told. The caller frees it. */
char *cmd_dir(void);

/*
 * Everything that was printed has arrived: flush stdout. A full disk or a closed
 * pipe is a failure and told; else `status` is returned.
 */
int cmd_finish(int status);

#endif
