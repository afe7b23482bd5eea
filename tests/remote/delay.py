"""Twenty milliseconds away: what a hit costs in round trips, counted on the wire, and a build in time."""
import asyncio, collections, concurrent.futures, contextlib, glob, json, os, shutil, subprocess, threading, time

import nginx, redis, s3, ssh, support

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ONE_WAY = 0.01


# ---- the wire ----

class Way(asyncio.Protocol):
    """One direction of one connection: each byte goes on after `delay` seconds."""
    def __init__(self, wire, up, line):
        self.wire, self.up, self.line, self.waiting, self.to = wire, up, line, collections.deque(), None

    def connection_made(self, transport):
        self.transport = transport
        if self.up:
            asyncio.ensure_future(self.reach())

    async def reach(self):
        try:
            _, other = await asyncio.get_event_loop().create_connection(lambda: Way(self.wire, False, self.line), "127.0.0.1", self.wire.port)
        except OSError:
            return self.transport.abort()
        other.to, self.to = self, other
        for _ in list(self.waiting):
            self.later()

    def data_received(self, data):
        self.forward((data, *self.wire.said(self.line, self.up)))

    def connection_lost(self, error):
        self.forward(None)

    def forward(self, data):
        self.waiting.append(data)
        if self.to:
            self.later()

    def later(self):
        asyncio.get_event_loop().call_later(self.wire.delay, self.deliver)

    def deliver(self):
        what = self.waiting.popleft()
        if what is None:
            return self.to.transport.close()
        data, trip, since = what
        self.wire.heard(self.line, self.up, trip, since)
        if not self.up:
            self.wire.carried += len(data)
        self.to.transport.write(data)


class Line:
    """One connection: how often the client said something after it had heard something."""
    def __init__(self):
        self.turns, self.answered = 0, True


class Wire:
    """Stands between clients and the server at `port`. `trips` is the longest chain of words and answers to them
    since reset(), over all connections: what a client says belongs to the trip after that of the last answer that
    it has heard. So what a busy machine says in pieces is one trip, unless it takes a trip's time over it. The
    first `own` times that a client speaks on a connection make it, and don't count."""
    def __init__(self, port, own):
        self.port, self.own, self.delay, self.resets, self.lines = port, own, ONE_WAY, 0, []
        self.carried = 0  # bytes from the server
        self.reset()
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            self.loop.create_server(self.accept, "127.0.0.1", 0, backlog=200))
        self.here = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def accept(self):
        self.lines.append(Line())
        return Way(self, True, self.lines[-1])

    def said(self, line, up):
        """Which trip it belongs to, and since which reset() that counts."""
        line.turns += up and line.answered
        line.answered &= not up
        if line.turns <= self.own:
            return 0, -1
        trip = self.answered + 1 if up else self.asked
        self.trips = max(self.trips, trip)
        return trip, self.resets

    def heard(self, line, up, trip, since):
        line.answered |= not up
        if since != self.resets:
            return
        if up:
            self.asked = max(self.asked, trip)
        else:
            self.answered = max(self.answered, trip)

    def reset(self):
        self.resets += 1
        self.trips = self.asked = self.answered = 0

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(asyncio.sleep(0))


def behind(start, needs, url, meet=lambda server, port: None, own=0):
    """A server that starts so, told at url(server, port) of a port, behind a wire, once clients know it there."""
    @contextlib.contextmanager
    def delayed(folder):
        missing = [p for p in needs if not shutil.which(p)]
        if missing:
            raise support.Skip(f"{', '.join(missing)} not installed")
        with start(folder) as server:
            wire = Wire(server.port, own)
            meet(server, wire.here)
            try:
                yield support.Server(None, server.env, wire=wire, inner=server, far=lambda name: url(server, wire.here, name),
                                     near=lambda name: url(server, server.port, name))
            finally:
                wire.close()
    return delayed


def meet_host(server, port):
    with open(f"{server.env['HOME']}/.ssh/known_hosts", "a") as known:
        known.write(ssh.known_hosts(server.keys, port, "ed25519", "ecdsa"))


def by_ssh(scheme):
    return behind(lambda folder: ssh.server(folder, scheme), ssh.NEEDS,
                  lambda server, port, name: f"{scheme}://{ssh.ME}@127.0.0.1:{port}{server.keys}/far/{name}", meet_host,
                  own=10)  # 8, or 9 if both greet at once


