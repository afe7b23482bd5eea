"""The tables that the cases are written in.

    CASES = Table()
    CASES.changes("a header appears in an earlier folder", "{cc} -Ione -Itwo -c a.c",
                  given={"a.c": "#include <a.h>\\nint a = A;\\n", "two/a.h": "#define A 1\\n"},
                  then={"one/a.h": "#define A 2\\n"})

Such a line means: with what is given, the command is run, then run again, which must
be a hit, both where its outputs are gone and where they are still there. Then
something changes, and the results of the bare command must show it, or the case
proves nothing. The next run must not be a hit, and the one after that must be one
again. At last everything is put back, and the first result is a hit again. After
each run, files, modes, output and status are compared with those of a bare run.

"{cc}" in the words makes two cases of one, with gcc and with clang.
"""
import os, shutil

from support import FAST, need, snapshot

NOTHING = object()  # a path that is gone


def link(target):
    return lambda p, path: os.symlink(target, path)


def folder(p, path):
    os.makedirs(path)


def script(text):
    return mode(0o755, text)


def mode(bits, text=None):
    """These permissions; with the text, if there is one."""

    def put(p, path):
        if text is not None:
            p.write(path, text)
        os.chmod(path, bits)

    put.keeps = text is None
    return put


def at(seconds, text=None):
    """This time of modification."""

    def put(p, path):
        if text is not None:
            p.write(path, text)
        os.utime(path, (seconds, seconds))

    put.keeps = text is None
    return put


def forged(text):
    """Other content with the old size and time."""

    def put(p, path):
        st = os.stat(path)
        p.write(path, text)
        assert os.stat(path).st_size == st.st_size, "not the old size"
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))

    put.keeps = True
    return put


