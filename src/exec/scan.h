#ifndef SCAN_H
#define SCAN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Looking through outputs for what must not leak into them unnoticed: the root's
 * path (as it is, and as compilers spell it in symbols), the working directory
 * as PWD spells it, the date and time of the run.
 */
enum { SCAN_ROOT, SCAN_PWD, SCAN_CLOCK, SCAN_HOST, SCAN_KINDS };

#define SCAN_PATTERNS 96

struct scan {
	struct {
		char text[512];
		size_t size;
		int kind;
	} pattern[SCAN_PATTERNS];
	size_t count;
	bool found[SCAN_KINDS];
};

/* Begun when the command is over; it began at most a moment before its run. */
void scan_init(struct scan *scan, const char *root, const char *cwd);
void scan_host(struct scan *scan); /* its name, too */
void scan_since(struct scan *scan, long seconds);
void scan_bytes(struct scan *scan, const void *data, size_t size);
void scan_file(struct scan *scan, int fd); /* all of it; the offset stays */

#endif
