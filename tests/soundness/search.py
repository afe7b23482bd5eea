"""Headers, and what else a preprocessor finds along a path."""
from support import FAST, equal
from table import NOTHING, Table, at, folder, forged, link, mode, script, sh

CASES = Table()

USES = '#include "a.h"\nint a = A;\n'
ANGLE = "#include <a.h>\nint a = A;\n"
ONE, TWO = "#define A 1\n", "#define A 2\n"

for option, source in (("-I", ANGLE), ("-iquote ", USES), ("-isystem ", ANGLE), ("-idirafter ", ANGLE)):
    CASES.changes(f"a header appears in an earlier folder of {option.strip()}", f"{{cc}} {option}one {option}two -c a.c",
                  given={"a.c": source, "two/a.h": ONE, "one/b.h": ""}, then={"one/a.h": TWO})
    CASES.changes(f"a folder of {option.strip()} appears", f"{{cc}} {option}one {option}two -c a.c",
                  given={"a.c": source, "two/a.h": ONE}, then={"one/a.h": TWO})

CASES.changes("a header appears beside the one that includes it", "{cc} -Ilib -Iother -c a.c",
              given={"a.c": '#include "b.h"\nint a = A;\n', "lib/b.h": '#include "a.h"\n', "other/a.h": ONE}, then={"lib/a.h": TWO})
CASES.changes("a header appears beside the source", "{cc} -Iother -c src/a.c",
              given={"src/a.c": USES, "other/a.h": ONE}, then={"src/a.h": TWO})
CASES.changes("quotes go before -I", "{cc} -Ione -iquote two -c a.c",
              given={"a.c": USES, "one/a.h": ONE, "two/b.h": ""}, then={"two/a.h": TWO})
CASES.changes("-isystem goes before -idirafter", "{cc} -idirafter one -isystem two -c a.c",
              given={"a.c": ANGLE, "one/a.h": ONE, "two/b.h": ""}, then={"two/a.h": TWO})
CASES.changes("a system header is shadowed", "{cc} -Ione -c a.c",
              given={"a.c": "#include <limits.h>\nint a = CHAR_MAX;\n", "one/b.h": ""}, then={"one/limits.h": "#define CHAR_MAX 5\n"})
CASES.changes("a header that a system header includes is shadowed", "{cc} -Ione -c a.c",
              given={"a.c": "#include <stdio.h>\nint a = EOF;\n", "one/b.h": ""}, then={"one/bits/types.h": "#error shadowed\n"}, outcome="failed")
CASES.changes("a header appears as a folder", "{cc} -Ione -Itwo -c a.c",
              given={"a.c": ANGLE, "two/a.h": ONE, "one/b.h": ""}, then={"one/a.h": folder}, outcome=("miss", "hit"), same=True)
CASES.changes("a header becomes a folder, and the next one counts", "{cc} -Ione -Itwo -c a.c",
              given={"a.c": ANGLE, "one/a.h": ONE, "two/a.h": TWO}, then={"one/a.h": folder})
CASES.changes("a header goes away, and the next one counts", "{cc} -Ione -Itwo -c a.c",
              given={"a.c": ANGLE, "one/a.h": ONE, "two/a.h": TWO}, then={"one/a.h": NOTHING})
CASES.changes("include_next finds another", "{cc} -Ione -Itwo -Ithree -c a.c",
              given={"a.c": ANGLE, "one/a.h": "#include_next <a.h>\n", "two/b.h": "", "three/a.h": ONE}, then={"two/a.h": TWO})
CASES.changes("the name of a header is made by a macro", '{cc} -DWHICH="<a.h>" -Ione -Itwo -c a.c',
              given={"a.c": "#include WHICH\nint a = A;\n", "two/a.h": ONE}, then={"one/a.h": TWO})
CASES.changes("a header by an absolute path", "{cc} -I{root}/one -I{root}/two -c a.c",
              given={"a.c": ANGLE, "two/a.h": ONE}, then={"one/a.h": TWO})
CASES.changes("a header through a folder's parent", "{cc} -Ione/../two -c a.c",
              given={"a.c": ANGLE, "one/b.h": "", "two/a.h": ONE}, then={"two/a.h": TWO})
CASES.changes("the link to a folder leads elsewhere, with the parent behind it", "{cc} -Ilib/../inc -c a.c",
              given={"a.c": ANGLE, "v1/lib/b": "", "v1/inc/a.h": ONE, "v2/lib/b": "", "v2/inc/a.h": TWO, "lib": link("v1/lib")},
              then={"lib": link("v2/lib")})
