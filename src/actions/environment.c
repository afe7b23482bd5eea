#include "actions/environment.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_OUT_MAX 64

const char *const environment_compiler[] = {
	/* The C library and the dynamic linker: */
	"LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES",
	"LC_NUMERIC", "LC_TIME", "LOCPATH", "NLSPATH", "CHARSET",
	"OUTPUT_CHARSET", "TZ", "TMPDIR", "TMP", "TEMP", "GCONV_PATH",
	"GLIBC_TUNABLES", "LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT",
	"LD_BIND_NOT", "LD_HWCAP_MASK", "LD_ORIGIN_PATH", "LD_PROFILE",
	"LD_DEBUG", "LD_SHOW_AUXV", "LD_TRACE_LOADED_OBJECTS", "LD_VERBOSE",
	"LD_WARN", "LD_USE_LOAD_BIAS", "LD_DYNAMIC_WEAK",
	/* gcc, cpp, as, ld, collect2: */
	"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH",
	"OBJCPLUS_INCLUDE_PATH", "COMPILER_PATH", "LIBRARY_PATH",
	"GCC_EXEC_PREFIX", "GCC_ROOT", "BINUTILS_ROOT", "GCC_COMPARE_DEBUG",
	"GCC_COLORS", "GCC_URLS", "TERM_URLS", "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
	"EXPERIMENTAL_GCC_COLORS", "SOURCE_DATE_EPOCH", "DEPENDENCIES_OUTPUT",
	"SUNPRO_DEPENDENCIES", "COLLECT_NAMES", "COLLECT_GCC",
	"COLLECT_GCC_OPTIONS", "COLLECT_NO_DEMANGLE", "LD_RUN_PATH",
	"LDEMULATION", "GNUTARGET", "AS_OPTIONS", "POSIXLY_CORRECT", "COLUMNS",
	"NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR",
	/* clang: */
	"CCC_OVERRIDE_OPTIONS", "CLANG_CONFIG_FILE_SYSTEM_DIR",
	"CLANG_CONFIG_FILE_USER_DIR", "CLANG_NO_DEFAULT_CONFIG",
	"CLANG_CRASH_DIAGNOSTICS_DIR", "CC_PRINT_OPTIONS",
	"CC_PRINT_OPTIONS_FILE", "CC_PRINT_HEADERS", "CC_PRINT_HEADERS_FILE",
	"CC_LOG_DIAGNOSTICS", "CC_LOG_DIAGNOSTICS_FILE", "CC_PRINT_PROC_STAT",
	"CC_PRINT_PROC_STAT_FILE", "CC_PRINT_INTERNAL_STAT",
	"CC_PRINT_INTERNAL_STAT_FILE", "LIBCLANG_BGPRIO_INDEX", "SDKROOT",
	"RC_DEBUG_OPTIONS", NULL
};

/* Who works where, at which terminal, in which job: docs/keys.md says why. */
static const char *const sessions[] = { "_", "PWD", "OLDPWD", "SHLVL",
	"MAKELEVEL", "MAKE_TERMOUT", "MAKE_TERMERR", "MFLAGS", "TARN_*", "USER",
	"LOGNAME", "USERNAME", "HOSTNAME", "HOST", "MAIL", "TERM", "TERM_*",
	"COLORTERM", "VTE_VERSION", "WINDOWID", "WINDOWPATH", "DISPLAY",
	"WAYLAND_DISPLAY", "XAUTHORITY", "SESSION_MANAGER", "DESKTOP_SESSION",
	"DBUS_SESSION_BUS_ADDRESS", "XDG_SESSION_*", "XDG_RUNTIME_DIR",
	"XDG_SEAT", "XDG_SEAT_PATH", "XDG_VTNR", "XDG_CURRENT_DESKTOP", "SSH_*",
	"TMUX", "TMUX_PANE", "STY", "WINDOW", "GPG_TTY", "GPG_AGENT_INFO",
	"LS_COLORS", "LINES", "HISTFILE", "HISTSIZE", "HISTCONTROL", "PS1",
	"PROMPT_COMMAND", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID",
	"NINJA_STATUS", "CI_JOB_*", "CI_PIPELINE_*", "CI_RUNNER_*",
	"CI_CONCURRENT_*", "GITHUB_RUN_*", "GITHUB_JOB", "GITHUB_ACTION",
	"GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY",
	"GITHUB_PATH", "RUNNER_NAME", "BUILD_ID", "BUILD_NUMBER", "BUILD_TAG",
	"BUILD_URL", "BUILDKITE_JOB_ID", "BUILDKITE_BUILD_*", "JOB_URL",
	"RUN_DISPLAY_URL", NULL };

