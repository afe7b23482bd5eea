"""Programs that write sources, and scripts."""
import os

from support import FAST, equal
from table import NOTHING, Table, at, folder, forged, link, mode, script, sh

CASES = Table()
PYTHON = {"PYTHONDONTWRITEBYTECODE": "1"}

# ---- bison, flex, m4 ----

GRAMMAR = "%token A\n%%\nstart: A { RULE; };\n%%\n"
CASES.changes("a grammar", "bison -d -o g.c g.y", given={"g.y": GRAMMAR.replace("RULE", "one()")}, then={"g.y": GRAMMAR.replace("RULE", "two()")}, needs=("bison",))
CASES.changes("a report on a grammar", "bison -v -o g.c g.y", given={"g.y": GRAMMAR.replace("RULE", "one()")}, then={"g.y": GRAMMAR.replace("A", "B")}, needs=("bison",))
CASES.changes("BISON_PKGDATADIR", "bison -o g.c g.y", given={"g.y": GRAMMAR}, first="rm -rf data; cp -r /usr/share/bison data; sed -i '1s/$/ /;s/Bison implementation/My implementation/' data/skeletons/yacc.c", then_env={"BISON_PKGDATADIR": "data"}, needs=("bison",))
CASES.changes("the m4 that bison runs", "bison -o g.c g.y", given={"g.y": GRAMMAR, "bin/b": ""}, env={"M4": "{root}/bin/m4"}, first="ln -sf /usr/bin/m4 bin/m4",
              then_first="rm bin/m4; printf '#!/bin/sh\\n/usr/bin/m4 \"$@\" | sed s/yyparse/zzparse/\\n' >bin/m4; chmod +x bin/m4", needs=("bison",))
CASES.changes("a scanner", "flex -o s.c s.l", given={"s.l": "%%\na return 1;\n%%\n"}, then={"s.l": "%%\na return 2;\n%%\n"}, needs=("flex",))
CASES.changes("a file of m4", "m4 a.m4", given={"a.m4": "include(`b.m4')X\n", "b.m4": "define(X, 1)"}, then={"b.m4": "define(X, 2)"}, needs=("m4",))
CASES.changes("a file of m4 found along -I", "m4 -Ione -Itwo a.m4", given={"a.m4": "include(`b.m4')X\n", "two/b.m4": "define(X, 1)", "one/b": ""}, then={"one/b.m4": "define(X, 2)"}, needs=("m4",))
CASES.changes("a file of m4 along M4PATH", "m4 a.m4", given={"a.m4": "include(`b.m4')X\n", "two/b.m4": "define(X, 1)", "one/b": ""}, env={"M4PATH": "one:two"}, then={"one/b.m4": "define(X, 2)"}, needs=("m4",))
CASES.changes("sinclude of what appears", "m4 a.m4", given={"a.m4": "sinclude(`b.m4')X\n"}, then={"b.m4": "define(X, 2)"}, needs=("m4",))
CASES.changes("a command in m4", "m4 a.m4", given={"a.m4": "esyscmd(`cat data')\n", "data": "1"}, then={"data": "2"}, needs=("m4",))

# ---- protoc ----

CASES.changes("a protocol that another one imports", "protoc -Ione -Itwo --cpp_out=. a.proto", given={"one/a.proto": 'syntax = "proto3";\nimport "b.proto";\nmessage A { B b = 1; }\n', "two/b.proto": 'syntax = "proto3";\nmessage B {}\n'},
              then={"one/b.proto": 'syntax = "proto3";\nmessage B { int32 c = 1; }\nmessage C {}\n', "one/a.proto": 'syntax = "proto3";\nimport "b.proto";\nmessage A { B b = 2; }\n'}, needs=("protoc",))
CASES.changes("a protocol appears earlier on the path", "protoc -Ione -Itwo --descriptor_set_out=out --include_imports a.proto", given={"two/a.proto": 'syntax = "proto3";\nmessage A {}\n', "one/b": ""},
              then={"one/a.proto": 'syntax = "proto3";\nmessage B {}\n'}, needs=("protoc",))