CASES.changes("a link to a header that dangled leads somewhere", "{cc} -Ione -Itwo -c a.c",
              given={"a.c": ANGLE, "two/a.h": ONE, "one/a.h": link("../late.h")}, then={"late.h": TWO})
CASES.changes("a link of a link is retargeted", "{cc} -Ione -c a.c",
              given={"a.c": ANGLE, "one/a.h": link("b.h"), "one/b.h": link("c.h"), "one/c.h": ONE, "one/d.h": TWO}, then={"one/b.h": link("d.h")})
CASES.changes("a header with the old size and time", "{cc} -c a.c", given={"a.c": USES, "a.h": ONE}, then={"a.h": forged(TWO)})
CASES.changes("a header that may no longer be read by its mode", "{cc} -c a.c",
              given={"a.c": "#include \"a.h\"\nint a = A;\n", "a.h": ONE}, then={"a.h": TWO})

# ---- by the words ----

CASES.changes("-include, edited", "{cc} -include pre.h -c a.c", given={"a.c": "int a = A;\n", "pre.h": ONE}, then={"pre.h": TWO})
CASES.changes("-include, found earlier", "{cc} -Ione -Itwo -include pre.h -c a.c",
              given={"a.c": "int a = A;\n", "two/pre.h": ONE}, then={"one/pre.h": TWO})
CASES.changes("-imacros, edited", "{cc} -imacros pre.h -c a.c", given={"a.c": "int a = A;\n", "pre.h": ONE}, then={"pre.h": TWO})
CASES.changes("-isysroot", "gcc -isysroot {root}/sys -c a.c",
              given={"a.c": ANGLE, "sys/usr/include/a.h": ONE}, then={"sys/usr/local/include/a.h": TWO})
CASES.changes("--sysroot", "{cc} --sysroot={root}/sys -c a.c",
              given={"a.c": ANGLE, "sys/usr/include/a.h": ONE}, then={"sys/usr/local/include/a.h": TWO})
CASES.changes("-isystem= below the sysroot", "gcc --sysroot={root}/sys -isystem =/late -isystem two -c a.c",
              given={"a.c": ANGLE, "two/a.h": ONE}, then={"sys/late/a.h": TWO})
CASES.changes("-iwithprefixbefore", "{cc} -iprefix {root}/x -iwithprefixbefore one -isystem two -c a.c",
              given={"a.c": ANGLE, "two/a.h": ONE}, then={"xone/a.h": TWO})
CASES.changes("an overlay that maps headers", "clang -ivfsoverlay map.yaml -Ione -c a.c",
              given={"a.c": ANGLE, "1.h": ONE, "2.h": TWO, "map.yaml": '{"version": 0, "roots": [{"name": "{R}/one", "type": "directory", "contents": []}]}'},
              first="printf '{\"version\": 0, \"roots\": [{\"name\": \"%s/one\", \"type\": \"directory\", \"contents\": [{\"name\": \"a.h\", "
              "\"type\": \"file\", \"external-contents\": \"%s/1.h\"}]}]}' $PWD $PWD >map.yaml",
              then_first="sed -i s/1.h/2.h/ map.yaml", needs=("clang",))
CASES.changes("a response file", "{cc} @flags -c a.c", given={"a.c": ANGLE, "flags": "-Ione", "one/a.h": ONE, "two/a.h": TWO}, then={"flags": "-Itwo"})
CASES.changes("a response file in a response file", "{cc} @flags -c a.c",
              given={"a.c": ANGLE, "flags": "@more", "more": "-Ione", "one/a.h": ONE, "two/a.h": TWO}, then={"more": "-Itwo"})
CASES.changes("a response file that was not there", "{cc} @a.c -c a.c", given={"a.c": "int a;\n", "a.h": ""},
              then={"a.h": "x"}, same=True, outcome=("failed", "hit"), before="failed", only_first=True)
CASES.changes("a word that is a response file once it is there", "gcc -c a.c -D@flags", given={"a.c": "int a;\n"}, only_first=True, before="failed")

# ---- by variables ----

for name, source in ("CPATH", "a.c"), ("C_INCLUDE_PATH", "a.c"), ("CPLUS_INCLUDE_PATH", "a.cc"):
    CASES.changes(f"a header appears in an earlier folder of {name}", ("{cc}" if source == "a.c" else "{cxx}") + f" -c {source}",
                  given={source: ANGLE, "two/a.h": ONE}, env={name: "one:two"}, then={"one/a.h": TWO})
    CASES.changes(f"{name} is set", ("{cc}" if source == "a.c" else "{cxx}") + f" -idirafter two -c {source}",
                  given={source: ANGLE, "two/a.h": ONE, "one/a.h": TWO}, then_env={name: "one"})