SERVERS = {
    "delayed redis": behind(redis.plain, redis.NEEDS, lambda _, port, name: f"redis://127.0.0.1:{port}/3?prefix={name}:"),
    "delayed nginx": behind(nginx.plain, nginx.NEEDS, lambda _, port, name: f"http://127.0.0.1:{port}/{name}?put=1"),
    "delayed s3": behind(s3.radosgw, s3.NEEDS, lambda _, port, name: f"s3://tarn/{name}?endpoint=http://127.0.0.1:{port}"),
    "delayed sftp": by_ssh("sftp"),
    "delayed scp": by_ssh("scp"),
}


# ---- machines ----

class Away(Exception):
    """On a busy machine the location took too long, and tarnd left it alone, or what was said came in pieces."""


def trouble(event):
    return [l.get("trouble", "") for l in event["locations"] if "trouble" in l or l.get("skipped")]


def patiently(test):
    """What was in the way of an attempt is no failure of the test, unless it is always there."""
    def run(server, folder):
        for attempt in range(8):
            own = f"{folder}/{attempt}"
            os.mkdir(own)
            try:
                return test(server, own)
            except Away as why:
                print(f"# {why}")
                time.sleep(2)
        raise AssertionError("it was always away")
    run.titles = getattr(test, "titles", list(SERVERS))
    return run


class Machine:
    """A lake of its own in front of a location. Its project is where those of the others in `folder` are, since a shell
    asks where it is; what was made there is gone when a command starts."""
    def __init__(self, server, folder, name, url, build="build/checked"):
        self.wire, self.folder, self.build, self.written = server.wire, folder, f"{ROOT}/{build}", set()
        self.root, self.dir = f"{folder}/root", f"{folder}/{name}.d"
        os.makedirs(f"{self.root}/.git", exist_ok=True)
        keep = {k: v for k, v in os.environ.items() if not k.startswith("TARN_") and k != "PWD"}
        self.env = {**keep, "HOME": folder, **server.env, "TARN_DIR": self.dir, "TARN_TIERS": f"{self.dir}/lake,{url}",
                    "TARN_DAEMON_IDLE": "120", "TARN_LOG": "info", "TARN_LOG_FILE": f"{self.dir}.log",
                    "ASAN_OPTIONS": f"log_path={folder}/asan", "UBSAN_OPTIONS": f"log_path={folder}/asan"}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.tarn("daemon", "stop")
        reports = "".join(open(f, errors="replace").read() for f in glob.glob(f"{self.folder}/asan*"))
        assert kind or not reports, reports[:6000]

    def clean(self):
        for name in os.listdir(self.root):
            if name not in self.written and name != ".git":
                os.unlink(f"{self.root}/{name}")

    def write(self, name, text):
        self.written.add(name)
        with open(f"{self.root}/{name}", "w") as f:
            f.write(text)
        os.utime(f"{self.root}/{name}", (10 ** 9, 10 ** 9))  # cp looks at it

    def read(self, name):
        with open(f"{self.root}/{name}") as f:
            return f.read()

    def tarn(self, *words):
        return subprocess.run([f"{self.build}/tarn", *words], cwd=self.root, env=self.env, capture_output=True, text=True,
                              timeout=120, stdin=subprocess.DEVNULL)

    def flush(self):
        run = self.tarn("flush", "--deadline", "60s")
        assert (run.returncode, run.stderr) == (0, ""), run

    def leave(self):
        """All is there, and it says no more."""
        self.flush()
        stop = self.tarn("daemon", "stop")
        assert stop.returncode == 0, stop
        support.wait_for(self.has_left)

    def has_left(self):
        with open(f"{self.dir}.log") as f:
            log = f.read()
        return 0 < log.count("tarnd: begins in") == log.count("tarnd: ends")

    def run(self, outcome, *command, options=(), worker=""):
        """What the event says."""
        events = f"{self.dir}.events{worker}"
        run = subprocess.run([f"{self.build}/tarn-exec", *options, *command], cwd=self.root,
                             env={**self.env, "TARN_EVENTS": events}, capture_output=True, text=True, timeout=120,
                             stdin=subprocess.DEVNULL)
        with open(events) as f:
            event = json.loads(f.readlines()[-1])
        assert (run.returncode, run.stderr) == (0, ""), (run, event)
        if outcome and event["outcome"] != outcome and trouble(event):
            raise Away(trouble(event))
        assert not outcome or event["outcome"] == outcome, event
        event["printed"] = run.stdout
        return event

    def connect(self):
        """From now on tarnd has a connection, and has looked for what is missing."""
        before = len(self.wire.lines)
        for i in range(20):
            event = self.run("uncacheable", "sh", "-c", f"echo {i}", options=["--read-only"])
            lines = self.wire.lines[before:]
            if not trouble(event) and (not lines or any(line.turns > self.wire.own for line in lines)):
                return
            time.sleep(0.2)
        raise Away(trouble(event))

    def trips(self, wire, outcome, *command, most, **more):
        """A run that takes so many round trips at most."""
        self.clean()
        wire.reset()
        event = self.run(outcome, *command, **more)
        print(f"# {wire.trips} round trips, at most {most}")
        if trouble(event):
            raise Away(trouble(event))
        assert event["outcome"] == outcome, event
        if wire.trips > most:  # a busy machine tears apart what was sent in one go; else it is so each time
            raise Away(f"{wire.trips} round trips instead of {most}: {event}")
        return event


