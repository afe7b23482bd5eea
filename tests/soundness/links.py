"""Links, archives, and what is done to objects."""
from support import equal
from table import NOTHING, Table, at, folder, forged, link, mode, script, sh

CASES = Table()

PARTS = {"main.c": "int f(void);\nint main(void) { return f(); }\n", "f.c": "int f(void) { return VALUE; }\n"}
OBJECTS = "gcc -c main.c && gcc -DVALUE=1 -c f.c -o x1.o && gcc -DVALUE=2 -c f.c -o x2.o && "

# ---- what goes in ----

CASES.changes("an object changes", "{cc} -o main main.o f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="cp x2.o f.o")
CASES.changes("an object becomes a link to another", "{cc} -o main main.o f.o", given=PARTS, first=OBJECTS + "ln -sf x1.o f.o", then_first="ln -sf x2.o f.o")
CASES.changes("the order of objects", "{cc} -o main main.o x1.o", then_words="{cc} -o main x1.o main.o", given=PARTS, first=OBJECTS + ":")
CASES.changes("objects from a response file", "{cc} -o main @objects", given={**PARTS, "objects": "main.o x1.o"}, first=OBJECTS + ":", then={"objects": "main.o x2.o"})
CASES.changes("a response file for the linker", "{cc} -o main main.o -Wl,@objects", given={**PARTS, "objects": "x1.o"}, first=OBJECTS + ":", then={"objects": "x2.o"})
CASES.changes("a source is compiled and linked", "{cc} -DVALUE=1 -o main main.c f.c", given=PARTS, then={"f.c": "int f(void) { return 7 + VALUE; }\n"})
CASES.changes("a source is compiled and linked to a.out", "{cc} main.c", given={"main.c": "int main(void) { return 0; }\n"}, then={"main.c": "int main(void) { return 1; }\n"})

# ---- libraries along a path ----

LIBRARIES = OBJECTS + "mkdir -p one two && ar rcs two/libv.a x1.o && "
CASES.changes("a library appears in an earlier folder of -L", "{cc} -o main main.o -Lone -Ltwo -lv", given=PARTS, first=LIBRARIES + "rm -f one/*", then_first="ar rcs one/libv.a x2.o")
CASES.changes("a folder of -L appears", "{cc} -o main main.o -Lone -Ltwo -lv", given=PARTS, first=LIBRARIES + "rm -rf one", then_first="mkdir one; ar rcs one/libv.a x2.o")
CASES.changes("the order of -L", "{cc} -o main main.o -Lone -Ltwo -lv", then_words="{cc} -o main main.o -Ltwo -Lone -lv", given=PARTS, first=LIBRARIES + "ar rcs one/libv.a x2.o")
CASES.changes("a shared library appears beside an archive", "{cc} -o main main.o -Ltwo -lv", given=PARTS, first=LIBRARIES + "rm -f two/*.so", then_first="gcc -shared -o two/libv.so x2.o")
CASES.changes("a shared library goes away, the archive is left", "{cc} -o main main.o -Ltwo -lv", given=PARTS, first=LIBRARIES + "gcc -shared -o two/libv.so x2.o", then_first="rm two/libv.so")
CASES.changes("a library by its whole name", "{cc} -o main main.o -Lone -Ltwo -l:libv.a", given=PARTS, first=LIBRARIES + "rm -f one/*", then_first="ar rcs one/libv.a x2.o")
CASES.changes("a library in LIBRARY_PATH", "{cc} -o main main.o -lv", given=PARTS, first=LIBRARIES + "rm -f one/*", env={"LIBRARY_PATH": "one:two"}, then_first="ar rcs one/libv.a x2.o")
CASES.changes("LIBRARY_PATH is changed", "{cc} -o main main.o -lv", given=PARTS, first=LIBRARIES + "ar rcs one/libv.a x2.o", env={"LIBRARY_PATH": "two"}, then_env={"LIBRARY_PATH": "one"})
CASES.changes("LD_RUN_PATH", "{cc} -o main main.o x1.o", given=PARTS, first=OBJECTS + ":", then_env={"LD_RUN_PATH": "/somewhere"})
CASES.changes("-static prefers an archive that appears", "{cc} -static -o main main.o -Lone -Ltwo -lv", given=PARTS, first=LIBRARIES + "rm -f one/*; gcc -shared -o one/libv.so x2.o", then_first="ar rcs one/libv.a x2.o")
CASES.changes("the library that another one needs", "{cc} -o main main.o -Ltwo -lw -Wl,-rpath-link,one:two -Wl,--warn-shared-textrel",
              given={**PARTS, "w.c": "int v(void);\nint f(void) { return v(); }\n", "v.c": "int v(void) { return 1; }\nint other(void) { return 1; }\n"},
              first=OBJECTS + "mkdir -p one two; rm -f one/*; gcc -fPIC -shared -o two/libv.so v.c; gcc -fPIC -shared -o two/libw.so w.c -Ltwo -lv",
              then_first="echo 'int u;' >u.c; gcc -shared -o one/libv.so u.c; rm u.c", outcome="failed", back=False)
CASES.changes("another start file appears in -B", "{cc} -Btools/ -o main main.o x1.o", given={**PARTS, "tools/b": ""}, first=OBJECTS + "rm -f tools/*.o",
              then_first="cp $(gcc -print-file-name=crti.o) tools/; strip -g tools/crti.o; objcopy --add-section .mine=main.c tools/crti.o")
CASES.changes("a library below the sysroot", "gcc --sysroot={root}/sys -nostdlib -o main main.o -lv", given=PARTS,
              first=OBJECTS + "mkdir -p sys/lib sys/usr/lib; rm -f sys/lib/*; ar rcs sys/usr/lib/libv.a x1.o", then_first="ar rcs sys/lib/libv.a x2.o")

# ---- scripts ----

CASES.changes("a linker script in the place of a library", "{cc} -o main main.o -Ltwo -lv", given={**PARTS, "two/libv.so": "INPUT(x1.o)\n"}, first=OBJECTS + ":", then={"two/libv.so": "INPUT(x2.o)\n"})
CASES.changes("a linker script that names a library along -L", "{cc} -o main main.o -Lone -Ltwo -lv", given={**PARTS, "two/libv.so": "GROUP(-lx)\n"},
              first=OBJECTS + "mkdir -p one; rm -f one/*; ar rcs two/libx.a x1.o", then_first="ar rcs one/libx.a x2.o")
CASES.changes("a linker script that includes another", "gcc -o main main.o more.ld", given={**PARTS, "more.ld": "INCLUDE other.ld\n", "other.ld": "INPUT(x1.o)\n"}, first=OBJECTS + ":", then={"other.ld": "INPUT(x2.o)\n"})
CASES.changes("a linker script with a folder to search", "gcc -o main main.o more.ld -Ltwo -lv", given={**PARTS, "more.ld": "SEARCH_DIR(one)\n"}, first=LIBRARIES + "rm -f one/* two/*; ar rcs one/libv.a x1.o", then_first="ar rcs two/libv.a x2.o")
CASES.changes("-T", "gcc -nostdlib -static -no-pie -o main main.o x1.o -T my.ld", given={**PARTS, "my.ld": "SECTIONS { . = 0x400000; .text : { *(.text) } }\n"}, first=OBJECTS + ":", then={"my.ld": "SECTIONS { . = 0x800000; .text : { *(.text) } }\n"})
CASES.changes("-T found along -L", "gcc -nostdlib -static -no-pie -o main main.o x1.o -Lone -Ltwo -T my.ld", given={**PARTS, "two/my.ld": "SECTIONS { . = 0x400000; .text : { *(.text) } }\n"}, first=OBJECTS + ":",
              then={"one/my.ld": "SECTIONS { . = 0x800000; .text : { *(.text) } }\n"})
CASES.changes("a version script", "{cc} -shared -fPIC -o libf.so f.c -DVALUE=1 -Wl,--version-script=map", given={**PARTS, "map": "V1 { global: f; };\n"}, then={"map": "V2 { global: f; };\n"})
CASES.changes("a list of dynamic symbols", "{cc} -o main main.o x1.o -Wl,--dynamic-list=list", given={**PARTS, "list": "{ f; };\n"}, first=OBJECTS + ":", then={"list": "{ main; };\n"})
CASES.changes("--wrap", "{cc} -o main main.o x1.o w.o -Wl,--wrap=f", then_words="{cc} -o main main.o x1.o w.o -Wl,--wrap=g", given={**PARTS, "w.c": "int __wrap_f(void) { return 9; }\n"}, first=OBJECTS + "gcc -c w.c")
CASES.changes("--defsym", "{cc} -o main main.o x1.o -Wl,--defsym=x=1", then_words="{cc} -o main main.o x1.o -Wl,--defsym=x=2", given=PARTS, first=OBJECTS + ":")
CASES.changes("a list of symbols to keep", "gcc -o main main.o x1.o -Wl,--retain-symbols-file=keep", given={**PARTS, "keep": "main\n"}, first=OBJECTS + ":", then={"keep": "f\n"})
CASES.changes("an order of sections", "gcc -fuse-ld=gold -o main main.o x1.o -Wl,--section-ordering-file=order", given={**PARTS, "order": ".text.a\n.data\n"}, first=OBJECTS + ":",
              then={"order": ".text.b\n.bss\n"}, needs=("ld.gold",), same=None)

# ---- linkers ----

CASES.changes("another linker appears in -B", "{cc} -Btools -o main main.o x1.o", given={**PARTS, "tools/b": ""}, first=OBJECTS + ":",
              then={"tools/ld": script('#!/bin/sh\necho mine >&2\nexec /usr/bin/ld "$@" -z now\n')})
CASES.changes("another linker appears in COMPILER_PATH", "gcc -o main main.o x1.o", given={**PARTS, "tools/b": ""}, first=OBJECTS + ":", env={"COMPILER_PATH": "tools"},
              then={"tools/ld": script('#!/bin/sh\necho mine >&2\nexec /usr/bin/ld "$@" -z now\n')})
CASES.changes("another linker appears on PATH", "gcc -fuse-ld=gold -o main main.o x1.o", given={**PARTS, "bin/b": ""}, first=OBJECTS + ":", env={"PATH": "{root}/bin:/usr/bin:/bin"}, needs=("ld.gold",),
              then={"bin/ld.gold": script('#!/bin/sh\necho mine >&2\nexec /usr/bin/ld.gold "$@" -z now\n')})
CASES.changes("another collect2 appears in -B", "gcc -Btools/ -o main main.o x1.o", given={**PARTS, "tools/b": ""}, first=OBJECTS + ":",
              then={"tools/collect2": script('#!/bin/sh\necho mine >&2\nexec $(env -u COMPILER_PATH -u GCC_EXEC_PREFIX /usr/bin/gcc -print-prog-name=collect2) "$@"\n')})
CASES.changes("what a wrapper of the linker reads", "gcc -Btools/ -o main main.o x1.o", given={**PARTS, "flags": "-znow", "tools/ld": script('#!/bin/sh\nexec /usr/bin/ld $(cat flags) "$@"\n')}, first=OBJECTS + ":",
              then={"flags": "-zlazy --build-id=none"})
for name in "gold", "lld":
    CASES.changes(f"an object changes, for {name}", f"{{cc}} -fuse-ld={name} -o main main.o f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="cp x2.o f.o", needs=(f"ld.{name}",))
    CASES.changes(f"a library appears earlier, for {name}", f"{{cc}} -fuse-ld={name} -o main main.o -Lone -Ltwo -lv", given=PARTS, first=LIBRARIES + "rm -f one/*", then_first="ar rcs one/libv.a x2.o", needs=(f"ld.{name}",))
    CASES.changes(f"a shared library beside an archive, for {name}", f"{{cc}} -fuse-ld={name} -o main main.o -Ltwo -lv", given=PARTS, first=LIBRARIES + "rm -f two/*.so", then_first="gcc -shared -o two/libv.so x2.o", needs=(f"ld.{name}",))
CASES.changes("the linker alone", "ld -r -o both.o main.o f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="cp x2.o f.o")
CASES.changes("LDEMULATION", "ld -o main main.o x1.o -e main", given=PARTS, first=OBJECTS + ":", then_env={"LDEMULATION": "elf_i386"}, outcome="failed")
CASES.changes("a variable that a plugin of the linker asks for", "gcc -o main main.o x1.o -Wl,-plugin,./plug.so", given={**PARTS, "plug.c": """#include <stdio.h>
#include <stdlib.h>
int onload(void *v) { if (getenv("PLUGIN_SAYS")) fprintf(stderr, "says\\n"); return 0; }
"""}, first=OBJECTS + "gcc -shared -fPIC -o plug.so plug.c", then_env={"PLUGIN_SAYS": "1"})

# ---- what comes out beside the program ----

CASES.changes("a map", "{cc} -o main main.o f.o -Wl,-Map=main.map", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="cp x2.o f.o")
CASES.changes("a list of what was left out", "{cc} -Wl,--gc-sections,--print-gc-sections -o main main.o f.o", given={**PARTS, "f.c": "int f(void) { return 1; }\nint g(void) { return 2; }\n"},
              first="gcc -c -ffunction-sections main.c f.c", then_first="gcc -c -Dg=h -ffunction-sections f.c")
CASES.changes("link-time optimization", "{cc} -flto -O2 -o main main.c f.c", given={**PARTS, "f.c": "int f(void) { return 1; }\n"}, then={"f.c": "int f(void) { return 2; }\n"}, needs=("ld.lld",))
CASES.changes("link-time optimization of objects", "gcc -flto -O2 -o main main.o f.o", given=PARTS, first="gcc -O2 -flto -c main.c; gcc -O2 -flto -DVALUE=1 -c f.c", then_first="gcc -O2 -flto -DVALUE=2 -c f.c")
CASES.changes("link-time optimization through an archive", "gcc -flto -O2 -o main main.o libf.a", given=PARTS,
              first="gcc -O2 -flto -c main.c; rm -f libf.a; gcc -O2 -flto -DVALUE=1 -c f.c; gcc-ar rcs libf.a f.o", then_first="rm libf.a; gcc -O2 -flto -DVALUE=2 -c f.c; gcc-ar rcs libf.a f.o")
CASES.changes("a build id", "{cc} -Wl,--build-id -o main main.o f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="cp x2.o f.o")
CASES.changes("split debug information, linked", "{cc} -g -gsplit-dwarf -o main main.c", given={"main.c": "int main(void) { return 0; }\n"}, then={"main.c": "int main(void) { return 1; }\n"})
CASES.changes("split debug information, packed", sh("llvm-dwp -e main -o main.dwp"), given={"main.c": "int a;\nint main(void) { return a; }\n"}, first="gcc -g -gsplit-dwarf -o main main.c",
              then_first="echo 'int b;int main(void) { return b + 1; }' >x.c; cp x.c main.c; gcc -g -gsplit-dwarf -o main main.c; rm x.c", needs=("llvm-dwp",), back=False)

# ---- archives ----

CASES.changes("a member of an archive", "ar rcs libf.a main.o f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="cp x2.o f.o")
CASES.changes("an archive that is there is added to", "ar rs lib.a f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o; rm -f lib.a; ar rcs lib.a main.o", then_first="rm -f lib.a; ar rcs lib.a main.o x2.o")
CASES.changes("an archive that is there holds something else", "ar rs lib.a f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o; rm -f lib.a; ar rcs lib.a main.o", then_first="rm -f lib.a; ar rcs lib.a x2.o")
CASES.changes("ar u goes by times", "ar ruSU lib.a f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o; touch -d @1000 f.o; rm -f lib.a; ar rcSU lib.a f.o; cp x2.o f.o; touch -d @900 f.o", then_first="touch -d @1100 f.o", back=False, before=("miss", "uncacheable"), outcome=("miss", "uncacheable"))
CASES.changes("an archive with times and modes", "ar rcSU lib.a f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o; touch -d @1000 f.o", then_first="touch -d @2000 f.o", before=("miss", "uncacheable"), outcome=("miss", "uncacheable"))
CASES.changes("a member's mode in an archive", "ar rcSU lib.a f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o; touch -d @1000 f.o; chmod 644 f.o", then_first="chmod 600 f.o", before=("miss", "uncacheable"), outcome=("miss", "uncacheable"))
CASES.changes("a member's owner in an archive", "ar rcSU lib.a f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o; touch -d @1000 f.o", then_first="chown 1 f.o", needs=("root",), back=False, before=("miss", "uncacheable"), outcome=("miss", "uncacheable"))
CASES.changes("a thin archive is linked, its member changes", "{cc} -o main main.o libf.a", given=PARTS, first=OBJECTS + "cp x1.o f.o; rm -f libf.a; ar rcsT libf.a f.o", then_first="cp x2.o f.o")
CASES.changes("a thin archive is made", "ar rcsT libf.a main.o f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="gcc -Df=g -DVALUE=3 -c f.c")
CASES.changes("ranlib", "ranlib libf.a", given=PARTS, first=OBJECTS + "rm -f libf.a; ar rcS libf.a x1.o", then_first="rm -f libf.a; ar rcS libf.a x1.o main.o", back=False)
CASES.changes("what is in an archive is taken out", "ar x libf.a", given=PARTS, first=OBJECTS + "rm -f libf.a f.o; cp x1.o f.o; ar rcs libf.a f.o; rm f.o", then_first="rm -f libf.a; cp x2.o f.o; ar rcs libf.a f.o; rm f.o")
CASES.changes("what is in an archive is listed", "ar tv libf.a", given=PARTS, first=OBJECTS + "rm -f libf.a; ar rcs libf.a x1.o", then_first="rm -f libf.a; ar rcs libf.a x1.o x2.o")
CASES.refused("a script for ar from standard input", sh("ar -M"), "standard input", given=PARTS, stdin=b"CREATE lib.a\nSAVE\n")
CASES.changes("a script for ar", sh("ar -M <script"), given={**PARTS, "script": "CREATE lib.a\nADDMOD x1.o\nSAVE\nEND\n"}, first=OBJECTS + ":", then={"script": "CREATE lib.a\nADDMOD x2.o\nSAVE\nEND\n"})
CASES.changes("llvm-ar", "llvm-ar rcs libf.a f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="cp x2.o f.o", needs=("llvm-ar",))

# ---- afterwards ----

CASES.changes("strip to another file", "strip -o small f.o", given=PARTS, first=OBJECTS + "cp x1.o f.o", then_first="gcc -g -Df=g -DVALUE=3 -c f.c")
CASES.changes("strip in place", "strip f.o", given=PARTS, first=OBJECTS + "gcc -g -DVALUE=1 -c f.c", then_first="gcc -g -DVALUE=2 -c f.c")
CASES.changes("debug information is taken out", "objcopy --only-keep-debug main main.debug", given=PARTS, first="gcc -g -DVALUE=1 -o main main.c f.c", then_first="gcc -g -DVALUE=2 -Df=g -o main main.c f.c")
CASES.changes("a link to debug information", "objcopy --add-gnu-debuglink=main.debug main small", given={**PARTS, "main.debug": "one"}, first="gcc -g -DVALUE=1 -o main main.c f.c", then={"main.debug": "two"})
CASES.changes("a section from a file", "objcopy --add-section .mine=data f.o g.o", given={**PARTS, "data": "one"}, first="gcc -DVALUE=1 -c f.c", then={"data": "two"})
CASES.changes("symbols by a file", "objcopy --redefine-syms=names f.o g.o", given={**PARTS, "names": "f g\n"}, first="gcc -DVALUE=1 -c f.c", then={"names": "f h\n"})
CASES.changes("nm", "nm f.o", given=PARTS, first="gcc -DVALUE=1 -c f.c", then_first="gcc -DVALUE=1 -Df=g -c f.c")
CASES.changes("a dump with its source", "objdump -S f.o", given=PARTS, first="gcc -g -DVALUE=1 -c f.c", then={"f.c": "int f(void) { return VALUE; /* new */ }\n"}, then_first="touch -d @1 f.c; :", outcome=("miss",))
CASES.changes("addresses and lines, with debug information elsewhere", "objdump --dwarf=info main", given=PARTS, first="gcc -g -DVALUE=1 -o main main.c f.c; objcopy --only-keep-debug main main.debug; strip -g main; objcopy --add-gnu-debuglink=main.debug main",
              then_first="gcc -g -DVALUE=1 -Df=g -o main main.c f.c; objcopy --only-keep-debug main main.debug; strip -g main; objcopy --add-gnu-debuglink=main.debug main")

# ---- programs that were built ----

TEST = {"test.c": "#include <stdio.h>\nint main(void) { FILE *f = fopen(\"data\", \"r\"); int c = f ? fgetc(f) : '-'; printf(\"%c\\n\", c); return 0; }\n"}
CASES.changes("a test program is built anew", "./test", given={**TEST, "data": "1"}, first="gcc -o test test.c", then_first="gcc -Dfgetc=feof -o test test.c")
CASES.changes("a file that a test reads", "./test", given={**TEST, "data": "1"}, first="gcc -o test test.c", then={"data": "2"})
CASES.changes("a file that a test looks for appears", "./test", given=TEST, first="gcc -o test test.c", then={"data": "2"})
CASES.changes("a test that fails now", "sh -c ./test", given={"test.c": "#include <unistd.h>\nint main(void) { return access(\"broken\", F_OK) == 0; }\n"}, first="gcc -o test test.c", then={"broken": ""}, outcome="failed")


def test_an_archive_with_the_time_in_it(p):
    p.write("a.c", "int a;\n")
    p.shell("gcc -c a.c")
    for _ in range(2):
        equal(p.run("ar rcsU lib.a a.o").event["outcome"], "uncacheable")
