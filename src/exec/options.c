#include "exec/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char options_help[] =
    "usage: tarn-exec [option...] [--] command [argument...]\n"
    "\n"
    "Run the command, or restore what it would make from the cache.\n"
    "\n"
    "  -i, --input PATH      a declared input: file, folder or quoted glob\n"
    "  -o, --output PATH     a declared output: file or folder\n"
    "  -d, --depfile PATH    a make-style dependency file that it writes\n"
    "  -u, --unstable SPEC   a source whose change counts: PATH, glob, "
    "PATH#NAME\n"
    "      --stable SPEC     only who it is counts: PATH, glob, PATH=COMMAND,\n"
    "                        package:NAME\n"
    "  -e, --env NAME        this variable counts (NAME* for a prefix)\n"
    "      --no-env NAME     this one does not\n"
    "  -k, --kind KIND       auto, compile, link, archive, test, command\n"
    "      --trace, --no-trace\n"
    "                        watch the command, or trust what is declared\n"
    "      --stdin           read standard input to its end; it counts\n"
    "      --label TEXT      kept with the record, shown in reports\n"
    "      --refresh         run the command, replace what is stored\n"
    "      --read-only       look up, never store\n"
    "      --offline         no remote location\n"
    "      --check           on a hit also run it, and compare\n"
    "      --map-root        keep the root's path out of what compilers make\n"
    "      --explain         say in one line what happened and why\n"
    "      --config FILE     this configuration instead of the found ones\n"
    "      --version, --help\n"
    "\n"
    "Status: the command's own; 128+N if signal N ended it; 127 or 126 if it "
    "is\n"
    "not found or can't be run; 125 for a wrong option. See tarn-exec(1).\n";

void
words_add(struct words *words, const char *word)
{
	words->item =
	    xrealloc(words->item, words->count + 1, sizeof(*words->item));
	words->item[words->count++] = word;
}

enum target { FLAG, TEXT, LIST };

struct option {
	char letter; /* 0: none */
	const char *name;
	enum target target;
	size_t offset; /* into struct options */
};

#define AT(field) offsetof(struct options, field)

static const struct option table[] = {
	{ 'i', "input", LIST, AT(inputs) },
	{ 'o', "output", LIST, AT(outputs) },
	{ 'd', "depfile", LIST, AT(depfiles) },
	{ 'u', "unstable", LIST, AT(unstable) },
	{ 0, "stable", LIST, AT(stable) },
	{ 'e', "env", LIST, AT(env) },
	{ 0, "no-env", LIST, AT(no_env) },
	{ 'k', "kind", TEXT, AT(kind) },
	{ 0, "label", TEXT, AT(label) },
	{ 0, "config", TEXT, AT(config) },
	{ 0, "stdin", FLAG, AT(stdin_) },
	{ 0, "refresh", FLAG, AT(refresh) },
	{ 0, "read-only", FLAG, AT(read_only) },
	{ 0, "offline", FLAG, AT(offline) },
	{ 0, "check", FLAG, AT(check) },
	{ 0, "map-root", FLAG, AT(map_root) },
	{ 0, "explain", FLAG, AT(explain) },
	{ 0, "help", FLAG, AT(help) },
	{ 0, "version", FLAG, AT(version) },
};

static const struct {
	const char *name;
	size_t offset;
} variables[] = {
	{ "TARN_DISABLE", AT(disable) },
	{ "TARN_REFRESH", AT(refresh) },
	{ "TARN_READ_ONLY", AT(read_only) },
	{ "TARN_OFFLINE", AT(offline) },
	{ "TARN_MAP_ROOT", AT(map_root) },
};

