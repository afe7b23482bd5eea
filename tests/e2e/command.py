"""Kind command: any program, watched."""
import os, shutil, signal, socket, subprocess, threading, time
from support import FAST, PATH, Skip, contains, equal, need, snapshot


def sh(text):
    return ["sh", "-c", text]


def test_pipeline(p):
    p.write("in", "b\na\nc\n")
    run = p.twice(sh("sort <in | tee copy | sed s/a/x/ >out; cat out; echo done >&2"))
    equal(run.event["kind"], "command")
    equal(run.event["observer"], "observed")
    p.write("in", "b\na\nd\n")
    p.step("miss", sh("sort <in | tee copy | sed s/a/x/ >out; cat out; echo done >&2"), "in")


def test_cp(p):
    p.write("in", "text", 0o755)
    p.step("miss", "cp in out")
    p.step("hit", "cp in out")
    p.write("in", "other", 0o755)
    p.step("miss", "cp in out")
    os.chmod(p.path("in"), 0o644)
    p.step("miss", "cp in out")


def test_fstat_that_no_observer_sees(p):
    p.write("ask.c", """#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	struct stat st;
	if (syscall(SYS_fstat, open("in", O_RDONLY), &st) == 0)
		printf("%o %ld\\n", st.st_mode, (long)st.st_mtime);
}
""")
    p.shell("gcc -static ask.c -o ask && rm ask.c")
    p.write("in", "text", 0o644)
    os.utime(p.path("in"), (10**9 + 1, 10**9 + 1))
    p.step("miss", "./ask")
    p.step("hit", "./ask")
    os.chmod(p.path("in"), 0o600)
    p.step("miss", "./ask")
    p.step("hit", "./ask")
    os.utime(p.path("in"), (10**9, 10**9))
    p.step("miss", "./ask")


def test_cp_keeps_times(p):
    p.write("in", "text")
    os.utime(p.path("in"), ns=(10**18, 10**18 + 5))
    p.step(("miss", "uncacheable"), "cp -p in out")  # where it copies access control lists too
    p.step(("hit", "uncacheable"), "cp -p in out")
    text = "cat in >out; touch -r in out"
    p.step("miss", sh(text))
    p.step("hit", sh(text))
    equal(os.stat(p.path("out")).st_mtime_ns, 10**18 + 5)


def test_cp_a_tree(p):
    for name in "a", "b/c", "b/d/e":
        p.write(f"from/{name}", name)
    os.symlink("a", p.path("from/link"))
    p.step("miss", "cp -r from to")
    p.step("hit", "cp -r from to")
    p.write("from/b/new", "new")
    p.step("miss", "cp -r from to")


def test_reason_is_that_of_the_nearest_run(p):
    """Of several path sets the most recent one says what is different."""
    for name in "a", "b":
        p.write(name, name)
        p.write("choice", f"{name}\n")
        p.step("miss", sh("read which <choice; cat $which >out"))
    p.write("b", "other")
    equal(p.step("miss", sh("read which <choice; cat $which >out")).event["reason"], "'b' changed")


def test_python(p):
    need("python3")
    p.write("gen.py", "import json\nfrom part import part\njson.dump(part(), open('out.json', 'w'))\nprint('made')\n")
    p.write("part.py", "def part():\n    return [1, 2]\n")
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    p.step("miss", "python3 gen.py", env=env)
    p.step("hit", "python3 gen.py", env=env)
    run = p.step("miss", "python3 gen.py", env=env, keep=True)  # it lists the folder, where now out.json is
    contains(run.event["reason"], "'.' changed")
    p.step("hit", "python3 gen.py", env=env, keep=True)
    p.write("part.py", "def part():\n    return [1, 3]\n")
    p.step("miss", "python3 gen.py", env=env)
    p.step("hit", "python3 gen.py", env=env)


