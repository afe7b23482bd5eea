"""What servers for tests have in common."""
import contextlib, os, signal, socket, subprocess, time


class Skip(Exception):
    pass


def only(*titles):
    """A test that is for these servers of its module."""
    def mark(test):
        test.titles = titles
        return test
    return mark


class Server:
    """What a test gets: where it listens, a location expression with a hole "{}" for a
    name, and the variables that a client needs."""
    def __init__(self, url, env=None, **more):
        self.url, self.env = url, env or {}
        self.__dict__.update(more)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(ready, child=None, seconds=60):
    """Until ready() is true; what it raises counts as "not yet"."""
    end = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except OSError:
            pass
        if child and child.poll() is not None:
            raise RuntimeError(f"{child.args[0]} ended with status {child.returncode}")
        if time.monotonic() > end:
            raise RuntimeError(f"{child.args[0] if child else 'a server'} is not ready after {seconds} s")
        time.sleep(0.02)


def listens(port):
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


def end(child, seconds=10):
    """A process of ours, by its id."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def running(words, folder, ready, **more):
    """A server that stays in the foreground, for as long as the block runs."""
    with open(f"{folder}/log", "ab") as log:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **more)
    try:
        try:
            wait_for(ready, child)
        except RuntimeError as why:
            raise RuntimeError(f"{why}:\n" + open(f"{folder}/log").read()[-3000:])
        yield child
    finally:
        end(child)
