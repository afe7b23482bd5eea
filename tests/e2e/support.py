"""What the tests of tarn-exec are written in.

    def test_header_edited(p):
        p.write("a.c", '#include "a.h"\\nint a = A;\\n')
        p.write("a.h", "#define A 1\\n")
        p.step("miss", "gcc -c a.c")
        p.step("hit", "gcc -c a.c")

A step runs the command bare first, puts everything back, and runs it once more
through tarn-exec: files, their modes, what was printed and the status must be the
same to the byte, whatever the outcome.
"""
import glob, json, os, re, shlex, shutil, stat, subprocess, tempfile, time

TOP = os.path.abspath(f"{os.path.dirname(os.path.abspath(__file__))}/../..")
BUILD = os.path.abspath(os.environ.get("TARN_BUILD", f"{TOP}/build"))
FAST = f"{BUILD}/tarn-exec"
CHECKED = f"{BUILD}/checked/tarn-exec"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FIELDS = {  # those that the event line always has
    "time": str, "outcome": str, "kind": str, "command": list, "cwd": str, "status": int, "wall_us": int,
    "key": (str, type(None)), "reason": (str, type(None)), "tier": (str, type(None)), "bytes": int,
    "build": (str, type(None)),
}
OUTCOMES = {"hit", "miss", "uncacheable", "failed", "disabled", "error"}


class Skip(Exception):
    pass


class Run:
    def __init__(self, status, out, err, event=None):
        self.status, self.out, self.err, self.event = status, out, err, event

    def result(self):
        return self.status, self.out, self.err

    def __str__(self):
        return f"status {self.status}, stdout {self.out[:500]!r}, stderr {self.err[:500]!r}, event {self.event}"


def equal(actual, wanted, what="value"):
    if actual != wanted:
        raise AssertionError(f"{what} is {str(actual)[:3000]}\nnot {str(wanted)[:3000]}")


def contains(text, part, what="text"):
    if part not in (text or ""):
        raise AssertionError(f"{what} is {text!r}, without {part!r}")


def need(*programs):
    for name in programs:
        if name == "root":
            if os.geteuid() != 0:
                raise Skip("needs root")
        elif not shutil.which(name, path=PATH):
            raise Skip(f"{name} is not installed")


