"""What can't be kept runs all the same, and says why, each time."""
import os, socket, subprocess, threading

from support import FAST, contains, equal, need
from table import NOTHING, Table, at, folder, forged, link, mode, script, sh

CASES = Table()
PY = {"PYTHONDONTWRITEBYTECODE": "1"}


def c(name, text, reason, **more):
    """A program in C whose calls are refused."""
    CASES.refused(name, "./a", reason, given={"a.c": text, **more.pop("given", {})}, first="gcc -w -o a a.c" + more.pop("flags", ""), **more)


CASES.refused("a random device that is no sink", sh("head -c 1 /dev/kmsg >/dev/null 2>&1; :"), "/dev/kmsg")
CASES.refused("a file of /proc about another", sh("cat /proc/1/status >/dev/null; cat /proc/interrupts | head -c 0"), "/proc/interrupts")
CASES.refused("a file of /sys", sh("cat /sys/kernel/uevent_seqnum >/dev/null"), "/sys/kernel")
CASES.refused("the machine's name from the kernel", sh("cat /proc/sys/kernel/hostname >/dev/null"), "hostname")
CASES.refused("the boot's id", sh("cat /proc/sys/kernel/random/boot_id >/dev/null"), "boot_id")
for name in "date", "hostname", "uptime", "ps", "who", "free", "df":
    CASES.refused(f"{name} as a child", sh(f"{name} >/dev/null 2>&1; :"), "whose result is", needs=(name,))
CASES.refused("a folder reached through /proc", sh("cat /proc/self/cwd/x"), "/proc/", given={"x": "1"})
CASES.refused("a named pipe as an output", "mkfifo pipe", "no file", needs=("mkfifo",))
CASES.refused("a deletion", sh("rm -f x"), "deleted by the command", given={"x": "1"})
CASES.refused("a deletion of a folder", sh("rm -r x"), "x", given={"x/y": "1"})
CASES.refused("a rename of what was there", sh("mv x y"), "renamed", given={"x": "1"})
CASES.refused("a write through a link", sh("echo 2 >l"), "through the link", given={"l": link("x"), "x": "1"})
c("an exchange of names", "#define _GNU_SOURCE\n#include <stdio.h>\n#include <fcntl.h>\nint main(void) { renameat2(AT_FDCWD, \"x\", AT_FDCWD, \"y\", RENAME_EXCHANGE); }\n", "exchanged", given={"x": "1", "y": "2"})
c("an extended attribute that is set", "#include <sys/xattr.h>\nint main(void) { setxattr(\"x\", \"user.a\", \"1\", 1, 0); }\n", "extended attributes", given={"x": "1"})
c("System V shared memory", "#include <sys/shm.h>\nint main(void) { shmctl(shmget(IPC_PRIVATE, 1, 0600), IPC_RMID, 0); }\n", "shared memory")
c("System V messages", "#include <sys/msg.h>\nint main(void) { msgctl(msgget(IPC_PRIVATE, 0600), IPC_RMID, 0); }\n", "messages")
c("System V semaphores", "#include <sys/sem.h>\nint main(void) { semctl(semget(IPC_PRIVATE, 1, 0600), 0, IPC_RMID); }\n", "semaphores")
c("a message queue", "#include <mqueue.h>\n#include <fcntl.h>\nint main(void) { mq_open(\"/nothing-there\", O_RDONLY); }\n", "message queue", flags=" -lrt")
c("an own filter", "#include <sys/prctl.h>\n#include <linux/seccomp.h>\nint main(void) { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0); }\n", "filtered its own")
c("io_uring", "#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { char p[256] = {0}; syscall(SYS_io_uring_setup, 1, p); }\n", "io_uring")
c("file handles", "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <stdlib.h>\nint main(void) { struct file_handle *h = calloc(1, 200); int m; h->handle_bytes = 100; name_to_handle_at(AT_FDCWD, \"x\", h, &m, 0); }\n", "file handles", given={"x": "1"})
c("an extended attribute of an open file", "#include <fcntl.h>\n#include <sys/xattr.h>\nint main(void) { char v[9]; fgetxattr(open(\"x\", O_RDONLY), \"user.a\", v, 9); }\n", "extended attributes", given={"x": "1"},
  flags=""" && python3 -c 'import os; os.setxattr("x", "user.a", b"1")'""")
