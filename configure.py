#!/usr/bin/env python3
"""./configure.py --sources lists the sources for build.ninja; --machine finds the
compiler and the libraries (CC, CFLAGS, LDFLAGS); with neither, it does both."""
import glob, os, subprocess, sys

# part: (pkg-config names, more flags for the linker)
PARTS = {
    "core": ("libprotobuf-c libcrypto", ""),
    "cli": ("libprotobuf-c libcrypto libcjson", ""),
    "test": ("libprotobuf-c libcrypto libcjson criterion", ""),
}
PROGRAMS = {"exec": ("tarn-exec", "core"), "cli": ("tarn", "cli")}


def sources():
    code = sorted(glob.glob("src/**/*.c", recursive=True))
    protos = [f"proto/{os.path.basename(f)[:-6]}.pb-c.c" for f in sorted(glob.glob("proto/*.proto"))]
    own = {p: [f for f in code if f.startswith(f"src/{p}/")] for p in [*PROGRAMS, "preload"]}
    common = [f for f in code if not any(f in files for files in own.values())]
    text = objects(common + own["exec"] + own["cli"])
    text += "".join(f"build $b/{f[:-2]}.o: cc-generated build/{f} | build/cc build/core.cflags\n" for f in protos)
    text += many("libtarn.a: ar", common + protos, "| build/cc")
    for folder, (program, part) in PROGRAMS.items():
        libs = "build/observe.o $b/libtarn.a" if program == "tarn-exec" else "$b/libtarn.a"
        text += many(f"{program}: link", own[folder], f"{libs} | build/{part}.libs build/cc")
        text += f"  part = {part}\n" + ("  ldflags = $ldflags $static\n" if program == "tarn-exec" else "")
    yield "src/sources.ninja", text
    tests = sorted(glob.glob("tests/unit/*.c") + glob.glob("tests/support/*.c"))
    most = [f for f in own["exec"] + own["cli"] if not f.endswith("/main.c")]
    text = objects(tests) + many("unit-tests: link", tests + most, "build/observe.o $b/libtarn.a | build/test.libs")
    fuzz = sorted(glob.glob("tests/fuzz/fuzz_*.c"))
    text += objects(fuzz + ["tests/fuzz/replay.c"]).split("part = $part\n", 1)[1]
    for f in fuzz:
        parts = [f, "tests/fuzz/replay.c", "tests/support/faults.c", *most]
        text += many(f"{os.path.basename(f)[:-2]}: link", parts, "build/observe.o $b/libtarn.a | build/test.libs")
    text += "build $b/fuzz-targets: phony" + "".join(f" $b/{os.path.basename(f)[:-2]}" for f in fuzz) + "\n"
    yield "tests/sources.ninja", text
    folders = [d for top in ("src", "tests", "proto") for d, _, _ in os.walk(top) if "corpus" not in d]
    yield "build/sources.d", "build.ninja: " + " ".join(folders) + "\n"


def objects(files):  # one line for each, so that git can merge them
    head = "flags = $flags\nldflags = $ldflags\npart = $part\n"
    return head + "".join(f"build $b/{f[:-2]}.o: cc {f} | build/cc build/$part.cflags || protos\n" for f in files)


def many(target, files, rest):
    return f"build $b/{target} $\n" + "".join(f"  $b/{f[:-2]}.o $\n" for f in files) + f"  {rest}\n"


def machine():
    yield "build/cc", '#!/bin/sh\nexec %s "$@"\n' % os.environ.get("CC", "cc")
    for part, (names, more) in PARTS.items():
        missing = [n for n in names.split() if subprocess.call(["pkg-config", "--exists", n])]
        if missing and part != "test":
            sys.exit(f"configure.py: missing {' '.join(missing)}: run ./bootstrap, or see Building in README.md")
        found = " ".join(n for n in names.split() if n not in missing)
        for what, own in ("cflags", os.environ.get("CFLAGS", "-O2 -g")), ("libs", os.environ.get("LDFLAGS", "")):
            yield f"build/{part}.{what}", f"{own} {subprocess.getoutput(f'pkg-config --{what} {found}')} {more}\n"


os.chdir(os.path.dirname(os.path.abspath(__file__)))
os.makedirs("build", exist_ok=True)
wanted = sys.argv[1:] or ["--sources", "--machine"]
for path, text in [f for w in wanted for f in {"--sources": sources, "--machine": machine}[w]()]:
    with open(path, "w") as file:
        os.chmod(path, 0o755 if path == "build/cc" else 0o644)
        file.write(text)
if "--sources" in wanted:
    os.utime("build.ninja")  # so that ninja reads the new lists