CASES.changes("a plugin of protoc appears on PATH", "protoc --plugin=protoc-gen-x=./gen --x_out=. a.proto", given={"a.proto": 'syntax = "proto3";\n', "gen": script("#!/bin/sh\ncat >/dev/null\ncat says\n"), "says": ""}, then={"says": "\x0a\x03bad"}, needs=("protoc",), outcome="failed")

# ---- perl, awk, sed ----

CASES.changes("a module of perl", ["perl", "-Ilib", "a.pl"], given={"a.pl": "use My; print My::text();\n", "lib/My.pm": "package My; sub text { 'one' } 1;\n"}, then={"lib/My.pm": "package My; sub text { 'two' } 1;\n"}, needs=("perl",))
CASES.changes("a module of perl appears earlier", ["perl", "-Ione", "-Itwo", "a.pl"], given={"a.pl": "use My; print My::text();\n", "two/My.pm": "package My; sub text { 'one' } 1;\n"},
              then={"one/My.pm": "package My; sub text { 'two' } 1;\n"}, needs=("perl",))
CASES.changes("a compiled module of perl appears", ["perl", "-Ilib", "a.pl"], given={"a.pl": "use My; print My::text();\n", "lib/My.pm": "package My; sub text { 'one' } 1;\n"}, then={"lib/My.pmc": "package My; sub text { 'two' } 1;\n"}, needs=("perl",))
CASES.changes("PERL5LIB", ["perl", "a.pl"], given={"a.pl": "use My; print My::text();\n", "one/My.pm": "package My; sub text { 'one' } 1;\n", "two/My.pm": "package My; sub text { 'two' } 1;\n"}, env={"PERL5LIB": "one"}, then_env={"PERL5LIB": "two"}, needs=("perl",))
CASES.changes("PERL_HASH_SEED", ["perl", "-e", "my %h = map { $_ => 1 } 1..50; print keys %h"], env={"PERL_HASH_SEED": "1", "PERL_PERTURB_KEYS": "0"}, then_env={"PERL_HASH_SEED": "2"}, needs=("perl",))
CASES.changes("perl looks at the size of a file", ["perl", "-e", "print -s 'data'"], given={"data": "1"}, then={"data": "12"}, needs=("perl",))
CASES.changes("perl looks at the time of a file", ["perl", "-e", "print((stat 'data')[9])"], given={"data": at(1000, "1")}, then={"data": at(2000, "1")}, needs=("perl",))
CASES.changes("perl looks at the time of a file that it reads, too", ["perl", "-e", "open F, 'data'; print <F>, (stat 'data')[9]"], given={"data": at(1000000000, "x\n")}, then={"data": at(1000000001, "x\n")}, needs=("perl",))
CASES.changes("perl reads a link", ["perl", "-e", "print readlink 'l'"], given={"l": link("one")}, then={"l": link("two")}, needs=("perl",))
CASES.changes("a program of awk", "awk -f prog in", given={"prog": "{ print $1 }\n", "in": "1 2\n"}, then={"prog": "{ print $2 }\n"})
CASES.changes("what awk reads by getline", ["awk", 'BEGIN { while ((getline line < "data") > 0) print line }'], given={"data": "1\n"}, then={"data": "2\n"})
CASES.changes("what awk runs", ["awk", 'BEGIN { "cat data" | getline x; print x }'], given={"data": "1\n"}, then={"data": "2\n"})
CASES.changes("what awk looks for in ENVIRON", ["awk", 'BEGIN { print ENVIRON["WHO"] }'], env={"WHO": "one"}, then_env={"WHO": "two"})
CASES.changes("a script of sed", "sed -f script in", given={"script": "s/a/b/\n", "in": "a\n"}, then={"script": "s/a/c/\n"})
CASES.changes("sed reads another file", ["sed", "-e", "r data", "in"], given={"data": "1\n", "in": "a\n"}, then={"data": "2\n"})
CASES.changes("sed writes other files", ["sed", "-n", "-e", "/a/w one", "-e", "/b/w two", "in"], given={"in": "a\nb\n"}, then={"in": "a1\nb2\n"})
CASES.changes("sed in place", ["sed", "-i", "s/a/b/", "file"], given={"file": "a1\n"}, then={"file": "a2\n"})