def snapshot(root, times=False):
    """Everything below a folder: path to type, mode, and what it holds."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            what = stat.S_IFMT(st.st_mode)
            held = b""
            if what == stat.S_IFREG:
                held = open(path, "rb").read() if os.access(path, os.R_OK) else None
            elif what == stat.S_IFLNK:
                held = os.readlink(path)
            mode = 0 if what == stat.S_IFLNK else stat.S_IMODE(st.st_mode)
            found[os.path.relpath(path, root)] = (what, oct(mode), held)
    return found


def difference(a, b):
    for path in sorted(set(a) | set(b)):
        if a.get(path) != b.get(path):
            yield f"{path}: {str(a.get(path))[:300]} instead of {str(b.get(path))[:300]}"


def check_event(event):
    for name, kinds in FIELDS.items():
        assert name in event, f"the event has no {name}: {event}"
        assert isinstance(event[name], kinds), f"the event's {name} is {event[name]!r}"
    assert event["outcome"] in OUTCOMES, event
    if event["outcome"] == "hit":
        assert event["reason"] is None and event["tier"], event
    else:
        assert event["tier"] is None, event
    if event["outcome"] in ("miss", "uncacheable"):
        assert event["reason"], f"no reason: {event}"


class Project:
    """A folder `root` with a cache of its own, all in one temporary folder."""

    def __init__(self):
        self.top = os.path.realpath(tempfile.mkdtemp(prefix="tarn-e2e-"))
        self.root = f"{self.top}/p"
        self.dir = f"{self.top}/d"  # TARN_DIR
        self.program = CHECKED
        self.under = shlex.split(os.environ.get("TARN_UNDER", ""))  # words in front of the program
        self.made = set()
        os.makedirs(f"{self.root}/.git")  # so that it is a root
        os.makedirs(f"{self.top}/home")
        os.environ.pop("PWD", None)
        self.env = {
            "PATH": PATH, "HOME": f"{self.top}/home", "TARN_DIR": self.dir, "TARN_EVENTS": f"{self.top}/events",
            "XDG_CONFIG_HOME": f"{self.top}/home/config", "XDG_CACHE_HOME": f"{self.top}/home/cache", "LC_ALL": "C",
            "ASAN_OPTIONS": f"log_path={self.top}/asan", "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={self.top}/asan",
        }
        os.umask(0o022)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        reports = "".join(open(f, errors="replace").read() for f in glob.glob(f"{self.top}/asan*"))
        # What the leak checker says when it is killed itself, at the end of what is to be killed at any time.
        reports = re.sub(r"==\d+==Unable to get registers from thread \d+\.\n*", "", reports)
        subprocess.run(["chmod", "-R", "u+rwx", self.top], capture_output=True)
        shutil.rmtree(self.top, ignore_errors=True)
        if reports and kind is None:
            raise AssertionError(reports[:6000])
        if reports:
            print(reports[:3000])

    # ---- files ----

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text="", mode=None):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        if mode is not None:
            os.chmod(path, mode)
        return path

    def read(self, name):
        return open(self.path(name), "rb").read()

    def remove(self, *names):
        for name in names:
            path = self.path(name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def exists(self, name):
        return os.path.lexists(self.path(name))


    def checkout(self, name):
        """The same project in another folder, sharing the cache."""
        other = Project.__new__(Project)
        other.__dict__.update(self.__dict__)
        other.root, other.made = f"{self.top}/{name}", set()
        shutil.copytree(self.root, other.root, symlinks=True)
        for made in sorted(self.made, reverse=True):
            if os.path.lexists(f"{other.root}/{made}"):
                other.remove(made)
        return other

    # ---- running ----

    def for_everybody(self):
        """Let other users run the program too, wherever the build lies."""
        if os.path.dirname(self.program) != self.top:
            self.program = shutil.copy(self.program, self.top)

    def shell(self, text):
        subprocess.run(text, shell=True, cwd=self.root, env=self.env, check=True)

    def spawn(self, words, options=(), env=None, cwd=None, tarn=True, **more):
        words = shlex.split(words) if isinstance(words, str) else list(words)
        options = shlex.split(options) if isinstance(options, str) else list(options)
        full = dict(self.env)
        for name, value in (env or {}).items():
            full.pop(name, None)
            if value is not None:
                full[name] = value
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        if tarn:
            words = [*self.under, self.program, *options, *words]
        return subprocess.Popen(words, env=full, cwd=self.path(cwd or ""), **more)

    def run(self, words, tarn=True, input=None, **more):
        """Its results, and the event if it ran through tarn-exec."""
        before = len(self.events()) if tarn else 0
        if input is not None:
            more["stdin"] = subprocess.PIPE
        child = self.spawn(words, tarn=tarn, **more)
        out, err = child.communicate(input, timeout=120)
        events = self.events()[before:] if tarn else []
        if tarn and len(events) != 1:
            raise AssertionError(f"{len(events)} events of one action: {words}: {err!r}")
        return Run(child.returncode, out, err, events[0] if tarn else None)

    def bare(self, words, **more):
        more.pop("options", None)
        return self.run(words, tarn=False, **more)

    def events(self):
        path = self.env["TARN_EVENTS"]
        if not os.path.exists(path):
            return []
        text = open(path, "rb").read()
        assert text == b"" or text.endswith(b"\n"), text[-200:]
        found = [json.loads(line) for line in text.splitlines()]
        for event in found:
            check_event(event)
        return found

    def last(self):
        return self.events()[-1]

    def clean(self):
        for name in sorted(self.made, reverse=True):
            if self.exists(name):
                self.remove(name)
        self.made = set()

    def expect(self, words, **more):
        """What the command does when it runs bare; nothing of it stays."""
        aside = f"{self.root}.aside"
        shutil.copytree(self.root, aside, symlinks=True)
        run = self.bare(words, **more)
        after = snapshot(self.root)
        before = snapshot(aside)
        for name in set(after) - set(before):  # closed folders could not be removed
            if os.path.isdir(self.path(name)) and not os.path.islink(self.path(name)):
                subprocess.run(["chmod", "-R", "u+rwx", self.path(name)], capture_output=True)
        for name in sorted(set(after) - set(before), reverse=True):
            self.remove(name)
        now = snapshot(self.root)
        if now != before:  # it changed what was there
            shutil.rmtree(self.root)
            os.rename(aside, self.root)
        else:
            shutil.rmtree(aside)
        return run, after

    def step(self, outcome, words, reason=None, keep=False, bare_words=None, **more):
        if not keep:
            self.clean()
        before = set(snapshot(self.root))
        wanted, files = self.expect(bare_words or words, **more)
        run = self.run(words, **more)
        found = snapshot(self.root)
        self.made |= set(found) - before
        wrong = list(difference(found, files))
        if run.result() != wanted.result():
            wrong.append(f"bare: {wanted}")
        allowed = (outcome,) if isinstance(outcome, str) else outcome
        if run.event["outcome"] not in allowed:
            wrong.append(f"outcome {run.event['outcome']} instead of {outcome}")
        if reason and reason not in (run.event["reason"] or ""):
            wrong.append(f"no '{reason}' in the reason")
        if wrong:
            raise AssertionError("\n".join([f"{words}:", *wrong, f"tarn: {run}"]))
        return run

    def twice(self, words, **more):
        """A miss, then a hit with nothing there, then one with all of it there."""
        first = self.step("miss", words, **more)
        self.step("hit", words, **more)
        self.step("hit", words, keep=True, **more)
        return first

    def refused(self, words, reason=None, **more):
        """Never stored, twice."""
        self.step("uncacheable", words, reason, **more)
        return self.step("uncacheable", words, reason, **more)

    def gone(self, seconds, condition):
        """Wait until `condition` holds, which takes so long at most; longer on a busy machine."""
        end = time.monotonic() + max(seconds, 60)
        while not condition():
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.01)
