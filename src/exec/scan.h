#ifndef SCAN_H
#define SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * Looking through outputs for what must not leak into them unnoticed: the root's
 * path (as it is, and as compilers spell it in symbols), the working directory
 * as PWD spells it, the date and time of the run.
 */
enum { SCAN_ROOT, SCAN_PWD, SCAN_CLOCK, SCAN_HOST, SCAN_KINDS };

#define SCAN_PATTERNS 160
#define SCAN_VARIABLES 48
#define SCAN_MOMENTS 64

struct scan {
	struct {
		char text[512];
		size_t size;
		int kind;
	} pattern[SCAN_PATTERNS];
	size_t count;
	bool found[SCAN_KINDS];

	const char *variable[SCAN_VARIABLES]; /* as in environ */
	bool shown[SCAN_VARIABLES];           /* its value was found */
	size_t variables;

	bool moments; /* look for any, too: */
	int64_t
	    moment[SCAN_MOMENTS]; /* seconds since the epoch; days negative */
	size_t moment_count;      /* SCAN_MOMENTS: too many to tell */
};

/* Begun when the command is over; it began at most a moment before its run. */
void scan_init(struct scan *scan, const char *root, const char *cwd);
void scan_host(struct scan *scan); /* its name, too */
void scan_since(struct scan *scan, long seconds);
/* `entry` is valid as long as the scan; `value` is what to look for. */
void scan_variable(struct scan *scan, const char *entry, const char *value);
/* 20011231 */
int64_t scan_day(const struct tm *day);
void scan_bytes(struct scan *scan, const void *data, size_t size);
void scan_file(struct scan *scan, int fd); /* all of it; the offset stays */

#endif
