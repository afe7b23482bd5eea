#ifndef MACHINE_H
#define MACHINE_H

#include "base/buf.h"

/* What a program can learn of the processor: how many there are, and the model
 * and features of the first. Clock rates and the like are left out. */
void machine_add_cpu(struct buf *to);

#endif
