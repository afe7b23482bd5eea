"""The commands that look after what is kept: copy, verify."""
import hashlib, os, random, signal, subprocess, time
from support import BUILD, contains, equal

TARN = f"{BUILD}/checked/tarn"


def tarn(p, *words, env=None, status=0):
    run = subprocess.run([TARN, *words], env={**p.env, **(env or {})}, cwd=p.root, capture_output=True, timeout=120)
    if status is not None and run.returncode != status:
        raise AssertionError(f"tarn {words}: status {run.returncode}, {run.stdout[-2000:]!r}, {run.stderr[-2000:]!r}")
    return run.stdout.decode() + run.stderr.decode()


def stored(lake):
    """Path below the lake to bytes, of all that is a value."""
    found = {}
    for folder, _, names in os.walk(lake):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), lake)
            if not path.startswith(".tmp/") and os.path.basename(path) not in ("size", "gc.lock"):
                found[path] = open(f"{lake}/{path}", "rb").read()
    return found


def test_copy_killed_and_started_again(p):
    """At any time: what is visible is whole, no record is without its blobs, and in the end all is there."""
    for n in range(40):
        p.write("in", f"{n}\n" * (n + 1))
        p.run(["sh", "-c", f"cat in; head -c {70000 + 9000 * n} /dev/zero >big; cat in >>big"])
        p.remove("big")
    whole = stored(f"{p.dir}/lake")
    assert len([f for f in whole if "index" not in f and "config" not in f]) == 40
    chance = random.Random(7)
    killed = 0
    for _ in range(40):
        child = subprocess.Popen([TARN, "copy", f"{p.dir}/lake", f"{p.top}/to"], env=p.env, cwd=p.root, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.01, 0.12))
        child.kill()
        killed += child.wait() == -signal.SIGKILL
        for path, data in stored(f"{p.top}/to").items():
            equal(hashlib.sha256(data).digest(), hashlib.sha256(whole[path]).digest(), path)
        if os.path.exists(f"{p.top}/to"):
            said = tarn(p, "verify", env={"TARN_TIERS": f"{p.top}/to"}, status=None)
            assert "missing" not in said, said
    assert killed >= 5, "killed too late"
    tarn(p, "copy", f"{p.dir}/lake", f"{p.top}/to")
    equal(sorted(stored(f"{p.top}/to")), sorted(whole))
    equal(stored(f"{p.top}/to") == whole, True)
    contains(tarn(p, "copy", f"{p.dir}/lake", f"{p.top}/to"), "copied 0 blobs and 0 index entries")
