"""Every stored file damaged in every way: the build's outputs are right, the event
says what was found, `tarn verify` finds it, `--repair` heals, and all hits again."""
import json, os, shutil, stat, subprocess
from support import BUILD, CHECKED, Skip, difference, equal, need, snapshot

COMMANDS = [
    "gcc -c -o a.o a.c",
    "gcc -MD -c -o big.o big.c",  # over 64 KiB, a blob of its own
    """sh -c 'cat a.h; seq 20000; seq 19999 >out.txt; echo small >small.txt'""",  # prints more than 64 KiB, too
]
NOBODY = 65534


class Build:
    """A small project, built bare once to know what is right."""

    def __init__(self, p, user=None):
        self.p, self.tarn = p, f"{BUILD}/checked/tarn"
        p.write("a.h", "#define A 1\n")
        p.write("a.c", '#include "a.h"\nint a = A;\n')
        p.write("big.c", '#include "a.h"\nconst char big[70000] = {A};\n')
        p.write("tarn.json", "{}\n")  # so that there is a compiled configuration
        if user is not None:
            self.become(user)
        self.before = snapshot(p.root)
        self.bare = [p.bare(words).result() for words in COMMANDS]
        self.right = snapshot(p.root)
        self.made = sorted(set(self.right) - set(self.before))
        for outcome in "miss", "hit":
            self.build(outcome)
        subprocess.run([self.tarn, "write", "out.txt", "--label", "demo"], env=p.env, cwd=p.root, check=True, stdout=subprocess.DEVNULL)

    def become(self, user):
        """Root may read everything; modes only mean something to others."""
        p = self.p
        if os.geteuid() != 0:
            return
        p.program, self.tarn = shutil.copy(CHECKED, p.top), shutil.copy(self.tarn, p.top)
        subprocess.run(["chown", "-R", f"{user}:{user}", p.top], check=True)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)

    def build(self, wanted=None):
        """Outputs as bare, to the byte; the events."""
        p, events = self.p, []
        if os.path.exists(p.env["TARN_EVENTS"]):
            os.truncate(p.env["TARN_EVENTS"], 0)
        for name in self.made:
            if p.exists(name):
                p.remove(name)
        for words, bare in zip(COMMANDS, self.bare):
            run = p.run(words)
            equal(run.result(), bare, f"{words}: {run.event}: result")
            events.append(run.event)
        wrong = list(difference(snapshot(p.root), self.right))
        equal(wrong, [], f"files after {events}")
        if wanted:
            equal([e["outcome"] for e in events], [wanted] * len(events), f"outcomes of {events}")
        return events

    def verify(self, *options):
        """Status and findings."""
        run = subprocess.run([self.tarn, "verify", "--json", *options], env=self.p.env, cwd=self.p.root, capture_output=True, timeout=60)
        assert run.returncode in (0, 1) and not run.stderr, (run.returncode, run.stderr)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        equal(lines[-1]["damaged"], len(lines) - 1, str(lines))
        return run.returncode, lines[:-1]

    def sound(self, when):
        equal(self.verify(), (0, []), f"what verify says {when}")

    # ---- what is stored ----

    def files(self):
        """Path to class of everything in TARN_DIR but the events."""
        found = {}
        for folder, _, names in os.walk(self.p.dir):
            for name in names:
                path = os.path.join(folder, name)
                below = os.path.relpath(path, self.p.dir)
                if not below.startswith("events"):
                    found[path] = self.kind(path, below)
        return found

    def kind(self, path, below):
        if below.startswith("lake/tools/tarn-exec/index/"):
            return "list" if b"tarn.PathSets" in open(path, "rb").read() else "record"
        if below.startswith("lake/tools/"):
            return "labels" if below.endswith(".json") else "aside"
        if below == "lake/config.yml":
            return "config.yml"
        return "blob" if below.startswith("lake/") else below.split("/")[0]


def flip(at):
    def change(path):
        size = os.path.getsize(path)
        if size == 0:  # a lock, or nothing yet
            return
        with open(path, "r+b") as file:
            place = min(size - 1, int(size * at))
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 4]))
    change.__name__ = f"a bit at {at}"
    return change


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def empty(path):
    os.truncate(path, 0)


def grow(path):
    with open(path, "ab") as file:
        file.write(b"x\n")


def missing(path):
    os.unlink(path)


def folder(path):
    os.unlink(path)
    os.mkdir(path)


