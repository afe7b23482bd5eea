/* Reading tarn.json: what is taken, and to the letter what is said otherwise. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/config_json.h"
#include "cli/json_text.h"
#include "support/check.h"

#define ONE_OF_KINDS \
	"expected one of: disk, redis, s3, sftp, scp, nginx, levels, fanout, " \
	"small"

/* Each as the project's /p/tarn.json. */
static const struct {
	const char *text, *message;
} wrong[] = {
	/* no JSON */
	{ "", "/p/tarn.json:1:1: the file ends; expected a value" },
	{ "{\n  \"a\" 1}",
	    "/p/tarn.json:2:7: unexpected '1'; expected ':' after"
	    " a key" },
	{ "{a: 1}",
	    "/p/tarn.json:1:2: unexpected 'a'; expected a key in double"
	    " quotes" },
	{ "{} x",
	    "/p/tarn.json:1:4: unexpected 'x'; expected the end of the"
	    " file" },
	{ "{\"\xc3\xa4\": tru}",
	    "/p/tarn.json:1:7: unexpected 't'; expected a value" },
	{ "{\"a\": 1,}",
	    "/p/tarn.json:1:9: unexpected '}'; expected a key in"
	    " double quotes" },
	{ "[1 2]", "/p/tarn.json:1:4: unexpected '2'; expected ',' or ']'" },
	{ "[01]", "/p/tarn.json:1:4: no number as JSON writes it" },
	{ "[1.]", "/p/tarn.json:1:4: unexpected ']'; expected a digit" },
	{ "[\"a\n\"]", "/p/tarn.json:1:2: a string without its end" },
	{ "[\"\\q\"]", "/p/tarn.json:1:3: an unknown escape" },
	{ "[\"\\u00g0\"]", "/p/tarn.json:1:3: \\u needs four hex digits" },
	{ "[\"\\u0000\"]",
	    "/p/tarn.json:1:3: \\u0000 can't be part of a"
	    " string" },
	{ "[\"\\ud800\"]",
	    "/p/tarn.json: a string with half a surrogate pair" },
	{ "{\n/* {} ", "/p/tarn.json:2:1: a comment without its end" },
	{ "{ / }", "/p/tarn.json:1:3: unexpected '/'" },
	/* no configuration */
	{ "[]", "/p/tarn.json:1: a list; expected an object" },
	{ "{\"location\": \"/x\"}",
	    "/p/tarn.json:1: \"location\" is no key of the configuration; "
	    "expected"
	    " one of: locations, actions" },
	{ "{\"actions\": [],\n\"actions\": []}",
	    "/p/tarn.json:2: \"actions\" is given twice" },
	{ "{\"locations\": 7}",
	    "/p/tarn.json:1: \"locations\" is a number; expected a location: a"
	    " path, a URL, a list or an object" },
	{ "{\"locations\": \"\"}",
	    "/p/tarn.json:1: an empty string; expected a location: a path, a "
	    "URL,"
	    " a list or an object" },
	{ "{\"locations\": [\"/a\",\nnull]}",
	    "/p/tarn.json:2: an item of \"fanout\" is null; expected a "
	    "location: a"
	    " path, a URL, a list or an object" },
	{ "{\"locations\": []}",
	    "/p/tarn.json:1: a fanout needs at least one location" },
	{ "{\"locations\": {\"levels\": []}}",
	    "/p/tarn.json:1: \"levels\" needs at least one location" },
	{ "{\"locations\": {\"levels\": \"/a\"}}",
	    "/p/tarn.json:1: \"levels\" is a string; expected a list of"
	    " locations" },
	{ "{\"locations\": {\n\"disk\": \"/a\", // the max_sise\n"
	  "\"max_sise\": 4}}",
	    "/p/tarn.json:3: \"max_sise\" is no key of a location; expected one"
	    " of: disk, max_size, free_disk_size, levels, permissions, group,"
	    " hash, usage, labels, compress" },
	{ "{\"locations\": {\"disk\": \"/a\", \"compress\": \"zstd:20\"}}",
	    "/p/tarn.json:1: \"compress\" is 'zstd:20'; expected \"zstd\" or "
	    "\"zstd:LEVEL\" with a level from 1 to 19" },
	{ "{\"locations\": {\"dsk\": \"/a\"}}",
	    "/p/tarn.json:1: \"dsk\" is no key of a location; " ONE_OF_KINDS },
	{ "{\"locations\": {\"max_size\": 4}}",
	    "/p/tarn.json:1: a location needs one of the keys disk, redis, s3,"
	    " sftp, scp, nginx, levels, fanout, small" },
	{ "{\"locations\": {\"disk\": \"/a\",\n\"s3\": \"b\"}}",
	    "/p/tarn.json:2: \"s3\" beside \"disk\"; a location is of one "
	    "kind" },
	{ "{\"locations\": {\"disk\": \"/a\", \"max_size\": \"20 Gib/s\"}}",
	    "/p/tarn.json:1: \"max_size\" is '20 Gib/s'; expected a size, such "
	    "as"
	    " 4096 or \"20 GiB\"" },
	{ "{\"locations\": {\"disk\": \"/a\", \"max_size\": -1}}",
	    "/p/tarn.json:1: \"max_size\" is -1; expected a size, such as 4096 "
	    "or"
	    " \"20 GiB\"" },
	{ "{\"locations\": {\"disk\": \"/a\", \"max_size\": [1]}}",
	    "/p/tarn.json:1: \"max_size\" is a list; expected a size, such as "
	    "4096"
	    " or \"20 GiB\"" },
	{ "{\"locations\": {\"disk\": \"\"}}",
	    "/p/tarn.json:1: \"disk\" is ''; expected the path of a folder" },
	{ "{\"locations\": {\"small\": \"/a\"}}",
	    "/p/tarn.json:1: a small location needs \"max_size\"" },
	{ "{\"locations\": {\"levels\": [\"/a\"], \"writes\": \"last\"}}",
	    "/p/tarn.json:1: \"writes\" is 'last'; expected one of: all, "
	    "first" },
	{ "{\"locations\": {\"levels\": [\n{\"location\": \"/a\",\n"
	  "\"write\": \"no\"}]}}",
	    "/p/tarn.json:3: \"write\" is a string; expected true or false" },
	{ "{\"locations\": {\"levels\": [{\"location\": \"/a\", \"nam\": 1}]}}",
	    "/p/tarn.json:1: \"nam\" is no key of a level; expected one of:"
	    " location, write, replicate, touch, name" },
	{ "{\"locations\": {\"redis\": \"http://h\"}}",
	    "/p/tarn.json:1: \"redis\" is 'http://h'; expected"
	    " host[:port][/database] or a redis URL" },
	{ "{\"locations\": {\"disk\": \"/a\", \"levels\": [1, 2]}}",
	    "/p/tarn.json:1: \"levels\" don't make up a key; expected a list of"
	    " numbers of bytes, 32 together, or -1 at the end" },
	{ "{\"locations\": {\"disk\": \"/a\", \"levels\": [-1, 2]}}",
	    "/p/tarn.json:1: \"levels\" is 2; expected a list of numbers of"
	    " bytes, 32 together, or -1 at the end" },
	{ "{\"locations\": {\"disk\": \"/a\", \"levels\": [\"1\"]}}",
	    "/p/tarn.json:1: an item of \"levels\" is a string; expected a"
	    " number of bytes" },
	{ "{\"locations\": {\"disk\": \"/a\", \"permissions\": \"277\"}}",
	    "/p/tarn.json:1: \"permissions\" is '277'; expected octal digits"
	    " that leave the owner all rights, such as \"2770\"" },
	{ "{\"locations\": {\"disk\": \"/a\", \"permissions\": 2770}}",
	    "/p/tarn.json:1: \"permissions\" is a number; expected octal digits"
	    " that leave the owner all rights, such as \"2770\"" },
	{ "{\"locations\": {\"disk\": \"/a\", \"group\": \"no-such-one\"}}",
	    "/p/tarn.json:1: \"group\" is 'no-such-one', which this machine has"
	    " not; expected the name or number of a group" },
	{ "{\"locations\": {\"disk\": \"/a\", \"hash\": \"md5\"}}",
	    "/p/tarn.json:1: \"hash\" is 'md5'; expected one of: sha256" },
	{ "{\"locations\": {\"disk\": \"/a\", \"levels\": [-1],"
	  " \"redis\": \"h\"}}",
	    "/p/tarn.json:1: \"redis\" beside \"disk\"; a location is of one"
	    " kind" },
	{ "{\"locations\": {\"redis\": \"h\", \"ttl\": 1.5}}",
	    "/p/tarn.json:1: \"ttl\" is 1.5; expected a whole number" },
	{ "{\"locations\": {\"redis\": \"redis://h?ttl=5\", \"ttl\": 1}}",
	    "/p/tarn.json:1: \"ttl\" is given twice, here and in the URL" },
	{ "{\"locations\": {\"s3\": \"b\", \"style\": \"p\"}}",
	    "/p/tarn.json:1: \"style\" is 'p'; expected one of: path, "
	    "virtual" },
	{ "{\"actions\": {}}",
	    "/p/tarn.json:1: \"actions\" is an object; expected a list of"
	    " rules" },
	{ "{\"actions\": [7]}",
	    "/p/tarn.json:1: an item of \"actions\" is a number; expected a"
	    " rule" },
	{ "{\"actions\": [\n{\"label\": \"x\"}]}",
	    "/p/tarn.json:2: a rule needs \"match\"" },
	{ "{\"actions\": [{\"match\": \"x\", \"inputs\": [\"a\",\n true]}]}",
	    "/p/tarn.json:2: an item of \"inputs\" is true or false; expected a"
	    " string" },
	{ "{\"actions\": [{\"match\": \"x\", \"kind\": \"cc\"}]}",
	    "/p/tarn.json:1: \"kind\" is 'cc'; expected one of: auto, compile,"
	    " link, archive, test, command" },
	/* secrets, and whom to trust */
	{ "{\"locations\": {\"sftp\": \"h/p\",\n\"accept_new\": true}}",
	    "/p/tarn.json:2: \"accept_new\" says whom to trust, and belongs"
	    " into the user's configuration, not a project's" },
	{ "{\"locations\": \"sftp://h/p?config=/p/evil\"}",
	    "/p/tarn.json:1: \"config\" says whom to trust, and belongs into"
	    " the user's configuration, not a project's" },
	{ "{\"locations\": \"redis://u:pw@h\"}",
	    "/p/tarn.json:1: \"user:password@\" is a credential; credentials "
	    "are"
	    " read from user and system files only" },
	{ "{\"locations\": {\"redis\": \"u:pw@h\"}}",
	    "/p/tarn.json:1: \"user:password@\" is a credential; credentials "
	    "are"
	    " read from user and system files only" },
	{ "{\"locations\": \"redis+unix:///s?user=a&password=b\"}",
	    "/p/tarn.json:1: \"password\" is a credential; credentials are read"
	    " from user and system files only" },
	{ "{\"locations\": {\"redis\": \"h\",\n\"key\": \"/k\"}}",
	    "/p/tarn.json:2: \"key\" is a credential; credentials are read from"
	    " user and system files only" },
	{ "{\"locations\": \"https://h/p?token_file=/etc/passwd\"}",
	    "/p/tarn.json:1: \"token_file\" is a credential; credentials are"
	    " read from user and system files only" },
	{ "{\"locations\": {\"s3\": \"b\", \"session_token\": \"x\"}}",
	    "/p/tarn.json:1: \"session_token\" is a credential; credentials are"
	    " read from user and system files only" },
};

