/* What `tarn doctor` looks at of the machine and of the one who asks. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/tarn_program.h"
#include "base/version.h"
#include "cli/doctor.h"

#define FILES_WANTED 256     /* descriptors */
#define YEAR_2024 1704067200 /* no clock of today is before that */
#define YEAR_2100 4102444800
#define SKEW_S 2

/* ---- TARN_* ---- */

enum form { ANY, SWITCH, SHARE, SECONDS, BYTES, LEVEL };

static const struct {
	const char *name;
	enum form form;
	const char *effect; /* of a switch that is on */
} variables[] = {
	{ "TARN_DIR", ANY, NULL },
	{ "TARN_CONFIG", ANY, NULL },
	{ "TARN_TIERS", ANY, NULL },
	{ "TARN_ROOT", ANY, NULL },
	{ "TARN_DISABLE", SWITCH, "every command just runs" },
	{ "TARN_REFRESH", SWITCH,
	    "every command runs, and its result is "
	    "replaced" },
	{ "TARN_READ_ONLY", SWITCH, "nothing is stored" },
	{ "TARN_OFFLINE", SWITCH, "no remote location is asked" },
	{ "TARN_MAP_ROOT", SWITCH, NULL },
	{ "TARN_CHECK", SHARE, NULL },
	{ "TARN_EVENTS", ANY, NULL },
	{ "TARN_LABEL", ANY, NULL },
	{ "TARN_BUILD_ID", ANY, NULL },
	{ "TARN_LOG", LEVEL, NULL },
	{ "TARN_LOG_FILE", ANY, NULL },
	{ "TARN_DAEMON_IDLE", SECONDS, NULL },
	{ "TARN_DAEMON_SPOOL", BYTES, NULL },
	{ "TARN_RING", ANY, NULL },
	{ "TARN_STAMP_GRANULARITY_NS", ANY, NULL },
};
#define VARIABLES (sizeof(variables) / sizeof(*variables))

/* How many letters have to be put in, left out or changed; at most 9. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[64], wide = (unsigned)strlen(b);

	if (wide >= 63 || strlen(a) >= 63)
		return 9;
	for (unsigned j = 0; j <= wide; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned corner = row[0]++;

		for (unsigned j = 1; j <= wide; j++) {
			unsigned best = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[wide] < 9 ? row[wide] : 9;
}

static void
tell_unknown(struct doctor *doctor, const char *name)
{
	size_t nearest = 0;

	for (size_t i = 1; i < VARIABLES; i++) {
		if (distance(name, variables[i].name) <
		    distance(name, variables[nearest].name))
			nearest = i;
	}
	doctor_wrong(doctor, "nothing reads %.60s", name);
	if (distance(name, variables[nearest].name) <= 3)
		doctor_mend(doctor, "unset %.60s, or name it %s", name,
		    variables[nearest].name);
	else
		doctor_mend(doctor, "unset %.60s", name);
}

static bool
is_number(const char *value, double most)
{
	char *end;
	double number = strtod(value, &end);

	return end != value && !*end && number >= 0 && number <= most;
}

/* What is wrong with the value; NULL: nothing. */
static const char *
misfit(enum form form, const char *value)
{
	static const char *const levels[] = { "none", "error", "warn", "info",
		"debug" };
	struct error err;
	uint64_t size;

	switch (form) {
	case SWITCH:
		return strcmp(value, "0") == 0 || strcmp(value, "1") == 0
		    ? NULL
		    : "1 or 0";
	case SHARE: return is_number(value, 1) ? NULL : "a share, such as 0.02";
	case SECONDS:
		return is_number(value, 1e9) ? NULL : "a number of seconds";
	case BYTES:
		return size_parse(value, &size, &err) == 0
		    ? NULL
		    : "a size, such as 500MiB";
	case LEVEL:
		for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
			if (strcmp(value, levels[i]) == 0)
				return NULL;
		}
		return "none, error, warn, info or debug";
	case ANY: break;
	}
	return NULL;
}

