#include "cli/config_json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/dirs.h"
#include "base/mem.h"
#include "cli/config_location.h"
#include "cli/config_reader.h"
#include "locations/location.h"

const char *const config_key_names[CONFIG_KEYS] = { "locations", "actions" };

static void
set_origin(struct reader *r, enum config_key key, const cJSON *value)
{
	free(r->out->origin[key]);
	r->out->origin[key] =
	    xasprintf("%s:%zu", r->text.path, json_text_line(&r->text, value));
}

static int
set_locations(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	Tarn__Config *config = r->out->config;
	Tarn__Location *loc = config_location_read(r, key->name, value);

	if (!loc)
		return -1;
	tarn__location__free_unpacked(config->locations, NULL);
	config->locations = loc;
	set_origin(r, CONFIG_LOCATIONS, value);
	return 0;
}

static const char *const action_kinds[] = { "auto", "compile", "link",
	"archive", "test", "command", NULL };

static const char *const failures[] = { "never", "unchanged", NULL };

static const struct json_key rule_keys[] = {
	{ "match", TEXT, .set = reader_text, .at = offsetof(Tarn__Rule, match),
	    .required = true },
	{ "inputs", LIST("strings"), .set = reader_texts,
	    .at = offsetof(Tarn__Rule, n_inputs) },
	{ "outputs", LIST("strings"), .set = reader_texts,
	    .at = offsetof(Tarn__Rule, n_outputs) },
	{ "env", LIST("strings"), .set = reader_texts,
	    .at = offsetof(Tarn__Rule, n_env) },
	{ "unstable", LIST("strings"), .set = reader_texts,
	    .at = offsetof(Tarn__Rule, n_unstable) },
	{ "stable", LIST("strings"), .set = reader_texts,
	    .at = offsetof(Tarn__Rule, n_stable) },
	{ "kind", CHOICE("auto, compile, link, archive, test, command"),
	    .set = reader_text, .at = offsetof(Tarn__Rule, kind),
	    .choices = action_kinds },
	{ "label", TEXT, .set = reader_text,
	    .at = offsetof(Tarn__Rule, label) },
	{ "failures", CHOICE("never, unchanged"), .set = reader_text,
	    .at = offsetof(Tarn__Rule, failures), .choices = failures },
	{ "map_root", FLAG, .set = reader_flag,
	    .at = offsetof(Tarn__Rule, map_root) },
	{ 0 },
};
static const struct schema rule_schema = { "a rule", rule_keys };

static void
free_rules(Tarn__Config *config)
{
	for (size_t i = 0; i < config->n_rules; i++)
		tarn__rule__free_unpacked(config->rules[i], NULL);
	free(config->rules);
	config->rules = NULL;
	config->n_rules = 0;
}

static int
set_actions(struct reader *r, const struct json_key *key, const cJSON *value,
    void *target)
{
	Tarn__Config *config = r->out->config;
	const cJSON *item;

	free_rules(config);
	set_origin(r, CONFIG_ACTIONS, value);
	cJSON_ArrayForEach(item, value) {
		Tarn__Rule *rule;

		if (!cJSON_IsObject(item))
			return reader_expected(r, key->name, item, "a rule");
		rule = xmalloc(sizeof(*rule));
		tarn__rule__init(rule);
		PUSH(config, rules, rule);
		if (reader_object(r, &rule_schema, item, rule) < 0)
			return -1;
	}
	return 0;
}

static const struct json_key top_keys[] = {
	{ "locations", EXPRESSION, .set = set_locations },
	{ "actions", LIST("rules"), .set = set_actions },
	{ 0 },
};
static const struct schema top_schema = { "the configuration", top_keys };

/* ---- outside ---- */

void
config_json_init(struct config_json *json)
{
	*json = (struct config_json){ 0 };
	json->config = xmalloc(sizeof(*json->config));
	tarn__config__init(json->config);
	json->config->version = CONFIG_VERSION;
}

void
config_json_release(struct config_json *json)
{
	tarn__config__free_unpacked(json->config, NULL);
	for (size_t i = 0; i < CONFIG_KEYS; i++)
		free(json->origin[i]);
	*json = (struct config_json){ 0 };
}