static int
parse(
    struct config_json *json, bool project, const char *text, struct error *err)
{
	return config_json_parse(
	    json, "/p/tarn.json", project, text, strlen(text), err);
}

Test(config, tells_what_is_wrong)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct error err = { 0 };
		struct config_json json;

		config_json_init(&json);
		check_int(parse(&json, true, wrong[i].text, &err), -1);
		check_str(err.text, wrong[i].message);
		check_int(err.kind, ERROR_USAGE);
		config_json_release(&json);
	}
}

/* A short way to write a tree: small(redis:P;max), levels!(r-:..., disk:P). */
static void
sketch(const Tarn__Location *loc, struct buf *to)
{
	buf_addf(to, "%s%s", loc->kind, loc->first ? "!" : "");
	if (loc->place[0])
		buf_addf(to, ":%s", loc->place);
	for (size_t i = 0; i < loc->n_options; i++)
		buf_addf(to, "?%s=%s", loc->options[i]->name,
		    loc->options[i]->value);
	if (loc->max_size)
		buf_addf(to, "<%lu", (unsigned long)loc->max_size);
	if (loc->n_levels || loc->n_members)
		buf_addf(to, "(");
	for (size_t i = 0; i < loc->n_levels; i++) {
		const Tarn__Level *level = loc->levels[i];

		buf_addf(to, "%s%s%s%s%s", i ? ", " : "",
		    level->read_only ? "r" : "", level->no_replicate ? "n" : "",
		    level->touch ? "t" : "", level->name);
		buf_addf(
		    to, "%s", strchr("( ", to->data[to->len - 1]) ? "" : " ");
		sketch(level->location, to);
	}
	for (size_t i = 0; i < loc->n_members; i++) {
		buf_addf(to, "%s", i ? ", " : "");
		sketch(loc->members[i], to);
	}
	if (loc->n_levels || loc->n_members)
		buf_addf(to, ")");
}

