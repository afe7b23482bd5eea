"""nginx as a location: plain and with TLS, client certificates, basic and bearer
authentication, listings in JSON and HTML, without WebDAV, and as Bazel's cache."""
import collections, contextlib, hashlib, os, shutil, subprocess

import python_lakes, support, web
from web import HELLO, HELLO_KEY, must, tarn

NEEDS = ["nginx", "openssl"]
DAV = "dav_methods PUT DELETE MKCOL MOVE; create_full_put_path on; dav_access user:rw group:rw all:r; client_max_body_size 0; min_delete_depth 0;"
TOKEN = "s3cr3t-t0k3n"


def certificates(folder):
    """ca, server and client, each .crt and .key"""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=tarn test",
            "-addext", "basicConstraints=critical,CA:TRUE")
    with open(f"{folder}/ext", "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    for name in "server", "client":
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-out", f"{name}.crt", "-extfile", "ext")


def configuration(folder, port, location, server="", http="", listen=""):
    return f"""
daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error info;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  default_type application/octet-stream; keepalive_requests 100000; {http}
  server {{ listen 127.0.0.1:{port} {listen}; {server} location / {{ root {folder}/www; {location} }} }}
}}
"""


@contextlib.contextmanager
def serving(folder, location, scheme="http", user="", options="put=1", env=None, **more):
    port = support.free_port()
    for name in "www", "own":
        os.makedirs(f"{folder}/{name}", exist_ok=True)
    with open(f"{folder}/conf", "w") as f:
        f.write(configuration(folder, port, location, **more))
    words = ["nginx", "-e", f"{folder}/error", "-p", folder, "-c", f"{folder}/conf"]
    with support.running(words, folder, lambda: support.listens(port)):
        yield support.Server(f"{scheme}://{user}127.0.0.1:{port}/{{}}?{options}", env or {}, port=port, www=f"{folder}/www",
                             scheme=scheme, options=options, user=user)


def plain(folder):
    return serving(folder, f"{DAV} autoindex on; autoindex_format json;")


def html(folder):
    return serving(folder, f"{DAV} autoindex on;")


def bare(folder):
    """No MOVE, no folders made for a PUT, sizes in listings are rounded."""
    return serving(folder, "dav_methods PUT DELETE MKCOL; client_max_body_size 0; autoindex on; autoindex_exact_size off;")


def tls(folder):
    certificates(folder)
    return serving(folder, f"{DAV} autoindex on; autoindex_format json;", scheme="https", listen="ssl http2",
                   server=f"ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;"
                   f" ssl_client_certificate {folder}/ca.crt; ssl_verify_client on;",
                   options=f"put=1&ca={folder}/ca.crt&cert={folder}/client.crt&key={folder}/client.key")


def basic(folder):
    password = subprocess.run(["openssl", "passwd", "-apr1", "p:w@/d"], capture_output=True, text=True, check=True).stdout
    with open(f"{folder}/htpasswd", "w") as f:
        f.write(f"us er:{password}")
    os.chmod(f"{folder}/htpasswd", 0o644)
    return serving(folder, f"{DAV} autoindex on; autoindex_format json; auth_basic tarn; auth_basic_user_file {folder}/htpasswd;",
                   user="us%20er:p%3Aw%40%2Fd@")


def bearer(folder):
    with open(f"{folder}/token", "w") as f:
        f.write(f"{TOKEN}\n")
    return serving(folder, f"{DAV} autoindex on; autoindex_format json; if ($allowed = 0) {{ return 401; }}",
                   http=f'map $http_authorization $allowed {{ default 0; "Bearer {TOKEN}" 1; }}',
                   options=f"put=1&token_file={folder}/token")


def bazel(folder):
    return serving(folder, f"{DAV} autoindex on; autoindex_format json;", options="put=1&layout=bazel")


PROXIED = ["nginx"]
SERVERS = {"nginx": plain, "nginx html": html, "nginx bare": bare, "nginx tls": tls, "nginx basic": basic,
           "nginx bearer": bearer, "nginx bazel": bazel}


def on(*titles):
    """A test for these servers, which have nothing yet."""
    def mark(test):
        @support.only(*titles)
        def run(server, folder):
            for name in os.listdir(server.www):
                shutil.rmtree(f"{server.www}/{name}")
            test(server, folder)
        return run
    return mark


def url(server, name="lake", **options):
    """With other options, or without some: None."""
    words = dict(word.split("=", 1) for word in server.options.split("&") if word)
    words.update(options)
    query = "&".join(f"{k}={v}" for k, v in words.items() if v is not None)
    return f"{server.scheme}://{server.user}127.0.0.1:{server.port}/{name}?{query}"


def files(folder):
    return sorted(os.path.relpath(f"{top}/{name}", folder) for top, _, names in os.walk(folder) for name in names)


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def write(folder, tiers, data=HELLO, name="value"):
    put(f"{folder}/{name}", data)
    return tarn(folder, tiers, "write", name)


@on("nginx", "nginx html", "nginx bare", "nginx tls", "nginx basic", "nginx bearer")
def test_lays_out_a_lake_as_on_a_disk(server, folder):
    must(write(folder, url(server)))
    must(write(folder, url(server)))
    lake = f"{server.www}/lake"
    assert files(lake) == [f"{HELLO_KEY[:2]}/{HELLO_KEY[2:]}", "config.yml"], files(lake)
    assert open(f"{lake}/config.yml", "rb").read() == b"levels:\n- 1\n- -1\n"
    assert must(tarn(folder, lake, "read", HELLO_KEY)).out == HELLO
    assert must(tarn(folder, url(server, put=None), "read", HELLO_KEY)).out == HELLO


@on("nginx bazel")
def test_lays_out_what_bazel_reads(server, folder):
    must(write(folder, url(server)))
    assert files(f"{server.www}/lake") == [f"cas/{HELLO_KEY}"]
    put(f"{server.www}/lake/cas/{'0' * 64}", b"other")
    assert HELLO_KEY.encode() in must(tarn(folder, url(server), "ls")).out
    os.utime(f"{server.www}/lake/cas/{'0' * 64}", (1, 1))
    run = must(tarn(folder, url(server), "gc", "--max-age", "1 d"))
    assert b"removed 1 entry, 5 B; kept 1 entry" in run.out, run
    run = must(tarn(folder, url(server, "unlisted"), "gc", "--max-age", "1 d"))
    assert b"left as it is: the server doesn't list what it has" in run.out, run


LAKES = {  # config.yml, and where hello is
    "usual": (b"levels:\n- 1\n- -1\n", [1]),
    "none": (None, [1]),
    "two": (b"hash:\n  name: sha256\nlevels:\n- 2\n- 30\n", [2]),
    "deep": (b"levels: [1, 1, -1]\n", [1, 1]),
    "flat": (b"levels:\n- 32\n", []),
}


def python_lake(lake, config, levels):
    """As the Python library lays it out, with what it keeps beside and what others left there."""
    key, parts = HELLO_KEY, []
    for level in levels:
        parts, key = [*parts, key[:2 * level]], key[2 * level:]
    put("/".join([lake, *parts, key]), HELLO)
    if config:
        put(f"{lake}/config.yml", config)
    put(f"{lake}/README", b"foreign")
    put(f"{lake}/{'long' * 50}/x", b"")
    put(f"{lake}/tools/labels/58/{HELLO_KEY[2:]}.json", b'["x"]')
    for name in b"\xff\xfe\"<a>&\\", "näme b%2F?#".encode(), b"a\nb":
        put(os.path.join(os.fsencode("/".join([lake, *parts])), name), b"foreign")


@on("nginx", "nginx html", "nginx bare")
def test_reads_and_lists_lakes_of_python(server, folder):
    for name, (config, levels) in LAKES.items():
        python_lake(f"{server.www}/{name}", config, levels)
        tiers = url(server, name)
        assert must(tarn(folder, tiers, "read", HELLO_KEY)).out == HELLO
        listed = must(tarn(folder, tiers, "ls", "--json")).out.decode()
        assert listed.count("\n") == 1 and HELLO_KEY in listed and '"size":6' in listed.replace(" ", ""), (name, listed)
        more = b"more of it"
        must(write(folder, tiers, more))
        assert must(tarn(folder, tiers, "ls")).out.count(b"\n") == 2
        assert must(tarn(folder, f"{server.www}/{name}", "ls")).out.count(b"\n") == 2, "a disk sees something else"
        must(tarn(folder, tiers, "rm", HELLO_KEY))
        must(tarn(folder, tiers, "read", HELLO_KEY), 1)


@on("nginx", "nginx html", "nginx bare")
def test_lakes_of_python_with_actions_in_them(server, folder):
    python_lakes.hold(server, folder, server.url, f"{server.www}/{{}}", modes=False)


@on("nginx", "nginx bare")
def test_reads_a_folder_with_data_in_it(server, folder):
    put(f"{server.www}/lake/{HELLO_KEY[:2]}/{HELLO_KEY[2:]}/data", HELLO)
    assert must(tarn(folder, url(server), "read", HELLO_KEY)).out == HELLO
    assert must(tarn(folder, url(server), "ls")).out.count(HELLO_KEY.encode()) == 1
    must(tarn(folder, url(server), "rm", HELLO_KEY))
    assert not files(f"{server.www}/lake")


@on("nginx bare")
def test_does_without_move(server, folder):
    must(write(folder, url(server)))
    with open(f"{os.path.dirname(server.www)}/access") as f:
        log = f.read()
    assert '"MOVE ' in log and '" 405 ' in log and '"MKCOL ' in log, log
    assert files(f"{server.www}/lake/.tmp") == []


@on("nginx")
def test_declines_where_nothing_is_to_be_written(server, folder):
    must(write(folder, url(server, put=None)), 1, "read-only")
    assert files(server.www) == []


@on("nginx")
def test_replaces_a_blob_of_the_wrong_size(server, folder):
    put(f"{server.www}/lake/{HELLO_KEY[:2]}/{HELLO_KEY[2:]}", b"hell")
    must(tarn(folder, url(server), "read", HELLO_KEY), 1, "not what its key says")
    must(write(folder, url(server)))
    assert must(tarn(folder, url(server), "read", HELLO_KEY)).out == HELLO


@on("nginx")
def test_asks_for_no_more_than_it_needs(server, folder):
    log, place = f"{os.path.dirname(server.www)}/access", f"{server.www}/asked/{HELLO_KEY[:2]}/{HELLO_KEY[2:]}"
    large, there, all_ = os.urandom(100000), url(server, "asked"), []

    def asked(run, **methods):
        """A line is logged some time after the answer; what is one too many shows the next time at the latest."""
        def found():
            with open(log) as file:
                lines = [line.split('"')[1].split() for line in file]
            return sorted(words[0] for words in lines if "/asked/" in words[1] and "config" not in words[1])
        must(run)
        all_.extend(name for name, count in methods.items() for _ in range(count))
        with contextlib.suppress(RuntimeError):
            support.wait_for(lambda: len(found()) >= len(all_))
        assert found() == sorted(all_), (collections.Counter(found()), collections.Counter(all_))
        assert files(f"{server.www}/asked/.tmp") == []

    asked(write(folder, there), PUT=1, MOVE=1)
    asked(write(folder, there), PUT=1, MOVE=1, HEAD=1, DELETE=1)
    asked(write(folder, there, large), HEAD=1, PUT=1, MOVE=1)
    asked(write(folder, there, large), HEAD=1)
    put(place, b"hell")
    asked(write(folder, there), PUT=1, MOVE=2, HEAD=1)
    assert open(place, "rb").read() == HELLO
    os.unlink(place)
    put(f"{place}/data", HELLO)  # as old Python libraries have it
    asked(write(folder, there), PUT=1, MOVE=1, HEAD=2, DELETE=1)
    assert files(place) == ["data"]
    for i in range(300):
        key = hashlib.sha256(b"%d" % i).hexdigest()
        put(f"{folder}/here/{key[:2]}/{key[2:]}", b"%d" % i)
    asked(tarn(folder, "", "copy", f"{folder}/here", there), HEAD=256, PUT=300, MOVE=300)
    for _ in range(2):
        asked(tarn(folder, "", "copy", f"{folder}/here", there), HEAD=300)


@on("nginx")
def test_shows_nothing_of_a_writer_that_is_killed(server, folder):
    with open(f"{folder}/value", "wb") as f:
        f.truncate(512 << 20)
    env = {**os.environ, "TARN_DIR": f"{folder}/tarn", "TARN_TIERS": url(server)}
    child = subprocess.Popen([f"{web.ROOT}/build/tarn", "write", "value"], cwd=folder, env=env, stdout=subprocess.DEVNULL)
    body = f"{os.path.dirname(server.www)}/body"
    try:
        support.wait_for(lambda: any(os.path.getsize(f"{body}/{f}") > 1 << 20 for f in files(body)), child, 60)
    finally:
        child.kill()
        child.wait()
    support.wait_for(lambda: not files(body))
    assert files(server.www) in ([], ["lake/config.yml"]), files(server.www)


@on("nginx", "nginx html")
def test_finds_what_killed_writers_left(server, folder):
    must(write(folder, url(server, "left")))
    temps = f"{server.www}/left/.tmp"
    ours = ["0" * 64 + "abcdefgh", "configqwertyui"]
    others = ["readme", "0" * 64, "f" * 63 + "abcdefgh", "config1234567a"]
    for name in ours + others + ["1" * 64 + "youngone"]:
        put(f"{temps}/{name}", b"part")
        if "youngone" not in name:
            os.utime(f"{temps}/{name}", (1, 1))
    run = must(tarn(folder, url(server, "left"), "verify"), 1)
    assert all(name in run.out.decode() + run.err for name in ours) and "readme" not in run.out.decode() + run.err, run
    assert len(os.listdir(temps)) == 7
    must(tarn(folder, url(server, "left", put=None), "verify", "--repair"), 1)
    assert len(os.listdir(temps)) == 7
    run = tarn(folder, url(server, "left"), "verify", "--repair")
    assert sorted(os.listdir(temps)) == sorted(others + ["1" * 64 + "youngone"]), run
    put(f"{temps}/{ours[0]}", b"part")
    os.utime(f"{temps}/{ours[0]}", (1, 1))
    must(tarn(folder, url(server, "left"), "gc", "--dry-run"))
    assert ours[0] in os.listdir(temps)
    must(tarn(folder, url(server, "left"), "gc"))
    assert ours[0] not in os.listdir(temps) and "readme" in os.listdir(temps)
    run = must(tarn(folder, url(server, "left", put=None), "gc", "--max-age", "1 s"))
    assert b"left as it is: it is read-only without the option put" in run.out, run
    shutil.rmtree(f"{server.www}/left")


@on("nginx basic", "nginx bearer")
def test_tells_who_is_not_let_in(server, folder):
    for tiers in (f"http://evil:hunter2@127.0.0.1:{server.port}/lake?put=1",
                  f"http://127.0.0.1:{server.port}/lake?put=1&token=hunter2", f"http://127.0.0.1:{server.port}/lake?put=1"):
        for run in tarn(folder, tiers, "read", HELLO_KEY), write(folder, tiers):
            must(run, 1, "401")
            assert "hunter2" not in run.err and "evil" not in run.err, run.err
        shown = must(tarn(folder, tiers, "locations")).out + must(tarn(folder, tiers, "config", "--json")).out
        assert b"hunter2" not in shown, shown


@on("nginx basic")
def test_takes_user_and_password_from_netrc(server, folder):
    os.makedirs(f"{folder}/home")
    put(f"{folder}/home/.netrc", b'machine 127.0.0.1 login "us er" password p:w@/d\n')
    tiers = f"http://127.0.0.1:{server.port}/lake?put=1"
    must(write(folder, tiers))
    must(tarn(folder, f"{tiers}&netrc=0", "read", HELLO_KEY), 1, "401")


@on("nginx bearer")
def test_reads_a_token_again(server, folder):
    tiers = url(server, token_file=f"{folder}/own")
    must(write(folder, tiers), 1, f"{folder}/own")
    put(f"{folder}/own", b"old")
    must(write(folder, tiers), 1, "401")
    put(f"{folder}/own", TOKEN.encode())
    must(write(folder, tiers))


@on("nginx tls")
def test_refuses_what_nobody_vouches_for(server, folder):
    must(tarn(folder, url(server, ca=None), "read", HELLO_KEY), 1, "certificate")
    must(tarn(folder, url(server, cert=None, key=None), "read", HELLO_KEY), 1, "certificate")
    must(tarn(folder, url(server, ca="/nowhere"), "read", HELLO_KEY), 1, "/nowhere")
    must(tarn(folder, url(server).replace("https", "http"), "read", HELLO_KEY), 1, "400")


@on("nginx")
def test_heeds_no_variables(server, folder):
    proxies = {name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY")}
    put(f"{folder}/value", HELLO)
    must(tarn(folder, url(server), "write", "value", **proxies))
    must(tarn(folder, url(server, proxy="http://127.0.0.1:1"), "read", HELLO_KEY), 1, "127.0.0.1")


@on("nginx")
def test_lists_and_reads_many(server, folder):
    """20,000 small blobs, or as many as TARN_TEST_MANY says."""
    count = int(os.environ.get("TARN_TEST_MANY", "20000"))
    for i in range(count):
        data = b"%d" % i
        key = hashlib.sha256(data).hexdigest()
        try:
            f = open(f"{server.www}/many/{key[:2]}/{key[2:]}", "wb")
        except FileNotFoundError:
            os.makedirs(f"{server.www}/many/{key[:2]}")
            f = open(f"{server.www}/many/{key[:2]}/{key[2:]}", "wb")
        with f:
            f.write(data)
    run = must(tarn(folder, url(server, "many"), "ls", program="build/tarn"))
    assert run.out.count(b"\n") == count, run
    print(f"# {count} listed in {run.seconds:.1f} s, {run.peak_kb} KiB")
    assert run.peak_kb < 64 * 1024, run
    copied = tarn(folder, f"{folder}/none", "copy", url(server, "many"), f"{folder}/copy", program="build/tarn", timeout=300)
    must(copied)
    print(f"# {count} copied to a disk in {copied.seconds:.1f} s, {copied.peak_kb} KiB")
    assert len(files(f"{folder}/copy")) >= count and copied.peak_kb < 128 * 1024, copied
    shutil.rmtree(f"{server.www}/many")


@on("nginx", "nginx tls")
def test_takes_a_large_blob_in_little_memory(server, folder):
    """2 GiB, or as many as TARN_TEST_GIB says."""
    size = int(os.environ.get("TARN_TEST_GIB", "2")) << 30
    with open(f"{folder}/value", "wb") as f:
        f.truncate(size)
    wrote = must(tarn(folder, url(server), "write", "value", program="build/tarn", timeout=500))
    key = wrote.out.decode().strip()
    assert os.path.getsize(f"{server.www}/lake/{key[:2]}/{key[2:]}") == size
    read = must(tarn(folder, url(server), "read", key, "-o", "got", program="build/tarn", timeout=500))
    assert os.path.getsize(f"{folder}/got") == size
    print(f"# {size >> 30} GiB: written in {wrote.seconds:.1f} s, {wrote.peak_kb} KiB; read in {read.seconds:.1f} s, {read.peak_kb} KiB")
    assert max(wrote.peak_kb, read.peak_kb) < 64 * 1024, (wrote, read)
    os.unlink(f"{folder}/got")
    shutil.rmtree(f"{server.www}/lake")
