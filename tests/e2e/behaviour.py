"""A build behaves as without tarn."""
import fcntl, json, os, pty, select, signal, struct, subprocess, sys, termios, time
from support import CHECKED, FAST, PATH, Skip, contains, equal, need, snapshot

MAKEFILE = """OBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))
all: $(OBJECTS) sub
	@echo linked $(words $(OBJECTS))
%.o: %.c a.h
	$(TARN) $(CC) $(CFLAGS) -c $< -o $@
sub:
	+$(TARN) $(MAKE) -C sub
.PHONY: all sub
"""


def make_project(p):
    p.write("Makefile", MAKEFILE)
    p.write("a.h", "#define A 1\n")
    for n in range(8):
        p.write(f"f{n}.c", f'#include "a.h"\nint f{n} = A;\n')
    p.write("sub/Makefile", "all: one two three four\none two three four:\n\tcp in $@\n")
    p.write("sub/in", "1")


def test_make_with_jobserver(p):
    need("make")
    make_project(p)
    wanted, files = p.expect("make -s -j4 CC=gcc TARN=")
    for k in range(3):
        p.shell("rm -f *.o sub/one sub/two sub/three sub/four")
        child = p.spawn(["make", "-s", "-j4", "CC=gcc", f"TARN={p.program}"], tarn=False)
        out, err = child.communicate(timeout=100)
        equal((child.returncode, sorted(out.splitlines()), err), (0, sorted(wanted.out.splitlines()), wanted.err))
        equal(snapshot(p.root), files)
    equal([e["outcome"] for e in p.events() if e["kind"] == "compile"], ["miss"] * 8 + ["hit"] * 16)


def test_make_as_one_action(p):
    need("make")
    make_project(p)
    words = "make -s -j4 CC=gcc TARN="
    wanted, files = p.expect(words)
    for _ in range(2):
        p.shell("rm -f *.o sub/one sub/two sub/three sub/four")
        run = p.run(words)
        equal((run.status, run.err), (0, b""))
        equal(snapshot(p.root), files)


def test_no_descriptors_leak_in(p):
    run, bare = p.run("ls /proc/self/fd"), p.bare("ls /proc/self/fd")
    equal(run.out, bare.out)


def test_order_of_one_stream(p):
    text = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done; printf end"
    for outcome in "miss", "hit":
        p.step(outcome, ["sh", "-c", text], stderr=subprocess.STDOUT)


def test_order_in_one_file(p):
    """Both streams are one open file that is no pipe."""
    text = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
    for outcome in "miss", "hit":
        with open(f"{p.top}/log", "w+b") as log:
            child = p.spawn(["sh", "-c", text], stdout=log, stderr=log)
            child.wait()
            log.seek(0)
            equal(log.read(), b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n")
        equal(p.last()["outcome"], outcome)


def test_appending_to_a_log(p):
    for _ in range(2):
        with open(f"{p.top}/log", "ab") as log:
            equal(p.spawn("echo text", stdout=log).wait(), 0)
    equal(open(f"{p.top}/log", "rb").read(), b"text\ntext\n")


def test_closed_streams(p):
    for closing in ">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-":
        run = subprocess.run(f"{p.program} sh -c 'echo 1; echo 2 >&2; : >out; exit 3' {closing}", shell=True, cwd=p.root,
                             env=p.env, capture_output=True)
        bare = subprocess.run(f"sh -c 'echo 1; echo 2 >&2; : >out; exit 3' {closing}", shell=True, cwd=p.root,
                              env=p.env, capture_output=True)
        equal((run.returncode, run.stdout), (bare.returncode, bare.stdout), closing)


def runs(name, folder):
    """Does a program of this name work in `folder`?"""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe").endswith(f"/{name}") and os.readlink(f"/proc/{pid}/cwd") == folder:
                return True
        except OSError:  # it has ended, or is another's
            pass
    return False


class Terminal:
    """A command as the leader of a session with a terminal of its own."""

    def __init__(self, p, words, rows=31, columns=97):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in 0, 1, 2:
                os.dup2(slave, fd)
            os.closerange(3, 100)
            os.chdir(p.root)
            os.execvpe(words[0], words, p.env)
        os.close(slave)
        self.master, self.text = master, b""

    def read(self, until=None, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and until in self.text):
            if not select.select([self.master], [], [], 0.2)[0]:
                continue
            try:
                got = os.read(self.master, 65536)
            except OSError:
                break
            if not got:
                break
            self.text += got
        return self.text

    def write(self, data):
        os.write(self.master, data)

    def wait(self):
        self.read()
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)


