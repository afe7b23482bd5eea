/* Inside of another action: what the outer tarn-exec has to know of a hit. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "exec/job.h"

/* ---- may it be an action of its own? ---- */

static bool
is_watched(const struct strays *watched, int fd)
{
	for (int i = 0; i < watched->count; i++) {
		if (watched->fd[i] == fd)
			return true;
	}
	return false;
}

bool
outer_lets_us(const struct job *job, const struct strays *strays)
{
	const struct options *o = &job->options;

	if (job->nest.mode == NEST_NONE)
		return true;
	if (job->nest.mode != NEST_OPEN || o->inputs.count ||
	    o->unstable.count || o->stable.count)
		return false;
	for (int i = 0; i < strays->count; i++) {
		if (!is_watched(&job->nest.strays, strays->fd[i]))
			return false;
	}
	return true;
}

/* ---- what a hit stands for ---- */

static int
tell_machine(struct job *job, const char *name)
{
	static const struct {
		const char *name;
		uint32_t asked;
	} facts[] = {
		{ "uname", NEST_ASKED_UNAME },
		{ "cpu", NEST_ASKED_CPU },
		{ "cwd", NEST_ASKED_CWD },
		{ "root", NEST_ASKED_CWD },
		{ "words", NEST_STRANGER },
	};

	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++) {
		if (strcmp(facts[i].name, name) == 0)
			job->nest.request.asked |= facts[i].asked;
	}
	return 0;
}

static int
tell_observation(void *arg, enum place place, uint32_t facets, const char *path)
{
	struct job *job = arg;
	auto_free char *whole = NULL;

	switch (place) {
	case PLACE_ROOT:
		whole = xasprintf(
		    "%s%s", job->root, strcmp(path, "/") == 0 ? "" : path);
		break;
	case PLACE_ABSOLUTE: whole = xstrdup(path); break;
	case PLACE_OUTPUT: whole = xstrdup(job->outputs[0]); break;
	case PLACE_MACHINE: return tell_machine(job, path);
	default: /* variables: ours are its own, or made by what it watched */
		if (strcmp(path, "*") == 0)
			job->nest.request.asked |= NEST_ASKED_ENVIRONMENT;
		return 0;
	}
	nest_seen(&job->nest, whole, facets);
	return 0;
}

static void
tell_sources(struct job *job)
{
	struct stat st;

	for (size_t i = 0; i < job->action.source_count; i++) {
		auto_free char *path =
		    action_path(&job->action, job->action.sources[i]);

		nest_seen(&job->nest, path,
		    stat(path, &st) < 0 ? FACET_ABSENT : FACET_CONTENT);
	}
}

static void
tell_outputs(struct job *job)
{
	for (size_t i = 0; i < job->record.count; i++) {
		const struct output *output = &job->record.outputs[i];
		auto_free char *path = restore_path(&job->world, output);

		if (path)
			nest_made(
			    &job->nest, path, (int)output->type, output->flags);
	}
}

/* The outer one looked after we did: is all still as we saw it? */
static bool
is_still_so(struct job *job)
{
	struct path_set_data data = { .data = job->found_set.data,
		.size = job->found_set.len };
	struct look look = LOOK_INIT;
	struct digest key = job->key;
	struct error err = { 0 };
	bool same;

	digest_bytes(&data.name, data.data, data.size);
	same = key_compute(job, &err) == 0 && digest_equal(&key, &job->key) &&
	    path_set_look(&data, &job->key, &job->world, NULL, &look, &err) ==
	        HIT &&
	    digest_equal(&look.fingerprint, &job->shown);
	job->key = key;
	look_release(&look);
	return same;
}

void
outer_hears_of_failure(struct job *job)
{
	static const char told[] =
	    "an inner hit that it was told of could not be restored";

	if (job->nest.mode == NEST_OPEN)
		job->nest.request.refusal = nest_bytes(told);
}

void
outer_knows_search(struct job *job)
{
	struct error err;

	if (job->nest.mode != NEST_OPEN)
		return;
	job->nest.request.kind = NEST_PASS;
	(void)nest_ask(&job->nest, -1, NULL, &err);
}

bool
outer_knows_hit(struct job *job)
{
	struct error err = { 0 };

	if (job->nest.mode != NEST_OPEN)
		return true;
	tell_sources(job);
	if (path_set_each(job->found_set.data, job->found_set.len,
	        tell_observation, job, &err) != 0)
		return false;
	tell_outputs(job);
	job->nest.request.kind = NEST_HIT;
	if (nest_ask(&job->nest, -1, NULL, &err) < 0) {
		job_note(job, "%s", err.text);
		return false;
	}
	nest_forget(&job->nest);
	if (is_still_so(job))
		return true;
	job_reason(job, "what it depends on changed meanwhile");
	return false;
}