CASES.changes("an empty part of CPATH is the working directory", "{cc} -Itwo -c src/a.c",
              given={"src/a.c": "#include <a.h>\nint a = A;\n", "late/a.h": ONE}, env={"CPATH": ":late"}, then={"a.h": TWO})

# ---- __has_include ----

for name, test in ("quotes", '"b.h"'), ("angles", "<b.h>"), ("a macro", "WHICH"):
    CASES.changes(f"__has_include in {name}: it appears", ["{cc}", "-Ione", "-Itwo", '-DWHICH="b.h"', "-c", "a.c"],
                  given={"a.c": f"#if __has_include({test})\nint a = 2;\n#else\nint a = 1;\n#endif\n", "two/x.h": ""}, then={"two/b.h": "#error never read\n"})
CASES.changes("__has_include: it goes away", "{cc} -Ione -c a.c",
              given={"a.c": '#if __has_include("b.h")\nint a = 2;\n#else\nint a = 1;\n#endif\n', "one/b.h": ""}, then={"one/b.h": NOTHING})
CASES.harmless("__has_include: only its content changes", "{cc} -Ione -c a.c",
               given={"a.c": '#if __has_include("b.h")\nint a = 2;\n#endif\n', "one/b.h": ""}, then={"one/b.h": "int b;\n"}, outcome=("hit", "miss"))
CASES.changes("__has_include: it becomes a folder", "{cc} -Ione -c a.c",
              given={"a.c": '#if __has_include("b.h")\nint a = 2;\n#else\nint a = 1;\n#endif\n', "one/b.h": ""}, then={"one/b.h": folder})
CASES.changes("__has_include_next", "{cc} -Ione -Itwo -Ithree -c a.c",
              given={"a.c": ANGLE, "one/a.h": "#if __has_include_next(<a.h>)\n#define A 2\n#else\n#define A 1\n#endif\n", "two/b.h": ""},
              then={"two/a.h": ""})
CASES.changes("__has_include through a link that dangled", "{cc} -c a.c",
              given={"a.c": '#if __has_include("b.h")\nint a = 2;\n#else\nint a = 1;\n#endif\n', "b.h": link("c.h")}, then={"c.h": ""})

# ---- precompiled headers ----

CASES.changes("a precompiled header appears", "gcc -c a.c", given={"a.c": USES, "a.h": ONE},
              then_first="gcc -DA=3 -x c-header a.h -o a.h.gch 2>/dev/null", outcome="uncacheable", same=True, back=False)
CASES.changes("a folder of precompiled headers appears", "gcc -c a.c", given={"a.c": USES, "a.h": ONE},
              then_first="mkdir a.h.gch; gcc -x c-header a.h -o a.h.gch/one", outcome="uncacheable", same=True, back=False)
CASES.changes("a precompiled header appears for -include", "clang -include a.h -c a.c", given={"a.c": "int a = A;\n", "a.h": ONE}, needs=("clang",),
              then_first="clang -x c-header a.h -o a.h.pch; echo '#define A 1 ' >a.h; touch -d @1 a.h",
              outcome="failed", back=False)
CASES.changes("a file with the name of a precompiled header appears", "gcc -Winvalid-pch -c a.c", given={"a.c": USES, "a.h": ONE}, then={"a.h.gch": "text"},
              outcome="miss")

# ---- comments and columns ----

CASES.changes("a comment moves a warning to another column", "{cc} -Wall -c a.c",
              given={"a.c": "void f(void) { int x; }\n"}, then={"a.c": "void f(void) { /**/ int x; }\n"})
CASES.changes("a comment moves a line", "{cc} -g -c a.c", given={"a.c": '#include "a.h"\n', "a.h": "int f(void) { return 1; }\n"},
              then={"a.h": "/* */\nint f(void) { return 1; }\n"})
CASES.changes("a comment in a header moves a column", "{cc} -g -c a.c",
              given={"a.c": '#include "a.h"\n', "a.h": "int f(int a) { return g(a); }\n".replace("return", "int g(int); return")},
              then={"a.h": "int f(int a) { int g(int); /* */ return g(a); }\n"})
CASES.changes("a comment that a warning quotes", "{cc} -Wall -c a.c",
              given={"a.c": '#include "a.h"\n', "a.h": "static int f(void) { return 0; } /* one */\n"},
              then={"a.h": "static int f(void) { return 0; } /* two */\n"}, outcome="miss")