def test_awk(p):
    need("awk")
    p.write("in", "1 2\n3 4\n")
    words = ["awk", '{ s += $2; print > "cols" } END { print s }', "in"]
    p.twice(words)
    p.write("in", "1 2\n3 5\n")
    p.step("miss", words)


def test_new_folders(p):
    p.step("miss", sh("mkdir -p gen/a/b gen/empty && echo 1 >gen/a/b/one && echo 2 >gen/two"))
    p.step("hit", sh("mkdir -p gen/a/b gen/empty && echo 1 >gen/a/b/one && echo 2 >gen/two"))
    assert os.path.isdir(p.path("gen/empty"))


def test_folder_modes(p):
    for _ in "miss", "hit":
        p.step(_, sh("mkdir -m 700 private && echo 1 >private/one && mkdir -m 555 closed && chmod 600 private/one"))


def test_links(p):
    text = "echo 1 >one && ln -s one two && ln -s /nowhere three && ln -s nothing four"
    p.step("miss", sh(text))
    p.step("hit", sh(text))
    equal(os.readlink(p.path("two")), "one")


def test_hard_link(p):
    text = "echo 1 >one && ln one two"
    p.step(("miss", "uncacheable"), sh(text))
    p.step(("hit", "uncacheable"), sh(text))


def test_temporary_files_leave_nothing(p):
    text = "mkdir t && echo 1 >t/x && cat t/x >out && rm -r t && f=tmp.1 && echo 2 >$f && cat $f >>out && rm $f"
    p.twice(sh(text))
    p.twice(sh("f=$(mktemp) && echo 1 >$f && cat $f >out && rm $f"))


def test_rename_into_place(p):
    text = "echo 1 >.out.tmp && chmod 755 .out.tmp && mv .out.tmp out"
    p.step("miss", sh(text))
    p.step("hit", sh(text))
    p.step("miss", sh(text), keep=True)  # mv looks at what is there
    p.step("hit", sh(text), keep=True)


def test_folder_renamed_into_place(p):
    text = "mkdir x.tmp && echo 1 >x.tmp/a && mkdir x.tmp/sub && echo 2 >x.tmp/sub/b && mv x.tmp x"
    p.step("miss", sh(text))
    p.step("hit", sh(text))


def test_deletion_refused(p):
    for _ in range(2):
        p.write("precious", "1")
        p.step("uncacheable", sh("rm precious; echo 1 >out"), "precious")
        os.makedirs(p.path("folder"))
        p.step("uncacheable", sh("rmdir folder; echo 1 >out"), "folder")


def test_deleting_before_making(p):
    p.write("out", "old")
    text = "rm -f out; echo new >out"
    p.step("miss", sh(text), keep=True)
    p.write("out", "old")
    p.step("hit", sh(text), keep=True)


def test_appending_counts_what_was_there(p):
    text = "echo more >>log"
    p.write("log", "1\n")
    p.step(("miss", "uncacheable"), sh(text), keep=True)
    p.write("log", "2\n")
    p.step(("miss", "uncacheable"), sh(text), keep=True)
    equal(p.read("log"), b"2\nmore\n")
    p.write("log", "1\n")
    p.step(("hit", "uncacheable"), sh(text), keep=True)
    equal(p.read("log"), b"1\nmore\n")


def test_input_changed_in_place(p):
    text = "sort -o list list"
    for content in "b\na\n", "d\nc\n", "b\na\n":
        p.write("list", content)
        p.step(("miss", "uncacheable", "hit"), sh(text), keep=True)


def test_generate_if_missing(p):
    text = "test -e out || echo made >out"
    p.step("miss", sh(text))
    p.step("hit", sh(text))
    p.write("out", "mine")
    p.step(("miss", "uncacheable", "hit"), sh(text), keep=True)
    equal(p.read("out"), b"mine")


def test_output_outside_refused(p):
    p.write("script", "echo 1 >../outside\n")
    run = p.refused("sh script")
    contains(run.event["reason"], "outside")


