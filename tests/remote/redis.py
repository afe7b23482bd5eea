"""Redis: plain, through a Unix socket, over TLS, with passwords, as a cluster."""
import contextlib, os, socket, subprocess, time

from support import Server, Skip, end, free_port, listens, running, wait_for

NEEDS = ["redis-server", "redis-cli", "openssl"]
TARN = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "build/checked/tarn")
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



@contextlib.contextmanager
def through_socket(folder):
    path = f"{folder}/a b.sock"  # with a byte that a URL has to hide
    with redis(folder, 0, "--unixsocket", path, ready=lambda: os.path.exists(path)) as child:
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


SERVERS = {"redis": plain, "redis socket": through_socket, "redis tls": encrypted, "redis cluster": cluster}
