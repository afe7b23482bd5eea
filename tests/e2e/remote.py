"""Locations across a network, through tarnd: hits from another machine, uploads that survive, servers in trouble."""
import concurrent.futures, contextlib, glob, hashlib, json, os, resource, signal, socket, struct, subprocess, threading, time
import peers
from support import BUILD, contains, equal, need

SOURCE = '#include <stdio.h>\nint main(void)\n{\n\tputs("%s");\n}\n'


# ---- servers and machines ----

@contextlib.contextmanager
def redis(p, *words):
    """A server on a Unix socket, and its process."""
    need("redis-server", "redis-cli")
    path = f"{p.top}/redis"
    child = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
                              "--dir", p.top, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    child.path, child.url = path, f"redis+unix://{path}"
    try:
        p.gone(20, lambda: peers.answers(path))
        yield child
    finally:
        child.send_signal(signal.SIGCONT)
        child.kill()
        child.wait()


def use(p, url, **more):
    """A lake of its own in front of a server."""
    p.env = {**p.env, "TARN_TIERS": f"{p.dir}/lake,{url}", "TARN_DAEMON_IDLE": "60", "TARN_LOG": "debug",
             "TARN_LOG_FILE": f"{p.dir}.log", **more}
    return p


def machine(p, name, url, **more):
    """Another checkout with another TARN_DIR."""
    other = p.checkout(name)
    other.dir = f"{p.top}/{name}.d"
    other.env = {**other.env, "TARN_DIR": other.dir}
    return use(other, url, **more)


def tarn(p, *words, timeout=60):
    program = os.path.join(os.path.dirname(p.program), "tarn")
    return subprocess.run([program, *words], env=p.env, cwd=p.root, capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)


def status(p):
    return json.loads(tarn(p, "daemon", "status", "--json").stdout)


def flush(p, deadline="30s"):
    run = tarn(p, "flush", "--deadline", deadline)
    equal((run.returncode, run.stderr), (0, ""), "flush")


def spool(p):
    return sorted(os.listdir(f"{p.dir}/daemon/spool"))


@contextlib.contextmanager
def ending(*projects):
    """No tarnd stays behind; one that ends in any other way than it should has told why in ASan's log."""
    try:
        yield
    finally:
        for p in projects:
            tarn(p, "daemon", "stop")


def far(event):
    """What the event says of the location behind tarnd."""
    return next((l for l in event["locations"] if "/lake" not in l["name"]), {})


