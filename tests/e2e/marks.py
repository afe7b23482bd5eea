"""Sources that are declared: unstable ones, and stable ones that count by their identity."""
import json, os
from support import contains, equal, need

REGIONS = "# tarn:begin one\none = {}\n# tarn:end one\n# tarn:begin one-more\nmore = {}\n# tarn:end one-more\nrest = {}\n"


def rules(p, *rules):
    p.write("tarn.json", json.dumps({"actions": list(rules)}))


def tool(p, version, text):
    p.write("tool", f"#!/bin/sh\nif [ \"$1\" = --version ]; then echo {version}; else echo {text} >out; fi\n", 0o755)


# ---- unstable ----

def test_a_mark_is_for_the_actions_it_is_declared_for(p):
    rules(p, {"match": "one.o", "unstable": ["gen.py"]})
    p.write("gen.py", "1\n")
    p.write("a.c", "int a;\n")
    p.step("miss", "gcc -c a.c -o one.o")
    p.step("miss", "gcc -c a.c -o two.o -O1")
    p.write("gen.py", "2\n")
    p.step("miss", "gcc -c a.c -o one.o")
    p.step("hit", "gcc -c a.c -o two.o -O1")
    p.write("gen.py", "1\n")
    p.step("hit", "gcc -c a.c -o one.o")


def test_regions(p):
    rules(p, {"match": "one.o", "unstable": ["gen.py#one"]}, {"match": "two.o", "unstable": ["gen.py#one-more"]})
    p.write("a.c", "int a;\n")
    one, two = "gcc -c a.c -o one.o", "gcc -c a.c -o two.o"
    p.write("gen.py", REGIONS.format(1, 1, 1))
    p.step("miss", one)
    p.step("miss", two)
    for values, first, second in (((2, 1, 1), "miss", "hit"), ((2, 2, 1), "hit", "miss"), ((2, 2, 2), "hit", "hit")):
        p.write("gen.py", REGIONS.format(*values))
        p.step(first, one)
        p.step(second, two)
    p.write("gen.py", "# tarn:begin one-more\nx\n# tarn:end one-more\n")
    contains(p.step("uncacheable", one).event["reason"], "no region 'one'")


def test_globs_and_folders(p):
    p.write("a.c", "int a;\n")
    p.write("t/x.in", "1\n")
    p.write("t/deep/y.in", "1\n")
    for spec in ("t/*.in", "t", "t/**"):
        rules(p, {"match": "a.o", "unstable": [spec]})
        p.write("t/x.in", "1\n")
        p.step("miss", "gcc -c a.c -o a.o")
        p.step("hit", "gcc -c a.c -o a.o")
        p.write("t/x.in", "2\n")
        p.step("miss", "gcc -c a.c -o a.o")
        p.write("t/deep/y.in", f"{spec}\n")
        p.step("hit" if spec == "t/*.in" else "miss", "gcc -c a.c -o a.o")


# ---- stable ----

def test_a_tool_by_its_version(p):
    tool(p, 1, "a")
    p.step("miss", "./tool", options="--stable './tool=./tool --version'")
    tool(p, 1, "b")  # against what was vouched for
    run = p.run("./tool", options="--stable './tool=./tool --version'")
    equal((run.event["outcome"], p.read("out"), run.event["stable"]), ("hit", b"a\n", 1))
    p.step("miss", "./tool")
    p.step("hit", "./tool")
    tool(p, 2, "b")
    p.step("miss", "./tool", options="--stable './tool=./tool --version'")
    p.step("hit", "./tool", options="--stable './tool=./tool --version'")


def test_a_version_command_that_fails(p):
    tool(p, 1, "a")
    for command in ("false", "true"):
        run = p.step("uncacheable", "./tool", options=f"--stable ./tool={command}")
        contains(run.event["reason"], "version command")


def test_a_stable_input(p):
    p.write("in", "1\n")
    p.write("other", "1\n")
    p.step("miss", "sh -c 'cat in other >out'", options="--stable in")
    p.write("in", "2\n")
    equal(p.run("sh -c 'cat in other >out'", options="--stable in").event["outcome"], "hit")
    p.write("other", "2\n")
    p.step("miss", "sh -c 'cat in other >out'", "other", options="--stable in")
    p.remove("in")
    p.step("failed", "sh -c 'cat in other >out'", options="--stable in")


def test_without_the_mark_content_counts(p):
    p.write("in", "1\n")
    p.step("miss", "cp in out", options="--stable in")
    p.step("miss", "cp in out")
    p.write("in", "2\n")
    p.step("miss", "cp in out")
    p.step("hit", "cp in out")


