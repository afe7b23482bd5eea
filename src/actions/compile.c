/*
 * One or more sources to objects, assembly or preprocessed text, or straight to a
 * program, by gcc or clang in any of their names.
 *
 * An option in the table below is known to keep the output's name, the root and
 * the working directory out of the bytes that come out, or to put them there in
 * plain sight, where the look into the outputs finds them. With any other
 * option, all three belong to the key.
 *
 * "@file" stands for the words in that file, which counts as a source. It can't
 * hold the output's name, since the key could not leave that out.
 */
#include <string.h>

#include "actions/action.h"
#include "actions/compile.h"
#include "actions/depfile.h"
#include "actions/response.h"
#include "base/mem.h"
#include "trace/classify.h"

enum argument {
	ALONE,    /* just the word */
	JOINED,   /* the word begins so */
	SEPARATE, /* the argument is the next word */
	EITHER,   /* joined, or the next word if there is nothing more */
};

enum meaning {
	PLAIN,
	COMPILES, /* makes the command a compile */
	OUTPUT,
	DEPENDS,        /* writes a depfile */
	DEPFILE,        /* names it */
	DEPFILE_TARGET, /* names what it is about */
	LINKS,          /* says something to the linker, if there is one */
	UNKNOWN,        /* an exception to a JOINED one that follows */
};

