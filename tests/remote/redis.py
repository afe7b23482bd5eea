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


SERVERS = {"redis": plain}