def test_background_process_refused(p):
    began = time.monotonic()
    run = p.run(sh("sleep 8 >/dev/null 2>&1 & echo 1 >out"))
    assert time.monotonic() - began < 6, "tarn-exec waited for it"
    equal((run.status, run.event["outcome"]), (0, "uncacheable"))
    equal(p.read("out"), b"1\n")


def test_background_process_that_holds_the_pipe(p):
    began = time.monotonic()
    child = p.spawn(sh("sleep 5 & echo 1"), stdout=subprocess.PIPE)
    child.wait()
    took = time.monotonic() - began
    assert took < 4, f"tarn-exec waited {took} s"
    equal(child.stdout.read(2), b"1\n")
    child.stdout.close()
    equal(p.last()["outcome"], "uncacheable")


def test_background_process_goes_on(p):
    """What outlives the command still works when it is no longer watched."""
    p.run(sh("(sleep 1; cat in; date >/dev/null; echo late >late) >/dev/null 2>&1 & :"))
    p.gone(10, lambda: p.exists("late") and p.read("late") == b"late\n")


def test_network_refused(p):
    need("python3")
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    threading.Thread(target=lambda: [c[0].close() for c in iter(server.accept, None)], daemon=True).start()
    words = ["python3", "-c", f"import socket; socket.create_connection(('127.0.0.1', {port})).close(); open('out', 'w')"]
    contains(p.refused(words).event["reason"], "network")
    words = ["python3", "-c", "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"]
    p.refused(words)


def test_unix_socket_refused(p):
    need("python3")
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{p.top}/socket")
    server.listen(9)
    p.refused(["python3", "-c", f"import socket; socket.socket(socket.AF_UNIX).connect('{p.top}/socket'); open('out', 'w')"])


def test_reading_stdin_refused(p):
    for words in "cat", "sh -c 'read x; echo $x'", "head -c 1 /dev/stdin", "sort -", "cat /proc/self/fd/0":
        run = p.run(words, input=b"text\n")
        equal((run.status, run.event["outcome"]), (0, "uncacheable"), words)
        contains(run.event["reason"], "standard input")
        equal(run.out, p.bare(words, input=b"text\n").out)


def test_having_stdin_is_fine(p):
    for outcome in "miss", "hit":
        equal(p.run(sh("echo 1 >out"), input=b"text\n").event["outcome"], outcome)


def test_declared_stdin(p):
    for text, outcome in (b"one\n", "miss"), (b"one\n", "hit"), (b"two\n", "miss"), (b"", "miss"), (b"x" * 300000, "miss"), (b"x" * 300000, "hit"):
        run = p.run("cat", input=text, options="--stdin")
        equal((run.out, run.event["outcome"]), (text, outcome), "declared input")


def test_terminal_refused(p):
    import pty
    master, slave = pty.openpty()
    run = p.run(sh(f"exec 3<{os.ttyname(slave)}; echo 1"))
    equal(run.event["outcome"], "uncacheable")
    run = p.run(sh("(exec 3</dev/tty) 2>/dev/null; echo 1"), stdin=slave, start_new_session=True,
                preexec_fn=lambda: __import__("fcntl").ioctl(slave, 0x540E, 0))
    equal((run.out, run.event["outcome"]), (b"1\n", "uncacheable"))


def test_clocks_refused(p):
    for words in "date", "date +%s", "hostname":
        if words == "hostname":
            try:
                need("hostname")
            except Skip:
                continue
        equal(p.run(words).event["outcome"], "uncacheable", words)
        equal(p.run(sh(f"{words} >out")).event["outcome"], "uncacheable", words)


def test_time_in_an_output_refused(p):
    need("awk")
    for _ in range(2):
        equal(p.run(["awk", 'BEGIN { print strftime("%Y-%m-%d %H:%M:%S") }']).event["outcome"], "uncacheable")


