#ifndef RULES_H
#define RULES_H

#include "exec/job.h"

/*
 * The rules of the configuration: what tarn.json declares for the commands whose
 * output, told from the root, or whose words fit a glob. Later rules override a
 * kind, a label and what is done with failures; lists add up, to each other and to the options.
 */
void rules_apply(struct job *job);

#endif
