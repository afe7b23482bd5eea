"""A web server that lies, breaks off, hangs or never ends: what nginx can't be made to do.

Which fault it has is the first folder of the path. Whatever it does, tarn says what is wrong, in
bounded time and memory.
"""
import contextlib, socket, threading, time

import web
from web import HELLO, HELLO_KEY, must, tarn

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FOREVER = 30  # seconds; longer than anybody waits
MEMORY = 96 * 1024  # KiB, of tarn without sanitizers and with libcurl


def hang(peer):
    time.sleep(FOREVER)


def hang_in_headers(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    time.sleep(FOREVER)


def hang_in_body(peer):
    peer.sendall(OK % 6 + b"hel")
    time.sleep(FOREVER)


def drip(peer):
    """Slowly, but it moves: only a deadline would end that."""
    peer.sendall(OK % 6)
    for i in range(6):
        time.sleep(0.9)
        peer.sendall(HELLO[i:i + 1])


def slow_headers(peer):
    """Line by line, for ever, so that something moves."""
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        time.sleep(0.3)
        peer.sendall(b"X-More: x\r\n")


def half_close(peer):
    peer.sendall(OK % 6 + b"hel")
    peer.shutdown(socket.SHUT_WR)
    time.sleep(FOREVER)


def forever(peer, head, piece):
    peer.sendall(head)
    while True:
        peer.sendall(piece)


CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
NAMES = b",\n".join(b'{ "name":"%02x", "type":"file", "mtime":"Sun, 22 Nov 2026 22:18:38 GMT", "size":6 }' % (i % 256)
                    for i in range(700))
LISTING = b"%x\r\n" % (len(NAMES) + 2) + NAMES + b",\n\r\n"
FAULTS = {  # what the peer does, once it has read a request
    "wrong": lambda peer: peer.sendall(OK % 6 + b"jello\n"),
    "truncated": lambda peer: peer.sendall(OK % 6 + b"hel"),
    "short": lambda peer: peer.sendall(OK % 3 + HELLO),
    "endless": lambda peer: forever(peer, CHUNKED, CHUNK),
    "headers": lambda peer: forever(peer, b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"),
    "header": lambda peer: forever(peer, b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "continue": lambda peer: forever(peer, b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"),
    "slowheaders": slow_headers,
    "refusal": lambda peer: forever(peer, b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK),
    "elsewhere": lambda peer: peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:1/x\r\nContent-Length: 0\r\n\r\n"),
    "paint": lambda peer: peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:1/\x1b[2J\r\nContent-Length: 0\r\n\r\n"),
    "liar": lambda peer: forever(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK),
    "round": lambda peer: peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: /round/x\r\nContent-Length: 0\r\n\r\n"),
    "busy": lambda peer: peer.sendall(b"HTTP/1.1 429 Slow\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n"),
    "down": lambda peer: peer.sendall(b"HTTP/1.1 503 Down\r\nRetry-After: 5\r\nContent-Length: 4\r\n\r\ngone"),
    "escape": lambda peer: peer.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n\x1b[2J\x1b[31m"),
    "junk": lambda peer: peer.sendall(b"\0\1\2 is this HTTP?\r\n\r\n"),
    "nothing": lambda peer: None,
    "hang": hang, "inheaders": hang_in_headers, "inbody": hang_in_body, "drip": drip, "half": half_close,
    "gone": lambda peer: peer.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
    "big": lambda peer: peer.sendall(b"HTTP/1.1 413 Big\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    "mayonlyread": lambda peer: peer.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    "full": lambda peer: peer.sendall(b"HTTP/1.1 507 Full\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    "huge": lambda peer: forever(peer, CHUNKED + b"2\r\n[\n\r\n", LISTING),
    "badlist": lambda peer: peer.sendall(OK % 14 + b'[{"name": 1e\0]'),
    "cutlist": lambda peer: peer.sendall(OK % 17 + b'[{"name": "58"},\n'),
    "nolist": lambda peer: peer.sendall(OK % 5 + b"plain"),
}
REFUSALS = {"big": "413", "full": "507", "mayonlyread": "403"}  # of a PUT
NO_CONFIG = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"


def half_list(head):
    """A folder with one value in it, of whose size nothing is said; who asks is sent away."""
    method, path = head.split()[:2]
    name = {b"/halflist/": HELLO_KEY[:2], b"/halflist/%s/" % HELLO_KEY[:2].encode(): HELLO_KEY[2:]}.get(path)
    if method == b"HEAD":
        return b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"
    page = f'[{{"name": "{name}", "type": "{"file" if len(name) > 2 else "directory"}"}}]'.encode() if name else b""
    return OK % len(page) + page if name else NO_CONFIG


def read_request(peer):
    """The head of one; None at the end. Its body is nobody's business."""
    head = b""
    while b"\r\n\r\n" not in head:
        got = peer.recv(65536)
        if not got:
            return None
        head += got
    return head


def serve(peer, seen):
    with peer, contextlib.suppress(OSError):
        while head := read_request(peer):
            seen.append(head)
            fault, _, rest = head.split()[1].decode()[1:].partition("/")
            if fault == "halflist":
                peer.sendall(half_list(head))
                continue
            upload = fault in REFUSALS and not head.startswith(b"PUT")
            if rest == "config.yml" or upload or (fault.endswith("list") or fault == "huge") and rest:
                peer.sendall(NO_CONFIG if not rest == "config.yml" or fault not in REFUSALS
                             else OK % 17 + b"levels:\n- 1\n- -1\n")
                continue
            FAULTS[fault](peer)
            if fault not in ("busy", "down", "gone", "round", "elsewhere", "wrong"):
                return


@contextlib.contextmanager
def peer(folder):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as door:
        seen = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(door.accept()[0], seen), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        import support
        yield support.Server(None, port=door.getsockname()[1], seen=seen)
        door.shutdown(socket.SHUT_RDWR)


SERVERS = {"faulty web server": peer}


def ask(server, folder, fault, *words, options="timeout=2"):
    run = tarn(folder, f"http://127.0.0.1:{server.port}/{fault}?{options}", *words, program="build/tarn")
    assert run.peak_kb < MEMORY, f"{fault}: {run}"
    assert "\x1b" not in run.err, run
    return run


READS = {  # status, the most seconds, words of the error
    "wrong": (1, 25, "not what its key says"),
    "truncated": (1, 25, "3 bytes remaining"),
    "short": (1, 25, "not what its key says"),
    "endless": (1, 60, "without a Content-Length"),
    "headers": (1, 25, "headers"),
    "header": (1, 25, "cannot GET"),
    "continue": (1, 25, "only the headers of another answer"),
    "slowheaders": (1, 25, "nothing moved for 2 s"),
    "refusal": (1, 25, "403"),
    "elsewhere": (1, 25, "'http://127.0.0.2:1/x', where nobody follows"),
    "paint": (1, 25, "where nobody follows"),
    "liar": (1, 60, "without a Content-Length"),
    "round": (1, 25, "302"),
    "busy": (1, 25, "come back in 17 s"),
    "down": (1, 25, "503, 'gone', come back in 5 s"),
    "escape": (1, 25, "500"),
    "junk": (1, 25, "cannot GET"),
    "nothing": (1, 25, "cannot GET"),
    "hang": (1, 25, "nothing moved for 2 s"),
    "inheaders": (1, 25, "nothing moved for 2 s"),
    "inbody": (1, 25, "nothing moved for 2 s"),
    "half": (1, 25, "3 bytes remaining"),
    "drip": (0, 60, ""),
    "gone": (1, 25, ""),
}


def test_survives_every_answer(server, folder):
    for fault, (status, seconds, word) in READS.items():
        options = "timeout=4" if fault == "drip" else "timeout=2"
        run = ask(server, folder, fault, "read", HELLO_KEY, options=options)
        try:
            must(run, status, word)
            assert run.seconds < seconds and (run.out == HELLO) == (status == 0)
        except AssertionError as why:
            raise AssertionError(f"{fault}: {why}\n{run}")


def test_follows_nobody_elsewhere(server, folder):
    """Nor in circles for long."""
    del server.seen[:]
    ask(server, folder, "round", "read", HELLO_KEY)
    assert 2 <= len(server.seen) <= 12, server.seen


def test_takes_no_for_an_answer_to_a_write(server, folder):
    with open(f"{folder}/value", "wb") as f:
        f.truncate(64 << 20)
    for fault, word in REFUSALS.items():
        run = must(ask(server, folder, fault, "write", "value", options="put=1&timeout=2"), 1, word)
        assert "no location takes it" in run.err, run


LISTS = {
    "huge": "longer than",
    "badlist": "can't be understood",
    "cutlist": "breaks off",
    "nolist": "JSON or HTML",
    "truncated": "remaining",
    "inbody": "nothing moved",
    "busy": "come back in 17 s",
    "halflist": "503",
}


def test_survives_every_listing(server, folder):
    for fault, word in LISTS.items():
        must(ask(server, folder, fault, "ls"), 1, word)


def test_shows_no_secrets(server, folder):
    tiers = f"http://user:hunter2@127.0.0.1:{server.port}/junk?timeout=2"
    del server.seen[:]
    run = must(tarn(folder, tiers, "read", HELLO_KEY, program="build/tarn"), 1)
    assert b"Authorization: Basic" in server.seen[0] and "hunter2" not in run.err, run
    assert b"Cookie" not in server.seen[0] and b"hunter2" not in server.seen[0], server.seen


def test_gives_up_after_a_total_time(server, folder):
    """Nobody is there at all: a port that takes no connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as door:
        fill = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                s.connect(door.getsockname())
            fill.append(s)
        run = tarn(folder, f"http://127.0.0.1:{door.getsockname()[1]}/x", "read", HELLO_KEY, program="build/tarn")
        must(run, 1, "cannot GET")
        assert run.seconds < 60, run
        for s in fill:
            s.close()
