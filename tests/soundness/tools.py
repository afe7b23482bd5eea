"""Programs that a compiler runs or loads, and what tells them what to do."""
import os

from support import PATH
from table import NOTHING, Table, at, folder, forged, link, mode, script, sh

# With what is no compiler in it, a compile may learn once that its outputs are there.
CASES = Table(again=("hit", "miss"), settled="hit")

SOURCE = {"a.c": "int a;\nint f(void) { return a; }\n"}
AS = '#!/bin/sh\nexec /usr/bin/as --defsym {}=1 "$@"\n'


def tool(name, value):
    return script(AS.format(value)) if name == "as" else script(f'#!/bin/sh\necho {value} >&2\nexec /usr/bin/{name} "$@"\n')


# ---- found by -B, by variables, along PATH ----

CASES.changes("another assembler appears in -B", "clang -fno-integrated-as -Btools -c a.c", given={**SOURCE, "tools/b": ""}, then={"tools/as": tool("as", "x")}, needs=("clang",))
CASES.changes("the assembler in -B is edited", "clang -fno-integrated-as -Btools -c a.c",
              given={**SOURCE, "tools/as": tool("as", "x")}, then={"tools/as": tool("as", "y")}, needs=("clang",))
CASES.changes("another assembler appears in COMPILER_PATH", "gcc -c a.c", given={**SOURCE, "tools/b": ""}, env={"COMPILER_PATH": "tools"}, then={"tools/as": tool("as", "x")})
CASES.changes("COMPILER_PATH is set", "gcc -c a.c", given={**SOURCE, "tools/as": tool("as", "x")}, then_env={"COMPILER_PATH": "tools"})
CASES.changes("PATH gets a folder with another assembler", "gcc -c a.c", given={**SOURCE, "tools/as": tool("as", "x")}, then_env={"PATH": "{root}/tools:" + PATH})
CASES.changes("PATH gets a folder with another linker", "gcc -fPIC -shared a.c -o a.so", given={**SOURCE, "tools/ld": tool("ld", "x")},
              then_env={"PATH": "{root}/tools:" + PATH})
CASES.changes("another assembler appears on PATH", "gcc -c a.c", given={**SOURCE, "bin/b": ""},
              env={"PATH": "{root}/bin:/usr/bin:/bin"}, then={"bin/as": tool("as", "x")})
CASES.changes("the assembler is a link that is retargeted", "gcc -Btools/ -c a.c",
              given={**SOURCE, "tools/as": link("../v1"), "v1": tool("as", "x"), "v2": tool("as", "y")}, then={"tools/as": link("../v2")})
CASES.changes("what a wrapper of the assembler reads", "gcc -Btools/ -c a.c",
              given={**SOURCE, "flags": "--defsym x=1\n", "tools/as": script('#!/bin/sh\nexec /usr/bin/as $(cat flags) "$@"\n')}, then={"flags": "--defsym y=1\n"})
CASES.changes("a variable that a wrapper of the assembler asks for", "gcc -Btools/ -c a.c",
              given={**SOURCE, "tools/as": script('#!/bin/sh\nexec /usr/bin/as --defsym ${NAME:-x}=1 "$@"\n')}, then_env={"NAME": "y"})
CASES.changes("another preprocessor appears in -B", "gcc -Btools/ -c a.c",
              given={**SOURCE, "tools/b": ""}, then={"tools/cc1": script('#!/bin/sh\necho other >&2\nexec $(/usr/bin/gcc -print-prog-name=cc1) "$@"\n')},
              first="true")
CASES.changes("a compiler that is wrapped by its name", "./gcc -c a.c",
              given={**SOURCE, "gcc": script('#!/bin/sh\nexec /usr/bin/gcc $(cat flags) "$@"\n'), "flags": "-O1"}, then={"flags": "-O2 -g"})
CASES.changes("a variable that a wrapped compiler asks for", "./gcc -c a.c",
              given={**SOURCE, "gcc": script('#!/bin/sh\nexec /usr/bin/gcc $EXTRA "$@"\n')}, env={"EXTRA": "-O1"}, then_env={"EXTRA": "-g"})
CASES.changes("a compiler wrapped in Python", "./cc -c a.c",
              given={**SOURCE, "cc": script('#!/usr/bin/python3\nimport os, sys\nsys.path[0] = "lib"\nimport flags\nos.execv("/usr/bin/gcc", ["gcc", *flags.FLAGS, *sys.argv[1:]])\n'),
                     "lib/flags.py": "FLAGS = ['-O1']\n"},
              then={"lib/flags.py": "FLAGS = ['-g']\n"}, env={"PYTHONDONTWRITEBYTECODE": "1"})