def make(p, name, size=2):
    """A command that another checkout shares: its output has so many bytes."""
    path = p.write(f"{name}.in", (name + "\n") * (size // (len(name) + 1)))
    os.utime(path, (10 ** 9, 10 ** 9))  # cp looks at it
    return ["cp", f"{name}.in", name]


# ---- it works ----

def test_other_machine_hits(p):
    with redis(p) as server:
        p.write("a.c", SOURCE % "x")
        use(p, server.url)
        q = machine(p, "q", server.url)
        with ending(p, q):
            p.step("miss", "gcc -c a.c")
            flush(p)
            hit = q.step("hit", "gcc -c a.c")
            equal(hit.event["tier"], server.url)
            contains(q.step("hit", "gcc -c a.c").event["tier"], "/lake")  # it was brought nearer
            equal(far(q.last()), {})  # and nobody was asked
            flush(q)
            equal(status(q)["locations"][0]["uploaded"], 0, "what a hit uploads")


def test_large_outputs_and_many(p):
    os.mkdir(p.path("to"))
    for i in range(8):
        p.write(f"in{i}", f"{i}\n" * 150000)
    p.write("big", "x\n" * 2500000)
    words = ["cp", "-v", *[f"in{i}" for i in range(8)], "big", "to"]
    with redis(p) as server:
        use(p, server.url)
        q = machine(p, "q", server.url)
        with ending(p, q):
            p.step("miss", words)
            flush(p)
            hit = q.step("hit", words)
            equal(hit.event["tier"], server.url)
            place = status(q)["locations"][0]
            equal((place["reads"], place["hits"]), (11, 11))  # list, record, 9 outputs


def test_hits_through_what_is_compressed(p):
    """Between machines, what is kept there takes less room; here, too, if that is set."""
    def keep(p, url):
        p.write("tarn.json", json.dumps({"locations": {"levels": [{"disk": f"{p.dir}/lake", "compress": "zstd:1"}, url]}}))
        os.utime(p.path("tarn.json"), (10 ** 9, 10 ** 9))
        p.env.pop("TARN_TIERS")

    with redis(p) as server:
        url = f"{server.url}?compress=zstd"
        lines = {f"in{i}": f"some line {i}\n" * 60000 for i in range(3)}
        for name, text in lines.items():
            p.write(name, text)
            os.utime(p.path(name), (10 ** 9, 10 ** 9))
        p.write("a.c", SOURCE % "x")
        os.mkdir(p.path("to"))
        use(p, url)
        q = machine(p, "q", url)
        with ending(p, q):
            keep(p, url)
            keep(q, url)
            copy = ["cp", *lines, "to"]
            p.step("miss", copy)
            p.step("miss", "gcc -c a.c")
            p.step("hit", copy)
            flush(p)
            kept = int(subprocess.run(["redis-cli", "-s", server.path, "INFO", "memory"], capture_output=True, text=True)
                       .stdout.split("used_memory_dataset:")[1].split()[0])
            assert kept < 1000000, kept
            for where in "far", "near":
                for words in copy, "gcc -c a.c":
                    hit = q.step("hit", words)
                    equal("/lake" in hit.event["tier"], where == "near")
            sizes = [os.path.getsize(f"{at}/{f}") for at, _, files in os.walk(f"{q.dir}/lake") for f in files]
            assert max(sizes) < 200000, sizes


def test_says_where_compress_is_missing(p):
    with redis(p) as server:
        p.write("in", "some line\n" * 60000)
        os.utime(p.path("in"), (10 ** 9, 10 ** 9))
        use(p, f"{server.url}?compress=zstd")
        q = machine(p, "q", server.url)
        with ending(p, q):
            p.step("miss", "cp in out")
            flush(p)
            run = q.step("miss", "cp in out")
            contains(far(run.event)["trouble"], 'is stored compressed; set "compress" for this location')


def test_offline_asks_nobody(p):
    with redis(p) as server:
        use(p, server.url)
        p.write("a.c", SOURCE % "x")
        run = p.step("miss", "gcc -c a.c", options="--offline")
        equal(far(run.event)["trouble"], "offline")
        equal(far(run.event)["reads"], 0)
        assert not os.path.exists(f"{p.dir}/daemon")


def test_read_only_writes_nothing(p):
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            p.write("a.c", SOURCE % "x")
            p.step("uncacheable", "gcc -c a.c", options="--read-only")
            equal(status(p)["locations"][0]["uploads"] + status(p)["locations"][0]["uploaded"], 0)


def test_reads_what_waits(p):
    """The same user's other actions have what is not uploaded yet."""
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            p.write("a.c", SOURCE % "x")
            p.step("miss", "gcc -c a.c")
            flush(p)
            os.kill(server.pid, signal.SIGSTOP)
            p.step("miss", "gcc -c a.c -O1")
            equal(len(spool(p)), 2)
            p.env["TARN_TIERS"] = server.url
            p.step("hit", "gcc -c a.c -O1")
            os.kill(server.pid, signal.SIGCONT)


# ---- uploads ----

def test_killed_while_uploading(p):
    with redis(p) as server:
        use(p, server.url)
        q = machine(p, "q", server.url)
        with ending(p, q):
            for i in range(8):
                if i == 2:
                    os.kill(server.pid, signal.SIGSTOP)
                p.step("miss", make(p, f"o{i}", 200000))
            waiting = spool(p)
            assert len(waiting) >= 6 * 2, waiting
            os.kill(status(p)["pid"], signal.SIGKILL)
            equal(spool(p), waiting)
            os.kill(server.pid, signal.SIGCONT)
            flush(p)
            equal(spool(p), [])
            for i in range(8):
                q.step("hit", make(q, f"o{i}", 200000))


def test_server_killed_and_back(p):
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            flush(p)
    p.step("miss", make(p, "o2"))
    run = p.step("miss", make(p, "o3"))
    contains(far(run.event)["trouble"], "not asked: ")
    contains(run.event["note"], "not asked: ")
    assert len(spool(p)) >= 4, spool(p)
    with redis(p) as server:
        q = machine(p, "q", server.url)
        with ending(p, q):
            flush(p)
            q.step("hit", make(q, "o3"))


def test_damaged_and_foreign_files_of_the_spool(p):
    with redis(p) as server:
        use(p, server.url)
        q = machine(p, "q", server.url)
        with ending(p, q):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            flush(p)
            os.kill(server.pid, signal.SIGSTOP)
            for i in range(2, 6):
                p.step("miss", make(p, f"o{i}", 100000))
            os.kill(status(p)["pid"], signal.SIGKILL)
            names = spool(p)
            equal(len(names), 12)
            folder = f"{p.dir}/daemon"
            for name, change in zip(names[:6:3], (lambda d: d[:-1] + b"?", lambda d: d[:50])):  # blobs of the first two
                path = f"{folder}/spool/{name}"
                data = open(path, "rb").read()
                open(path, "wb").write(change(data))
            open(f"{folder}/spool/foreign", "w").write("x")
            open(f"{folder}/spool/00000000000000ff", "w").write("x" * 1000)
            os.kill(server.pid, signal.SIGCONT)
            run = tarn(p, "flush")
            equal(run.returncode, 1)
            contains(run.stderr, "damaged/foreign': it is not ours")
            contains(run.stderr, "it is damaged")
            contains(run.stderr, f"damaged/{names[3]}'")
            contains(run.stderr, "index entry")
            flush(p)  # it is told once
            found = subprocess.run(["redis-cli", "-s", server.path, "dbsize"], capture_output=True, text=True)
            equal(found.stdout, "8\n")  # 1 (nothing but its record), 4 and 5: nothing names what was lost
            equal(sorted(os.listdir(f"{folder}/damaged")),
                  sorted([names[0], names[3], "foreign", "00000000000000ff"]))
            q.step("hit", make(q, "o5", 100000))
            q.step("miss", make(q, "o2", 100000))


def test_spool_limit(p):
    with redis(p) as server:
        use(p, server.url, TARN_DAEMON_SPOOL="200KB")
        with ending(p):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            flush(p)
            os.kill(server.pid, signal.SIGSTOP)
            p.step("miss", ["sh", "-c", "yes 2 | head -c 150000 >o"])
            run = p.step("miss", ["sh", "-c", "yes 3 | head -c 150000 >o"])
            contains(far(run.event)["trouble"], "the spool")
            assert status(p)["upload_bytes"] < 200000
            os.kill(server.pid, signal.SIGCONT)
            run = tarn(p, "flush")
            equal(run.returncode, 1)
            contains(run.stderr, "a blob that it names is not there")
            found = subprocess.run(["redis-cli", "-s", server.path, "dbsize"], capture_output=True, text=True)
            equal(found.stdout, "5\n")  # nothing names the blob that is nowhere


def test_flush_with_deadline(p):
    equal(tarn(p, "flush").returncode, 0)  # there was never any tarnd
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            flush(p)
            os.kill(server.pid, signal.SIGSTOP)
            p.step("miss", ["sh", "-c", "echo 2 >o"])
            began = time.monotonic()
            run = tarn(p, "flush", "--deadline", "1s")
            assert 0.9 < time.monotonic() - began < 20
            equal(run.returncode, 1)
            contains(run.stderr, "2 uploads are left to be stored: 'redis")
            os.kill(server.pid, signal.SIGCONT)
            flush(p)
        equal(tarn(p, "flush").returncode, 0)  # nobody runs, nothing waits
        equal(tarn(p, "flush", "--deadline", "soon").returncode, 2)


def test_flush_is_interrupted(p):
    """Nobody goes on waiting for a client that is gone."""
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            flush(p)
            os.kill(server.pid, signal.SIGSTOP)
            p.step("miss", ["sh", "-c", "echo 2 >o"])
            program = os.path.join(os.path.dirname(p.program), "tarn")
            child = subprocess.Popen([program, "flush"], env=p.env, cwd=p.root, stdin=subprocess.DEVNULL)
            p.gone(10, lambda: status(p)["clients"] == 1)
            child.kill()
            child.wait()
            p.gone(10, lambda: status(p)["clients"] == 0)
            os.kill(server.pid, signal.SIGCONT)
            flush(p)


def test_full_server_declines(p):
    """What names a blob that nobody took is not uploaded either."""
    with redis(p, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        use(p, server.url)
        q = machine(p, "q", server.url)
        with ending(p, q):
            p.step("miss", make(p, "o", 4000000))
            run = tarn(p, "flush")
            equal(run.returncode, 1)
            contains(run.stderr, "not stored: redis")
            contains(run.stderr, "OOM")
            place = status(p)["locations"][0]
            equal((place["refused"], place["uploaded"]), (3, 0))
            q.step("miss", make(q, "o", 4000000))


def test_too_large_for_one_is_for_the_next(p):
    """Who is known to take nothing so large is not given it to find that out behind the build's back."""
    with redis(p) as server:
        q = machine(p, "q", "")
        for other in p, q:
            other.env.pop("TARN_TIERS", None)
        locations = {"levels": [{"location": f"{server.url}?max_size=50000"}, {"location": f"{p.top}/shared"}], "writes": "first"}
        p.write("tarn.json", json.dumps({"locations": locations})), q.write("tarn.json", json.dumps({"locations": locations}))
        with ending(p, q):
            p.step("miss", make(p, "o", 2))
            p.step("miss", make(p, "large", 100000))
            flush(p)
            equal(status(p)["locations"][0]["refused"], 0)
            q.step("hit", make(q, "large", 100000))


# ---- tarnd and its clients ----

def test_client_killed_while_writing(p):
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            equal(tarn(p, "daemon", "start").returncode, 0)
            for part in range(4):
                client = peers.Client(p.dir)
                client.write(server.url, b"k" * 32, 1000000)
                client.send(1, b"x" * 100000 * part)
                client.socket.close()
            p.gone(10, lambda: status(p)["clients"] == 0)
            equal(spool(p), [])
            equal(status(p)["upload_bytes"], 0)


def test_nonsense_is_hung_up_on(p):
    use(p, f"redis+unix://{p.top}/none")
    with ending(p):
        equal(tarn(p, "daemon", "start").returncode, 0)
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b"\3\0\0\0\0\0\0\0abc"):
            raw = peers.connect(f"{p.dir}/daemon")
            raw.sendall(text)
            try:
                while raw.recv(100):  # a greeting: nothing but zeros is one
                    pass
            except ConnectionResetError:
                pass
        client = peers.Client(p.dir)
        client.send(0, peers.number(1, 99))
        equal(client.socket.recv(100), b"")
        equal(tarn(p, "daemon", "status").returncode, 0)


def test_another_version_is_refused(p):
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            equal(tarn(p, "daemon", "start").returncode, 0)
            pid = status(p)["pid"]
            stays = peers.Client(p.dir)
            contains(peers.Client(p.dir, version="9.9").refusal, "you are 9.9")
            equal(status(p)["pid"], pid)
            stays.socket.close()
            p.gone(10, lambda: status(p)["clients"] == 0)
            contains(peers.Client(p.dir, version="9.9").refusal, "you are 9.9")  # and it makes way
            p.gone(10, lambda: not status(p)["running"])


def test_refused_by_another_version(p):
    use(p, f"redis+unix://{p.top}/none")
    with peers.tarnd(p.dir, refusal="version 9.9 runs here"):
        run = p.step("miss", ["sh", "-c", "echo 1 >o"])
        contains(far(run.event)["trouble"], "version 9.9 runs here")
        equal(tarn(p, "daemon", "status").returncode, 1)
        p.step("hit", ["sh", "-c", "echo 1 >o"])


def test_equal_reads_are_one(p):
    """Fifty clients want what takes two seconds to come, and the server is asked once."""
    data = b"x" * 1500000
    digest = hashlib.sha256(data).digest()
    with redis(p) as server, peers.slow(server.path, 0.01, rate=1000000) as url:
        use(p, server.url)
        q = machine(p, "q", url)
        with ending(p, q):
            p.write("o", data)
            equal(tarn(p, "write", p.path("o")).returncode, 0)
            equal(tarn(q, "daemon", "start").returncode, 0)
            clients = [peers.Client(q.dir) for _ in range(50)]
            clients[0].read(b"?" * 32, space=0, url=url)  # from now on there is a connection
            equal(clients[0].answer()[1:], (0, ""))
            for client in clients:
                client.read(digest, space=1, url=url)
            with concurrent.futures.ThreadPoolExecutor(50) as pool:
                for value in pool.map(peers.Client.value, clients):
                    assert value == data
            place = status(q)["locations"][0]
            equal((place["reads"], place["shared"]), (2, 49))


def test_large_index_value_is_no_trouble(p):
    """Who sends fast enough may go on, however long it takes: the deadline moves with what comes."""
    data, digest = b"x" * 600000, b"k" * 32
    with redis(p) as server, peers.slow(server.path, 0.01, rate=400000) as url:
        use(p, server.url)
        with ending(p):
            equal(tarn(p, "daemon", "start").returncode, 0)
            writer = peers.Client(p.dir)
            writer.write(server.url, digest, len(data))
            equal(writer.answer()[1], 3)
            writer.send(1, data)
            equal(writer.answer()[1], 1)
            flush(p)
        for attempt in range(5):  # a busy machine may be too slow
            q = machine(p, f"q{attempt}", url)
            with ending(q):
                equal(tarn(q, "daemon", "start").returncode, 0)
                client = peers.Client(q.dir)
                client.read(b"?" * 32, space=0, url=url)
                if client.answer()[1] != 0:
                    continue
                try:
                    client.read(digest, space=0, url=url)
                    assert client.value() == data
                    return
                except AssertionError as why:
                    print(why, status(q)["locations"])
    raise AssertionError("it never came")


def test_signs_of_life(p):
    """A client that waits for a server hears now and then that tarnd is there."""
    data, pause = b"y" * 1000, [0]
    digest = hashlib.sha256(data).digest()
    with redis(p) as server, peers.slow(server.path, lambda: pause[0]) as url:
        use(p, url)
        with ending(p):
            p.write("o", data)
            equal(tarn(p, "write", p.path("o")).returncode, 0)
            equal(tarn(p, "daemon", "start").returncode, 0)
            for attempt in range(20):
                client = peers.Client(p.dir)
                client.read(b"?" * 32, space=1, url=url)
                if client.answer()[1] == 0:
                    break
                time.sleep(1)  # until it is asked again
            pause[0] = 3
            client.read(digest, space=1, url=url)
            frames = []
            while (frame := client.frame())[0] != 0:
                frames.append(frame)
            equal(frames[-1], (1, data))
            assert len(frames) > 2 and all(f == (1, b"") for f in frames[:-1]), frames


def test_removed_while_uploaded(p):
    """It is nowhere in the end, also if the far end had it for a moment."""
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            flush(p)
            before = subprocess.run(["redis-cli", "-s", server.path, "dbsize"], capture_output=True, text=True).stdout
            os.kill(server.pid, signal.SIGSTOP)
            client = peers.Client(p.dir)
            client.write(server.url, b"r" * 32, 5)
            equal(client.answer()[1], 3)
            client.send(1, b"hello")
            equal(client.answer()[1], 1)
            time.sleep(0.5)  # it is on its way now, or about to
            client.remove(b"r" * 32, 0, server.url)
            client.answer()  # the far end can't say anything
            os.kill(server.pid, signal.SIGCONT)
            flush(p)
            after = subprocess.run(["redis-cli", "-s", server.path, "dbsize"], capture_output=True, text=True).stdout
            equal(after, before)


def test_two_hundred_clients(p):
    values = [b"%05d" % i for i in range(200)]  # blobs, which cost no account anything, however slow they come
    digests = [hashlib.sha256(value).digest() for value in values]
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            equal(tarn(p, "daemon", "start").returncode, 0)
            clients = [peers.Client(p.dir) for _ in values]
            equal(status(p)["clients"], 200)
            for client, digest in zip(clients, digests):
                client.write(server.url, digest, 5, space=1)
            for client, value in zip(clients, values):
                equal(client.answer()[1], 3)  # go on
                client.send(1, value)
            for client in clients:
                equal(client.answer()[1], 1)
            flush(p)
            for client, digest in zip(clients, digests):
                client.read(digest, space=1)
            for client, value in zip(clients, values):
                equal(client.value(), value)


def test_starts_at_once(p):
    """Many that need one start one."""
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            children = [p.spawn(["sh", "-c", f"echo {i} >o{i}"]) for i in range(12)]
            for child in children:
                child.communicate(timeout=60)
                equal(child.returncode, 0)
            for event in p.events():  # twelve of them may keep a busy machine from answering in time
                assert far(event)["errors"] == 0 or "says nothing" in far(event)["trouble"], event
            begun = [l for l in open(p.env["TARN_LOG_FILE"]) if "tarnd: begins" in l]
            equal(len(begun), 1, begun)


def test_holds_nothing_of_the_build(p):
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            read, write = os.pipe()
            os.set_inheritable(write, True)
            run = p.run(["sh", "-c", "echo 1 >o"], close_fds=False,  # that it returns at all is half of the test
                        env={"MAKEFLAGS": f" -j2 --jobserver-auth={read},{write}"})
            equal(run.status, 0)
            os.close(write)
            equal(os.read(read, 1), b"")
            pid = status(p)["pid"]
            held = {os.readlink(f) for f in glob.glob(f"/proc/{pid}/fd/*") if os.path.lexists(f)}
            wrong = [h for h in held if not h.startswith(("socket:", "anon_inode:", "/dev/null", f"{p.dir}"))]
            equal(wrong, [])
            equal(os.readlink(f"/proc/{pid}/cwd"), "/")
            assert os.getsid(pid) not in (os.getsid(0), 0)


def test_has_limits_of_its_own(p):
    """Who starts it may be allowed little."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 3600))

    use(p, f"redis+unix://{p.top}/none")
    with ending(p):
        program = os.path.join(os.path.dirname(p.program), "tarn")
        subprocess.run([program, "daemon", "start"], env=p.env, cwd=p.root, preexec_fn=limit, timeout=60, check=True)
        pid = status(p)["pid"]
        equal(resource.prlimit(pid, resource.RLIMIT_NOFILE), (4096, 4096))
        equal(resource.prlimit(pid, resource.RLIMIT_CPU), (3600, 3600))


def test_inside_of_another_action(p):
    """An inner tarn-exec never starts one: it would be a process of the action."""
    p.write("a.c", SOURCE % "x")
    script = ["sh", "-c", "$T gcc -c a.c"]

    def nested(project, *outcomes, options=()):
        before = len(project.events())
        run = project.spawn(script, options=options, env={"T": project.program})
        out, err = run.communicate(timeout=60)
        equal((run.returncode, out, err), (0, b"", b""))
        events = project.events()[before:]
        equal([e["outcome"] for e in events], list(outcomes), events)
        return events

    with redis(p) as server:
        use(p, server.url)
        q = machine(p, "q", server.url)
        with ending(p, q):
            for event in nested(p, "miss", "miss"):
                equal(far(event)["errors"], 0, event)
            flush(p)
            inner, outer = nested(q, "hit", "miss")  # sh asks for its directory
            equal(inner["tier"], server.url)
            pid = status(q)["pid"]
            equal(tarn(q, "daemon", "stop").returncode, 0)
            nested(q, "hit", "miss", options="--refresh")  # which looks nothing up
            assert status(q)["pid"] != pid  # the outer one started it, before it watched


def test_ends_when_idle(p):
    with redis(p) as server:
        use(p, server.url, TARN_DAEMON_IDLE="0.5")
        for i in range(2):  # and another one comes
            p.step("miss", ["sh", "-c", f"echo {i} >o"])
            equal(far(p.last())["errors"], 0)
            p.gone(10, lambda: not os.path.exists(f"{p.dir}/daemon/socket"))
            p.gone(10, lambda: not status(p)["running"])
            equal(spool(p), [])


def test_long_path(p):
    with redis(p) as server:
        p.dir = f"{p.top}/{'d' * 120}"
        p.env["TARN_DIR"] = p.dir
        use(p, server.url)
        with ending(p):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            flush(p)


def test_folder_must_be_private(p):
    use(p, f"redis+unix://{p.top}/none")
    os.makedirs(f"{p.dir}/daemon", 0o755)
    run = p.step("miss", ["sh", "-c", "echo 1 >o"])
    contains(far(run.event)["trouble"], "is not private")
    equal(tarn(p, "daemon", "start").returncode, 1)


def test_cannot_start(p):
    """Without a tarnd, misses, and the event says so; and not every action tries."""
    use(p, f"redis+unix://{p.top}/none")
    os.mkdir(f"{p.top}/bin")
    program = f"{p.top}/bin/tarn-exec"
    os.link(p.program, program) if os.stat(p.program).st_dev == os.stat(p.top).st_dev else \
        subprocess.run(["cp", p.program, program], check=True)
    p.program = program
    run = p.step("miss", ["sh", "-c", "echo 1 >o"])
    contains(far(run.event)["trouble"], "cannot run 'tarnd'")
    run = p.step("miss", ["sh", "-c", "echo 2 >o"])
    contains(far(run.event)["trouble"], "it is tried again in")
    p.step("hit", ["sh", "-c", "echo 2 >o"])


def test_dies_in_the_middle(p):
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            pid = status(p)["pid"]
            child = p.spawn(["sh", "-c", "echo 1 >o1; sleep 1.5; echo 2 >o"])
            p.gone(60, lambda: p.exists("o1"))  # it was looked up, and runs
            os.kill(pid, signal.SIGKILL)
            equal(child.communicate(timeout=60), (b"", b""))
            equal(p.last()["outcome"], "miss")
            equal(far(p.last())["errors"], 0)  # a new one was started
            assert status(p)["pid"] != pid


def test_stopped_tarnd(p):
    """One that does not answer is waited for a moment, and then left alone by all."""
    with redis(p) as server:
        use(p, server.url)
        with ending(p):
            p.step("miss", ["sh", "-c", "echo 1 >o"])
            pid = status(p)["pid"]
            os.kill(pid, signal.SIGSTOP)
            left_alone = 0
            for i in range(2, 12):
                run = p.step("miss", ["sh", "-c", f"echo {i} >o"])
                left_alone += "tried again in" in far(run.event)["trouble"]
                assert far(run.event)["us"] < 3000000, run.event
            os.kill(pid, signal.SIGCONT)
            assert left_alone >= 6, left_alone


def test_stopped_tarnd_and_many(p):
    """What many meet at once is one trouble: after it, nobody tries for two seconds, not for a minute."""
    use(p, f"redis+unix://{p.top}/none")
    with ending(p):
        equal(tarn(p, "daemon", "start").returncode, 0)
        pid = status(p)["pid"]
        os.kill(pid, signal.SIGSTOP)
        children = [p.spawn(["sh", "-c", f"echo {i} >o{i}"]) for i in range(12)]
        for child in children:
            equal(child.communicate(timeout=60), (b"", b""))
        os.kill(pid, signal.SIGCONT)
        size = os.path.getsize(f"{p.dir}/daemon/avoid")
        assert 1 <= size < 5, size


def test_who_is_away_is_not_asked_for(p):
    """Clients see for themselves that a location is away."""
    use(p, f"redis+unix://{p.top}/none")
    with ending(p):
        p.step("uncacheable", ["sh", "-c", "echo 1 >o"], options="--read-only")
        p.gone(10, lambda: os.listdir(f"{p.dir}/daemon/away"))
        pid = status(p)["pid"]
        os.kill(pid, signal.SIGSTOP)  # whoever asks gets no answer
        run = p.step("uncacheable", ["sh", "-c", "echo 2 >o"], options="--read-only")
        os.kill(pid, signal.SIGCONT)
        contains(far(run.event)["trouble"], "not asked: ")
        equal((far(run.event)["errors"], far(run.event)["skipped"] > 0), (0, True))


# ---- never in the way ----

def build(p, count, jobs=8):
    """Many actions side by side; how long it took."""
    def work(worker):
        log = f"{p.dir}.events.{worker}"
        for i in range(worker, count, jobs):
            run = subprocess.run([p.program, "sh", "-c", f"echo {i} >o{i}"], cwd=p.root, capture_output=True,
                                 env={**p.env, "TARN_EVENTS": log}, timeout=120)
            equal((run.returncode, run.stdout, run.stderr), (0, b"", b""))
            equal(p.read(f"o{i}"), f"{i}\n".encode())
        for line in open(log):
            event = json.loads(line)
            equal(event["outcome"], "miss", event)

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, range(jobs)))
    return time.monotonic() - began


def fault(p, peer, count=100, limit=1):
    """A build with a server in trouble, between two without one. What counts is how long anybody waited for the
    server, which tarnd knows; the whole time, in which other work on this machine has a part, is held against theirs."""
    p.program = f"{BUILD}/tarn-exec"  # as it is shipped: time is measured
    with peer as url:
        for attempt in range(3):
            machines = [machine(p, f"{attempt}{name}", url) for name in ("before", "with", "after")]
            for other in machines[::2]:
                del other.env["TARN_TIERS"]
            with ending(machines[1]):
                times = [build(other, count) for other in (machines if count <= 100 else machines[1:2])]
                place = status(machines[1])["locations"][0]
            waited = place["waited_us"] / 1e6
            without = (times[0] + times[-1]) / 2
            lost = times[len(times) // 2] - without
            print(f"{count} actions: waited {waited:.2f} s, {without + lost:.1f} s instead of {without:.1f} s")
            if waited < limit and lost < limit:
                return
    raise AssertionError(f"waited {waited:.2f} s, {lost:.1f} s lost of {without:.1f} s: {place}")


def test_fault_refused(p):
    fault(p, peers.refusing())


def test_fault_hanging(p):
    fault(p, peers.hanging())


def test_fault_hanging_thousand(p):
    fault(p, peers.hanging(), 1000)


def test_fault_unconnectable(p):
    fault(p, peers.full_backlog())


def test_fault_slow(p):
    with redis(p) as server:
        fault(p, peers.slow(server.path, 0.3))


def test_fault_slower(p):
    with redis(p) as server:
        fault(p, peers.slow(server.path, 0.1))


def test_fault_trickling(p):
    fault(p, peers.trickling())


def test_fault_lying(p):
    fault(p, peers.saying(b"$5\r\nwrong\r\n"))


def test_fault_nonsense(p):
    fault(p, peers.saying(b"HTTP/1.1 200 OK\r\n\r\n"))


def test_fault_half_closing(p):
    fault(p, peers.half_closing())


def test_fault_full(p):
    with redis(p, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction") as server:
        fault(p, contextlib.nullcontext(server.url))


def test_fault_flapping(p):
    """It answers for a while, hangs for a while, and so on."""
    with redis(p) as server:
        stop = threading.Event()

        def flap():
            while not stop.wait(1.5):
                os.kill(server.pid, signal.SIGSTOP)
                stop.wait(1.5)
                os.kill(server.pid, signal.SIGCONT)

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            fault(p, contextlib.nullcontext(server.url), 300, limit=4)
        finally:
            stop.set()
            thread.join()


def test_not_worth_fetching(p):
    """Outputs that are made faster than they come are made."""
    p.write("slow.pl", "sleep 3; open(F, '>slow'); print F 'y' x 300000;")
    with redis(p) as server, peers.slow(server.path, 0.01, rate=1000000) as url:
        use(p, server.url)
        q = machine(p, "q", url)
        with ending(p, q):
            p.step("miss", make(p, "o", 8000000))
            p.step("miss", "perl slow.pl")
            flush(p)
            q.step("hit", "perl slow.pl")  # the rate is known now
            run = q.step("miss", make(q, "o", 8000000), "is expected to take")
            equal(run.event["tier"], None)