static const struct {
	const char *expression, *tree;
} right[] = {
	{ "\"/a\"", "disk:/a" },
	{ "\"a/b\"", "disk:/p/a/b" },
	{ "{\"disk\": \"a\", \"max_size\": \"1.5 KiB\"}", "disk:/p/a<1536" },
	{ "{\"levels\": [2, -1], \"disk\": \"/a\", \"group\": 7,"
	  " \"permissions\": \"2770\", \"free_disk_size\": \"1 KiB\"}",
	    "disk:/a?levels=2,-1?group=7?permissions=2770"
	    "?free_disk_size=1024" },
	{ "{\"disk\": \"/a\", \"hash\": \"sha256\", \"usage\": true,"
	  " \"labels\": false, \"group\": \"root\"}",
	    "disk:/a?hash=sha256?usage=1?labels=0?group=0" },
	{ "[\"/a\", [\"/b\", \"/c\"]]",
	    "fanout(disk:/a, fanout(disk:/b, disk:/c))" },
	{ "{\"fanout\": [{\"disk\": \"/a\"}]}", "fanout(disk:/a)" },
	{ "{\"max_size\": 100, \"small\": \"/a\"}", "small<100(disk:/a)" },
	{ "\"redis://u:p@h:1/2?prefix=x\"",
	    "redis:redis://u:p@h:1/2?prefix=x" },
	{ "{\"redis\": \"h\", \"ttl\": 60, \"ca\": \"ca.pem\","
	  " \"password\": \"p\"}",
	    "redis:redis://h?ttl=60?ca=/p/ca.pem?password=p" },
	{ "{\"redis\": \"redis+unix:///s\", \"db\": 2, \"usage\": true,"
	  " \"max_size\": \"1 MiB\", \"timeout\": 5}",
	    "redis:redis+unix:///s?db=2?usage=1?max_size=1048576?timeout=5" },
	{ "{\"s3\": \"b/p\", \"region\": \"eu-1\", \"style\": \"path\"}",
	    "s3:s3://b/p?region=eu-1?style=path" },
	{ "{\"nginx\": \"https://h/p\", \"put\": true, \"layout\": \"lake\"}",
	    "nginx:https://h/p?put=1?layout=lake" },
	{ "{\"nginx\": \"h\", \"ca\": \"ca.pem\", \"token_file\": \"t\","
	  " \"netrc\": false, \"proxy\": \"http://p:3128\", \"timeout\": 5}",
	    "nginx:http://h?ca=/p/ca.pem?token_file=/p/t?netrc=0"
	    "?proxy=http://p:3128?timeout=5" },
	{ "{\"s3\": \"b\", \"profile\": \"ci\", \"ca\": \"ca.pem\","
	  " \"timeout\": 5, \"part_size\": \"8 MiB\", \"usage\": true}",
	    "s3:s3://b?profile=ci?ca=/p/ca.pem?timeout=5?part_size=8388608"
	    "?usage=1" },
	{ "{\"s3\": \"s3://b/p?small=1KiB\", \"region\": \"x\"}",
	    "small<1024(s3:s3://b/p?region=x)" },
	{ "{\"levels\": [{\"location\": {\"small\": \"redis://h\","
	  " \"max_size\": 9}, \"name\": \"hot\"}, {\"disk\": \"/a\"},"
	  " {\"location\": [\"/b\"], \"write\": false, \"replicate\": false,"
	  " \"touch\": true}, \"s3://b\"], \"writes\": \"first\"}",
	    "levels!(hot small<9(redis:redis://h), disk:/a, rnt"
	    " fanout(disk:/b), s3:s3://b)" },
};

