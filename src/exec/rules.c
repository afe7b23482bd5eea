#include "exec/rules.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static bool
fits_output(const struct job *job, const char *glob)
{
	size_t size = strlen(job->root);
	const char *output = job->action.output;

	if (!output)
		return false;
	if (size > 1 && strncmp(output, job->root, size) == 0 &&
	    output[size] == '/')
		output += size + 1;
	return fnmatch(glob, output, 0) == 0;
}

static bool
fits_words(const struct job *job, const char *glob)
{
	auto_buf text = BUF_INIT;

	for (char *const *word = job->options.command; *word; word++)
		buf_addf(&text, "%s%s", text.len ? " " : "", *word);
	return fnmatch(glob, text.data, 0) == 0;
}

static bool
fits_declared(const struct job *job, const char *glob)
{
	for (size_t i = 0; i < job->options.outputs.count; i++) {
		if (fnmatch(glob, job->options.outputs.item[i], 0) == 0)
			return true;
	}
	return false;
}

/* Paths in a rule are the root's. */
static void
add_paths(struct job *job, struct words *to, char *const *paths, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *path = paths[i][0] == '/'
		    ? xstrdup(paths[i])
		    : xasprintf("%s/%s", job->root, paths[i]);

		words_add(to, path);
		words_add(&job->owned, path);
	}
}

static void
add_stable(struct job *job, const Tarn__Rule *rule)
{
	for (size_t i = 0; i < rule->n_stable; i++) {
		if (strncmp(rule->stable[i], "package:", 8) == 0)
			words_add(&job->options.stable, rule->stable[i]);
		else
			add_paths(
			    job, &job->options.stable, &rule->stable[i], 1);
	}
}

static void
apply(struct job *job, const Tarn__Rule *rule)
{
	struct options *o = &job->options;

	add_paths(job, &o->inputs, rule->inputs, rule->n_inputs);
	add_paths(job, &o->outputs, rule->outputs, rule->n_outputs);
	add_paths(job, &o->unstable, rule->unstable, rule->n_unstable);
	add_stable(job, rule);
	for (size_t i = 0; i < rule->n_env; i++)
		words_add(&o->env, rule->env[i]);
	if (*rule->kind && !o->kind && strcmp(rule->kind, "auto") != 0)
		o->kind = rule->kind;
	if (*rule->label && !o->label)
		o->label = rule->label;
	if (*rule->failures && !o->failures)
		o->failures = rule->failures;
	if (rule->map_root)
		o->map_root = true;
}

void
rules_apply(struct job *job)
{
	const Tarn__Config *config = job->config;

	for (size_t i = config ? config->n_rules : 0; i > 0; i--) {
		const Tarn__Rule *rule = config->rules[i - 1];

		if (fits_output(job, rule->match) ||
		    fits_words(job, rule->match) ||
		    fits_declared(job, rule->match))
			apply(job, rule);
	}
}
