"""Code generators and text tools, of which tarn-exec knows nothing but what it sees."""
from support import need

GRAMMAR = """%{{
int yylex(void);
void yyerror(const char *s);
%}}
%token NUMBER
%%
sum: NUMBER | sum '+' NUMBER {{ $$ = $1 + {}; }};
%%
"""
LEXER = "%option noyywrap\n%%\n[0-9]+ return {};\n.\treturn yytext[0];\n%%\n"
PROTO = 'syntax = "proto3";\nimport "base.proto";\nmessage M {{ int32 field{} = 1; B b = 2; }}\n'


def changes(p, words, name, form, *values, **more):
    """Another text is a miss, and the first one again a hit."""
    p.write(name, form.format(values[0]))
    p.step("miss", words, **more)
    p.step("hit", words, **more)
    p.write(name, form.format(values[1]))
    p.step("miss", words, **more)
    p.step("hit", words, **more)
    p.write(name, form.format(values[0]))
    p.step("hit", words, **more)


def test_bison(p):
    need("bison")
    changes(p, "bison -d -o out.c g.y", "g.y", GRAMMAR, "$3", "2")
    changes(p, "bison --report=all --graph -d x.y", "x.y", GRAMMAR, "$3", "2")


def test_flex(p):
    need("flex")
    changes(p, "flex -o out.c l.l", "l.l", LEXER, 1, 2)


def test_protoc(p):
    need("protoc")
    p.write("base.proto", 'syntax = "proto3";\nmessage B { int32 x = 1; }\n')
    changes(p, "protoc --python_out=. --descriptor_set_out=d.bin m.proto", "m.proto", PROTO, "a", "b")
    p.write("base.proto", 'syntax = "proto3";\nmessage B { int32 y = 1; }\n')
    p.step("miss", "protoc --include_imports --descriptor_set_out=d.bin m.proto")
    p.write("base.proto", 'syntax = "proto3";\nmessage B { int32 z = 1; }\n')
    p.step("miss", "protoc --include_imports --descriptor_set_out=d.bin m.proto", "base.proto")


def test_python(p):
    program = "import json, helper\nopen('out.json', 'w').write(json.dumps(helper.table({})))\n"
    p.write("helper.py", "def table(n):\n    return list(range(n))\n")
    run = {"env": {"PYTHONDONTWRITEBYTECODE": "1"}}
    changes(p, "/usr/bin/python3 gen.py", "gen.py", program, 3, 4, **run)
    p.write("helper.py", "def table(n):\n    return list(range(n + 1))\n")
    p.step("miss", "/usr/bin/python3 gen.py", **run)
    p.step("hit", "/usr/bin/python3 gen.py", **run)
    p.write("json.py", "def dumps(x):\n    return 'mine'\n")  # in front of the library's
    p.step("miss", "/usr/bin/python3 gen.py", **run)


def test_perl(p):
    need("perl")
    p.write("Mine.pm", "package Mine;\nsub x { return 5; }\n1;\n")
    form = "use lib '.';\nuse Mine;\nopen(my $f, '>', 'out');\nprint $f Mine::x() + {};\n"
    changes(p, "perl gen.pl", "gen.pl", form, 1, 2)
    p.write("Mine.pm", "package Mine;\nsub x { return 6; }\n1;\n")
    p.step("miss", "perl gen.pl")


def test_awk(p):
    for awk in ("mawk", "gawk"):
        need(awk)
        p.write("data", "1 2\n3 4\n")
        changes(p, f"{awk} -f sum.awk data", "sum.awk", "{{ s += ${} }} END {{ print s >\"out\" }}\n", 1, 2)
        p.write("data", "5 6\n")
        p.step("miss", f"{awk} -f sum.awk data")


def test_sed(p):
    p.write("in.txt", "a\n")
    changes(p, "sh -c 'sed -f edit.sed in.txt >out'", "edit.sed", "s/a/{}/\n", "b", "c")
    p.write("in.txt", "abc\n")
    p.write("keep.txt", "abc\n")
    p.step("miss", "sed -i s/a/x/ in.txt", keep=True)
    p.write("in.txt", "abc\n")
    p.step("hit", "sed -i s/a/x/ in.txt", keep=True)
    p.write("in.txt", "aaa\n")
    p.step("miss", "sed -i s/a/x/ in.txt", "in.txt", keep=True)


def test_m4(p):
    need("m4")
    p.write("inc/defs.m4", "define(`ONE', `1')")
    changes(p, "sh -c 'm4 -Iinc in.m4 >out'", "in.m4", "include(`defs.m4')ONE {}\n", "x", "y")
    p.write("inc/defs.m4", "define(`ONE', `2')")
    p.step("miss", "sh -c 'm4 -Iinc in.m4 >out'")
    p.step("hit", "sh -c 'm4 -Iinc in.m4 >out'")


def test_pipeline(p):
    pipe = "sh -c 'sort names | uniq -c | sed s/x/y/ | tr a-z A-Z | tee copy | head -n 3 >out'"
    changes(p, pipe, "names", "b\nx{}\na\nb\n", "1", "2")


def test_header_from_a_binary(p):
    changes(p, "sh -c 'od -An -tx1 blob | sed \"s/ /, 0x/g\" >blob.h'", "blob", "{}\n", "abc", "abd")


def test_configure_like_script(p):
    """Asks a compiler about the machine, as configure does, and writes what it finds."""
    p.write("configure", """#!/bin/sh
cat >conftest.c <<END
#include <stdio.h>
int main(void) { return sizeof(long) != 8; }
END
if gcc conftest.c -o conftest && ./conftest; then long=8; else long=4; fi
rm -f conftest conftest.c
echo "#define LONG $long" >config.h
""", 0o755)
    p.step("miss", "./configure")
    p.step("hit", "./configure")
