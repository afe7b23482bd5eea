"""What of the environment counts, and that no more of it does."""
import os

from support import FAST, PATH, contains, equal
from table import NOTHING, Table, at, folder, forged, link, mode, script, sh

CASES = Table()
WARNING = {"a.c": "void f(void) { int x; }\nconst char *name = __FILE__;\n"}
SESSION = {"USER": "somebody", "LOGNAME": "somebody", "HOSTNAME": "elsewhere", "TERM": "vt100", "DISPLAY": ":7", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22", "SSH_TTY": "/dev/pts/9", "MAKELEVEL": "4", "SHLVL": "7",
           "MAKEFLAGS": " -j8 --jobserver-auth=fifo:/nowhere/x", "CI_JOB_ID": "4711", "GITHUB_RUN_ID": "815", "BUILD_NUMBER": "9999", "XDG_SESSION_ID": "c7", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/nowhere",
           "WINDOWID": "77", "TMUX": "/tmp/x,1,2", "OLDPWD": "/nowhere", "LS_COLORS": "di=01", "PS1": "> ", "_": "/x/y", "INVOCATION_ID": "abcdef", "TARN_LABEL": "x", "TARN_BUILD_ID": "b9"}

# ---- what changes a compiler's work ----

CASES.changes("LC_ALL, for messages", "{cc} -Wall -c a.c", given={"a.c": "void f(void) { x(); }\n"}, env={"LC_ALL": "C"}, then_env={"LC_ALL": "C.UTF-8"}, same=None)
CASES.changes("LC_CTYPE, where LC_ALL is not set", "gcc -Wall -c a.c", given={"a.c": "void f(void) { int x; }\n"}, env={"LC_ALL": None}, then_env={"LC_CTYPE": "C.UTF-8"})
CASES.changes("LANG, where LC_ALL is not set", "gcc -Wall -c a.c", given={"a.c": "void f(void) { int x; }\n"}, env={"LC_ALL": None}, then_env={"LANG": "C.UTF-8"})
CASES.changes("SOURCE_DATE_EPOCH", "gcc -c a.c", given={"a.c": "const char *a = __DATE__;\n"}, env={"SOURCE_DATE_EPOCH": "0"}, then_env={"SOURCE_DATE_EPOCH": "864000"})
CASES.changes("COMPILER_PATH", "gcc -c a.c", given={"a.c": "int a;\n", "tools/as": script('#!/bin/sh\nexec /usr/bin/as --defsym x=1 "$@"\n')}, then_env={"COMPILER_PATH": "tools"})
CASES.changes("GCC_EXEC_PREFIX", "gcc -c a.c", given={"a.c": "int a;\n", "tools/x86_64-linux-gnu/12/as": script('#!/bin/sh\nexec /usr/bin/as --defsym x=1 "$@"\n')}, then_env={"GCC_EXEC_PREFIX": "{root}/tools/"}, same=None, outcome=("miss", "failed"))
CASES.changes("GCC_COLORS", "gcc -Wall -fdiagnostics-color=always -c a.c", given=WARNING, env={"GCC_COLORS": "warning=01;35"}, then_env={"GCC_COLORS": "warning=01;36"})
CASES.changes("CPATH", "{cc} -idirafter two -c a.c", given={"a.c": "#include <a.h>\nint a = A;\n", "one/a.h": "#define A 1\n", "two/a.h": "#define A 2\n"}, then_env={"CPATH": "one"})
CASES.changes("TMPDIR, in what is printed", sh("echo $TMPDIR"), env={"TMPDIR": "/tmp"}, then_env={"TMPDIR": "/var/tmp"})
CASES.changes("TMPDIR, of a compiler", "gcc -save-temps=cwd -c a.c", given={"a.c": "int a;\n"}, env={"TMPDIR": "/tmp"}, then_env={"TMPDIR": "/var/tmp"}, same=True, back=False)
CASES.changes("TZ", sh("date -d @0 +%H >out; cat out"), env={"TZ": "UTC0"}, then_env={"TZ": "EST5"}, before=("uncacheable",), outcome="uncacheable")
CASES.changes("PYTHONHASHSEED", ["python3", "-c", "print(hash('x'))"], env={"PYTHONHASHSEED": "1"}, then_env={"PYTHONHASHSEED": "2"})
CASES.changes("the flags of a wrapper", "./wrap gcc -c a.c", given={"a.c": "int a;\n", "wrap": script('#!/bin/sh\nexec "$@" $WRAP_FLAGS\n')}, then_env={"WRAP_FLAGS": "-g"})
CASES.changes("a variable that awk prints", ["awk", "BEGIN { print ENVIRON[\"MINE\"] }"], env={"MINE": "1"}, then_env={"MINE": "2"})
CASES.changes("a variable that is unset", sh("echo ${MINE-unset}"), env={"MINE": "1"}, then_env={"MINE": None})
CASES.changes("a variable that is empty", sh("echo ${MINE-unset}"), then_env={"MINE": ""})
CASES.changes("envsubst", sh("sed s/X/$MINE/ in"), given={"in": "X\n"}, env={"MINE": "1"}, then_env={"MINE": "2"})