def test_terminal(p):
    need("python3")
    words = [sys.executable, "-c", "import os\nfor n in 0, 1, 2: print(n, os.isatty(n))\nprint(os.get_terminal_size(1))"]
    p.env["PYTHONDONTWRITEBYTECODE"] = "1"
    bare = Terminal(p, words)
    equal(bare.wait(), 0)
    with_it = Terminal(p, [p.program, *words])
    equal(with_it.wait(), 0)
    equal(with_it.text, bare.text)
    contains(with_it.text.decode(), "2 True")


def test_colours_on_a_terminal(p):
    p.env["TERM"] = "xterm"
    p.write("a.c", "int f(void) { int x; return 1; }\n#warning here\n")
    words = ["gcc", "-Wall", "-fdiagnostics-color=auto", "-c", "a.c"]
    bare = Terminal(p, words)
    bare.wait()
    contains(bare.text.decode(), "\x1b[")
    for outcome in "miss", "hit":
        with_it = Terminal(p, [p.program, *words])
        equal(with_it.wait(), 0)
        equal(with_it.text, bare.text)
        equal(p.last()["outcome"], outcome)
    run = p.run(words)  # into a pipe: no colours
    equal(run.event["outcome"], "miss")
    assert b"\x1b[" not in run.err, run.err


def test_interrupt_from_the_terminal(p):
    words = ["sh", "-c", "echo begun; sleep 60; echo not reached"]
    for command in words, [p.program, *words]:
        terminal = Terminal(p, command)
        terminal.read(b"begun")
        time.sleep(0.2)
        began = time.monotonic()
        terminal.write(b"\x03")
        equal(terminal.wait(), -signal.SIGINT)
        assert time.monotonic() - began < 30, "it took long"
        assert b"not reached" not in terminal.text
    event = p.last()
    equal((event["outcome"], event["status"]), ("failed", 130))


def test_interrupt_that_the_command_handles(p):
    words = ["sh", "-c", "trap 'echo caught; exit 5' INT; echo begun; while :; do sleep 0.1; done"]
    for command in words, [p.program, *words]:
        terminal = Terminal(p, command)
        terminal.read(b"begun")
        time.sleep(0.2)
        terminal.write(b"\x03")
        equal(terminal.wait(), 5)
        equal(terminal.text.count(b"caught"), 1)


def test_interrupted_compile_leaves_no_record(p):
    p.write("a.c", "#include <stdio.h>\n" + "".join(f"int f{n}(int x) {{ return x * {n}; }}\n" for n in range(20000)))
    terminal = Terminal(p, [FAST, "gcc", "-O2", "-c", "a.c"])
    p.gone(60, lambda: runs("cc1", p.root))
    terminal.write(b"\x03")
    equal(terminal.wait(), -signal.SIGINT)
    equal(p.last()["outcome"], "failed")


def test_sigterm_to_tarn_exec(p):
    for number in signal.SIGTERM, signal.SIGHUP, signal.SIGINT:
        child = p.spawn(["sh", "-c", f"trap 'echo got; exit 7' {int(number)}; echo begun; while :; do sleep 0.05; done"])
        equal(child.stdout.readline(), b"begun\n")
        child.send_signal(number)
        out, _ = child.communicate(timeout=10)
        equal((out, child.returncode), (b"got\n", 7))
        child = p.spawn(["sh", "-c", "echo begun; exec sleep 60"])
        equal(child.stdout.readline(), b"begun\n")
        child.send_signal(number)
        child.communicate(timeout=10)
        equal(child.returncode, -number)


def test_ignored_signals_stay_ignored(p):
    """As under nohup."""
    text = f"trap '' HUP PIPE; {p.program} sh -c 'kill -HUP $$; kill -PIPE $$; echo alive'"
    run = subprocess.run(text, shell=True, cwd=p.root, env=p.env, capture_output=True)
    equal((run.returncode, run.stdout), (0, b"alive\n"))


def test_suspended_and_continued(p):
    need("ps")
    child = p.spawn(["sh", "-c", "echo begun; kill -STOP $$; echo on"])
    equal(child.stdout.readline(), b"begun\n")

    def stopped():
        lines = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(child.pid)], capture_output=True, text=True).stdout.splitlines()
        return [int(line.split()[0]) for line in lines if line.split()[1].startswith("T")]

    p.gone(60, stopped)
    for pid in stopped():
        os.kill(pid, signal.SIGCONT)
    out, _ = child.communicate(timeout=60)
    equal((out, child.returncode), (b"on\n", 0))


