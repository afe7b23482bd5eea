"""Links: by drivers, by linkers, with all that they look for on the way."""
from support import equal, need

LINKERS = {
    "gcc": "gcc", "clang": "clang", "gold": "gcc -fuse-ld=gold", "lld": "clang -fuse-ld=lld",
}


def objects(p, value=0):
    p.write("a.c", "int f(void);\nint main(void) { return f(); }\n")
    p.write("b.c", f"int f(void) {{ return {value}; }}\n")
    p.shell("gcc -c a.c b.c")


def available(*names):
    for name in names or LINKERS:
        need(LINKERS[name].split()[0])
        yield name, LINKERS[name]


def linked_twice(p, name):
    _, cc = next(iter(available(name)))
    link = f"{cc} a.o b.o -o p"
    objects(p)
    equal(p.twice(link).event["kind"], "link")
    objects(p, 1)
    p.step("miss", link, "b.o")
    p.step("hit", link)
    objects(p)
    p.step("hit", link)

def test_gcc(p):
    linked_twice(p, "gcc")


def test_clang(p):
    linked_twice(p, "clang")


def test_gold(p):
    linked_twice(p, "gold")


def test_lld(p):
    linked_twice(p, "lld")


def over_the_old_one(p, name):
    """The first build after an edit, over another program, is no other result."""
    _, cc = next(iter(available(name)))
    objects(p)
    p.step("miss", f"{cc} a.o b.o -o p")
    p.write("p", "no program at all\n", 0o755)
    p.step("hit", f"{cc} a.o b.o -o p", keep=True)
    p.write("q", "what was here before\n", 0o755)
    p.step("miss", f"{cc} a.o b.o -o q", keep=True)
    p.write("q", "or this\n", 0o755)
    p.step("hit", f"{cc} a.o b.o -o q", keep=True)
    p.remove("q")
    p.step("hit", f"{cc} a.o b.o -o q", keep=True)


def test_over_the_old_one_gcc(p):
    over_the_old_one(p, "gcc")


def test_over_the_old_one_gold(p):
    over_the_old_one(p, "gold")


def test_over_the_old_one_lld(p):
    over_the_old_one(p, "lld")


def test_over_an_odd_mode(p):
    objects(p)
    for mode in (0o400, 0o000, 0o777):
        p.write("p", "old\n", mode)
        p.step(("miss", "hit"), "gcc a.o b.o -o p", keep=True)
        p.remove("p")


def test_over_a_link_or_folder(p):
    objects(p)
    p.step("miss", "gcc a.o b.o -o p")
    p.clean()
    p.write("other", "text\n")
    p.shell("ln -s other p")
    p.step(("miss", "uncacheable"), "gcc a.o b.o -o p", keep=True)
    p.remove("p")
    p.shell("mkdir p")
    p.step("failed", "gcc a.o b.o -o p", keep=True)


def test_a_script_that_says_it_links(p):
    """A kind can't make the old output irrelevant to a script that looks at it."""
    p.write("cc", "#!/bin/sh\nif [ -e out ]; then echo old; else echo new; fi >said\necho x >out\n", 0o755)
    p.write("bin/gcc", "#!/bin/sh\nif [ -e out ]; then echo old; else echo new; fi >said\necho x >out\n", 0o755)
    for words in ("./cc a.o", "./bin/gcc a.o"):
        for kind in ("link", "compile"):
            p.step("miss", words, options=f"-k {kind}")
            p.step(("miss", "uncacheable"), words, options=f"-k {kind}", keep=True)
            p.step("hit", words, options=f"-k {kind}")


def test_a_library_found_on_the_way(p):
    objects(p)
    p.shell("mkdir early late; gcc -c b.c -o late/b.o; ar rcs late/libf.a late/b.o")
    link = "gcc a.o -Learly -Llate -lf -o p"
    p.twice(link)
    p.write("b.c", "int f(void) { return 7; }\n")
    p.shell("gcc -c b.c -o early/b.o; ar rcs early/libf.a early/b.o")
    p.step("miss", link)
    p.step("hit", link)
    p.shell("gcc -shared -fPIC b.c -o early/libf.so")
    p.step("miss", link)
    p.step("hit", link)
    p.remove("early/libf.so")
    p.step("hit", link)


