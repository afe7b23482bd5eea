"""Where nobody can watch a compile: what the compiler itself tells of it."""
import json, os, shutil, struct, subprocess, time
from refused import under, unobserved
from support import BUILD, CHECKED, FAST, Skip, contains, equal, need, snapshot

COMPILERS = ("gcc", "clang")
NOT_ALL = "its depfile does not tell all"
USES = '#include <a.h>\nint a = A;\n'


def alone(p, program=FAST):
    """Neither a listener nor ptrace, from now on."""
    p.program = program
    unobserved(p)


def fresh(p, name):
    p.env["TARN_DIR"] = f"{p.top}/cache-{name}"


def steps(p, words, *outcomes, **more):
    for outcome in outcomes:
        run = p.step(outcome, words, **more)
        if outcome == "miss":
            equal(run.event["observer"], "depfile", str(run))
            contains(run.event["note"], "since it could not be observed: no listener (")
        for name in sorted(p.made):
            if p.exists(name):
                p.remove(name)
    return run


def project(p):
    p.write("a.c", '#include <stdio.h>\n#include "q.h"\n#include <a.h>\nint a = A + Q + EOF;\n')
    p.write("two/a.h", '#include "b.h"\n#define A B\n'), p.write("two/b.h", "#define B 1\n"), p.write("q.h", "#define Q 10\n")
    for name in "one", "quote", "sys", "path":
        p.write(f"{name}/other.h")


WORDS = "{} -g -O1 -Wall -Ione -Itwo -iquote quote -isystem sys -c a.c"


def test_edited(p):
    alone(p, CHECKED), project(p)
    for cc in COMPILERS:
        words = WORDS.format(cc)
        steps(p, words, "miss", "hit")
        for name, old, new in ("a.c", b"+ EOF", b"- EOF"), ("q.h", b"10", b"20"), ("two/b.h", b"1", b"2"):
            text = p.read(name)
            p.write(name, text.replace(old, new))
            steps(p, words, "miss", "hit")
            p.write(name, text)
            steps(p, words, "hit")


def test_shadowed(p):
    """In each kind of folder that comes before the one where it was found."""
    alone(p), project(p)
    p.env["CPATH"] = p.path("path")
    p.write("b.c", '#include <c.h>\n#include "c.h"\n#include <limits.h>\nint c = C + CHAR_BIT;\n')
    p.write("late/c.h", "#ifndef C\n#define C 1\n#endif\n")
    for cc in COMPILERS:
        words = f"{cc} -Ione -iquote quote -isystem sys -idirafter late -c b.c"
        steps(p, words, "miss", "hit")
        for folder in "one", "quote", "sys", "path", ".":
            p.write(f"{folder}/c.h", "#undef C\n#define C 2\n")
            steps(p, words, "miss", "hit")
            p.remove(f"{folder}/c.h")
            steps(p, words, "hit")
        p.write("one/limits.h", "#define CHAR_BIT 3\n")
        steps(p, words, "miss", "hit")
        p.remove("one/limits.h")
        steps(p, words, "hit")
        # Beside the header that asks for it.
        steps(p, WORDS.format(cc), "miss", "hit")
        p.write("one/b.h", "#define B 9\n")
        steps(p, WORDS.format(cc), "miss", "hit")  # more than need be: two/b.h goes first
        p.remove("one/b.h")


def test_comes_and_goes(p):
    alone(p, CHECKED)
    p.write("a.c", '#if __has_include("opt.h")\n#include "opt.h"\n#else\n#define A 1\n#endif\nint a = A;\n')
    p.write("b.c", "#include <a.h>\nint b = A;\n"), p.write("one/a.h", "#define A 1\n"), p.write("two/a.h", "#define A 2\n")
    for cc in COMPILERS:
        steps(p, f"{cc} -c a.c", "miss", "hit")
        p.write("opt.h", "#define A 2\n")
        steps(p, f"{cc} -c a.c", "miss", "hit")
        p.remove("opt.h")
        steps(p, f"{cc} -c a.c", "hit")
        words = f"{cc} -Ione -Itwo -c b.c"
        steps(p, words, "miss", "hit")
        p.remove("one/a.h")
        steps(p, words, "miss", "hit")
        p.remove("two/a.h")
        steps(p, words, "failed")
        p.write("one/a.h", "#define A 1\n"), p.write("two/a.h", "#define A 2\n")
        steps(p, words, "hit")