def peak(p, words):
    """Peak memory of one child in KiB, its own."""
    code = ("import os, resource, sys\npid = os.fork()\nif pid == 0:\n    os.execv(sys.argv[1], sys.argv[1:])\n"
            "_, status, use = os.wait4(pid, 0)\nprint(use.ru_maxrss, file=sys.stderr)\nsys.exit(os.waitstatus_to_exitcode(status))")
    run = subprocess.run([sys.executable, "-c", code, FAST, *words], cwd=p.root, env=p.env, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE)
    equal(run.returncode, 0)
    return int(run.stderr.split()[-1])


def test_large_outputs_need_no_memory(p):
    for words in (["sh", "-c", "head -c 100000000 /dev/zero"], ["sh", "-c", "head -c 100000000 /dev/zero >out"]):
        for outcome in "miss", "hit":
            if p.exists("out"):
                p.remove("out")
            used = peak(p, words)
            equal(p.last()["outcome"], outcome)
            assert used < 16 * 1024, f"{words[2]}: a {outcome} took {used} KiB"
    equal(os.path.getsize(p.path("out")), 100000000)


def test_memory_runs_out(p):
    """Wherever that is: the command goes on, and all that it prints arrives."""
    need("prlimit", "python3")
    code = "import os\nfor i in range(6000):\n    os.path.exists(f'/no/such/place/{i}')\n    os.write(1, b'%0199d\\n' % i)"
    words = ["sh", "-c", 'ulimit -Sv unlimited; exec python3 -S -c "$0"', code]
    wanted, blind, kept = p.bare(words).result(), 0, 0
    for size in range(3800 << 10, 16 << 20, 40 << 10):
        known = len(p.events())
        run = p.run(["prlimit", f"--as={size}:unlimited", FAST, *words], env={"TARN_DIR": f"{p.dir}-{size}"}, tarn=False)
        assert run.result() == wanted, f"with {size} bytes: status {run.status}, {len(run.out)} bytes, {run.err}"
        told = p.events()[known:]
        blind += any("no memory" in (event["reason"] or "") for event in told)
        kept += any(event["outcome"] == "miss" for event in told)
        if kept > 2:
            break
    assert blind and kept, f"{blind} times without memory, {kept} times with enough of it"


def test_large_output_is_right(p):
    words = ["sh", "-c", "seq 2000000; seq 300000 >&2"]
    wanted = p.bare(words)
    for outcome in "miss", "hit":
        run = p.run(words)
        equal(run.event["outcome"], outcome)
        assert run.result() == wanted.result(), "what was printed differs"


def test_reader_goes_away(p):
    for words in ("yes",), ("seq", "9000000"), ("seq", "9000000"):
        text = " ".join(words)
        run = subprocess.run(f"{p.program} {text} | head -1; exit 0", shell=True, cwd=p.root, env=p.env, capture_output=True,
                             timeout=60)
        equal(run.stderr, b"")
    p.run("seq 900000")
    equal(p.last()["outcome"], "miss")
    run = subprocess.run(f"bash -c '{p.program} seq 900000 | head -1; echo ${{PIPESTATUS[0]}}'", shell=True, cwd=p.root,
                         env=p.env, capture_output=True, timeout=60)
    bare = subprocess.run("bash -c 'seq 900000 | head -1; echo ${PIPESTATUS[0]}'", shell=True, cwd=p.root,
                          env=p.env, capture_output=True, timeout=60)
    equal((run.stdout, run.stderr), (bare.stdout, bare.stderr), "a hit whose reader goes away")


def as_nobody(p, words):
    need("setpriv")
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    p.shell(f"chmod -R a+rwX {p.top}")
    return subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *words], cwd=p.root,
                          env=p.env, capture_output=True)


def test_set_id_program_runs_with_its_rights(p):
    need("findmnt")
    p.for_everybody()
    p.shell("cp $(command -v id) suid && chmod 4755 suid")
    mounts = subprocess.run(["findmnt", "-no", "OPTIONS", "-T", p.root], capture_output=True, text=True).stdout
    if "nosuid" in mounts:
        raise Skip("set-id programs don't work here")
    for words in ["./suid", "-u"], ["sh", "-c", "./suid -u"]:
        bare = as_nobody(p, words)
        run = as_nobody(p, [p.program, *words])
        if words[0] == "sh":  # nobody can know before: it is refused
            equal((run.returncode, p.last()["outcome"]), (0, "uncacheable"))
            continue
        equal((run.returncode, run.stdout), (bare.returncode, bare.stdout))
        equal(p.last()["outcome"], "uncacheable")


