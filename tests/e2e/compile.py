"""Kind compile: whatever could change what a compiler makes costs the hit."""
import os, shutil, stat, time
from support import Skip, contains, equal, need, snapshot

CC = "gcc -O1 -c a.c -o a.o"


def source(p, value=1, more=""):
    p.write("a.c", f'#include "a.h"\n{more}int a = A;\n')
    p.write("a.h", f"#define A {value}\n")


def test_first_thing(p):
    source(p)
    first = p.twice(CC)
    equal(first.event["kind"], "compile")
    equal(first.event["observer"], "accelerated")


def test_gxx(p):
    need("g++")
    p.write("a.cc", "#include <string>\nstd::string a() { return \"a\"; }\n")
    p.twice("g++ -O2 -c a.cc")


def test_clang(p):
    need("clang")
    source(p)
    p.twice("clang -O1 -c a.c -o a.o")
    p.write("a.h", "#define A 2\n")
    p.twice("clang -O1 -c a.c -o a.o")


def test_clangxx(p):
    need("clang++")
    p.write("a.cc", "#include <vector>\nstd::vector<int> a(3);\n")
    p.twice("clang++ -g -c a.cc")


def test_header_edited(p):
    source(p)
    p.twice(CC)
    p.write("a.h", "#define A 22\n")
    p.step("miss", CC, "a.h")
    p.step("hit", CC)
    p.write("a.h", "#define A 1\n")
    p.step("hit", CC)


def test_header_edited_same_size(p):
    source(p)
    p.twice(CC)
    for value in range(2, 8):
        p.write("a.h", f"#define A {value}\n")
        p.step("miss", CC)
        p.step("hit", CC)


def test_header_edited_same_size_and_time(p):
    source(p)
    p.twice(CC)
    st = os.stat(p.path("a.h"))
    p.write("a.h", "#define A 2\n")
    os.utime(p.path("a.h"), ns=(st.st_atime_ns, st.st_mtime_ns))
    p.step("miss", CC)


def test_header_touched(p):
    source(p)
    p.twice(CC)
    os.utime(p.path("a.h"))
    os.utime(p.path("a.c"))
    p.step("hit", CC)


def test_header_moved_back_from_an_older_file(p):
    source(p)
    p.write("old.h", "#define A 7\n")
    os.utime(p.path("old.h"), (1, 1))
    p.twice(CC)
    os.rename(p.path("old.h"), p.path("a.h"))
    p.step("miss", CC)
    p.step("hit", CC)


def test_header_replaced_by_rename(p):
    source(p)
    p.twice(CC)
    st = os.stat(p.path("a.h"))
    p.write("new.h", "#define A 3\n")
    os.utime(p.path("new.h"), ns=(st.st_atime_ns, st.st_mtime_ns))
    os.rename(p.path("new.h"), p.path("a.h"))
    p.step("miss", CC)


def test_header_shadowed_next_to_the_source(p):
    p.write("src/a.c", '#include "a.h"\nint a = A;\n')
    p.write("inc/a.h", "#define A 1\n")
    cc = "gcc -Iinc -c src/a.c -o a.o"
    p.twice(cc)
    p.write("src/a.h", "#define A 2\n")
    p.step("miss", cc, "src/a.h")
    p.step("hit", cc)
    p.remove("src/a.h")
    p.step("hit", cc)


def test_header_shadowed_in_include_path(p):
    p.write("a.c", "#include <a.h>\nint a = A;\n")
    p.write("two/a.h", "#define A 1\n")
    p.write("one/other.h")
    for option in "-I", "-isystem ", "-idirafter ":
        cc = f"gcc {option}one {option}two -c a.c"
        p.twice(cc)
        p.write("one/a.h", "#define A 2\n")
        p.step("miss", cc)
        p.step("hit", cc)
        p.remove("one/a.h")
        p.step("hit", cc)


def test_header_shadowed_in_iquote(p):
    p.write("a.c", '#include "a.h"\nint a = A;\n')
    p.write("two/a.h", "#define A 1\n")
    cc = "gcc -iquote one -iquote two -c a.c"  # "one" does not exist yet
    p.twice(cc)
    p.write("one/a.h", "#define A 2\n")
    p.step("miss", cc)
    p.step("hit", cc)


