"""Redis: plain, through a Unix socket, over TLS, with passwords, as a cluster."""
import contextlib, hashlib, json, os, re, shlex, signal, socket, subprocess, threading, time

import python_lakes
from support import Server, free_port, listens, only, running, wait_for

NEEDS = ["redis-server", "redis-cli", "openssl"]
PROXIED = ["redis"]
TARN = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "build/checked/tarn")
SHIPPED = TARN.replace("/checked", "")  # where time and memory count
QUIET = ["--save", "", "--appendonly", "no", "--daemonize", "no"]


def cli(*words, text=None, binary=False):
    run = subprocess.run(["redis-cli", *map(str, words)], input=text, capture_output=True, timeout=60, check=True)
    return run.stdout if binary else run.stdout.decode(errors="replace").strip()


@contextlib.contextmanager
def redis(folder, port, *more, ready=None, **options):
    words = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, *QUIET, *map(str, more)]
    with running(words, folder, ready or (lambda: listens(port)), **options) as child:
        yield child


@contextlib.contextmanager
def plain(folder):
    port = free_port()
    with redis(folder, port) as child:
        yield Server(f"redis://127.0.0.1:{port}/3?prefix={{}}:&usage=1", port=port, cli=["-p", port, "-n", 3], child=child)



def answers(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        return True


@contextlib.contextmanager
def through_socket(folder):
    path = f"{folder}/a b.sock"  # with a byte that a URL has to hide
    with redis(folder, 0, "--unixsocket", path, ready=lambda: answers(path)) as child:
        yield Server(f"redis+unix://{path.replace(' ', '%20')}?prefix={{}}:&ttl=600", cli=["-s", path], child=child)


def make_certificates(folder, ca="ca", names="DNS:localhost,IP:127.0.0.1", server="server"):
    """An authority, and what it says a server and a client are."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if not os.path.exists(f"{folder}/{ca}.crt"):
        openssl("req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.crt", "-days", "3", "-subj", f"/CN=tarn {ca}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    with open(f"{folder}/{server}.ext", "w") as ext:
        ext.write(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("req", *key, "-keyout", f"{server}.key", "-out", f"{server}.csr", "-subj", f"/CN={server}")
    openssl("x509", "-req", "-in", f"{server}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-days", "3", "-out", f"{server}.crt", "-extfile", f"{server}.ext")


def tls_words(folder, port, server="server", clients="no"):
    return ["--tls-port", port, "--tls-cert-file", f"{folder}/{server}.crt", "--tls-key-file", f"{folder}/{server}.key",
            "--tls-ca-cert-file", f"{folder}/ca.crt", "--tls-auth-clients", clients]


ACL = """user default off
user builder on >s3cret#/@ ~* &* +@all
user reader on >0nly ~* &* -@all +get +exists +strlen +scan +select +auth
"""


@contextlib.contextmanager
def encrypted(folder):
    """TLS with an authority of our own and a certificate of the client's, and a user."""
    port = free_port()
    make_certificates(folder)
    make_certificates(folder, server="client")
    with open(f"{folder}/users.acl", "w") as users:
        users.write(ACL)
    with redis(folder, 0, *tls_words(folder, port, clients="yes"), "--aclfile", f"{folder}/users.acl",
               ready=lambda: listens(port)) as child:
        tls = f"ca={folder}/ca.crt&cert={folder}/client.crt&key={folder}/client.key"
        yield Server(f"rediss://builder:s3cret%23%2F%40@localhost:{port}/1?{tls}&prefix={{}}", port=port, tls=tls, child=child,
                     cli=["-h", "localhost", "-p", port, "--tls", "--cacert", f"{folder}/ca.crt", "--cert", f"{folder}/client.crt",
                          "--key", f"{folder}/client.key", "--user", "builder", "--pass", "s3cret#/@", "--no-auth-warning", "-n", 1])


def cluster_ports(count):
    """Their buses listen 10,000 above."""
    found = []
    while len(found) < count:
        port = 20000 + free_port() % 25000
        try:
            for p in (port, port + 10000):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", p))
        except OSError:
            continue
        if port not in found:
            found.append(port)
    return found


@contextlib.contextmanager
def cluster(folder):
    ports = cluster_ports(3)
    with contextlib.ExitStack() as stack:
        children = []
        for port in ports:
            os.mkdir(f"{folder}/{port}")
            children.append(stack.enter_context(redis(
                f"{folder}/{port}", port, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", 2000)))
        cli("--cluster", "create", *[f"127.0.0.1:{p}" for p in ports], "--cluster-yes")
        for port in ports:
            wait_for(lambda: "cluster_state:ok" in cli("-p", port, "cluster", "info"))
        yield Server(f"redis://127.0.0.1:{ports[0]}?prefix={{}}:", ports=ports, children=children, cli=["-c", "-p", ports[0]])


# ---- what the tests have ----

KEY = b"0123456789abcdefghijklmnopqrstuv"  # of something that is not a blob


class Client:
    """Another's way to Redis: commands as bytes, answers as Python has them."""
    def __init__(self, server):
        where = server.cli[server.cli.index("-s" if "-s" in server.cli else "-p") + 1]
        if isinstance(where, int):
            self.socket = socket.create_connection(("127.0.0.1", where), 10)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(where)
        self.file = self.socket.makefile("rb")
        if "-n" in server.cli:
            self("SELECT", server.cli[server.cli.index("-n") + 1])

    def send(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def answer(self):
        kind, rest = (line := self.file.readline())[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def __call__(self, *words):
        self.send(*words)
        return self.answer()

    def found(self, pattern):
        cursor, all_ = b"0", []
        while True:
            cursor, names = self("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            all_ += names
            if cursor == b"0":
                return sorted(all_)


def url(server, name, more=""):
    return server.url.replace("{}", name) + more


def tarn(folder, tiers, *words, status=0, text=None, seconds=60, program=TARN):
    """(stdout, stderr); with no word of what the URLs hold in secret."""
    env = {**os.environ, "TARN_DIR": f"{folder}/tarn", "TARN_TIERS": tiers, "TARN_LOG": "warn"}
    run = subprocess.run([program, *words], env=env, input=text, capture_output=True, text=True, timeout=seconds, cwd=folder)
    assert run.returncode == status, f"tarn {words}: status {run.returncode}\n{run.stdout}\n{run.stderr}"
    for secret in ("s3cret", "0nly", "wr0ng"):
        assert secret not in run.stdout + run.stderr, run.stdout + run.stderr
    return run.stdout, run.stderr


def put(folder, tiers, data, *more, **options):
    with open(f"{folder}/file", "wb") as file:
        file.write(data)
    return tarn(folder, tiers, "write", "file", *more, **options)[0].strip()


def refused(folder, tiers, *expected, status=1):
    """`tarn locations --test` says why it does not work."""
    said = tarn(folder, tiers, "locations", "--test", status=status)[0]
    assert all(e in said for e in expected), said
    return said


def sha256(data):
    return hashlib.sha256(data).digest()


# ---- the tests ----

@only("redis", "redis socket")
def test_names_are_those_of_python(server, folder):
    redis, where = Client(server), url(server, "py")
    ttl = "ttl=" in where
    key = put(folder, where, b"hello\n", "--label", "b", "--label", "a")
    name = b"py:" + bytes.fromhex(key)
    assert redis("GET", name) == b"hello\n"
    assert redis("GET", b"labels" + name) == b'["a", "b"]'
    assert redis.found("py:*") == [name]
    assert (0 < redis("TTL", name) <= 600) == ttl and (0 < redis("TTL", b"labels" + name) <= 600) == ttl
    if "usage=1" in where:
        assert abs(float(redis("GET", b"usage_date" + name)) - time.time()) < 60
    tarn(folder, where, "rm", key)
    assert redis("KEYS", "*py:*") == []


@only("redis")
def test_nobody_asks_for_what_is_not_wanted(server, folder):
    """What is verified is asked for its size and its bytes, and nothing else, of which there is "usage" here."""
    redis, where = Client(server), url(server, "few")
    for i in range(20):
        put(folder, where, b"%d" % i)
    redis("CONFIG", "RESETSTAT")
    assert "verified 20 entries" in tarn(folder, where, "verify")[0]
    stats = dict(re.findall(r"cmdstat_(\w+):calls=(\d+)", redis("INFO", "commandstats").decode()))
    assert (stats["strlen"], stats["get"], stats["set"]) == ("20", "20", "20"), stats  # SET is a use that is noted
    assert not {"object", "exists"} & set(stats), stats
    tarn(folder, "", "copy", where, f"{folder}/copy")
    stats = dict(re.findall(r"cmdstat_(\w+):calls=(\d+)", redis("INFO", "commandstats").decode()))
    assert (stats["strlen"], stats["exists"], stats["get"]) == ("40", "20", "40") and "object" not in stats, stats


@only("redis", "redis socket")
def test_what_python_wrote_is_read(server, folder):
    redis, where = Client(server), url(server, "other")
    data = bytes(range(256)) * 300
    name = b"other:" + sha256(data)
    redis("SET", name, data)
    redis("SET", b"labels" + name, '["\\u00e9", "x"]')
    redis("SET", b"usage_date" + name, repr(1234567890.5))
    redis("SET", b"other:" + KEY + b"!", "too long a name to be ours")
    listed = json.loads(tarn(folder, where, "ls", "--json")[0])
    assert listed["key"] == sha256(data).hex() and listed["size"] == len(data) and listed["labels"] == ["x", "é"], listed
    assert listed["last_used"] == "2009-02-13T23:31:30Z", listed
    tarn(folder, where, "read", sha256(data).hex(), "-o", "out")
    assert open(f"{folder}/out", "rb").read() == data
    put(folder, where, data, "--label", "mine")
    assert redis("GET", b"labels" + name) == b'["mine", "x", "\\u00e9"]'


@only("redis", "redis socket")
def test_of_actions_python_finds_the_blobs(server, folder):
    redis, where = Client(server), url(server, "act")
    made = bytes.fromhex(python_lakes.act(folder))
    tarn(folder, where, "copy", f"{folder}/acted/lake", where)
    assert redis.found("act:*") == [b"act:" + made]
    assert sha256(redis("GET", b"act:" + made)) == made
    assert len(redis.found("indexact:*")) == 2  # a record, and a list of path sets


@only("redis")
def test_records_are_not_found_by_python(server, folder):
    redis = Client(server)
    for prefix in "", "p:", "index", "i", ":index", "labels":
        where = server.url.replace("{}:", prefix)
        redis("FLUSHDB")
        redis("SET", (b":" if prefix in ("index", "i") else b"") + b"index" + prefix.encode() + KEY, "x")
        spaces = [json.loads(line)["space"] for line in tarn(folder, where, "ls", "--json")[0].splitlines()]
        assert spaces == ["index"], (prefix, spaces)
        assert not prefix or not redis.found(prefix + "*"), prefix
    redis("FLUSHDB")


@only("redis socket")
def test_time_to_live(server, folder):
    redis = Client(server)
    where = server.url.replace("{}", "ttl").replace("ttl=600", "ttl=100")
    name = b"ttl:" + bytes.fromhex(key := put(folder, where, b"short"))
    for use in (lambda: tarn(folder, where, "read", key), lambda: put(folder, where, b"short")):
        redis("EXPIRE", name, 50)
        use()
        assert 90 < redis("TTL", name) <= 100, redis("TTL", name)
    redis("PEXPIRE", name, 1)
    time.sleep(0.05)
    tarn(folder, where, "read", key, status=1)


@only("redis")
def test_databases_are_apart(server, folder):
    key = put(folder, url(server, "db"), b"third")
    assert tarn(folder, url(server, "db").replace("/3?", "/4?"), "ls")[0] == ""
    assert key in tarn(folder, url(server, "db").replace("/3?", "?db=3&"), "ls")[0]
    refused(folder, url(server, "db").replace("/3?", "/99?"), "refuses database 99")


@only("redis tls")
def test_passwords(server, folder):
    user = lambda text: url(server, "pw:").replace("builder:s3cret%23%2F%40@", text)
    for wrong in "builder:wr0ng@", "nobody:s3cret@", ":s3cret@":
        assert "WRONGPASS" in refused(folder, user(wrong), "refuses our user name or password")
    refused(folder, user(""), "NOAUTH")
    key = put(folder, user("") + "&user=builder&password=s3cret%23%2F%40", b"mine")
    assert tarn(folder, user("reader:0nly@"), "read", key)[0] == "mine"
    refused(folder, user("reader:0nly@"), "declined", "NOPERM", status=0)


@only("redis tls")
def test_certificates(server, folder):
    where = url(server, "tls:")
    make_certificates(folder, ca="other", server="odd")
    refused(folder, where.replace(f"ca={server.folder}/ca.crt", f"ca={folder}/other.crt"), "over TLS", "certificate")
    refused(folder, where.replace(f"ca={server.folder}/ca.crt&", ""), "over TLS", "certificate")
    said = refused(folder, f"rediss://builder:s3cret@127.0.0.1:{server.port}?ca={server.folder}/ca.crt", "over TLS")
    assert "certificate" in said, said  # it wants one of us
    refused(folder, where.replace("client.key", "server.key"), "expected PEM")
    refused(folder, where.replace("ca.crt", "none.crt"), "none.crt", "expected PEM")
    refused(folder, where.replace("rediss:", "redis:").replace("ca=", "prefix=x&ca="), "Connection reset")


@only("redis tls")
def test_another_host_is_refused(server, folder):
    port = free_port()
    make_certificates(folder, names="DNS:elsewhere.example,IP:127.0.0.2")
    with redis(folder, 0, *tls_words(folder, port), ready=lambda: listens(port)):
        for host in "localhost", "127.0.0.1":
            assert "mismatch" in refused(folder, f"rediss://{host}:{port}?ca={folder}/ca.crt", "over TLS")
    with redis(folder, port):
        refused(folder, f"rediss://localhost:{port}?ca={folder}/ca.crt&timeout=1", "did not begin TLS within 1 s")


@only("redis cluster")
def test_keys_are_spread(server, folder):
    where = url(server, "spread")
    keys = sorted(put(folder, where, b"%d" % i) for i in range(24))
    sizes = [int(cli("-p", port, "eval", "return #redis.call('keys', 'spread:*')", 0)) for port in server.ports]
    assert sum(sizes) == 24 and all(sizes), sizes
    listed = [json.loads(line)["key"] for line in tarn(folder, where, "ls", "--json")[0].splitlines()]
    assert sorted(listed) == keys, listed
    tarn(folder, "", "copy", where, f"{folder}/lake")
    tarn(folder, where, "copy", f"{folder}/lake", url(server, "again"))
    assert len(tarn(folder, url(server, "again"), "ls")[0].splitlines()) == 24
    tarn(folder, where, "rm", *keys)
    assert tarn(folder, where, "ls")[0] == ""


@only("redis cluster")
def test_a_slot_that_moves(server, folder):
    """ASK while it is on its way, MOVED once it has gone; both with what it holds."""
    where = url(server, "{moving}")
    keys = [put(folder, where, b"%d" % i) for i in range(3)]
    ids = [cli("-p", port, "cluster", "myid") for port in server.ports]
    slot = cli("-p", server.ports[0], "cluster", "keyslot", "{moving}:")
    has = [cli("-p", port, "cluster", "countkeysinslot", slot) for port in server.ports].index("3")
    to = (has + 1) % 3
    cli("-p", server.ports[to], "cluster", "setslot", slot, "importing", ids[has])
    cli("-p", server.ports[has], "cluster", "setslot", slot, "migrating", ids[to])
    keys.append(put(folder, where, b"new"))
    assert cli("-p", server.ports[to], "cluster", "countkeysinslot", slot) == "1"
    for key in keys:
        tarn(folder, where, "read", key)
    for name in Client(Server("", cli=["-p", server.ports[has]]))("CLUSTER", "GETKEYSINSLOT", slot, 10):
        Client(Server("", cli=["-p", server.ports[has]]))("MIGRATE", "127.0.0.1", server.ports[to], name, 0, 5000)
    for i in (to, has, 3 - to - has):
        cli("-p", server.ports[i], "cluster", "setslot", slot, "node", ids[to])
    for key in keys:
        tarn(folder, where, "read", key)
    assert len(tarn(folder, where, "ls")[0].splitlines()) == 4


@only("redis")
def test_a_server_that_is_full(server, folder):
    port = free_port()
    with redis(folder, port, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction"):
        said = tarn(folder, f"redis://127.0.0.1:{port}", "copy", lake_of(folder, 60, 100000), f"redis://127.0.0.1:{port}", status=1)
        assert "OOM" in said[0] + said[1] or "declined" in said[0] + said[1], said
        lake_left = f"redis://127.0.0.1:{port},{folder}/rest"
        for i in range(40):
            put(folder, lake_left, os.urandom(100000))
        assert len(os.listdir(f"{folder}/rest")) > 5


def lake_of(folder, count, size):
    lake = f"{folder}/lake"
    os.makedirs(lake)
    with open(f"{lake}/config.yml", "w") as config:
        config.write("levels:\n- 1\n- -1\n")
    for i in range(count):
        data = (b"%d " % i).ljust(size, b".") if size else b"%d" % i
        digest = sha256(data).hex()
        os.makedirs(f"{lake}/{digest[:2]}", exist_ok=True)
        with open(f"{lake}/{digest[:2]}/{digest[2:]}", "wb") as file:
            file.write(data)
    return lake


@only("redis")
def test_a_server_that_is_read_only(server, folder):
    port = free_port()
    with redis(folder, port, "--replicaof", "127.0.0.1", server.port, "--replica-serve-stale-data", "yes"):
        refused(folder, f"redis://127.0.0.1:{port}", "declined", "READONLY", status=0)


@only("redis")
def test_a_server_that_hangs(server, folder):
    server.child.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        refused(folder, url(server, "hang", "&timeout=1"), "did not answer within 1 s")
        assert 0.9 < time.monotonic() - began < 30, time.monotonic() - began
    finally:
        server.child.send_signal(signal.SIGCONT)
    put(folder, url(server, "hang", "&timeout=1"), b"well again")


@only("redis")
def test_nobody_there(server, folder):
    refused(folder, f"redis://127.0.0.1:{free_port()}", "Connection refused")
    refused(folder, f"redis+unix://{folder}/none.sock", "none.sock", "No such file")
    refused(folder, "redis://no-such-host.invalid", "cannot find the address of 'no-such-host.invalid'")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:  # takes no connection
        port = full.getsockname()[1]
        first = socket.create_connection(("127.0.0.1", port))
        began = time.monotonic()
        refused(folder, f"redis://127.0.0.1:{port}?timeout=1", "127.0.0.1")
        refused(folder, f"rediss://127.0.0.1:{port}?timeout=1", "127.0.0.1")
        assert time.monotonic() - began < 30, time.monotonic() - began
        first.close()


@only("redis")
def test_many_small_blobs(server, folder):
    """100,000 of them, put there by another, listed, copied in batches and removed."""
    redis = Client(server)
    keys = []
    for start in range(0, 100000, 1000):
        data = [b"value %d" % i for i in range(start, start + 1000)]
        keys += [sha256(d) for d in data]
        for d in data:
            redis.send("SET", b"many:" + sha256(d), d)
        for d in data:
            assert redis.answer() == b"OK"
    many, other = url(server, "many").replace("&usage=1", ""), url(server, "copied").replace("&usage=1", "")
    assert len(tarn(folder, many, "ls", program=SHIPPED, seconds=300)[0].splitlines()) == 100000
    tarn(folder, many, "copy", many, other, program=SHIPPED, seconds=300)
    assert set(redis.found("copied:*")) == {b"copied:" + k for k in keys}
    assert "100000 entries" in tarn(folder, other, "verify", program=SHIPPED, seconds=300)[0]
    for start in range(0, 100000, 20000):
        tarn(folder, other, "rm", *[k.hex() for k in keys[start:start + 20000]], program=SHIPPED, seconds=300)
    assert redis.found("copied:*") == []
    redis("FLUSHDB")


@only("redis")
def test_values_too_large(server, folder):
    port = free_port()
    with redis(folder, port, "--proto-max-bulk-len", "2mb") as child:
        both = f"redis://127.0.0.1:{port},{folder}/rest"
        put(folder, both, bytes(3 << 20))
        assert len(os.listdir(f"{folder}/rest")) >= 1
        assert cli("-p", port, "dbsize") == "0"
        put(folder, both, bytes((2 << 20) - 1))
        assert cli("-p", port, "dbsize") == "1"
    where = url(server, "large")
    key = put(folder, where, os.urandom(64 << 20))
    within(12, folder, where, "read", key, "-o", "out")
    Client(server)("FLUSHDB")
    within(12, folder, where, "write", "out")
    assert sha256(open(f"{folder}/out", "rb").read()).hex() == key
    tarn(folder, where + "&max_size=1MiB", "read", key, "-o", "out2", status=1)
    Client(server)("FLUSHDB")


def within(mebibytes, folder, tiers, *words, status=0):
    """With no more memory of its own than that."""
    env = {**os.environ, "TARN_DIR": f"{folder}/tarn", "TARN_TIERS": tiers}
    run = subprocess.run(["sh", "-c", f'ulimit -d {mebibytes << 10}; exec "$@"', "sh", SHIPPED, *words], env=env, cwd=folder,
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == status, f"{run.returncode}: {run.stderr}"
    return run.stderr


def suite(server, folder, expected, **env):
    """The suite redis_server of tests/unit/test_redis.c."""
    calls = [server.cli] if "-c" not in server.cli else [["-p", port] for port in server.ports]
    with open(f"{folder}/call", "w") as script:
        script.write("#!/bin/sh\n" + "".join(f"{shlex.join(['redis-cli', *map(str, c)])} \"$@\"\n" for c in calls))
    env = {**os.environ, "TARN_TEST_URL": server.url, "TARN_TEST_CALL": f"sh {folder}/call", **env}
    run = subprocess.run([f"{os.path.dirname(TARN)}/unit-tests", "--filter", "redis_server/*", "-j1"], env=env,
                         capture_output=True, text=True, timeout=500)
    assert f"Tested: {expected} | Passing: {expected}" in run.stdout + run.stderr, run.stdout + run.stderr


@only("redis", "redis tls", "redis cluster")
def test_batches_and_faults(server, folder):
    suite(server, folder, 4)


@only("redis")
def test_a_server_that_dies_and_comes_back(server, folder):
    os.mkdir(f"{folder}/own")
    with plain(f"{folder}/own") as own:
        with open(f"{folder}/pid", "w") as pid:
            pid.write(str(own.child.pid))
        kill = f"kill -9 $(cat {folder}/pid)"
        start = f"{shlex.join(own.child.args)} >/dev/null 2>&1 & echo $! >{folder}/pid; for i in $(seq 500); do " \
            f"sh {folder}/call ping 2>/dev/null | grep -q PONG && break; sleep 0.02; done"
        try:
            suite(own, folder, 5, TARN_TEST_KILL=kill, TARN_TEST_START=start)
        finally:
            os.kill(int(open(f"{folder}/pid").read()), signal.SIGKILL)


# ---- servers that are none, or no good ones ----

@contextlib.contextmanager
def fake(answer):
    """Someone who answers each thing that comes by answer(connection, what, nth)."""
    stop, asked = threading.Event(), []

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            while not stop.is_set() and (what := connection.recv(1 << 16)):
                asked.append(what)
                if answer(connection, what, len(asked)) == "close":
                    return

    def listen():
        while not stop.is_set():
            with contextlib.suppress(OSError):
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        try:
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}?timeout=2", asked, listener.getsockname()[1]
        finally:
            stop.set()


def endless(connection, what, nth):
    connection.sendall(b"$500000000\r\n")
    for _ in range(5000):
        connection.sendall(bytes(100000))


HOSTILE = {  # what it does, and what is said of it
    "endless": (endless, "more than"),
    "half a large value": (lambda c, w, n: c.sendall(b"$3000000\r\n" + bytes(2000000)) or "close", "closed the connection"),
    "longer than long": (lambda c, w, n: c.sendall(b"$99999999999999999999\r\n"), "does not speak Redis"),
    "many elements": (lambda c, w, n: c.sendall(b"*2000000000\r\n"), "does not speak Redis"),
    "many elements in turn": (lambda c, w, n: c.sendall(b"*1000000\r\n" + (b"*100000\r\n" + b":1\r\n" * 100000) * 12), "does not speak Redis"),
    "deep": (lambda c, w, n: c.sendall(b"*1\r\n" * 100), "does not speak Redis"),
    "another protocol": (lambda c, w, n: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak Redis"),
    "the wrong answer": (lambda c, w, n: c.sendall(b"+OK\r\n"), "answers to EXISTS without a number"),
    "half an answer": (lambda c, w, n: c.sendall(b":1") or "close", "closed the connection"),
    "nothing, and goes": (lambda c, w, n: "close", "closed the connection"),
    "nothing, and stays": (lambda c, w, n: None, "did not answer within 2 s"),
    "loading": (lambda c, w, n: c.sendall(b"-LOADING Redis is loading the dataset in memory\r\n"), "LOADING"),
    "no terminal's friend": (lambda c, w, n: c.sendall(b"-ERR \x1b[2J\x07\r\n"), "ERR ?[2J?"),
    "nowhere": (lambda c, w, n: c.sendall(b"-MOVED 99999 h:1\r\n"), "sends us nowhere"),
    "refuses more clients": (lambda c, w, n: c.sendall(b"-ERR max number of clients reached\r\n") or "close", "max number of clients"),
}


@only("redis")
def test_hostile_answers(server, folder):
    for name, (answer, said) in HOSTILE.items():
        with fake(answer) as (where, asked, port):
            got = refused(folder, where)
            assert said in got, f"{name}: {got}"


@only("redis")
def test_an_endless_listing(server, folder):
    """As little as it answers, it answers."""
    def answer(connection, what, nth):
        time.sleep(0.02)
        connection.sendall(b"-ERR no cluster\r\n" if b"CLUSTER" in what else
                           b":9\r\n" if b"DBSIZE" in what else b"*2\r\n$1\r\n7\r\n*0\r\n")
    with fake(answer) as (where, asked, port):
        said = tarn(folder, where.replace("timeout=2", "timeout=1"), "ls", status=1)[1]
        assert "without end" in said and len(asked) > 100, said


@only("redis")
def test_endless_redirections(server, folder):
    with fake(lambda c, w, n: c.sendall(b"-MOVED 1 127.0.0.1:%d\r\n" % port)) as (where, asked, port):
        refused(folder, where, "one of too many that sent us on")
        assert len(asked) <= 10, len(asked)
    with fake(lambda c, w, n: c.sendall(b"-ASK 1 127.0.0.1:1\r\n")) as (where, asked, port):
        refused(folder, where, "cannot connect to '127.0.0.1:1'")


@only("redis")
def test_a_cluster_that_renames_its_servers(server, folder):
    """All are the same one: an address may be written in many ways."""
    name = lambda n: f"0x{'0' * (n // 40)}7f.{'0' * (n % 40)}1"
    state = {"now": 0, "key": None}

    def answer(connection, what, nth):
        key = what[-34:-2]
        if b"CLUSTER" in what:
            host = name(state["now"])
            connection.sendall(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$%d\r\n%s\r\n:%d\r\n" % (len(host), host.encode(), port))
        elif key != state["key"]:
            state.update(now=state["now"] + 1, key=key)
            connection.sendall(b"-MOVED 1 %s:%d\r\n" % (name(state["now"]).encode(), port))
        else:
            connection.sendall(b":0\r\n")
    with fake(answer) as (where, asked, port):
        keys = ["%064x" % i for i in range(1100)]
        said = tarn(folder, where, "rm", *keys, status=1)[1]
        assert state["now"] == 1100 and "127.0.0.1" not in said and "too many" not in said, said[-1000:]


@only("redis")
def test_memory_has_a_limit(server, folder):
    with fake(endless) as (where, asked, port):
        assert "which is the limit" in within(12, folder, where, "read", "ab" * 32, status=1)
    with fake(lambda c, w, n: c.sendall(b"*1\r\n") or endless(c, w, n)) as (where, asked, port):
        assert "which is the limit" in within(100, folder, where, "read", "ab" * 32, status=1)  # no value: hiredis holds it


@only("redis")
def test_another_value(server, folder):
    redis, where = Client(server), url(server, "bad")
    name = b"bad:" + sha256(b"what was meant")
    redis("SET", name, "what is there")
    said = tarn(folder, where, "read", sha256(b"what was meant").hex(), status=1)
    assert said[0] == "" and "not what its key says" in said[1], said
    redis("DEL", name)
    redis("RPUSH", name, "a list")
    assert "WRONGTYPE" in tarn(folder, where, "read", sha256(b"what was meant").hex(), status=1)[1]
    assert tarn(folder, where, "ls")[0] == ""


SERVERS = {"redis": plain, "redis socket": through_socket, "redis tls": encrypted, "redis cluster": cluster}
