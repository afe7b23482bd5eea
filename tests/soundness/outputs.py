"""All that a command leaves comes back, whatever the option; and goes where it would."""
import os, shutil, stat, time

from support import FAST, contains, equal, snapshot
from table import NOTHING, Table, at, folder, forged, link, mode, script, sh

CASES = Table()
SOURCE = {"a.c": '#include "a.h"\nint g(int);\nint f(int x) { return g(x) + A; }\n', "a.h": "#define A 1\n"}
NEW = {"a.h": "#define A 2\n"}
DEEPER = {"a.h": '#include "b.h"\n', "b.h": "#define A 2\n"}

# ---- depfiles ----

for words in ("-MD", "-MMD", "-MD -MF deps.d", "-MD -MT target", "-MD -MQ '$(x)'", "-MD -MP", "-MMD -MP -MF deps.d -MT one -MT two", "-Wp,-MD,deps.d", "-MD -MF deps.d -MQ 'a b'"):
    CASES.changes(f"a depfile by {words}", f"{{cc}} {words} -c a.c", given=SOURCE, then=DEEPER)
CASES.changes("only a depfile", "{cc} -MM a.c", given=SOURCE, then=DEEPER)
CASES.changes("only a depfile, into a file", "{cc} -MM -MF deps.d a.c", given=SOURCE, then=DEEPER)
CASES.changes("a depfile with what is missing", "{cc} -MM -MG a.c", given={"a.c": '#include "made.h"\n'}, then={"made.h": '#include "a.c"\n'.replace("a.c", "late.h")})
CASES.changes("the target of a depfile", "{cc} -MD -MF a.d -MT one -c a.c -o a.o", then_words="{cc} -MD -MF a.d -MT two -c a.c -o a.o", given=SOURCE)
CASES.changes("the quoted target of a depfile", "{cc} -MD -MF a.d -MQ one -c a.c -o a.o", then_words="{cc} -MD -MF a.d -MQ two -c a.c -o a.o", given=SOURCE)
CASES.changes("the name of a depfile", "{cc} -MD -MF a.d -MT one -c a.c -o a.o", then_words="{cc} -MD -MF b.d -MT one -c a.c -o a.o", given=SOURCE)
CASES.changes("the object that a depfile names", "{cc} -MD -MF a.d -c a.c -o a.o", then_words="{cc} -MD -MF a.d -c a.c -o b.o", given=SOURCE)
CASES.changes("DEPENDENCIES_OUTPUT", "gcc -c a.c", given=SOURCE, env={"DEPENDENCIES_OUTPUT": "d one"}, then_env={"DEPENDENCIES_OUTPUT": "d two"}, again=("hit", "miss"))
CASES.changes("what is appended to was not there", sh("echo 2 >>log"), then={"log": "3\n"})
CASES.changes("SUNPRO_DEPENDENCIES", "gcc -c a.c", given=SOURCE, then_env={"SUNPRO_DEPENDENCIES": "d"}, again=("hit", "miss"))

# ---- beside the object ----

for option in ("-fstack-usage", "-fcallgraph-info", "-fcallgraph-info=su,da", "-aux-info proto.X", "-save-temps", "-save-temps=obj", "-fopt-info-all -O2", "-fdump-tree-optimized -O2",
               "-g -gsplit-dwarf", "--coverage -frandom-seed=1 -Wno-coverage-mismatch", "-fverbose-asm -S", "-fdump-passes", "-H", "-Wa,-adhln=a.lst", "-fdiagnostics-format=json -Wall",
               "-flto -frandom-seed=1", "-flto -ffat-lto-objects -frandom-seed=1", "-fdump-final-insns=fin.txt", "-fcompare-debug"):
    CASES.changes(f"gcc {option}", f"gcc {option} -c a.c" if "-S" not in option else f"gcc {option} a.c", given=SOURCE, then=NEW if option not in ("-fdump-passes", "-H", "-v", "-fdiagnostics-format=json -Wall", "-aux-info proto.X") else DEEPER,
                  outcome=("miss", "uncacheable"), before=("miss", "uncacheable"), same=None, again=("hit", "miss"))
for option in ("-fstack-usage", "-save-temps", "-save-temps=obj", "-fsave-optimization-record -O2", "-g -gsplit-dwarf", "-gsplit-dwarf=single -g", "--coverage", "-MJ part.json", "-emit-llvm", "-emit-llvm -S", "-fverbose-asm -S", "-H", "-v", "-serialize-diagnostics diag.dia -Wall",
               "-flto", "-flto=thin", "-emit-ast", "-Rpass=.* -O2", "-fstack-size-section", "-dependency-dot dot.txt -MD", "-fdiagnostics-format=msvc -Wall"):
    CASES.changes(f"clang {option}", f"clang {option} -c a.c" if "-S" not in option else f"clang {option} a.c", given=SOURCE, then=NEW if option not in ("-H", "-v", "-serialize-diagnostics diag.dia -Wall", "-fdiagnostics-format=msvc -Wall", "-MJ part.json") else DEEPER,
                  outcome=("miss", "uncacheable"), before=("miss", "uncacheable"), same=None, needs=("clang",), again=("hit", "miss"))
