"""S3, by radosgw: it checks signatures, and keeps to If-None-Match."""
import contextlib, datetime, hashlib, hmac, http.client, http.server, os, re, signal, socketserver, subprocess, tempfile, threading, time, urllib.parse, uuid

import many
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
            subprocess.run(words, check=True, stdout=log, stderr=log, timeout=300, env=env)

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


# ---- what the real one does ----

HELLO = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


def test_lays_out_as_the_python_library_does(server, folder):
    open(f"{folder}/hello", "w").write("hello\n")
    assert HELLO in tarn(server, place(server, "layout"), "write", f"{folder}/hello")
    assert server.client.ask("GET", f"/tarn/layout/{HELLO[:4]}/{HELLO[4:]}") == (200, b"hello\n")
    assert server.client.keys("layout/") == [f"layout/{HELLO[:4]}/{HELLO[4:]}"]
    other = hashlib.sha256(b"from elsewhere").hexdigest()
    assert server.client.ask("PUT", f"/tarn/layout/{other[:4]}/{other[4:]}", b"from elsewhere")[0] == 200
    assert tarn(server, place(server, "layout"), "read", other) == "from elsewhere"
    wrong = hashlib.sha256(b"x").hexdigest()
    assert server.client.ask("PUT", f"/tarn/layout/{wrong[:4]}/{wrong[4:]}", b"y")[0] == 200
    assert "not what its key says" in tarn(server, place(server, "layout"), "read", wrong, status=1)
    assert server.client.ask("PUT", "/tarn/layout/README", b"of no concern")[0] == 200
    assert sorted(re.findall(r"[0-9a-f]{64}", tarn(server, place(server, "layout"), "ls"))) == sorted([HELLO, other, wrong])


def test_is_understood_by_amazons_own_client(server, folder):
    script = f"""
import boto3, sys
from botocore.config import Config
s = boto3.client("s3", endpoint_url="http://127.0.0.1:{server.port}", aws_access_key_id="{KEY}", aws_secret_access_key="{SECRET}",
                 region_name="us-east-1", config=Config(s3={{"addressing_style": "path"}}))
name = "boto/{HELLO[:4]}/{HELLO[4:]}"
assert s.get_object(Bucket="tarn", Key=name)["Body"].read() == b"hello\\n"
tags = {{t["Key"]: t["Value"] for t in s.get_object_tagging(Bucket="tarn", Key=name)["TagSet"]}}
assert tags["_red"] == "_red" and float(tags["usage_date"]) > 1.7e9, tags
big = s.head_object(Bucket="tarn", Key=sys.argv[1])
assert big["ContentLength"] == 30 << 20 and big["ETag"].endswith('-6"'), big
s.put_object_tagging(Bucket="tarn", Key=name, Tagging={{"TagSet": [{{"Key": "_blue", "Value": "_blue"}}, {{"Key": "mine", "Value": "x"}}]}})
"""
    if subprocess.run(["/usr/bin/python3", "-c", "import boto3"], capture_output=True).returncode:
        raise Skip("python3-boto3 not installed")
    there = place(server, "boto", usage=1, part_size="5MiB")
    open(f"{folder}/hello", "w").write("hello\n")
    tarn(server, there, "write", f"{folder}/hello", "--label", "red")
    data = os.urandom(30 << 20)
    open(f"{folder}/big", "wb").write(data)
    tarn(server, there, "write", f"{folder}/big")
    big = hashlib.sha256(data).hexdigest()
    subprocess.run(["/usr/bin/python3", "-c", script, f"boto/{big[:4]}/{big[4:]}"], check=True)
    assert "blue" in tarn(server, there, "ls", HELLO, "--json")
    assert "red" not in tarn(server, there, "ls", HELLO, "--json")


def contract(server, url, which="*", **env):
    run = subprocess.run([f"{ROOT}/build/checked/unit-tests", "--filter", f"location/{which}", "-j2"], cwd=ROOT, capture_output=True, text=True,
                         timeout=300, env={**os.environ, **server.env, "TARN_TEST_URL": url, **env})
    sums = re.search(r"Tested: (\d+) \| Passing: (\d+)", run.stderr + run.stdout)
    assert sums and sums[1] == sums[2] != "0" and "Sanitizer" not in run.stderr, run.stderr[-4000:] + run.stdout[-4000:]


