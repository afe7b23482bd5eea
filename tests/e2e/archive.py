"""Archives: made, added to, thin, with an index, and those that hold times."""
from support import equal, need


def objects(p, *values):
    for name, value in zip("abc", values or (0, 1, 2)):
        p.write(f"{name}.c", f"int {name}(void) {{ return {value}; }}\n")
    p.shell("gcc -c a.c b.c c.c")


def test_ar(p):
    objects(p)
    run = p.step("miss", "ar rcs l.a a.o b.o")
    equal(run.event["kind"], "archive")
    p.step("hit", "ar rcs l.a a.o b.o")
    objects(p, 5, 1, 2)
    p.step("miss", "ar rcs l.a a.o b.o")
    objects(p)
    p.step("hit", "ar rcs l.a a.o b.o")


def test_touched_members_hit(p):
    objects(p)
    p.step("miss", "ar rcs l.a a.o b.o")
    p.shell("touch -d '2001-01-01 12:00' a.o")
    p.step("hit", "ar rcs l.a a.o b.o")
    p.checkout("q").step("hit", "ar rcs l.a a.o b.o")


def in_place(p, ar):
    """What was in the archive counts."""
    objects(p)
    p.step("miss", f"{ar} rcs l.a a.o b.o")
    p.shell(f"{ar} rcs l.a c.o")
    p.step("miss", f"{ar} rcs l.a a.o b.o", "l.a", keep=True)
    p.shell(f"rm l.a; {ar} rcs l.a a.o b.o; {ar} rcs l.a c.o")
    p.step("hit", f"{ar} rcs l.a a.o b.o", keep=True)
    p.step(("miss", "hit"), f"{ar} rcs l.a a.o b.o", keep=True)
    p.step("hit", f"{ar} rcs l.a a.o b.o", keep=True)
    p.step("miss", f"{ar} d l.a b.o", keep=True)
    p.step("failed" if "llvm" in ar else ("miss", "failed", "hit"), f"{ar} p l.a nothing", keep=True)
    p.clean()
    p.step("hit", f"{ar} rcs l.a a.o b.o")


def test_in_place(p):
    in_place(p, "ar")


def test_in_place_llvm(p):
    need("llvm-ar")
    in_place(p, "llvm-ar")


def test_in_place_gcc(p):
    in_place(p, "gcc-ar")


def test_thin(p):
    objects(p)
    p.step("miss", "ar rcsT l.a a.o b.o")
    p.step("hit", "ar rcsT l.a a.o b.o")
    objects(p, 7, 1, 2)
    p.step(("miss", "hit"), "ar rcsT l.a a.o b.o")
    p.shell("ar rcsT t.a a.o b.o")
    p.write("m.c", "int a(void);\nint main(void) { return a(); }\n")
    p.step("miss", "gcc m.c t.a -o p")
    objects(p, 8, 1, 2)
    p.step("miss", "gcc m.c t.a -o p", "a.o")


def test_thin_in_another_folder(p):
    objects(p)
    p.shell("mkdir lib")
    p.step("miss", "ar rcsT lib/l.a a.o b.o")
    p.step("hit", "ar rcsT lib/l.a a.o b.o")
    q = p.checkout("deep/er")
    q.step(("hit", "miss"), "ar rcsT lib/l.a a.o b.o")
    q.step(("hit", "miss"), f"ar rcsT lib/l.a {q.root}/a.o {p.root}/b.o")


def test_ranlib(p):
    objects(p)
    p.shell("ar rcS l.a a.o b.o; cp l.a plain.a")
    equal(p.step("miss", "ranlib l.a", keep=True).event["kind"], "archive")
    p.shell("cp plain.a l.a")
    p.step("hit", "ranlib l.a", keep=True)


def test_times_and_owners_refused(p):
    objects(p)
    for words in ("ar rcU l.a a.o b.o", "ar rcSU l.a a.o b.o", "ar rcsU l.a a.o"):
        equal(p.run(words).event["outcome"], "uncacheable", words)  # the time is another one when it runs bare
        p.remove("l.a")
    p.shell("touch -d 2001-01-01 a.o b.o")
    p.refused("ar rcSU l.a a.o b.o", "times and owners")
    p.shell("ar rcSU old.a a.o")
    p.step("uncacheable", "ar rc old.a b.o", "times and owners", keep=True)
    p.refused("sh -c 'ar rcSU l.a a.o'", "times and owners")
    p.refused("sh -c 'mkdir t && ar rcSU t/l.a a.o && mv t d'", "times and owners")


def test_times_and_owners_refused_llvm(p):
    need("llvm-ar")
    objects(p)
    p.shell("touch -d 2001-01-01 a.o b.o")
    p.refused("llvm-ar rcSU l.a a.o b.o", "times and owners")
    p.step("miss", "llvm-ar rcS l.a a.o b.o")
    p.shell("touch -d 2002-01-01 a.o")
    p.step("hit", "llvm-ar rcS l.a a.o b.o")


def test_update_only(p):
    """`u` compares times where an archive holds some."""
    objects(p)
    p.shell("touch -d 2001-01-01 a.o")
    p.step("uncacheable", "ar rcuSU l.a a.o", "times and owners")


def test_extract(p):
    objects(p)
    p.shell("mkdir out; ar rcs out/l.a a.o b.o; rm a.o b.o")
    p.step("miss", "ar x l.a", cwd="out")
    p.step("hit", "ar x l.a", cwd="out")


def test_list(p):
    objects(p)
    p.shell("ar rcs l.a a.o b.o")
    p.twice("ar tv l.a")
    p.twice("nm l.a")


def test_variables(p):
    objects(p)
    p.step("miss", "ar rcs l.a a.o")
    p.step("hit", "ar rcs l.a a.o", env={"FOO": "bar", "HOME": "/nowhere"})
    p.step("miss", "ar rcs l.a a.o", "GNUTARGET", env={"GNUTARGET": "elf64-x86-64"})
    p.step("miss", "ar rcs l.a a.o", env={"TMPDIR": p.root})


def test_cross_names(p):
    objects(p)
    for ar in ("x86_64-linux-gnu-ar", "x86_64-linux-gnu-gcc-ar"):
        need(ar)
        equal(p.step(("miss", "hit"), f"{ar} rcs l.a a.o b.o").event["kind"], "archive")
        p.step("hit", f"{ar} rcs l.a a.o b.o")


def test_response_file(p):
    objects(p)
    p.write("all.rsp", "rcs l.a a.o b.o\n")
    p.step("miss", "ar @all.rsp")
    p.step("hit", "ar @all.rsp")
    p.write("all.rsp", "rcs l.a b.o a.o\n")
    p.step("miss", "ar @all.rsp", "all.rsp")


def test_script(p):
    """By a script of ar's own, from standard input."""
    objects(p)
    script = b"create l.a\naddmod a.o\naddmod b.o\nsave\nend\n"
    p.step("miss", "ar -M", options="--stdin", input=script)
    p.step("hit", "ar -M", options="--stdin", input=script)
    p.step("miss", "ar -M", options="--stdin", input=script.replace(b"addmod b.o\n", b""))