def mode(bits):
    def change(path):
        os.chmod(path, bits)
    change.__name__ = f"mode {bits:04o}"
    return change


WRITABLE = mode(0o666)


def damage(path, change):
    """The mode stays what it was: only one thing is wrong at a time."""
    bits = stat.S_IMODE(os.stat(path).st_mode)
    os.chmod(path, bits | 0o200)
    change(path)
    if os.path.isfile(path) and not change.__name__.startswith("mode"):
        os.chmod(path, bits)


TOLD_ASIDE = {"digests": "digest table", "config": "config/"}  # those that work all the same
WORDS = {  # what events say of damage, by class of file
    "blob": ("blob ", "open"), "record": ("record",), "list": ("path sets", "open", "are new"),
}


def told(kind, events):
    texts = [f"{e['reason']} {e.get('note')}" for e in events]
    return any(word in text for text in texts for word in WORDS[kind])


def check_build_first(build, path, kind, change):
    """The build meets the damage, and mends it by the way or leaves it to verify."""
    what = f"{change.__name__} of {kind} {path}"
    damage(path, change)
    events = build.build()
    outcomes = [e["outcome"] for e in events]
    assert set(outcomes) <= {"hit", "miss", "uncacheable"}, (what, events)
    if kind in WORDS and outcomes != ["hit"] * len(events):
        assert told(kind, events), f"{what}: untold in {events}"
    if kind in WORDS:
        build.build()
        build.build("hit")  # without any repair, too
        if change is not WRITABLE:  # which no build minds
            build.sound(f"after builds over {what}")
    if kind in TOLD_ASIDE and (change in (cut, empty) or kind == "config" and change.__name__ not in ("missing", "mode 0666")):
        assert TOLD_ASIDE[kind] in (events[0].get("note") or ""), f"{what}: untold in {events[0]}"
    if kind not in WORDS:
        equal(outcomes, ["hit"] * len(events), f"{what}: outcomes of {events}")
    status, found = build.verify("--repair")
    equal(status, 0, f"{what}: status of verify --repair, which said {found}")
    build.sound(f"after the repair of {what}")
    build.build()
    build.build("hit")


FOUND = {"blob", "record", "list", "labels", "config.yml"}  # what a repair has to find, whatever is wrong


def check_verify_first(build, path, kind, change):
    what = f"{change.__name__} of {kind} {path}"
    damage(path, change)
    harmless = (missing, "record"), (missing, "list"), (missing, "labels"), (WRITABLE, "labels")  # everybody may label
    status, found = build.verify()
    if kind in FOUND and (change, kind) not in harmless:
        equal(status, 1, f"{what}: status of verify")
        key = "".join(path.split("/")[-2:])
        assert any(f.get("key") == key or f["path"] == path or key in f["found"] for f in found), f"{what}: {found}"
    status, found = build.verify("--repair")
    equal(status, 0, f"{what}: status of verify --repair, which said {found}")
    build.sound(f"after the repair of {what}")
    build.build()
    build.build("hit")


def every(p, changes, user=None, kinds=None):
    build = Build(p, user)
    files = build.files()
    classes = sorted(files.values())
    for kind, least in ("blob", 3), ("record", 3), ("list", 3), ("config.yml", 1), ("digests", 1), ("config", 1), ("labels", 1), ("aside", 1):
        assert classes.count(kind) >= least, classes
    for path, kind in sorted(files.items()):
        if kinds and kind not in kinds:
            continue
        for change in changes:
            for check in check_build_first, check_verify_first:
                if os.path.exists(path):  # what only speeds things up may have gone
                    check(build, path, kind, change)


def test_a_bit_near_the_start(p):
    every(p, [flip(0)])


def test_a_bit_in_the_middle(p):
    every(p, [flip(0.5)])


def test_a_bit_at_the_end(p):
    every(p, [flip(1)])


def test_files_cut_short(p):
    every(p, [cut])


def test_files_emptied(p):
    every(p, [empty])


def test_files_that_grew(p):
    every(p, [grow])


def test_files_missing(p):
    every(p, [missing])


def test_folders_for_files(p):
    every(p, [folder], kinds=WORDS)


def test_files_nobody_may_read(p):
    need("gcc")
    every(p, [mode(0)], NOBODY)


def test_files_everybody_may_write(p):
    every(p, [WRITABLE], NOBODY)
