"""What the tests of web servers have in common: tarn, as a user runs it."""
import hashlib, os, subprocess, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HELLO = b"hello\n"
HELLO_KEY = hashlib.sha256(HELLO).hexdigest()


class Run:
    def __init__(self, status, out, err, seconds, peak_kb):
        self.status, self.out, self.err, self.seconds, self.peak_kb = status, out, err, seconds, peak_kb

    def __str__(self):
        return f"status {self.status}, {self.seconds:.1f} s, {self.peak_kb} KiB\n{self.out[-2000:]!r}\n{self.err[-2000:]}"


def peak_of(pid):
    """KiB that it has had at most. What wait4() says begins with what we have ourselves."""
    try:
        with open(f"/proc/{pid}/status") as file:
            words = dict(line.split(":", 1) for line in file)
    except OSError:
        return 0
    return int(words["VmHWM"].split()[0]) if words["Name"].strip() == "tarn" and "VmHWM" in words else 0


def tarn(folder, tiers, *words, program="build/checked/tarn", timeout=120, **env):
    """Run to its end, with a TARN_DIR and HOME in the folder; its memory is measured."""
    os.makedirs(f"{folder}/home", exist_ok=True)
    keep = {k: v for k, v in os.environ.items() if not k.startswith("TARN_")}
    keep.update({"HOME": f"{folder}/home", "TARN_DIR": f"{folder}/tarn", "TARN_TIERS": tiers, **env})
    began = time.monotonic()
    with open(f"{folder}/stdout", "w+b") as out, open(f"{folder}/stderr", "w+b") as err:
        child = subprocess.Popen([f"{ROOT}/{program}", *words], cwd=folder, env=keep, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        peak = 0
        while True:
            peak = max(peak, peak_of(child.pid))
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > timeout:
                child.kill()
                child.wait()
                raise RuntimeError(f"tarn {' '.join(words)} hangs")
            time.sleep(0.003)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        return Run(child.returncode, out.read(), err.read().decode(errors="replace"), time.monotonic() - began, peak)


def must(run, status=0, *words):
    assert run.status == status and "Sanitizer" not in run.err, str(run)
    for word in words:
        assert word in run.err, f"{word!r} is not in\n{run}"
    return run
