#ifndef CLASSIFY_H
#define CLASSIFY_H

#include <stdbool.h>

/* Paths that mean no file: what looking into /proc, /sys and /dev amounts to. */
enum special {
	SPECIAL_NONE,      /* an ordinary path */
	SPECIAL_TOLERATED, /* says nothing that may count, or is a sink */
	SPECIAL_CPU,       /* the processor: a fact about the machine */
	SPECIAL_UNAME,     /* the kernel: likewise */
	SPECIAL_ENVIRONMENT,
	SPECIAL_STDIN,
	SPECIAL_REFUSED,
};

/* `opened`: it is opened and not just looked for. */
enum special classify_path(const char *path, int opened);

/* What is known of a program by its name. */
enum program_class {
	PROGRAM_UNKNOWN,
	PROGRAM_COMPILER, /* looks for paths and content, not at times or modes */
	PROGRAM_TIMES,    /* looks at times of modification, of files */
	PROGRAM_OWNERS,   /* ... and at owners */
	PROGRAM_ALL_TIMES, /* ... and at times of folders */
	PROGRAM_SHELL,
	PROGRAM_ARCHIVER, /* can put times and owners into what it writes */
	PROGRAM_OBJECTS,  /* edits or shows object files */
	PROGRAM_REFUSED,  /* its result is the clock, the host, chance */
};
enum program_class classify_program(const char *path);

/* Does it lie where only packages and administrators put programs? A program of
 * a known name may be anything elsewhere. */
bool classify_is_system(const char *path);

#endif