def test_header_shadowed_in_cpath(p):
    p.write("a.c", "#include <a.h>\nint a = A;\n")
    p.write("two/a.h", "#define A 1\n")
    p.write("one/b.h")
    env = {"CPATH": "one:two"}
    p.twice("gcc -c a.c", env=env)
    p.write("one/a.h", "#define A 2\n")
    p.step("miss", "gcc -c a.c", env=env)
    p.step("hit", "gcc -c a.c", env=env)


def test_system_header_shadowed(p):
    p.write("a.c", "#include <stdio.h>\nint a = EOF;\n")
    p.write("inc/b.h")
    p.twice("gcc -Iinc -c a.c")
    p.write("inc/stdio.h", "#define EOF 5\n")
    p.step("miss", "gcc -Iinc -c a.c")


def test_has_include_appears(p):
    p.write("a.c", '#if __has_include("b.h")\nint a = 2;\n#else\nint a = 1;\n#endif\n')
    for cc in ("gcc -c a.c", "clang -c a.c"):
        need(cc.split()[0])
        p.twice(cc)
        p.write("b.h")
        p.step("miss", cc)
        p.step("hit", cc)
        p.remove("b.h")
        p.step("hit", cc)


def test_header_removed(p):
    source(p)
    p.twice(CC)
    p.remove("a.h")
    first = p.step("failed", CC)
    contains(first.err.decode(), "a.h")
    p.step("failed", CC)
    p.write("a.h", "#define A 1\n")
    p.step("hit", CC)


def test_header_link_retargeted(p):
    source(p)
    p.write("1.h", "#define A 1\n")
    p.write("2.h", "#define A 2\n")
    p.remove("a.h")
    os.symlink("1.h", p.path("a.h"))
    p.twice(CC)
    p.remove("a.h")
    os.symlink("2.h", p.path("a.h"))
    p.step("miss", CC)
    p.write("2.h", "#define A 3\n")
    p.step("miss", CC)
    p.remove("a.h")
    os.symlink("1.h", p.path("a.h"))
    p.step("hit", CC)


def test_include_folder_link_retargeted(p):
    p.write("a.c", "#include <a.h>\nint a = A;\n")
    p.write("v1/a.h", "#define A 1\n")
    p.write("v2/a.h", "#define A 2\n")
    os.symlink("v1", p.path("inc"))
    p.twice("gcc -Iinc -c a.c")
    p.remove("inc")
    os.symlink("v2", p.path("inc"))
    p.step("miss", "gcc -Iinc -c a.c")
    p.step("hit", "gcc -Iinc -c a.c")


def test_source_edited(p):
    source(p)
    p.twice(CC)
    p.write("a.c", '#include "a.h"\nint a = A + 1;\n')
    p.step("miss", CC, "its sources")
    p.step("hit", CC)


def test_option_changed(p):
    source(p)
    p.twice(CC)
    p.step("miss", "gcc -O1 -DX -c a.c -o a.o")
    p.step("miss", "gcc -O2 -c a.c -o a.o")
    p.step("hit", CC)


def test_compiler_variables_count(p):
    source(p)
    p.write("inc/b.h")
    p.twice(CC)
    for env in ({"CPATH": "inc"}, {"LC_ALL": "C.UTF-8"}, {"SOURCE_DATE_EPOCH": "1"}, {"COMPILER_PATH": "/nowhere"},
                {"C_INCLUDE_PATH": "inc"}, {"GCC_EXEC_PREFIX": "/usr/lib/gcc/"}, {"LANGUAGE": "de"},
                {"DEPENDENCIES_OUTPUT": "deps.mk"}, {"GCC_COLORS": ""}):
        p.step("miss", CC, "variable ", env=env)  # it may name another that differs from an earlier run
        p.step("hit", CC, env=env)
    p.step("hit", CC)