def test_forced(p):
    alone(p, CHECKED)
    p.write("a.c", "int a = A;\n"), p.write("two/config.h", "#define A 1\n"), p.write("one/other.h")
    for cc in COMPILERS:
        words = f"{cc} -include config.h -Ione -Itwo -c a.c"
        steps(p, words, "miss", "hit")
        for name in "one/config.h", "config.h":
            p.write(name, "#define A 2\n")
            steps(p, words, "miss", "hit")
            p.remove(name)
        p.write("two/config.h", "#define A 3\n")
        steps(p, words, "miss", "hit")
        p.write("two/config.h", "#define A 1\n")
        steps(p, words, "hit")


def test_as_bare(p):
    """Bytes, depfiles, warnings and status, with old outputs in the way or not."""
    alone(p), project(p)
    p.write("w.c", '#include "q.h"\n#warning look\nint w(void) { int unused; }\n')
    p.write("v.cc", "#include <vector>\nint size(std::vector<int> &v) { return (int)v.size(); }\n")
    for cc in COMPILERS:
        for words in ("-MD -c a.c", "-MMD -c a.c", "-MD -MP -MF deps/x.d -MT x -c a.c -o out/a.o", "-MMD -MF deps/x.d -c a.c -o out/a.o",
                      "-S a.c -o a.s", "-g3 -O2 -c a.c", "-fdebug-prefix-map=x=y -g -c a.c", "-c w.c -Wall", "-c w.c -w", "-pipe -c a.c", f"-g -c {p.path('a.c')}",
                      "-std=c++20 -g -c v.cc"):
            p.write("deps/.keep"), p.write("out/.keep")
            words = f"{cc if 'v.cc' not in words else cc.replace('gcc', 'g++').replace('clang', 'clang++')} -Itwo {words}"
            for outcome in "miss", "hit":
                p.step(outcome, words)
            p.step("hit", words)  # over what is there
            p.shell("rm -rf deps out *.o *.s *.d")


def test_outputs_in_the_way(p):
    alone(p), project(p)
    words = "gcc -Itwo -c a.c"
    p.write("other"), os.link(p.path("other"), p.path("a.o"))
    contains(p.run(words).event["reason"], "is empty, or more than a file")
    p.remove("a.o"), os.symlink("other", p.path("a.o"))
    contains(p.run(words).event["reason"], "is empty, or more than a file")


def test_modes_in_the_way(p):
    """What is written over keeps its mode, what is replaced does not."""
    alone(p), project(p)
    for cc in COMPILERS:
        for words, names in ("-c a.c", ["a.o"]), ("-S a.c", ["a.s"]), ("-MD -c a.c", ["a.o", "a.d"]):
            words = f"{cc} -Itwo {words}"
            steps(p, words, "miss", "hit")
            for bits in 0o600, 0o444, 0o755:
                for name in names:
                    p.write(name, "old", bits)
                p.step(("hit", "miss"), words, keep=True)
                p.shell("rm -f a.o a.s a.d")