CASES.same("several sources, several outputs", "{cc} -MD -fstack-usage -c a.c b.c", given={**SOURCE, "b.c": "int b(void) { return 1; }\n"})
CASES.same("several objects into a folder", sh("gcc -c a.c -o out/a.o && gcc -c b.c -o out/b.o"), given={**SOURCE, "b.c": "int b;\n", "out/x": ""})
CASES.same("a preprocessed source to standard output", "{cc} -E a.c", given=SOURCE)
CASES.same("a preprocessed source with macros", "{cc} -E -dD a.c", given=SOURCE)
CASES.same("assembly to standard output", "{cc} -S -o - a.c", given=SOURCE)
CASES.same("nothing but warnings", "{cc} -fsyntax-only -Wall a.c", given={"a.c": "void f(void) { int x; }\n"})
CASES.same("warnings and an object", "{cc} -Wall -c a.c", given={"a.c": "void f(void) { int x; }\n"})

# ---- where it goes ----

CASES.same("to /dev/null", "{cc} -c a.c -o /dev/null", given=SOURCE)
CASES.same("to a path with a parent in it", "{cc} -c a.c -o out/../a.o", given={**SOURCE, "out/x": ""}, before=("miss", "uncacheable"))
CASES.same("to another folder by an absolute path", "{cc} -c a.c -o {root}/out/a.o", given={**SOURCE, "out/x": ""})
CASES.changes("into a folder that is missing", "{cc} -c a.c -o out/a.o", given={**SOURCE, "out/x": ""}, then={"out": NOTHING}, outcome="failed")
CASES.changes("onto a folder", "{cc} -c a.c", given=SOURCE, then={"a.o": folder}, outcome="failed")
CASES.changes("through a link to a file", "{cc} -c a.c", given=SOURCE, then={"a.o": link("there"), "there": "old"}, outcome=("miss", "hit", "uncacheable"), same=None, again=("hit", "miss"))
CASES.changes("through a link that dangles", "{cc} -c a.c", given=SOURCE, then={"a.o": link("there")}, outcome=("miss", "hit", "uncacheable"), same=None, again=("hit", "miss"))
CASES.changes("into a folder that is a link", "{cc} -c a.c -o out/a.o", given={**SOURCE, "real/x": "", "out": link("real"), "other/x": ""}, then={"out": link("other")}, outcome=("miss", "hit", "uncacheable"), before=("miss", "uncacheable"))
for bits in 0o444, 0o400, 0o600, 0o755, 0o666, 0o777:
    CASES.changes(f"over a file of mode {bits:o}", "{cc} -c a.c", given=SOURCE, then={"a.o": mode(bits, "old")}, outcome=("miss", "hit"), same=None, again=("hit", "miss"))
    CASES.changes(f"over assembly of mode {bits:o}", "{cc} -S a.c", given=SOURCE, then={"a.s": mode(bits, "old")}, outcome=("miss", "hit"), same=None, again=("hit", "miss"))
    CASES.changes(f"a shell's output over a file of mode {bits:o}", sh("cat a.h >out"), given=SOURCE, then={"out": mode(bits, "old")}, outcome=("miss", "hit"), same=None, again=("hit", "miss"))
CASES.changes("over what set -C protects", sh("set -C; cat a.h >out"), given=SOURCE, then={"out": "old"}, outcome="failed")
CASES.changes("gzip over what is there", sh("gzip -k a.h"), given=SOURCE, then={"a.h.gz": "old"}, outcome="failed")
CASES.changes("mkdir over what is there", sh("mkdir out"), given=SOURCE, then={"out": folder}, outcome="failed")
CASES.changes("ln over what is there", sh("ln -s a.h out"), given=SOURCE, then={"out": ""}, outcome="failed")
CASES.changes("cp over another name of the same file", "cp a.h out", given=SOURCE, then_first="ln a.h out", outcome="failed", back=False)
CASES.changes("mv over a folder", sh("cat a.h >t && mv t out"), given=SOURCE, then={"out": folder}, outcome=("miss", "hit"))
for bits in 0o022, 0o002, 0o077, 0o027:
    CASES.changes(f"under the umask {bits:o}", "{cc} -c a.c", given=SOURCE, umask=0o000, then_umask=bits)
    CASES.changes(f"a tree under the umask {bits:o}", sh("mkdir -p out/a && cat a.h >out/a/b && ln -s b out/a/c && mkdir out/empty && chmod 750 out/a"), given=SOURCE, umask=0o000, then_umask=bits)
