#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Which environment variables count (docs/keys.md). For programs that we know
 * those that they and the C library document; for others all of them but a
 * list of variables that name sessions, terminals and jobs.
 */

/* Those of a compiler and what it runs; NULL at the end. */
extern const char *const environment_compiler[];

/* Does it name who works where, at which terminal, in which job? */
bool environment_is_session(const char *name, size_t size);

/* Is code put into every program, by LD_PRELOAD or LD_AUDIT, that is not
 * valgrind's? It may ask for any variable. */
bool environment_preloads(void);

/* For struct world: what counts of "NAME=VALUE" when all of them do. */
void environment_add(const char *entry, struct buf *to);

/* What counts of the value of a variable that counts. */
void environment_add_value(const char *name, const char *value, struct buf *to);

/* --no-env: this one (or "NAME*") doesn't count either; borrowed. */
void environment_leave_out(const char *name);
bool environment_is_left_out(const char *name);

/* "NAME" or "NAME*". */
bool environment_fits(const char *pattern, const char *name, size_t size);

#endif
