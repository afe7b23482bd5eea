/*
 * What remote locations may cost one action. A lookup that brings nothing has cost
 * LOOKUP_US at most; outputs are fetched only if that is expected to take no longer
 * than the run took, and given up when it takes that and LOOKUP_US. tarnd has limits
 * of its own for all actions together (src/daemon/far.h).
 */
#include "base/buf.h"
#include "base/clock.h"
#include "exec/job.h"

#define LOOKUP_US 1000000
#define BRIEF_US 200000       /* more than that can't be foretold that well */
#define LONGEST_US 3600000000 /* whatever a record says */

/* How long the run took, by the word of a record that may be anybody's. */
static uint64_t
run_us(const struct job *job)
{
	uint64_t us = job->record.wall_us;

	return us < LONGEST_US ? us : LONGEST_US;
}

void
fetch_begin_lookup(struct job *job)
{
	location_set_deadline(job->tree, clock_us() + LOOKUP_US);
}

void
fetch_begin_restore(struct job *job)
{
	location_set_deadline(
	    job->tree, clock_us() + LOOKUP_US + (int64_t)run_us(job));
}

void
fetch_end(struct job *job)
{
	location_set_deadline(job->tree, 0);
}

/* ---- is it worth it? ---- */

struct blob {
	struct key key;
	bool near; /* some location of ours has it */
};

static void
look_near(void *arg, struct location *leaf)
{
	struct blob *blob = arg;
	struct error err;

	if (!blob->near && !leaf->kind->remote)
		blob->near = location_contains(leaf, &blob->key, &err) == HIT;
}

/* Its bytes if it has to be fetched. */
static uint64_t
far_bytes(struct job *job, const struct digest *digest, uint64_t size)
{
	struct blob blob = { .key = { KEY_BLOB, *digest } };

	if (size <= RECORD_INLINE)
		return 0;
	location_each_leaf(job->tree, look_near, &blob);
	return blob.near ? 0 : size;
}

static uint64_t
bytes_to_fetch(struct job *job)
{
	const struct record *record = &job->record;
	uint64_t bytes = far_bytes(job, &record->out.digest, record->out.size) +
	    far_bytes(job, &record->err.digest, record->err.size);

	for (size_t i = 0; i < record->count; i++) {
		const struct output *output = &record->outputs[i];

		if (output->type == OUTPUT_FILE)
			bytes += far_bytes(job, &output->digest, output->size);
	}
	return bytes;
}

bool
fetch_is_worth_it(struct job *job)
{
	struct location *leaf = job->leaf;
	uint64_t bytes, us;

	if (!leaf || !leaf->kind->remote || !leaf->kind->expect)
		return true;
	bytes = bytes_to_fetch(job);
	us = bytes ? location_expect(leaf, bytes) : 0;
	if (us <= run_us(job) + BRIEF_US)
		return true;
	job_reason(job,
	    "to fetch its %llu bytes from '%s' is expected to take %llu ms, "
	    "and the run took %llu ms",
	    (unsigned long long)bytes, leaf->label,
	    (unsigned long long)us / 1000,
	    (unsigned long long)run_us(job) / 1000);
	return false;
}
