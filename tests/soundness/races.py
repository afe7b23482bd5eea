"""What changes while the command runs is never kept, at any moment.

Each line starts a command, waits a little longer each time, from nothing to past its
end, and makes a change. Afterwards the new state is built, then the old one, then the
new one again: each must be what a bare run makes of it.
"""
import os, subprocess, time

from support import FAST, equal, snapshot
from table import NOTHING, at, folder, forged, link, mode, script, sh

STEPS = int(os.environ.get("TARN_RACE_STEPS", "10"))
CASES = {}


def in_place(name, old, new):
    """Other content in the same file, with the old time."""

    def change(p):
        st = os.stat(p.path(name))
        fd = os.open(p.path(name), os.O_WRONLY)
        os.pwrite(fd, new.encode(), 0)
        os.close(fd)
        os.utime(p.path(name), ns=(st.st_atime_ns, st.st_mtime_ns))

    assert len(old) == len(new)
    return change


def renamed(name, new):
    """Another file in its place, older than the one that was there."""

    def change(p):
        p.write(f"{name}.new", new, os.stat(p.path(name)).st_mode & 0o777)
        os.utime(p.path(f"{name}.new"), (1, 1))
        os.rename(p.path(f"{name}.new"), p.path(name))

    return change


def written(name, new):
    return lambda p: p.write(name, new)


def removed(name):
    return lambda p: p.remove(name)


def retargeted(name, target):
    def change(p):
        os.symlink(target, p.path(f"{name}.new"))
        os.rename(p.path(f"{name}.new"), p.path(name))

    return change


class Race:
    def __init__(self, words, given, change, first=None):
        self.words, self.given, self.change, self.first = words, given, change, first

    def put(self, p):
        for name in os.listdir(p.root):
            if name != ".git":
                p.remove(name)
        for name, what in self.given.items():
            if callable(what):
                os.makedirs(os.path.dirname(p.path(name)), exist_ok=True)
                what(p, p.path(name))
            else:
                p.write(name, what)
        if self.first:
            p.shell(self.first)

    def truth(self, p, changed):
        self.put(p)
        if changed:
            self.change(p)
        run = p.bare(self.words)
        return run.result(), snapshot(p.root)

    def run(self, p):
        p.program = FAST
        took = time.monotonic()
        wanted = {False: self.truth(p, False)}
        took = time.monotonic() - took
        wanted[True] = self.truth(p, True)
        assert wanted[False] != wanted[True], "the change changes nothing"
        for n in range(STEPS):
            more = {"TARN_DIR": f"{p.dir}-{n}"}
            self.put(p)
            child = p.spawn(self.words, env=more)
            time.sleep(n * took * 1.5 / STEPS)
            self.change(p)
            child.communicate()
            for changed in True, False, True, False:
                self.put(p)
                if changed:
                    self.change(p)
                run = p.run(self.words, env=more)
                found = run.result(), snapshot(p.root)
                assert found == wanted[changed], f"stale after a change at step {n} of {STEPS}, {'the new' if changed else 'the old'} state: {run}"


def race(title, words, given, *changes, **more):
    for name, change in changes:
        CASES[f"{title}, {name}"] = Race(words, given, change, **more)


HEADER = {"a.c": '#include "a.h"\n#include <stdio.h>\n#include <stdlib.h>\nint a = A;\n', "a.h": "#define A 1\n"}
for cc in "gcc", "clang":
    race(f"a header ({cc})", f"{cc} -O1 -c a.c", HEADER, ("written", written("a.h", "#define A 2\n")), ("in place", in_place("a.h", "#define A 1\n", "#define A 2\n")), ("renamed over", renamed("a.h", "#define A 2\n")))
    race(f"a source ({cc})", f"{cc} -O1 -c a.c", {"a.c": "#include <stdio.h>\nint a = 1;\n"}, ("in place", in_place("a.c", "#include <stdio.h>\nint a = 1;\n", "#include <stdio.h>\nint a = 2;\n")), ("renamed over", renamed("a.c", "int a = 2;\n")))
    race(f"a link to a header ({cc})", f"{cc} -O1 -c a.c", {"a.c": HEADER["a.c"], "1.h": "#define A 1\n", "2.h": "#define A 2\n", "a.h": link("1.h")}, ("retargeted", retargeted("a.h", "2.h")))
    race(f"an earlier header ({cc})", f"{cc} -Ione -Itwo -c a.c", {"a.c": "#include <a.h>\n#include <stdio.h>\nint a = A;\n", "two/a.h": "#define A 1\n", "one/x": ""}, ("appears", written("one/a.h", "#define A 2\n")))
    race(f"the first header ({cc})", f"{cc} -Ione -Itwo -c a.c", {"a.c": "#include <a.h>\n#include <stdio.h>\nint a = A;\n", "two/a.h": "#define A 1\n", "one/a.h": "#define A 2\n"}, ("removed", removed("one/a.h")))
    race(f"an object that is linked ({cc})", f"{cc} -o main main.o f.o", {"main.c": "int f(void);\nint main(void) { return f(); }\n", "f.c": "int f(void) { return 1; }\n"},
         ("renamed over", lambda p: p.shell("gcc -c -Df=f -DX f.c -o new.o 2>/dev/null; sed -i s/1/2/ f.c; gcc -c f.c -o new.o; mv new.o f.o; sed -i s/2/1/ f.c")), first="gcc -c main.c f.c")
