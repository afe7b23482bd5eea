"""The same actions on another machine, through each kind of location and each arrangement of them.

A machine is another TARN_DIR and another checkout; both share nothing but what is
behind the network. The first one flushes, then all of its actions hit on the second,
with the outputs of bare runs to the byte.
"""
import contextlib, copy, importlib, json, os, shutil, sys, time
from remote import ending, flush, machine, tarn
from support import TOP, equal, need

MAIN = '#include <stdio.h>\n#include "a.h"\nint main(void)\n{\n\tputs(TEXT);\n\treturn answer() != 42;\n}\n'
SCRIPT = """set -e
mkdir -p out/deep/er out/empty
while read -r line; do echo "$line $line"; done <in.txt >out/twice
i=0
while [ $i -lt 6000 ]; do echo "line $i of what does not fit into a record"; i=$((i + 1)); done >out/deep/large
cat out/deep/large out/deep/large out/deep/large out/deep/large >out/deep/er/larger
: >out/deep/nothing
echo 'echo hello' >out/run
chmod 750 out/run
chmod 400 out/twice
ln -s ../twice out/deep/link
chmod 711 out/empty
echo "made from $(wc -l <in.txt) lines"
echo "and a word of warning" >&2
"""
ACTIONS = [["gcc", "-O1", "-c", "a.c"], ["gcc", "-O1", "-Wall", "-c", "b.c", "-o", "obj/b.o"], ["gcc", "-o", "prog", "a.o", "obj/b.o"],
           ["cp", "-r", "--preserve=mode", "tree", "copy"], ["wc", "in.txt", "tree/deep/er/large"]]


# ---- servers, as the tests of remote locations start them ----

def theirs(name):
    """A module of tests/remote. The `support` that it means is the one beside it."""
    ours = sys.modules.pop("support")
    sys.path.insert(0, f"{TOP}/tests/remote")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.pop(0)
        sys.modules["support"] = ours
    return module


@contextlib.contextmanager
def server(p, module, title):
    """What they call so; a client's variables are then those of the project."""
    found = theirs(module)
    need(*found.NEEDS)
    folder = f"{p.top}/{title.replace(' ', '-')}"
    os.mkdir(folder)
    with found.SERVERS[title](folder) as running:
        p.env = {**p.env, **running.env}
        yield running


# ---- what the machines do ----

def prepare(p):
    p.write("a.h", '#define TEXT "from elsewhere"\nint answer(void);\n')
    p.write("a.c", MAIN)
    p.write("b.c", '#include "a.h"\nint answer(void)\n{\n\tint unused;\n\treturn 42;\n}\n')
    p.write("script", SCRIPT)
    p.write("in.txt", "".join(f"word {i}\n" for i in range(100)))
    p.write("tree/run", "echo hello\n", mode=0o750)
    p.write("tree/secret", "", mode=0o600)
    p.write("tree/deep/er/large", "a line of what does not fit into a record\n" * 7000)
    os.symlink("../run", p.path("tree/deep/link"))
    os.mkdir(p.path("tree/empty"), 0o711)
    os.mkdir(p.path("obj"))
    for folder, folders, files in os.walk(p.path("tree")):  # cp looks at it
        for name in folders + files:
            os.utime(f"{folder}/{name}", (10 ** 9, 10 ** 9), follow_symlinks=False)


def configure(p, levels):
    """A lake of its own in front of what there is elsewhere."""
    with open(f"{p.dir}.json", "w") as file:
        json.dump({"locations": {"levels": [{"disk": f"{p.dir}/lake"}, *levels]}}, file)
    p.env = {**p.env, "TARN_CONFIG": f"{p.dir}.json", "TARN_DAEMON_IDLE": "60"}


def another(p, name, levels):
    q = machine(p, name, "")
    del q.env["TARN_TIERS"]
    configure(q, levels)
    return q


def act(p, script, do):
    """All actions in turn; what one made is there for the next. `script` is where the script runs."""
    p.clean()
    script.clean()
    return [*(do(p, words) for words in ACTIONS), do(script, ["sh", "script"])]


def same_place(p, q):
    """The machine `q`, whose checkout is where that of `p` is: for a shell, which looks where it is."""
    other = copy.copy(q)
    other.root, other.made = p.root, set()
    return other


def step(p, outcome, words):
    return p.step(outcome, words, keep=True, env={"PWD": p.root}).event


def miss(p, words):
    return step(p, "miss", words)


class TooSlow(Exception):
    """The machine is busy, and a server happened to be slower than the command, which then ran."""


def hit(*places):
    """From one of these."""
    def found(p, words):
        event = step(p, ("hit", "miss"), words)
        if event["outcome"] == "hit" and any(place in event["tier"] for place in places):
            return event
        slow = any("trouble" in l for l in event["locations"]) or "expected to take" in (event["reason"] or "")
        if slow:
            raise TooSlow
        raise AssertionError(f"no hit from {places}: {event}")
    return found


