"""Bazel's own remote worker, which is also a plain HTTP cache: /ac and /cas.

Debian has its sources (bazel-bootstrap-source) and what they need (bazel-bootstrap); they are
compiled here, to listen on loopback only.
"""
import contextlib, os, re, shutil, subprocess, urllib.error, urllib.request

import support, web
from web import HELLO, HELLO_KEY, must, tarn

NEEDS = ["java", "javac"]
JAR = "/usr/share/bazel/A-server.jar"
SOURCES = "/usr/src/bazel-bootstrap/src/tools/remote/src/main/java/com"
MAIN = "com/google/devtools/build/remote/worker/RemoteWorker.java"
LOOPBACK = [("NettyServerBuilder.forPort(workerOptions.listenPort)",
             'NettyServerBuilder.forAddress(new java.net.InetSocketAddress("127.0.0.1", workerOptions.listenPort))'),
            ("b.bind(remoteWorkerOptions.httpListenPort)", 'b.bind("127.0.0.1", remoteWorkerOptions.httpListenPort)')]


def compile_worker(folder):
    shutil.copytree(SOURCES, f"{folder}/src/com")
    with open(f"{folder}/src/{MAIN}") as f:
        text = f.read()
    for wide, narrow in LOOPBACK:
        assert wide in text, f"{MAIN} is not as expected"
        text = text.replace(wide, narrow)
    with open(f"{folder}/src/{MAIN}", "w") as f:
        f.write(text)
    files = [f"{top}/{name}" for top, _, names in os.walk(f"{folder}/src") for name in names if name.endswith(".java")]
    os.mkdir(f"{folder}/classes")
    subprocess.run(["javac", "-nowarn", "-proc:none", "-encoding", "UTF-8", "-cp", JAR, "-d", f"{folder}/classes", *files],
                   check=True, capture_output=True)


@contextlib.contextmanager
def worker(folder):
    if not os.path.exists(JAR) or not os.path.exists(SOURCES):
        raise support.Skip("bazel-bootstrap or bazel-bootstrap-source not installed")
    compile_worker(folder)
    port, other = support.free_port(), support.free_port()
    for name in "work", "cas":
        os.mkdir(f"{folder}/{name}")
    words = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}/classes:{JAR}",
             "com.google.devtools.build.remote.worker.RemoteWorker", f"--work_path={folder}/work", f"--cas_path={folder}/cas",
             f"--listen_port={other}", f"--http_listen_port={port}"]
    with support.running(words, folder, lambda: support.listens(port)):
        yield support.Server(None, tiers=f"http://127.0.0.1:{port}/main?put=1&layout=bazel", port=port)


SERVERS = {"bazel worker": worker}


def test_keeps_blobs(server, folder):
    with open(f"{folder}/value", "wb") as f:
        f.write(HELLO)
    must(tarn(folder, server.tiers, "read", HELLO_KEY), 1)
    for _ in range(2):  # it has no HEAD
        assert must(tarn(folder, server.tiers, "write", "value")).out.decode().strip() == HELLO_KEY
    assert must(tarn(folder, server.tiers, "read", HELLO_KEY)).out == HELLO
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/main/cas/{HELLO_KEY}") as answer:
        assert answer.read() == HELLO
    assert must(tarn(folder, server.tiers, "ls")).out == b""
    must(tarn(folder, server.tiers, "rm", HELLO_KEY), 1, "no location")
    assert must(tarn(folder, server.tiers, "read", HELLO_KEY)).out == HELLO, "it can't forget"


def record(folder):
    """A lake with what an action left, and the keys of its index."""
    with open(f"{folder}/in", "wb") as f:
        f.write(os.urandom(200000))
    env = {**os.environ, "TARN_DIR": f"{folder}/tarn", "TARN_TIERS": f"{folder}/lake", "TARN_ROOT": folder}
    subprocess.run([f"{web.ROOT}/build/tarn-exec", "sh", "-c", "cat in in >out; echo done"], cwd=folder, env=env,
                   check=True, stdout=subprocess.DEVNULL)
    index = f"{folder}/lake/tools/tarn-exec/index"
    return [top[-2:] + name for top, _, names in os.walk(index) for name in names]


def test_keeps_what_is_in_the_index(server, folder):
    """As ActionResults, with a worker in them, or a server would fill it in."""
    keys = record(folder)
    assert len(keys) == 2, keys
    must(tarn(folder, "none", "copy", f"{folder}/lake", server.tiers))
    for key in keys:
        shown = [[line for line in must(tarn(folder, tiers, "show", key)).out.split(b"\n") if not line.startswith(b"in ")]
                 for tiers in (server.tiers, f"{folder}/lake")]
        assert shown[0] == shown[1], shown
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/main/ac/{key}") as answer:
            data = answer.read()
        with open(f"{folder}/lake/tools/tarn-exec/index/{key[:2]}/{key[2:]}", "rb") as f:
            assert f.read() == data
        if shutil.which("protoc"):
            text = subprocess.run(["protoc", f"-I{web.ROOT}/proto", "--decode=rex.ActionResult",
                                   "remote_execution.proto"], input=data, capture_output=True, check=True).stdout.decode()
            assert re.search(r'^\s*worker: "\w+"', text, re.M), text