race("an assembler's file", "gcc -c a.S", {"a.S": '.incbin "data"\n', "data": "one"}, ("in place", in_place("data", "one", "two")), ("renamed over", renamed("data", "two")))
race("a wrapper", "./wrap gcc -c a.c", {"a.c": "int a = X;\n", "wrap": script('#!/bin/sh\nexec "$@" $(cat flags)\n'), "flags": "-DX=1\n"}, ("its flags in place", in_place("flags", "-DX=1\n", "-DX=2\n")), ("replaced", renamed("wrap", '#!/bin/sh\nexec "$@" -DX=7\n')))
race("a shell", sh("cat in >out; sleep 0.05; cat in >>out2; ls d >out3"), {"in": "1\n", "d/a": ""}, ("written", written("in", "2\n")), ("in place", in_place("in", "1\n", "2\n")), ("renamed over", renamed("in", "2\n")), ("a listing grows", written("d/b", "")), ("a listing shrinks", removed("d/a")))
race("a probe", sh("sleep 0.03; test -e flag && echo yes >out || echo no >out; sleep 0.03"), {"x": ""}, ("comes", written("flag", "")))
race("a probe of what is there", sh("sleep 0.03; test -e flag && echo yes >out || echo no >out; sleep 0.03"), {"flag": ""}, ("goes", removed("flag")))
race("a generator", "python3 -B gen/gen.py", {"gen/gen.py": "import part, time\ntime.sleep(0.05)\nprint(part.X, open('in').read())\n", "gen/part.py": "X = 1\n", "in": "1\n"},
     ("a module renamed over", renamed("gen/part.py", "X = 2\n")), ("its input in place", in_place("in", "1\n", "2\n")), ("a module in front", written("gen/time.py", "def sleep(n):\n    pass\nprint('mine')\n")))
race("a program", sh("sleep 0.03; ./tool >out; sleep 0.03"), {"tool": script("#!/bin/sh\necho 1\n")}, ("replaced", renamed("tool", "#!/bin/sh\necho 2\n")))
race("a program along PATH", sh("PATH=one:two:$PATH; sleep 0.03; tool >out; sleep 0.03"), {"one/x": "", "two/tool": script("#!/bin/sh\necho 1\n")}, ("appears in front", lambda p: p.write("one/tool", "#!/bin/sh\necho 2\n", 0o755)))
race("a script", "sh run", {"run": "sleep 0.03\ncat in >out\nsleep 0.03\n", "in": "1\n"}, ("renamed over", renamed("run", "sleep 0.06; echo other >out\n")))
race("a response file", "gcc @flags -c a.c", {"a.c": "#include <stdio.h>\nint a = X;\n", "flags": "-DX=1\n"}, ("in place", in_place("flags", "-DX=1\n", "-DX=2\n")))
race("a mode", sh("sleep 0.03; test -x tool && echo yes >out || echo no >out; sleep 0.03"), {"tool": ""}, ("set", lambda p: os.chmod(p.path("tool"), 0o755)))
race("a count of names", sh("sleep 0.03; stat -c %h in >out; sleep 0.03"), {"in": ""}, ("one more", lambda p: os.link(p.path("in"), p.path("in2"))))
race("a time", sh("sleep 0.03; test a -nt b && echo yes >out || echo no >out; sleep 0.03"), {"a": at(1000, ""), "b": at(2000, "")}, ("set", lambda p: os.utime(p.path("a"), (3000, 3000))))
race("a folder", "gcc -Iinc -c a.c", {"a.c": "#include <a.h>\n#include <stdio.h>\nint a = A;\n", "inc/a.h": "#define A 1\n", "new/a.h": "#define A 2\n"}, ("exchanged", lambda p: (os.rename(p.path("inc"), p.path("old")), os.rename(p.path("new"), p.path("inc")))))
