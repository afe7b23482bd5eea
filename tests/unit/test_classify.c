/* What paths and programs mean by their names. */
#include "support/check.h"
#include "trace/classify.h"

static const struct {
	const char *path;
	enum program_class class;
} programs[] = {
	{ "/usr/bin/gcc", PROGRAM_COMPILER },
	{ "/usr/bin/gcc-12", PROGRAM_COMPILER },
	{ "x86_64-linux-gnu-gcc-12", PROGRAM_COMPILER },
	{ "/usr/bin/x86_64-linux-gnu-g++-12", PROGRAM_COMPILER },
	{ "arm-none-eabi-gcc", PROGRAM_COMPILER },
	{ "/usr/bin/clang-14", PROGRAM_COMPILER },
	{ "/usr/lib/llvm-14/bin/clang++", PROGRAM_COMPILER },
	{ "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", PROGRAM_COMPILER },
	{ "/usr/bin/x86_64-linux-gnu-as", PROGRAM_COMPILER },
	{ "/usr/bin/ld.bfd", PROGRAM_COMPILER },
	{ "/usr/bin/ld.lld-14", PROGRAM_COMPILER },
	{ "x86_64-linux-gnu-ld.gold", PROGRAM_COMPILER },
	{ "/usr/bin/mold", PROGRAM_COMPILER },
	{ "/usr/bin/ar", PROGRAM_ARCHIVER },
	{ "/usr/bin/x86_64-linux-gnu-gcc-ar-12", PROGRAM_ARCHIVER },
	{ "llvm-ar-14", PROGRAM_ARCHIVER },
	{ "gcc-ranlib", PROGRAM_ARCHIVER },
	{ "/usr/bin/x86_64-linux-gnu-objcopy", PROGRAM_OBJECTS },
	{ "llvm-strip-14", PROGRAM_OBJECTS },
	{ "/usr/bin/tar", PROGRAM_ALL_TIMES },
	{ "/usr/bin/dash", PROGRAM_SHELL },
	{ "/bin/bash", PROGRAM_SHELL },
	{ "/usr/bin/make", PROGRAM_TIMES },
	{ "/usr/bin/cp", PROGRAM_TIMES },
	{ "/bin/date", PROGRAM_REFUSED },
	{ "/usr/bin/hostname", PROGRAM_REFUSED },
	{ "/usr/bin/uuidgen", PROGRAM_REFUSED },
	{ "/usr/bin/python3.11", PROGRAM_UNKNOWN },
	{ "./gccx", PROGRAM_UNKNOWN },
	{ "mygcc", PROGRAM_UNKNOWN },
	{ "update", PROGRAM_UNKNOWN },
	{ "", PROGRAM_UNKNOWN },
	{ "-", PROGRAM_UNKNOWN },
	{ "12", PROGRAM_UNKNOWN },
};

Test(classify, programs)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
		cr_assert_eq(classify_program(programs[i].path),
		    programs[i].class, "'%s' is %d", programs[i].path,
		    classify_program(programs[i].path));
}

static const struct {
	const char *path;
	enum special opened, looked_for;
} paths[] = {
	{ "/home/user/a.c", SPECIAL_NONE, SPECIAL_NONE },
	{ "/devel/a.c", SPECIAL_NONE, SPECIAL_NONE },
	{ "/process", SPECIAL_NONE, SPECIAL_NONE },
	{ "/dev/null", SPECIAL_TOLERATED, SPECIAL_TOLERATED },
	{ "/dev/shm/x", SPECIAL_NONE, SPECIAL_NONE },
	{ "/dev/stdin", SPECIAL_STDIN, SPECIAL_TOLERATED },
	{ "/proc/self/fd/0", SPECIAL_STDIN, SPECIAL_TOLERATED },
	{ "/dev/tty", SPECIAL_REFUSED, SPECIAL_TOLERATED },
	{ "/dev/pts/3", SPECIAL_REFUSED, SPECIAL_TOLERATED },
	{ "/dev/sda", SPECIAL_REFUSED, SPECIAL_TOLERATED },
	{ "/proc/cpuinfo", SPECIAL_CPU, SPECIAL_TOLERATED },
	{ "/proc/version", SPECIAL_UNAME, SPECIAL_TOLERATED },
	{ "/proc/self/environ", SPECIAL_ENVIRONMENT, SPECIAL_TOLERATED },
	{ "/proc/self/maps", SPECIAL_TOLERATED, SPECIAL_TOLERATED },
	{ "/proc/uptime", SPECIAL_REFUSED, SPECIAL_TOLERATED },
	{ "/proc/sys/kernel/random/boot_id", SPECIAL_REFUSED,
	    SPECIAL_TOLERATED },
	{ "/proc/sys/kernel/hostname", SPECIAL_REFUSED, SPECIAL_TOLERATED },
	{ "/proc", SPECIAL_REFUSED, SPECIAL_TOLERATED },
	{ "/sys/class/net", SPECIAL_REFUSED, SPECIAL_TOLERATED },
};

Test(classify, paths)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		cr_assert_eq(classify_path(paths[i].path, 1), paths[i].opened,
		    "'%s'", paths[i].path);
		cr_assert_eq(classify_path(paths[i].path, 0),
		    paths[i].looked_for, "'%s'", paths[i].path);
	}
}

Test(classify, places_of_packages)
{
	static const char *const good[] = { "/usr/bin/gcc", "/bin/as", "/usr",
		"/opt/gcc/bin/gcc", "/nix/store/x/bin/cc" };
	static const char *const bad[] = { "/home/me/bin/gcc", "/usrx/bin/gcc",
		"/tmp/as", "as", "", "/", "/nix/gcc" };

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_assert(classify_is_system(good[i]), "'%s'", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_not(classify_is_system(bad[i]), "'%s'", bad[i]);
}