/* The first that fits counts. */
static const struct option {
	const char *text;
	enum argument argument;
	enum meaning meaning;
} options[] = {
	{ "-c", ALONE, COMPILES },
	{ "-S", ALONE, COMPILES },
	{ "-E", ALONE, COMPILES },
	{ "-o", EITHER, OUTPUT },
	{ "-MD", ALONE, DEPENDS },
	{ "-MMD", ALONE, DEPENDS },
	{ "-MP", ALONE, PLAIN },
	{ "-MF", EITHER, DEPFILE },
	{ "-MT", EITHER, DEPFILE_TARGET },
	{ "-MQ", EITHER, DEPFILE_TARGET },
	{ "-I", EITHER, PLAIN },
	{ "-D", EITHER, PLAIN },
	{ "-U", EITHER, PLAIN },
	{ "-iquote", EITHER, PLAIN },
	{ "-isystem", EITHER, PLAIN },
	{ "-idirafter", EITHER, PLAIN },
	{ "-imacros", EITHER, PLAIN },
	{ "-include-pch", SEPARATE, UNKNOWN },
	{ "-include", EITHER, PLAIN },
	{ "-isysroot", EITHER, PLAIN },
	{ "--sysroot=", JOINED, PLAIN },
	{ "-x", EITHER, PLAIN },
	{ "-L", EITHER, PLAIN },
	{ "-l", EITHER, PLAIN },
	{ "-std=", JOINED, PLAIN },
	{ "--std=", JOINED, PLAIN },
	{ "-ansi", ALONE, PLAIN },
	{ "-pedantic", JOINED, PLAIN },
	{ "-O", JOINED, PLAIN },
	{ "-w", ALONE, PLAIN },
	{ "-Wa,", JOINED, UNKNOWN },
	{ "-Wp,", JOINED, UNKNOWN },
	{ "-Wl,-O1", ALONE, PLAIN },
	{ "-Wl,-z,", JOINED, PLAIN },
	{ "-Wl,--as-needed", ALONE, PLAIN },
	{ "-Wl,--no-as-needed", ALONE, PLAIN },
	{ "-Wl,--gc-sections", ALONE, PLAIN },
	{ "-Wl,--no-undefined", ALONE, PLAIN },
	{ "-Wl,--export-dynamic", ALONE, PLAIN },
	{ "-Wl,--start-group", ALONE, PLAIN },
	{ "-Wl,--end-group", ALONE, PLAIN },
	{ "-Wl,--whole-archive", ALONE, PLAIN },
	{ "-Wl,--no-whole-archive", ALONE, PLAIN },
	{ "-Wl,-Bstatic", ALONE, PLAIN },
	{ "-Wl,-Bdynamic", ALONE, PLAIN },
	{ "-Wl,-Bsymbolic", JOINED, PLAIN },
	{ "-Wl,--hash-style=", JOINED, PLAIN },
	{ "-Wl,--build-id", JOINED, PLAIN },
	{ "-Wl,--version-script", JOINED, PLAIN },
	{ "-Wl,--dynamic-list", JOINED, PLAIN },
	{ "-Wl,--exclude-libs", JOINED, PLAIN },
	{ "-Wl,-soname", JOINED, PLAIN },
	{ "-Wl,-h,", JOINED, PLAIN },
	{ "-Wl,-rpath", JOINED, PLAIN },
	{ "-Wl,--enable-new-dtags", ALONE, PLAIN },
	{ "-Wl,--disable-new-dtags", ALONE, PLAIN },
	{ "-Wl,", JOINED, LINKS },
	{ "-W", JOINED, PLAIN },
	{ "-march=native", ALONE, UNKNOWN },
	{ "-mtune=native", ALONE, UNKNOWN },
	{ "-mcpu=native", ALONE, UNKNOWN },
	{ "-mllvm", SEPARATE, UNKNOWN },
	{ "-m", JOINED, PLAIN },
	{ "-gsplit-dwarf", JOINED, UNKNOWN },
	{ "-gz", JOINED, UNKNOWN },
	{ "-g", JOINED, PLAIN },
	{ "-pipe", ALONE, PLAIN },
	{ "-pthread", ALONE, PLAIN },
	{ "-nostdinc", JOINED, PLAIN },
	{ "-nostdlib", ALONE, PLAIN },
	{ "-nodefaultlibs", ALONE, PLAIN },
	{ "-nostartfiles", ALONE, PLAIN },
	{ "-static", ALONE, PLAIN },
	{ "-static-pie", ALONE, PLAIN },
	{ "-static-libgcc", ALONE, PLAIN },
	{ "-static-libstdc++", ALONE, PLAIN },
	{ "-pie", ALONE, PLAIN },
	{ "-no-pie", ALONE, PLAIN },
	{ "-s", ALONE, PLAIN },
	{ "-shared", ALONE, PLAIN },
	{ "-rdynamic", ALONE, PLAIN },
	{ "-undef", ALONE, PLAIN },
	{ "-P", ALONE, PLAIN },
	{ "-C", ALONE, PLAIN },
	{ "-CC", ALONE, PLAIN },
	{ "-H", ALONE, PLAIN },
	{ "-Qunused-arguments", ALONE, PLAIN },
	{ "-target", SEPARATE, PLAIN },
	{ "--target=", JOINED, PLAIN },
	{ "-no-canonical-prefixes", ALONE, PLAIN },
	{ "-fno-working-directory", ALONE, PLAIN },
	{ "-fno-", JOINED, PLAIN },
	{ "-fPIC", ALONE, PLAIN },
	{ "-fpic", ALONE, PLAIN },
	{ "-fPIE", ALONE, PLAIN },
	{ "-fpie", ALONE, PLAIN },
	{ "-fvisibility", JOINED, PLAIN },
	{ "-fstack-protector", JOINED, PLAIN },
	{ "-fstack-clash-protection", ALONE, PLAIN },
	{ "-fcf-protection", JOINED, PLAIN },
	{ "-fomit-frame-pointer", ALONE, PLAIN },
	{ "-fsigned-char", ALONE, PLAIN },
	{ "-funsigned-char", ALONE, PLAIN },
	{ "-fshort-enums", ALONE, PLAIN },
	{ "-fwrapv", ALONE, PLAIN },
	{ "-ftrapv", ALONE, PLAIN },
	{ "-fstrict-", JOINED, PLAIN },
	{ "-fcommon", ALONE, PLAIN },
	{ "-ffunction-sections", ALONE, PLAIN },
	{ "-fdata-sections", ALONE, PLAIN },
	{ "-fdiagnostics-", JOINED, PLAIN },
	{ "-fcolor-diagnostics", ALONE, PLAIN },
	{ "-fansi-escape-codes", ALONE, PLAIN },
	{ "-fmessage-length=", JOINED, PLAIN },
	{ "-fmax-errors=", JOINED, PLAIN },
	{ "-fexceptions", ALONE, PLAIN },
	{ "-fnon-call-exceptions", ALONE, PLAIN },
	{ "-fasynchronous-unwind-tables", ALONE, PLAIN },
	{ "-funwind-tables", ALONE, PLAIN },
	{ "-frtti", ALONE, PLAIN },
	{ "-fopenmp", JOINED, PLAIN },
	{ "-ffast-math", ALONE, PLAIN },
	{ "-ffp-contract=", JOINED, PLAIN },
	{ "-fmath-errno", ALONE, PLAIN },
	{ "-fexcess-precision=", JOINED, PLAIN },
	{ "-funroll-loops", ALONE, PLAIN },
	{ "-ftree-", JOINED, PLAIN },
	{ "-finline", JOINED, PLAIN },
	{ "-falign-", JOINED, PLAIN },
	{ "-fgnu89-inline", ALONE, PLAIN },
	{ "-fms-extensions", ALONE, PLAIN },
	{ "-fplan9-extensions", ALONE, PLAIN },
	{ "-ffreestanding", ALONE, PLAIN },
	{ "-fhosted", ALONE, PLAIN },
	{ "-fbuiltin", JOINED, PLAIN },
	{ "-fpermissive", ALONE, PLAIN },
	{ "-fconserve-space", ALONE, PLAIN },
	{ "-fchar8_t", ALONE, PLAIN },
	{ "-fcoroutines", ALONE, PLAIN },
	{ "-fconcepts", ALONE, PLAIN },
	{ "-fsized-deallocation", ALONE, PLAIN },
	{ "-faligned-new", JOINED, PLAIN },
	{ "-fabi-version=", JOINED, PLAIN },
	{ "-ftemplate-", JOINED, PLAIN },
	{ "-fconstexpr-", JOINED, PLAIN },
	{ "-fmerge-", JOINED, PLAIN },
	{ "-fipa-", JOINED, PLAIN },
	{ "-fsemantic-interposition", ALONE, PLAIN },
	{ "-ftls-model=", JOINED, PLAIN },
	{ "-fzero-call-used-regs=", JOINED, PLAIN },
	{ "-ftrivial-auto-var-init=", JOINED, PLAIN },
	{ "-fdelete-null-pointer-checks", ALONE, PLAIN },
	{ "-fuse-ld=bfd", ALONE, PLAIN },
	{ "-fuse-ld=gold", ALONE, PLAIN },
	{ "-fuse-ld=lld", ALONE, PLAIN },
	{ "-fsanitize=", JOINED, PLAIN },
	{ "-fsanitize-undefined-trap-on-error", ALONE, PLAIN },
	{ "-ffile-prefix-map=", JOINED, PLAIN },
	{ "-fdebug-prefix-map=", JOINED, PLAIN },
	{ "-fmacro-prefix-map=", JOINED, PLAIN },
	{ "-fdebug-types-section", ALONE, PLAIN },
	{ "-fextended-identifiers", ALONE, PLAIN },
	{ "-finput-charset=", JOINED, PLAIN },
	{ "-fexec-charset=", JOINED, PLAIN },
	{ "-fwide-exec-charset=", JOINED, PLAIN },
	{ "-ftabstop=", JOINED, PLAIN },
	{ "-frounding-math", ALONE, PLAIN },
	{ "-fsingle-precision-constant", ALONE, PLAIN },
	{ "-fassociative-math", ALONE, PLAIN },
	{ "-fkeep-", JOINED, PLAIN },
	{ "-fpack-struct", JOINED, PLAIN },
	{ "-fleading-underscore", ALONE, PLAIN },
	{ "-fverbose-asm", ALONE, UNKNOWN },
	{ "-fpreprocessed", ALONE, PLAIN },
	{ "-fdirectives-only", ALONE, PLAIN },
};