/* Counts those that are told of. */
static unsigned
look_at(struct doctor *doctor, size_t i)
{
	const char *name = variables[i].name, *value = getenv(name);
	const char *expected;

	if (!value || !*value)
		return 0;
	expected = misfit(variables[i].form, value);
	if (expected) {
		doctor_wrong(doctor, "%s is '%.100s'", name, value);
		doctor_mend(doctor, "set it to %s", expected);
		return 1;
	}
	if (!variables[i].effect || strcmp(value, "1") != 0)
		return 0;
	doctor_note(doctor, "%s=1: %s", name, variables[i].effect);
	doctor_mend(doctor, "unset %s, if that is not meant", name);
	return 1;
}

static bool
is_known(const char *name)
{
	for (size_t i = 0; i < VARIABLES; i++) {
		if (strcmp(variables[i].name, name) == 0)
			return true;
	}
	return false;
}

void
doctor_variables(struct doctor *doctor)
{
	unsigned told = 0, set = 0;

	for (char **at = environ; at && *at; at++) {
		auto_free char *name = NULL;

		if (strncmp(*at, "TARN_", 5) != 0)
			continue;
		name = xasprintf("%.*s", (int)strcspn(*at, "="), *at);
		set++;
		if (is_known(name))
			continue;
		tell_unknown(doctor, name);
		told++;
	}
	for (size_t i = 0; i < VARIABLES; i++)
		told += look_at(doctor, i);
	if (told == 0)
		doctor_ok(doctor, "%u of TARN_* set, all known", set);
}

/* ---- limits ---- */

void
doctor_limits(struct doctor *doctor)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	if (files.rlim_cur >= FILES_WANTED) {
		doctor_ok(doctor, "%llu open files for a process",
		    (unsigned long long)files.rlim_cur);
		return;
	}
	doctor_wrong(doctor, "only %llu open files for a process",
	    (unsigned long long)files.rlim_cur);
	if (files.rlim_max >= FILES_WANTED)
		doctor_mend(doctor, "ulimit -n 1024");
	else
		doctor_mend(doctor,
		    "raise the hard limit, which is %llu, as root: 'nofile' in "
		    "/etc/security/limits.conf",
		    (unsigned long long)files.rlim_max);
}

/* ---- programs of ours ---- */

/* Of another version, or not to be run? */
static bool
is_other(struct doctor *doctor, const char *name, const char *path)
{
	const char *const words[] = { path, "--version", NULL };
	auto_free char *ours = xasprintf("%s %s", name, TARN_VERSION);
	struct error err = { 0 };
	auto_free char *says = tarn_program_ask(words, TARN_PROGRAM_MS, &err);

	if (!says) {
		doctor_wrong(doctor, "%s", err.text);
		doctor_mend(doctor, "install tarn anew");
		return true;
	}
	if (strcmp(says, ours) == 0)
		return false;
	doctor_wrong(doctor, "'%s' is %.60s, and this is tarn %s", path, says,
	    TARN_VERSION);
	doctor_mend(doctor,
	    "install all of tarn anew, or take the other one out of PATH");
	return true;
}

void
doctor_programs(struct doctor *doctor)
{
	static const char *const names[] = { "tarn", "tarn-exec", "tarnd" };
	bool well = true;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		auto_free char *beside = tarn_program_path(names[i]);
		auto_free char *found = doctor_find(names[i]);
		struct stat a, b;

		if (!strchr(beside, '/') && !found) {
			doctor_wrong(doctor, "there is no '%s'", names[i]);
			doctor_mend(
			    doctor, "install it in the folder of 'tarn'");
			well = false;
			continue;
		}
		if (strchr(beside, '/') && is_other(doctor, names[i], beside))
			well = false;
		if (found && stat(found, &a) == 0 &&
		    (stat(beside, &b) < 0 || a.st_ino != b.st_ino ||
		        a.st_dev != b.st_dev) &&
		    is_other(doctor, names[i], found))
			well = false;
	}
	if (well)
		doctor_ok(
		    doctor, "tarn, tarn-exec and tarnd are %s", TARN_VERSION);
}

/* ---- other wrappers ---- */

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *
wrapper_of(const char *path)
{
	static const char *const names[] = { "ccache", "sccache", "distcc",
		"icecc", "buildcache", "fastcache", "colorgcc" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(last_part(path), names[i]) == 0)
			return names[i];
	}
	return NULL;
}

