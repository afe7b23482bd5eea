#include "exec/toolchain.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actions/compile.h"
#include "actions/environment.h"
#include "base/mem.h"
#include "store/content.h"
#include "trace/classify.h"

#define SAID_MAX (4 << 20) /* bytes of an answer */

static void
release_words(struct words *list)
{
	for (size_t i = 0; i < list->count; i++)
		free((void *)(uintptr_t)list->item[i]);
	free(list->item);
	*list = (struct words){ .item = NULL };
}

void
toolchain_release(struct toolchain *tools)
{
	plain_compile_release(&tools->plain);
	release_words(&tools->folders);
	release_words(&tools->programs);
}

/* ---- asking ---- */

static int
spawn(const struct job *job, const char *program, char *const *words, int out,
    pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	int sys;

	sigemptyset(&defaults);
	if (job->file_size_signal == SIG_DFL)
		sigaddset(&defaults, SIGXFSZ);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, out, 2);
	sys = posix_spawn(pid, program, &files, &attributes, words, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return sys;
}

static void
listen_to(int fd, struct buf *said)
{
	char chunk[16 * 1024];
	ssize_t got;

	while ((got = read(fd, chunk, sizeof(chunk))) > 0 ||
	    (got < 0 && errno == EINTR)) {
		if (got > 0 && said->len < SAID_MAX)
			buf_add(said, chunk, (size_t)got);
	}
}

static int
run(const struct job *job, const char *program, char *const *words,
    struct buf *said, struct error *err)
{
	int ends[2], status = -1, sys;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "cannot make a pipe");
	sys = spawn(job, program, words, ends[1], &pid);
	close(ends[1]);
	if (sys == 0) {
		listen_to(ends[0], said);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
	errno = sys;
	if (sys != 0)
		return error_errno(err, "cannot ask '%s'", program);
	if (status != 0)
		return error_set(
		    err, ERROR_SYSTEM, "'%s' fails when it is asked", program);
	return 0;
}

int
toolchain_run(const struct job *job, char *const *words, struct buf *said,
    struct error *err)
{
	return run(job, job->program, words, said, err);
}

/* ---- what can't be known ---- */

/* Variables that change nothing but what is asked of the compiler, or the text of
 * its words, or nothing of a compile. */
