"""Actions inside of actions: both are kept, and the outer one knows what the inner one would have done."""
import glob, os, signal, time
from support import FAST, contains, difference, equal, need, snapshot


def step(p, outcomes, script, keep=False, **more):
    """Run a script, in which $T stands for an inner tarn-exec. The outcomes are those of the inner ones, in the
    order in which they end, and that of the script itself, or of the script alone if it is a hit."""
    words = ["sh", "-c", script]
    if not keep:
        p.clean()
    before, known = set(snapshot(p.root)), len(p.events())
    wanted, files = p.expect(words, env={"T": ""}, **more)
    child = p.spawn(words, env={"T": p.program}, **more)
    out, err = child.communicate(timeout=100)
    events = p.events()[known:]
    found = snapshot(p.root)
    p.made |= set(found) - before
    wrong = list(difference(found, files))
    if (child.returncode, out, err) != wanted.result():
        wrong.append(f"bare: {wanted}\ntarn: {child.returncode} {out} {err}")
    if [e["outcome"] for e in events] != outcomes.split():
        wrong.append(f"outcomes are not {outcomes}")
    assert not wrong, "\n".join([script, *wrong, *map(str, events)])
    return events


def both(p, script, **more):
    """A miss of both, then a hit of the outer one."""
    step(p, "miss miss", script, **more)
    step(p, "hit", script, **more)


def two_sources(p):
    p.write("a.c", '#include "a.h"\nint a = A;\n')
    p.write("a.h", "#define A 1\n")
    p.write("b.c", "int b;\n")
    return "$T gcc -c a.c && $T gcc -c b.c"


def test_both_are_kept(p):
    script = two_sources(p)
    step(p, "miss miss miss", script)
    step(p, "hit", script)
    step(p, "hit hit miss", script, keep=True)  # the objects are there: another state
    step(p, "hit", script, keep=True)
    step(p, "hit miss", "$T gcc -c a.c")  # what the script did, another may use
    p.clean()
    p.step("hit", "gcc -c b.c")


def test_inner_hits_count_for_the_outer(p):
    script = two_sources(p)
    step(p, "miss miss miss", script)
    p.write("b.c", "int b2;\n")
    step(p, "hit miss miss", script)  # a.c's was a hit: the outer one knows of a.h all the same
    p.write("a.h", "#define A 2\n")
    events = step(p, "miss hit miss", script)
    contains(events[-1]["reason"], "a.h")
    p.write("a.h", "#define A 1\n")
    step(p, "hit", script)


def test_foreign_code_in_an_inner_compiler(p):
    """It may go by more than compilers do: all that they ask for counts."""
    need("gcc")
    p.program = FAST  # the other one has a library of its own that has to come first
    p.write("a.c", "int a;\n")
    p.write("one/a.h", "")
    script = "LD_PRELOAD=libm.so.6 $T gcc -Ione -c a.c"
    step(p, "miss miss", script)
    step(p, "hit", script)
    os.chmod(p.path("one"), 0o700)
    step(p, "miss miss", script)
    step(p, "hit", script)


def test_header_in_front_of_one_that_a_hit_used(p):
    p.write("a.c", "#include <a.h>\nint a = A;\n")
    p.write("two/a.h", "#define A 2\n")
    p.write("one/other.h", "")
    script = "$T gcc -Ione -Itwo -c a.c; echo $?"
    p.step("miss", "gcc -Ione -Itwo -c a.c")
    step(p, "hit miss", script)
    step(p, "hit", script)
    p.write("one/a.h", "#define A 1\n")
    step(p, "miss miss", script)
    p.remove("one/a.h")
    step(p, "hit", script)


def test_output_of_a_hit_is_read_later(p):
    script = two_sources(p) + " && ld -r a.o b.o -o c.o && cat a.o | wc -c"
    step(p, "miss miss miss", script)
    p.write("a.h", "#define A 2\n")
    step(p, "miss hit miss", script)
    p.write("a.h", "#define A 1\n")
    step(p, "hit", script)
    step(p, "hit hit miss", script + " ")  # another script, the same inner ones