# ---- sessions, where they show or are named ----

CASES.changes("USER, printed", sh("echo built by $USER"), env={"USER": "me"}, then_env={"USER": "you"})
CASES.changes("USER, in an output", sh("echo built by $USER >out"), env={"USER": "somebody"}, then_env={"USER": "another"})
CASES.changes("USER, asked for in Python", ["python3", "-c", "import getpass; print(getpass.getuser())"], env={"LOGNAME": "somebody", "PYTHONDONTWRITEBYTECODE": "1"}, then_env={"LOGNAME": "another"})
CASES.changes("USER, by its length", sh("echo ${#USER}"), env={"USER": "me"}, then_env={"USER": "another"})
CASES.changes("BUILD_NUMBER, in a script", "sh gen", given={"gen": "echo ${BUILD_NUMBER:-none} >version\n"}, then_env={"BUILD_NUMBER": "7"})
CASES.changes("BUILD_NUMBER, in a script that a script reads", "sh gen", given={"gen": ". ./more\n", "more": "echo ${BUILD_NUMBER:-none} >version\n"}, env={"BUILD_NUMBER": "6"}, then_env={"BUILD_NUMBER": "7"})
CASES.changes("BUILD_NUMBER, in a makefile", "make -s", given={"Makefile": "all:; @echo $(BUILD_NUMBER)\n"}, env={"BUILD_NUMBER": "6"}, then_env={"BUILD_NUMBER": "7"}, needs=("make",))
CASES.changes("CI_JOB_ID, in Python", "python3 gen/gen.py", given={"gen/gen.py": "import os\nprint(len(os.environ.get('CI_JOB_ID', '')))\n"}, env={"PYTHONDONTWRITEBYTECODE": "1"}, then_env={"CI_JOB_ID": "7"})
CASES.changes("all variables, printed", "env", env={"TERM": "xterm"}, then_env={"TERM": "vt100"})
CASES.changes("MAKELEVEL, printed", "make -s", given={"Makefile": "all:; @echo $(MAKELEVEL)\n"}, env={"MAKELEVEL": "1"}, then_env={"MAKELEVEL": "2"}, needs=("make",))
CASES.changes("OLDPWD", sh("cd - 2>&1 || :"), env={"OLDPWD": "/usr"}, then_env={"OLDPWD": "/etc"}, outcome=("miss",))
CASES.changes("SHLVL, in bash", ["bash", "-c", "echo $SHLVL"], env={"SHLVL": "3"}, then_env={"SHLVL": "5"})

# ---- and no more ----