static bool
fits(const struct option *option, const char *word)
{
	size_t size = strlen(option->text);

	if (option->argument == ALONE || option->argument == SEPARATE)
		return strcmp(word, option->text) == 0;
	return strncmp(word, option->text, size) == 0;
}

static const struct option *
find_option(const char *word)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		if (fits(&options[i], word))
			return &options[i];
	}
	return NULL;
}

/* Is its argument the next word? */
static bool
takes_next(const struct option *option, const char *word)
{
	return option->argument == SEPARATE ||
	    (option->argument == EITHER && !word[strlen(option->text)]);
}

bool
compile_is_driver(const char *program)
{
	static const char *const others[] = { "cc1", "cc1plus", "cc1obj",
		"cc1objplus", "collect2", "lto1", "lto-wrapper", "cpp" };
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;
	size_t size = strlen(name);

	if (classify_program(program) != PROGRAM_COMPILER)
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		if (strcmp(name, others[i]) == 0)
			return false;
	}
	return strstr(name, "gcc") || strstr(name, "g++") ||
	    strstr(name, "clang") || strstr(name, "cc") ||
	    (size >= 3 && strstr(name, "c++"));
}

static bool
is_source(const char *word)
{
	static const char *const suffixes[] = { ".c", ".cc", ".cp", ".cpp",
		".cxx", ".c++", ".C", ".m", ".mm", ".i", ".ii", ".s", ".S" };
	const char *dot = strrchr(word, '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(*suffixes);
	     i++) {
		if (strcmp(dot, suffixes[i]) == 0)
			return word[0] != '-';
	}
	return false;
}