/* CC='ccache gcc' and the like. */
static unsigned
look_at_launchers(struct doctor *doctor)
{
	static const char *const names[] = { "CC", "CXX",
		"CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER",
		"RUSTC_WRAPPER" };
	unsigned told = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = getenv(names[i]);
		auto_free char *word = value
		    ? xasprintf("%.*s", (int)strcspn(value, " ;"), value)
		    : NULL;

		if (!word || !wrapper_of(word))
			continue;
		told++;
		doctor_note(doctor, "%s begins with %s, another wrapper",
		    names[i], wrapper_of(word));
		doctor_mend(
		    doctor, "put tarn-exec there in its place, not before it");
	}
	return told;
}

void
doctor_compilers(struct doctor *doctor)
{
	static const char *const names[] = { "cc", "c++", "gcc", "g++", "clang",
		"clang++" };
	unsigned told = look_at_launchers(doctor);

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		auto_free char *path = doctor_find(names[i]);
		auto_free char *real = path ? realpath(path, NULL) : NULL;

		if (!real || !wrapper_of(real))
			continue;
		told++;
		doctor_note(doctor,
		    "'%s' is %s, which keeps results of its own and hides the "
		    "compiler",
		    path, wrapper_of(real));
		doctor_mend(doctor, "take '%.*s' out of PATH",
		    (int)(last_part(path) - path - 1), path);
	}
	if (told == 0)
		doctor_ok(doctor, "no other wrapper in front of compilers");
}

/* ---- clocks ---- */

/* How far the clock that stamps files in TARN_DIR is ahead of ours. */
static long
skew(const struct doctor *doctor)
{
	auto_free char *path = xasprintf("%s/clock", doctor->scratch);
	auto_close int fd =
	    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || write(fd, "", 1) != 1 || fstat(fd, &st) < 0)
		return 0;
	return (long)(st.st_mtim.tv_sec - time(NULL));
}

void
doctor_clock(struct doctor *doctor)
{
	time_t now = time(NULL);
	long ahead = doctor->scratch ? skew(doctor) : 0;

	if (now < YEAR_2024 || now > YEAR_2100) {
		doctor_wrong(doctor,
		    "it says %lld seconds since 1970, which can't be",
		    (long long)now);
		doctor_mend(doctor, "timedatectl set-ntp true");
	} else if (labs(ahead) > SKEW_S) {
		doctor_wrong(doctor,
		    "files in '%s' get times %ld s %s ours, so what just "
		    "changed may look old",
		    doctor->tarn_dir, labs(ahead),
		    ahead > 0 ? "ahead of" : "behind");
		doctor_mend(doctor,
		    "timedatectl set-ntp true, here and on the server of that "
		    "file system; or set TARN_DIR to a local one");
	} else {
		doctor_ok(doctor, "it is plausible, and that of files agrees");
	}
}

/* ---- observers ---- */

/* What tarn-exec said of `words` in the event; "" if it did not. */
struct probe {
	char *observer, *note, *reason; /* owned */
};

static void
probe_release(struct probe *probe)
{
	free(probe->observer);
	free(probe->note);
	free(probe->reason);
}

static char *
text_of(const cJSON *event, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(event, name);

	return xstrdup(cJSON_IsString(value) ? value->valuestring : "");
}

static void
read_event(const char *path, struct probe *probe)
{
	auto_buf text = BUF_INIT;
	struct error err;
	cJSON *event = NULL;

	if (buf_read_file(&text, path, &err) == 0)
		event = cJSON_ParseWithLength(text.data, text.len);
	probe->observer = text_of(event, "observer");
	probe->note = text_of(event, "note");
	probe->reason = text_of(event, "reason");
	cJSON_Delete(event);
	(void)unlink(path);
}

/* With a TARN_DIR and a configuration of its own, so that all is a miss. */
static int
probe_run(const struct doctor *doctor, const char *const *words,
    struct probe *probe, struct error *err)
{
	auto_free char *dir = xasprintf("TARN_DIR=%s/dir", doctor->scratch);
	auto_free char *root = xasprintf("TARN_ROOT=%s", doctor->scratch);
	auto_free char *path = xasprintf("%s/event", doctor->scratch);
	auto_free char *events = xasprintf("TARN_EVENTS=%s", path);
	const char *const settings[] = { dir, root, events,
		"TARN_TIERS=", "TARN_DISABLE=", "TARN_REFRESH=",
		"TARN_READ_ONLY=", "TARN_CHECK=", "TARN_LOG_FILE=", NULL };
	int rc = tarn_program_run(words, settings, TARN_PROGRAM_MS, err);

