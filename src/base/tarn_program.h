#ifndef TARN_PROGRAM_H
#define TARN_PROGRAM_H

#include "base/error.h"

/*
 * Run the program `tarn` that belongs to us: the one beside our own file, else
 * the one on PATH. `words` and `variables` (set over our environment) end with
 * NULL. It gets no standard input, and what it prints goes nowhere. -1 unless it
 * ends with status 0 within 10 seconds; *err then has its last line on stderr.
 */
int tarn_program_run(
    const char *const *words, const char *const *variables, struct error *err);

#endif