CASES.changes("what a wrapper looks for appears", "./cc -c a.c",
              given={**SOURCE, "cc": script('#!/bin/sh\nif test -e debug; then set -- -g "$@"; fi\nexec gcc "$@"\n')}, then={"debug": ""})
CASES.changes("a compiler that is a link is retargeted", "./cc -c a.c",
              given={**SOURCE, "cc": link("v1"), "v1": script('#!/bin/sh\nexec gcc "$@"\n'), "v2": script('#!/bin/sh\nexec gcc -g "$@"\n')}, then={"cc": link("v2")})
CASES.changes("ccache of another kind in front", "./wrap gcc -c a.c",
              given={**SOURCE, "wrap": script('#!/bin/sh\n. ./setup\nexec "$@" $MORE\n'), "setup": "MORE=-O1\n"}, then={"setup": "MORE=-g\n"})

# ---- specs, configuration ----

CASES.changes("-specs=", "gcc -specs=my.specs -c a.c", given={**SOURCE, "my.specs": "*cc1:\n+ -O1\n"}, then={"my.specs": "*cc1:\n+ -g\n"})
CASES.changes("specs appear in -B", "gcc -Btools/ -c a.c", given={**SOURCE, "tools/b": ""}, then={"tools/specs": "*cc1:\n+ -g\n"})
CASES.changes("a file of configuration", "clang --config ./my.cfg -c a.c", given={**SOURCE, "my.cfg": "-O1\n"}, then={"my.cfg": "-g\n"}, needs=("clang",))
CASES.changes("a file of configuration that another reads", "clang --config ./my.cfg -c a.c",
              given={**SOURCE, "my.cfg": "@more.cfg\n", "more.cfg": "-O1\n"}, then={"more.cfg": "-g\n"}, needs=("clang",))
CASES.changes("CCC_OVERRIDE_OPTIONS", "clang -c a.c", given=SOURCE, then_env={"CCC_OVERRIDE_OPTIONS": "# +-g"}, needs=("clang",))

# ---- plugins ----

PLUGIN = """#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
int plugin_is_GPL_compatible;
static void say(void)
{
	char text[100] = "";
	FILE *file = fopen("said", "r");
	struct stat st = {0};
	if (file) fgets(text, 100, file);
	fprintf(stderr, "%s %s %s", WHAT, getenv("PLUGIN_SAYS") ? getenv("PLUGIN_SAYS") : "", text);
	fprintf(stderr, " %ld\\n", stat("sized", &st) == 0 ? (long)st.st_size : -1);
}
#ifdef CLANG
__attribute__((constructor)) static void begin(void) { say(); }
#else
int plugin_init(void *info, void *version) { say(); return 0; }
#endif
"""
for cc, words in ("gcc", "gcc -fplugin=./plug.so -c a.c"), ("clang", "clang -Xclang -load -Xclang ./plug.so -c a.c"):
    given = {**SOURCE, "plug.c": PLUGIN, "said": "one\n", "sized": "1"}
    build = f"gcc -shared -fPIC -D{cc.upper()} -DWHAT='\"one\"' -o plug.so plug.c"
    CASES.changes(f"a plugin of {cc} is rebuilt", words, given=given, first=build, then_first=build.replace("one", "two"), needs=(cc,))
    CASES.changes(f"a file that a plugin of {cc} reads", words, given=given, first=build, then={"said": "two\n"}, needs=(cc,))
    CASES.changes(f"a file that a plugin of {cc} looks for", words, given={**given, "said": "x"}, first=build, then={"said": NOTHING}, needs=(cc,))
    CASES.changes(f"a variable that a plugin of {cc} asks for", words, given=given, first=build, then_env={"PLUGIN_SAYS": "more"}, needs=(cc,))
    CASES.changes(f"a file whose size a plugin of {cc} goes by", words, given=given, first=build, then={"sized": "12"}, needs=(cc,))
CASES.changes("the argument of a plugin", "gcc -fplugin=./plug.so -fplugin-arg-plug-a=1 -c a.c", then_words="gcc -fplugin=./plug.so -fplugin-arg-plug-a=2 -frecord-gcc-switches -c a.c",
              given={**SOURCE, "plug.c": PLUGIN}, first="gcc -shared -fPIC -DGCC -DWHAT='\"one\"' -o plug.so plug.c")
