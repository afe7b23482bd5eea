#ifndef RULES_H
#define RULES_H

#include "exec/job.h"

/*
 * The rules of the configuration: what tarn.json declares for the commands whose
 * output, told from the root, or whose words fit a glob. Later rules override a
 * kind and a label; lists add up, to each other and to the options.
 */
void rules_apply(struct job *job);

#endif