Test(config, reads_location_expressions)
{
	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		auto_free char *text =
		    xasprintf("{\"locations\": %s}", right[i].expression);
		auto_buf tree = BUF_INIT;
		struct error err = { 0 };
		struct config_json json;

		config_json_init(&json);
		parse(&json, false, text, &err);
		check_str(err.text, "");
		sketch(json.config->locations, &tree);
		check_str(tree.data, right[i].tree);
		config_json_release(&json);
	}
}

Test(config, later_files_replace_key_by_key)
{
	struct error err = { 0 };
	struct config_json json;

	config_json_init(&json);
	parse(&json, false,
	    "{\"locations\": \"/a\", /* \" */ \"actions\": [{\"match\": "
	    "\"m\"}]}",
	    &err);
	parse(&json, false,
	    "{\n// one\n\"actions\": [{\"match\": \"*.c\", \"env\": [\"A\", "
	    "\"B\"], \"failures\": \"unchanged\", \"map_root\": true, "
	    "\"kind\": \"test\"}, {\"match\": "
	    "\"n\"}]}",
	    &err);
	check_str(err.text, "");
	check_str(json.config->locations->place, "/a");
	check_int(json.config->n_rules, 2);
	check_str(json.config->rules[0]->match, "*.c");
	check_int(json.config->rules[0]->n_env, 2);
	check_str(json.config->rules[0]->env[1], "B");
	check(json.config->rules[0]->map_root);
	check_str(json.config->rules[0]->failures, "unchanged");
	check_str(json.origin[CONFIG_LOCATIONS], "/p/tarn.json:1");
	check_str(json.origin[CONFIG_ACTIONS], "/p/tarn.json:3");
	config_json_release(&json);
}