def test_keeps_the_contract_over_tls_by_name_with_usage(server, folder):
    contract(server, f"s3://tarn/tls/{{}}?endpoint=https://localhost:{server.tls}&ca={server.ca}&style=virtual&usage=1&region=eu-central-1",
             "@(gives_back|forgets|keeps_labels|lists_what)*")


def test_keeps_values_compressed(server, folder):
    url = f"s3://tarn/zstd/{{}}?endpoint=http://127.0.0.1:{server.port}&compress=zstd&part_size=5MiB"
    contract(server, url, "@(gives_back|takes_a_file|forgets|lists_what|answers_batches)*")
    data = os.urandom(40 << 20).translate(bytes(b & 63 for b in range(256)))  # 30 MiB, which go in parts
    with open(f"{folder}/value", "wb") as file:
        file.write(data)
    key = tarn(server, url, "write", f"{folder}/value").split()[0]
    assert key == hashlib.sha256(data).hexdigest()
    tarn(server, url, "read", key, "-o", f"{folder}/out")
    with open(f"{folder}/out", "rb") as file:
        assert file.read() == data
    said = tarn(server, url.replace("&compress=zstd", ""), "read", key, "-o", f"{folder}/out", status=1)
    assert "is stored compressed" in said, said


def test_trusts_no_other_certificate(server, folder):
    there = place(server, "tls", endpoint=f"https://localhost:{server.tls}")
    assert "certificate" in tarn(server, there, "read", HELLO, status=None)
    other = f"{folder}/ca.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/k",
                    "-out", other, "-subj", "/CN=other"], check=True, capture_output=True)
    assert "certificate" in tarn(server, there + f"&ca={other}", "read", HELLO, status=None)


def test_says_what_is_wrong_with_credentials(server, folder):
    open(f"{folder}/f", "w").write("x")
    there = place(server, "denied")
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong-secret"}
    for words in ("read", HELLO), ("write", f"{folder}/f"), ("ls",):
        text = tarn(server, there, *words, env=wrong, status=None)
        assert "the secret key is not the server's (403 SignatureDoesNotMatch)" in text or "403" in text, text
    assert "SignatureDoesNotMatch" in tarn(server, there, "write", f"{folder}/f", env=wrong, status=None)
    assert "access key is not known there (403 InvalidAccessKeyId)" in tarn(server, there, "read", HELLO, env={"AWS_ACCESS_KEY_ID": "NOBODY"}, status=None)
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    assert "no credentials" in tarn(server, there, "read", HELLO, env=none, status=None)
    assert "no profile 'ci'" in tarn(server, there, "read", HELLO, env={**none, "AWS_PROFILE": "ci"}, status=None)
    nowhere = f"s3://no-such-bucket/?endpoint=http://127.0.0.1:{server.port}"
    assert "there is no such bucket (404 NoSuchBucket)" in tarn(server, nowhere, "read", HELLO, status=None)
    assert server.client.keys("denied/") == []


def test_finds_credentials_in_profiles(server, folder):
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    with open(f"{folder}/credentials", "w") as f:
        f.write(f"# by hand\n[default]\naws_access_key_id = x\naws_secret_access_key = y\n[ci]\naws_access_key_id={KEY}\naws_secret_access_key = {SECRET}\n")
    with open(f"{folder}/config", "w") as f:
        f.write(f"[default]\nregion = us-east-1\n[profile ci]\nregion = eu-west-3\nendpoint_url = http://127.0.0.1:{server.port}\ns3 =\n  max_concurrent_requests = 20\n[profile sso]\nsso_session = corp\n")
    files = {**none, "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/credentials", "AWS_CONFIG_FILE": f"{folder}/config"}
    open(f"{folder}/f", "w").write("by profile")
    key = tarn(server, "s3://tarn/profiles?profile=ci&style=path", "write", f"{folder}/f", env=files).strip()
    assert "by profile" in tarn(server, "s3://tarn/profiles?style=path", "read", key, env={**files, "AWS_PROFILE": "ci"})
    assert "sso_session" in tarn(server, place(server, "profiles"), "read", key, env={**files, "AWS_PROFILE": "sso"}, status=None)
    with open(f"{folder}/config", "a") as f:
        f.write("a line with the SECRET in it\n")
    text = tarn(server, "s3://tarn/profiles?profile=ci", "read", key, env=files, status=None)
    assert "line 10" in text and "SECRET" not in text, text