def test_sudo_by_name(p):
    p.for_everybody()
    p.write("bin/sudo", "#!/bin/sh\nexec ./suid \"$@\"\n", 0o755)
    p.env["PATH"] = f"{p.root}/bin:{PATH}"
    p.shell("cp $(command -v id) suid && chmod 4755 suid")
    for words in ["sudo", "-u"], ["sh", "-c", "sudo -u >&1; true"]:
        bare = as_nobody(p, words)
        run = as_nobody(p, [p.program, *words])
        equal((run.returncode, run.stdout, run.stderr), (bare.returncode, bare.stdout, bare.stderr))
        contains(p.last()["reason"], "rights")


def test_statuses_of_what_cannot_run(p):
    p.write("plain", "text")
    os.makedirs(p.path("folder"))
    p.write("broken", "#!/no/such/interpreter\n", 0o755)
    for words, status in (["no-such-program"], 127), (["./no-such-file"], 127), (["./plain"], 126), (["./folder"], 126), (["./plain/x"], 126):
        run = p.run(words)
        equal((run.status, run.out), (status, b""), words)
        contains(run.err.decode(), "tarn-exec: ")
        equal((run.event["outcome"], run.event["status"]), ("error", status))
        equal(subprocess.run(["env", *words], cwd=p.root, env=p.env, capture_output=True).returncode, status)
    run = p.run("./broken")
    assert run.status in (126, 127), run
    child = p.spawn([], options=["--no-such-option", "true"])
    out, err = child.communicate()
    equal((child.returncode, out), (125, b""))


def test_script_without_first_line(p):
    p.write("script", "echo $1\n", 0o755)
    run = p.run("./script word")
    equal((run.status, run.out), (0, b"word\n"))


def test_masquerade(p):
    os.makedirs(f"{p.top}/masks")
    for name in "gcc", "cc":
        os.symlink(p.program, f"{p.top}/masks/{name}")
    env = {"PATH": f"{p.top}/masks:{PATH}"}
    p.write("a.c", "int a;\n")
    equal(p.bare("gcc -c a.c -o bare.o").status, 0)
    for outcome in "miss", "hit":
        child = p.spawn("gcc -c a.c", tarn=False, env=env)
        equal(child.communicate(), (b"", b""))
        equal((child.returncode, p.last()["outcome"], p.last()["kind"]), (0, outcome, "compile"))
        equal(p.read("a.o"), p.read("bare.o"))
    child = p.spawn([f"{p.top}/masks/gcc", "--version"], tarn=False, env=env)
    equal(child.communicate()[0], p.bare("gcc --version").out)


def test_disabled(p):
    p.write("a.c", "int a;\n")
    for _ in range(2):
        run = p.step("disabled", "gcc -c a.c", env={"TARN_DISABLE": "1"})
    assert not os.path.exists(f"{p.dir}/lake"), "something was stored"
    p.step("disabled", "sh -c 'echo 1; exit 3'", env={"TARN_DISABLE": "1"})


def test_read_only(p):
    p.write("a.c", "int a;\n")
    p.step("uncacheable", "gcc -c a.c", options="--read-only")
    p.step("uncacheable", "gcc -c a.c", env={"TARN_READ_ONLY": "1"})
    p.step("miss", "gcc -c a.c")
    p.step("hit", "gcc -c a.c", options="--read-only")


def test_refresh(p):
    p.write("a.c", "int a;\n")
    p.twice("gcc -c a.c")
    run = p.step("miss", "gcc -c a.c", options="--refresh")
    contains(run.event["reason"], "refresh")
    p.step("miss", "gcc -c a.c", env={"TARN_REFRESH": "1"})
    p.step("hit", "gcc -c a.c")


def test_refresh_replaces(p):
    words = "sh -c 'head -c 9 /dev/urandom | od -An -tx1 >out; cat out'"
    first = p.run(words).out
    equal(p.run(words).out, first)
    second = p.run(words, options="--refresh").out
    assert first != second
    equal(p.run(words).out, second)