def test_new_file_in_a_listed_folder(p):
    p.write("in/a", "1")
    p.step("miss", sh("ls in"))
    p.step("hit", sh("ls in"))
    p.write("in/b", "1")
    p.step("miss", sh("ls in"))
    p.step("hit", sh("ls in"))
    p.remove("in/a")
    p.step("miss", sh("ls in"))


def test_glob(p):
    p.write("in/a.x", "1")
    p.twice(sh("cat in/*.x >out"))
    p.write("in/b.x", "2")
    p.step("miss", sh("cat in/*.x >out"))
    p.write("in/c.y", "3")
    p.step(("miss", "hit"), sh("cat in/*.x >out"))


def test_probes_count(p):
    text = "if test -e flag; then echo yes; else echo no; fi"
    p.twice(sh(text))
    p.write("flag")
    p.twice(sh(text))
    p.remove("flag")
    p.step("hit", sh(text))
    text = "if test -x tool; then echo yes; else echo no; fi"
    p.write("tool", "", 0o644)
    p.twice(sh(text))
    os.chmod(p.path("tool"), 0o755)
    p.step("miss", sh(text))
    text = "if test -s size; then echo yes; else echo no; fi"
    p.write("size")
    p.twice(sh(text))
    p.write("size", "1")
    p.step("miss", sh(text))
    text = "if test -d thing; then echo dir; elif test -f thing; then echo file; fi"
    p.write("thing")
    p.twice(sh(text))
    p.remove("thing")
    os.makedirs(p.path("thing"))
    p.step("miss", sh(text))


def test_times_count_for_those_who_look(p):
    p.write("a", "1")
    p.write("b", "2")
    os.utime(p.path("a"), (100, 100))
    os.utime(p.path("b"), (200, 200))
    need("make")
    p.write("Makefile", "b: a\n\t@echo making; cp a b\n")
    first = p.run("make b")
    os.utime(p.path("a"), (300, 300))
    bare, _ = p.expect("make b")
    equal(p.run("make b").out, bare.out)
    p.shell("touch -d @100 a; touch -d @200 b")
    text = "if test a -nt b; then echo newer; else echo older; fi"
    p.write("script", text)
    p.write("run", "#!/bin/sh\n. ./script\n", 0o755)
    for number, words in enumerate((sh(text), "sh script", "./run", ["sh", "-c", ":; (. ./script) | cat"])):
        for start in 100, 300:
            os.utime(p.path("a"), (start, start))
            p.step("miss", words)
            p.step("hit", words)


def test_unreadable_input(p):
    p.write("in", "1", 0o000)
    p.step(("miss", "failed"), sh("cat in >out 2>/dev/null; echo $?"))
    os.chmod(p.path("in"), 0o644)
    p.step(("miss", "hit"), sh("cat in >out 2>/dev/null; echo $?"))


def test_failure_not_stored(p):
    for status in 1, 2, 42, 125, 126, 127, 255:
        for _ in range(2):
            run = p.step("failed", sh(f"echo text; echo more >&2; exit {status}"))
            equal((run.status, run.event["status"]), (status, status))


def test_signals(p):
    for number in signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT, signal.SIGHUP, signal.SIGABRT:
        run = p.step("failed", sh(f"kill -{int(number)} $$"))
        equal((run.status, run.event["status"]), (-number, 128 + number))


def test_environment_counts(p):
    words = sh("echo 1 >out")
    p.twice(words)
    p.step("miss", words, env={"FOO": "1"})
    p.step("hit", words, env={"FOO": "1"})
    p.step("miss", words, env={"FOO": "2"})
    for env in ({"MAKELEVEL": "2"}, {"SHLVL": "5"}, {"TERM": "vt100"}, {"_": "/x"}, {"CI_JOB_ID": "77"}, {"GITHUB_RUN_ID": "5"},
                {"BUILD_NUMBER": "6"}, {"SSH_TTY": "/dev/pts/1"}, {"OLDPWD": "/y"}):
        p.step("hit", words, env=env)


