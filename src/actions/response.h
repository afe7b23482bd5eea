#ifndef RESPONSE_H
#define RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A command's words with those of its response files ("@file") in place, as gcc
 * and clang both read them: blanks part words, quotes join them.
 */
struct response {
	struct response_word {
		char *text;  /* owned */
		bool inside; /* it stood in a file */
	} * word;
	size_t count;
	bool understood; /* false: a file is missing, or has a form that the
	                  * compilers differ about; its "@file" stays */
};

/* `argv` without its first word; relative files are taken from `cwd`. */
void response_init(struct response *r, char *const *argv, const char *cwd);
void response_release(struct response *r);

#endif