CASES.same("a tree with folders that are empty", sh("mkdir -p out/one/two out/three && echo 1 >out/four"))
CASES.same("links of all kinds", sh("mkdir out; ln -s nowhere out/a; ln -s . out/b; ln -s ../out out/c; ln -s /etc/passwd out/d; echo 1 >out/e; ln -s e out/f"))
CASES.same("files of no bytes and of many", sh(": >a; head -c 65535 /dev/zero >b; head -c 65536 /dev/zero >c; head -c 65537 /dev/zero >d; seq 200000 >e"))
CASES.same("a file with holes", sh("truncate -s 1M a; printf x >>a"))
CASES.same("hard links", sh("echo 1 >a; ln a b"))
CASES.same("names that are odd", sh("echo 1 >'a b'; echo 2 >\"$(printf 'a\\nb')\"; echo 3 >\"$(printf 'a\\377')\"; echo 4 >'-x'; echo 5 >'*'"))
CASES.same("what is appended to", sh("echo 2 >>log"), given={"log": "1\n"})
CASES.changes("what is appended to differs", sh("echo 2 >>log"), given={"log": "1\n"}, then={"log": "3\n"})
CASES.changes("what is changed within", sh("printf X | dd of=data bs=1 seek=1 conv=notrunc 2>/dev/null"), given={"data": "one\n"}, then={"data": "two\n"})
CASES.changes("what is cut off", sh("truncate -s 2 data"), given={"data": "one\n"}, then={"data": "two\n"})


def test_times_that_make_accepts(p):
    """After a hit, an object is newer than all that it was made from, and make is content."""
    p.program = FAST
    p.write("Makefile", f"a.o: a.c a.h\n\t{p.program} gcc -c a.c\n")
    for name, text in SOURCE.items():
        p.write(name, text)
    for outcome in "miss", "hit", "hit":
        p.shell("rm -f a.o; touch a.h; make -s")
        equal(p.last()["outcome"], outcome)
        equal(p.bare("make -q").status, 0)


def test_restat(p):
    """A tool that leaves alone what would not change: its old time stays, or ninja goes on."""
    p.program = FAST
    text = "cmp -s in out || cp in out"
    p.write("in", "1")
    p.shell("cp in out; touch -d @1000 out")
    for _ in range(3):
        p.run(sh(text))
        equal(os.stat(p.path("out")).st_mtime, 1000)


def test_restat_of_a_result_that_is_the_same(p):
    p.program = FAST
    p.write("gen", "#!/bin/sh\ncat in | tr a-z A-Z >out.tmp\nif cmp -s out.tmp out; then rm out.tmp; else mv out.tmp out; fi\n", 0o755)
    p.write("in", "a\n")
    p.run("./gen")
    os.utime(p.path("out"), (1000, 1000))
    for _ in range(4):
        p.run("./gen")
        equal((os.stat(p.path("out")).st_mtime, p.read("out")), (1000, b"A\n"))
    p.write("in", "b\n")
    p.run("./gen")
    assert os.stat(p.path("out")).st_mtime > 1000


def test_times_that_were_set(p):
    p.program = FAST
    p.write("in", "1")
    os.utime(p.path("in"), ns=(10**18 + 1, 10**18 + 1))
    for outcome in "miss", "hit", "hit":
        run = p.step(outcome, sh("cat in >out; touch -r in out; mkdir d; echo 1 >d/x; touch -d @5000 d/x"))
        equal((os.stat(p.path("out")).st_mtime_ns, os.stat(p.path("d/x")).st_mtime), (10**18 + 1, 5000))


def test_an_output_is_whole_at_any_time(p):
    """Somebody reads it while hits replace it: the old one or the new one, always there, nothing between."""
    import threading
    p.program = FAST
    wanted = {value: f"{value}".encode() * 300000 for value in (1, 2)}

    def run(n):
        p.write("in2", wanted[n % 2 + 1])
        os.rename(p.path("in2"), p.path("in"))
        return p.run(sh("cat in >out")).event["outcome"]

    while [run(0), run(1)] != ["hit", "hit"]:  # a miss is the command's own affair, which truncates
        assert len(p.events()) < 20, p.events()
    stop, wrong, count = threading.Event(), [], [0]

    def reader():
        while not stop.is_set():
            try:
                got = p.read("out")
            except OSError as error:
                wrong.append(error)
                continue
            count[0] += 1
            if got not in wanted.values():
                wrong.append(len(got))

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        for n in range(40):
            equal(run(n), "hit")
    finally:
        stop.set()
        thread.join()
    assert count[0] > 40, count
    equal(wrong, [])