	read_event(path, probe);
	return rc;
}

/* Does the kernel let us trace a child of ours? 0, or errno. */
static int
try_ptrace(void)
{
	pid_t pid = fork();
	int sys = 0;

	if (pid < 0)
		return errno;
	if (pid == 0) {
		for (;;)
			(void)pause();
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		sys = errno;
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return sys;
}

static void
tell_ptrace(struct doctor *doctor, bool needed)
{
	int sys = try_ptrace();

	if (sys == 0) {
		doctor_ok(doctor, "ptrace works");
		return;
	}
	(needed ? doctor_wrong : doctor_note)(
	    doctor, "ptrace is refused: %s", strerror(sys));
	doctor_mend(doctor,
	    "sysctl kernel.yama.ptrace_scope=1 as root; in a container, run "
	    "it with --cap-add SYS_PTRACE");
}

/* Seccomp's listener is the base; ptrace stands in for it. */
static void
tell_listener(struct doctor *doctor, const struct probe *probe)
{
	bool listens = strcmp(probe->observer, "observed") == 0;

	if (listens) {
		doctor_ok(doctor, "seccomp's listener works");
	} else if (strcmp(probe->observer, "traced") == 0) {
		doctor_note(doctor, "%s",
		    *probe->note ? probe->note : "observed by ptrace");
		doctor_mend(doctor,
		    "Linux 5.5 or newer, and outside of containers whose "
		    "seccomp profile or whose tracer takes it; a miss is "
		    "slower without");
	} else {
		doctor_wrong(doctor, "commands can't be observed: %s",
		    *probe->reason ? probe->reason : "no event says why");
		doctor_mend(doctor,
		    "in a container, run it with --security-opt "
		    "seccomp=unconfined or --cap-add SYS_PTRACE; else give "
		    "--input and --output for all that commands read and "
		    "write");
	}
	tell_ptrace(doctor, !listens);
}

static void
tell_library(struct doctor *doctor, const struct probe *probe, const char *cc)
{
	if (strcmp(probe->observer, "accelerated") == 0) {
		doctor_ok(doctor, "the accelerator works in '%s'", cc);
		return;
	}
	doctor_note(doctor,
	    "the accelerator does not work in '%s': compiles are %s", cc,
	    *probe->observer ? probe->observer : "not kept");
	doctor_mend(doctor,
	    "TARN_DIR on a file system without noexec, and a compiler that is "
	    "a dynamically linked program for x86-64; misses take longer "
	    "without");
}

static void
try_library(struct doctor *doctor, const char *config)
{
	auto_free char *cc = doctor_find("gcc");
	auto_free char *source = xasprintf("%s/probe.c", doctor->scratch);
	auto_free char *object = xasprintf("%s/probe.o", doctor->scratch);
	auto_free char *real = NULL;
	struct probe probe = { NULL };
	struct error err = { 0 };

	if (!cc)
		cc = doctor_find("clang");
	real = cc ? realpath(cc, NULL) : NULL;
	if (!real || wrapper_of(real) ||
	    file_replace(source, "int probe;\n", 11, 0600, &err) < 0)
		return;
	const char *const words[] = { "tarn-exec", "--config", config, cc, "-c",
		source, "-o", object, NULL };
	(void)probe_run(doctor, words, &probe, &err);
	tell_library(doctor, &probe, cc);
	probe_release(&probe);
}

void
doctor_observers(struct doctor *doctor)
{
	auto_free char *config = NULL;
	struct probe probe = { NULL };
	struct error err = { 0 };

	if (!doctor->scratch)
		return;
	config = xasprintf("%s/tarn.json", doctor->scratch);
	if (file_replace(config, "{}\n", 3, 0600, &err) < 0)
		return;
	const char *const words[] = { "tarn-exec", "--config", config, "cat",
		config, NULL };
	if (probe_run(doctor, words, &probe, &err) < 0) {
		doctor_wrong(doctor, "tarn-exec: %s", err.text);
		doctor_mend(doctor, "install tarn anew");
	} else {
		tell_listener(doctor, &probe);
		try_library(doctor, config);
	}
	probe_release(&probe);
}
