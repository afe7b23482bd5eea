"""Peers for tests: servers with faults, and both sides of tarnd's protocol, spoken by hand."""
import contextlib, os, socket, struct, threading, time


# ---- protobuf, as much as is needed ----

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def fields(data):
    found, at = {}, 0

    def one():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = one()
        if key & 7 == 0:
            found[key >> 3] = one()
        elif key & 7 == 1:
            found[key >> 3], at = data[at:at + 8], at + 8
        else:
            size = one()
            found[key >> 3], at = data[at:at + size], at + size
    return found


# ---- tarnd's protocol ----

def connect(folder):
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(30)
    fd = os.open(folder, os.O_RDONLY)
    raw.connect(f"/proc/self/fd/{fd}/socket")
    os.close(fd)
    return raw


class Client:
    def __init__(self, tarn_dir, version="0.1.0"):
        self.socket = connect(f"{tarn_dir}/daemon")
        self.send(0, number(1, 1) + text(2, version))
        self.refusal = fields(self.frame()[1]).get(3, b"").decode()

    def send(self, what, data):
        if what == 0 or len(data) <= 100000:
            self.socket.sendall(struct.pack("<II", len(data), what) + data)
            return
        for i in range(0, len(data), 100000):
            self.send(what, data[i:i + 100000])

    def exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def frame(self):
        size, what = struct.unpack("<II", self.exactly(8))
        return what, self.exactly(size)

    def answer(self):
        """(item, outcome, text)"""
        found = fields(self.frame()[1])
        outcome = found.get(2, 0)
        return found.get(1, 0), outcome - (1 << 64) if outcome >> 63 else outcome, found.get(4, b"").decode()

    def key(self, digest, size=0, space=0):
        return text(4, number(1, space) + text(2, digest) + number(3, size))

    def write(self, url, digest, size, space=0):
        self.send(0, number(1, 2) + number(2, 1) + text(3, text(1, "redis") + text(2, url)) + self.key(digest, size, space))

    def read(self, digest, space=0, url=None):
        opened = text(3, text(1, "redis") + text(2, url)) if url else b""
        self.send(0, number(1, 1) + number(2, 1) + opened + self.key(digest, 0, space))

    def remove(self, digest, space, url):
        self.send(0, number(1, 4) + number(2, 1) + text(3, text(1, "redis") + text(2, url)) + self.key(digest, 0, space))

    def value(self):
        data = b""
        while True:
            what, piece = self.frame()
            if what == 0:
                found = fields(piece)
                assert found.get(2, 0) == 1, found
                return data
            data += piece


@contextlib.contextmanager
def tarnd(tarn_dir, refusal):
    """One that greets with a refusal."""
    os.makedirs(f"{tarn_dir}/daemon", 0o700)

    def serve(raw):
        raw.recv(1000)
        message = number(1, 9) + text(2, "9.9") + text(3, refusal)
        raw.sendall(struct.pack("<II", len(message), 0) + message)

    with listening(serve, path=f"{tarn_dir}/daemon/socket"):
        yield


# ---- servers with faults ----

def answers(path):
    with socket.socket(socket.AF_UNIX) as raw:
        try:
            raw.connect(path)
        except OSError:
            return False
        return True


@contextlib.contextmanager
def listening(serve, path=None, backlog=100):
    """serve(connection) for each client, in a thread of its own; the URL of a Redis."""
    with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as server:
        server.bind(path or ("127.0.0.1", 0))
        server.listen(backlog)
        open_ = []

        def one(raw):
            try:
                serve(raw)
            except OSError:
                pass

        def accept():
            while True:
                try:
                    raw, _ = server.accept()
                except OSError:
                    return
                open_.append(raw)
                threading.Thread(target=one, args=(raw,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield path or "redis://127.0.0.1:%d" % server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for raw in open_:
                raw.close()


@contextlib.contextmanager
def refusing():
    with socket.socket() as server:  # bound, so that nobody else gets it, and not listening
        server.bind(("127.0.0.1", 0))
        yield "redis://127.0.0.1:%d" % server.getsockname()[1]


def hanging():
    return listening(lambda raw: threading.Event().wait(300))


@contextlib.contextmanager
def full_backlog():
    """Connections are neither accepted nor refused."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        fill = []
        for _ in range(4):
            raw = socket.socket()
            raw.setblocking(False)
            raw.connect_ex(server.getsockname())
            fill.append(raw)
        yield "redis://127.0.0.1:%d" % server.getsockname()[1]
        for raw in fill:
            raw.close()


def trickling():
    """One byte at a time, without an end."""
    def serve(raw):
        raw.recv(1000)
        raw.sendall(b"$100000\r\n")
        while True:
            raw.sendall(b"x")
            time.sleep(0.05)
    return listening(serve)


def saying(answer):
    """The same to each request."""
    def serve(raw):
        while raw.recv(65536):
            raw.sendall(answer)
    return listening(serve)


def half_closing():
    def serve(raw):
        raw.recv(1000)
        raw.sendall(b"$100000\r\nabc")
        raw.shutdown(socket.SHUT_WR)
        threading.Event().wait(300)
    return listening(serve)


def slow(path, delay, rate=None):
    """A real one on a Unix socket, each of whose answers comes later, and bytes at a rate. `delay` may be a function."""
    def serve(raw):
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)

        def ask():
            try:
                while data := raw.recv(65536):
                    far.sendall(data)
            except OSError:
                pass
            far.close()
        threading.Thread(target=ask, daemon=True).start()
        while data := far.recv(65536):
            time.sleep((delay() if callable(delay) else delay) + (len(data) / rate if rate else 0))
            raw.sendall(data)
        raw.close()
    return listening(serve)
