#!/usr/bin/env python3
"""./configure.py --sources lists the sources for build.ninja; --machine finds the
compiler and the libraries (CC, CFLAGS, LDFLAGS); with neither, it does both."""
import glob, os, subprocess, sys

PROGRAMS = {"exec": "tarn-exec", "cli": "tarn", "daemon": "tarnd"}  # by their folders in src/
LIBRARIES = {  # as pkg-config knows them, by the part that needs them
    "core": "libprotobuf-c libcrypto yaml-0.1 libzstd",
    "cli": "libprotobuf-c libcrypto yaml-0.1 libzstd libcjson libssl libcurl expat hiredis libssh2",
    "test": "libprotobuf-c libcrypto yaml-0.1 libzstd libcjson libssl libcurl expat hiredis libssh2 criterion",
}
LOADED = {"libcurl"}  # when it is needed, by src/remote/curl_load.c: only its headers are
PARTS = {"tarn-exec": "core", "tarn": "cli", "tarnd": "cli"}
STATIC = {"tarn-exec"}
REMOTE = ["cli", "daemon"]  # the folders of those that speak to servers themselves
HEAD = "flags = $flags\nldflags = $ldflags\npart = $part\n"  # subninja would see later values

CC = """#!/bin/sh
# Not this file again, where PATH has its folder, too.
path=
set -f
IFS=:
for folder in $PATH; do
	[ "${folder:-.}/cc" -ef "$0" ] || path=$path:$folder
done
PATH=${path#:}
"""


def sources():
    code = sorted(glob.glob("src/**/*.c", recursive=True))
    own = {folder: [f for f in code if f.startswith(f"src/{folder}/")] for folder in [*PROGRAMS, "preload", "remote"]}
    common = [f for f in code if not any(f in files for files in own.values())]
    # What the programs share with tests: all but their mains.
    inner = own["remote"] + [f for folder in PROGRAMS for f in own[folder] if not f.endswith("/main.c")]
    yield "src/sources.ninja", program_edges(common, own)
    yield "tests/sources.ninja", test_edges(inner)
    folders = [folder for top in ("src", "tests", "proto") for folder, _, _ in os.walk(top) if "corpus" not in folder]
    yield "build/sources.d", f"build.ninja: {' '.join(folders)}\n"


def program_edges(common, own):
    protos = [f"proto/{os.path.basename(f)[:-6]}.pb-c.c" for f in sorted(glob.glob("proto/*.proto"))]
    text = HEAD + compile_edges(common + own["remote"] + [f for folder in PROGRAMS for f in own[folder]])
    for f in protos:
        text += f"build $b/{f[:-2]}.o: cc-generated build/{f} | build/cc build/core.cflags\n"
    text += edge("libtarn.a: ar", common + protos, "| build/cc")
    for folder, program in PROGRAMS.items():
        accelerator = "build/observe.o " if program == "tarn-exec" else ""
        remote = own["remote"] if folder in REMOTE else []  # its kinds.c stands for that of libtarn
        text += edge(f"{program}: link", own[folder] + remote, f"{accelerator}$b/libtarn.a | build/{PARTS[program]}.libs build/cc")
        text += f"  part = {PARTS[program]}\n"
        text += "  ldflags = $ldflags $static\n" if program in STATIC else ""
    return text


def test_edges(inner):
    unit = sorted(glob.glob("tests/unit/*.c") + glob.glob("tests/support/*.c"))
    fuzz = sorted(glob.glob("tests/fuzz/fuzz_*.c"))
    shared = ["tests/fuzz/replay.c", "tests/support/faults.c", *inner]
    libraries = "build/observe.o $b/libtarn.a | build/test.libs"
    text = HEAD + compile_edges(unit) + edge("unit-tests: link", unit + inner, libraries)
    text += compile_edges([*fuzz, "tests/fuzz/replay.c"])
    for f in fuzz:
        text += edge(f"{os.path.basename(f)[:-2]}: link", [f, *shared], libraries)
    return text + f"build $b/fuzz-targets: phony{''.join(f' $b/{os.path.basename(f)[:-2]}' for f in fuzz)}\n"


def compile_edges(files):  # one line for each, so that git can merge them
    return "".join(f"build $b/{f[:-2]}.o: cc {f} | build/cc build/$part.cflags || protos\n" for f in files)


def edge(target, files, rest):
    return f"build $b/{target} $\n" + "".join(f"  $b/{f[:-2]}.o $\n" for f in files) + f"  {rest}\n"


def machine():
    yield "build/cc", CC + f'exec {os.environ.get("CC", "cc")} "$@"\n'
    for part, names in LIBRARIES.items():
        missing = [name for name in names.split() if subprocess.call(["pkg-config", "--exists", name])]
        if missing and part != "test":
            sys.exit(f"configure.py: missing {' '.join(missing)}: run ./bootstrap build, or see Building in README.md")
        found = " ".join(name for name in names.split() if name not in missing)
        for what, given in ("cflags", os.environ.get("CFLAGS", "-O2 -g")), ("libs", os.environ.get("LDFLAGS", "")):
            asked = " ".join(name for name in found.split() if what == "cflags" or name not in LOADED)
            yield f"build/{part}.{what}", f"{given} {subprocess.getoutput(f'pkg-config --{what} {asked}')}\n"


def write(path, text):
    with open(path, "w") as file:
        os.chmod(path, 0o755 if path == "build/cc" else 0o644)
        file.write(text)


os.chdir(os.path.dirname(os.path.abspath(__file__)))
os.makedirs("build", exist_ok=True)
wanted = sys.argv[1:] or ["--sources", "--machine"]
for what in wanted:
    for path, text in {"--sources": sources, "--machine": machine}[what]():
        write(path, text)
if "--sources" in wanted:
    os.utime("build.ninja")  # so that ninja reads the new lists
