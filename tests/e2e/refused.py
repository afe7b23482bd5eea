"""Where the kernel, or a container, refuses what observation is made of."""
import os, shutil, signal, subprocess, sys, time
from behaviour import MAKEFILE, Terminal, make_project
from support import FAST, TOP, Skip, contains, equal, need, snapshot

CC = "gcc -c a.c"
SHADOWED = "gcc -Ione -Itwo -c a.c"
COPIED = ["sh", "-c", "cat two/a.h >a.o"]

# What leaves the listener, what leaves ptrace, and what leaves nothing.
LISTENER = {
    "docker": ["docker"],
    "its clone3 alone": ["clone3=ENOSYS"],
    "no reading of memory": ["process_vm_readv=EPERM"],
    "nor is it known": ["process_vm_readv=ENOSYS"],
    "before 5.19": ["killable=EINVAL"],
    "no descriptors of others": ["pidfd_open=EPERM", "pidfd_getfd=EPERM"],
    "no memory to share": ["memfd_create=ENOSYS"],
}
PTRACE = {
    "gVisor": ["listener=EINVAL"],
    "a profile": ["listener=EPERM", "docker"],
    "no seccomp()": ["seccomp=ENOSYS"],
    "before 5.5": ["killable=EINVAL", "continue=EINVAL"],
    "no receiving": ["receive=EPERM"],
    "another's listener": ["foreign=bpf"],
    "no reading of memory": ["listener=EINVAL", "process_vm_readv=EPERM"],
    "no statx": ["listener=EINVAL", "statx=ENOSYS", "clone3=ENOSYS"],
}
NOTHING = {
    "Yama": ["listener=EPERM", "ptrace=EPERM"],
    "no filter": ["filter=EPERM"],
    "filters unknown": ["filter=EINVAL"],
    "another's listener for opens": ["foreign=openat"],
    "another's listener for mounts": ["foreign=mount"],
    "opens refused to the proof": ["listener=EINVAL", "foreign=openat"],
}


def without_leak_check(p):
    """That of tarn-exec itself needs ptrace, and /proc."""
    if "detect_leaks" not in p.env["ASAN_OPTIONS"]:
        p.env["ASAN_OPTIONS"] += ":detect_leaks=0"


def under(p, *what):
    """Run tarn-exec below such a kernel from now on."""
    program = f"{p.top}/refuse"
    if not os.path.exists(program):
        subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Werror", "-O1", f"{TOP}/tests/e2e/refuse.c",
                        "-o", program], check=True)
    p.under = [program, *what, "--"]
    without_leak_check(p)


def traced(p):
    under(p, "listener=EINVAL")


def unobserved(p):
    under(p, "listener=EPERM", "ptrace=EPERM")


def source(p):
    p.write("a.c", "#include <a.h>\nint a = A;\n")
    p.write("two/a.h", "#define A 1\n")
    os.makedirs(p.path("one"))


def built(p, name, text, flags=""):
    p.write(f"{name}.c", text)
    p.shell(f"gcc -O1 -w -o {name} {name}.c {flags}")


def fresh(p, n):
    p.env["TARN_DIR"] = f"{p.top}/d{n}"


# ---- which means ----


def test_the_listener_stays(p):
    source(p)
    for n, (name, what) in enumerate(LISTENER.items()):
        under(p, *what), fresh(p, n)
        observer = p.twice(SHADOWED).event["observer"]
        equal(observer, "observed" if "memfd_create=ENOSYS" in what else "accelerated", name)
        if name in ("docker", "no reading of memory"):
            sound(p)


def test_ptrace_takes_over(p):
    source(p)
    for n, (name, what) in enumerate(PTRACE.items()):
        under(p, *what), fresh(p, n)
        event = p.twice(SHADOWED).event
        equal(event["observer"], "traced", name)
        contains(event["note"], "by ptrace, since there is no listener", name)
        if name in ("gVisor", "a profile", "another's listener"):
            sound(p)


