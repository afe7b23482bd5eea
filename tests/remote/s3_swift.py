"""S3 once more, by OpenStack Swift's s3api: it checks signatures in code of its own, and knows no If-None-Match."""
import contextlib, os, subprocess, urllib.parse

import s3
from support import Server, end, free_port, listens, wait_for

NEEDS = ["swift-proxy-server", "swift-account-server", "swift-container-server", "swift-object-server"]
USER, SECRET = "tarn:alice", "s3secret"

SWIFT = """[swift-hash]
swift_hash_path_prefix = tarn
swift_hash_path_suffix = tarn
[storage-policy:0]
name = gold
default = yes
"""
RINGS = """
import sys
from swift.common.ring import RingBuilder
for what, port in (word.split("=") for word in sys.argv[2:]):
    ring = RingBuilder(4, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "disk", "weight": 1, "meta": "",
                  "replication_ip": "127.0.0.1", "replication_port": int(port)})
    ring.rebalance()
    ring.get_ring().save(f"{sys.argv[1]}/{what}.ring.gz")
"""
COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {d}
devices = {d}/srv
mount_check = false
disable_fallocate = true
log_level = WARNING
log_address = /dev/null
"""
STORE = COMMON + """[pipeline:main]
pipeline = {what}-server
[app:{what}-server]
use = egg:swift#{what}
"""
FILTERS = "catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink".split()
PROXY = COMMON + f"""[pipeline:main]
pipeline = {" ".join(FILTERS)} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
""" + "".join(f"[filter:{name}]\nuse = egg:swift#{'memcache' if name == 'cache' else name}\n" + {
    "tempauth": f"user_tarn_alice = {SECRET} .admin\n",
    "s3api": "location = us-east-1\ns3_acl = false\n",
    "cache": "memcache_servers = 127.0.0.1:1\n",
}.get(name, "") for name in FILTERS)


@contextlib.contextmanager
def swift(folder):
    """Three stores with a disk of one folder, and the proxy in front."""
    d, ports = folder, {what: free_port() for what in ("account", "container", "object", "proxy")}
    os.makedirs(f"{d}/srv/disk")
    with open(f"{d}/swift.conf", "w") as f:
        f.write(SWIFT)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    for what, port in ports.items():
        with open(f"{d}/{what}.conf", "w") as f:
            f.write((PROXY if what == "proxy" else STORE).format(d=d, port=port, user=user, what=what))
    env = {**os.environ, "SWIFT_DIR": d}
    subprocess.run(["/usr/bin/python3", "-c", RINGS, d, *(f"{what}={port}" for what, port in ports.items() if what != "proxy")], check=True,
                   capture_output=True, env=env)
    children = []
    try:
        for what, port in ports.items():
            with open(f"{d}/{what}.log", "ab") as log:
                children.append(subprocess.Popen([f"swift-{what}-server", f"{d}/{what}.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                                 start_new_session=True))
        for child, port in zip(children, ports.values()):
            wait_for(lambda: listens(port), child)
        port = ports["proxy"]
        client = s3.Client(f"127.0.0.1:{port}", USER, SECRET)
        wait_for(lambda: client.ask("PUT", "/tarn")[0] == 200, children[-1])
        keys = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_CONFIG_FILE": f"{d}/none",
                "AWS_SHARED_CREDENTIALS_FILE": f"{d}/none", "AWS_EC2_METADATA_DISABLED": "true"}
        yield Server(f"s3://tarn/{{}}?endpoint=http://127.0.0.1:{port}", keys, port=port, client=client)
    finally:
        for child in reversed(children):
            end(child)


SERVERS = {"swift": swift}


def test_takes_prefixes_of_any_bytes(server, folder):
    odd = "a b+é%&#'\"=;:@~!*()[]{}\\|<>^`$,"
    there = s3.place(server, urllib.parse.quote(odd) + "//deep")
    open(f"{folder}/hello", "w").write("hello\n")
    s3.tarn(server, there, "write", f"{folder}/hello")
    assert server.client.ask("GET", f"/tarn/{odd}//deep/{s3.HELLO[:4]}/{s3.HELLO[4:]}") == (200, b"hello\n")
    assert s3.HELLO in s3.tarn(server, there, "ls")
    s3.tarn(server, there, "rm", s3.HELLO)
    assert s3.tarn(server, there, "ls").strip() == ""


def test_knows_whose_signature_it_is(server, folder):
    s3.tarn(server, s3.place(server, "shown"), "locations", "--test")
    text = s3.tarn(server, s3.place(server, "shown"), "locations", "--test", env={"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, status=1)
    assert "403" in text and "wrong-secret" not in text, text


def test_takes_parts(server, folder):
    data = os.urandom(12 << 20)
    open(f"{folder}/f", "wb").write(data)
    key = s3.tarn(server, s3.place(server, "parts", part_size="5MiB"), "write", f"{folder}/f").strip()
    s3.tarn(server, s3.place(server, "parts"), "read", key, "-o", f"{folder}/out")
    assert open(f"{folder}/out", "rb").read() == data and server.client.uploads() == []
