#ifndef TOOLCHAIN_H
#define TOOLCHAIN_H

#include "actions/plain_compile.h"
#include "exec/job.h"

/*
 * What a compiler says of itself, where nobody can watch it: which programs it will
 * run, with which options, and where it looks for headers. All of that depends on
 * more files than anybody could list. So it is asked anew each time, and its answers
 * belong to the key, as do the programs that they name and their libraries.
 */
struct toolchain {
	struct plain_compile plain;
	struct words folders;  /* of the search path, in order; owned */
	struct words programs; /* that it runs, itself included; owned */
	bool is_clang;

	/* Of the run itself, told.c: */
	int list;         /* what it read, in a file of ours; or -1 */
	int assembled;    /* what its assembler read; or -1 */
	mode_t before[2]; /* type of what was there: output, depfile */
	bool looked;      /* it was preprocessed before the run, to `text` */
	struct digest text;
};

/* -1 with *err, if the answers don't tell all that counts. */
int toolchain_ask(struct toolchain *tools, const struct job *job,
    struct hasher *h, struct error *err);
void toolchain_release(struct toolchain *tools);

/* Run the driver of the job with these words. What it says on both streams is
 * appended. -1 with *err if it can't be run or fails. */
int toolchain_run(const struct job *job, char *const *words, struct buf *said,
    struct error *err);

#endif