def test_nothing_is_left(p):
    source(p)
    for n, (name, what) in enumerate(NOTHING.items()):
        under(p, *what), fresh(p, n)
        event = p.refused(COPIED, "it could not be observed: no listener (").event
        equal(event["observer"], "unobserved", name)
        contains(event["reason"], "no ptrace (", name)
        contains(event["hint"], "--input", name)


def test_what_was_seen_elsewhere_is_served(p):
    """Records don't say how they came to be: a hit needs no observer."""
    source(p)
    for first, second in ([], ["listener=EINVAL", "ptrace=EPERM"]), (["listener=EINVAL"], ["docker"]), (["listener=EPERM"], ["bpf=EPERM"]):
        shutil.rmtree(p.dir, ignore_errors=True)
        under(p, *(first or ["bpf=EPERM"]))
        p.step("miss", SHADOWED)
        under(p, *second)
        p.step("hit", SHADOWED)


def test_declared_instead(p):
    source(p)
    options = "-i a.c -i two -o a.o"
    under(p, "listener=EPERM", "ptrace=EPERM")
    first = p.step("miss", SHADOWED, options=options).event
    equal(first["observer"], "declared")
    contains(first["note"], "it could not be observed: no listener (Operation not permitted), no ptrace (Operation")
    p.step("hit", SHADOWED, options=options)
    p.write("two/a.h", "#define A 2\n")
    p.step("miss", SHADOWED, options=options)
    p.step("hit", SHADOWED, options=options)
    # A user who asks for observation gets no less.
    event = p.refused(SHADOWED, "it could not be observed", options=f"--trace {options}").event
    equal(event["observer"], "unobserved")
    p.refused(COPIED, "it could not be observed", options="-i a.c -i two")
    p.refused(COPIED, "it could not be observed", options="-o a.o")
    # What was only declared is not served where one can look.
    p.under = []
    p.step("miss", SHADOWED, options=options)
    p.step("hit", SHADOWED, options=options)
    under(p, "listener=EPERM", "ptrace=EPERM")
    p.write("one/a.h", "#define A 3\n")
    p.step("miss", SHADOWED, options="-i a.c -i one -i two -o a.o")
    p.step("hit", SHADOWED, options="-i a.c -i one -i two -o a.o")


def test_declared_by_a_rule(p):
    source(p)
    p.write("tarn.json", '{ "actions": [ { "match": "gcc*", "inputs": ["a.c", "two"], "outputs": ["a.o"] } ] }\n')
    under(p, "listener=EPERM", "ptrace=EPERM")
    event = p.step("miss", SHADOWED).event
    equal(event["observer"], "declared", str(event))
    p.step("hit", SHADOWED)


def test_without_proc(p):
    if os.geteuid() != 0:
        raise Skip("only root can mount")
    source(p)
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        raise Skip("there are no namespaces here")
    p.program = FAST  # the other one looks into /proc itself
    for words in (["unshare", "-pf"], ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]):
        p.under = words
        event = p.refused(SHADOWED, "'/proc' is missing, or another's").event
        equal(event["observer"], "unobserved")
        child = p.spawn("cat", stdin=subprocess.PIPE)
        equal((child.communicate(b"said")[0], child.returncode), (b"said", 0), "standard input")


# ---- soundness, whatever the means ----


def sound(p):
    """What a list of files alone would not tell."""
    p.write("one/a.h", "#define A 2\n")  # in front of the one that was found
    p.step("miss", SHADOWED)
    p.remove("one/a.h")
    p.step("hit", SHADOWED)
    p.write("two/a.h", "#define A 7\n")  # of the same size
    p.step("miss", SHADOWED)
    p.write("two/a.h", "#define A 1\n")
    p.step("hit", SHADOWED)

    p.write("d/one")
    p.step("miss", ["sh", "-c", "echo d/*"])
    p.write("d/two")
    p.step("miss", ["sh", "-c", "echo d/*"])
    p.step("hit", ["sh", "-c", "echo d/*"])

    p.write("1"), p.write("2", "2")
    for target in "1", "2":
        os.symlink(target, p.path("new"))
        os.rename(p.path("new"), p.path("link"))
        p.step("miss", "cat link")
    p.step("hit", "cat link")
    p.remove("link", "d", "1", "2")