class Case:
    def __init__(self, words, given=None, then=None, first=None, env=None, then_env=None, then_words=None, then_first=None,
                 outcome="miss", before="miss", reason=None, cwd=None, needs=(), options=(), back=True, same=False, again="hit", settled=None,
                 stdin=None, limits=None, then_limits=None, umask=None, then_umask=None, only_first=False, checked=False):
        self.__dict__.update(locals())
        del self.__dict__["self"]

    # ---- the world ----

    def put(self, p, files):
        for name, what in files.items():
            path = p.path(name)
            if os.path.lexists(path) and what is not NOTHING and not callable(what) and os.path.islink(path):
                os.unlink(path)
            if callable(what) and not getattr(what, "keeps", False) and os.path.lexists(path):
                p.remove(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if what is NOTHING:
                p.remove(name)
            elif callable(what):
                what(p, path)
            else:
                if os.path.isdir(path):
                    p.remove(name)
                p.write(name, what)

    def shell(self, p, text):
        if text:
            p.shell(text)

    def settle(self, p):
        """Make the tree what it was, with the times that it had, and nothing more."""
        now, then = snapshot(p.root), snapshot(self.aside)
        for name in sorted(set(now) - set(then), reverse=True):
            p.remove(name)
        for name in sorted(then):
            if now.get(name) == then[name]:
                continue
            was = f"{self.aside}/{name}"
            if os.path.isdir(was) and not os.path.islink(was):
                if not os.path.isdir(p.path(name)) or os.path.islink(p.path(name)):
                    if p.exists(name):
                        p.remove(name)
                    os.makedirs(p.path(name))
                shutil.copystat(was, p.path(name))
                continue
            if p.exists(name):
                p.remove(name)
            shutil.copy2(was, p.path(name), follow_symlinks=False)
        for folder, _, files in os.walk(self.aside, topdown=False):
            here = p.path(os.path.relpath(folder, self.aside))
            for name in files:
                was = os.lstat(f"{folder}/{name}")
                if os.lstat(f"{here}/{name}").st_mtime_ns != was.st_mtime_ns:
                    os.utime(f"{here}/{name}", ns=(was.st_atime_ns, was.st_mtime_ns), follow_symlinks=False)
            times = os.stat(folder)
            os.utime(here, ns=(times.st_atime_ns, times.st_mtime_ns))
        p.made = set()

    def remember(self, p, name):
        self.aside = f"{p.top}/{name}"
        shutil.copytree(p.root, self.aside, symlinks=True)

    # ---- running ----

    def more(self, p, env, limits, umask):
        found = {"env": {n: v if v is None else v.replace("{root}", p.root) for n, v in (env or {}).items()}, "options": self.options}
        if self.cwd:
            found["cwd"] = self.cwd
        if self.stdin is not None:
            found["input"] = self.stdin
        if limits or umask is not None:
            found["preexec_fn"] = lambda: set_up(limits or {}, umask)
        return found

    def step(self, p, outcome, words, more, reason=None, keep=False):
        """What it printed, its status, and what it left."""
        if not keep:
            self.settle(p)
        before = snapshot(p.root)
        run = p.step(outcome, words, reason, keep=True, **more)
        after = snapshot(p.root)
        return run.result(), {n: v for n, v in after.items() if before.get(n) != v}

    def run(self, p):
        need(*self.needs)
        if not self.checked:
            p.program = FAST
        self.given, self.then = self.given or {}, self.then or {}
        self.put(p, self.given)
        self.shell(p, self.first)
        self.remember(p, "given")
        words = fill(self.words, p)
        more = self.more(p, self.env, self.limits, self.umask)
        shown = self.step(p, self.before, words, more, self.reason)
        first = p.last()["outcome"]
        if first != "miss":
            self.step(p, first, words, more, self.reason)
        else:
            self.step(p, "hit", words, more)
            if p.last()["kind"] == "compile":
                self.step(p, self.again, words, more, keep=True)
                self.step(p, self.settled or self.again, words, more, keep=True)
            else:  # it may have looked whether they are there
                for _ in range(2):
                    self.step(p, ("hit", "miss", "failed", "uncacheable"), words, more, keep=True)
        if self.only_first:
            return
        self.settle(p)
        self.put(p, self.then)
        self.shell(p, self.first if self.then_first is None and not self.then else self.then_first)
        given = self.aside
        self.remember(p, "then")
        now = fill(self.then_words or self.words, p)
        other = self.more(p, {**(self.env or {}), **(self.then_env or {})}, self.then_limits or self.limits,
                          self.umask if self.then_umask is None else self.then_umask)
        shown_now = self.step(p, self.outcome, now, other)
        if self.same is False and shown == shown_now:
            raise AssertionError(f"{words}: the change changes nothing: the case proves nothing")
        if self.same and shown != shown_now:
            raise AssertionError(f"{words}: the change was to change nothing: {shown} {shown_now}")
        second = p.last()["outcome"]
        self.step(p, (self.settled or self.again) if second in ("miss", "hit") else second, now, other)
        if self.back and first == "miss":
            self.aside = given
            self.step(p, "hit", words, more)


def set_up(limits, umask):
    import resource
    for name, value in limits.items():
        soft, hard = resource.getrlimit(getattr(resource, name))
        resource.setrlimit(getattr(resource, name), (value, hard))
    if umask is not None:
        os.umask(umask)


def fill(words, p):
    if isinstance(words, str):
        return words.replace("{root}", p.root)
    return [word.replace("{root}", p.root) for word in words]


def compilers(words):
    """The same words with gcc and with clang, where {cc} stands for them."""
    text = words if isinstance(words, str) else " ".join(words)
    for cc in ("gcc", "clang") if "{c" in text else (None,):
        def named(word):
            return word.replace("{cc}", cc).replace("{cxx}", "g++" if cc == "gcc" else "clang++")
        yield cc, words if not cc else named(words) if isinstance(words, str) else [named(w) for w in words]


class Table(dict):
    def __init__(self, **defaults):
        super().__init__()
        self.defaults = defaults

    def changes(self, title, words, **more):
        """The change costs the hit."""
        for (cc, own), (_, then) in zip(compilers(words), compilers(more.get("then_words") or words)):
            full = f"{title} ({cc})" if cc else title
            assert full not in self, full
            case = {**self.defaults, **more}
            if more.get("then_words"):
                case["then_words"] = then
            if cc:
                case["needs"] = (*more.get("needs", ()), cc)
                for part in "first", "then_first":
                    if case.get(part):
                        case[part] = case[part].replace("{cc}", cc)
            self[full] = Case(own, **case)

    def harmless(self, title, words, **more):
        """The change is none: it must still be a hit."""
        self.changes(title, words, **{"outcome": "hit", "same": True, "back": False, **more})

    def refused(self, title, words, reason, **more):
        """Never kept, with this in the reason."""
        self.changes(title, words, **{"before": "uncacheable", "reason": reason, "only_first": True, **more})

    def same(self, title, words, **more):
        """A miss, then hits, byte for byte; nothing changes."""
        self.changes(title, words, **{"only_first": True, **more})


def sh(text):
    return ["sh", "-c", text]
