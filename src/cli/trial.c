#include "cli/trial.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#define TEST_SIZE 4096 /* bytes */

const char *const trial_verdicts[] = { "sound", "only read", "declined",
	"failed" };
const char *const trial_steps[TRIAL_STEPS] = { "look", "write", "read",
	"remove" };

struct sample {
	char data[TEST_SIZE];
	struct key key;
};

static void
make_sample(struct sample *sample)
{
	struct timespec now = { 0 };

	memset(sample->data, 0, TEST_SIZE);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	snprintf(sample->data, TEST_SIZE, "tarn locations --test %ld.%09ld %d",
	    (long)now.tv_sec, now.tv_nsec, (int)getpid());
	(void)getrandom(sample->data + 64, TEST_SIZE - 64, GRND_NONBLOCK);
	sample->key.space = KEY_BLOB;
	digest_bytes(&sample->key.digest, sample->data, TEST_SIZE);
}

typedef enum outcome step_fn(
    struct location *loc, struct sample *sample, struct error *err);

static enum outcome
look(struct location *loc, struct sample *sample, struct error *err)
{
	return location_contains(loc, &sample->key, err);
}

static enum outcome
write_sample(struct location *loc, struct sample *sample, struct error *err)
{
	auto_source *in = source_memory(sample->data, TEST_SIZE);

	return location_write(loc, &sample->key, in, WRITE_IF_ABSENT, err);
}

static enum outcome
read_sample(struct location *loc, struct sample *sample, struct error *err)
{
	auto_buf data = BUF_INIT;
	auto_sink *out = sink_buf(&data, TEST_SIZE);
	enum outcome outcome = location_read(loc, &sample->key, out, err);

	if (outcome == MISS)
		return error_set(err, ERROR_CORRUPT,
		    "what was written is not there to be read");
	if (outcome == HIT &&
	    (data.len != TEST_SIZE ||
	        memcmp(data.data, sample->data, TEST_SIZE) != 0))
		return error_set(err, ERROR_CORRUPT,
		    "what was read is not what was written");
	return outcome;
}

static enum outcome
remove_sample(struct location *loc, struct sample *sample, struct error *err)
{
	enum outcome outcome = location_remove(loc, &sample->key, err);

	if (outcome == MISS)
		return error_set(
		    err, ERROR_SYSTEM, "what was written could not be removed");
	if (outcome == HIT && location_contains(loc, &sample->key, err) == HIT)
		return error_set(
		    err, ERROR_SYSTEM, "what was removed is still there");
	return outcome;
}

static enum outcome
take_step(struct trial *trial, enum trial_step step, struct location *loc,
    struct sample *sample)
{
	static step_fn *const fns[TRIAL_STEPS] = { look, write_sample,
		read_sample, remove_sample };
	int64_t start = clock_us();
	struct error err = { 0 };
	enum outcome outcome = fns[step](loc, sample, &err);

	trial->us[step] = (uint64_t)(clock_us() - start);
	trial->done[step] = outcome != FAILED;
	if (outcome == FAILED && trial->verdict != TRIAL_FAILED) {
		trial->verdict = TRIAL_FAILED;
		trial->err = err;
		error_wrap(&trial->err, "%s", trial_steps[step]);
	}
	if (step == TRIAL_WRITE && outcome == DECLINED) {
		trial->verdict = TRIAL_DECLINED;
		trial->err = err;
	}
	return outcome;
}

/* What was written goes, even if it could not be read. */
void
trial_make(const struct tree_node *node, struct trial *trial)
{
	struct sample sample;

	*trial = (struct trial){ .verdict = TRIAL_SOUND };
	make_sample(&sample);
	if (take_step(trial, TRIAL_LOOK, node->loc, &sample) == FAILED)
		return;
	if (!node->may_change) {
		trial->verdict = TRIAL_ONLY_READ;
		return;
	}
	if (take_step(trial, TRIAL_WRITE, node->loc, &sample) <= DECLINED)
		return;
	(void)take_step(trial, TRIAL_READ, node->loc, &sample);
	(void)take_step(trial, TRIAL_REMOVE, node->loc, &sample);
}