def test_edited_while_it_ran(p):
    traced(p)
    for n, change in enumerate((lambda: p.write("in", "2\n"), lambda: p.remove("in"), lambda: p.write("absent"),
                                lambda: os.symlink("in", p.path("absent")))):
        fresh(p, n)
        p.write("in", "1\n")
        child = p.spawn(["sh", "-c", "cat in absent 2>/dev/null; : >ready; sleep 0.5"])
        p.gone(20, lambda: p.exists("ready"))
        change()
        child.communicate()
        equal(p.last()["outcome"], "uncacheable", str(p.last()))
        contains(p.last()["reason"], "while the command ran")
        for name in "absent", "ready":
            if p.exists(name):
                p.remove(name)


def test_writes_are_told_from_reads(p):
    traced(p)
    p.write("in", "text\n")
    words = ["sh", "-c", "mkdir -p sub/deep && cp in sub/deep/a && mv sub/deep/a sub/b && ln -sfn b sub/link && cat sub/link >out"
             " && rm -r sub/deep && chmod 750 sub/b"]
    for outcome in "miss", "hit":
        p.step(outcome, words)
    p.step("miss", ["sh", "-c", "echo more >>in; cat in >out2"])
    p.write("in", "text\n")
    p.step("hit", ["sh", "-c", "echo more >>in; cat in >out2"])


# ---- transparency under ptrace ----


def test_shells_and_pipelines(p):
    traced(p)
    p.write("in", "".join(f"{n}\n" for n in range(2000)))
    for text in ("cat in | sort -r | head -3 | tr 0-9 a-j", "(exit 3); echo $?; echo err >&2", "for i in 1 2 3; do (sleep 0.$((i * 3)); echo $i) & done; wait",
                 "yes 2>/dev/null | head -c 3000000 | wc -c", "x=$(cat in | wc -l); echo $x", "trap 'echo trapped' USR1; kill -USR1 $$; echo after"):
        p.twice(["bash", "-c", text])


def test_what_a_program_inherits(p):
    """Signals, descriptors and limits are those of a bare run, whatever was tried first."""
    text = "grep -E '^(Sig[BIC]|Umask|Threads)' /proc/self/status; ls /proc/self/fd; ulimit -a"
    for what in ["listener=EINVAL"], ["listener=EINVAL", "ptrace=EPERM"], ["continue=EINVAL"], ["docker"], ["foreign=bpf"]:
        under(p, *what)
        for ignored in [], [signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ], [signal.SIGINT, signal.SIGUSR1]:
            def prepare():
                for number in range(1, 32):
                    if number not in (signal.SIGKILL, signal.SIGSTOP):
                        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

            fresh(p, f"{what}{ignored}")
            wanted = p.bare(["bash", "-c", text], preexec_fn=prepare, restore_signals=False)
            run = p.run(["bash", "-c", text], preexec_fn=prepare, restore_signals=False)
            equal((run.out, run.err, run.status), (wanted.out, wanted.err, wanted.status), f"{what} {ignored}")


def test_job_control_is_seen(p):
    """Whoever waits for a child that stops and goes on is told so."""
    traced(p)
    built(p, "stops", """
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    int status;
    pid_t child = fork();
    if (child == 0) { raise(SIGSTOP); raise(SIGSTOP); _exit(7); }
    for (int i = 0; i < 3; i++) {
        waitpid(child, &status, WUNTRACED);
        printf("%d %d\\n", WIFSTOPPED(status) ? WSTOPSIG(status) : 0, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
        fflush(stdout);
        if (WIFSTOPPED(status)) kill(child, SIGCONT);
    }
}
""")
    p.twice("./stops")