REFUSED = {
    "a computed name": ("#define H <a.h>\n#include H\n", "", "a name that is no literal"),
    "a computed question": ("#define H <a.h>\n#if __has_include(H)\n#endif\n", "", "a name that is no literal"),
    "a question by another name": ("#define HAS __has_include\n#if HAS (<a.h>)\n#endif\n", "", "another name"),
    "a question in the words": ("#if HAS(<a.h>)\n#endif\n", "-DHAS=__has_include", "another name"),
    "a question all in the words": ("#if HAS\n#endif\n", "-DHAS=__has_include(<a.h>)", "asks for a file"),
    "a question in small pieces": ("#define J(a, b, c, d) a##b##c##d\n#if J(__h, as_, in, clude)(<a.h>)\n#endif\n", "", "pieces of the word"),
    "a question in pieces": ("#define J(a, b) a##b\n#if J(__has_, include)(<a.h>)\n#endif\n", "", "pieces of the word"),
    "a directive behind a comment": ("#define H <a.h>\n/* one\n*/ # /* two\n*/ include H\n", "", "a name that is no literal"),
    "a directive over two lines": ("#define H <a.h>\n#inc\\\nlude H\n", "", "a name that is no literal"),
    "a digraph": ("#define H <a.h>\n%:include H\n", "", "a name that is no literal"),
    "assembly": ('__asm__(".incbin \\"two/a.h\\"");\n', "", "holds assembly"),
    "assembly in pieces": ('__asm__(".inc" "bin \\"two/a.h\\"");\n', "", "holds assembly"),
    "assembly by another name": ('ASM(".inc" "bin \\"two/a.h\\"");\n', "-DASM=asm", "holds assembly"),
    "assembly by joined letters": ('#define J(a, b) a##b\nJ(as, m)(".inc" "bin \\"two/a.h\\"");\n', "", "holds assembly"),
    "a time": ("int line = sizeof(__TIME__);\n", "", "macro of the date"),
    "a time in pieces": ("#define J(a, b) a##b\nint line = sizeof(J(__TI, ME__));\n", "", "macro of the date"),
    "assembly in the name of a section": ('__attribute__((section(".data\\n.inc" "bin \\"two/a.h\\"\\n#"))) int a = 1;\n', "", "its assembler read 'two/a.h'"),
    "the same through a pipe": ('__attribute__((section(".data\\n.inc" "bin \\"two/a.h\\"\\n#"))) int a = 1;\n', "-pipe", "its assembler read 'two/a.h'"),
    "a quiet time": ("#define J(a, b) a##b\nint line = J(__TI, ME__)[2];\n", "-fno-diagnostics-show-option", "macro of the date"),
    "a time of the system": ("#include <t.h>\n", "-isystem sys", "macro of the date"),
    "the same bytes twice": ('#include "one/a.h"\n#include <a.h>\n', "", "same content"),
    "a precompiled header": ("#include <p.h>\n", "", "is there"),
    "two sources": ("int a;\n", "b.c", "second source"),
    "a linked program": ("int main(void) { return 0; }\n", None, "more than to compile"),
    "an option": ("int a;\n", "-fsanitize=undefined", "may read or write"),
    "native": ("int a;\n", "-march=native", "isn't known"),
    "a split object": ("int a;\n", "-g -gsplit-dwarf", "isn't known"),
    "usage of stacks": ("int a;\n", "-fstack-usage", "isn't known"),
    "temporary files": ("int a;\n", "-save-temps", "isn't known"),
    "a prefix": ("int a;\n", "-B.", "isn't known"),
    "link time": ("int a;\n", "-flto -frandom-seed=1", "isn't known"),
    "words of the assembler": ("int a;\n", "-Wa,-L", "isn't known"),
    "a language": ("int a;\n", "-x c", "may read or write"),
    "words in a file": ("int a;\n", "@flags", "more words"),
}


def test_refused(p):
    alone(p, CHECKED)
    p.write("two/a.h", "#define A 1\n"), p.write("one/a.h", "#define A 1\n"), p.write("b.c", "int b;\n"), p.write("flags", "-O1\n")
    p.write("two/p.h", "int p;\n"), p.write("two/p.h.gch")
    p.write("sys/t.h", "#define J(a, b) a##b\nstatic const int line = J(__TI, ME__)[2];\n")
    for name, (text, more, reason) in REFUSED.items():
        p.write("a.c", text)
        words = f"gcc -Itwo a.c -o program" if more is None else f"gcc -Itwo -c a.c {more}"
        run = p.refused(words, reason)
        assert run.event["observer"] in ("depfile", "unobserved"), f"{name}: {run}"
        p.shell("git clean -fdxq 2>/dev/null; rm -f *.o *.s *.i *.d *.su *.gcno *.dwo program")