def test_other_variables_do_not_count(p):
    source(p)
    p.twice(CC)
    for env in ({"FOO": "1"}, {"TERM": "xterm"}, {"HOME": "/nowhere"}, {"USER": "x"}, {"MAKELEVEL": "3"}, {"SHLVL": "9"},
                {"EDITOR": "vi"}, {"PWD": "/nowhere"}, {"OLDPWD": "/x"}, {"CI_JOB_ID": "4"}, {"CFLAGS": "-O3"}):
        p.step("hit", CC, env=env)


def test_path_with_another_folder_in_front(p):
    source(p)
    os.makedirs(p.path("bin"))
    p.twice(CC, env={"PATH": f"{p.root}/bin:{p.env['PATH']}"})
    p.write("bin/gcc", "#!/bin/sh\nexec /usr/bin/gcc -DX \"$@\"\n", 0o755)
    p.step("miss", CC, env={"PATH": f"{p.root}/bin:{p.env['PATH']}"})


def test_other_assembler_by_option_b(p):
    source(p)
    p.write("tools/readme")
    cc = "gcc -B tools/ -c a.c -o a.o"
    p.twice(cc)
    p.write("tools/as", '#!/bin/sh\nexec /usr/bin/as --defsym x=1 "$@"\n', 0o755)
    p.step("miss", cc)
    p.step("hit", cc)
    p.write("tools/as", '#!/bin/sh\nexec /usr/bin/as --defsym y=1 "$@"\n', 0o755)
    p.step("miss", cc)
    p.step("hit", cc)


def test_other_cc1_by_option_b(p):
    source(p)
    p.write("tools/readme")
    cc = "gcc -Btools/ -c a.c -o a.o"
    p.twice(cc)
    p.write("tools/cc1", '#!/bin/sh\nexec $(/usr/bin/gcc -print-prog-name=cc1) "$@" -DX\n', 0o755)
    p.step(("miss", "uncacheable"), cc)


def test_date_and_time_refused(p):
    for macro in "__DATE__", "__TIME__", "__TIMESTAMP__":
        p.write("a.c", f"const char *a = {macro};\n")
        if macro == "__TIMESTAMP__":
            os.utime(p.path("a.c"), (1, 1))
        run = p.run("gcc -c a.c")
        equal(run.event["outcome"], "uncacheable", macro)
        equal(p.run("gcc -c a.c").event["outcome"], "uncacheable")


def test_date_in_a_header_refused(p):
    p.write("a.c", '#include "a.h"\nconst char *a = WHEN;\n')
    p.write("a.h", "#define WHEN __TIME__\n")
    for _ in range(2):
        equal(p.run("gcc -c a.c").event["outcome"], "uncacheable")
    p.write("a.c", '#include "a.h"\nint a;\n')
    contains(p.run("gcc -c a.c").event["reason"], "__TIME__")


def test_date_with_epoch(p):
    p.write("a.c", "const char *a = __DATE__;\n")
    p.twice("gcc -c a.c", env={"SOURCE_DATE_EPOCH": "86400"})
    p.step("miss", "gcc -c a.c", env={"SOURCE_DATE_EPOCH": "1864000"})


def test_incbin(p):
    p.write("a.c", '__asm__(".incbin \\"data\\"");\n')
    p.write("data", "one")
    p.twice("gcc -c a.c")
    p.write("data", "two")
    p.step("miss", "gcc -c a.c")
    p.step("hit", "gcc -c a.c")


def test_assembler_source(p):
    p.write("a.S", '#include "a.h"\n.globl a\na: .long A\n.include "b.inc"\n')
    p.write("a.h", "#define A 1\n")
    p.write("b.inc", ".long 1\n")
    p.twice("gcc -c a.S")
    p.write("b.inc", ".long 2\n")
    p.step("miss", "gcc -c a.S")


def test_umask(p):
    source(p)
    p.twice(CC)
    os.umask(0o077)
    p.step("miss", CC)
    p.step("hit", CC)
    equal(stat.S_IMODE(os.stat(p.path("a.o")).st_mode), 0o600)


def test_output_exists(p):
    source(p)
    p.twice(CC)
    for mode in 0o644, 0o600, 0o755, 0o666:
        p.clean()
        p.write("a.o", "old", mode)
        p.step("hit" if mode == 0o644 else ("hit", "miss"), CC, keep=True)