THREADS = """
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static void *reads(void *arg) {
    char name[64], text[8] = { 0 };
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "in%d", (int)(long)arg);
        int fd = open(name, O_RDONLY);
        if (fd < 0 || read(fd, text, 7) < 1) abort();
        close(fd);
    }
    return NULL;
}
static void *execs(void *arg) { execlp("cat", "cat", "in1", NULL); return NULL; }
int main(int argc, char **argv) {
    pthread_t thread[8];
    for (long n = 0; n < 8; n++) pthread_create(&thread[n], NULL, reads, (void *)n);
    for (int n = 0; n < 8; n++) pthread_join(thread[n], NULL);
    char *words[] = { "cat", "in2", NULL };
    pid_t child;
    int status;
    posix_spawnp(&child, "cat", NULL, NULL, words, environ);
    waitpid(child, &status, 0);
    if (system("exec cat in3")) return 1;
    if ((child = vfork()) == 0) { execlp("cat", "cat", "in4", NULL); _exit(1); }
    waitpid(child, &status, 0);
    fflush(stdout);
    if (argc > 1) pthread_create(&thread[0], NULL, execs, NULL); /* by a thread that is not the first */
    else return 3 * (status != 0);
    pthread_join(thread[0], NULL);
    pause();
}
"""


def test_threads_and_processes(p):
    traced(p)
    for n in range(8):
        p.write(f"in{n}", f"{n}\n")
    built(p, "threads", THREADS, "-pthread")
    built(p, "static", THREADS, "-pthread -static")
    for words in "./threads", "./threads exec", "./static", "./static exec":
        for _ in range(3):
            fresh(p, words + str(_))
            p.twice(words)
    p.write("in5", "x\n")
    p.step("miss", "./threads")


def test_links(p):
    traced(p)
    p.write("a.c", "int a;\n"), p.write("main.c", "int a; int main(void) { return a; }\n")
    for words in "gcc -fcommon a.c main.c -o program", "gcc -fcommon -static a.c main.c -o program", "gcc -shared -fPIC a.c -o a.so":
        for outcome in "miss", "hit":
            p.step(outcome, words)
    p.write("a.c", "int a = 3;\n")
    p.step("miss", "gcc -fcommon a.c main.c -o program")
    equal(p.bare("./program").status, 3)


def test_make(p):
    need("make")
    traced(p)
    make_project(p)
    words = "make -s -j4 CC=gcc TARN="
    wanted, files = p.expect(words)
    for outcome in "miss", "miss", "hit":  # the second finds what the first left
        p.shell("rm -f *.o sub/one sub/two sub/three sub/four")
        run = p.run(words)
        equal((run.status, run.err), (0, b""))
        equal(snapshot(p.root), files)
        assert run.event["outcome"] in ("miss", "hit"), run
        equal(run.event["observer"] or "traced", "traced") if "observer" in run.event else None


def test_make_with_many_tracers(p):
    need("make")
    traced(p)
    make_project(p)
    wanted, files = p.expect("make -s -j4 CC=gcc TARN=")
    for k in range(2):
        p.shell("rm -f *.o sub/one sub/two sub/three sub/four")
        child = p.spawn([*p.under, "make", "-s", "-j4", "CC=gcc", f"TARN={p.program}"], tarn=False)
        out, err = child.communicate(timeout=100)
        equal((child.returncode, sorted(out.splitlines()), err), (0, sorted(wanted.out.splitlines()), wanted.err))
        equal(snapshot(p.root), files)
    equal([e["outcome"] for e in p.events() if e["kind"] == "compile"], ["miss"] * 8 + ["hit"] * 8)


def test_inside_of_another(p):
    """An inner tarn-exec finds the outer one although that can hand nothing out."""
    p.program = FAST
    traced(p)
    p.write("a.c", "int a;\n")
    child = p.spawn([FAST, "sh", "-c", f"{FAST} gcc -c a.c && echo done"])
    out, err = child.communicate()
    equal((child.returncode, out, err), (0, b"done\n", b""))
    contains(p.events()[0]["reason"], "inside of another action")
    equal(p.last()["observer"], "traced")


