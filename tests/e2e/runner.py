"""Runs tests: every function test_* and every entry of a table CASES in the modules
of a folder, each in a folder of its own, in a process of its own. A pattern is part
of `module.name`; without one all of them run.
"""
import concurrent.futures, glob, importlib, os, re, signal, subprocess, sys, time, traceback

SUPPORT = os.path.dirname(os.path.abspath(__file__))
LIMIT = 600  # seconds for one test, which take 20 at most where nothing else runs


def names_in(path):
    """What a module tests: the table's titles and the functions."""
    text = open(path).read()
    if re.search(r"^CASES\b", text, re.M):
        yield from importlib.import_module(os.path.basename(path)[:-3]).CASES
    yield from re.findall(r"^def (test_\w+)", text, re.M)


def find(here, patterns):
    for path in sorted(glob.glob(f"{here}/*.py")):
        for name in names_in(path):
            full = f"{os.path.basename(path)[:-3]}.{name}"
            if not patterns or any(p in full for p in patterns):
                yield full


def run_one(full):
    import support
    name, _, what = full.partition(".")
    module = importlib.import_module(name)
    try:
        with support.Project() as project:
            test = getattr(module, "CASES", {}).get(what)
            (test.run if test else getattr(module, what))(project)
    except support.Skip as why:
        print(why)
        return 77
    except Exception:
        traceback.print_exc(file=sys.stdout)
        return 1
    return 0


def start(here, full):
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, f"{here}/run", "--one", full], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        text, _ = child.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        text, _ = child.communicate()
        text += b"it took too long\n"
    return full, child.returncode, text.decode(errors="replace"), time.monotonic() - began


def main(here, words):
    sys.dont_write_bytecode = True
    sys.path[:0] = [here, SUPPORT]
    if words[:1] == ["--one"]:
        return run_one(words[1])
    jobs = os.cpu_count() or 1
    if words[:1] == ["-j"]:
        jobs, words = int(words[1]), words[2:]
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(start, here, full) for full in find(here, words)]
        for done in concurrent.futures.as_completed(runs):
            full, status, text, took = done.result()
            what = {0: "ok", 77: "skip"}.get(status, "not ok")
            counts[what] += 1
            detail = "\n" + text if what == "not ok" else ": " + "; ".join(text.splitlines()) if text else ""
            print(f"{what} {full} ({took:.1f} s){detail}", flush=True)
    if not any(counts.values()):
        sys.exit(f"{here}/run: no test is called like {' or '.join(words)}")
    skipped = f", {counts['skip']} skipped" if counts["skip"] else ""
    print(f"{counts['ok']} passed, {counts['not ok']} failed{skipped}")
    return counts["not ok"] != 0