def test_a_linker_found_by_b(p):
    objects(p)
    p.write("tools/ld", "#!/bin/sh\nexec /usr/bin/ld --defsym=odd=1 \"$@\"\n", 0o755)
    plain = p.step("miss", "gcc -Btools/ a.o b.o -o p")
    p.step("hit", "gcc -Btools/ a.o b.o -o p")
    p.write("tools/ld", "#!/bin/sh\nexec /usr/bin/ld --defsym=odd=2 \"$@\"\n", 0o755)
    p.step("miss", "gcc -Btools/ a.o b.o -o p", "tools/ld")
    equal(plain.status, 0)


def test_linker_script_and_version_script(p):
    objects(p)
    p.write("f.map", "V1 { global: f; local: *; };\n")
    p.write("more.ld", "extra_symbol = 5;\n")
    link = "gcc -shared -nostartfiles -fPIC b.o -Wl,--version-script=f.map more.ld -o libb.so"
    p.twice(link)
    p.write("f.map", "V2 { global: f; local: *; };\n")
    p.step("miss", link, "f.map")
    p.write("more.ld", "extra_symbol = 6;\n")
    p.step("miss", link, "more.ld")


def test_a_linker_script_that_includes(p):
    objects(p)
    p.write("in/more.ld", "x = 1;\n")
    p.write("main.ld", "INCLUDE more.ld\n")
    link = "gcc a.o b.o -Lin main.ld -o p"
    p.twice(link)
    p.write("in/more.ld", "x = 2;\n")
    p.step("miss", link, "more.ld")


def test_response_files(p):
    objects(p)
    p.write("all.rsp", "a.o b.o -o p\n")
    equal(p.twice("gcc @all.rsp").event["kind"], "link")
    p.write("all.rsp", "b.o a.o -o p\n")
    p.step("miss", "gcc @all.rsp")
    p.write("all.rsp", "a.o b.o -o p\n")
    p.step("hit", "gcc @all.rsp")


def test_lto(p):
    p.write("a.c", "int f(void);\nint main(void) { return f(); }\n")
    p.write("b.c", "int f(void) { return 3; }\n")
    p.shell("gcc -flto -O2 -c a.c b.c")
    p.twice("gcc -flto -O2 a.o b.o -o p")
    p.write("b.c", "int f(void) { return 4; }\n")
    p.shell("gcc -flto -O2 -c b.c")
    p.step("miss", "gcc -flto -O2 a.o b.o -o p", "b.o")


def test_thin_lto(p):
    need("clang", "ld.lld")
    p.write("a.c", "int f(void);\nint main(void) { return f(); }\n")
    p.write("b.c", "int f(void) { return 3; }\n")
    p.shell("clang -flto=thin -O2 -c a.c b.c")
    p.twice("clang -flto=thin -fuse-ld=lld -O2 a.o b.o -o p")


def test_map_and_side_outputs(p):
    objects(p)
    p.twice("gcc a.o b.o -o p -Wl,-Map=p.map,--cref,--print-map")
    p.twice("gcc -shared -nostartfiles b.o -o libb.so -Wl,--out-implib,b.imp -Wl,-soname,libb.so.1")


def test_split_debug_information(p):
    p.write("a.c", "int main(void) { return 0; }\n")
    p.twice("gcc -g -gsplit-dwarf a.c -o p")
    p.clean()
    p.shell("gcc -g a.c -o p")
    for words in ("objcopy --only-keep-debug p p.debug", "strip -o p.small p"):
        p.step("miss", words)
        p.step("hit", words)
    p.shell("objcopy --only-keep-debug p p.debug")
    p.step("miss", "objcopy --add-gnu-debuglink=p.debug p p.linked")
    p.step("hit", "objcopy --add-gnu-debuglink=p.debug p p.linked")


