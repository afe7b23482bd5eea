"""What changes while the command runs is never recorded with the old fingerprint."""
import os, threading, time
from support import FAST, equal

CC = "gcc -O1 -c a.c -o a.o"
STEPS = 12


def project(p):
    p.program = FAST
    p.write("a.c", '#include "a.h"\n' + "#include <stdio.h>\n#include <stdlib.h>\n" * 3 + "int a = A;\n"
            + "".join(f"int f{n}(int x) {{ for (int i = 0; i < x; i++) x ^= i * {n}; return x; }}\n" for n in range(120)))


def truth(p, value):
    p.write("a.h", f"#define A {value}\n")
    equal(p.bare(CC).status, 0)
    return p.read("a.o")


def race(p, change, env=None):
    """`change` makes a.h say 2 while the command runs with 1: afterwards both must be served right."""
    project(p)
    wanted = {1: truth(p, 1), 2: truth(p, 2)}
    began = time.monotonic()
    truth(p, 1)
    took = time.monotonic() - began
    for n in range(STEPS):
        more = {**(env or {}), "TARN_DIR": f"{p.dir}-{n}"}
        for name in "a.h", "a.o":
            if p.exists(name):
                p.remove(name)
        p.write("a.h", "#define A 1\n")
        child = p.spawn(CC, env=more)
        time.sleep(n * took * 1.3 / STEPS)
        change(p)
        child.communicate()
        assert child.returncode in (0, 1), child.returncode  # 1: it read a.h when that was just emptied
        for value in 2, 1, 2:
            if p.exists("a.h"):
                p.remove("a.h")
            p.write("a.h", f"#define A {value}\n")
            if p.exists("a.o"):
                p.remove("a.o")
            run = p.run(CC, env=more)
            assert p.read("a.o") == wanted[value], f"a stale object after a change at step {n}: {run}"


def edit(p):
    p.write("a.h", "#define A 2\n")


def edit_in_place(p):
    """One byte, with its old time of modification."""
    st = os.stat(p.path("a.h"))
    fd = os.open(p.path("a.h"), os.O_WRONLY)
    os.pwrite(fd, b"2", 10)
    os.close(fd)
    os.utime(p.path("a.h"), ns=(st.st_atime_ns, st.st_mtime_ns))


def replace(p):
    p.write("new.h", "#define A 2\n")
    os.utime(p.path("new.h"), (1, 1))
    os.rename(p.path("new.h"), p.path("a.h"))


def retarget(p):
    p.write("2.h", "#define A 2\n")
    os.symlink("2.h", p.path("link"))
    os.rename(p.path("link"), p.path("a.h"))


def test_edited(p):
    race(p, edit)


def test_edited_in_place(p):
    race(p, edit_in_place)


def test_renamed_over(p):
    race(p, replace)


def test_retargeted(p):
    race(p, retarget)


def test_edited_with_a_coarse_clock(p):
    race(p, edit_in_place, {"TARN_STAMP_GRANULARITY_NS": "2000000000"})


def test_edited_and_back(p):
    def there_and_back(p):
        edit(p)
        p.write("a.h", "#define A 1\n")

    race(p, there_and_back)


def test_header_appears_in_front(p):
    project(p)
    p.write("a.c", p.read("a.c").replace(b'"a.h"', b"<a.h>"))
    cc = "gcc -Ione -Itwo -O1 -c a.c -o a.o"
    p.write("two/a.h", "#define A 1\n")
    os.makedirs(p.path("one"))
    for n in range(STEPS):
        more = {"TARN_DIR": f"{p.dir}-{n}"}
        if p.exists("one/a.h"):
            p.remove("one/a.h")
        child = p.spawn(cc, env=more)
        time.sleep(n * 0.25 / STEPS)
        p.write("one/a.h", "#define A 2\n")
        child.communicate()
        equal(p.bare(cc).status, 0)
        wanted = p.read("a.o")
        run = p.run(cc, env=more)
        assert p.read("a.o") == wanted, f"step {n}: {run}"


def test_coarse_clock(p):
    p.write("a.c", '#include "a.h"\nint a = A;\n')
    env = {"TARN_STAMP_GRANULARITY_NS": "2000000000"}
    for value in 1, 2, 3, 1, 4:
        p.write("a.h", f"#define A {value}\n")
        os.utime(p.path("a.h"), (5, 5))
        for _ in range(2):
            p.step(("miss", "hit"), CC, env=env)


def test_output_written_by_another(p):
    """Two compiles that write one file: the object is of one of them."""
    project(p)
    p.write("b.c", "int b;\n")
    p.write("a.h", "#define A 1\n")
    for n in range(6):
        first, second = p.spawn(CC), p.spawn("gcc -O1 -c b.c -o a.o")
        first.communicate(), second.communicate()
        for words in CC, "gcc -O1 -c b.c -o a.o":
            p.step(("miss", "hit"), words, keep=True)


def test_hits_while_headers_change(p):
    """Many builds beside an editor: whatever comes out fits one of the states."""
    p.program = FAST
    p.write("a.c", '#include "a.h"\nint a = A;\n')
    wanted = {truth(p, value): value for value in (1, 2, 3)}
    stop = threading.Event()

    def editor():
        n = 0
        while not stop.is_set():
            n += 1
            p.write("new.h", f"#define A {n % 3 + 1}\n")
            os.rename(p.path("new.h"), p.path("a.h"))
            time.sleep(0.003)

    thread = threading.Thread(target=editor)
    thread.start()
    try:
        for _ in range(60):
            child = p.spawn(CC)
            child.communicate()
            assert p.read("a.o") in wanted, "an object of no state"
    finally:
        stop.set()
        thread.join()
    for value in 1, 2, 3:
        p.write("a.h", f"#define A {value}\n")
        for _ in range(2):
            p.run(CC)
            equal(wanted[p.read("a.o")], value)
