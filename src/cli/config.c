/*
 * `tarn config`: the configuration in force, and where each value came from; as
 * tarn.json would have it, so that it can be copied from. Secrets are shown as
 * stars. `--compile` writes what tarn-exec reads instead: see base/config.h.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/dirs.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/config_json.h"
#include "cli/config_reader.h"

static void
free_tree(cJSON **tree)
{
	cJSON_Delete(*tree);
}

#define auto_tree auto_cleanup(free_tree) cJSON

/* ---- the Config as a tree ---- */

static cJSON *location_tree(const Tarn__Location *loc);

static cJSON *
level_tree(const Tarn__Level *level)
{
	cJSON *tree, *inner = location_tree(level->location);

	if (!level->read_only && !level->no_replicate && !level->touch &&
	    !level->name[0])
		return inner;
	tree = cJSON_CreateObject();
	cJSON_AddItemToObject(tree, "location", inner);
	if (level->read_only)
		cJSON_AddFalseToObject(tree, "write");
	if (level->no_replicate)
		cJSON_AddFalseToObject(tree, "replicate");
	if (level->touch)
		cJSON_AddTrueToObject(tree, "touch");
	if (level->name[0])
		cJSON_AddStringToObject(tree, "name", level->name);
	return tree;
}

/* What stands under the key that names the kind. */
static cJSON *
kind_tree(const Tarn__Location *loc)
{
	auto_free char *place = NULL;
	cJSON *list;

	if (strcmp(loc->kind, "small") == 0 && loc->n_members == 1)
		return location_tree(loc->members[0]);
	if (loc->n_levels || loc->n_members) {
		list = cJSON_CreateArray();
		for (size_t i = 0; i < loc->n_levels; i++)
			cJSON_AddItemToArray(list, level_tree(loc->levels[i]));
		for (size_t i = 0; i < loc->n_members; i++)
			cJSON_AddItemToArray(
			    list, location_tree(loc->members[i]));
		return list;
	}
	place = reader_hide_password(loc->place);
	return cJSON_CreateString(place);
}

/* Those of a lake that are no texts; secrets are none of them. */
static cJSON *
option_tree(const Tarn__Location *loc, const Tarn__Option *o)
{
	static const char *const flags[] = { "usage", "labels", NULL };
	static const char *const numbers[] = { "free_disk_size", "group",
		NULL };
	auto_free char *list = NULL;

	if (reader_secret_name(o->name))
		return cJSON_CreateString("***");
	if (strcmp(loc->kind, "disk") != 0)
		return cJSON_CreateString(o->value);
	for (const char *const *f = flags; *f; f++) {
		if (strcmp(o->name, *f) == 0)
			return cJSON_CreateBool(o->value[0] == '1');
	}
	for (const char *const *n = numbers; *n; n++) {
		if (strcmp(o->name, *n) == 0)
			return cJSON_CreateNumber(strtod(o->value, NULL));
	}
	if (strcmp(o->name, "levels") != 0)
		return cJSON_CreateString(o->value);
	list = xasprintf("[%s]", o->value);
	return cJSON_Parse(list);
}

static cJSON *
location_tree(const Tarn__Location *loc)
{
	cJSON *tree = cJSON_CreateObject();

	cJSON_AddItemToObject(tree, loc->kind, kind_tree(loc));
	if (loc->n_levels)
		cJSON_AddStringToObject(
		    tree, "writes", loc->first ? "first" : "all");
	for (size_t i = 0; i < loc->n_options; i++) {
		const Tarn__Option *o = loc->options[i];

		cJSON_AddItemToObject(tree, o->name, option_tree(loc, o));
	}
	if (loc->max_size)
		cJSON_AddNumberToObject(
		    tree, "max_size", (double)loc->max_size);
	return tree;
}

static void
add_texts(cJSON *tree, const char *name, size_t count, char **texts)
{
	cJSON *list;

	if (!count)
		return;
	list = cJSON_AddArrayToObject(tree, name);
	for (size_t i = 0; i < count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(texts[i]));
}

static cJSON *
rule_tree(const Tarn__Rule *rule)
{
	cJSON *tree = cJSON_CreateObject();

	cJSON_AddStringToObject(tree, "match", rule->match);
	add_texts(tree, "inputs", rule->n_inputs, rule->inputs);
	add_texts(tree, "outputs", rule->n_outputs, rule->outputs);
	add_texts(tree, "env", rule->n_env, rule->env);
	add_texts(tree, "unstable", rule->n_unstable, rule->unstable);
	add_texts(tree, "stable", rule->n_stable, rule->stable);
	if (rule->kind[0])
		cJSON_AddStringToObject(tree, "kind", rule->kind);
	if (rule->label[0])
		cJSON_AddStringToObject(tree, "label", rule->label);
	if (rule->failures[0])
		cJSON_AddStringToObject(tree, "failures", rule->failures);
	if (rule->map_root)
		cJSON_AddTrueToObject(tree, "map_root");
	return tree;
}

static cJSON *
key_tree(const Tarn__Config *config, enum config_key key)
{
	cJSON *list;

	if (key == CONFIG_LOCATIONS)
		return location_tree(config->locations);
	list = cJSON_CreateArray();
	for (size_t i = 0; i < config->n_rules; i++)
		cJSON_AddItemToArray(list, rule_tree(config->rules[i]));
	return list;
}