/* The option that `word` is; *value is what is joined to it, or NULL. */
static const struct option *
find(const char *word, const char **value)
{
	*value = NULL;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const struct option *option = &table[i];
		size_t size = strlen(option->name);

		if (option->letter && word[0] == '-' &&
		    word[1] == option->letter) {
			*value = word[2] ? word + 2 : NULL;
			return option;
		}
		if (strncmp(word, "--", 2) == 0 &&
		    strncmp(word + 2, option->name, size) == 0 &&
		    (word[2 + size] == '\0' || word[2 + size] == '=')) {
			if (word[2 + size])
				*value = word + 3 + size;
			return option;
		}
	}
	return NULL;
}

static int
apply(struct options *options, const struct option *option, const char *word,
    const char *value, struct error *err)
{
	void *field = (char *)options + option->offset;

	if (option->target == FLAG) {
		if (value)
			return error_set(err, ERROR_USAGE,
			    "option '%s' takes no value", word);
		*(bool *)field = true;
		return 0;
	}
	if (!value)
		return error_set(err, ERROR_USAGE,
		    "option '%s' needs a value behind it", word);
	if (option->target == TEXT)
		*(const char **)field = value;
	else
		words_add(field, value);
	return 0;
}

static int
parse_words(struct options *options, char **argv, struct error *err)
{
	char **word = argv;

	for (; *word && (*word)[0] == '-' && (*word)[1]; word++) {
		const struct option *option;
		const char *here = *word, *value;

		if (strcmp(here, "--") == 0) {
			word++;
			break;
		}
		if (strcmp(here, "--trace") == 0 ||
		    strcmp(here, "--no-trace") == 0) {
			options->trace = here[2] == 't';
			continue;
		}
		option = find(here, &value);
		if (!option)
			return error_set(err, ERROR_USAGE,
			    "unknown option '%s'; tarn-exec --help lists them",
			    here);
		if (option->target != FLAG && !value && word[1])
			value = *++word;
		if (apply(options, option, here, value, err) < 0)
			return -1;
	}
	options->command = word;
	if (!*word && !options->help && !options->version)
		return error_set(err, ERROR_USAGE,
		    "a command is missing; tarn-exec --help tells more");
	return 0;
}

static void
read_variables(struct options *options)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
		const char *value = getenv(variables[i].name);

		if (value && strcmp(value, "1") == 0)
			*(bool *)((char *)options + variables[i].offset) = true;
	}
	options->label = getenv("TARN_LABEL");
	options->build = getenv("TARN_BUILD_ID");
}

static int
check_kind(const char *kind, struct error *err)
{
	static const char *const kinds[] = { "auto", "compile", "link",
		"archive", "test", "command" };

	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kind, kinds[i]) == 0)
			return 0;
	}
	if (!kind)
		return 0;
	return error_set(err, ERROR_USAGE,
	    "unknown kind '%s'; expected auto, compile, link, archive, test or "
	    "command",
	    kind);
}

/* One can't be both. */
static int
check_marks(const struct options *options, struct error *err)
{
	for (size_t i = 0; i < options->stable.count; i++) {
		for (size_t j = 0; j < options->unstable.count; j++) {
			if (strcmp(options->stable.item[i],
			        options->unstable.item[j]) == 0)
				return error_set(err, ERROR_USAGE,
				    "'%s' is given as stable and as unstable",
				    options->stable.item[i]);
		}
	}
	return 0;
}

int
options_parse(struct options *options, int argc, char **argv, struct error *err)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "tarn-exec";

	*options = (struct options){ .trace = -1 };
	read_variables(options);
	if (strncmp(name, "tarn-exec", 9) != 0) {
		options->masquerade = true;
		options->command = argv;
		return 0;
	}
	if (parse_words(options, argv + 1, err) < 0)
		return -1;
	if (options->kind && strcmp(options->kind, "auto") == 0)
		options->kind = NULL;
	return check_kind(options->kind, err) < 0 ? -1
	                                          : check_marks(options, err);
}

void
options_release(struct options *options)
{
	free(options->inputs.item);
	free(options->outputs.item);
	free(options->depfiles.item);
	free(options->unstable.item);
	free(options->stable.item);
	free(options->env.item);
	free(options->no_env.item);
}
