#ifndef COMPILE_H
#define COMPILE_H

#include "actions/action.h"

/* What the other kinds ask of the compile's table of options. */

/* Is it gcc or clang, by a name under which they take sources and objects? */
bool compile_is_driver(const char *program);

/* Do the words name anything to work on? */
bool compile_names_input(char *const *argv);

/* What the words of a driver say that only links. */
void compile_describe_link(struct action *action);

#endif
