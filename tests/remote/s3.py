"""S3, by radosgw: it checks signatures, and keeps to If-None-Match."""
import contextlib, datetime, hashlib, hmac, http.client, http.server, os, re, signal, socketserver, subprocess, tempfile, threading, time, urllib.parse, uuid

from support import Server, Skip, end, free_port, listens, wait_for

NEEDS = ["radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd", "monmaptool", "openssl"]
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARN = f"{ROOT}/build/checked/tarn"
KEY, SECRET = "TARNKEY", "TARNSECRET"
EMPTY = hashlib.sha256(b"").hexdigest()

CONF = """[global]
fsid = {fsid}
mon_initial_members = a
mon_host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{mon_old}]
public_network = 127.0.0.0/8
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
mon_max_pg_per_osd = 1000
run_dir = {d}/run
admin_socket = {d}/run/$name.$pid.asok
log_file = {d}/log/$name.log
pid_file = {d}/run/$name.pid
crash_dir = {d}/run
mon_data = {d}/mon
osd_data = {d}/osd
osd_objectstore = memstore
memstore_device_bytes = {space}
osd_memory_target = 939524096
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
osd_class_load_list = *
osd_class_default_list = *
ms_bind_ipv6 = false
ms_mon_client_mode = crc
mon_data_avail_crit = 1
mon_data_avail_warn = 1
setuser_match_path =
plugin_dir = /usr/lib/ceph
erasure_code_dir = /usr/lib/x86_64-linux-gnu/ceph/erasure-code
osd_class_dir = /usr/lib/x86_64-linux-gnu/rados-classes
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls} ssl_certificate={d}/server.pem tcp_nodelay=1
rgw_data = {d}/rgw
rgw_enable_gc_threads = false
rgw_enable_lc_threads = false
rgw_run_sync_thread = false
rgw_dynamic_resharding = false
rgw_enable_usage_log = false
rgw_dns_name = localhost
rgw_thread_pool_size = 32
"""


def certificates(d):
    run = lambda words: subprocess.run(words, shell=True, check=True, cwd=d, capture_output=True)
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca"
        " -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign")
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server")
    with open(f"{d}/server.ext", "w") as f:
        f.write("subjectAltName=DNS:localhost,DNS:*.localhost,DNS:tarn.localhost,IP:127.0.0.1\n")
    run("openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out server.crt -extfile server.ext")
    run("cat server.key server.crt > server.pem")