# ---- Python ----

CASES.changes("a module of Python", "python3 gen/gen.py", given={"gen/gen.py": "import part\nprint(part.X)\n", "gen/part.py": "X = 1\n"}, env=PYTHON, then={"gen/part.py": "X = 2\n"})
CASES.changes("a module of Python with the old size and time", "python3 gen/gen.py", given={"gen/gen.py": "import part\nprint(part.X)\n", "gen/part.py": "X = 1\n"}, env=PYTHON, then={"gen/part.py": forged("X = 2\n")}, back=False)
CASES.changes("a module of Python appears earlier", "python3 gen/gen.py", given={"gen/gen.py": "import part\nprint(part.X)\n", "one/b": "", "two/part.py": "X = 1\n"}, env={**PYTHON, "PYTHONPATH": "one:two"}, then={"one/part.py": "X = 2\n"})
CASES.changes("a package of Python appears in front of a module", "python3 gen/gen.py", given={"gen/gen.py": "import part\nprint(part.X)\n", "gen/part.py": "X = 1\n"}, env=PYTHON, then={"gen/part/__init__.py": "X = 2\n"})
CASES.changes("a module of the standard library is shadowed", "python3 gen/gen.py", given={"gen/gen.py": "import string\nprint(string.digits)\n"}, env=PYTHON, then={"gen/string.py": "digits = 'mine'\n"})
CASES.changes("a folder of PYTHONPATH appears", "python3 gen/gen.py", given={"gen/gen.py": "try:\n    import part\n    print(part.X)\nexcept ImportError:\n    print('none')\n"}, env={**PYTHON, "PYTHONPATH": "{root}/late"}, then={"late/part.py": "X = 2\n"})
CASES.changes("a namespace package grows", "python3 gen/gen.py", given={"gen/gen.py": "import space, pkgutil\nprint([m.name for m in pkgutil.iter_modules(space.__path__)])\n", "one/space/a.py": "", "two/b": ""}, env={**PYTHON, "PYTHONPATH": "one:two"}, then={"two/space/c.py": ""})
CASES.changes("PYTHONHASHSEED", ["python3", "-c", "print(hash('text'))"], env={**PYTHON, "PYTHONHASHSEED": "1"}, then_env={"PYTHONHASHSEED": "2"})
CASES.changes("PYTHONOPTIMIZE", ["python3", "-c", "print(__debug__)"], env=PYTHON, then_env={"PYTHONOPTIMIZE": "1"})
CASES.changes("compiled Python is written", "python3 gen/gen.py", given={"gen/gen.py": "import part\nprint(part.X)\n", "gen/part.py": at(1000, "X = 1\n")}, then={"gen/part.py": at(1000, "X = 22\n")})
CASES.changes("compiled Python is written of a touched source", "python3 gen/gen.py", given={"gen/gen.py": "import part\nprint(part.X)\n", "gen/part.py": at(1000, "X = 1\n")}, then={"gen/part.py": at(2000, "X = 1\n")})
CASES.changes("compiled Python goes stale", "python3 gen/gen.py", given={"gen/gen.py": "import part\nprint(part.X)\n", "gen/part.py": at(1000, "X = 1\n")}, first="rm -rf gen/__pycache__; python3 gen/gen.py", env=PYTHON,
              then={"gen/part.py": at(2000, "X = 2\n")}, then_first=":", back=False)
CASES.changes("compiled Python becomes valid again by a time", "python3 gen/gen.py", given={"gen/gen.py": "import part\nprint(part.X)\n", "gen/part.py": at(1000, "X = 1\n")},
              first="rm -rf gen/__pycache__; python3 gen/gen.py; echo 'X = 2' >gen/part.py; touch -d @2000 gen/part.py", env=PYTHON, then_first="touch -d @1000 gen/part.py", back=False)