def test_environment_is_passed_on(p):
    env = {"A B": "1", "X": "line\nbreak", "EMPTY": "", "LD_PRELOAD": None}
    for words in ("env", ["gcc", "-c", "a.c"]):
        p.write("a.c", "int a;\n")
        bare, run = p.bare(words, env=env), p.run(words, env=env)
        equal(sorted(run.out.splitlines()), sorted(bare.out.splitlines()))
    run = p.run("env -i sh -c 'echo 1 >out; env'")
    equal(run.out, p.bare("env -i sh -c 'echo 1 >out; env'").out)


RAW = r"""
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	char text[100];
	long fd = syscall(SYS_openat, AT_FDCWD, "in", O_RDONLY), size;
	if (syscall(SYS_openat, AT_FDCWD, "absent", O_RDONLY) >= 0)
		syscall(SYS_write, 1, "there\n", 6);
	size = syscall(SYS_read, fd, text, sizeof(text));
	fd = syscall(SYS_open, "out", O_WRONLY | O_CREAT | O_TRUNC, 0640);
	syscall(SYS_write, fd, text, size);
	syscall(SYS_exit_group, 0);
}
"""


def test_static_program_with_raw_calls(p):
    p.write("raw.c", RAW)
    p.shell("gcc -static -w -o raw raw.c")
    p.write("in", "one")
    p.twice("./raw")
    p.write("in", "two")
    p.step("miss", "./raw")
    p.write("absent", "no more")
    run = p.step("miss", "./raw")
    equal(run.out, b"there\n")
    p.step("hit", "./raw")


def test_32_bit_program_refused(p):
    p.write("a.s", ".globl _start\n_start: mov $1, %eax\n xor %ebx, %ebx\n int $0x80\n")
    p.shell("as --32 -o a.o a.s && ld -m elf_i386 -o a32 a.o")
    if p.bare("./a32").status:
        raise Skip("this kernel runs no 32-bit programs")
    p.refused("./a32")


INT80 = r"""
#include <fcntl.h>
static char name[] = "in";
int main(void)
{
	long fd;
	__asm__ volatile("int $0x80" : "=a"(fd) : "a"(5), "b"((unsigned)(unsigned long)name), "c"(0), "d"(0) : "memory");
	return fd < 0;
}
"""


def test_32_bit_calls_refused(p):
    """A 64-bit program that uses the calls of 32-bit ones."""
    p.write("a.c", INT80)
    p.shell("gcc -static -no-pie -o a a.c")
    p.write("in", "1")
    if p.bare("./a").status:
        raise Skip("this kernel has no 32-bit calls")
    p.refused("./a")


IO_URING = r"""
#include <linux/io_uring.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	struct io_uring_params params;
	memset(&params, 0, sizeof(params));
	return syscall(SYS_io_uring_setup, 4, &params) < 0;
}
"""


def test_io_uring_refused(p):
    p.write("a.c", IO_URING)
    p.shell("gcc -o a a.c")
    if p.bare("./a").status:
        raise Skip("this kernel has no io_uring")
    p.refused("./a")


def test_namespace_refused(p):
    need("unshare")
    if p.bare("unshare -U true").status:
        raise Skip("namespaces are not allowed here")
    p.refused("unshare -U true")


def test_script(p):
    p.write("tool", "#!/usr/bin/awk -f\nBEGIN { print 1 }\n", 0o755)
    p.twice("./tool")
    p.write("tool", "#!/usr/bin/awk -f\nBEGIN { print 2 }\n", 0o755)
    p.step("miss", "./tool")
    p.write("my-sh", "#!/bin/sh\nexec sh \"$@\"\n", 0o755)
    p.write("tool", f"#!{p.root}/my-sh\necho 3\n", 0o755)
    p.twice("./tool")
    p.write("my-sh", "#!/bin/sh\necho other; exec sh \"$@\"\n", 0o755)
    p.step("miss", "./tool")