@contextlib.contextmanager
def machines(server, folder, *names):
    with contextlib.ExitStack() as stack:
        name = "-".join(folder.split("/")[-2:])
        yield [stack.enter_context(Machine(server, folder, m, server.far(name))) for m in names]


# ---- round trips ----

@patiently
def test_small_outputs(server, folder):
    command = ["sh", "-c", "cat in >o1; cat in >o2; echo said"]
    with machines(server, folder, "p", "q") as (p, q):
        for m in p, q:
            m.write("in", "x\n")
        p.run("miss", *command)
        p.leave()
        q.connect()
        assert q.trips(server.wire, "hit", *command, most=2)["printed"] == "said\n"
        assert q.read("o2") == "x\n"
        q.trips(server.wire, "hit", *command, most=0)


@patiently
def test_large_outputs(server, folder):
    command = ["sh", "-c", "for i in 1 2 3 4; do cat in$i >o$i; done; cat in5; cat in6 >&2"]
    with machines(server, folder, "p", "q") as (p, q):
        for m in p, q:
            for i in range(1, 6):
                m.write(f"in{i}", f"{i}\n" * 100000)
            m.write("in6", "")
        p.run("miss", *command)
        p.leave()
        q.connect()
        event = q.trips(server.wire, "hit", *command, most=3)
        assert event["printed"] == q.read("in5")
        assert all(q.read(f"o{i}") == q.read(f"in{i}") for i in range(1, 5))
        q.trips(server.wire, "hit", *command, most=0)
        for blobs in glob.glob(f"{q.dir}/lake/??"):
            shutil.rmtree(blobs)
        q.trips(server.wire, "hit", *command, most=1)  # the record is nearby


CHOICE = ["sh", "-c", 'read which <choice; cat $which >o']


def choose(machine, which):
    machine.write("choice", f"{which}\n")


@patiently
def test_many_path_sets(server, folder):
    """What is read hangs on what was read before."""
    with machines(server, folder, "p", "q") as (p, q):
        for m in p, q:
            for which in "abcdef":
                m.write(which, f"{which}\n")
        for which in "abcdef":
            choose(p, which)
            p.run("miss", *CHOICE)
        p.flush()
        choose(p, "a")
        p.trips(server.wire, "hit", *CHOICE, most=0)  # five others are tried first, nearby
        p.leave()
        q.connect()
        choose(q, "a")
        q.trips(server.wire, "hit", *CHOICE, most=2)
        choose(q, "f")
        q.trips(server.wire, "hit", *CHOICE, most=2)  # the lake knows another list by now
        assert q.read("o") == "f\n"


@patiently
def test_list_nearby_is_old(server, folder):
    with machines(server, folder, "p", "q") as (p, q):
        for m in p, q:
            for which in "abc":
                m.write(which, f"{which}\n")
            choose(m, "a")
        p.run("miss", *CHOICE)
        p.flush()
        q.connect()
        q.trips(server.wire, "hit", *CHOICE, most=2)
        for which in "bc":
            choose(p, which)
            p.run("miss", *CHOICE)
        p.leave()
        choose(q, "b")
        q.trips(server.wire, "hit", *CHOICE, most=2)
        q.trips(server.wire, "hit", *CHOICE, most=0)


@patiently
def test_a_miss_asks_once(server, folder):
    command = ["sh", "-c", "cat in >o"]
    with machines(server, folder, "p") as (p,):
        p.write("in", "x\n")
        p.connect()
        event = p.run("miss", *command)
        if trouble(event):
            raise Away(trouble(event))
        assert [l["reads"] for l in event["locations"] if "/lake" not in l["name"]] == [1], event


# ---- lists of path sets ----

@patiently
def test_lists_are_united(server, folder):
    """Who knows nothing of what others saw doesn't take it away."""
    with machines(server, folder, "p", "q", "r") as (p, q, r):
        for m in p, q, r:
            for which in "abc":
                m.write(which, f"{which}\n")
        choose(p, "a")
        p.run("miss", *CHOICE)
        p.flush()
        for which in "bc":
            choose(q, which)
            q.run("miss", *CHOICE, options=["--refresh"])
        q.flush()
        r.connect()
        for which in "abc":
            choose(r, which)
            r.clean()
            r.run("hit", *CHOICE)
            assert r.read("o") == f"{which}\n"


