#ifndef PLAIN_COMPILE_H
#define PLAIN_COMPILE_H

#include "actions/action.h"
#include "actions/includes.h"

/*
 * A compile of which the words alone tell what it can read and write: one C or C++
 * source to an object or to assembly (-c, -S), with none but options that are known
 * to read nothing but headers and to write nothing but the output and a depfile.
 */
struct plain_compile {
	/* The words without source, output, depfile and all that chooses what is
	 * done; with room for PLAIN_MORE more, then NULL. An owned array of
	 * borrowed words. */
	char **words;
	size_t count;
	const char *source;     /* as it stands in the words; borrowed */
	const char *language;   /* "c" or "c++" */
	bool assembles;         /* -c */
	bool lists;             /* -MD, -MMD: it leaves a depfile */
	bool lists_all;         /* ... that has headers of the system, too */
	struct includes forced; /* by -include and -imacros */
};
#define PLAIN_MORE 20

/* False, and `why`, if it is no such compile. plain_compile_release() after both. */
bool plain_compile_read(struct plain_compile *plain,
    const struct action *action, char *why, size_t size);
void plain_compile_release(struct plain_compile *plain);

#endif