def test_tool_in_a_pipeline_changed(p):
    p.write("bin/tool", "#!/bin/sh\necho 1\n", 0o755)
    env = {"PATH": f"{p.root}/bin:{PATH}"}
    p.twice(sh("tool | cat >out"), env=env)
    p.write("bin/tool", "#!/bin/sh\necho 2\n", 0o755)
    p.step("miss", sh("tool | cat >out"), env=env)


def test_program_shadowed_on_path(p):
    os.makedirs(p.path("one"))
    p.write("two/tool", "#!/bin/sh\necho 2\n", 0o755)
    env = {"PATH": f"{p.root}/one:{p.root}/two:{PATH}"}
    p.twice("tool", env=env)
    p.twice(sh("tool >out"), env=env)
    p.write("one/tool", "#!/bin/sh\necho 1\n", 0o755)
    p.step("miss", "tool", env=env)
    p.step("miss", sh("tool >out"), env=env)


def test_shared_library_counts(p):
    p.write("lib.c", "int value(void) { return 1; }\n")
    p.write("main.c", "#include <stdio.h>\nint value(void);\nint main(void) { printf(\"%d\\n\", value()); return 0; }\n")
    p.shell("gcc -shared -fPIC -o libv.so lib.c && gcc -o main main.c -L. -lv -Wl,-rpath,'$ORIGIN'")
    p.twice("./main")
    p.write("lib.c", "int value(void) { return 2; }\n")
    p.shell("gcc -shared -fPIC -o libv.so lib.c")
    run = p.step("miss", "./main")
    equal(run.out, b"2\n")


def test_working_directory_in_an_output(p):
    p.twice(sh("pwd >out"))
    q = p.checkout("q")
    q.step("miss", sh("pwd >out"))
    q.step("hit", sh("pwd >out"))
    equal(q.read("out").decode().strip(), q.root)


def test_another_checkout(p):
    p.write("in", "1")
    p.step("miss", "cat in")
    q = p.checkout("q")
    q.step("hit", "cat in")
    q.write("in", "2")
    q.step("miss", "cat in")


def test_folder_made_where_one_is(p):
    text = "mkdir -p out/sub && echo 1 >out/sub/file"
    p.step("miss", sh(text))
    p.step(("hit", "miss"), sh(text), keep=True)
    p.step("hit", sh(text), keep=True)
    p.write("out/other", "mine")
    p.step(("hit", "miss"), sh(text), keep=True)


def test_touch(p):
    p.step(("miss", "uncacheable"), "touch stamp")
    p.step(("hit", "uncacheable"), "touch stamp")
    began = time.time_ns()
    time.sleep(0.05)
    p.run("touch stamp")
    assert os.stat(p.path("stamp")).st_mtime_ns >= began, "the stamp has an old time"


def test_restored_files_are_new(p):
    p.write("in", "1")
    p.twice(sh("cat in >out"))
    began = time.time_ns()
    time.sleep(0.05)
    equal(p.run(sh("cat in >out")).event["outcome"], "hit")
    assert os.stat(p.path("out")).st_mtime_ns >= began, "what make would call out of date"


def test_large_and_odd_outputs(p):
    text = ("head -c 70000 /dev/zero >large; head -c 65536 /dev/zero >edge; : >empty; printf 'a\\0b' >binary; "
            "echo x >'sp ace'; echo y >\"$(printf 'bad\\377name')\"; echo z >'new\nline'; seq 30000; seq 20000 >&2")
    p.step("miss", sh(text))
    p.step("hit", sh(text))


def test_fifo_output_refused(p):
    need("mkfifo")
    p.refused("mkfifo pipe")


def test_fifo_input_refused(p):
    need("mkfifo")
    p.shell("mkfifo pipe")
    for _ in range(2):
        writer = subprocess.Popen("echo text >pipe", shell=True, cwd=p.root)
        run = p.run("cat pipe")
        equal((run.out, run.event["outcome"]), (b"text\n", "uncacheable"))
        writer.wait()