CASES.changes("a variable that a plugin named by specs asks for", "gcc -specs=my.specs -c a.c",
              given={**SOURCE, "plug.c": PLUGIN, "my.specs": "*cc1:\n+ -fplugin=./plug.so\n"}, first="gcc -shared -fPIC -DGCC -DWHAT='\"one\"' -o plug.so plug.c",
              then_env={"PLUGIN_SAYS": "more"})
CASES.changes("a variable that a preloaded library asks for", "{cc} -c a.c", given={**SOURCE, "plug.c": PLUGIN, "said": "one\n"},
              first="gcc -shared -fPIC -DCLANG -DWHAT='\"one\"' -o plug.so plug.c", env={"LD_PRELOAD": "{root}/plug.so"}, then_env={"PLUGIN_SAYS": "more"})
CASES.changes("a preloaded library is rebuilt", "{cc} -c a.c", given={**SOURCE, "plug.c": PLUGIN, "said": "one\n"},
              first="gcc -shared -fPIC -DCLANG -DWHAT='\"one\"' -o plug.so plug.c", then_first="gcc -shared -fPIC -DCLANG -DWHAT='\"two\"' -o plug.so plug.c",
              env={"LD_PRELOAD": "{root}/plug.so"})

# ---- a program that only has the name of a known one ----

IMPOSTOR = """#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int c, char **v)
{
	struct stat st = {0};
	stat("sized", &st);
	if (st.st_size > 1) fprintf(stderr, "size %ld\\n", (long)st.st_size);
	if (st.st_mtime > 10) fprintf(stderr, "time %ld\\n", (long)st.st_mtime);
	if (getenv("IMPOSTOR")) fprintf(stderr, "variable\\n");
	execv("/usr/bin/as", v);
}
"""
impostor = {**SOURCE, "as.c": IMPOSTOR, "sized": at(5, "1")}
made = "mkdir -p tools; gcc -o tools/as as.c"
CASES.changes("the size that an impostor of the assembler goes by", "gcc -Btools/ -c a.c", given=impostor, first=made, then={"sized": at(5, "12")})
CASES.changes("the time that an impostor of the assembler goes by", "gcc -Btools/ -c a.c", given=impostor, first=made, then={"sized": at(50, "1")})
CASES.changes("the variable that an impostor of the assembler asks for", "gcc -Btools/ -c a.c", given=impostor, first=made, then_env={"IMPOSTOR": "1"})

# ---- profiles, lists ----

PROFILED = {"a.c": "int f(int x) { return x > 5 ? x * 3 : x + 1; }\nint main(int c, char **v) { int s = 0; for (int i = 0; i < 100 * c; i++) s += f(i); return s & 1; }\n"}
CASES.changes("a profile appears", "gcc -O2 -fprofile-use -Wno-missing-profile -c a.c", given=PROFILED,
              then_first="gcc -O2 -fprofile-generate -o a a.c && ./a; mv a-a.gcda a.gcda; rm a")
CASES.changes("a profile changes", "gcc -O2 -fprofile-use -Wno-coverage-mismatch -c a.c", given=PROFILED,
              first="gcc -O2 -fprofile-generate -o a a.c && (./a; :); mv a-a.gcda a.gcda; rm a",
              then_first="gcc -O2 -fprofile-generate -o a a.c && (./a 1 2 3 4 5; :); mv a-a.gcda a.gcda; rm a", back=False)
CASES.changes("a profile changes (clang)", "clang -O2 -fprofile-use=p.profdata -c a.c", given=PROFILED, needs=("clang", "llvm-profdata"),
              first="clang -O2 -fprofile-generate -o a a.c && (LLVM_PROFILE_FILE=raw ./a; :); llvm-profdata merge -o p.profdata raw; rm a raw",
              then_first="clang -O2 -fprofile-generate -o a a.c && (LLVM_PROFILE_FILE=raw ./a 1 2 3 4 5; :); llvm-profdata merge -o p.profdata raw; rm a raw", back=False)
CASES.changes("a list for a sanitizer", "clang -fsanitize=address -fsanitize-ignorelist=list -c a.c", given={"a.c": "int f(int *p) { return *p; }\n", "list": "fun:other\n"}, then={"list": "fun:f\n"}, needs=("clang",))
CASES.changes("a list for a sanitizer by its old name", "clang -fsanitize=address -fsanitize-blacklist=list -c a.c", given={"a.c": "int f(int *p) { return *p; }\n", "list": "fun:other\n"}, then={"list": "fun:f\n"}, needs=("clang",))
CASES.changes("a list of attributes for XRay", "clang -fxray-instrument -fxray-attr-list=list -c a.c", given={**PROFILED, "list": "[always]\nfun:f\n"}, then={"list": "[never]\nfun:f\nfun:main\n"}, needs=("clang",))
CASES.changes("the seed of chance", "gcc -frandom-seed=1 -flto -c a.c", then_words="gcc -frandom-seed=2 -flto -c a.c", given=PROFILED)

