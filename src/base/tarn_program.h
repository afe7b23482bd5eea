#ifndef TARN_PROGRAM_H
#define TARN_PROGRAM_H

#include "base/error.h"

/*
 * Run a program that belongs to us, words[0]: the one beside our own file, else the
 * one on PATH. `words` and `variables` (set over our environment) end with NULL. It
 * gets no standard input, none of our descriptors, and what it prints goes nowhere.
 * -1 unless it ends with status 0 within so many milliseconds; *err then has its
 * last line on stderr, or `sys` is ETIMEDOUT, and it was killed.
 */
#define TARN_PROGRAM_MS 10000 /* enough for anything that reads files */
int tarn_program_run(const char *const *words, const char *const *variables,
    int within_ms, struct error *err);

/* The same of one that is to say something, as with --version: the first line on its
 * standard output, which the caller frees. NULL with *err, or if it says nothing. */
char *tarn_program_ask(
    const char *const *words, int within_ms, struct error *err);

/* Where that is: the one beside our own file; or just its name. The caller frees it. */
char *tarn_program_path(const char *name);

#endif