def test_check(p):
    p.write("a.c", "int a;\n")
    p.twice("gcc -c a.c")
    run = p.step("hit", "gcc -c a.c", options="--check")
    equal(run.event["check"], "same")
    run = p.step("hit", "gcc -c a.c", env={"TARN_CHECK": "1"})
    equal(run.event["check"], "same")
    words = "sh -c 'head -c 9 /dev/urandom | od -An -tx1 >out'"
    p.run(words)
    run = p.run(words, options="--check")
    equal((run.status, run.event["outcome"], run.event["check"]), (0, "hit", "different"))
    contains(run.err.decode(), "differs")
    [finding] = findings(p)
    equal((finding["found"], finding["command"][0], finding["fingerprint"]), ("check", "sh", run.event["key"]))
    equal([d["what"] for d in finding["differences"]], [p.path("out")])
    contains(run.event["note"], "'%s' differs in" % p.path("out"))


def findings(p):
    path = f"{p.dir}/findings.jsonl"
    return [json.loads(line) for line in open(path)] if os.path.exists(path) else []


def test_second_result_of_one_state(p):
    """What differs between two results of one fingerprint is kept, with its likely cause."""
    p.write("gen", "#!/bin/sh\nn=$(od -An -N1 -tu1 /dev/urandom)\nprintf 'made in /build/%s/x\\n' $n >out\n"
                   "head -c 70000 /dev/zero >big\nprintf %s $n >>big\n", 0o755)
    for k in range(12):
        for name in "out", "big":
            if p.exists(name):
                p.remove(name)
        first = p.run("./gen", options="--refresh" if k == 0 else "--check")
        equal(first.status, 0)
    found = findings(p)
    assert found, [e.get("check") for e in p.events()]
    equal({e.get("check") for e in p.events()[1:]} <= {"same", "different"}, True)
    parts = {d["what"]: d for d in found[0]["differences"]}
    equal(set(parts), {p.path("out"), p.path("big")})
    equal(parts[p.path("out")]["cause"], "path")
    contains(parts[p.path("out")]["kept"], "/build/")
    assert 70000 <= parts[p.path("big")]["first"] < 70003, parts


def test_check_of_what_changed_meanwhile(p):
    p.write("in", "1")
    p.write("slow", "#!/bin/sh\ncat in >out\nsleep 1.5\n", 0o755)
    p.step("miss", "./slow")
    child = p.spawn("./slow", options="--check")
    p.gone(60, lambda: runs("sleep", p.root))  # it was a hit, and is run once more
    p.write("in", "2")
    child.communicate()
    equal((p.last()["outcome"], p.last()["check"]), ("hit", "unclear"))
    contains(p.last()["note"], "in")
    equal(findings(p), [])


def test_explain(p):
    p.write("a.c", "int a;\n")
    for outcome, more in ("miss", "new"), ("hit", "lake"):
        run = p.run("gcc -c a.c", options="--explain")
        equal(run.err.count(b"\n"), 1, "lines")
        contains(run.err.decode(), f"tarn-exec: {outcome}: gcc")
        contains(run.err.decode(), more)
    contains(p.run("date", options="--explain").err.decode(), "date")


def test_declared_input(p):
    p.write("data/one", "1")
    p.write("data/sub/two", "2")
    options = "-i data -i '*.txt'"
    p.write("a.txt", "1")
    words = "sh -c 'echo 1 >out'"
    p.twice(words, options=options)
    for change in (lambda: p.write("data/sub/two", "3"), lambda: p.write("data/new", ""), lambda: p.write("a.txt", "2"),
                   lambda: p.write("b.txt", ""), lambda: os.chmod(p.path("data/one"), 0o755), lambda: p.remove("data/new")):
        change()
        p.step("miss", words, options=options)
        p.step("hit", words, options=options)
    run = p.run(words, options="-i no-such-file")
    equal((run.status, run.event["outcome"]), (0, "uncacheable"))


def test_declared_output(p):
    p.twice("sh -c 'echo 1 >out'", options="-o out")
    run = p.step("uncacheable", "sh -c 'echo 1 >other'", options="-o missing")
    contains(run.event["reason"], "missing")


def test_untraced(p):
    p.write("in", "1")
    p.write("hidden", "1")
    words = "sh -c 'mkdir -p gen; cat in hidden >gen/out; echo printed'"
    options = "--no-trace -i in -o gen/out"
    p.step("miss", words, options=options)
    p.step("hit", words, options=options, keep=True)
    p.write("in", "2")
    run = p.step("miss", words, options=options, keep=True)
    equal(run.event["observer"], "declared")
    p.write("hidden", "2")  # the user did not say that it counts
    run = p.run(words, options=options)
    equal(run.event["outcome"], "hit")