def test_passes_for_another_file(p):
    """As what bison writes may; but not for one of the system, whose assembly is no matter of ours."""
    alone(p, CHECKED)
    p.write("two/a.h", "#define A 1\n"), p.write("sub/other.h")
    up = "../" * p.root.count("/")
    for cc in COMPILERS:
        for marker in ('# 1 "/usr/include/x.h" 1 3', '#line 1 "/usr/include/x.h"', f'#line 1 "{up}usr/include/x.h"'):
            p.write("a.c", f'#define J(a, b) a##b\n{marker}\nJ(as, m)(".inc" "bin \\"two/a.h\\"");\n')
            run = p.refused(f"{cc} -c a.c")
            assert cc == "gcc" or "passes for one of the system" in run.event["reason"], run
        p.write("a.c", '#line 1 "../p/grammar.y"\nint a;\n#line 3 "a.c"\nint b;\n')
        steps(p, f"{cc} -g -c a.c", "miss", "hit")


def test_warnings_quote_another_file(p):
    """gcc shows the lines of the file that #line names."""
    alone(p, CHECKED)
    p.write("a.c", '#line 1 "g.y"\nstatic int f(void) { int unused; return 0; }\n')
    for cc in COMPILERS:
        for text in "the first text", "another text", None:
            if text:
                p.write("g.y", text + "\n")
            else:
                p.remove("g.y")
            run = steps(p, f"{cc} -Wall -c a.c", "miss", "hit")
            assert cc == "clang" or ((text or "").encode() in run.err) and b"warning" in run.err, run
        p.write("g.y", "the first text\n")
        steps(p, f"{cc} -Wall -c a.c", "hit")
        p.remove("g.y")


def test_failures(p):
    """They are kept nowhere, not even where a rule asks for it: they leave no list."""
    alone(p, CHECKED)
    p.write("tarn.json", '{ "actions": [ { "match": "gcc*", "failures": "unchanged" } ] }\n')
    p.write("a.c", '#include "a.h"\n#error no\n'), p.write("a.h", "int a;\n")
    p.refused("gcc -c a.c", "of a failure")
    p.write("a.c", '#include "a.h"\n')
    steps(p, "gcc -c a.c", "miss", "hit")


def test_checked(p):
    """A hit that is looked at twice runs once, watched or not."""
    alone(p), project(p)
    words = "gcc -Itwo -c a.c"
    below, p.under = p.under, []
    p.step("miss", words)
    p.under = below
    p.remove("a.o")
    equal(p.run(words, options="--check").event["check"], "unclear")
    assert p.exists("a.o")


def test_variables(p):
    alone(p), project(p)
    words = "gcc -Itwo -c a.c"
    for name, value in (("COMPILER_PATH", "/nowhere"), ("GCC_EXEC_PREFIX", "/usr/lib/gcc/"), ("LD_LIBRARY_PATH", "/nowhere"),
                        ("DEPENDENCIES_OUTPUT", p.path("more.d")), ("LANGUAGE", "de")):
        p.refused(words, f"the variable '{name}' is set", env={name: value})
    p.refused(words, "not C or C.UTF-8", env={"LC_ALL": "de_DE.UTF-8"})
    steps(p, words, "miss", "hit", env={"LC_ALL": "C.UTF-8"})
    steps(p, words, "miss", "hit", env={"CPATH": p.path("one")})


def test_edited_meanwhile(p):
    alone(p), project(p)
    child = p.spawn(["gcc", "-Itwo", "-c", "a.c"])
    while child.poll() is None:
        os.utime(p.path("two/b.h"))
    child.communicate()
    equal(p.last()["outcome"], "uncacheable", str(p.last()))
    contains(p.last()["reason"], "changed while it ran")


def test_came_meanwhile(p):
    """What was not there when the compiler asked is not taken for what it found."""
    alone(p)
    p.write("v.cc", '#if __has_include("opt.h")\nint a;\n#else\nint b;\n#endif\n#include <regex>\nstd::regex r("a*");\n')
    child = p.spawn(["g++", "-O2", "-c", "v.cc"])
    while child.poll() is None:
        p.write("opt.h", "\n")
        time.sleep(0.01)
    child.communicate()
    equal(p.last()["outcome"], "uncacheable", str(p.last()))
    wanted = "came while it ran", "changed while it ran"  # before, or after it was looked through for the first time
    assert any(reason in p.last()["reason"] for reason in wanted), p.last()


def compiles(folder):
    """Does a compiler proper work there, for 0.2 s already, and not only preprocess?"""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
            used = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[11]) / os.sysconf("SC_CLK_TCK")
            if words[0].endswith(b"/cc1plus") and b"-E" not in words and used >= 0.2 and os.readlink(f"/proc/{pid}/cwd") == folder:
                return True
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return False