CASES.changes("Python lists a folder", ["python3", "-c", "import os; print(sorted(os.listdir('in')))"], given={"in/a": ""}, env=PYTHON, then={"in/b": ""})
CASES.changes("Python walks a tree", ["python3", "-c", "import os; print(sorted(os.walk('in')))"], given={"in/a/b": "", "in/c/d": ""}, env=PYTHON, then={"in/c/e": ""})
CASES.changes("Python looks at times", ["python3", "-c", "import os; print(os.path.getmtime('data') > 1500)"], given={"data": at(1000, "1")}, env=PYTHON, then={"data": at(2000, "1")})
CASES.changes("Python prints a time of what it reads", ["python3", "-c", "import os; print(open('data').read(), int(os.path.getmtime('data')))"], given={"data": at(1000000000, "1")}, env=PYTHON, then={"data": at(1000000009, "1")})
CASES.changes("Python prints a date of what it reads", ["python3", "-c", "import os, time; print(open('data').read(), time.strftime('%Y-%m-%d', time.gmtime(os.path.getmtime('data'))))"],
              given={"data": at(1000000000, "1")}, env=PYTHON, then={"data": at(1100000000, "1")})
CASES.changes("Python rebuilds what is older", "python3 gen.py", given={"gen.py": "import os\nif not os.path.exists('out') or os.path.getmtime('in') > os.path.getmtime('ref'):\n    print('made')\n", "in": at(1000, "1"), "ref": at(1500, "")}, env=PYTHON,
              then={"in": at(2000, "1")}, first="echo >out")
CASES.changes("Python follows a link", ["python3", "-c", "import os; print(os.path.realpath('l'))"], given={"l": link("one"), "one": "", "two": ""}, env=PYTHON, then={"l": link("two")})
CASES.changes("Python looks at modes", ["python3", "-c", "import os; print(oct(os.stat('data').st_mode))"], given={"data": mode(0o644, "1")}, env=PYTHON, then={"data": mode(0o600)})
CASES.changes("a library that Python loads", ["python3", "-c", "import ctypes; print(ctypes.CDLL('./libv.so').value())"], given={"v.c": "int value(void) { return VALUE; }\n"}, first="gcc -shared -fPIC -DVALUE=1 -o libv.so v.c", env=PYTHON,
              then_first="gcc -shared -fPIC -DVALUE=2 -o libv.so v.c")
CASES.changes("Python runs another program", ["python3", "-c", "import subprocess; print(subprocess.check_output(['cat', 'data']))"], given={"data": "1"}, env=PYTHON, then={"data": "2"})
CASES.changes("a file of Python with the name of a virtual environment appears", "venv/bin/python3 gen.py", given={"gen.py": "import sys\nprint(sys.prefix == sys.base_prefix)\n", "venv/x": ""}, first="mkdir -p venv/bin; ln -sf /usr/bin/python3 venv/bin/python3",
              env=PYTHON, then={"venv/pyvenv.cfg": "home = /usr/bin\n"})

# ---- shells ----