# ---- damage ----

def damage(server, kind):
    """In the only value of the index that is one, so that nothing of it can be used."""
    found = [path for path in glob.glob(f"{server.inner.www}/**/index/**", recursive=True)
             if os.path.isfile(path) and kind in open(path, "rb").read()]
    assert len(found) == 1, found
    with open(found[0], "r+b") as f:
        f.truncate(os.path.getsize(found[0]) // 2)


@support.only("delayed nginx")
@patiently
def test_what_is_damaged_there_is_mended(server, folder):
    for kind, words in (b"tarn.Record", "is damaged in"), (b"tarn.PathSets", "a damaged list of path sets"):
        shutil.rmtree(server.inner.www)
        os.makedirs(server.inner.www)
        names = [f"{kind.decode()}{i}" for i in range(3)]
        with machines(server, folder, *names) as (p, q, r):
            for m in p, q, r:
                m.write("in", "x\n")
            p.run("miss", "sh", "-c", "cat in >o")
            p.flush()
            damage(server, kind)
            q.connect()
            q.clean()
            event = q.run("miss", "sh", "-c", "cat in >o")
            assert words in event["note"], event
            q.flush()
            q.clean()
            assert "/lake" in q.run("hit", "sh", "-c", "cat in >o")["tier"]
            r.connect()
            r.clean()
            event = r.run("hit", "sh", "-c", "cat in >o")
            assert "/lake" not in event["tier"] and "note" not in event, event


@support.only("delayed nginx")
@patiently
def test_more_than_was_asked_for(server, folder):
    """What a server has instead of an output, without an end in sight, is not fetched to its end."""
    with machines(server, folder, "p", "q") as (p, q):
        for m in p, q:
            m.write("in", "text\n" * 40000)
        p.run("miss", "sh", "-c", "cat in >o")
        p.flush()
        large, = [path for path in glob.glob(f"{server.inner.www}/**", recursive=True)
                  if os.path.isfile(path) and os.path.getsize(path) == 200000]
        os.truncate(large, 1 << 34)
        q.connect()
        q.clean()
        before = server.wire.carried
        event = q.run("miss", "sh", "-c", "cat in >o")
        assert "more than was asked for" in json.dumps(event), event
        assert q.read("o") == q.read("in")
        time.sleep(0.5)  # what is on its way
        assert server.wire.carried - before < 256 << 20, server.wire.carried - before


# ---- a build ----

COUNT, JOBS = 100, 8


def actions(machine):
    """Each takes a while to run, so that it is worth asking for; every tenth has a large output."""
    for i in range(COUNT):
        machine.write(f"in{i}", f"{i}\n" * (1 if i % 10 else 40000))
    return [["sh", "-c", f"sleep 0.3; cat in{i} >o{i}"] for i in range(COUNT)]


def build(machine, *outcomes):
    commands = actions(machine)
    machine.clean()

    def work(worker):
        return [machine.run(None, *commands[i], worker=worker)["outcome"] for i in range(worker, COUNT, JOBS)]

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        found = collections.Counter(outcome for part in pool.map(work, range(JOBS)) for outcome in part)
    took = time.monotonic() - began
    assert set(found) <= set(outcomes), found
    assert all(machine.read(f"o{i}") == machine.read(f"in{i}") for i in range(COUNT))
    return took


def compare(server, folder, places, *outcomes):
    """With delay, between two builds without, each from a lake that has nothing; `places` names what is far away."""
    for attempt in range(3):
        took = []
        for where in server.near, server.far, server.near:
            name = f"{attempt}{len(took)}"
            with Machine(server, folder, name, where(places(name)), build="build") as machine:
                took.append(build(machine, *outcomes))
        without = (took[0] + took[2]) / 2
        print(f"# {COUNT} actions with -j{JOBS}: {took[1]:.2f} s with {2 * ONE_WAY * 1000:.0f} ms of delay, {without:.2f} s without")
        if took[1] <= 1.3 * without + 2:
            return
    raise AssertionError(took)


def test_build(server, folder):
    name = os.path.basename(folder)
    with Machine(server, folder, "first", server.near(name), build="build") as first:
        build(first, "miss")
        first.flush()
    compare(server, folder, lambda machine: name, "hit", "miss")  # if all were misses, it would take too long


@support.only("delayed redis")
def test_build_of_what_is_new(server, folder):
    compare(server, folder, lambda machine: f"new{machine}", "miss")