static bool
is_harmless(const char *name)
{
	static const char *const names[] = { "LANG", "LC_ALL", "LC_COLLATE",
		"LC_CTYPE", "LC_MESSAGES", "LC_NUMERIC", "LC_TIME", "TZ",
		"TMPDIR", "TMP", "TEMP", "CPATH", "C_INCLUDE_PATH",
		"CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH",
		"OBJCPLUS_INCLUDE_PATH", "LIBRARY_PATH", "GCC_COLORS",
		"GCC_URLS", "TERM_URLS", "EXPERIMENTAL_GCC_COLORS",
		"SOURCE_DATE_EPOCH", "LD_RUN_PATH", "COLUMNS", "NO_COLOR",
		"CLICOLOR_FORCE", "CLICOLOR", "LIBCLANG_BGPRIO_INDEX" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static int
check_variables(struct error *err)
{
	for (const char *const *name = environment_compiler; *name; name++) {
		if (getenv(*name) && !is_harmless(*name))
			return error_set(err, ERROR_USAGE,
			    "the variable '%s' is set", *name);
	}
	return 0;
}

/* Of others, the words come from catalogs. */
static int
check_locale(struct error *err)
{
	static const char *const names[] = { "LANG", "LC_ALL", "LC_COLLATE",
		"LC_CTYPE", "LC_MESSAGES", "LC_NUMERIC", "LC_TIME" };
	static const char *const plain[] = { "", "C", "POSIX", "C.UTF-8",
		"C.utf8" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = getenv(names[i]);
		bool known = !value;

		for (size_t j = 0; j < sizeof(plain) / sizeof(*plain); j++)
			known |= value && strcmp(value, plain[j]) == 0;
		if (!known)
			return error_set(err, ERROR_USAGE,
			    "'%s' is '%.40s', and not C or C.UTF-8", names[i],
			    value);
	}
	return 0;
}

/* ---- files that count ---- */

static void
add_file(const struct job *job, const char *path, struct hasher *h)
{
	struct content content;
	struct error missing;

	hasher_add_text(h, path);
	if (content_of(&content, job->table, AT_FDCWD, path, &missing) < 0)
		hasher_add_text(h, "missing");
	else
		hasher_add_bytes(h, content.digest.bytes, DIGEST_SIZE);
}

/* What the C library reads for the locales above. */
static int
add_locale(const struct job *job, struct hasher *h, struct error *err)
{
	static const char *const files[] = { "/usr/lib/locale/locale-archive",
		"/usr/lib/locale/C.UTF-8/LC_CTYPE",
		"/usr/lib/locale/C.utf8/LC_CTYPE",
		"/usr/lib/locale/C.UTF-8/LC_MESSAGES/SYS_LC_MESSAGES",
		"/usr/lib/locale/C.utf8/LC_MESSAGES/SYS_LC_MESSAGES",
		"/usr/share/locale/locale.alias", "/etc/ld.so.preload",
		"/usr/lib/gconv/gconv-modules.cache",
		"/usr/lib64/gconv/gconv-modules.cache",
		"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache" };
	static const char *const catalogs[] = { "/usr/share/locale/C",
		"/usr/share/locale/C.UTF-8", "/usr/share/locale/C.utf8",
		"/usr/share/locale-langpack/C",
		"/usr/share/locale-langpack/C.UTF-8",
		"/usr/share/locale-langpack/C.utf8",
		"/usr/local/share/locale/C", "/usr/local/share/locale/C.UTF-8",
		"/usr/local/share/locale/C.utf8" };

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		add_file(job, files[i], h);
	for (size_t i = 0; i < sizeof(catalogs) / sizeof(*catalogs); i++) {
		if (access(catalogs[i], F_OK) == 0)
			return error_set(err, ERROR_USAGE,
			    "there may be catalogs in '%s'", catalogs[i]);
	}
	return 0;
}

/* ---- programs ---- */

struct image {
	const char *data;
	size_t size;
};

static int
image_open(struct image *image, const char *path, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "cannot open '%s'", path);
	data =
	    mmap(NULL, (size_t)st.st_size + 1, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return error_errno(err, "cannot read '%s'", path);
	*image = (struct image){ data, (size_t)st.st_size };
	return 0;
}

static void
image_close(struct image *image)
{
	munmap((void *)(uintptr_t)image->data, image->size + 1);
}

static bool
image_holds(const struct image *image, const char *text)
{
	return memmem(image->data, image->size, text, strlen(text)) != NULL;
}

/* The dynamic linker that it names, "" if none, NULL if it is no program. */
static const char *
image_linker(const struct image *image)
{
	Elf64_Ehdr head;
	Elf64_Phdr part;

	if (image->size < sizeof(head))
		return NULL;
	memcpy(&head, image->data, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_phentsize != sizeof(part))
		return NULL;
	for (size_t i = 0; i < head.e_phnum; i++) {
		size_t at = head.e_phoff + i * sizeof(part);

		if (at > image->size - sizeof(part))
			return NULL;
		memcpy(&part, image->data + at, sizeof(part));
		if (part.p_type != PT_INTERP)
			continue;
		if (part.p_offset > image->size ||
		    part.p_filesz > image->size - part.p_offset ||
		    part.p_filesz == 0 ||
		    image->data[part.p_offset + part.p_filesz - 1])
			return NULL;
		return image->data + part.p_offset;
	}
	return "";
}

/* The libraries that the dynamic linker finds today, with what they hold. */
static int
add_libraries(const struct job *job, const char *path, const char *linker,
    struct hasher *h, struct error *err)
{
	static char list[] = "--list";
	char *words[] = { (char *)(uintptr_t)linker, list,
		(char *)(uintptr_t)path, NULL };
	auto_buf said = BUF_INIT;
	char *save = NULL;

	add_file(job, linker, h);
	if (run(job, linker, words, &said, err) < 0)
		return -1;
	for (char *line = strtok_r(said.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *from = strchr(line, '/');
		char *to = strstr(line, " (0x");

		if (strstr(line, "not found"))
			return error_set(
			    err, ERROR_SYSTEM, "'%s' lacks a library", path);
		if (!from || !to || to < from)
			continue;
		*to = '\0';
		from = strstr(line, "=> ") ? strstr(line, "=> ") + 3 : from;
		add_file(job, from, h);
	}
	return 0;
}

/* A compiler by its name, by where it lies, and by what it is. */
static int
add_program(struct toolchain *tools, const struct job *job, const char *path,
    const char *const *marks, struct hasher *h, struct error *err)
{
	char real[PATH_MAX];
	struct image image = { .size = 0 };
	const char *linker;
	bool known = !marks;
	int status = 0;

	if (!realpath(path, real))
		return error_errno(err, "cannot look at '%s'", path);
	if (!classify_is_system(path) || !classify_is_system(real) ||
	    classify_program(real) != PROGRAM_COMPILER)
		return error_set(err, ERROR_USAGE,
		    "'%.150s' is no compiler that is known", real);
	for (size_t i = 0; i < tools->programs.count; i++) {
		if (strcmp(tools->programs.item[i], real) == 0)
			return 0;
	}
	if (image_open(&image, real, err) < 0)
		return -1;
	linker = image_linker(&image);
	for (; marks && *marks; marks++)
		known |= image_holds(&image, *marks);
	add_file(job, path, h);
	hasher_add_text(h, real);
	if (!linker || !known)
		status = error_set(
		    err, ERROR_USAGE, "'%.150s' is no compiler itself", real);
	else if (*linker)
		status = add_libraries(job, real, linker, h, err);
	image_close(&image);
	if (status == 0)
		words_add(&tools->programs, xstrdup(real));
	return status;
}

static int
add_driver(struct toolchain *tools, const struct job *job, struct hasher *h,
    struct error *err)
{
	static const char *const marks[] = { "COLLECT_GCC_OPTIONS",
		"libclang-cpp", "CCC_OVERRIDE_OPTIONS", NULL };
	char real[PATH_MAX];

	if (!realpath(job->program, real))
		return error_errno(err, "cannot look at '%s'", job->program);
	if (!compile_is_driver(real))
		return error_set(err, ERROR_USAGE,
		    "'%.150s' is no compiler that is known", real);
	tools->is_clang = strstr(strrchr(real, '/'), "clang") != NULL;
	return add_program(tools, job, job->program, marks, h, err);
}

/* As execvp() searches. The caller frees it. */
static char *
search_path(const struct job *job, const char *name)
{
	const char *dirs = getenv("PATH");

	for (dirs = dirs ? dirs : "/bin:/usr/bin";;) {
		size_t size = strcspn(dirs, ":");
		auto_free char *path = size == 0 || dirs[0] != '/'
		    ? xasprintf("%s/%.*s/%s", job->cwd, (int)size, dirs, name)
		    : xasprintf("%.*s/%s", (int)size, dirs, name);

		if (access(path, X_OK) == 0)
			return take(path);
		if (!dirs[size])
			return NULL;
		dirs += size + 1;
	}
}

static int
add_command(struct toolchain *tools, const struct job *job, const char *name,
    struct hasher *h, struct error *err)
{
	auto_free char *path =
	    strchr(name, '/') ? xstrdup(name) : search_path(job, name);

	if (!path || path[0] != '/')
		return error_set(err, ERROR_USAGE,
		    "it runs '%.150s', which is not found", name);
	return add_program(tools, job, path, NULL, h, err);
}

/* ---- its answers ---- */

/* Names of temporary files differ each time: "/tmp/ccXXXXXX.s". */
static void
blank_temporaries(char *text)
{
	for (char *at = text; (at = strstr(at, "/cc"));) {
		size_t size = 0;

		at += 3;
		while (size < 7 && isalnum((unsigned char)at[size]))
			size++;
		if (size == 6 && at[6] == '.')
			memset(at, 'X', 6);
	}
}

/* All that it said, but for how many jobs make runs. */
static void
add_answer(char *text, struct hasher *h)
{
	static const char jobs[] = "MAKEFLAGS=";

	blank_temporaries(text);
	while (*text) {
		size_t size = strcspn(text, "\n");

		if (strncmp(text, jobs, sizeof(jobs) - 1) != 0)
			hasher_add_bytes(h, text, size);
		text += size + (text[size] == '\n');
	}
	hasher_add_text(h, "");
}

/* Lines of "-###" that begin with a blank are commands. */
static int
add_commands(struct toolchain *tools, const struct job *job, char *text,
    struct hasher *h, struct error *err)
{
	size_t before = tools->programs.count, commands = 0;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char end = line[1] == '"' ? '"' : ' ';
		char *name = line[1] == '"' ? line + 2 : line + 1;

		if (line[0] != ' ' || strcmp(line, " (in-process)") == 0)
			continue;
		name[strcspn(name, end == '"' ? "\"" : " ")] = '\0';
		if (add_command(tools, job, name, h, err) < 0)
			return -1;
		commands++;
	}
	if (commands > 0 && (tools->is_clang || tools->programs.count > before))
		return 0;
	return error_set(
	    err, ERROR_USAGE, "it does not say which programs it runs");
}

static int
ask_commands(struct toolchain *tools, const struct job *job, struct hasher *h,
    struct error *err)
{
	static char dry[] = "-###";
	auto_free char **words = NULL;
	auto_buf said = BUF_INIT;
	size_t count = 0;

	while (job->action.words[count])
		count++;
	words = xmalloc((count + 2) * sizeof(*words));
	memcpy(words, job->action.words, count * sizeof(*words));
	words[count] = dry;
	words[count + 1] = NULL;
	if (toolchain_run(job, words, &said, err) < 0)
		return -1;
	add_answer(said.data, h);
	if (!strstr(
	        said.data, tools->is_clang ? "clang version" : "gcc version"))
		return error_set(
		    err, ERROR_USAGE, "it does not say what it is");
	if (!tools->is_clang && !strstr(said.data, "Using built-in specs."))
		return error_set(
		    err, ERROR_USAGE, "it goes by specs from a file");
	if (strstr(said.data, "-fms-compatibility"))
		return error_set(err, ERROR_USAGE,
		    "it looks for headers as a compiler of Windows does");
	return add_commands(tools, job, said.data, h, err);
}

/* What else may stand there maps names to files in its own way. */
static int
add_folder(struct toolchain *tools, const struct job *job, const char *name,
    struct error *err)
{
	auto_free char *path = action_path(&job->action, name);
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(err, ERROR_USAGE,
		    "it looks for headers in '%.150s', which is no folder",
		    path);
	words_add(&tools->folders, take(path));
	return 0;
}

static int
add_folders(struct toolchain *tools, const struct job *job, char *text,
    struct error *err)
{
	static const char quoted[] = "#include \"...\" search starts here:";
	static const char angled[] = "#include <...> search starts here:";
	static const char last[] = "End of search list.";
	bool inside = false, complete = false;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (strcmp(line, quoted) == 0)
			inside = true;
		else if (inside && strcmp(line, last) == 0)
			complete = true;
		else if (inside && !complete && strcmp(line, angled) != 0 &&
		    line[0] == ' ' && add_folder(tools, job, line + 1, err) < 0)
			return -1;
	}
	if (complete)
		return 0;
	return error_set(
	    err, ERROR_USAGE, "it does not say where it looks for headers");
}

/* Of an empty source; the words in front are those of the command. */
static int
ask_folders(struct toolchain *tools, const struct job *job, struct hasher *h,
    struct error *err)
{
	struct plain_compile *plain = &tools->plain;
	const char *more[] = { "-v", "-E", "-x", plain->language, "/dev/null",
		"-o", "/dev/null", NULL };
	size_t count = plain->count;
	auto_buf said = BUF_INIT;
	int status;

	for (size_t i = 0; more[i]; i++)
		plain->words[count++] = (char *)(uintptr_t)more[i];
	plain->words[count] = NULL;
	status = toolchain_run(job, plain->words, &said, err);
	plain->words[plain->count] = NULL;
	if (status < 0)
		return -1;
	add_answer(said.data, h);
	return add_folders(tools, job, said.data, err);
}

int
toolchain_ask(struct toolchain *tools, const struct job *job, struct hasher *h,
    struct error *err)
{
	char why[160];

	tools->is_clang = false;
	if (!plain_compile_read(&tools->plain, &job->action, why, sizeof(why)))
		return error_set(err, ERROR_USAGE, "%s", why);
	if (check_variables(err) < 0 || check_locale(err) < 0 ||
	    add_locale(job, h, err) < 0 || add_driver(tools, job, h, err) < 0 ||
	    ask_commands(tools, job, h, err) < 0)
		return -1;
	return ask_folders(tools, job, h, err);
}