def test_assembly_exists(p):
    source(p)
    cc = "gcc -S a.c"
    p.twice(cc)
    for mode in 0o644, 0o600, 0o755, 0o666:
        p.clean()
        p.write("a.s", "old", mode)
        run = p.step("hit" if mode == 0o644 else ("hit", "miss"), cc, keep=True)
        equal(run.event.get("note"), None)
    p.remove("a.s")
    p.write("other", "old")
    os.link(p.path("other"), p.path("a.s"))
    equal(p.run(cc).status, 0)
    equal(p.read("other"), p.read("a.s"))


def test_output_read_only(p):
    p.for_everybody()
    source(p)
    p.twice(CC)
    p.twice("gcc -S a.c")
    for user in "", "setpriv --reuid 65534 --clear-groups " if os.geteuid() == 0 else "":
        for cc, name in (CC, "a.o"), ("gcc -S a.c", "a.s"):
            p.clean()
            p.write(name, "old", 0o444)
            p.shell("chmod -R a+rwX .. && chmod 444 " + name)
            wanted, files = p.expect(user + cc)
            p.made.add(name)
            if user:
                equal(p.bare(["sh", "-c", f"{user}{p.program} {cc}"]).result(), wanted.result())
            else:
                equal(p.run(cc).result(), wanted.result())
            equal(snapshot(p.root), files)


def test_output_is_a_link(p):
    source(p)
    p.twice(CC)
    p.clean()
    p.write("elsewhere", "old")
    os.symlink("elsewhere", p.path("a.o"))
    p.step(("miss", "uncacheable", "hit"), CC, keep=True)
    p.step(("miss", "uncacheable", "hit"), CC, keep=True)


def test_output_is_hard_linked(p):
    source(p)
    p.twice(CC)
    p.clean()
    p.write("other", "old")
    os.link(p.path("other"), p.path("a.o"))
    wanted = p.expect(CC)[1]["other"]
    p.run(CC)
    equal(snapshot(p.root)["a.o"][2], p.read("a.o"))
    equal(snapshot(p.root)["other"], wanted, "the other name of the output")


def test_output_is_a_folder(p):
    source(p)
    p.twice(CC)
    p.clean()
    os.makedirs(p.path("a.o"))
    p.step("failed", CC, keep=True)
    p.step("failed", CC, keep=True)


def test_output_folder_missing(p):
    source(p)
    cc = "gcc -c a.c -o out/a.o"
    os.makedirs(p.path("out"))
    p.twice(cc)
    p.clean()
    shutil.rmtree(p.path("out"))
    p.step("failed", cc, keep=True)


def test_output_to_null(p):
    source(p)
    p.twice("gcc -c a.c -o /dev/null")
    st = os.stat("/dev/null")
    assert stat.S_ISCHR(st.st_mode), "/dev/null was replaced"


def test_depfile(p):
    source(p)
    cc = "gcc -MD -MF dep/a.d -MT x.o -c a.c -o a.o"
    os.makedirs(p.path("dep"))
    p.twice(cc)
    contains(p.read("dep/a.d").decode(), "a.h")
    p.write("a.h", '#include "b.h"\n#define A 1\n')
    p.write("b.h")
    p.twice(cc)
    contains(p.read("dep/a.d").decode(), "b.h")


def test_depfile_by_its_default_name(p):
    source(p)
    for cc in "gcc -MMD -c a.c -o x.o", "gcc -MD -c a.c", "clang -MD -c a.c -o y.o":
        need(cc.split()[0])
        p.twice(cc)


def test_two_outputs(p):
    source(p)
    for cc in ("gcc -c a.c -fstack-usage", "gcc -c -g -gsplit-dwarf a.c", "gcc -c -frandom-seed=1 --coverage a.c", "gcc -c -save-temps a.c",
               "gcc -c -fcallgraph-info a.c"):
        p.twice(cc)


def test_two_sources(p):
    source(p)
    p.write("b.c", "int b;\n")
    p.twice("gcc -c a.c b.c")
    p.write("b.c", "int c;\n")
    p.step("miss", "gcc -c a.c b.c")


def test_preprocess_to_stdout(p):
    source(p)
    p.twice("gcc -E a.c")
    p.twice("gcc -E a.c -o a.i")
    p.twice("gcc -MM a.c")