static const char *left_out[LEFT_OUT_MAX];
static size_t left_out_count;

bool
environment_fits(const char *pattern, const char *name, size_t size)
{
	size_t length = strlen(pattern);

	if (length > 0 && pattern[length - 1] == '*')
		return size >= length - 1 &&
		    memcmp(pattern, name, length - 1) == 0;
	return size == length && memcmp(pattern, name, size) == 0;
}

void
environment_leave_out(const char *name)
{
	if (left_out_count < LEFT_OUT_MAX)
		left_out[left_out_count++] = name;
}

bool
environment_is_left_out(const char *name)
{
	for (size_t i = 0; i < left_out_count; i++) {
		if (environment_fits(left_out[i], name, strlen(name)))
			return true;
	}
	return false;
}

bool
environment_is_session(const char *name, size_t size)
{
	for (const char *const *pattern = sessions; *pattern; pattern++) {
		if (environment_fits(*pattern, name, size))
			return true;
	}
	return false;
}

static bool
is_session(const char *name, size_t size)
{
	if (environment_is_session(name, size))
		return true;
	for (size_t i = 0; i < left_out_count; i++) {
		if (environment_fits(left_out[i], name, size))
			return true;
	}
	return false;
}

/* How many jobs there are and where to ask for one is no part of a result. */
static void
add_make_flags(const char *value, struct buf *to)
{
	while (*value) {
		size_t size = strcspn(value, " ");

		if (size > 0 && strncmp(value, "--jobserver", 11) != 0 &&
		    strncmp(value, "-j", 2) != 0) {
			buf_add(to, value, size);
			buf_add(to, " ", 1);
		}
		value += size;
		value += strspn(value, " ");
	}
}

/* valgrind's own libraries are gone again when a program of ours starts. */
static void
add_preloads(const char *value, struct buf *to)
{
	while (*value) {
		size_t size = strcspn(value, " :");

		if (size > 0 && !memmem(value, size, "/vgpreload_", 11)) {
			buf_add(to, ":", 1);
			buf_add(to, value, size);
		}
		value += size + (value[size] != '\0');
	}
}

bool
environment_preloads(void)
{
	static const char *const names[] = { "LD_PRELOAD", "LD_AUDIT" };

	for (size_t i = 0; i < 2; i++) {
		const char *value = getenv(names[i]);
		auto_buf found = BUF_INIT;

		if (value)
			add_preloads(value, &found);
		if (found.len > 0)
			return true;
	}
	return false;
}

/* Could the dynamic linker find anything in this folder? */
static bool
holds_libraries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = strstr(entry->d_name, ".so") ||
		    strcmp(entry->d_name, "glibc-hwcaps") == 0;
	if (dir)
		closedir(dir);
	return found;
}

/* Folders without a library lead nowhere, until one appears in them. */
static void
add_library_path(const char *value, struct buf *to)
{
	for (;;) {
		size_t size = strcspn(value, ":;");
		auto_buf path = BUF_INIT;

		buf_add(&path, value, size);
		if (size == 0 || holds_libraries(path.data))
			buf_addf(to, ":%s", path.data);
		if (!value[size])
			return;
		value += size + 1;
	}
}

void
environment_add_value(const char *name, const char *value, struct buf *to)
{
	if (strcmp(name, "MAKEFLAGS") == 0)
		add_make_flags(value, to);
	else if (strcmp(name, "LD_PRELOAD") == 0)
		add_preloads(value, to);
	else if (strcmp(name, "LD_LIBRARY_PATH") == 0)
		add_library_path(value, to);
	else {
		buf_add(to, "=", 1);
		buf_add(to, value, strlen(value));
	}
}

void
environment_add(const char *entry, struct buf *to)
{
	size_t size = strcspn(entry, "=");

	auto_buf name = BUF_INIT;
	size_t before;

	if (is_session(entry, size) || entry[size] != '=')
		return;
	buf_add(&name, entry, size);
	before = to->len;
	if (strcmp(name.data, "LD_LIBRARY_PATH") == 0) /* it may be printed */
		buf_addf(to, "=%s", entry + size + 1);
	else
		environment_add_value(name.data, entry + size + 1, to);
	if (to->len == before)
		return; /* as if it were not set */
	buf_add(to, "\n", 1);
	buf_add(to, name.data, size + 1);
}