static bool
compile_claims(const struct action *action)
{
	if (!compile_is_driver(action->argv[0]))
		return false;
	for (char *const *word = action->argv + 1; *word; word++) {
		const struct option *option = find_option(*word);

		if (is_source(*word))
			return true;
		if (!option)
			continue;
		if (option->meaning == COMPILES)
			return true;
		if (takes_next(option, *word) && word[1])
			word++;
	}
	return false;
}

bool
compile_names_input(char *const *argv)
{
	for (char *const *word = argv + 1; *word; word++) {
		const struct option *option =
		    **word == '-' ? find_option(*word) : NULL;

		if (**word != '-')
			return true;
		if (option && takes_next(option, *word) && word[1])
			word++;
	}
	return false;
}

/* Something that is only linked, by its suffix. */
static bool
is_object(const char *word)
{
	static const char *const suffixes[] = { ".o", ".a", ".so", ".lo" };
	const char *slash = strrchr(word, '/');
	const char *name = slash ? slash + 1 : word;
	size_t size = strlen(name);

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		size_t length = strlen(suffixes[i]);

		if (size > length &&
		    strcmp(name + size - length, suffixes[i]) == 0)
			return true;
	}
	return strstr(name, ".so.") != NULL;
}

/* What the words of one command add up to. Without a mode, it also links. */
struct reading {
	struct action *action;
	const char *output, *depfile;
	char mode; /* of -c, -S, -E */
	bool depends, target, links;
	bool linking; /* what the words name are objects and libraries */
	bool others;  /* ... or something else, as far as one can tell */
	size_t sources;
};

static void
read_option(struct reading *r, const struct option *option, const char *word,
    const char *argument)
{
	switch (option->meaning) {
	case PLAIN: break;
	case COMPILES: r->mode = word[1]; break;
	case OUTPUT: r->output = argument; break;
	case DEPENDS: r->depends = true; break;
	case DEPFILE: r->depfile = argument; break;
	case DEPFILE_TARGET: r->target = true; break;
	case LINKS: r->links = true; break;
	case UNKNOWN: r->action->known = false; break;
	}
}

static void
read_source(struct reading *r, const char *word)
{
	if (word[0] == '@' || word[0] == '-')
		r->action->known = false;
	else if (r->linking)
		r->others |= !is_object(word);
	else {
		action_add_source(r->action, word);
		r->sources++;
	}
}