def test_assembly(p):
    source(p)
    p.twice("gcc -S a.c")
    p.twice("gcc -S a.c -o -")


def test_warnings_replayed(p):
    p.write("a.c", "int f(void) { int x; return 1 }\n".replace("1 }", "1; }") + "#warning here\n")
    run = p.twice("gcc -Wall -Wextra -c a.c")
    contains(run.err.decode(), "unused variable")
    p.twice("gcc -Wall -fdiagnostics-color=always -c a.c")


def test_failure_not_stored(p):
    p.write("a.c", "int f( { return 1; }\n")
    for _ in range(2):
        run = p.step("failed", "gcc -c a.c")
        equal(run.status, 1)
        equal(run.event["status"], 1)
    assert not p.exists("a.o")


def test_link(p):
    p.write("a.c", "int main(void) { return 0; }\n")
    for link in "gcc -o prog a.c", "gcc -o prog a.o":
        p.step("miss", link)
        p.step("hit", link)
        p.step("hit", link, keep=True)
        p.shell("gcc -c a.c")
    p.shell("gcc -DX -O3 -c a.c")
    p.step("miss", "gcc -o prog a.o")


def test_another_checkout_hits(p):
    source(p)
    p.twice(CC)
    q = p.checkout("q")
    q.step("hit", CC)
    q.write("a.h", "#define A 9\n")
    q.step("miss", CC)
    p.write("a.h", "#define A 9\n")
    p.step("hit", CC)


def test_another_checkout_with_debug_misses(p):
    source(p)
    cc = "gcc -g -c a.c"
    run = p.twice(cc)
    contains(run.event.get("hint"), "--map-root")
    q = p.checkout("q")
    q.step("miss", cc)
    q.step("hit", cc)
    p.step("hit", cc)


def test_another_checkout_with_file_macro(p):
    p.write("a.c", "const char *a = __FILE__;\n")
    p.twice("gcc -c a.c")
    p.checkout("q").step("hit", "gcc -c a.c")
    p.step("miss", f"gcc -c {p.root}/a.c")
    q = p.checkout("q2")
    q.step("miss", f"gcc -c {q.root}/a.c")


def mapped(p, compiler):
    source(p)
    cc = f"{compiler} -g -c a.c"
    for q, outcome in (p, "miss"), (p, "hit"), (p.checkout("other/longer/name"), "hit"):
        run = q.step(outcome, cc, options="--map-root", bare_words=f"{compiler} -ffile-prefix-map={q.root}=. -g -c a.c")
    return run


def test_map_root(p):
    mapped(p, "gcc")


def test_map_root_clang(p):
    need("clang")
    mapped(p, "clang")


def test_map_root_in_a_folder_below(p):
    p.write("sub/a.c", '#include "../a.h"\nconst char *a = __FILE__;\n')
    p.write("a.h")
    for q, outcome in (p, "miss"), (p.checkout("another"), "hit"):
        q.step(outcome, f"gcc -g -c {q.root}/sub/a.c", cwd="sub", options="--map-root",
               bare_words=f"gcc -ffile-prefix-map={q.root}=. -g -c {q.root}/sub/a.c")


def test_map_root_absolute_paths_and_depfile(p):
    """As CMake writes its commands."""
    p.write("src/main.c", '#include <one.h>\n#include "two.h"\n#include <stdio.h>\nint a = ONE;\n')
    p.write("inc/one.h", "#define ONE 1\n")
    p.write("src/two.h")
    for n in range(12):
        p.write(f"inc/some-header-with-a-name-{n}.h")
    p.write("inc/one.h", "".join(f'#include "some-header-with-a-name-{n}.h"\n' for n in range(12)) + "#define ONE 1\n")

    def words(q, more=""):
        return (f"gcc {more} -I{q.root}/inc -g -O2 -MD -MT CMakeFiles/m.dir/src/main.c.o -MF CMakeFiles/m.dir/src/main.c.o.d "
                f"-o CMakeFiles/m.dir/src/main.c.o -c {q.root}/src/main.c")

    os.makedirs(p.path("build/CMakeFiles/m.dir/src"))
    for q, outcome in ((p, "miss"), (p, "hit"), (p.checkout("q"), "hit"), (p.checkout("a-much-longer-folder/for/the/checkout"), "hit"),
                       (p.checkout("pp"), "hit")):
        q.step(outcome, words(q), cwd="build", options="--map-root",
               bare_words=words(q, f"-ffile-prefix-map={q.root}=."))
        contains(q.read("build/CMakeFiles/m.dir/src/main.c.o.d").decode(), f"{q.root}/inc/one.h")