int
config_json_parse(struct config_json *json, const char *path, bool project,
    const char *text, size_t len, struct error *err)
{
	auto_free char *folder = xstrdup(path);
	char *slash = strrchr(folder, '/');
	struct reader r = { .folder = folder, .project = project, .out = json };
	int result;

	if (slash)
		slash[slash == folder] = '\0';
	r.err = err;
	if (json_text_parse(&r.text, path, text, len, err) < 0)
		return -1;
	if (cJSON_IsObject(r.text.root))
		result = reader_object(&r, &top_schema, r.text.root, NULL);
	else
		result = reader_fail(&r, r.text.root, "%s; expected an object",
		    reader_type(r.text.root));
	json_text_release(&r.text);
	return result;
}

/*
 * A file that was just changed may change again within the same tick of the file
 * system's clock, and would look the same. Let that tick pass before reading.
 */
static void
settle(const struct stat *st)
{
	const struct timespec tick = { .tv_nsec = 20 * 1000 * 1000 };
	struct timespec now;
	double age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = difftime(now.tv_sec, st->st_ctim.tv_sec) +
	    (double)(now.tv_nsec - st->st_ctim.tv_nsec) / 1e9;
	if (age >= 0 && age < 0.02)
		nanosleep(&tick, NULL);
}

/* The bytes of `fd`, at most one more than is allowed. */
static int
read_text(int fd, const char *path, struct buf *text, struct error *err)
{
	char chunk[16 * 1024];
	ssize_t got = 1;

	while (text->len <= JSON_TEXT_MAX && got > 0) {
		got = read(fd, chunk, sizeof(chunk));
		if (got < 0)
			return error_errno(err, "cannot read '%s'", path);
		buf_add(text, chunk, (size_t)got);
	}
	return 0;
}

static int
load_file(
    struct config_json *json, const struct config_file *file, struct error *err)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	auto_close int fd = open(file->path, flags);
	bool absent = fd < 0 && (errno == ENOENT || errno == ENOTDIR);
	auto_buf text = BUF_INIT;
	struct stat st;

	if (fd < 0 && (!absent || file->named))
		error_errno(err, "cannot open '%s'", file->path);
	if (absent)
		PUSH(json->config, sources, config_source(file->path, NULL));
	if (fd < 0)
		return absent && !file->named ? 0 : -1;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot look at '%s'", file->path);
	PUSH(json->config, sources, config_source(file->path, &st));
	if (!S_ISREG(st.st_mode))
		return error_set(
		    err, ERROR_USAGE, "'%s' is no file", file->path);
	settle(&st);
	if (read_text(fd, file->path, &text, err) < 0)
		return -1;
	return config_json_parse(
	    json, file->path, file->project, text.data, text.len, err);
}

int
config_json_load(struct config_json *json, const struct config_files *files,
    struct error *err)
{
	for (size_t i = 0; i < files->count; i++) {
		if (load_file(json, &files->item[i], err) < 0)
			return -1;
	}
	return 0;
}

static int
apply_tiers(struct config_json *json, const char *cwd, struct error *err)
{
	const char *tiers = getenv("TARN_TIERS");
	Tarn__Location *loc;

	if (!tiers || !*tiers)
		return 0;
	loc = location_from_tiers(tiers, cwd, err);
	if (!loc)
		return error_wrap(err, "TARN_TIERS");
	tarn__location__free_unpacked(json->config->locations, NULL);
	json->config->locations = loc;
	free(json->origin[CONFIG_LOCATIONS]);
	json->origin[CONFIG_LOCATIONS] = xstrdup("TARN_TIERS");
	return 0;
}

int
config_json_in_force(struct config_json *json, const char *tarn_dir,
    const char *file, struct error *err)
{
	auto_free char *cwd = getcwd(NULL, 0);
	auto_free char *root = NULL;
	struct config_files files;
	int result;

	if (!cwd)
		return error_errno(err, "cannot find the working directory");
	root = dirs_root(cwd);
	config_files_init(&files, root, file);
	result = config_json_load(json, &files, err);
	config_files_release(&files);
	if (result < 0 || apply_tiers(json, cwd, err) < 0)
		return -1;
	if (!json->config->locations)
		json->config->locations = config_default_location(tarn_dir);
	config_limit_default(json->config->locations, tarn_dir);
	return 0;
}

struct location *
config_json_open(const char *file, struct error *err)
{
	auto_free char *tarn_dir = dirs_tarn();
	struct location *loc = NULL;
	struct config_json json;

	if (!tarn_dir) {
		error_set(err, ERROR_USAGE,
		    "no folder to work in; set HOME or TARN_DIR");
		return NULL;
	}
	config_json_init(&json);
	if (config_json_in_force(&json, tarn_dir, file, err) == 0)
		loc = location_open(json.config->locations, err);
	config_json_release(&json);
	return loc;
}
