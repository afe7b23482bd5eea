#ifndef INCLUDES_H
#define INCLUDES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The names by which a C or C++ text asks for others: what stands behind #include,
 * #include_next, #import and __has_include(), whether or not a compiler would get
 * there, in comments too. Whoever looks for all of them in all folders of a search
 * path knows everything that can change which files are read.
 *
 * Some texts ask in ways that a list of names can't hold: a name that is made by a
 * macro, an assembler's .incbin. `why` then says which.
 */
struct includes {
	struct include {
		char *name; /* owned */
		bool quoted;
	} * item;
	size_t count, cap;
	char **posing; /* owned: what #line says that it is, and its like */
	size_t posings;
	uint16_t pieces[13]; /* of __has_include: bits for sizes, by place */
	const char *why;     /* static; NULL: the names are all there is */
};

/* More names, from `text`. `system`: it came with the system, whose own assembly
 * reads no files. */
void includes_scan(
    struct includes *found, const char *text, size_t size, bool system);
void includes_add(
    struct includes *found, const char *name, size_t size, bool quoted);
void includes_release(struct includes *found);

/* Forget the names, not what else was seen, of which other texts may hold the rest. */
void includes_clear(struct includes *found);

#endif