def test_absolute_paths_without_map_root(p):
    """Nothing in the object depends on the root, but the depfile does."""
    source(p)
    for q in p, p.checkout("q"), p.checkout("some/where/else"):
        q.step(("miss", "hit"), f"gcc -MD -c {q.root}/a.c -o {q.root}/a.o")
        q.step("hit", f"gcc -MD -c {q.root}/a.c -o {q.root}/a.o")


def test_output_in_another_folder(p):
    source(p)
    p.twice("gcc -c a.c -o one.o")
    os.makedirs(p.path("other"))
    p.step("hit", "gcc -c a.c -o other/x.o")
    os.makedirs(f"{p.top}/outside")
    run = p.run(f"gcc -c a.c -o {p.top}/outside/x.o")
    equal(run.event["outcome"], "hit")
    equal(open(f"{p.top}/outside/x.o", "rb").read(), p.read("other/x.o"))


def test_output_name_counts_where_it_stands_in_bytes(p):
    source(p)
    p.twice("gcc -g -gsplit-dwarf -c a.c -o one.o")
    p.step("miss", "gcc -g -gsplit-dwarf -c a.c -o two.o")
    p.step("miss", "gcc -frandom-seed=1 --coverage -c a.c -o one.o")
    p.step("miss", "gcc -frandom-seed=1 --coverage -c a.c -o two.o")
    p.step("miss", "gcc -MD -c a.c -o one.o")
    p.step(("miss", "hit"), "gcc -MD -c a.c -o two.o")


def test_response_file(p):
    source(p)
    p.write("args", "-DB=1 -O2")
    p.write("a.c", "int a = B;\n")
    p.twice("gcc @args -c a.c")
    p.write("args", "-DB=2 -O2")
    p.step("miss", "gcc @args -c a.c")
    p.step("hit", "gcc @args -c a.c")


def test_source_from_stdin(p):
    run = p.run("gcc -x c -c - -o a.o", input=b"int a;\n")
    equal(run.event["outcome"], "uncacheable")
    for outcome in "miss", "hit":
        run = p.run("gcc -x c -c - -o a.o", input=b"int a;\n", options="--stdin")
        equal(run.event["outcome"], outcome)
    equal(p.run("gcc -x c -c - -o a.o", input=b"int b;\n", options="--stdin").event["outcome"], "miss")


def test_precompiled_header_appears(p):
    """It counts; and what uses it is not kept: no one can tell if it holds __TIME__."""
    source(p)
    p.twice(CC)
    p.shell("gcc -O1 -x c-header a.h -o a.h.gch")
    p.refused(CC, "precompiled")
    os.unlink(p.path("a.h.gch"))
    p.step("hit", CC)


def test_same_object_in_two_folders_of_a_project(p):
    source(p)
    os.makedirs(p.path("sub"))
    p.twice("gcc -c a.c")
    shutil.copy(p.path("a.c"), p.path("sub"))
    p.write("sub/a.h", "#define A 3\n")
    p.step("miss", "gcc -c a.c", cwd="sub")
    p.step("hit", "gcc -c a.c", cwd="sub")


def test_macro_from_the_machine(p):
    source(p)
    p.step(("miss", "uncacheable"), "gcc -march=native -c a.c")
    p.step(("hit", "uncacheable"), "gcc -march=native -c a.c")


def test_output_does_not_share_storage(p):
    source(p)
    p.twice(CC)
    whole = p.read("a.o")
    with open(p.path("a.o"), "r+b") as file:
        file.write(b"damaged")
    p.clean()
    p.step("hit", CC)
    equal(p.read("a.o"), whole)
