"""A lake that holds more than it may: nobody waits, and nothing wrong comes of it."""
import contextlib, fcntl, json, os, re, signal, threading, time
from support import FAST, equal

SIZE = 20000  # bytes of an output


def configure(p, max_size):
    p.lake = f"{p.top}/lake"
    p.env["TARN_CONFIG"] = f"{p.top}/config"
    with open(p.env["TARN_CONFIG"], "w") as file:
        json.dump({"locations": {"disk": p.lake, "max_size": max_size}}, file)


def words(i):
    return ["sh", "-c", f"head -c {SIZE} /dev/zero | tr '\\0' x >o{i}; echo {i} >>o{i}"]


def files(p):
    found = []
    for folder, _, names in os.walk(p.lake):
        if folder in (p.lake, f"{p.lake}/.tmp") or folder.endswith("/tarn-exec"):
            continue
        for name in names:
            try:
                found.append(os.stat(f"{folder}/{name}").st_size)
            except FileNotFoundError:
                pass
    return found


def total(p):
    data = open(f"{p.lake}/tools/tarn-exec/size", "rb").read()
    equal(len(data), 1024, "size of the total")
    return sum(int.from_bytes(data[i:i + 8], "little", signed=True) for i in range(16, 1024, 16))


def is_locked(p):
    try:
        with open(f"{p.lake}/tools/tarn-exec/gc.lock", "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def collectors(p):
    """Those of this test: they hold the lock of its lake, and nothing else."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open(f"/proc/{pid}/comm").read() != "tarn-collect\n":
                continue
            held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        except OSError:
            continue
        if any(path.startswith(p.lake) for path in held):
            found.append((int(pid), held))
    return found


@contextlib.contextmanager
def stopping_collectors(p):
    """From the start: it may be done before one looks for it afterwards. Whoever works is stopped in the middle of it."""
    over, stopped = threading.Event(), []

    def stop():
        while not stopped and not over.is_set():
            for pid, held in collectors(p):
                os.kill(pid, signal.SIGSTOP)
                stopped.append((pid, held))
    thread = threading.Thread(target=stop)
    thread.start()
    try:
        yield stopped
    finally:
        over.set()
        thread.join()


def old_entries(p, count):
    """As if so many values had been there for days."""
    for i in range(count):
        folder = f"{p.lake}/{i % 256:02x}"
        os.makedirs(folder, exist_ok=True)
        path = f"{folder}/{i:062x}"
        with open(path, "w") as file:
            file.write("x" * 100)
        os.utime(path, (time.time() - 5e5, time.time() - 5e5))


def test_small_limit(p):
    p.program = FAST
    configure(p, 400000)
    most = 0
    for i in range(80):
        equal(p.run(words(i)).event["outcome"], "miss")
        time.sleep(0.05)  # a collector starts once a second at most
        most = max(most, sum(files(p)))
    assert most > 300000, most
    time.sleep(1.1)  # a collector rests for a second
    p.run(words(80))
    p.gone(20, lambda: not is_locked(p) and sum(files(p)) <= 400000 and total(p) == sum(files(p)))
    made = {i: p.read(f"o{i}") for i in range(81)}
    outcomes = []
    for i in reversed(range(81)):  # the other way round, each would push out the next
        p.remove(f"o{i}")
        outcomes.append(p.run(words(i)).event["outcome"])
        equal(p.read(f"o{i}"), made[i])
    assert "miss" in outcomes and "hit" in outcomes, outcomes
    p.gone(20, lambda: not is_locked(p))


def test_nobody_waits(p):
    """The collector is a process by itself, and whoever kills it only stops it."""
    p.program = FAST
    configure(p, 100000)
    p.run(words(0))
    old_entries(p, 8000)
    os.unlink(f"{p.lake}/tools/tarn-exec/size")
    with stopping_collectors(p) as stopped:
        run = p.run(words(1))  # reads what it prints to the end
        equal((run.event["outcome"], run.event.get("note")), ("miss", None))
        p.gone(30, lambda: stopped)
    (pid, held), = collectors(p)
    assert held <= {"/dev/null"} | {path for path in held if path.startswith(p.lake)}, held
    equal(os.readlink(f"/proc/{pid}/cwd"), "/")
    equal(os.getsid(pid), pid)
    equal(os.getpriority(os.PRIO_PROCESS, pid), 19)
    assert b"gcc" not in open(f"/proc/{pid}/cmdline", "rb").read()
    begin = time.monotonic()
    equal(p.run(words(2)).event["outcome"], "miss")
    equal([other for other, _ in collectors(p)], [pid], "one at a time")
    os.kill(pid, signal.SIGKILL)
    p.gone(30, lambda: not is_locked(p))
    left = len(files(p))
    assert left > 1000, left
    time.sleep(1.1)
    p.run(words(3))
    p.gone(30, lambda: not is_locked(p) and len(files(p)) < left and sum(files(p)) <= 100000)
    equal(total(p), sum(files(p)))


def test_nobody_can_collect(p):
    """Neither lock nor total are files: it costs nothing but room."""
    configure(p, 50000)
    for name in "gc.lock", "size":
        p.run(words(f"{name}-"))
        path = f"{p.lake}/tools/tarn-exec/{name}"
        p.gone(20, lambda: not is_locked(p))
        if os.path.exists(path):
            os.unlink(path)
        os.makedirs(path)
        for i in range(5):
            p.remove(*[n for n in os.listdir(p.root) if n.startswith("o")])
            p.step("miss", words(f"{name}{i}"))
            p.step("hit", words(f"{name}{i}"))
        assert sum(files(p)) > 50000
        os.rmdir(path)


def test_total_is_damaged(p):
    p.program = FAST
    configure(p, 200000)
    p.run(words(0))
    for damage in b"", b"\0" * 1024, b"x" * 1024, os.urandom(1024), b"\0" * 5000:
        with open(f"{p.lake}/tools/tarn-exec/size", "wb") as file:
            file.write(damage)
        p.run([*words(0)[:2], words(0)[2] + f"; : {damage[:2].hex()}{len(damage)}"])
        p.gone(20, lambda: not is_locked(p) and total(p) == sum(files(p)))


def test_inside_of_another_action(p):
    """The outer one watches all of its processes, and stores by itself."""
    p.program = FAST
    configure(p, 30000)
    for i in range(4):
        child = p.spawn(["sh", "-c", f'{p.program} sh -c "$1" && {p.program} true', "sh", words(i)[2]])
        equal(child.communicate(timeout=60), (b"", b""))
        equal((child.returncode, p.last()["outcome"]), (0, "miss"))
        time.sleep(0.3)
    p.gone(20, lambda: not is_locked(p))