c("the kernel's asynchronous reads", "#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { syscall(SYS_io_submit, 0, 0, 0); }\n", "asynchronous")
c("keys", "#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { syscall(SYS_keyctl, 0, -3, 0); }\n", "kernel's keys")
c("another process's memory", "#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { syscall(SYS_process_vm_readv, getppid(), 0, 0, 0, 0, 0); }\n", "looked into a process")
c("a call that is newer", "#include <unistd.h>\nint main(void) { syscall(466, -1, 0, 0, 0); }\n", "newer than tarn knows")
c("watching files", "#include <sys/inotify.h>\nint main(void) { inotify_add_watch(inotify_init(), \".\", IN_CREATE); }\n", "watched")
c("a namespace", "#define _GNU_SOURCE\n#include <sched.h>\nint main(void) { unshare(CLONE_FS | CLONE_NEWUTS); }\n", "namespace")
c("another root", "#include <unistd.h>\nint main(void) { chroot(\".\"); }\n", "root folder")
c("a mount", "#include <sys/mount.h>\nint main(void) { mount(\"x\", \"y\", \"z\", 0, 0); }\n", "mounted")
c("a datagram", "#include <sys/socket.h>\nint main(void) { socket(AF_INET, SOCK_DGRAM, 0); }\n", "network")
c("a netlink socket", "#include <sys/socket.h>\nint main(void) { socket(AF_NETLINK, SOCK_RAW, 0); }\n", "network")
c("a signal to a stranger", "#include <signal.h>\n#include <unistd.h>\nint main(void) { kill(1, 0); }\n", "signal")
c("the host's name in the output", "#include <stdio.h>\n#include <sys/utsname.h>\nint main(void) { struct utsname u; uname(&u); puts(u.nodename); }\n", "host's name")
CASES.refused("a set-id program", sh("./suid >/dev/null"), "set-id", needs=("root",), first="cp /bin/true suid; chmod 4755 suid")
CASES.refused("a program that can't be read as one of ours", sh("./other 2>/dev/null; :"), "another architecture", first="head -c 4 /bin/true >other; printf '\\1%0100d' 0 >>other; chmod +x other")
CASES.refused("a script whose interpreter is relative", sh("./s; :"), "relative", given={"s": script("#!run\n"), "run": script("#!/bin/sh\necho 1\n")})
CASES.refused("a process that stays", sh("sleep 3 >/dev/null 2>&1 & :"), "outlived")
for name in "DATE", "TIME", "TIMESTAMP":
    CASES.refused(f"{name} named in a comment of what a compiler reads", "{cc} -c a.c", f"names __", given={"a.c": f"/* __{name}__ */ int a;\n"})


def test_streams_and_descriptors(p):
    """What came from outside and is used, however: read, written, copied, mapped, by its name in /proc."""
    p.program = FAST
    p.write("in", "text\n")
    uses = {
        "read": "cat <&{fd}", "written": "echo x >&{fd}", "by /proc": "cat /proc/self/fd/{fd}", "by /dev": "cat /dev/fd/{fd}",
        "sendfile": "python3 -c 'import os; os.sendfile({fd}, os.open(\"in\", 0), 0, 4)'", "splice": "python3 -c 'import os; r, w = os.pipe(); os.write(w, b\"x\"); os.splice(r, {fd}, 1)'" if hasattr(os, "splice") else "cat <&{fd}",
        "copy_file_range": "python3 -c 'import os; os.copy_file_range(os.open(\"in\", 0), {fd}, 4)'", "mmap": "python3 -c 'import mmap; print(mmap.mmap({fd}, 4, prot=1)[:])'",
        "a copy": "python3 -c 'import os; n = os.dup({fd}); print(os.read(n, 4))'", "another number": "python3 -c 'import os; os.dup2({fd}, 77); print(os.read(77, 4))'",
        "pread": "python3 -c 'import os; print(os.pread({fd}, 4, 0))'", "readv": "python3 -c 'import os; print(os.readv({fd}, [bytearray(4)]))'",
    }
    for number in 5, 63, 255, 256, 300, 700:
        for name, text in uses.items():
            if number > 9 and "&{fd}" in text:
                continue  # no shell of this kind
            p.write("outside", "text\n")
            file = os.open(p.path("outside"), os.O_RDWR)
            try:
                os.dup2(file, number, inheritable=True)
                for _ in range(2):
                    child = p.spawn(sh(text.format(fd=number)), pass_fds=(number,), env=PY)
                    child.communicate()
                    equal((child.returncode, p.last()["outcome"]), (0, "uncacheable"), f"{name}, descriptor {number}: {p.last()}")
            finally:
                os.close(file)
                os.close(number)


def test_descriptors_that_are_not_used(p):
    p.program = FAST
    file = os.open("/dev/null", os.O_RDWR)
    for number in 5, 255, 300:
        os.dup2(file, number, inheritable=True)
    try:
        for outcome in "miss", "hit":
            child = p.spawn(sh("echo 1 >out"), pass_fds=(5, 255, 300))
            child.communicate()
            equal(p.last()["outcome"], outcome)
    finally:
        for number in file, 5, 255, 300:
            os.close(number)


def test_standard_input_however(p):
    p.program = FAST
    for words in ("cat", sh("cat /dev/stdin"), sh("cat /proc/self/fd/0"), sh("cat /dev/fd/0"), sh("read x; echo $x"), sh("exec 3<&0; cat <&3"), ["python3", "-c", "import sys; print(sys.stdin.read())"],
                  ["python3", "-c", "import os; print(os.read(os.dup(0), 3))"], ["perl", "-e", "print <STDIN>"], "sort", "wc -c", "tee out", ["python3", "-c", "import os; os.sendfile(1, 0, None, 5)"]):
        run = p.run(words, input=b"text\n", env=PY)
        equal(run.event["outcome"] in ("uncacheable", "failed"), True, f"{words}: {run}")


def test_a_refusal_is_not_for_ever(p):
    """As soon as the cause is gone, it is kept."""
    p.program = FAST
    p.write("a.c", "const char *a = __DATE__;\n")
    equal(p.run("gcc -c a.c").event["outcome"], "uncacheable")
    p.write("a.c", "const char *a = DATE;\n")
    p.write("flags", "-DDATE=__TIME__\n")
    equal(p.run("gcc @flags -c a.c").event["outcome"], "uncacheable")
    p.write("flags", '-DDATE=\\"today\\"\n')
    p.step("miss", "gcc @flags -c a.c")
    p.step("hit", "gcc @flags -c a.c")
    p.write("run", "date >out\n")
    equal(p.run("sh run").event["outcome"], "uncacheable")
    p.write("run", "echo 1 >out\n")
    p.step("miss", "sh run", keep=True)
    p.remove("out")
    p.step(("miss", "hit"), "sh run")
    p.step("hit", "sh run")
