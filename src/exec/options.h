#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The words and variables that tell tarn-exec what to do. */

struct words {
	const char **item; /* owned array of borrowed words */
	size_t count;
};

struct options {
	struct words inputs, outputs, depfiles, unstable, stable, env, no_env;
	const char *kind; /* NULL: auto */
	const char *label, *config, *build;
	const char *failures; /* of the rules: when to keep them; NULL: never */
	int trace;            /* -1: not said */
	bool stdin_, refresh, read_only, offline, check, map_root, explain;
	bool disable;
	bool help, version;
	char **command;  /* borrowed; NULL-terminated */
	bool masquerade; /* we were called by the command's name */
};

/* `argv` of main(). -1 with ERROR_USAGE on a word that is none of ours. */
int options_parse(
    struct options *options, int argc, char **argv, struct error *err);
void options_release(struct options *options);
void words_add(struct words *words, const char *word);

extern const char options_help[];

#endif
