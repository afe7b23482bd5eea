#ifndef SIZE_H
#define SIZE_H

#include <stdint.h>

#include "base/error.h"

/*
 * A number of bytes as people write it: "4096", "100KiB", "1.5 GiB", "10GB".
 * Units are B, K, M, G, T, P with or without B (powers of 1000, as humanfriendly
 * has it in the Python library) and KiB ... PiB (powers of 1024), in any case.
 * Returns 0, or -1 with ERROR_USAGE and *size untouched.
 */
int size_parse(const char *text, uint64_t *size, struct error *err);

#endif
