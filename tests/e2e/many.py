"""Hundreds of tarn-exec at once."""
import os
from support import FAST, equal

COUNT = 200


def start(p, words, cwd):
    return p.spawn(words, cwd=cwd)


def all_at_once(p, commands):
    running = [p.spawn(words) for words in commands]
    for child in running:
        out, err = child.communicate()
        equal((child.returncode, out, err), (0, b"", b""))
    events = p.events()  # each line is valid, or this fails
    equal(len(events), len(commands), "number of events")
    return events


def test_one_action(p):
    p.program = FAST
    p.write("a.c", "int a;\n")
    equal(p.bare("gcc -c a.c -o bare").status, 0)
    for k in range(COUNT):
        os.makedirs(p.path(f"o{k}"))
    events = all_at_once(p, [f"gcc -c a.c -o o{k}/a.o" for k in range(COUNT)])
    for k in range(COUNT):
        equal(p.read(f"o{k}/a.o"), p.read("bare"))
    equal(len({e["key"] for e in events}), 1, "number of keys")
    assert {e["outcome"] for e in events} <= {"hit", "miss"}, events
    assert not any(e.get("note") for e in events), [e for e in events if e.get("note")][:3]


def test_one_action_into_one_file(p):
    p.program = FAST
    p.write("a.c", "int a;\n")
    equal(p.bare("gcc -c a.c -o bare").status, 0)
    events = all_at_once(p, ["gcc -c a.c -o a.o"] * COUNT)
    equal(p.read("a.o"), p.read("bare"))
    p.step("hit", "gcc -c a.c -o a.o")


def test_different_actions(p):
    p.program = FAST
    for k in range(COUNT):
        p.write(f"a{k}.c", f"int a{k} = {k};\n")
        p.write(f"{k}.c", "")
    p.shell("for k in $(seq 0 %d); do gcc -c a$k.c -o bare$k.o; done" % (COUNT - 1))
    for wanted in {"miss"}, {"hit"}:
        before = len(p.events())
        running = [p.spawn(f"gcc -c a{k}.c -o a{k}.o") for k in range(COUNT)]
        for child in running:
            equal(child.wait(), 0)
        events = p.events()[before:]
        equal(len(events), COUNT, "number of events")
        equal({e["outcome"] for e in events}, wanted)
        for k in range(COUNT):
            equal(p.read(f"a{k}.o"), p.read(f"bare{k}.o"))
            p.remove(f"a{k}.o")
    left = [n for _, _, names in os.walk(p.root) for n in names if n.startswith(".tarn")]
    equal(left, [], "temporary files")


def test_checked_program(p):
    """A few at once under the sanitizers."""
    p.write("a.c", "int a;\n")
    all_at_once(p, [f"gcc -DN={k % 10} -c a.c -o a{k}.o" for k in range(30)])