def test_a_hit_over_what_the_outer_looked_at(p):
    p.write("a.c", "int a;\n")
    script = "test -e a.o && echo there; $T gcc -c a.c"
    step(p, "miss miss", script)
    step(p, "hit miss", script, keep=True)
    step(p, "hit", script)
    step(p, "hit", script, keep=True)


def test_program_of_a_hit_is_found_elsewhere(p):
    tool = "#!/bin/sh\necho %s >out\n"
    p.write("one/other", "")
    p.write("two/tool", tool % 2, 0o755)
    path = f"{p.path('one')}:{p.path('two')}:{p.env['PATH']}"
    script = f"PATH={path}; export PATH; $T tool"
    both(p, script)
    step(p, "hit miss", script + " ")
    p.write("one/tool", tool % 1, 0o755)
    step(p, "miss miss", script + " ")
    p.remove("one/tool")
    p.write("two/tool", tool % 3, 0o755)
    step(p, "miss miss", script + " ")


def test_deep(p):
    need("make")
    p.write("a.c", "int a;\n")
    p.write("Makefile", "a.o: a.c\n\t@$(T) sh -c '$(T) gcc -c a.c'\n")
    step(p, "miss miss miss", "make -s")
    step(p, "hit", "make -s")
    step(p, "hit miss", "make -s ")  # another outermost one: the middle one is a hit
    p.write("a.c", "int b;\n")
    step(p, "miss miss miss", "make -s")


def test_jobserver(p):
    need("make")
    for k in range(12):
        p.write(f"f{k}.c", f"int f{k};\n")
    p.write("Makefile", "all: $(patsubst %.c,%.o,$(wildcard *.c))\n%.o: %.c\n\t@$(T) gcc -c $<\n"
                        "sub:\n\t@+$(T) $(MAKE) -s all\n")
    for target in "all", "sub":
        wanted, files = p.expect(["make", "-s", "-j4", "T=", target])
        for k in range(3):
            before = set(snapshot(p.root))
            child = p.spawn(["make", "-s", "-j4", f"T={p.program}", target])
            out, err = child.communicate(timeout=100)
            equal((child.returncode, out, err), (0, b"", b""))
            equal(list(difference(snapshot(p.root), files)), [])
            p.made |= set(snapshot(p.root)) - before
            p.clean()
            p.write("f0.c", f"int f{k}{target};\n")
            files = p.expect(["make", "-s", "-j4", "T=", target])[1]
    equal({e["outcome"] for e in p.events()}, {"hit", "miss"})
    assert sum(e["outcome"] == "hit" for e in p.events()) > 40, [e["outcome"] for e in p.events()]


def test_standard_input(p):
    p.write("in", "x\n")
    step(p, "uncacheable miss", "$T cat <in")
    p.write("in", "y\n")
    step(p, "uncacheable miss", "$T cat <in")
    step(p, "uncacheable miss", "cat in | $T sort")
    step(p, "miss miss", "cat in | $T --stdin sort".replace("$T --stdin", '${T:+$T --stdin}'))
    p.write("in", "z\n")
    step(p, "miss miss", "cat in | ${T:+$T --stdin} sort")
    run = p.spawn(["sh", "-c", "$T cat"], env={"T": p.program}, stdin=os.open(p.path("in"), os.O_RDONLY))
    equal(run.communicate(), (b"z\n", b""))
    equal([e["outcome"] for e in p.events()[-2:]], ["uncacheable", "uncacheable"])


def test_descriptors_from_between(p):
    p.write("in", "x\n")
    step(p, "uncacheable miss", "exec 5<in; $T sh -c 'cat <&5'")
    p.write("in", "y\n")
    step(p, "uncacheable miss", "exec 5<in; $T sh -c 'cat <&5'")


def test_failures_and_refusals_of_the_inner(p):
    step(p, "failed miss", "$T sh -c 'echo e >&2; exit 3'; echo $?")
    step(p, "hit", "$T sh -c 'echo e >&2; exit 3'; echo $?")
    events = step(p, "uncacheable uncacheable", "$T date >/dev/null")
    contains(events[0]["reason"], "clock")
    for name in "./none", "none-anywhere":
        script = f"$T {name} 2>/dev/null; echo $?"
        step(p, "error miss", script)
        step(p, "hit", script)