Test(config, has_limits)
{
	auto_buf text = BUF_INIT;
	struct error err = { 0 };
	struct config_json json;

	config_json_init(&json);
	for (int i = 0; i <= JSON_TEXT_DEPTH; i++)
		buf_add(&text, "[", 1);
	check_int(parse(&json, false, text.data, &err), -1);
	check_str(err.text, "/p/tarn.json:1:65: more than 64 levels deep");
	while (text.len <= JSON_TEXT_MAX)
		buf_addf(&text, "%4096s", "");
	check_int(parse(&json, false, text.data, &err), -1);
	check_str(err.text, "/p/tarn.json: more than 1 MiB");
	config_json_release(&json);
}

/* ---- the compiled form ---- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static void
free_folder(char **dir)
{
	nftw(*dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(*dir);
}

/* Removed with all that is in it when it goes out of scope. */
#define auto_folder auto_cleanup(free_folder) char

static char *
folder(void)
{
	char *dir = xstrdup("/tmp/tarn-config-XXXXXX");

	check(mkdtemp(dir) != NULL);
	setenv("XDG_CONFIG_HOME", dir, 1);
	unsetenv("TARN_CONFIG");
	return dir;
}

static void
put(const char *dir, const char *name, const char *text)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	struct error err = { 0 };

	file_replace(path, text, strlen(text), 0644, &err);
	check_str(err.text, "");
}

static void
load(const char *dir, struct config_json *json)
{
	struct config_files files;
	struct error err = { 0 };

	config_json_init(json);
	config_files_init(&files, dir, NULL);
	config_json_load(json, &files, &err);
	check_str(err.text, "");
	config_files_release(&files);
}