def test_takes_prefixes_of_any_bytes(server, folder):
    odd = "a b+é%&#'\"=;:@~!*()[]{}\\|<>^`$,"
    there = place(server, urllib.parse.quote(odd) + "//deep")
    open(f"{folder}/hello", "w").write("hello\n")
    tarn(server, there, "write", f"{folder}/hello", "--label", "a/b: c@d")
    assert server.client.ask("GET", f"/tarn/{odd}//deep/{HELLO[:4]}/{HELLO[4:]}") == (200, b"hello\n")
    assert HELLO in tarn(server, there, "ls")
    assert "a/b: c@d" in tarn(server, there, "ls", "--json")
    tarn(server, there, "rm", HELLO)
    assert tarn(server, there, "ls").strip() == ""
    for bad in "a%01b", "a%2", "a%00":
        assert "prefix" in tarn(server, place(server, bad), "ls", status=None)


def test_declines_where_it_may_only_read(server, folder):
    policy = b'{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/reader"]},"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::tarn","arn:aws:s3:::tarn/*"]}]}'
    assert server.client.ask("PUT", "/tarn", policy, [("policy", "")])[0] in (200, 204)
    reader = {"AWS_ACCESS_KEY_ID": "READKEY", "AWS_SECRET_ACCESS_KEY": "READSECRET"}
    open(f"{folder}/hello", "w").write("hello\n")
    tarn(server, place(server, "readonly"), "write", f"{folder}/hello")
    assert tarn(server, place(server, "readonly"), "read", HELLO, env=reader) == "hello\n"
    open(f"{folder}/more", "w").write("more\n")
    text = tarn(server, place(server, "readonly"), "write", f"{folder}/more", env=reader, status=None)
    assert "may not do that (403 AccessDenied)" in text, text
    assert server.client.ask("DELETE", "/tarn", query=[("policy", "")])[0] in (200, 204)


def test_declines_where_the_quota_is_used_up(server, folder):
    admin = lambda *words: subprocess.run(["radosgw-admin", "-n", "client.rgw", *server.conf, *words], check=True, capture_output=True, timeout=300)
    admin("user", "create", "--uid=small", "--display-name=small", "--access-key=SMALLKEY", "--secret=SMALLSECRET")
    admin("quota", "set", "--quota-scope=user", "--uid=small", "--max-size=1024")
    admin("quota", "enable", "--quota-scope=user", "--uid=small")
    small = {"AWS_ACCESS_KEY_ID": "SMALLKEY", "AWS_SECRET_ACCESS_KEY": "SMALLSECRET"}
    assert Client(f"127.0.0.1:{server.port}", "SMALLKEY", "SMALLSECRET").ask("PUT", "/smallbucket")[0] == 200
    open(f"{folder}/f", "wb").write(bytes(100000))
    text = tarn(server, f"s3://smallbucket?endpoint=http://127.0.0.1:{server.port}", "write", f"{folder}/f", env=small, status=None)
    assert "the quota is used up (403 QuotaExceeded)" in text, text