for title, words in ("a compile", "{cc} -Wall -c a.c"), ("a link", "{cc} -o a main.c"), ("a command", "sed s/a/b/ a.c"), ("a shell", sh("cat a.c >out")), ("Python", ["python3", "-c", "print(open('a.c').read())"]):
    CASES.harmless(f"another session, for {title}", words, given={**WARNING, "main.c": "int main(void) { return 0; }\n"}, then_env=SESSION)
CASES.harmless("another home and shell, for a compile", "{cc} -c a.c", given=WARNING, env={"HOME": "/nowhere"}, then_env={"HOME": "/tmp", "SHELL": "/bin/zsh", "EDITOR": "vi", "PAGER": "less", "CFLAGS": "-O3", "CC": "tcc"})
CASES.harmless("a folder in front on PATH without programs that matter", "{cc} -c a.c", given={**WARNING, "bin/x": ""}, then_env={"PATH": "{root}/bin:/nowhere:" + PATH})
CASES.harmless("a folder on PATH without programs", "{cc} -c a.c", given={**WARNING, "bin/x": ""}, then_env={"PATH": PATH + ":/nowhere"})
CASES.harmless("a file in a folder that is not searched", "{cc} -Ione -c a.c", given={**WARNING, "one/x.h": ""}, then={"one/y.h": "", "z.h": "", "one/two/a.h": ""})
CASES.harmless("the times of all files", "{cc} -c a.c", given={"a.c": at(1000, '#include "a.h"\n'), "a.h": at(1000, "int a;\n")}, then={"a.c": at(2000), "a.h": at(3000)})
CASES.harmless("the mode of a header", "{cc} -c a.c", given={"a.c": '#include "a.h"\n', "a.h": mode(0o644, "int a;\n")}, then={"a.h": mode(0o600)})


def test_another_user(p):
    """Hits what root made, if he may read all of it."""
    from support import need
    need("setpriv", "root")
    p.program = FAST
    p.for_everybody()
    p.write("a.c", "#include <stdio.h>\nint a = EOF;\n")
    p.run("gcc -c a.c")
    p.run(sh("sed s/a/b/ a.c >out"))
    p.remove("a.o", "out")
    p.shell(f"chmod -R a+rwX {p.top}")
    for words in ["gcc", "-c", "a.c"], sh("sed s/a/b/ a.c >out"):
        child = p.spawn(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", p.program, *words], tarn=False, env={"HOME": "/nowhere", "USER": "nobody", "LOGNAME": "nobody"})
        if words[0] == "sh":  # HOME counts for what is no compiler
            child.communicate()
            continue
        child.communicate()
        equal((child.returncode, p.last()["outcome"]), (0, "hit"), str(words))


# ---- limits ----

MANY = {"a.c": "int a;\n"}
CASES.changes("the limit of the stack", "{cc} -c a.c", given=MANY, then_limits={"RLIMIT_STACK": 4 << 20}, same=True)
CASES.changes("the limit of memory", "{cc} -c a.c", given=MANY, then_limits={"RLIMIT_AS": 4 << 30}, same=True)
CASES.changes("the limit of a file's size", "gcc -c a.c", given={"a.c": "char a[100000] = {1};\n"}, then_limits={"RLIMIT_FSIZE": 4096}, outcome="failed")
CASES.changes("the limit of open files, printed", sh("ulimit -n"), then_limits={"RLIMIT_NOFILE": 500})
CASES.changes("the limit of processes, printed", ["bash", "-c", "ulimit -u"], then_limits={"RLIMIT_NPROC": 5000})
CASES.changes("the umask, printed", sh("umask"), umask=0o022, then_umask=0o027)
CASES.changes("the working directory, printed", sh("cd sub && pwd -P"), given={"sub/x": ""}, then_words=sh("cd other && pwd -P"), then={"other/x": ""})
CASES.changes("the working directory, of a compile with debug information", "{cc} -g -c {root}/a.c", given={"a.c": "int a;\n", "sub/x": ""}, then_words="{cc} -g -c {root}/./a.c", outcome=("miss",), same=None)
