"""tarn-exec is killed before each of its system calls in turn, and each that can
fail fails in turn: the next run is right, and this one is as it is bare.

build/walk does it, to tarn-exec alone and not to the command. A walk takes every
K-th call, from an offset that WALK_SEED sets (by default the day); WALK_ALL=1
takes them all. What is said at the end tells how many of how many it was.
"""
import hashlib, os, shutil, signal, stat, subprocess, time
from support import BUILD, FAST, Project, Run, contains, difference, equal, snapshot

WALK = f"{BUILD}/walk"
ALL = os.environ.get("WALK_ALL") == "1"
SEED = int(os.environ.get("WALK_SEED") or time.time() // 86400)
BUDGET = float(os.environ.get("WALK_SECONDS") or 6)  # for each walk, if not all

CC = "gcc -c a.c"
GENERATE = "sh gen.sh"
GENERATOR = """set -e
mkdir -p d/e
cat in in in in in in in in > d/big
echo small > d/e/small
ln -sf e/small d/link
chmod 755 d/e/small
umask 077
echo own > own
echo said
echo wrong >&2
cat in in in in in in in in
"""


def source(p):
    p.write("a.c", '#include "a.h"\nint a = A;\n')
    p.write("a.h", "#define A 1\n")


def generator(p):
    p.write("gen.sh", GENERATOR)
    p.write("in", "".join(f"line {i}\n" for i in range(1200)))


class Walk:
    """One action, walked through. `prepare` brings everything to where it starts."""

    def __init__(self, p, words, prepare, made, options=(), input=None):
        p.program = FAST
        self.p, self.words, self.prepare, self.made = p, words, prepare, made
        self.options, self.input = list(options), input
        self.stdin = {} if input is None else {"stdin": subprocess.PIPE}
        self.report = f"{p.top}/report"
        self.lakes = [f"{p.dir}/lake", f"{p.top}/lake"]
        self.found = []
        self.wanted, self.files = p.expect(words, input=input)
        self.files = {name: self.files[name] for name in self.files if any(name == m or name.startswith(m + "/") for m in made)}
        self.start()

    def start(self):
        self.clear()
        self.prepare()

    def clear(self):
        for name in self.made:
            if self.p.exists(name):
                subprocess.run(["chmod", "-R", "u+rwx", self.p.path(name)], capture_output=True)
                self.p.remove(name)

    def walk(self, *how):
        words = [WALK, self.report, *[str(word) for word in how], FAST, *self.options, *self.words.split()]
        child = self.p.spawn(words, tarn=False, start_new_session=True, **self.stdin)
        try:
            out, err = child.communicate(self.input, timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            err += b"\nit hung"
        lines = open(self.report, errors="replace").read().splitlines()
        return Run(child.returncode, out, err), lines

    def calls(self, chosen):
        """How many there are, when what can be learned from one run to the next has been."""
        for _ in range(3):
            self.start()
            count = len(self.walk("count", chosen)[1])
        return count

    # ---- what must hold ----

    def outputs(self):
        found = snapshot(self.p.root)
        return {name: found[name] for name in found if any(name == m or name.startswith(m + "/") for m in self.made)}

    def right(self, run):
        if run.result() != self.wanted.result():
            yield f"{str(run)[:300]}\ninstead of {str(self.wanted)[:300]}"
        yield from difference(self.outputs(), self.files)

    def leftovers(self):
        for folder, folders, files in os.walk(self.p.root):
            for name in folders + files:
                if name.startswith(".tarn"):
                    yield f"{folder}/{name} was left"
                    self.p.remove(f"{folder}/{name}")

    def home(self):
        """What is in TARN_DIR, but for lakes: nothing that we don't know."""
        for folder, folders, files in os.walk(self.p.dir):
            if folder == self.p.dir and "lake" in folders:
                folders.remove("lake")
            for name in files:
                if name not in ("digests", "events.jsonl") and not name.endswith((".bin", ".so")):
                    yield f"{folder}/{name} was left"

    def damage(self):
        """Every blob is what its name says."""
        for lake in self.lakes:
            for folder, folders, files in os.walk(lake):
                if folder == lake:
                    folders[:] = [f for f in folders if f not in ("tools", ".tmp")]
                for name in files:
                    path = os.path.join(folder, name)
                    if folder == lake and name == "config.yml":
                        continue
                    digits = os.path.relpath(path, lake).replace("/", "")
                    if hashlib.sha256(open(path, "rb").read()).hexdigest() != digits:
                        yield f"{path} is damaged"
                    if stat.S_IMODE(os.stat(path).st_mode) != 0o444:
                        yield f"{path} has the mode {os.stat(path).st_mode:o}"
            for folder, folders, files in os.walk(f"{lake}/tools/tarn-exec/index"):
                for name in files:
                    path = os.path.join(folder, name)
                    if stat.S_IMODE(os.stat(path).st_mode) != 0o444 or os.path.getsize(path) == 0:
                        yield f"{path} is half a value"

    def plain(self, clear):
        if clear:
            self.clear()
        before = len(self.p.events())
        child = self.p.spawn(self.words, self.options, **self.stdin)
        out, err = child.communicate(self.input, timeout=60)
        run = Run(child.returncode, out, err)
        events = self.p.events()[before:]
        run.event = events[0] if len(events) == 1 else None
        if not run.event:
            yield f"{len(events)} events"
        yield from self.right(run)
        self.last = run.event and run.event["outcome"]

    def again(self):
        """The next run is right, and so is one that starts without outputs; then it hits,
        at once or, since the one before began with some outputs there, when run again."""
        for clear in False, True, True:
            yield from self.plain(clear)
            if clear and self.last == "hit":
                break
        if self.last not in self.settled:
            yield f"the third run after that is a {self.last}: {self.p.events()[-1]}"
        yield from self.leftovers()
        yield from self.home()
        yield from self.damage()

    settled = ("hit",)

    # ---- walking ----

    def each(self, what, count, one):
        """Call one(n) for 1 to `count`, or as many of them as there is time for."""
        numbers = list(range(1, count + 1))
        end = time.monotonic() + BUDGET
        if not ALL:  # all of them in an order that spreads them, until time is up
            step = next(s for s in range(max(count * 618 // 1000, 1), count + 2) if gcd(s, count) == 1)
            numbers = [(SEED * 7919 + i * step) % count + 1 for i in range(count)]
        done = 0
        for n in numbers:
            if not ALL and time.monotonic() > end:
                break
            for wrong in one(n):
                self.found.append(f"{what} {n}: {wrong}\n   {self.said}")
            done += 1
            if len(self.found) > 40:
                break
        print(f"{what}: {done} of {count}", flush=True)

    def kills(self, chosen="all"):
        count = self.calls("all")

        def one(n):
            self.start()
            run, lines = self.walk("kill", n)
            self.said = lines[0] if lines else "?"
            if run.status != 137 and len(lines) > 1:  # it was there, and did not do it
                yield f"status {run.status}"
            yield from self.damage()
            yield from self.again()

        self.each("killed before call", count, one)

    def faults(self, chosen, error, how="once", first=1):
        count = self.calls(chosen)

        def one(n):
            if n < first:
                return
            self.start()
            run, lines = self.walk("fail", chosen, n, error, how)
            self.said = lines[0] if lines else "?"
            if " brk(" in self.said and n < 20:
                return  # libc's own, before main()
            yield from self.right(run)
            yield from self.leftovers()
            yield from self.damage()
            if how == "once":
                yield from self.plain(clear=True)

        self.each(f"{error} {how} from {chosen[:30]}", count, one)

    def shorts(self):
        count = self.calls("write")

        def one(n):
            self.start()
            run, lines = self.walk("short", n)
            self.said = lines[0] if lines else "?"
            yield from self.right(run)
            yield from self.plain(clear=True)

        self.each("half a write", count, one)

    def check(self):
        if self.found:
            raise AssertionError(f"{len(self.found)} findings:\n" + "\n".join(text[:1500] for text in self.found[:20]))


def gcd(a, b):
    while b:
        a, b = b, a % b
    return a


# Those of the promise, and those like them.
WRITES = "write,pwrite64,rename,renameat2,link,linkat,mmap,fsync,ftruncate,openat,open,mkdir,fchmod,chmod,copy_file_range," \
    "unlink,symlink,utimensat,flock,memfd_create"
FULL = "write,pwrite64,rename,renameat2,linkat,ftruncate,openat,mkdir,copy_file_range,symlink"


def all_faults(walk):
    for error in "ENOSPC", "EIO":
        walk.faults(WRITES, error)
    walk.faults(FULL, "ENOSPC", "on")
    walk.faults("mmap,mremap,brk", "ENOMEM", "on", first=6)  # libc needs the first ones itself
    walk.faults("all", "EIO")
    walk.faults("all", "EINTR")


def fresh(p, *parts):
    """Take these parts of TARN_DIR away."""
    for part in parts or [""]:
        path = f"{p.dir}/{part}" if part else p.dir
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)


def miss(p):
    source(p)
    return Walk(p, CC, lambda: fresh(p, "lake"), ["a.o"])


def cold(p):
    source(p)
    return Walk(p, CC, lambda: fresh(p), ["a.o"])


def configured(p):
    source(p)
    p.write("tarn.json", '{ "locations": { "disk": "%s/lake", "max_size": "1 GiB" } }\n' % p.top)

    def prepare():
        fresh(p)
        shutil.rmtree(f"{p.top}/lake", ignore_errors=True)

    return Walk(p, CC, prepare, ["a.o"])


def hit(p):
    source(p)
    p.program = FAST
    p.step("miss", CC)
    p.step("hit", CC)
    p.clean()
    return Walk(p, CC, lambda: None, ["a.o"])


def hit_over(p):
    walk = hit(p)
    walk.prepare = lambda: p.write("a.o", "something else")
    return walk


def generated(p):
    generator(p)
    return Walk(p, GENERATE, lambda: fresh(p, "lake"), ["d", "own"])


def generated_hit(p):
    generator(p)
    p.program = FAST
    p.step("miss", GENERATE)
    p.step("hit", GENERATE)
    p.clean()
    return Walk(p, GENERATE, lambda: None, ["d", "own"])


def fed(p):
    """A declared standard input."""
    p.write("in.sh", "cat > out; wc -c < out")
    lines = "".join(f"line {i}\n" for i in range(9000)).encode()
    return Walk(p, "sh in.sh", lambda: fresh(p, "lake"), ["out"], ["--stdin"], lines)


def second_set(p):
    """The list of path sets is replaced by a longer one."""
    source(p)
    p.write("b.h", "#define B 1\n")
    p.program = FAST
    p.step("miss", CC)
    p.clean()
    shutil.copytree(f"{p.dir}/lake", f"{p.top}/kept")
    p.write("a.h", '#include "b.h"\n#define A B\n')

    def prepare():
        fresh(p, "lake")
        shutil.copytree(f"{p.top}/kept", f"{p.dir}/lake")

    return Walk(p, CC, prepare, ["a.o"])


def full(p):
    """A lake that has room for little, and must make some."""
    source(p)
    p.program = FAST
    tiers = '{ "locations": { "disk": "%s/lake", "max_size": "12 KiB" } }\n' % p.top
    p.write("tarn.json", tiers)
    for n in 2, 3, 4:
        p.write("a.h", f"#define A {n}\n")
        p.step("miss", CC)
    p.clean()
    p.write("a.h", "#define A 1\n")
    shutil.copytree(f"{p.top}/lake", f"{p.top}/kept")

    def prepare():
        shutil.rmtree(f"{p.top}/lake")
        shutil.copytree(f"{p.top}/kept", f"{p.top}/lake")

    walk = Walk(p, CC, prepare, ["a.o"])
    walk.settled = ("hit", "miss")
    return walk


def killed(p, subject):
    walk = subject(p)
    walk.kills()
    walk.check()


def failing(p, subject):
    walk = subject(p)
    all_faults(walk)
    walk.shorts()
    walk.check()


def test_killed_command_goes_too(p):
    """Observed or not, what stands for the command takes it along."""
    for options in "", "--no-trace":
        p.program = FAST
        child = p.spawn(["sh", "-c", "echo $$ > begun; while :; do sleep 0.05; date; done > late"], options)
        p.gone(10, lambda: p.exists("begun") and p.read("begun"))
        shell = int(p.read("begun"))
        child.kill()
        child.communicate()
        p.gone(10, lambda: not os.path.exists(f"/proc/{shell}") or "Z" in open(f"/proc/{shell}/stat").read().split(")")[1][:3])
        p.remove("begun")


def test_restored_by_many_at_once(p):
    """All of them hit, and the output is whole, whatever was there."""
    p.program = FAST
    for size in 10, 100000:
        p.write("a.c", f"char a[{size}] = {{ 1 }};\n")
        p.step("miss", CC)
        wanted = snapshot(p.root)
        for round in range(12):
            p.write("a.o", f"other {round}") if round % 2 else p.remove("a.o")
            before = len(p.events())
            children = [p.spawn(CC) for _ in range(6)]
            for child in children:
                child.communicate()
                equal(child.returncode, 0)
            equal(list(difference(snapshot(p.root), wanted)), [])
            equal([event["outcome"] for event in p.events()[before:]], ["hit"] * 6)


def test_killed_in_a_miss(p):
    killed(p, miss)


def test_killed_in_the_first_of_all_runs(p):
    killed(p, cold)


def test_killed_with_a_configuration(p):
    killed(p, configured)


def test_killed_in_a_hit(p):
    killed(p, hit)


def test_killed_in_a_hit_over_another_output(p):
    killed(p, hit_over)


def test_killed_in_a_miss_of_much(p):
    killed(p, generated)


def test_killed_in_a_hit_of_much(p):
    killed(p, generated_hit)


def test_killed_in_a_second_path_set(p):
    killed(p, second_set)


def test_killed_in_a_full_lake(p):
    killed(p, full)


def test_faults_in_a_miss(p):
    failing(p, miss)


def test_faults_in_the_first_of_all_runs(p):
    failing(p, cold)


def test_faults_with_a_configuration(p):
    failing(p, configured)


def test_faults_in_a_hit(p):
    failing(p, hit)


def test_faults_in_a_hit_over_another_output(p):
    failing(p, hit_over)


def test_faults_in_a_miss_of_much(p):
    failing(p, generated)


def test_faults_in_a_hit_of_much(p):
    failing(p, generated_hit)


def test_killed_with_an_input(p):
    killed(p, fed)


def test_faults_with_an_input(p):
    failing(p, fed)


def test_faults_in_a_second_path_set(p):
    failing(p, second_set)


def test_faults_in_a_full_lake(p):
    failing(p, full)
