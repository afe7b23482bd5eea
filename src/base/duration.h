#ifndef DURATION_H
#define DURATION_H

#include <stdint.h>

#include "base/error.h"

/*
 * A time span as people write it: "30d", "12 h", "1.5 hours". Units are seconds,
 * minutes, hours, days and weeks, by their first letter, "min", or in full; one has
 * to be there. Returns 0 with *seconds, rounded down, or -1 with ERROR_USAGE and
 * *seconds untouched.
 */
int duration_parse(const char *text, uint64_t *seconds, struct error *err);

#endif