def tree_is_gone(mark):
    return subprocess.run(["pgrep", "-f", mark], capture_output=True).returncode != 0


def test_daemon_left_behind(p):
    """It is waited for by nobody, works to its end, and nothing is recorded."""
    p.write("in", "late\n")
    text = "(sleep 1; cat in >out; sleep 0.2; echo done >>out) >/dev/null 2>&1 & echo left"
    for means, reason in (unobserved, "could not be observed"), (traced, "outlived"), (traced, "outlived"):
        means(p)
        run = p.run(["sh", "-c", text])
        assert not p.exists("out") or p.read("out") != b"late\ndone\n", "the daemon was waited for"
        equal((run.status, run.out), (0, b"left\n"))
        equal(run.event["outcome"], "uncacheable")
        contains(run.event["reason"], reason)
        p.gone(10, lambda: p.exists("out") and p.read("out") == b"late\ndone\n")
        p.remove("out")
    run = p.run(["sh", "-c", "(sleep 0.5) & exit 5"])
    equal((run.status, run.event["outcome"]), (5, "failed"))
    run = p.run(["bash", "-c", "(sleep 0.5) & kill -TERM $$"])
    equal(run.status, -signal.SIGTERM)


def test_signals_are_passed_on(p):
    for means in traced, unobserved:
        means(p)
        text = "trap 'echo got it; exit 4' TERM; : >ready; while :; do sleep 0.05; done"
        child = p.spawn(["sh", "-c", text])
        p.gone(20, lambda: p.exists("ready"))
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=20)
        equal((child.returncode, out), (4, b"got it\n"))
        p.remove("ready")
        child = p.spawn(["sh", "-c", ": >ready; exec sleep 30"])
        p.gone(20, lambda: p.exists("ready"))
        child.send_signal(signal.SIGINT)
        equal(child.wait(20), -signal.SIGINT)
        p.remove("ready")


def test_interrupted_at_the_terminal(p):
    traced(p)
    terminal = Terminal(p, [*p.under, p.program, "sh", "-c", "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done"])
    terminal.read(b"ready")
    terminal.write(b"\x03")
    equal(terminal.wait(), 3)
    contains(terminal.text.decode(), "caught")
    equal(terminal.text.count(b"caught"), 1)


def test_killed(p):
    """Whoever is killed takes the command along, and the next run is right."""
    traced(p)
    mark = f"{p.top}/mark"
    text = f"sh -c 'sleep 60; : {mark}' & : >ready; sleep 60; : {mark}"
    child = p.spawn(["sh", "-c", text])
    p.gone(20, lambda: p.exists("ready"))
    child.kill()
    child.communicate()
    p.gone(10, lambda: tree_is_gone(mark))


# ---- what it can't bear ----


def test_programs_that_trace(p):
    need("strace")
    traced(p)
    words = "strace -qq -e trace=none -o log cat in"
    p.write("in", "text\n")
    event = p.refused(words, "'strace' takes ptrace for itself").event
    equal(event["observer"], "unobserved")
    p.refused(["sh", "-c", "true; strace -qq -e trace=none -o log cat in"], "'strace' takes ptrace")


LEAKS = """
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void *idles(void *arg) { pause(); return arg; }
static __attribute__((noinline)) void loses(int count) {
    for (int n = 0; n < count; n++) { char *volatile p = malloc(9); p[0] = 1; p = NULL; }
}
int main(int argc, char **argv) {
    pthread_t thread;
    for (int n = 1; n < atoi(argv[1]); n++) pthread_create(&thread, NULL, idles, NULL);
    loses(atoi(argv[2]));
    return 0;
}
"""