Test(config, compiled_form_is_current_while_its_files_are)
{
	auto_folder *dir = folder();
	auto_free char *bin = xasprintf("%s/config/x.bin", dir);
	struct error err = { 0 };
	struct config_json json;
	Tarn__Config *back = NULL;

	put(dir, "tarn.json", "{\"locations\": [\"a\", \"b\"]}");
	load(dir, &json);
	check_int(json.config->n_sources, 3);
	check_int(config_store_compiled(bin, json.config, &err), 0);
	check_int(config_load_compiled(bin, &back, &err), 0);
	check(config_current(back));
	check_str(back->locations->members[1]->kind, "disk");
	put(dir, "tarn.json", "{\"locations\": [\"a\", \"c\"]}");
	check(!config_current(back));
	tarn__config__free_unpacked(back, NULL);
	config_json_release(&json);

	load(dir, &json);
	check(config_current(json.config));
	auto_free char *user = xasprintf("%s/tarn", dir);
	mkdir(user, 0777);
	put(user, "tarn.json", "{}");
	check(!config_current(json.config));
	config_json_release(&json);
}

Test(config, damaged_compiled_form_is_no_configuration)
{
	auto_folder *dir = folder();
	auto_free char *bin = xasprintf("%s/x.bin", dir);
	auto_buf bytes = BUF_INIT;
	struct error err = { 0 };
	struct config_json json;
	Tarn__Config *back = NULL;

	put(dir, "tarn.json", "{\"locations\": [\"a\", \"b\"]}");
	load(dir, &json);
	config_store_compiled(bin, json.config, &err);
	buf_read_file(&bytes, bin, &err);
	for (size_t i = 0; i < bytes.len; i++) {
		bytes.data[i] ^= 4;
		check_int(
		    config_decode(bytes.data, bytes.len, &back, &err), -1);
		check_int(config_decode(bytes.data, i, &back, &err), -1);
		bytes.data[i] ^= 4;
	}
	check_int(config_decode(bytes.data, bytes.len, &back, &err), 0);
	tarn__config__free_unpacked(back, NULL);
	config_json_release(&json);
}

Test(config, files_depend_on_who_names_them)
{
	auto_folder *dir = folder();
	auto_free char *path = xasprintf("%s/tarn.json", dir);
	struct config_files files;

	config_files_init(&files, dir, NULL);
	check_int(files.count, 3);
	check_str(files.item[0].path, "/etc/tarn/tarn.json");
	check(!files.item[1].project && files.item[2].project);
	config_files_release(&files);

	setenv("TARN_CONFIG", "/x/y.json", 1);
	config_files_init(&files, dir, NULL);
	check_int(files.count, 1);
	check_str(files.item[0].path, "/x/y.json");
	check(files.item[0].named && !files.item[0].project);
	config_files_release(&files);

	put(dir, "tarn.json", "{}");
	config_files_init(&files, dir, path);
	check_str(files.item[0].path, path);
	check(files.item[0].project);
	config_files_release(&files);
}

Test(config, default_is_the_lake)
{
	Tarn__Location *loc = config_default_location("/d");

	check_str(loc->kind, "disk");
	check_str(loc->place, "/d/lake");
	check_int(loc->max_size, 10737418240);
	tarn__location__free_unpacked(loc, NULL);
}

/* With the program `tarn` that lies beside this one, as with tarn-exec. */
Test(config, is_found_and_compiled_when_needed)
{
	auto_folder *dir = folder();
	auto_free char *store = xasprintf("%s/d", dir);
	struct error err = { 0 };
	Tarn__Config *config = NULL;

	if (access("build/checked/tarn", X_OK) < 0)
		cr_skip("build/checked/tarn is not built");
	check_int(config_find(store, dir, NULL, &config, &err), 0);
	check(config == NULL);

	put(dir, "tarn.json", "{\"locations\": \"a\"}");
	check_int(config_find(store, dir, NULL, &config, &err), 0);
	check_str(strrchr(config->locations->place, '/'), "/a");
	tarn__config__free_unpacked(config, NULL);

	for (int i = 0; i < 2; i++) { /* told by tarn, then kept */
		auto_free char *wanted = xasprintf(
		    "%s/tarn.json:1: \"x\" is no key of the configuration;"
		    " expected one of: locations, actions",
		    dir);

		if (i == 0)
			put(dir, "tarn.json", "{\"x\": 1}");
		check_int(config_find(store, dir, NULL, &config, &err), -1);
		check_str(err.text, wanted);
		check_int(err.kind, ERROR_USAGE);
	}
	auto_free char *none = xasprintf("%s/none.json", dir);
	check_int(config_find(store, dir, none, &config, &err), -1);
	check(strstr(err.text, "none.json': No such file or directory"));
}