def test_a_program_that_was_missing_appears(p):
    p.write("bin/other", "")
    script = f"PATH={p.path('bin')}:$PATH; export PATH; $T tool 2>/dev/null; echo $?"
    step(p, "error miss", script)
    p.write("bin/tool", "#!/bin/sh\necho tool\n", 0o755)
    step(p, "miss miss", script)
    p.remove("bin/tool")
    step(p, "hit", script)
    script = "$T ./tool 2>/dev/null; echo $?"
    step(p, "error miss", script)
    p.write("tool", "#!/bin/sh\necho tool\n", 0o755)
    step(p, "miss miss", script)


def test_a_hit_that_can_not_be_restored(p):
    p.write("a.c", "int a[50000] = {1};\n")
    p.step("miss", "gcc -c a.c")
    for blob in glob.glob(f"{p.dir}/lake/??/*"):
        os.unlink(blob)
    events = step(p, "miss uncacheable", "$T gcc -c a.c")
    contains(events[-1]["reason"], "could not be restored")
    step(p, "hit miss", "$T gcc -c a.c")


def test_declared_inputs_leave_it_to_the_outer(p):
    p.write("in", "1\n")
    script = "${T:+$T -i in} cp in out"
    events = step(p, "uncacheable miss", script)
    contains(events[0]["reason"], "inside of another action")
    step(p, "hit", script)
    p.write("in", "2\n")
    step(p, "uncacheable miss", script)


def test_disabled_inside(p):
    p.write("a.c", "int a;\n")
    script = "TARN_DISABLE=1; export TARN_DISABLE; $T gcc -c a.c"
    step(p, "disabled miss", script)
    p.write("a.c", "int b;\n")
    step(p, "disabled miss", script)


def test_a_process_of_the_inner_outlives_it(p):
    words = ["sh", "-c", f"{p.program} sh -c 'sleep 1 >/dev/null 2>&1 </dev/null &' ; {p.program} true"]
    child = p.spawn(words)
    equal(child.communicate(timeout=20), (b"", b""))
    outcomes = {tuple(e["command"][:2]): e["outcome"] for e in p.events()}
    equal(outcomes[("sh", "-c")], "uncacheable")
    equal(outcomes[("true",)], "miss")
    equal([e["outcome"] for e in p.events()].count("uncacheable"), 2)


def test_the_inner_is_killed(p):
    p.write("a.c", "int a;\n")
    child = p.spawn(["sh", "-c", f"{p.program} sleep 20.11; echo $?; {p.program} gcc -c a.c"])

    def processes(words):
        lines = [line.split(None, 1) for line in os.popen("ps -eo pid,args").read().splitlines()]
        return [int(pid) for pid, args in lines if args.strip() == words]

    p.gone(60, lambda: processes("sleep 20.11"))
    mine = processes(f"{p.program} sleep 20.11")
    equal(len(mine), 1)
    os.kill(mine[0], signal.SIGKILL)
    out, err = child.communicate(timeout=30)
    equal((child.returncode, out.splitlines()[-1:]), (0, [b"137"]))
    assert p.exists("a.o")
    equal(p.events()[-1]["outcome"], "uncacheable")
    p.clean()


def test_edit_while_an_inner_hit_is_told(p):
    """The header changes just before, while and just after: never a wrong outer record."""
    p.write("a.c", '#include "a.h"\nint a = A;\n')
    p.write("a.h", "#define A 0\n")
    p.step("miss", "gcc -c a.c")
    for k in range(12):
        p.write("a.h", f"#define A {k % 2}\n")
        child = p.spawn(["sh", "-c", f"{p.program} gcc -c a.c; :"])
        time.sleep(0.004 * k)
        p.write("a.h", f"#define A {(k + 1) % 2}\n")
        child.communicate(timeout=30)
        for value in 0, 1:
            p.write("a.h", f"#define A {value}\n")
            equal(p.bare("gcc -c a.c -o bare.o").status, 0)
            child = p.spawn(["sh", "-c", f"{p.program} gcc -c a.c; :"])
            child.communicate(timeout=30)
            equal(p.read("a.o"), p.read("bare.o"), f"with {value}, round {k}")
