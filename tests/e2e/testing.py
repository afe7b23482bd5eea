"""Tests that run through tarn-exec."""
from support import equal

PROGRAM = "import sys\nprint(open('data').read())\nsys.exit(int(open('status').read()))\n"


def prepare(p, status=0):
    p.write("test_it", f"#!/usr/bin/python3\n{PROGRAM}", 0o755)
    p.write("data", "one\n")
    p.write("status", f"{status}\n")


def test_passing(p):
    prepare(p)
    equal(p.twice("./test_it").event["kind"], "test")
    p.write("data", "two\n")
    p.step("miss", "./test_it", "data")
    p.step("hit", "./test_it")


def test_names(p):
    for name, kind in {"test_it": "test", "unit-tests": "test", "t/check.sh": "test", "testing": "test",
                       "Tester": "test", "run_checks.sh": "test", "latest": "command", "checkout": "command",
                       "contest": "command", "attestation": "command", "generate": "command"}.items():
        p.write(name, "#!/bin/sh\necho yes\n", 0o755)
        equal(p.twice(f"./{name}").event["kind"], kind, name)
    equal(p.twice("./generate", options="-k test").event["kind"], "test")


def test_failing_is_not_kept(p):
    prepare(p, 3)
    for turn in range(2):
        equal(p.step("failed", "./test_it").status, 3)


def test_failing_is_kept_when_asked(p):
    prepare(p, 3)
    p.write("tarn.json", '{"actions": [{"match": "*test_it*", "failures": "unchanged"}]}')
    first = p.step("miss", "./test_it")
    equal(first.status, 3)
    equal(p.step("hit", "./test_it").status, 3)
    p.write("data", "two\n")
    p.step("miss", "./test_it", "data")
    p.step("hit", "./test_it")
    p.write("status", "0\n")
    equal(p.step("miss", "./test_it").status, 0)
    equal(p.step("hit", "./test_it").status, 0)
    p.write("status", "3\n")
    equal(p.step("hit", "./test_it").status, 3)


def test_a_kept_failure_is_not_used_when_not_asked(p):
    prepare(p, 3)
    p.write("tarn.json", '{"actions": [{"match": "*test_it*", "failures": "unchanged"}]}')
    p.step("miss", "./test_it")
    p.write("tarn.json", '{"actions": [{"match": "*test_it*", "failures": "never"}]}')
    p.step("failed", "./test_it")
    p.remove("tarn.json")
    p.step("failed", "./test_it")


def test_later_rules_decide(p):
    prepare(p, 3)
    p.write("tarn.json", '{"actions": [{"match": "*", "failures": "unchanged"},'
                         ' {"match": "*test_it*", "failures": "never"}]}')
    p.step("failed", "./test_it")
    p.step("failed", "./test_it")
    p.write("tarn.json", '{"actions": [{"match": "*", "failures": "never"},'
                         ' {"match": "*test_it*", "failures": "unchanged"}]}')
    p.step("miss", "./test_it")
    p.step("hit", "./test_it")


def test_a_signal_is_never_kept(p):
    p.write("tarn.json", '{"actions": [{"match": "*", "failures": "unchanged"}]}')
    p.write("test_it", "#!/bin/sh\nkill -SEGV $$\n", 0o755)
    for turn in range(2):
        p.step("failed", "./test_it", "signal 11")


def test_what_a_shell_says_of_a_signal_is_a_status(p):
    p.write("tarn.json", '{"actions": [{"match": "*", "failures": "unchanged"}]}')
    p.write("test_it", "#!/bin/sh\nexit 139\n", 0o755)
    equal(p.step("miss", "./test_it").status, 139)
    equal(p.step("hit", "./test_it").status, 139)


def test_what_was_sent_is_no_result(p):
    p.write("tarn.json", '{"actions": [{"match": "*", "failures": "unchanged"}]}')
    for signal, status in ("KILL", 137), ("TERM", 143):
        p.write("test_it", f"#!/bin/sh\nsh -c 'kill -{signal} $$'\nexit $?\n", 0o755)
        for _ in range(2):
            equal(p.run("./test_it").event["outcome"], "failed")
            equal(p.last()["status"], status)


def test_a_failing_compile_when_asked(p):
    p.write("tarn.json", '{"actions": [{"match": "*.o", "failures": "unchanged"}]}')
    p.write("a.c", "int a = b;\n")
    p.step("miss", "gcc -c a.c -o a.o")
    equal(p.step("hit", "gcc -c a.c -o a.o").status, 1)
    p.write("a.c", "int a = 1;\n")
    equal(p.step("miss", "gcc -c a.c -o a.o").status, 0)


def test_check_of_a_kept_failure(p):
    prepare(p, 3)
    p.write("tarn.json", '{"actions": [{"match": "*", "failures": "unchanged"}]}')
    p.step("miss", "./test_it")
    run = p.step("hit", "./test_it", options="--check")
    equal((run.status, run.event["check"]), (3, "same"))
    p.step("miss", "./test_it", options="--refresh")


def test_nested_program_failing(p):
    """Only how the test itself ends decides."""
    p.write("test_it", "#!/bin/sh\nfalse || echo fine\n", 0o755)
    p.twice("./test_it")