def test_untraced_depfile(p):
    p.write("a.c", '#include "a.h"\nint a = A;\n')
    p.write("a.h", "#define A 1\n")
    words, options = "gcc -MD -MF a.d -c a.c -o a.o", "--no-trace -k command -i a.c -o a.o -d a.d"
    p.step("miss", words, options=options)
    p.step("hit", words, options=options)
    p.write("a.h", "#define A 2\n")
    p.step("miss", words, options=options)
    p.step("hit", words, options=options)


def test_unstable(p):
    p.write("gen.py", "one\n# tarn:begin part\ntwo\n# tarn:end part\nthree\n")
    words, options = "sh -c 'echo 1 >out'", "-u gen.py#part"
    p.twice(words, options=options)
    p.write("gen.py", "ONE\n# tarn:begin part\ntwo\n# tarn:end part\nTHREE\n")
    p.step("hit", words, options=options)
    p.write("gen.py", "ONE\n# tarn:begin part\nTWO\n# tarn:end part\nTHREE\n")
    p.step("miss", words, options=options)
    run = p.run(words, options="-u gen.py#nothing")
    equal((run.status, run.event["outcome"]), (0, "uncacheable"))
    contains(str(run.event), "nothing")


def test_declared_variables(p):
    p.write("a.c", "int a;\n")
    p.twice("gcc -c a.c", options="-e FOO -e 'BAR*'", env={"FOO": "1", "BAR1": "1"})
    p.step("miss", "gcc -c a.c", options="-e FOO -e 'BAR*'", env={"FOO": "2", "BAR1": "1"})
    p.step("miss", "gcc -c a.c", options="-e FOO -e 'BAR*'", env={"FOO": "1", "BAR1": "2"})
    p.step("hit", "gcc -c a.c", options="-e FOO -e 'BAR*'", env={"FOO": "1", "BAR1": "1", "BAZ": "1"})
    words = "sh -c 'echo 1 >out'"
    p.twice(words, options="--no-env STAMP", env={"STAMP": "1"})
    p.step("hit", words, options="--no-env STAMP", env={"STAMP": "2"})


def test_label_and_build(p):
    run = p.step("miss", "sh -c 'echo 1 >out'", options="--label mine", env={"TARN_BUILD_ID": "b7"})
    equal((run.event["label"], run.event["build"]), ("mine", "b7"))
    equal(p.step("hit", "sh -c 'echo 1 >out'", env={"TARN_LABEL": "x"}).event["label"], "x")


def test_help_and_version(p):
    for option in "--help", "--version":
        child = p.spawn([], options=[option])
        out, err = child.communicate()
        equal((child.returncode, err), (0, b""))
        contains(out.decode(), "tarn-exec")


def test_options_end_at_the_command(p):
    run = p.run("echo --refresh -o -- x")
    equal(run.out, b"--refresh -o -- x\n")
    run = p.run("echo x", options="--")
    equal(run.out, b"x\n")


def test_nested(p):
    p.write("a.c", "int a;\n")
    equal(p.bare("gcc -c a.c -o bare.o").status, 0)
    for _ in range(3):
        child = p.spawn(["sh", "-c", f"{p.program} gcc -c a.c -o a.o && {p.program} sh -c 'echo inner; echo err >&2; exit 4'; echo $?"])
        out, err = child.communicate(timeout=30)
        equal((child.returncode, out, err), (0, b"inner\n4\n", b"err\n"))
        equal(p.read("a.o"), p.read("bare.o"))
        p.remove("a.o")
    p.write("a.c", "int b;\n")
    equal(p.bare("gcc -c a.c -o bare.o").status, 0)
    p.spawn(["sh", "-c", f"{p.program} gcc -c a.c -o a.o"]).communicate()
    equal(p.read("a.o"), p.read("bare.o"))


def test_nested_make(p):
    need("make")
    make_project(p)
    wanted, files = p.expect("make -s -j2 CC=gcc TARN=")
    for _ in range(2):
        p.shell("rm -f *.o sub/one sub/two sub/three sub/four")
        child = p.spawn(["make", "-s", "-j2", "CC=gcc", f"TARN={p.program}"])
        out, err = child.communicate(timeout=60)
        equal((child.returncode, err), (0, b""))
        equal(snapshot(p.root), files)