def test_went_meanwhile(p):
    """What was asked for, but never read, may go away again before anybody looks."""
    alone(p)
    p.write("v.cc", '#if __has_include("opt.h")\nint a;\n#else\nint b;\n#endif\n#include <regex>\nstd::regex r("a*");\n')
    p.write("opt.h", "\n")
    child = p.spawn(["g++", "-O2", "-c", "v.cc"])
    while child.poll() is None and not compiles(os.path.realpath(p.root)):
        time.sleep(0.01)
    equal(child.poll(), None)
    p.remove("opt.h")
    child.communicate()
    equal(p.last()["outcome"], "uncacheable", str(p.last()))
    contains(p.last()["reason"], "changed while it ran")


def header_map(name, path):
    """Which clang takes for a folder: `name` is the file at `path`."""
    folder, _, file = path.rpartition("/")
    texts = f"\0{name}\0{folder}/\0{file}\0".encode()
    entry = struct.pack("<III", 1, len(name) + 2, len(name) + len(folder) + 4)
    return struct.pack("<IHHIIII", 0x686D6170, 1, 0, 36, 1, 1, len(path)) + entry + texts


def test_odd_search(p):
    """Where names are looked for in other ways, nothing is recorded."""
    alone(p)
    p.write("a.c", "#include <a.h>\nint a = A;\n"), p.write("two/a.h", "#define A 1\n"), p.write("three/a.h", "#define A 3\n")
    p.write("m.hmap", header_map("a.h", p.path("two/a.h")))
    p.refused("clang -Im.hmap -Itwo -Ithree -c a.c", "which is no folder")
    p.write("a.c", '#include "sub/b.h"\nint a = A;\n'), p.write("sub/b.h", '#include "a.h"\n')
    p.refused("clang --target=x86_64-pc-windows-msvc -Itwo -S a.c", "as a compiler of Windows")


def test_mark_of_utf8(p):
    """In front of a directive, compilers don't see it."""
    alone(p)
    p.write("a.c", '\ufeff#include <a.h>\n#include "two/a.h"\nint a = A;\n'), p.write("one/other.h")
    p.write("two/a.h", "#ifndef A\n#define A 1\n#endif\n")
    for cc in COMPILERS:
        words = f"{cc} -Ione -Itwo -c a.c"
        steps(p, words, "miss", "hit")
        p.write("one/a.h", "#define A 2\n")
        steps(p, words, "miss", "hit")
        p.remove("one/a.h")


def test_another_compiler(p):
    """A tool that comes before it on the path; a compiler that is edited."""
    alone(p), project(p)
    words = "gcc -Itwo -c a.c"
    steps(p, words, "miss", "hit")
    p.write("bin/as", '#!/bin/sh\nexec /usr/bin/as "$@"\n', 0o755)
    p.refused(words, "is no compiler that is known", env={"PATH": f"{p.path('bin')}:{p.env['PATH']}"})
    p.write("bin/gcc", '#!/bin/sh\nexec /usr/bin/gcc -DA=5 "$@"\n', 0o755)
    p.refused("bin/gcc -Itwo -c a.c", "is no compiler that is known")


def test_new_compiler(p):
    if os.geteuid() != 0:
        raise Skip("only root can put programs where compilers are")
    alone(p), project(p)
    folder = f"/opt/tarn-test-{os.getpid()}"
    try:
        os.makedirs(folder)
        shutil.copy("/usr/bin/as", f"{folder}/as")
        env = {"PATH": f"{folder}:{p.env['PATH']}"}
        steps(p, "gcc -Itwo -c a.c", "miss", "hit")
        steps(p, "gcc -Itwo -c a.c", "miss", "hit", env=env)
        with open(f"{folder}/as", "ab") as file:
            file.write(b"more")
        steps(p, "gcc -Itwo -c a.c", "miss", "hit", env=env)
        steps(p, "gcc -Itwo -c a.c", "hit")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_kept_apart(p):
    """What was only told is not served where one can look, but the other way round."""
    alone(p), project(p)
    words = "gcc -Itwo -c a.c"
    steps(p, words, "miss", "hit")
    below, p.under = p.under, []
    p.step("miss", words)
    fresh(p, "seen")
    p.step("miss", words)
    p.under = below
    p.step("hit", words)