def test_is_shown_to_work(server, folder):
    text = tarn(server, place(server, "shown"), "locations", "--test")
    assert "s3://tarn/shown" in text and server.client.keys("shown/") == [], text
    text = tarn(server, place(server, "shown"), "locations", "--test", env={"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, status=None)
    assert "the secret key is not the server's" in text or "403" in text, text
    tarn(server, place(server, "shown").replace("s3://", f"s3://{KEY}:{SECRET}@"), "locations", "--test", env={"AWS_ACCESS_KEY_ID": ""})


def test_many_small_ones(server, folder):
    many.there_and_back(server, folder, place(server, "many"))
    count = len(server.client.keys("many/"))
    assert count == many.COUNT, count


def test_removes_many_with_few_requests(server, folder):
    with Proxy(server.port) as proxy:
        there = place(server, "gc", port=proxy.port)
        for i in range(30):
            data = b"gc %d" % i
            hex = hashlib.sha256(data).hexdigest()
            assert server.client.ask("PUT", f"/tarn/gc/{hex[:4]}/{hex[4:]}", data)[0] == 200
        assert server.client.ask("PUT", "/tarn/gc/mine", b"of no concern")[0] == 200
        time.sleep(2.1)
        proxy.seen.clear()
        assert "removed 30 entries" in tarn(server, there, "gc", "--max-age", "1 s")
        assert server.client.keys("gc/") == ["gc/mine"]
        assert sum(method == "POST" for method, _, _ in proxy.seen) == 1 and len(proxy.seen) <= 4, proxy.seen


# ---- what goes wrong: a proxy before the real one, with rules ----

class Proxy:
    """Passes on what is asked, as it is, but for what `rule(method, path, headers, n)` answers: None, or (status, headers, body), or
    a function of the connection's file."""
    def __init__(self, port, rule=None):
        self.seen, self.rule, proxy = [], rule or (lambda *_: None), self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def any(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                proxy.seen.append((self.command, self.path, self.headers))
                answer = proxy.rule(self.command, self.path, self.headers, len(proxy.seen))
                try:
                    if callable(answer):
                        self.close_connection = True
                        return answer(self.wfile)
                    self.reply(*(answer or self.ask(body)))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def ask(self, body):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                try:
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        if name.lower() != "expect":
                            connection.putheader(name, value)
                    connection.endheaders(body)
                    got = connection.getresponse()
                    return got.status, [(n, v) for n, v in got.getheaders() if n.lower() in ("etag", "content-type", "last-modified", "x-amz-request-id")] + (
                        [("content-length", got.headers["content-length"])] if self.command == "HEAD" and "content-length" in got.headers else []), got.read()
                finally:
                    connection.close()

            def reply(self, status, headers, body):
                self.send_response_only(status)
                names = {n.lower() for n, _ in headers}
                for name, value in headers:
                    self.send_header(name, value)
                if "content-length" not in names and status != 204:
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD" and status != 204:
                    self.wfile.write(body)
            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = any

        class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 200  # with the usual 5, who comes sixth may wait for 3 s, which is all that connecting may take

            def handle_error(self, *_):
                pass  # whoever was killed
        self.server = Threads(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def refusal(status, code, more="", **headers):
    return status, [(k.replace("_", "-"), v) for k, v in headers.items()], f"<?xml version='1.0'?><Error><Code>{code}</Code><AWSAccessKeyId>x</AWSAccessKeyId>{more}</Error>".encode()


def stored(server, folder, name, text):
    """A value under a prefix of its own; gives its key."""
    data = text.encode()
    hex = hashlib.sha256(data).hexdigest()
    assert server.client.ask("PUT", f"/tarn/{name}/{hex[:4]}/{hex[4:]}", data)[0] == 200
    return hex


def test_is_patient_where_it_is_asked_for(server, folder):
    key = stored(server, folder, "slow", "slow down")
    with Proxy(server.port, lambda m, p, h, n: refusal(503, "SlowDown") if n < 3 else None) as proxy:
        assert tarn(server, place(server, "slow", port=proxy.port), "read", key) == "slow down"
        assert len(proxy.seen) == 3
    began = time.monotonic()
    with Proxy(server.port, lambda m, p, h, n: refusal(429, "TooMany", retry_after="2") if n < 2 else None) as proxy:
        assert tarn(server, place(server, "slow", port=proxy.port), "read", key) == "slow down"
        assert time.monotonic() - began >= 2
    with Proxy(server.port, lambda m, p, h, n: refusal(503, "SlowDown")) as proxy:
        text = tarn(server, place(server, "slow", port=proxy.port), "read", key, status=None)
        assert "the server wants fewer requests (503 SlowDown)" in text and len(proxy.seen) == 5, (text, len(proxy.seen))
    began = time.monotonic()
    with Proxy(server.port, lambda m, p, h, n: refusal(503, "SlowDown", retry_after="900")) as proxy:
        text = tarn(server, place(server, "slow", port=proxy.port), "read", key, status=None)
        assert "come back in 900 s" in text and len(proxy.seen) == 1 and time.monotonic() - began < 25, text


def test_gives_up_what_breaks_off_in_the_middle(server, folder):
    data = os.urandom(100 << 20)
    open(f"{folder}/big", "wb").write(data)
    key = hashlib.sha256(data).hexdigest()
    broken = lambda m, p, h, n: refusal(400, "Broken") if m == "PUT" and "partNumber=13&" in p else None
    with Proxy(server.port, broken) as proxy:
        text = tarn(server, place(server, "broken", port=proxy.port, part_size="5MiB"), "write", f"{folder}/big", status=None)
        assert "400 Broken" in text, text
        assert [m for m, _, _ in proxy.seen].count("PUT") < 20 and proxy.seen[-1][0] == "DELETE"
    assert server.client.keys("broken/") == [] and server.client.uploads() == []
    with Proxy(server.port, lambda m, p, h, n: refusal(500, "InternalError") if "partNumber=7&" in p and h["authorization"] not in seen and not seen.add(
            h["authorization"]) and len(seen) < 3 else None) as proxy:
        seen = set()
        assert key in tarn(server, place(server, "broken", port=proxy.port, part_size="5MiB"), "write", f"{folder}/big")
        assert len(seen) >= 1
    there = place(server, "broken", part_size="5MiB")
    tarn(server, there, "read", key, "-o", f"{folder}/back")
    assert open(f"{folder}/back", "rb").read() == data and server.client.uploads() == []
    # 200 and an error in it, at the very end.
    failed = lambda m, p, h, n: (200, [], b"<?xml version='1.0'?>   <Error><Code>InternalError</Code></Error>") if m == "POST" and "uploadId=" in p else None
    with Proxy(server.port, failed) as proxy:
        text = tarn(server, place(server, "failed", port=proxy.port, part_size="5MiB"), "write", f"{folder}/big", status=None)
        assert "InternalError" in text, text
    assert server.client.keys("failed/") == [] and server.client.uploads() == []


def test_leaves_nothing_to_see_when_killed(server, folder):
    data = os.urandom(60 << 20)
    open(f"{folder}/big", "wb").write(data)
    hang = threading.Event()
    with Proxy(server.port, lambda m, p, h, n: (lambda f: hang.wait(30)) if "partNumber=9&" in p else None) as proxy:
        child = subprocess.Popen([TARN, "write", f"{folder}/big"], stdout=subprocess.DEVNULL, env={
            **os.environ, **server.env, "TARN_DIR": folder, "HOME": folder, "TARN_TIERS": place(server, "killed", port=proxy.port, part_size="5MiB")})
        wait_for(lambda: any("partNumber=9&" in path for _, path, _ in proxy.seen), child)
        child.kill()
        child.wait()
        hang.set()
    assert server.client.keys("killed/") == [] and len(server.client.uploads()) == 1
    there = place(server, "killed")
    assert "parts of a value" not in tarn(server, there, "verify", status=None)
    # A day later; the server's clock is as it is, so the answer says so.
    def yesterday(m, p, h, n):
        if m == "GET" and "uploads=" in p:
            keys = server.client.uploads()
            ids = re.findall(rb"<UploadId>([^<]*)<", server.client.ask("GET", "/tarn", query=[("uploads", "")])[1])
            return 200, [], b"<ListMultipartUploadsResult>%s</ListMultipartUploadsResult>" % b"".join(
                b"<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload>" % (k.encode(), i) for k, i in zip(keys, ids))
    assert server.client.ask("POST", "/tarn/killed/backup.tar", query=[("uploads", "")])[0] == 200
    with Proxy(server.port, yesterday) as proxy:
        text = tarn(server, place(server, "killed", port=proxy.port), "verify", "--repair", status=None)
        assert "parts of a value that never came to its end" in text and "backup" not in text, text
    assert server.client.uploads() == ["killed/backup.tar"], "somebody else's upload"
    id = re.search(rb"<UploadId>([^<]*)<", server.client.ask("GET", "/tarn", query=[("uploads", "")])[1])[1].decode()
    assert server.client.ask("DELETE", "/tarn/killed/backup.tar", query=[("uploadId", id)])[0] == 204


def test_waits_for_nobody(server, folder):
    key = stored(server, folder, "hang", "hanging")
    there = place(server, "hang", timeout=1)
    os.kill(server.osd.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        text = tarn(server, there, "read", key, status=None)
        assert "nothing moved for 1 s" in text and time.monotonic() - began < 60, (text, time.monotonic() - began)
    finally:
        os.kill(server.osd.pid, signal.SIGCONT)
    assert tarn(server, place(server, "hang"), "read", key) == "hanging"
    began = time.monotonic()
    text = tarn(server, place(server, "hang", port=free_port()), "read", key, status=None)
    assert "onnect" in text and time.monotonic() - began < 60, text


def forever(head, part):
    def write(f):
        f.write(head)
        for _ in range(1 << 16):
            f.write(part)
    return write


OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
LIST = b"<?xml version='1.0'?><ListBucketResult>"
ENTRY = b"<Contents><Key>lies/5891/%060d</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"

# Lists that are none: what is answered, and what is said of it.
LIES = {
    "bad XML": ((200, [], LIST + b"<a></b>"), "wrong in line 1"),
    "no XML": ((200, [], b"hello"), "wrong in line 1"),
    "cut off": ((200, [], LIST + b"<Contents>"), "wrong in line 1"),
    "nothing": ((200, [], b""), "wrong in line 1"),
    "entities": ((200, [], b"<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult>&a;</ListBucketResult>"), "document type"),
    "deep": ((200, [], LIST + b"<a>" * 1000), "nested too deeply"),
    "a long text": ((200, [], LIST + b"<Contents><Key>" + b"k" * 100000), "too long a text"),
    "too many": ((200, [], LIST + b"".join(ENTRY % i for i in range(1001)) + b"</ListBucketResult>"), "more entries than were asked for"),
    "again": ((200, [], LIST + ENTRY % 1 + ENTRY % 1 + b"</ListBucketResult>"), "not in order"),
    "no end": ((200, [], LIST + ENTRY % 1 + b"<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>"), "not in order"),
    "no value for ever": ((200, [], LIST + b"<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>"), "with 100 empty pages"),
    "to nowhere": ((200, [], LIST + ENTRY % 1 + b"<IsTruncated>true</IsTruncated></ListBucketResult>"), "but not where"),
    "a size": ((200, [], LIST + b"<Contents><Size>-1</Size></Contents></ListBucketResult>"), "size that is no number"),
    "a time": ((200, [], LIST + b"<Contents><LastModified>now</LastModified></Contents></ListBucketResult>"), "time that is none"),
    "no key": ((200, [], LIST + b"<Contents><Size>1</Size></Contents></ListBucketResult>"), "without a key"),
    "half a key": ((200, [], LIST + b"<Contents><Key>%4</Key></Contents></ListBucketResult>"), "decoded"),
    "endless": (forever(OK + LIST, b"<a>0123456789</a>" * 512), "longer than 8388608 bytes"),
    "endless refusal": (forever(b"HTTP/1.1 403 No\r\nConnection: close\r\n\r\n<Error>", b"<a>0123456789</a>" * 512), "answered 403"),
    "another host": ((301, [("location", "http://127.0.0.1:1/elsewhere")], b""), "to 'http://127.0.0.1:1/elsewhere', where nobody follows"),
    "a region": (refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-9</Region>"), "it is in region 'eu-west-9', not 'us-east-1'"),
    "a region elsewhere": (refusal(301, "PermanentRedirect", x_amz_bucket_region="eu-north-1"), "it is in region 'eu-north-1'"),
    "the time": (refusal(403, "RequestTimeTooSkewed", date="Thu, 01 Jan 2026 00:00:00 GMT"), "there it is Thu, 01 Jan 2026 00:00:00 GMT"),
    "a code": (refusal(403, "\x1b[31m&amp;"), "answered 403"),
}


def test_believes_no_lies_in_lists(server, folder):
    for name, (answer, said) in LIES.items():
        with Proxy(server.port, lambda *_: answer) as proxy:
            text = tarn(server, place(server, "lies", port=proxy.port), "ls", status=None)
            assert said in text and "\x1b" not in text and len(proxy.seen) <= (120 if "for ever" in name else 6), (name, text)


def test_follows_empty_pages(server, folder):
    """A page may be empty and yet not the last: what was deleted takes its room."""
    hex = stored(server, folder, "sparse", "behind an empty page")

    def first_is_empty(m, p, h, n):
        if "list-type" in p and "continuation-token" not in p:
            return 200, [], LIST + b"<IsTruncated>true</IsTruncated><NextContinuationToken>x%2B</NextContinuationToken></ListBucketResult>"
        if "list-type" in p:
            assert "continuation-token=x%252B" in p, p
            return 200, [], LIST + (ENTRY.replace(b"lies/5891/%060d", b"sparse/%s/%s")) % (hex[:4].encode(), hex[4:].encode()) + b"</ListBucketResult>"
    with Proxy(server.port, first_is_empty) as proxy:
        assert hex in tarn(server, place(server, "sparse", port=proxy.port), "ls")


def test_removes_many_where_md5_is_forbidden(server, folder):
    """As on a machine in FIPS mode: another digest is sent."""
    with open(f"{folder}/none.c", "w") as f:
        f.write("int EVP_Digest(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", f"{folder}/none.so", f"{folder}/none.c"], check=True)
    hex = stored(server, folder, "fips", "to be removed")
    with Proxy(server.port, lambda m, p, h, n: (200, [], b"<DeleteResult/>") if m == "POST" else None) as proxy:
        time.sleep(2.1)
        text = tarn(server, place(server, "fips", port=proxy.port), "gc", "--max-age", "1 s",
                    env={"LD_PRELOAD": f"{folder}/none.so", "ASAN_OPTIONS": "verify_asan_link_order=0"})
        [headers] = [h for m, _, h in proxy.seen if m == "POST"]
        assert "removed 1 entry" in text and "content-md5" not in headers, (text, headers.items())
        assert len(headers["x-amz-checksum-sha256"]) == 44 and ";x-amz-checksum-sha256;" in headers["authorization"], headers.items()


def test_believes_no_lies_in_values(server, folder):
    key = hashlib.sha256(b"true").hexdigest()
    lies = {
        "another value": ((200, [], b"fals"), "not what its key says"),
        "cut off": ((200, [("content-length", "9")], b"tru"), "cannot GET"),
        "no length": (lambda f: f.write(OK + b"tr"), "not what its key says"),
        "endless headers": (forever(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 1000), "headers of the answer are longer"),
        "another host": ((307, [("location", "https://example.invalid/")], b"true"), "where nobody follows"),
        "part of it": ((206, [], b"true"), "answered 206"),
        "half a line": (lambda f: f.write(b"HTTP/1.1 2"), "cannot GET"),
        "closed": (lambda f: None, "cannot GET"),
    }
    for name, (answer, said) in lies.items():
        with Proxy(server.port, lambda *_: answer) as proxy:
            text = tarn(server, place(server, "lies", port=proxy.port, timeout=2), "read", key, status=None)
            assert said in text and not text.endswith("true"), (name, text)
    truth = forever(OK, b"true" * 4096)  # a gigabyte, with no length announced
    with Proxy(server.port, lambda *_: truth) as proxy:
        child = subprocess.Popen([TARN, "read", key, "-o", f"{folder}/out"], stderr=subprocess.DEVNULL, env={
            **os.environ, **server.env, "TARN_DIR": folder, "HOME": folder, "TARN_TIERS": place(server, "lies", port=proxy.port)})
        began = time.monotonic()
        assert os.wait4(child.pid, 0)[1] != 0 and not os.path.exists(f"{folder}/out") and time.monotonic() - began < 60


def test_does_without_conditions(server, folder):
    """As swift does: 501 to If-None-Match."""
    with Proxy(server.port, lambda m, p, h, n: refusal(501, "NotImplemented") if "if-none-match" in h else None) as proxy:
        there = place(server, "plain", port=proxy.port)
        open(f"{folder}/f", "w").write("no conditions")
        key = tarn(server, there, "write", f"{folder}/f").strip()
        assert tarn(server, there, "read", key) == "no conditions"
        with open(f"{folder}/large", "wb") as f:
            f.truncate(21 << 20)
        key = tarn(server, place(server, "plain", port=proxy.port, part_size="5MiB"), "write", f"{folder}/large").strip()
        assert server.client.ask("HEAD", f"/tarn/plain/{key[:4]}/{key[4:]}")[0] == 200 and server.client.uploads() == []
        contract(server, f"s3://tarn/plain/{{}}?endpoint=http://127.0.0.1:{proxy.port}", "@(lets_the_first|answers_batches)*")


def test_signs_session_tokens_and_names_the_region(server, folder):
    with Proxy(server.port, lambda *_: refusal(404, "NoSuchKey")) as proxy:
        tarn(server, place(server, "x", port=proxy.port), "read", HELLO, status=None,
             env={"AWS_SESSION_TOKEN": "a+session/token=", "AWS_REGION": "mars-north-1"})
        headers = proxy.seen[0][2]
        assert headers["x-amz-security-token"] == "a+session/token="
        assert "/mars-north-1/s3/aws4_request" in headers["authorization"] and ";x-amz-security-token," in headers["authorization"]
        assert headers["host"] == f"127.0.0.1:{proxy.port}"


def keys(seconds, token=None):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    more = f', "Token": "{token}"' if token else ""
    return 200, [], f'{{"Code": "Success", "AccessKeyId": "{KEY}", "SecretAccessKey": "{SECRET}"{more}, "Expiration": "{until:%Y-%m-%dT%H:%M:%SZ}"}}'.encode()


def test_finds_credentials_at_endpoints(server, folder):
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": ""}
    open(f"{folder}/hello", "w").write("hello\n")
    there = place(server, "endpoints")

    def container(m, p, h, n):
        return keys(3600) if (m, p, h["authorization"]) == ("GET", "/creds?x=1", "Bearer of rings") else refusal(400, "Wrong")

    def instance(m, p, h, n):
        if (m, p) == ("PUT", "/latest/api/token"):
            return (200, [], b"TOKEN") if h["x-aws-ec2-metadata-token-ttl-seconds"] else refusal(400, "Wrong")
        if h["x-aws-ec2-metadata-token"] != "TOKEN":
            return refusal(401, "Wrong")
        path = "/latest/meta-data/iam/security-credentials/"
        return (200, [], b"a-role") if p == path else keys(3600) if p == path + "a-role" else refusal(404, "Wrong")
    with open(f"{folder}/token", "w") as f:
        f.write("Bearer of rings\n")
    with Proxy(server.port, container) as proxy:
        env = {**none, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{proxy.port}/creds?x=1"}
        assert HELLO in tarn(server, there, "write", f"{folder}/hello", env={**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Bearer of rings"})
        assert tarn(server, there, "read", HELLO, env={**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{folder}/token"}) == "hello\n"
        assert len(proxy.seen) == 2  # once for each process
        text = tarn(server, there, "read", HELLO, env={**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "of others"}, status=None)
        assert "no credentials" in text and "of others" not in text, text
    text = tarn(server, there, "read", HELLO, env={**none, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.invalid/x"}, status=None)
    assert "expected https or an address of this machine" in text, text
    with Proxy(server.port, instance) as proxy:
        env = {**none, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{proxy.port}/"}
        assert tarn(server, there, "read", HELLO, env=env) == "hello\n" and len(proxy.seen) == 3
    for answer in (200, [], b"{"), (200, [], b'{"Code": "AssumeRoleUnauthorizedAccess"}'), refusal(404, "x"), forever(OK, b"[" * 1000), lambda f: time.sleep(40):
        with Proxy(server.port, lambda *_: answer) as proxy:
            began = time.monotonic()
            text = tarn(server, there, "read", HELLO, env={**none, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{proxy.port}"}, status=None)
            assert "no credentials" in text and time.monotonic() - began < 25, text


def test_asks_for_keys_again_before_they_end(server, folder):
    lives, ended = [200], [0]

    def give(m, p, h, n):
        return keys(lives[0])

    def refuse_first(m, p, h, n):
        ended[0] += 1
        return refusal(400, "ExpiredToken") if ended[0] == 1 else None
    lake = f"{folder}/lake"
    os.mkdir(lake)
    for i in range(1000):
        hex = hashlib.sha256(b"%d" % i).hexdigest()
        os.makedirs(f"{lake}/{hex[:2]}", exist_ok=True)
        with open(f"{lake}/{hex[:2]}/{hex[2:]}", "wb") as f:
            f.write(b"%d" % i)
    with Proxy(server.port, give) as giver:
        env = {"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://localhost:{giver.port}/"}
        there = place(server, "renewed")
        tarn(server, there, "copy", lake, there, env=env)
        asked = len(giver.seen)
        assert asked > 3  # each time, since they end within five minutes
        lives[0] = 3600
        tarn(server, there, "copy", lake, place(server, "renewed2"), env=env)
        assert len(giver.seen) == asked + 1
        with Proxy(server.port, refuse_first) as proxy:
            assert tarn(server, place(server, "renewed", port=proxy.port), "read", hex, env=env) == "999"
        assert len(giver.seen) == asked + 3
