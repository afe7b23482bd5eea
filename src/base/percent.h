#ifndef PERCENT_H
#define PERCENT_H

#include <stddef.h>

/*
 * "%2F" for "/", as in URLs. percent_decode(): NULL if a "%" has no two digits or
 * stands for a NUL. The caller frees what comes.
 */
char *percent_decode(const char *text, size_t len);

#endif
