"""Locations with `compress`: each keeps its promises, with values that are packed on their way."""
import contextlib, hashlib, os, struct

import nginx, redis, ssh, web
from support import Server, only
from web import must, tarn

NEEDS = [*redis.NEEDS, *nginx.NEEDS, *ssh.NEEDS]
TEXT = b"".join(b"line %d of what gains by it\n" % i for i in range(40000))
KEY = hashlib.sha256(TEXT).hexdigest()
SAYS = 'is stored compressed; set "compress" for this location'


def compressed(start, how):
    """The same server, of whose URL `how` is one more option."""
    @contextlib.contextmanager
    def run(folder):
        with start(folder) as server:
            url = f"{server.url}{'&' if '?' in server.url else '?'}compress={how}"
            yield Server(url, server.env, plain=server.url, inner=server)
    return run


SERVERS = {
    "redis compressed": compressed(redis.plain, "zstd"),
    "nginx compressed": compressed(nginx.plain, "zstd:5"),
    "sftp compressed": compressed(lambda folder: ssh.server(folder, "sftp"), "zstd:1"),
}


def call(server, folder, url, *words, **more):
    env = {k: v for k, v in server.env.items() if k != "HOME"}
    if "HOME" in server.env:  # ssh's, where its keys are
        os.makedirs(f"{folder}/home", exist_ok=True)
        if not os.path.exists(f"{folder}/home/.ssh"):
            os.symlink(f"{server.env['HOME']}/.ssh", f"{folder}/home/.ssh")
    return tarn(folder, url, *words, **env, **more)


def put(server, folder, data, url=None):
    with open(f"{folder}/value", "wb") as file:
        file.write(data)
    return must(call(server, folder, url or server.url.format("t"), "write", "value"))


def test_keeps_less_and_gives_all(server, folder):
    url, plain = server.url.format("t"), server.plain.format("t")
    put(server, folder, TEXT)
    assert must(call(server, folder, url, "read", KEY)).out == TEXT
    if "nginx" not in url:
        listed = must(call(server, folder, url, "ls", "--json")).out.decode()
        size = int(listed.split('"size":')[1].split(",")[0].strip("} \n"))
        assert 0 < size < len(TEXT) / 3, listed
    must(call(server, folder, url, "verify"))
    # Whoever does not know is told, and removes nothing.
    must(call(server, folder, plain, "read", KEY), 1, SAYS)
    run = must(call(server, folder, plain, "verify", "--repair"), 1)
    assert SAYS in run.out.decode() and "not repaired" in run.out.decode(), str(run)
    assert must(call(server, folder, url, "read", KEY)).out == TEXT


def test_large_values_stream(server, folder):
    data = os.urandom(40 << 20).translate(bytes(b & 63 for b in range(256)))  # of which three quarters stay
    url = server.url.format("large")
    run = put(server, folder, data, url)
    assert run.peak_kb < 200000, str(run)  # ASan's share is most of it
    key = hashlib.sha256(data).hexdigest()
    again = must(call(server, folder, url, "read", key, "-o", "out", program="build/tarn"))
    with open(f"{folder}/out", "rb") as file:
        assert file.read() == data
    assert again.peak_kb < 60000, str(again)


# ---- what a server may send ----

def frame(size, blocks, window=0x58, version=1):
    """A packed value that says it has `size` bytes, and is so many blocks of 128 KiB of zeros (window: 2 MiB)."""
    block = lambda last: struct.pack("<I", last | 1 << 1 | 131072 << 3)[:3] + b"\0"
    return (b"\x54\x2a\x4d\x18\x10\0\0\0tarn" + struct.pack("<IQ", version, size) +
            b"\x28\xb5\x2f\xfd\0" + bytes([window]) + block(0) * (blocks - 1) + block(1))


@only("redis compressed")
def test_hostile_values(server, folder):
    zeros = bytes(64 << 20)
    key = hashlib.sha256(zeros).hexdigest()
    cli = server.inner.cli
    url = server.url.format("h")

    def offer(value):
        script = "redis.call('SET', 'h:' .. ARGV[1]:gsub('..', function(x) return string.char(tonumber(x, 16)) end), ARGV[2])"
        assert redis.cli(*cli, "-x", "EVAL", script, "0", key, text=value) is not None

    def fails(value, *words, program="build/checked/tarn"):
        offer(value)
        return must(call(server, folder, url, "read", key, "-o", "out", program=program), 1, *words)

    offer(frame(len(zeros), 512))
    must(call(server, folder, url, "read", key, "-o", "out"))
    assert os.path.getsize(f"{folder}/out") == len(zeros)
    os.remove(f"{folder}/out")
    whole = frame(len(zeros), 512)
    fails(whole[:-1], "is cut short")
    fails(whole[:20], "is cut short")
    fails(whole + b"x", "something behind it")
    fails(whole + whole, "something behind it")
    fails(frame(len(zeros) - 1, 512), "more than it says")
    fails(frame(len(zeros) + 1, 512), "less than it says")
    fails(frame(len(zeros), 513), "more than it says")
    fails(frame(len(zeros), 512, version=2), "version 2", "newer tarn")
    fails(frame(len(zeros), 512, window=0x60), "damaged")
    fails(whole[:30] + b"\xff" * 500, "damaged")
    # 64 GiB in 2 MiB, which says that it is as large as what it is given for.
    bomb = fails(frame(len(zeros), 1 << 19), "more than it says", program="build/tarn")
    assert bomb.peak_kb < 60000, str(bomb)
    assert not os.path.exists(f"{folder}/out")