def test_a_stable_folder(p):
    p.write("sdk/version", "1\n")
    p.write("sdk/a.h", "#define A 1\n")
    p.write("b.h", "#define B 1\n")
    p.write("a.c", '#include <a.h>\n#include "b.h"\nint a = A + B;\n')
    rules(p, {"match": "*.o", "stable": ["sdk=cat sdk/version"]})
    cc = "gcc -Isdk -c a.c -o a.o"
    p.step("miss", cc)
    p.write("sdk/a.h", "#define A 1 /* patched */\n")
    p.write("sdk/b.h", "#define B 7\n")  # it is not found there, by promise
    p.step("hit", cc)
    p.remove("sdk/b.h")
    p.write("b.h", "#define B 2\n")
    p.step("miss", cc, "b.h")
    p.write("sdk/a.h", "#define A 3\n")
    p.write("sdk/version", "2\n")
    p.step("miss", cc)
    p.step("hit", cc)


def test_a_package(p):
    if not os.path.exists("/var/lib/dpkg/info/libc6-dev:amd64.list"):
        need("no-libc6-dev")
    p.write("a.c", "#include <stdio.h>\nint main(void) { return puts(\"\"); }\n")
    p.step("miss", "gcc -c a.c")
    p.step("miss", "gcc -c a.c", options="--stable package:libc6-dev")
    p.step("hit", "gcc -c a.c", options="--stable package:libc6-dev")
    shows = p.run("gcc -c a.c", options="--stable package:no-such-package")
    contains(shows.event["reason"], "no package 'no-such-package'")


# ---- which one decides ----

def outcome(p, options="", *rule):
    """After a change of `in`: does its content count?"""
    rules(p, *({"match": "*", **r} for r in rule))
    p.write("in", f"{p.turn}\n")
    p.run("sh -c 'cat in >out'", options=options)
    p.turn += 1
    p.write("in", f"{p.turn}\n")
    p.turn += 1
    return p.run("sh -c 'cat in >out'", options=options).event["outcome"]


def test_precedence(p):
    p.turn = 0
    equal(outcome(p), "miss")
    equal(outcome(p, "--stable in"), "hit")
    equal(outcome(p, "--unstable in"), "miss")
    equal(outcome(p, "", {"stable": ["in"]}), "hit")
    equal(outcome(p, "", {"stable": ["in"], "unstable": ["in"]}), "hit")
    equal(outcome(p, "", {"stable": ["in"]}, {"unstable": ["in"]}), "hit")
    equal(outcome(p, "--unstable in", {"stable": ["in"]}), "miss")
    equal(outcome(p, "--stable in", {"unstable": ["in"]}), "hit")
    equal(outcome(p, "--stable ./in --unstable in", {"unstable": ["in"]}), "hit")


def test_both_at_once_is_wrong(p):
    run = p.bare([p.program, "--stable", "in", "--unstable", "in", "true"])
    equal(run.status, 125)
    contains(run.err.decode(), "'in' is given as stable and as unstable")


def test_an_unstable_region_of_a_stable_file(p):
    p.write("gen.sh", "#!/bin/sh\n# tarn:begin body\necho 1 >out\n# tarn:end body\n# 1\n", 0o755)
    rules(p, {"match": "./gen.sh", "stable": ["gen.sh"], "unstable": ["gen.sh#body"]})
    p.step("miss", "./gen.sh")
    p.write("gen.sh", "#!/bin/sh\n# tarn:begin body\necho 1 >out\n# tarn:end body\n# 2\n", 0o755)
    p.step("hit", "./gen.sh")
    p.write("gen.sh", "#!/bin/sh\n# tarn:begin body\necho 2 >out\n# tarn:end body\n# 2\n", 0o755)
    p.step("miss", "./gen.sh")
    p.step("hit", "./gen.sh")


def test_a_stable_file_in_an_unstable_folder(p):
    p.write("t/a", "1\n")
    p.write("t/b", "1\n")
    rules(p, {"match": "*", "unstable": ["t"], "stable": ["t/a"]})
    p.step("miss", "true")
    p.write("t/a", "2\n")
    p.step("hit", "true")
    p.write("t/b", "2\n")
    p.step("miss", "true")


def test_an_outer_action_is_not_bound_by_it(p):
    """What the inner one vouches for, the outer one did not."""
    p.write("in", "1\n")
    outer = ["sh", "-c", f"{p.program} --stable in cp in out; cp out copy"]
    def run():
        before = len(p.events())
        child = p.spawn(outer)
        child.communicate()
        return p.events()[before:][-1]["outcome"]
    equal(run(), "miss")
    equal(run(), "hit") if run() == "hit" else None
    p.write("in", "2\n")
    equal(run(), "miss")
    equal(p.read("copy"), b"2\n")