def hit_all(p, script, before, places):
    """From there; if that was too slow, all of it once more with a lake that has nothing, as on a third machine."""
    end = time.monotonic() + 100
    while True:
        before()
        try:
            return act(p, script, hit(*places))
        except TooSlow:
            assert time.monotonic() < end, f"no hit from {places} within 100 s"
        flush(p)
        shutil.rmtree(f"{p.dir}/lake")


def on_other_machines(p, levels, *steps):
    """Made on one machine, found on others: steps of what is done before, and parts of the names of who has it."""
    prepare(p)
    configure(p, levels)
    with ending(p):
        act(p, p, miss)
        flush(p)
        run = tarn(p, "daemon", "status", "--json")
        if run.returncode == 0:
            equal([place["refused"] for place in json.loads(run.stdout)["locations"] if place["refused"]], [], "refused")
    shutil.rmtree(f"{p.dir}/lake")  # and nobody is to see anything of it
    p.clean()
    for number, (before, places) in enumerate(steps):
        q = another(p, f"q{number}", levels)
        r = same_place(p, q)
        with ending(q):
            hit_all(q, r, before, places)
            for event in act(q, r, hit(f"{q.dir}/lake")):  # it was brought nearer
                equal(len(event["locations"]), 1, "locations asked")
        r.clean()


def nothing():
    pass


def through(p, module, title, place):
    with server(p, module, title) as there:
        on_other_machines(p, [there.url.replace("{}", "far")], (nothing, [place]))


# ---- each leaf ----

def test_redis(p):
    through(p, "redis", "redis", "redis://")


def test_redis_socket(p):
    through(p, "redis", "redis socket", "redis+unix://")


def test_s3(p):
    through(p, "s3", "s3", "s3://tarn/far")


def test_sftp(p):
    through(p, "ssh", "sftp", "sftp://")


def test_scp(p):
    through(p, "ssh", "scp", "scp://")


def test_nginx(p):
    through(p, "nginx", "nginx", "http://")


def test_nginx_bazel(p):
    through(p, "nginx", "nginx bazel", "http://")


def test_disk(p):
    """As one on NFS: a folder that both have."""
    on_other_machines(p, [f"{p.top}/nfs/lake"], (nothing, [f"{p.top}/nfs/lake"]))


# ---- each arrangement ----

def test_levels(p):
    """In a nest of its own, and from the farther one when the nearer one has lost all."""
    with server(p, "redis", "redis") as near, server(p, "nginx", "nginx") as there:
        levels = [{"levels": [near.url.replace("{}", "near"), there.url.replace("{}", "far")]}]
        client = theirs("redis").Client(near)
        on_other_machines(p, levels, (nothing, ["redis://"]), (lambda: client("FLUSHDB"), ["http://"]))


def test_fanout(p):
    """One of them takes only what is small, so the values are here and there."""
    with server(p, "redis", "redis") as one, server(p, "ssh", "sftp") as other:
        levels = [{"fanout": [{"small": one.url.replace("{}", "one"), "max_size": "20 KiB"}, other.url.replace("{}", "other")]}]
        on_other_machines(p, levels, (nothing, ["redis://", "sftp://"]))
        blobs = [name for _, _, names in os.walk(f"{other.keys}/lakes/other") for name in names if len(name) == 62]
        assert len(blobs) >= 2, blobs


def test_small(p):
    """In front of what has no limit."""
    with server(p, "redis", "redis") as small, server(p, "ssh", "scp") as there:
        levels = [{"small": small.url.replace("{}", "small"), "max_size": "8 KiB"}, there.url.replace("{}", "far")]
        client = theirs("redis").Client(small)
        on_other_machines(p, levels, (nothing, ["redis://", "scp://"]), (lambda: client("FLUSHDB"), ["scp://"]))
        sizes = [client("STRLEN", name) for name in client.found("*small:*")]
        assert not sizes or max(sizes) <= 8192, sizes


def test_nested(p):
    """An SSD, a disk that is shared, and S3 with small values in Redis; then without the disk, then without Redis."""
    with server(p, "redis", "redis") as small, server(p, "s3", "s3") as there:
        disk = f"{p.top}/nfs/lake"
        levels = [{"location": disk, "name": "nfs"},
                  {"levels": [{"small": small.url.replace("{}", "small"), "max_size": "100 KiB"}, there.url.replace("{}", "far")]}]
        client = theirs("redis").Client(small)
        lost = lambda: shutil.rmtree(disk, ignore_errors=True)
        on_other_machines(p, levels, (nothing, ["nfs"]), (lost, ["redis://"]),
                          (lambda: (lost(), client("FLUSHDB")), ["s3://tarn/far"]))
