/*
 * `tarn locations`: the tree of locations, and with --test whether each leaf keeps
 * what it is given: a value that nobody else has is written, read back, compared
 * and removed.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/config_reader.h"
#include "cli/format.h"
#include "cli/tree.h"

#define TEST_SIZE 4096 /* bytes */

enum verdict { SOUND, ONLY_READ, TEST_DECLINED, TEST_FAILED };

static const char *const verdicts[] = { "sound", "only read", "declined",
	"failed" };

/* Steps of a test, in their order. */
enum step { LOOK, WRITE, READ, REMOVE, STEPS };

static const char *const steps[STEPS] = { "look", "write", "read", "remove" };

struct trial {
	enum verdict verdict;
	uint64_t us[STEPS];
	bool done[STEPS];
	struct error err;
};

struct locations {
	bool as_json, test, failed;
	struct buf line;
};

/* ---- testing ---- */

static uint64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

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
take_step(struct trial *trial, enum step step, struct location *loc,
    struct sample *sample)
{
	static step_fn *const fns[STEPS] = { look, write_sample, read_sample,
		remove_sample };
	uint64_t start = now_us();
	struct error err = { 0 };
	enum outcome outcome = fns[step](loc, sample, &err);

	trial->us[step] = now_us() - start;
	trial->done[step] = outcome != FAILED;
	if (outcome == FAILED && trial->verdict != TEST_FAILED) {
		trial->verdict = TEST_FAILED;
		trial->err = err;
		error_wrap(&trial->err, "%s", steps[step]);
	}
	if (step == WRITE && outcome == DECLINED) {
		trial->verdict = TEST_DECLINED;
		trial->err = err;
	}
	return outcome;
}

/* What was written goes, even if it could not be read. */
static void
test(const struct tree_node *node, struct trial *trial)
{
	struct sample sample;

	make_sample(&sample);
	if (take_step(trial, LOOK, node->loc, &sample) == FAILED)
		return;
	if (!node->may_change) {
		trial->verdict = ONLY_READ;
		return;
	}
	if (take_step(trial, WRITE, node->loc, &sample) <= DECLINED)
		return;
	(void)take_step(trial, READ, node->loc, &sample);
	(void)take_step(trial, REMOVE, node->loc, &sample);
}

/* ---- showing ---- */

static void
add_trial(struct buf *to, const struct trial *trial)
{
	bool first = true;

	buf_addf(to, "%s", verdicts[trial->verdict]);
	for (size_t i = 0; i < STEPS; i++) {
		if (!trial->done[i])
			continue;
		buf_addf(to, "%s%s %.2f ms", first ? ": " : ", ", steps[i],
		    (double)trial->us[i] / 1000);
		first = false;
	}
	if (trial->err.text[0])
		buf_addf(to, "; %s", trial->err.text);
}

/* Which of its level's switches are not as usual. */
static void
add_policies(struct buf *to, const struct tree_node *node)
{
	const Tarn__Level *level = node->level;

	if (level && level->read_only)
		buf_addf(to, ", write: false");
	if (level && level->no_replicate)
		buf_addf(to, ", replicate: false");
	if (level && level->touch)
		buf_addf(to, ", touch: true");
}

static void
add_text(struct buf *to, const struct tree_node *node)
{
	const Tarn__Location *config = node->config;
	auto_free char *place = reader_hide_password(config->place);

	buf_addf(to, "%*s", (int)(2 * node->depth), "");
	if (node->level && *node->level->name)
		buf_addf(to, "%s: ", node->level->name);
	buf_addf(to, "%s%s%s", config->kind, *place ? " " : "", place);
	if (config->n_levels)
		buf_addf(to, ", writes: %s", config->first ? "first" : "all");
	if (config->max_size) {
		buf_addf(to, ", max_size: ");
		format_size(to, config->max_size);
	}
	for (size_t i = 0; i < config->n_options; i++) {
		const Tarn__Option *o = config->options[i];

		buf_addf(to, ", %s: %s", o->name,
		    reader_secret_name(o->name) ? "***" : o->value);
	}
	add_policies(to, node);
}

static void
json_of_trial(struct buf *to, const struct trial *trial)
{
	json_name(to, "test");
	buf_add(to, "{", 1);
	format_json_text(to, "outcome", verdicts[trial->verdict]);
	format_json_text(
	    to, "error", trial->err.text[0] ? trial->err.text : NULL);
	for (size_t i = 0; i < STEPS; i++) {
		auto_free char *name = xasprintf("%s_us", steps[i]);

		if (trial->done[i])
			format_json_number(to, name, trial->us[i]);
	}
	buf_add(to, "}", 1);
}

static void
add_json(struct buf *to, const struct tree_node *node)
{
	const Tarn__Location *config = node->config;
	auto_free char *place = reader_hide_password(config->place);
	const Tarn__Level *level = node->level;

	format_json_text(to, "name", node->loc->label);
	format_json_number(to, "depth", node->depth);
	format_json_text(to, "kind", config->kind);
	format_json_text(to, "place", *place ? place : NULL);
	if (config->n_levels)
		format_json_text(to, "writes", config->first ? "first" : "all");
	if (config->max_size)
		format_json_number(to, "max_size", config->max_size);
	for (size_t i = 0; i < config->n_options; i++) {
		const Tarn__Option *o = config->options[i];

		format_json_text(to, o->name,
		    reader_secret_name(o->name) ? "***" : o->value);
	}
	if (!level)
		return;
	format_json_flag(to, "write", !level->read_only);
	format_json_flag(to, "replicate", !level->no_replicate);
	format_json_flag(to, "touch", level->touch);
}

static int
show_node(void *arg, const struct tree_node *node)
{
	struct locations *locations = arg;
	bool tested = locations->test && !node->loc->kind->member;
	struct buf *to = &locations->line;
	struct trial trial = { 0 };

	if (tested)
		test(node, &trial);
	locations->failed |= trial.verdict == TEST_FAILED;
	buf_add(to, "{", locations->as_json);
	(locations->as_json ? add_json : add_text)(to, node);
	if (tested && locations->as_json)
		json_of_trial(to, &trial);
	buf_add(to, "}", locations->as_json);
	format_print(to);
	if (!tested || locations->as_json)
		return 0;
	buf_addf(to, "%*s", (int)(2 * node->depth + 2), "");
	add_trial(to, &trial);
	format_print(to);
	return 0;
}

static int
run(int argc, char **argv)
{
	struct locations locations = { .line = BUF_INIT };
	const char *file = NULL;
	const struct cmd_option options[] = {
		{ "test", .flag = &locations.test },
		{ "json", .flag = &locations.as_json },
		{ "config", .value = &file },
		{ 0 },
	};
	struct error err = { 0 };
	struct tree tree;
	int status;

	if (cmd_options(&cmd_locations, argv, options,
	        (struct cmd_words){ 0, 0 }, &status) < 0)
		return status;
	if (tree_open(&tree, file, &err) < 0)
		return cmd_fail(&err);
	(void)tree_each(&tree, show_node, &locations);
	tree_close(&tree);
	buf_release(&locations.line);
	return locations.failed ? CMD_FAILED : CMD_OK;
}

const struct cmd cmd_locations = {
	.name = "locations",
	.args = "[--test] [--json] [--config FILE]",
	.summary = "show the tree of locations, and whether each works",
	.details =
	    "  --test         write, read, compare and remove a value in each\n"
	    "  --json         an object a line\n"
	    "  --config FILE  this configuration file only\n",
	.run = run,
};