# ---- the assembler's own files ----

for cc in "gcc", "clang":
    CASES.changes(f".incbin in an assembly statement ({cc})", f"{cc} -c a.c", given={"a.c": '__asm__(".incbin \\"data\\"");\n', "data": "one"}, then={"data": "two"}, needs=(cc,))
    CASES.changes(f".incbin whose name a macro makes ({cc})", [cc, "-DNAME=data", "-c", "a.c"],
                  given={"a.c": '#define S(x) #x\n#define T(x) S(x)\n__asm__(".incb" "in \\"" T(NAME) "\\"");\n', "data": "one"}, then={"data": "two"}, needs=(cc,))
    CASES.changes(f".incbin in a macro of the assembler ({cc})", f"{cc} -c a.S",
                  given={"a.S": '.macro put what\n.incbin "\\what"\n.endm\nput data\n', "data": "one"}, then={"data": "two"}, needs=(cc,))
    CASES.changes(f".incbin found along -I ({cc})", f"{cc} -Wa,-Ione -Wa,-Itwo -c a.S", given={"a.S": '.incbin "data"\n', "two/data": "one", "one/b": ""}, then={"one/data": "two"}, needs=(cc,))
    CASES.changes(f".include found along -I ({cc})", f"{cc} -Ione -Itwo -c a.s", given={"a.s": '.include "b.i"\n', "two/b.i": ".long 1\n", "one/b": ""}, then={"one/b.i": ".long 2\n"}, needs=(cc,))
    CASES.changes(f".include in an assembly statement ({cc})", f"{cc} -c a.c", given={"a.c": '__asm__(".include \\"b.i\\"");\n', "b.i": ".long 1\n"}, then={"b.i": ".long 2\n"}, needs=(cc,))
    CASES.changes(f".include of an .include ({cc})", f"{cc} -c a.S", given={"a.S": '#include "b.h"\n.include B\n', "b.h": '#define B "b.i"\n', "b.i": '.include "c.i"\n', "c.i": ".long 1\n"}, then={"c.i": ".long 2\n"}, needs=(cc,))
    CASES.changes(f"the first .include goes away ({cc})", f"{cc} -Ione -Itwo -c a.s", given={"a.s": '.include "b.i"\n', "two/b.i": ".long 1\n", "one/b.i": ".long 2\n"}, then={"one/b.i": NOTHING}, needs=(cc,))
CASES.changes(".incbin with an offset and a length", "gcc -c a.S", given={"a.S": '.incbin "data",2,2\n', "data": "one two"}, then={"data": "onx two"})
CASES.changes("the assembler alone", "as -o a.o a.s", given={"a.s": '.include "b.i"\n', "b.i": ".long 1\n"}, then={"b.i": ".long 2\n"})
CASES.changes("a listing of the assembler", "gcc -Wa,-aln=a.lst -c a.c", given={"a.c": "int a;\n"}, then={"a.c": "int b;\n"})

# ---- interpreters and libraries of every child ----

LIBRARY = {"lib.c": "int value(void) { return VALUE; }\n", "main.c": "#include <stdio.h>\nint value(void);\nint main(void) { printf(\"%d\\n\", value()); return 0; }\n"}
build = "mkdir -p one two; gcc -DVALUE=1 -shared -fPIC -o two/libv.so lib.c; gcc -o main main.c -Ltwo -lv"
CASES.changes("a library appears in an earlier folder of LD_LIBRARY_PATH", "./main", given=LIBRARY, first=build, env={"LD_LIBRARY_PATH": "{root}/one:{root}/two"},
              then_first="gcc -DVALUE=2 -shared -fPIC -o one/libv.so lib.c", back=False)
CASES.changes("a folder of LD_LIBRARY_PATH appears", "./main", given=LIBRARY, first=build + "; rmdir one", env={"LD_LIBRARY_PATH": "{root}/one:{root}/two"},
              then_first="mkdir one; gcc -DVALUE=2 -shared -fPIC -o one/libv.so lib.c", back=False)