static void
read_words(struct reading *r, const struct response *words)
{
	for (size_t i = 0; i < words->count; i++) {
		const char *here = words->word[i].text, *argument;
		const struct option *option = find_option(here);

		if (here[0] != '-' || !here[1]) {
			read_source(r, here);
			continue;
		}
		if (!option) {
			r->action->known = false;
			continue;
		}
		if (option->meaning == OUTPUT && words->word[i].inside &&
		    !r->linking)
			r->action->known = false;
		r->others |= strcmp(option->text, "-x") == 0;
		argument = here + strlen(option->text);
		if (takes_next(option, here)) {
			if (++i == words->count)
				break;
			argument = words->word[i].text;
		}
		read_option(r, option, here, argument);
	}
}

/* Behind the others, since the first is what outputs are named after. */
static void
add_response_files(struct action *action)
{
	for (char *const *word = action->argv + 1; *word; word++) {
		if ((*word)[0] == '@')
			action_add_source(action, *word + 1);
	}
}

/* src/a.c to a.o in the working directory, as the driver names it. */
static char *
name_after(const struct action *action, const char *source, const char *suffix)
{
	const char *slash = strrchr(source, '/');
	const char *name = slash ? slash + 1 : source;
	const char *dot = strrchr(name, '.');

	return xasprintf("%s/%.*s%s", action->cwd,
	    dot ? (int)(dot - name) : (int)strlen(name), name, suffix);
}

static void
find_outputs(struct reading *r)
{
	struct action *action = r->action;

	if (r->output)
		action->output = action_path(action, r->output);
	else if (!r->mode)
		action->output = action_path(action, "a.out");
	else if (r->sources == 1 && r->mode != 'E')
		action->output = name_after(
		    action, action->sources[0], r->mode == 'S' ? ".s" : ".o");
	if (!r->depends || r->sources != 1)
		return;
	if (r->depfile)
		action->depfile = action_path(action, r->depfile);
	else if (!r->mode)
		return; /* named after both the source and the program */
	else if (r->output) {
		const char *dot = strrchr(action->output, '.');
		const char *slash = strrchr(action->output, '/');

		action->depfile = xasprintf("%.*s.d",
		    dot > slash ? (int)(dot - action->output)
		                : (int)strlen(action->output),
		    action->output);
	} else
		action->depfile = name_after(action, action->sources[0], ".d");
}

/* Behind the others, as if the user had put it there. */
static void
add_map(struct action *action)
{
	size_t count = 0;

	while (action->words[count])
		count++;
	action->own_word = xasprintf("-ffile-prefix-map=%s=.", action->root);
	action->words[count] = action->own_word;
	action->words[count + 1] = NULL;
}

static void
compile_describe(struct action *action)
{
	struct reading r = { .action = action };
	struct response words;

	action->known = true;
	action->compiler = true;
	action->accelerate = true;
	response_init(&words, action->argv, action->cwd);
	read_words(&r, &words);
	find_outputs(&r);
	if (r.links && !r.mode)
		action->known = false;
	action->output_free = action->known && r.mode && r.output &&
	    r.sources == 1 && (!r.depends || (r.target && r.depfile)) &&
	    strncmp(action->output, "/dev/", 5) != 0;
	if (action->map_root && strlen(action->root) > 1)
		add_map(action);
	add_response_files(action);
	response_release(&words);
}

void
compile_describe_link(struct action *action)
{
	struct reading r = { .action = action, .linking = true };
	struct response words;

	action->known = true;
	response_init(&words, action->argv, action->cwd);
	read_words(&r, &words);
	action->output = action_path(action, r.output ? r.output : "a.out");
	action->known &= !r.links && !r.mode;
	action->no_source = action->known && !r.others;
	add_response_files(action);
	response_release(&words);
}

const struct action_kind action_compile = {
	.name = "compile",
	.claims = compile_claims,
	.describe = compile_describe,
	.unroot = depfile_unroot,
	.rewrite = depfile_rewrite,
};