CASES.changes("a folder is globbed", sh("cat in/*.x >out"), given={"in/a.x": "1", "in/b.x": "2"}, then={"in/ab.x": "3"})
CASES.changes("a glob that fits nothing", sh("echo in/*.x >out"), given={"in/a.y": ""}, then={"in/a.x": ""})
CASES.changes("a glob over folders", sh("echo */*.x >out"), given={"a/1.x": "", "b/1.y": ""}, then={"b/2.x": ""})
CASES.changes("test -e", sh("test -e flag && echo yes || echo no"), then={"flag": ""})
CASES.changes("test -d, of what becomes a folder", sh("test -d flag && echo yes || echo no"), given={"flag": ""}, then={"flag": folder})
CASES.changes("test -L", sh("test -L flag && echo yes || echo no"), given={"flag": "", "x": ""}, then={"flag": link("x")})
CASES.changes("test -x", sh("test -x tool && echo yes || echo no"), given={"tool": mode(0o644, "")}, then={"tool": mode(0o755)})
CASES.changes("test -s", sh("test -s flag && echo yes || echo no"), given={"flag": ""}, then={"flag": "1"})
CASES.changes("test -nt", sh("test a -nt b && echo yes || echo no"), given={"a": at(1000, ""), "b": at(2000, "")}, then={"a": at(3000)})
CASES.changes("test -nt in a script that a script reads", "sh run", given={"run": ". ./more\n", "more": "test a -nt b && echo yes || echo no\n", "a": at(1000, ""), "b": at(2000, "")}, then={"a": at(3000)})
CASES.refused("test -ef", sh("test a -ef b && echo yes || echo no"), "-ef", given={"a": "", "b": ""})
CASES.changes("a file that test -nt compares appears", sh("test b -nt a && echo yes || echo no"), given={"a": at(1000, "")}, then={"b": at(2000, "")})
CASES.changes("find by name", sh("find in -name '*.x' | sort >out"), given={"in/a.x": "", "in/b/c": ""}, then={"in/b/d.x": ""})
CASES.changes("find by size", sh("find in -size +1k | sort >out"), given={"in/a": "1", "in/b": "2" * 3000}, then={"in/a": "1" * 3000})
CASES.changes("find -newer", sh("find in -newer ref | sort >out"), given={"in/a": at(1000, ""), "in/b": at(3000, ""), "ref": at(2000, "")}, then={"in/a": at(4000)}, first="touch -d @10 in")
CASES.changes("find by type", sh("find in -type f | sort >out"), given={"in/a": "", "in/b": "", "x": ""}, then={"in/a": folder})
CASES.changes("find by mode", sh("find in -perm -111 -type f | sort >out"), given={"in/a": mode(0o644, ""), "in/b": mode(0o755, "")}, then={"in/a": mode(0o755)})
CASES.changes("xargs", sh("ls in/* | xargs cat >out"), given={"in/a": "1", "in/b": "2"}, then={"in/a": "3"})
CASES.changes("ls -l", sh("ls -l in >out"), given={"in/a": at(1000, "1")}, then={"in/a": at(10**8, "1")})
CASES.changes("the owner that ls shows", sh("ls -ln in | awk '{ print $3 }'"), given={"in/a": at(1000, "1")}, first="chown 0 in/a", then_first="chown 1 in/a", needs=("root",), back=False)
CASES.changes("the number of links that ls shows", sh("ls -ln in | awk '{ print $2 }'"), given={"in/a": at(1000, "1"), "x": "", "b": folder}, first="rm -f b/c", then_first="ln in/a b/c", back=False)
CASES.changes("stat", "stat -c %Y in", given={"in": at(1000, "1")}, then={"in": at(2000, "1")})
CASES.changes("readlink -f", "readlink -f l", given={"l": link("a/b"), "a/b": "", "c/b": ""}, then={"l": link("c/b")})
CASES.changes("wc -c", "wc -c in", given={"in": "1"}, then={"in": "12"})
CASES.changes("cmp", sh("cmp -s a b && echo same || echo other"), given={"a": "1", "b": "1"}, then={"b": "2"})
CASES.changes("du", "du -b in", given={"in": "1"}, then={"in": "12"})
CASES.changes("a script that a script reads", "sh run", given={"run": ". ./more\necho $X\n", "more": "X=1\n"}, then={"more": "X=2\n"})
CASES.changes("a script that appears", "sh run", given={"run": "test -r ./more && . ./more\necho $X\n"}, then={"more": "X=2\n"})
CASES.changes("BASH_ENV", ["bash", "-c", "echo $X"], env={"BASH_ENV": "more"}, given={"more": "X=1\n"}, then={"more": "X=2\n"})
CASES.changes("a pipeline", sh("sort in | uniq -c | sort -rn | head -n 2 >out"), given={"in": "a\nb\na\n"}, then={"in": "a\nb\nb\n"})
CASES.changes("a here-document", sh("cat - in <<END\ntext\nEND"), given={"in": "1"}, then={"in": "2"})
CASES.changes("cp of a tree", "cp -r in out", given={"in/a": "1", "in/b/c": "2"}, then={"in/b/d": "3"})
CASES.changes("tar", "tar cf out.tar in", given={"in/a": at(1000, "1")}, first="touch -d @10 in", then={"in/a": at(2000, "1")})
CASES.changes("tar of a mode", "tar cf out.tar in", given={"in/a": at(1000, "1")}, first="chmod 644 in/a; touch -d @10 in", then_first="chmod 600 in/a; touch -d @10 in")
CASES.changes("tar of an owner", "tar cf out.tar in", given={"in/a": at(1000, "1")}, first="chown 0 in/a; touch -d @10 in", then_first="chown 1 in/a; touch -d @10 in", needs=("root",), back=False)
CASES.changes("tar of what became a hard link", "tar cf out.tar in", given={"in/a": at(1000, "1"), "in/b": at(1000, "1")}, first="touch -d @10 in", then_first="ln -f in/a in/b; touch -d @10 in", back=False)
CASES.changes("tar takes out", "tar xf in.tar", given={"t/a": at(1000, "1")}, first="touch -d @10 t; tar cf in.tar --transform s/t/u/ t", then_first="touch -d @10 t; chmod 600 t/a; tar cf in.tar --transform s/t/u/ t")
CASES.changes("gzip", sh("gzip -k in"), given={"in": at(1000, "1")}, then={"in": at(2000, "1")})
CASES.changes("install", "install -m 640 in out", given={"in": "1"}, then={"in": "2"})
CASES.changes("make", "make -s out", given={"Makefile": "out: in\n\tcp in out\n-include more.mk\n", "in": "1"}, then={"in": "2"}, needs=("make",))
CASES.changes("a makefile that appears", "make -s", given={"Makefile": "all:; echo $(X)\n-include more.mk\n"}, then={"more.mk": "X = 2\n"}, needs=("make",))
CASES.changes("a makefile of higher rank appears", "make -s", given={"Makefile": "all:; echo 1\n"}, then={"GNUmakefile": "all:; echo 2\n"}, needs=("make",))
CASES.changes("make: a file that is newer", "make -s out", given={"Makefile": "out: in\n\techo made\n", "in": at(1000, "1"), "out": at(2000, "")}, then={"in": at(3000)}, needs=("make",))
CASES.changes("MAKEFLAGS", "make", given={"Makefile": "all:; @echo $(X)\n"}, env={"MAKEFLAGS": "-- X=1"}, then_env={"MAKEFLAGS": "-- X=2"}, needs=("make",))
CASES.changes("cmake -P", "cmake -P a.cmake", given={"a.cmake": "include(b.cmake OPTIONAL)\nfile(GLOB f in/*)\nlist(LENGTH f n)\nmessage(${n}${X})\n", "in/a": ""}, then={"b.cmake": "set(X 7)\n"}, needs=("cmake",))
CASES.changes("cmake globs", "cmake -P a.cmake", given={"a.cmake": "file(GLOB f in/*)\nlist(LENGTH f n)\nmessage(${n})\n", "in/a": ""}, then={"in/b": ""}, needs=("cmake",))
CASES.changes("git describes", ["git", "-C", "repo", "rev-parse", "HEAD"], first="rm -rf repo; git init -q repo; cd repo; export GIT_AUTHOR_DATE='@1 +0000' GIT_COMMITTER_DATE='@1 +0000'; git -c user.name=a -c user.email=a commit -q --allow-empty -m one",
              then_first="cd repo; export GIT_AUTHOR_DATE='@1 +0000' GIT_COMMITTER_DATE='@1 +0000'; git -c user.name=a -c user.email=a commit -q --allow-empty -m two", needs=("git",), back=False)