def test_strip_in_place(p):
    p.write("a.c", "int main(void) { return 0; }\n")
    p.shell("gcc -g a.c -o p; cp p whole")
    p.step("miss", "strip p", keep=True)
    for turn in range(2):
        p.shell("cp whole p")
        p.step("hit", "strip p", keep=True)
    p.step("miss", "strip p", keep=True)  # what is stripped already
    p.step("hit", "strip p", keep=True)


def test_variables(p):
    """Each that the linker documents costs the hit; the session does not."""
    objects(p)
    link = "gcc a.o b.o -o p"
    p.step("miss", link)
    for name, value in {"LD_RUN_PATH": "/opt/lib", "LIBRARY_PATH": p.root, "COMPILER_PATH": p.root,
                        "LDEMULATION": "elf_x86_64", "TMPDIR": p.root, "LC_ALL": "C.UTF-8",
                        "SOURCE_DATE_EPOCH": "5", "COLLECT_NO_DEMANGLE": "1"}.items():
        p.step("miss", link, "variable", env={name: value})
        p.step("hit", link, env={name: value})
    p.step("hit", link, env={"USER": "somebody", "MAKELEVEL": "3", "FOO": "bar", "COLORTERM": "x"})


def test_another_checkout(p):
    objects(p)
    p.step("miss", "gcc a.o b.o -o p")
    p.checkout("q").step("hit", "gcc a.o b.o -o p")
    p.step("miss", f"gcc {p.root}/a.o {p.root}/b.o -o {p.root}/p")
    q = p.checkout("r")
    q.step("hit", f"gcc {q.root}/a.o {q.root}/b.o -o {q.root}/p")
    p.step("miss", f"gcc a.o b.o -Wl,-rpath,{p.root} -o p")
    q.step("miss", f"gcc a.o b.o -Wl,-rpath,{q.root} -o p")
    q.step("hit", f"gcc a.o b.o -Wl,-rpath,{q.root} -o p")


def test_macros_in_debug_information(p):
    """What was compiled with -g3 names macros of time, and means nothing by it."""
    p.write("a.c", "#define WHEN __DATE__\nint main(void) { return 0; }\n")
    p.shell("gcc -g3 -c a.c")
    p.twice("gcc a.o -o p")


def test_sources_among_objects_are_a_compile(p):
    objects(p)
    equal(p.twice("gcc a.o b.c -o p").event["kind"], "compile")
    p.write("t.c", "#include <stdio.h>\nint main(void) { return __TIME__[0] == 'x'; }\n")
    p.refused("gcc t.c -o p", "names")
    p.shell("cp t.c t.o")
    p.refused("gcc -x c t.o -o p", "names")  # by its kind a link


def test_failing(p):
    objects(p)
    p.step("failed", "gcc a.o -o p")
    p.step("failed", "gcc a.o -o p", keep=True)


def test_no_link(p):
    for words in ("gcc --version", "ld --version", "gcc -print-search-dirs"):
        equal(p.step(("miss", "hit"), words).event["kind"], "command")


def test_by_the_linker_itself(p):
    objects(p)
    for linker in ("ld", "ld.bfd", "ld.gold", "ld.lld"):
        need(linker)
        equal(p.twice(f"{linker} -r a.o b.o -o both.o").event["kind"], "link")
        p.twice(f"{linker} a.o b.o -e main -o p")


def test_lld_reads_its_output(p):
    """As an input, the old output counts."""
    need("ld.lld")
    objects(p)
    p.shell("cp b.o all.o")
    p.step("miss", "ld.lld -r a.o all.o -o all.o", keep=True)
    p.write("b.c", "int f(void) { return 9; }\n")
    p.shell("gcc -c b.c -o all.o")
    p.step("miss", "ld.lld -r a.o all.o -o all.o", keep=True)
    p.shell("gcc -c b.c -o all.o")
    p.step("hit", "ld.lld -r a.o all.o -o all.o", keep=True)