/* ---- showing it ---- */

static void
show_text(const struct config_json *json, const char *tarn_dir)
{
	printf("// TARN_DIR is %s\n", tarn_dir);
	for (size_t i = 0; i < json->config->n_sources; i++) {
		const Tarn__Source *source = json->config->sources[i];

		printf("// %s %s\n", source->absent ? "no file" : "read",
		    source->path);
	}
	puts("{");
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		auto_tree *tree = key_tree(json->config, (enum config_key)i);
		auto_free char *text = cJSON_Print(tree);

		printf("// from %s\n",
		    json->origin[i] ? json->origin[i] : "the default");
		printf("\"%s\": %s%s\n", config_key_names[i], text,
		    i + 1 < CONFIG_KEYS ? "," : "");
	}
	puts("}");
}

static void
show_json(const struct config_json *json, const char *tarn_dir)
{
	auto_tree *tree = cJSON_CreateObject();
	cJSON *from, *files;
	auto_free char *text = NULL;

	for (size_t i = 0; i < CONFIG_KEYS; i++)
		cJSON_AddItemToObject(tree, config_key_names[i],
		    key_tree(json->config, (enum config_key)i));
	from = cJSON_AddObjectToObject(tree, "from");
	for (size_t i = 0; i < CONFIG_KEYS; i++)
		cJSON_AddStringToObject(from, config_key_names[i],
		    json->origin[i] ? json->origin[i] : "default");
	files = cJSON_AddArrayToObject(tree, "files");
	for (size_t i = 0; i < json->config->n_sources; i++) {
		const Tarn__Source *source = json->config->sources[i];
		cJSON *file = cJSON_CreateObject();

		cJSON_AddItemToArray(files, file);
		cJSON_AddStringToObject(file, "path", source->path);
		cJSON_AddBoolToObject(file, "found", !source->absent);
	}
	cJSON_AddStringToObject(tree, "tarn_dir", tarn_dir);
	text = cJSON_Print(tree);
	puts(text);
}

/* ---- compiling it ---- */

/* What is wrong, in place of what would have been read; the sources stay. */
static void
keep_trouble(Tarn__Config *config, const struct error *wrong)
{
	for (size_t i = 0; i < config->n_rules; i++)
		tarn__rule__free_unpacked(config->rules[i], NULL);
	tarn__location__free_unpacked(take(config->locations), NULL);
	free(take(config->rules));
	config->n_rules = 0;
	config->trouble = xstrdup(wrong->text);
}

static int
compile_files(const struct config_files *files, const char *tarn_dir)
{
	auto_free char *path = config_compiled_path(tarn_dir, files);
	struct error wrong = { 0 }, err = { 0 };
	struct config_json json;
	int status = CMD_OK;

	config_json_init(&json);
	if (config_json_load(&json, files, &wrong) < 0) {
		status = cmd_fail(&wrong);
		keep_trouble(json.config, &wrong);
	}
	/* Any other trouble may be over next time. */
	if ((status == CMD_OK || wrong.kind == ERROR_USAGE) &&
	    config_store_compiled(path, json.config, &err) < 0)
		status = cmd_fail(&err);
	config_json_release(&json);
	return status;
}

static int
compile(const char *tarn_dir, const char *file)
{
	auto_free char *cwd = getcwd(NULL, 0);
	auto_free char *root = dirs_root(cwd ? cwd : "/");
	struct config_files files;
	int status;

	config_files_init(&files, root, file);
	status = compile_files(&files, tarn_dir);
	config_files_release(&files);
	return status;
}

static int
show(const char *tarn_dir, const char *file, bool as_json)
{
	struct error err = { 0 };
	struct config_json json;
	int status = CMD_OK;

	config_json_init(&json);
	if (config_json_in_force(&json, tarn_dir, file, &err) < 0)
		status = cmd_fail(&err);
	else
		(as_json ? show_json : show_text)(&json, tarn_dir);
	config_json_release(&json);
	return status;
}

static int
run(int argc, char **argv)
{
	bool as_json = false, compiled = false;
	const char *file = NULL;
	const struct cmd_option options[] = {
		{ "json", .flag = &as_json },
		{ "compile", .flag = &compiled },
		{ "config", .value = &file },
		{ 0 },
	};
	auto_free char *tarn_dir = NULL;
	int status;

	if (cmd_options(&cmd_config, argv, options, (struct cmd_words){ 0, 0 },
	        &status) < 0)
		return status;
	tarn_dir = cmd_dir();
	if (!tarn_dir)
		return CMD_FAILED;
	return compiled ? compile(tarn_dir, file)
	                : show(tarn_dir, file, as_json);
}

const struct cmd cmd_config = {
	.name = "config",
	.args = "[--json] [--compile] [--config FILE]",
	.summary = "show the configuration in force and where it came from",
	.details =
	    "  --json         as JSON without comments\n"
	    "  --compile      show nothing, write the form tarn-exec reads\n"
	    "  --config FILE  this file instead of the found ones\n",
	.run = run,
};
