#include "trace/classify.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct rule {
	const char *pattern;
	enum special special;
};

/* The first that fits counts. A star stands for slashes too. */
static const struct rule rules[] = {
	{ "/dev/shm/*", SPECIAL_NONE },
	{ "/dev/null", SPECIAL_TOLERATED },
	{ "/dev/zero", SPECIAL_TOLERATED },
	{ "/dev/full", SPECIAL_TOLERATED },
	{ "/dev/random", SPECIAL_TOLERATED },
	{ "/dev/urandom", SPECIAL_TOLERATED },
	{ "/dev/stdout", SPECIAL_TOLERATED },
	{ "/dev/stderr", SPECIAL_TOLERATED },
	{ "/dev/fd/[12]", SPECIAL_TOLERATED },
	{ "/dev/fd", SPECIAL_TOLERATED },
	{ "/dev/stdin", SPECIAL_STDIN },
	{ "/dev/fd/0", SPECIAL_STDIN },
	{ "/proc/*/fd/0", SPECIAL_STDIN },
	{ "/proc/cpuinfo", SPECIAL_CPU },
	{ "/sys/devices/system/cpu*", SPECIAL_CPU },
	{ "/proc/version", SPECIAL_UNAME },
	{ "/proc/sys/kernel/osrelease", SPECIAL_UNAME },
	{ "/proc/sys/kernel/version", SPECIAL_UNAME },
	{ "/proc/sys/kernel/ostype", SPECIAL_UNAME },
	{ "/proc/*/environ", SPECIAL_ENVIRONMENT },
	{ "/proc/filesystems", SPECIAL_TOLERATED },
	{ "/proc/meminfo", SPECIAL_TOLERATED },
	{ "/proc/stat", SPECIAL_TOLERATED },
	{ "/proc/loadavg", SPECIAL_TOLERATED },
	{ "/proc/mounts", SPECIAL_TOLERATED },
	{ "/proc/sys/kernel/ngroups_max", SPECIAL_TOLERATED },
	{ "/proc/sys/kernel/cap_last_cap", SPECIAL_TOLERATED },
	{ "/proc/sys/kernel/random/boot_id", SPECIAL_REFUSED },
	{ "/proc/sys/vm/*", SPECIAL_TOLERATED },
	{ "/sys/fs/cgroup*", SPECIAL_TOLERATED },
	{ "/sys/kernel/mm/*", SPECIAL_TOLERATED },
	{ "/proc/*/cwd/*", SPECIAL_REFUSED },
	{ "/proc/*/root/*", SPECIAL_REFUSED },
	{ "/proc/*/fd/*/*", SPECIAL_REFUSED },
	{ "/proc/self", SPECIAL_TOLERATED },
	{ "/proc/self/*", SPECIAL_TOLERATED },
	{ "/proc/thread-self/*", SPECIAL_TOLERATED },
	{ "/proc/[0-9]*", SPECIAL_TOLERATED },
	{ "/proc/*", SPECIAL_REFUSED },
	{ "/proc", SPECIAL_REFUSED },
	{ "/sys/*", SPECIAL_REFUSED },
	{ "/dev/*", SPECIAL_REFUSED },
};

static bool
below(const char *path, const char *folder)
{
	size_t size = strlen(folder);

	return strncmp(path, folder, size) == 0 &&
	    (path[size] == '/' || path[size] == '\0');
}

/* Through a folder that some process has open to any file there is. */
static bool
leads_elsewhere(const char *path)
{
	return fnmatch("/proc/*/cwd/*", path, 0) == 0 ||
	    fnmatch("/proc/*/root/*", path, 0) == 0 ||
	    fnmatch("/proc/*/fd/*/*", path, 0) == 0;
}

enum special
classify_path(const char *path, int opened)
{
	if (!below(path, "/proc") && !below(path, "/sys") &&
	    !below(path, "/dev"))
		return SPECIAL_NONE;
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		if (fnmatch(rules[i].pattern, path, 0) != 0)
			continue;
		if (!opened && rules[i].special != SPECIAL_NONE &&
		    !leads_elsewhere(path))
			return SPECIAL_TOLERATED;
		return rules[i].special;
	}
	return opened && strcmp(path, "/dev") != 0 && strcmp(path, "/sys") != 0
	    ? SPECIAL_REFUSED
	    : SPECIAL_TOLERATED;
}

bool
classify_is_system(const char *path)
{
	static const char *const folders[] = { "/usr", "/bin", "/sbin", "/lib",
		"/lib32", "/lib64", "/libx32", "/opt", "/nix/store",
		"/gnu/store", "/snap" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		if (below(path, folders[i]))
			return true;
	}
	return false;
}

