#ifndef TRIAL_H
#define TRIAL_H

#include "cli/tree.h"

/*
 * Does a leaf keep what it is given? A value that nobody else has is written, read
 * back, compared and removed; where nothing is written, one is looked for.
 */
enum trial_verdict {
	TRIAL_SOUND,
	TRIAL_ONLY_READ,
	TRIAL_DECLINED,
	TRIAL_FAILED,
};

/* In their order. */
enum trial_step {
	TRIAL_LOOK,
	TRIAL_WRITE,
	TRIAL_READ,
	TRIAL_REMOVE,
	TRIAL_STEPS,
};

extern const char *const trial_verdicts[], *const trial_steps[TRIAL_STEPS];

struct trial {
	enum trial_verdict verdict;
	uint64_t us[TRIAL_STEPS];
	bool done[TRIAL_STEPS];
	struct error err; /* why it failed or was declined */
};

void trial_make(const struct tree_node *node, struct trial *trial);

#endif