CASES.changes("line markers change", "{cc} -g -c a.c", given={"a.c": '# 1 "one.c"\nint a;\n'}, then={"a.c": '# 1 "two.c"\nint a;\n'})
CASES.changes("only the name of a header differs", "{cc} -g -c a.c",
              given={"a.c": '#include "a.h"\nstruct s s;\n', "a.h": link("1.h"), "1.h": '#include "one.h"\n', "2.h": '#include "two.h"\n', "one.h": "struct s { int a; };\n", "two.h": "struct s { int a; };\n"},
              then={"a.h": link("2.h")})
CASES.changes("the value of a prefix map", "{cc} -g -ffile-prefix-map={root}=one -c a.c", then_words="{cc} -g -ffile-prefix-map={root}=two -c a.c",
              given={"a.c": "const char *a = __FILE__;\n"})
CASES.changes("the value of a prefix map for debug information", "{cc} -g -fdebug-prefix-map={root}=one -c a.c",
              then_words="{cc} -g -fdebug-prefix-map={root}=two -c a.c", given={"a.c": "int a;\n"})
CASES.changes("the value of a prefix map in a response file", "{cc} -g @map -c a.c", given={"a.c": "int a;\n", "map": ""},
              first="echo -fdebug-prefix-map=$PWD=one >map", then_first="echo -fdebug-prefix-map=$PWD=two >map")
CASES.changes("the name of a source that an option spells otherwise", "{cc} -g -c a.c", then_words="{cc} -g -c ./a.c", given={"a.c": "int a;\n"})

# ---- times ----

for name, text in ("a pragma", '#pragma GCC dependency "a.y"\n'), ("a pragma of odd spelling", '#  pragma GCC /* */\tdependency "a.y"\n'), \
        ("an operator", '_Pragma("GCC dependency \\"a.y\\"")\n'):
    CASES.refused(f"GCC dependency in {name}", "gcc -c a.c", "compares the times", given={"a.c": text + "int a;\n", "a.y": "y"})
    CASES.refused(f"GCC dependency in {name} of a header", "gcc -c a.c", "compares the times", given={"a.c": '#include "a.h"\n', "a.h": text, "a.y": "y"})
CASES.same("the word dependency in a comment", "{cc} -c a.c", given={"a.c": "/* a dependency of GCC, by dependency */\nint a;\n"})


def test_times_however_composed(p):
    """What no text names: pasted together, spelled with line ends, hidden in a computation."""
    p.program = FAST
    sources = {
        "pasted": "#define PASTE(a, b) a##b\n#define P(a, b) PASTE(a, b)\nconst char *a = P(__TI, ME__);\n",
        "pasted, and one letter used": "#define P(a, b) a##b\nint a = P(__TI, ME__)[7] + P(__DA, TE__)[4];\n",
        "broken by a line's end": "const char *a = __DA\\\nTE__;\n",
        "by a header's macro": '#include "when.h"\nint a = sizeof(WHEN(__DA, TE__)) + WHEN(__DA, TE__)[5];\n',
        "of a file": "#define P(a, b) a##b\nint a = P(__TIME, STAMP__)[18];\n",
        "in an #include": '#define P(a, b) a##b\n#define Q(x) P(__TI, x)\n#include "use.h"\n',
    }
    p.write("when.h", "#define WHEN(a, b) a##b\n")
    p.write("use.h", "int a = Q(ME__)[7];\n")
    for cc in "gcc", "clang", "g++", "clang++":
        for name, text in sources.items():
            source = "a.cc" if "+" in cc else "a.c"
            p.write(source, "extern const char *a;\n" * 0 + text)
            for zone in None, "Europe/Berlin", "UTC0", "":
                for _ in range(2):
                    run = p.run(f"{cc} -c {source}", env={"TZ": zone})
                    equal((run.status, run.event["outcome"]), (0, "uncacheable"), f"{cc}, {name}, TZ={zone}")


def test_times_that_are_given(p):
    p.program = FAST
    p.write("a.c", "#define P(a, b) a##b\nint a = P(__TI, ME__)[7];\n")
    env = {"SOURCE_DATE_EPOCH": "86400"}
    equal(p.run("gcc -c a.c", env=env).event["outcome"], "uncacheable")  # who knows which
    p.write("a.c", "const char *a = __TIME__;\n")
    p.step("miss", "gcc -c a.c", env=env)
    p.step("hit", "gcc -c a.c", env=env)
    p.step("miss", "gcc -c a.c", env={"SOURCE_DATE_EPOCH": "86401"})