def observations(p):
    """Of the last action: (place, path) to its facets."""
    text = subprocess.run([f"{BUILD}/checked/tarn", "show", p.last()["action"], "--json"], env=p.env, cwd=p.root, check=True,
                          capture_output=True).stdout
    found = {}
    for item in json.loads(text)["path_sets"][0]["observations"]:
        found.setdefault((item["place"], item["path"]), set()).update(item["facets"])
    return found


def of_the_compiler(place, path):
    """What it is, what it runs, how it starts: asked of it, and not told in a list."""
    headers = "/usr/include", "/usr/local/include", "/usr/lib/gcc/x86_64-linux-gnu/12/include", "/usr/lib/llvm-14/lib/clang/14.0.6/include"
    searched = "one", "two", "quote", "sys", "/usr/local/include/x86_64-linux-gnu"
    if place == "variable" and path.startswith("PATH:"):
        return True  # a program, which it named with its path
    return path in searched or place == "absolute" and not any(
        os.path.normpath(path).startswith(f"{folder}/") for folder in headers)


def covers(told, place, path, facet):
    if facet in told.get((place, path), ()):
        return True
    if facet == "type":  # of a folder that was searched, or of a file that is read
        return True
    while facet == "absent" and path:
        path = path.rpartition("/")[0]
        if "absent" in told.get((place, path), ()):
            return True
    return False


def test_tells_what_is_seen(p):
    """All that a listener sees of headers and outputs is in the list that is told."""
    alone(p), project(p)
    below = p.under
    p.write("v.cc", '#include <vector>\n#include <iostream>\n#include "q.h"\nint v = std::vector<int>(Q).size();\n')
    for words in (WORDS.format("gcc"), WORDS.format("clang"), "g++ -std=c++20 -g -Ione -Itwo -c v.cc", "clang++ -std=c++17 -Ione -Itwo -c v.cc",
                  "gcc -MD -Itwo -S a.c", "clang -MMD -MF a.d -include q.h -Itwo -c a.c"):
        lists = []
        for n, p.under in enumerate(([], below)):
            fresh(p, f"{n}")
            p.step("miss", words)
            lists.append(observations(p))
        seen, told = lists
        missing = [(place, path, facet) for (place, path), facets in seen.items() for facet in facets
                   if not of_the_compiler(place, path) and not covers(told, place, path, facet)]
        equal(missing, [], words)
        assert len(seen) > 60, words


MAKEFILE = """
CFLAGS = -g -O1 -Wall -Iinc
objects = main.o one.o two.o
program: $(objects)
\t$(CC) -o $@ $(objects)
%.o: %.c
\t$(TARN) $(CC) $(CFLAGS) -MMD -MP -c $< -o $@
-include $(objects:.o=.d)
"""


def test_make(p):
    need("make")
    alone(p)
    p.write("Makefile", MAKEFILE), p.write("inc/all.h", "int one(void), two(void);\n")
    p.write("main.c", '#include <stdio.h>\n#include "all.h"\nint main(void) { return printf("%d\\n", one() + two()) < 0; }\n')
    p.write("one.c", '#include "all.h"\nint one(void) { return 1; }\n'), p.write("two.c", '#include "all.h"\nint two(void) { return 2; }\n')
    for cc in COMPILERS:
        fresh(p, cc)
        p.shell(f"make -s -j2 CC={cc} TARN=")
        wanted = snapshot(p.root)
        for outcome in "miss", "hit":
            p.shell("rm -f *.o *.d program")
            before = len(p.events())
            child = p.spawn([*p.under, "make", "-s", "-j2", f"CC={cc}", f"TARN={p.program}"], tarn=False)
            out, err = child.communicate(timeout=100)
            equal((child.returncode, out, err), (0, b"", b""))
            equal([e["outcome"] for e in p.events()[before:]], [outcome] * 3, str(p.events()[before:]))
            equal(snapshot(p.root), wanted)
        p.shell("rm -f *.o *.d program")