static const struct {
	const char *name;
	enum program_class class;
} programs[] = {
	{ "cc1", PROGRAM_COMPILER },
	{ "cc1plus", PROGRAM_COMPILER },
	{ "cc1obj", PROGRAM_COMPILER },
	{ "cc1objplus", PROGRAM_COMPILER },
	{ "collect2", PROGRAM_COMPILER },
	{ "lto1", PROGRAM_COMPILER },
	{ "lto-wrapper", PROGRAM_COMPILER },
	{ "as", PROGRAM_COMPILER },
	{ "ld", PROGRAM_COMPILER },
	{ "ld.bfd", PROGRAM_COMPILER },
	{ "ld.gold", PROGRAM_COMPILER },
	{ "ld.lld", PROGRAM_COMPILER },
	{ "ld.mold", PROGRAM_COMPILER },
	{ "gold", PROGRAM_COMPILER },
	{ "mold", PROGRAM_COMPILER },
	{ "gcc", PROGRAM_COMPILER },
	{ "g++", PROGRAM_COMPILER },
	{ "cc", PROGRAM_COMPILER },
	{ "c++", PROGRAM_COMPILER },
	{ "cpp", PROGRAM_COMPILER },
	{ "clang", PROGRAM_COMPILER },
	{ "clang++", PROGRAM_COMPILER },
	{ "lld", PROGRAM_COMPILER },
	{ "ar", PROGRAM_ARCHIVER },
	{ "ranlib", PROGRAM_ARCHIVER },
	{ "gcc-ar", PROGRAM_ARCHIVER },
	{ "gcc-ranlib", PROGRAM_ARCHIVER },
	{ "llvm-ar", PROGRAM_ARCHIVER },
	{ "llvm-ranlib", PROGRAM_ARCHIVER },
	{ "objcopy", PROGRAM_OBJECTS },
	{ "strip", PROGRAM_OBJECTS },
	{ "nm", PROGRAM_OBJECTS },
	{ "llvm-objcopy", PROGRAM_OBJECTS },
	{ "llvm-strip", PROGRAM_OBJECTS },
	{ "llvm-nm", PROGRAM_OBJECTS },
	{ "make", PROGRAM_TIMES },
	{ "gmake", PROGRAM_TIMES },
	{ "ninja", PROGRAM_TIMES },
	{ "samu", PROGRAM_TIMES },
	{ "cmake", PROGRAM_TIMES },
	{ "tar", PROGRAM_ALL_TIMES },
	{ "cp", PROGRAM_TIMES },
	{ "install", PROGRAM_TIMES },
	{ "rsync", PROGRAM_ALL_TIMES },
	{ "find", PROGRAM_OWNERS },
	{ "zip", PROGRAM_ALL_TIMES },
	{ "cpio", PROGRAM_ALL_TIMES },
	{ "ls", PROGRAM_ALL_TIMES },
	{ "stat", PROGRAM_ALL_TIMES },
	{ "touch", PROGRAM_TIMES },
	{ "gzip", PROGRAM_TIMES },
	{ "pigz", PROGRAM_TIMES },
	{ "bzip2", PROGRAM_TIMES },
	{ "xz", PROGRAM_TIMES },
	{ "zstd", PROGRAM_TIMES },
	{ "test", PROGRAM_TIMES },
	{ "[", PROGRAM_TIMES },
	{ "sh", PROGRAM_SHELL },
	{ "dash", PROGRAM_SHELL },
	{ "bash", PROGRAM_SHELL },
	{ "busybox", PROGRAM_SHELL },
	{ "date", PROGRAM_REFUSED },
	{ "uuidgen", PROGRAM_REFUSED },
	{ "hostname", PROGRAM_REFUSED },
	{ "hostid", PROGRAM_REFUSED },
	{ "hostnamectl", PROGRAM_REFUSED },
	{ "uptime", PROGRAM_REFUSED },
	{ "ps", PROGRAM_REFUSED },
	{ "top", PROGRAM_REFUSED },
	{ "free", PROGRAM_REFUSED },
	{ "who", PROGRAM_REFUSED },
	{ "w", PROGRAM_REFUSED },
	{ "last", PROGRAM_REFUSED },
	{ "dmesg", PROGRAM_REFUSED },
	{ "vmstat", PROGRAM_REFUSED },
	{ "df", PROGRAM_REFUSED },
};

/* "x86_64-linux-gnu-gcc-12" is gcc, "clang-14" clang, "ld.bfd" itself. */
static size_t
plain_name(const char **name)
{
	size_t size = strlen(*name), end = size;
	const char *dash;

	while (end > 0 &&
	    (isdigit((unsigned char)(*name)[end - 1]) ||
	        (*name)[end - 1] == '.'))
		end--;
	if (end < size && end > 1 && (*name)[end - 1] == '-')
		size = end - 1;
	for (dash = *name; (dash = strchr(dash, '-'));) {
		dash++;
		if (dash >= *name + size)
			break;
		/* A triplet in front: at least two dashes, or "-linux-". */
		if (strncmp(dash, "wrapper", 7) == 0)
			break;
		if (memchr(*name, '-', (size_t)(dash - 1 - *name)) &&
		    !memchr(dash, '-', size - (size_t)(dash - *name))) {
			size -= (size_t)(dash - *name);
			*name = dash;
			break;
		}
	}
	return size;
}

enum program_class
classify_program(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t size = plain_name(&name);

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		if (strlen(programs[i].name) == size &&
		    memcmp(programs[i].name, name, size) == 0)
			return programs[i].class;
	}
	return PROGRAM_UNKNOWN;
}