def test_leak_check(p):
    """It stops the program by ptrace, below a script as well as in front."""
    p.program = FAST
    traced(p)
    p.env.pop("ASAN_OPTIONS")
    built(p, "leaks", LEAKS, "-fsanitize=address -pthread")
    for words in ["./leaks", "1", "9"], ["./leaks", "4", "9"], ["./leaks", "1", "0"], ["./leaks", "4", "0"], ["sh", "-c", "x=lea; ./${x}ks 3 9"]:
        for _ in range(3):
            wanted, run = p.bare(words), p.run(words)
            equal((run.status, run.out), (wanted.status, wanted.out), str(run))
            equal(wanted.status, 0 if words[-1] == "0" else 1, str(words))
            equal(b"LeakSanitizer: detected memory leaks" in run.err, wanted.status == 1, str(run))
            equal(run.event["observer"], "traced")
            assert run.event["outcome"] in ("uncacheable", "failed"), run


def test_debugger_finds_it_taken(p):
    """What it wants to look into goes on undisturbed."""
    traced(p)
    p.write("in", "text\n")
    built(p, "attaches", """
#include <errno.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    int ends[2], status;
    char c;
    pipe(ends);
    pid_t other = fork();
    if (other == 0) { close(ends[1]); read(ends[0], &c, 1); execlp("cat", "cat", "in", NULL); }
    printf("%d\\n", ptrace(PTRACE_ATTACH, other, 0, 0) < 0 ? errno : 0);
    fflush(stdout);
    close(ends[1]);
    waitpid(other, &status, 0);
    return status;
}
""")
    run = p.run("./attaches")
    equal((run.status, run.out), (0, b"1\ntext\n"), str(run))
    contains(run.event["reason"], "it used ptrace")


def test_hidden_process(p):
    """A clone that asks not to be traced would run unseen."""
    traced(p)
    built(p, "hides", """
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    int status;
    pid_t child = syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) { execlp("cat", "cat", "in", NULL); _exit(1); }
    waitpid(child, &status, 0);
}
""")
    p.write("in", "1")
    p.twice("./hides")
    p.write("in", "2")
    p.step("miss", "./hides")


ODD = """
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    static const char name[] = "in";
    long got;
#ifdef X32
    got = syscall(0x40000000 + SYS_open, name, O_RDONLY);
#else
    __asm__ volatile("int $0x80" : "=a"(got) : "a"(5L), "b"(name), "c"(0L) : "memory");
#endif
    return 0;
}
"""


def test_other_numbers(p):
    """Calls of other architectures from an ordinary program: by listener and tracer."""
    p.write("in", "text\n")
    built(p, "x32", ODD, "-DX32"), built(p, "i386", ODD, "-static -no-pie")
    for n in range(2):
        for words in "./x32", "./i386":
            p.refused(words, "another architecture")
        traced(p)


def test_as_an_ordinary_user(p):
    if os.geteuid() != 0:
        raise Skip("needs root, to be somebody else")
    need("setpriv")
    source(p)
    under(p, "listener=EINVAL")
    p.for_everybody()
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    p.shell(f"chmod -R a+rwX {p.root}; chmod a+rwx {p.top}; touch {p.top}/events; chmod 666 {p.top}/events")
    for what, observer in (["listener=EINVAL"], "traced"), (["docker"], "accelerated"), (["foreign=bpf"], "traced"), (["process_vm_readv=EPERM"], "accelerated"):
        p.env["TARN_DIR"] = f"{p.top}/{what[0]}"
        for outcome in "miss", "hit":
            child = p.spawn([*user, f"{p.top}/refuse", *what, "--", p.program, *SHADOWED.split()], tarn=False)
            out, err = child.communicate(timeout=60)
            equal((child.returncode, out, err), (0, b"", b""), str(what))
            equal(p.last()["outcome"], outcome, str(p.last()))
            equal(p.last().get("observer", observer), observer)
            p.remove("a.o")
        child = p.spawn([*user, f"{p.top}/refuse", *what, "--", p.program, "sh", "-c", "cat a.c | wc -l; sleep 0.01 & wait"], tarn=False)
        out, err = child.communicate(timeout=60)
        equal((child.returncode, out, err), (0, b"2\n", b""), str(what))
        equal(p.last()["outcome"], "miss", str(p.last()))