@contextlib.contextmanager
def radosgw(folder):
    """A monitor, one store in memory, and the gateway. They are killed: nothing is worth keeping."""
    d, port, tls = folder, free_port(), free_port()
    for name in ("mon", "osd", "run", "log", "rgw"):
        os.makedirs(f"{d}/{name}")
    certificates(d)
    fsid, mon, mon_old = str(uuid.uuid4()), free_port(), free_port()
    with open(f"{d}/ceph.conf", "w") as f:
        f.write(CONF.format(d=d, fsid=fsid, mon=mon, mon_old=mon_old, port=port, tls=tls,
                            space=int(os.environ.get("TARN_TEST_S3_SPACE", 2 << 30))))
    conf = ["-c", f"{d}/ceph.conf"]
    children = []

    def run(*words):
        with open(f"{d}/log/setup", "ab") as log:
            subprocess.run(words, check=True, stdout=log, stderr=log, timeout=60, env=env)

    def start(*words):
        with open(f"{d}/log/{words[0]}.out", "ab") as log:
            children.append(subprocess.Popen([*words, "-f", *conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True))
    env = {**os.environ, "CEPH_CONF": f"{d}/ceph.conf"}
    try:
        run("monmaptool", "--create", "--clobber", "--addv", "a", f"[v2:127.0.0.1:{mon},v1:127.0.0.1:{mon_old}]", "--fsid", fsid, f"{d}/monmap")
        run("ceph-mon", "--mkfs", "-i", "a", *conf, "--monmap", f"{d}/monmap")
        start("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        run("/usr/bin/python3", "/usr/bin/ceph", *conf, "osd", "new", osd)
        run("ceph-osd", "-i", "0", *conf, "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", "-i", "0")
        start("radosgw", "-n", "client.rgw")
        run("radosgw-admin", "-n", "client.rgw", *conf, "user", "create", "--uid=tarn", "--display-name=tarn", f"--access-key={KEY}", f"--secret={SECRET}", "--max-buckets=0")
        run("radosgw-admin", "-n", "client.rgw", *conf, "user", "create", "--uid=reader", "--display-name=reader", "--access-key=READKEY", "--secret=READSECRET")
        wait_for(lambda: listens(port), children[-1])
        client = Client(f"127.0.0.1:{port}")
        wait_for(lambda: client.ask("PUT", "/tarn")[0] == 200, children[-1])
        env_of = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_CONFIG_FILE": f"{d}/none",
                  "AWS_SHARED_CREDENTIALS_FILE": f"{d}/none", "AWS_EC2_METADATA_DISABLED": "true"}
        yield Server(f"s3://tarn/{{}}?endpoint=http://127.0.0.1:{port}", env_of, port=port, tls=tls, client=client,
                     osd=children[1], ca=f"{d}/ca.crt", conf=conf)
    finally:
        for child in reversed(children):
            child.kill()
            child.wait()


SERVERS = {"s3": radosgw}


class Client:
    """Another client: signs by itself, in Python's words."""
    def __init__(self, at, key=KEY, secret=SECRET, region="us-east-1"):
        self.at, self.key, self.secret, self.region = at, key, secret, region

    def ask(self, method, path, body=b"", query=(), **headers):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        payload = hashlib.sha256(body).hexdigest()
        quoted = urllib.parse.quote(path, safe="/-._~")
        words = "&".join(f"{urllib.parse.quote(k, safe='-._~')}={urllib.parse.quote(v, safe='-._~')}" for k, v in sorted(query))
        signed = {"host": self.at, "x-amz-date": now, "x-amz-content-sha256": payload, **{k.replace("_", "-"): v for k, v in headers.items()}}
        names = ";".join(sorted(signed))
        canonical = "\n".join([method, quoted, words, *[f"{k}:{signed[k]}" for k in sorted(signed)], "", names, payload])
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for word in (now[:8], self.region, "s3", "aws4_request", text):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        signed["authorization"] = f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        connection = http.client.HTTPConnection(self.at, timeout=60)
        try:
            connection.request(method, quoted + ("?" + words if words else ""), body, signed)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def keys(self, prefix="", bucket="tarn"):
        found, more = [], []
        while True:
            status, text = self.ask("GET", f"/{bucket}", query=[("list-type", "2"), ("prefix", prefix), *more])
            assert status == 200, text
            found += re.findall(r"<Key>([^<]*)</Key>", text.decode())
            token = re.search(r"<NextContinuationToken>([^<]*)<", text.decode())
            if not token:
                return found
            more = [("continuation-token", token[1])]

    def uploads(self, bucket="tarn"):
        status, text = self.ask("GET", f"/{bucket}", query=[("uploads", "")])
        assert status == 200, text
        return re.findall(r"<Key>([^<]*)</Key>", text.decode())


def tarn(server, where, *words, env=(), data=b"", status=0, timeout=120):
    """One command on one location. Gives what it printed on both streams."""
    home = tempfile.mkdtemp(dir=server.folder)
    tiers = where.replace("{}", "x")
    run = subprocess.run([TARN, *words], input=data, capture_output=True, timeout=timeout,
                         env={**os.environ, **server.env, "TARN_DIR": home, "HOME": home, "TARN_TIERS": tiers, **dict(env)})
    text = run.stdout.decode(errors="replace") + run.stderr.decode(errors="replace")
    assert "Sanitizer" not in text and "runtime error" not in text, text
    if status is not None:
        assert run.returncode == status, (run.returncode, text)
    assert SECRET not in text and "wrong-secret" not in text, text
    return text


def place(server, name, **options):
    port = options.pop("port", server.port)
    options = {"endpoint": f"http://127.0.0.1:{port}", **options}
    return f"s3://tarn/{name}?" + "&".join(f"{k}={v}" for k, v in options.items())