def test_mode_changed(p):
    text = "echo 1 >out && chmod 4711 out && echo 2 >b && chmod 600 b"
    p.twice(sh(text))


def test_change_of_mode_of_an_input(p):
    p.write("in", "1", 0o644)
    run = p.step(("miss", "uncacheable"), sh("chmod 600 in"), keep=True)
    os.chmod(p.path("in"), 0o640)
    p.step(("miss", "hit", "uncacheable"), sh("chmod 600 in"), keep=True)


def test_random_devices(p):
    run = p.run("head -c 8 /dev/urandom")
    equal(run.status, 0)


def test_threads_and_many_processes(p):
    need("python3")
    p.write("go.py", "import threading, subprocess\n"
            "def f(n):\n    open(f'out{n}', 'w').write(open('in').read() + str(n))\n    subprocess.check_call(['cp', 'in', f'copy{n}'])\n"
            "t = [threading.Thread(target=f, args=(n,)) for n in range(20)]\n[x.start() for x in t]\n[x.join() for x in t]\n")
    p.write("in", "1")
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    p.step("miss", "python3 go.py", env=env)
    p.step("hit", "python3 go.py", env=env)


def test_working_directory_gone(p):
    os.makedirs(p.path("gone"))
    script = f"cd gone && rmdir ../gone && exec {p.program} sh -c 'echo 1'"
    run = subprocess.run(sh(script), cwd=p.root, env=p.env, capture_output=True)
    equal((run.returncode, run.stdout), (0, b"1\n"))


def test_chdir_and_relative_paths(p):
    p.write("sub/in", "1")
    p.write("in", "2")
    text = "cd sub && cat ../sub/../sub/./in >../out && cd .. && cat in >>out"
    p.twice(sh(text))
    p.write("sub/in", "3")
    p.step("miss", sh(text))
    p.write("in", "4")
    p.step("miss", sh(text))


def test_library_put_in_front_by_a_script(p):
    """Whatever it asks for in a compiler's name counts, more than compilers go by."""
    need("gcc")
    p.program = FAST  # the other one has a library of its own that has to come first
    p.write("a.c", "int a;\n")
    p.write("one/a.h", "")
    p.write("run", "LD_PRELOAD=libm.so.6 gcc -Ione -c a.c\n")
    p.step("miss", "sh run")
    p.step("hit", "sh run")
    os.chmod(p.path("one"), 0o700)
    p.step("miss", "sh run")
    p.step("hit", "sh run")


def test_ignored_signals(p):
    words = ["sh", "-c", "yes 2>err | head -n 1; cat err; rm -f err"]
    for number in signal.SIGPIPE, signal.SIGCHLD:
        def ignore():
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(number, signal.SIG_IGN)
        for preexec in None, ignore:
            seen = set()
            for outcome in "miss", "hit":
                run = p.run([*words, str(number)], preexec_fn=preexec, restore_signals=True)
                equal(run.event["outcome"], outcome, f"outcome with {number}, {preexec}")
                seen.add(run.out)
            equal(seen, {p.bare([*words, str(number)], preexec_fn=preexec).out})


def test_a_library_made_anew(p):
    """It is read by one name, and looked at by the name behind that: its time doesn't count."""
    p.write("f.c", "int f(void) { return 0; }\n")
    p.write("main.c", "int f(void);\nint main(void) { return f(); }\n")
    make = "gcc -shared -fPIC -o libf.so.1.2 f.c"
    p.shell(f"{make} && ln -s libf.so.1.2 libf.so && gcc -o prog main.c -L. -lf -Wl,-rpath,'$ORIGIN'")
    p.step("miss", "./prog")
    p.shell("touch libf.so.1.2")
    p.step("hit", "./prog")
    p.write("f.c", "#include <stdio.h>\nint f(void) { return puts(\"f\") < 0; }\n")
    p.shell(make)
    p.step("miss", "./prog", "libf.so")