CASES.changes("LD_LIBRARY_PATH is changed", "./main", given=LIBRARY, first=build + "; gcc -DVALUE=2 -shared -fPIC -o one/libv.so lib.c", env={"LD_LIBRARY_PATH": "{root}/two"},
              then_env={"LD_LIBRARY_PATH": "{root}/one"})
CASES.changes("a library of a child", sh("echo; ./main | cat >out; :"), given=LIBRARY, first=build, env={"LD_LIBRARY_PATH": "{root}/two"},
              then_first="gcc -DVALUE=2 -shared -fPIC -o two/libv.so lib.c")
rpath = "mkdir -p one two; gcc -DVALUE=1 -shared -fPIC -o two/libv.so lib.c; gcc -o main main.c -Ltwo -lv -Wl,-rpath,'$ORIGIN/one:$ORIGIN/two'"
CASES.changes("a library appears in an earlier folder of the rpath", "./main", given=LIBRARY, first=rpath,
              then_first="gcc -DVALUE=2 -shared -fPIC -o one/libv.so lib.c", back=False)
CASES.changes("a library for this processor appears", "./main", given=LIBRARY, first=rpath,
              then_first="mkdir -p two/glibc-hwcaps/x86-64-v2; gcc -DVALUE=2 -shared -fPIC -o two/glibc-hwcaps/x86-64-v2/libv.so lib.c", back=False)
CASES.changes("a library of a library", "./main",
              given={"v.c": "int w(void);\nint value(void) { return w(); }\n", "w.c": "int w(void) { return VALUE; }\n", "main.c": LIBRARY["main.c"]},
              first="gcc -DVALUE=1 -shared -fPIC -o libw.so w.c; gcc -shared -fPIC -o libv.so v.c -L. -lw -Wl,-rpath,'$ORIGIN'; gcc -o main main.c -L. -lv -Wl,-rpath,'$ORIGIN'",
              then_first="gcc -DVALUE=2 -shared -fPIC -o libw.so w.c")
CASES.changes("a library that a program loads by itself", "./main",
              given={"lib.c": LIBRARY["lib.c"], "main.c": '#include <dlfcn.h>\n#include <stdio.h>\nint main(void) { void *l = dlopen("./libv.so", RTLD_NOW); printf("%d\\n", l ? ((int (*)(void))dlsym(l, "value"))() : -1); return 0; }\n'},
              first="rm -f libv.so; gcc -o main main.c -ldl", then_first="gcc -DVALUE=2 -shared -fPIC -o libv.so lib.c")
CASES.changes("the dynamic linker that a program names", "./main", given={"main.c": "int main(void) { return 0; }\n"},
              first="cp /lib64/ld-linux-x86-64.so.2 ld.so; gcc -o main main.c -Wl,--dynamic-linker=$PWD/ld.so", then_first="printf x >>ld.so", same=True)
CASES.changes("the interpreter of a script", "./tool", given={"run": "#!/bin/sh\necho one\n", "tool": script("")},
              first='chmod +x run; echo "#!$PWD/run" >tool', then={"run": script("#!/bin/sh\necho two\n")})
CASES.changes("the interpreter of an interpreter's script", "./tool", given={"a": "#!/bin/sh\nexec sh ./b\n", "b": "echo one\n", "tool": script("")},
              first='chmod +x a; echo "#!$PWD/a" >tool', then={"b": "echo two\n"})
CASES.changes("a script's interpreter found by env", "./tool", given={"tool": script("#!/usr/bin/env interp\n"), "two/interp": script("#!/bin/sh\necho 2\n"), "one/x": ""},
              env={"PATH": "{root}/one:{root}/two:/usr/bin:/bin"}, then={"one/interp": script("#!/bin/sh\necho 1\n")})
CASES.changes("a program that could not be run can be", "tool", given={"one/tool": "#!/bin/sh\necho 1\n", "two/tool": script("#!/bin/sh\necho 2\n")},
              env={"PATH": "{root}/one:{root}/two:/usr/bin:/bin"}, then={"one/tool": script("#!/bin/sh\necho 1\n")})
CASES.changes("a child's program appears in front on PATH", sh("tool >out"), given={"one/x": "", "two/tool": script("#!/bin/sh\necho 2\n")},
              env={"PATH": "{root}/one:{root}/two:/usr/bin:/bin"}, then={"one/tool": script("#!/bin/sh\necho 1\n")})
CASES.changes("a folder of PATH appears", sh("tool >out"), given={"two/tool": script("#!/bin/sh\necho 2\n")},
              env={"PATH": "{root}/one:{root}/two:/usr/bin:/bin"}, then={"one/tool": script("#!/bin/sh\necho 1\n")})
