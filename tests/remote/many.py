"""Many small blobs, or one large one: copied there, listed, verified, and copied back."""
import hashlib, os, random, re

import web

COUNT = int(os.environ.get("TARN_TEST_MANY", "3000"))
LARGE = int(float(os.environ.get("TARN_TEST_GIB", "0.125")) * 2 ** 30)


def make(lake, count):
    """A lake on a disk with so many; their keys."""
    keys = []
    for i in range(count):
        data = b"value %d\n" % i
        key = hashlib.sha256(data).hexdigest()
        try:
            file = open(f"{lake}/{key[:2]}/{key[2:]}", "wb")
        except FileNotFoundError:
            os.makedirs(f"{lake}/{key[:2]}")
            file = open(f"{lake}/{key[:2]}/{key[2:]}", "wb")
        with file:
            file.write(data)
        keys.append(key)
    with open(f"{lake}/config.yml", "w") as file:
        file.write("levels:\n- 1\n- -1\n")
    return keys


def there_and_back(server, folder, url, count=COUNT, peak_mib=64):
    """As many as TARN_TEST_MANY says, in little memory. Figures are printed."""
    keys = sorted(make(f"{folder}/from", count))

    def tarn(what, *words):
        run = web.must(web.tarn(folder, url, *words, program="build/tarn", timeout=60 + count // 50, **server.env))
        print(f"# {count} {what} in {run.seconds:.1f} s, {run.peak_kb} KiB", flush=True)
        assert run.peak_kb < peak_mib * 1024, run
        return run.out.decode()

    tarn("copied there", "copy", f"{folder}/from", url)
    listed = tarn("listed", "ls")
    assert sorted(re.findall(r"\b[0-9a-f]{64}\b", listed)) == keys
    assert f"{count} entries" in tarn("verified", "verify")
    tarn("found there", "copy", f"{folder}/from", url)
    tarn("copied back", "copy", url, f"{folder}/back")
    for key in keys:
        with open(f"{folder}/back/{key[:2]}/{key[2:]}", "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == key, key


def large(server, folder, url, size=LARGE, peak_mib=32):
    """As many GiB as TARN_TEST_GIB says there and back, in little memory."""
    path, numbers = f"{folder}/value", random.Random(size)
    with open(path, "wb") as file:  # with holes, and no two parts alike
        for at in range(0, size - 4096, 1 << 20):
            file.seek(at + numbers.randrange(1 << 19))
            file.write(numbers.randbytes(100))
        file.truncate(size)

    def tarn(what, *words):
        run = web.must(web.tarn(folder, url, *words, program="build/tarn", timeout=60 + size // 2 ** 21, **server.env))
        print(f"# {size / 2 ** 30:.3g} GiB {what} in {run.seconds:.1f} s, {run.peak_kb} KiB", flush=True)
        assert run.peak_kb < peak_mib * 1024, run
        return run.out.decode().strip()

    key = tarn("written", "write", path)
    with open(path, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == key
    os.unlink(path)
    tarn("read", "read", key, "-o", path)
    with open(path, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == key
    os.unlink(path)
    tarn("removed", "rm", key)
