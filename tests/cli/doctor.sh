# What differs from machine to machine is left out: file systems, observers.
mkdir h && export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME="$PWD/c"
for name in $(env | sed -n 's/^\(TARN_[A-Z_]*\)=.*/\1/p'); do
	[ "$name" = TARN_DIR ] || unset "$name"
done
unset CC CXX CMAKE_C_COMPILER_LAUNCHER CMAKE_CXX_COMPILER_LAUNCHER RUSTC_WRAPPER
mkdir bin && for tool in cat gcc cc sh sed grep env; do
	ln -s "$(command -v $tool)" bin/ 2>/dev/null
done
PATH="$(dirname "$(command -v tarn)"):$PWD/bin:/usr/bin:/bin"
plain() { grep -v '^ok *compilers\|"compilers","state":"ok"' | sed "s|$PWD|.|g; s/sound, in [0-9.]* m*s/sound, in <time>/; s/[0-9]* open files/<n> open files/"; }
only() { grep -A1 "$1" | plain | grep "$1\|mend: "; }
tarn doctor --help
tarn doctor x; echo "status $?"
echo "all is well:"
tarn doctor >all; echo "status $?"
grep -v '  \(folder\|observers\|compilers\):\|mend: ' all | plain
grep -c '  folder: ' all
for what in listener ptrace; do grep '  observers: ' all | grep -q $what || echo "nothing about $what"; done
grep observers: all | grep -q 'listener works\|no listener' || grep observers: all
ls -A d
echo "as JSON:"
TARN_TEIRS=/x tarn doctor --json >all; echo "status $?"
grep -v '"check":"\(folder\|observers\|compilers\)"' all | plain
echo "much is wrong:"
mkdir -p c/tarn d/daemon/damaged wrap
echo '{ "locations": ["/proc/lake", { "redis": "redis://u:hidden@127.0.0.1:1" }] }' >c/tarn/tarn.json
chmod 755 d/daemon
echo x >d/daemon/damaged/0000000000000001
echo x >d/.tarn-left && touch -d '2 days ago' d/.tarn-left
printf '#!/bin/sh\necho tarn-exec 0.0.9\n' >wrap/tarn-exec
printf '#!/bin/sh\necho tarnd\nexit 3\n' >wrap/tarnd
printf '#!/bin/sh\n' >wrap/ccache
chmod 755 wrap/* && chmod 644 c/tarn/tarn.json
ln -s ccache wrap/gcc
(PATH="$PWD/wrap:$PATH" TARN_TEIRS=/x TARN_OFFLINE=1 TARN_CHECK=often CC='ccache gcc' && export PATH TARN_TEIRS TARN_OFFLINE TARN_CHECK CC && ulimit -S -n 100 && tarn doctor >all; echo "status $?")
grep hidden all
for what in variables programs limits compilers leftovers credentials tarnd uploads; do only " $what:" <all; done
grep ' locations:' all | sed 's/fails: .*/fails/' | plain
echo "a configuration that is none:"
echo '{ "locations": 7 }' >tarn.json
tarn doctor | only ' configuration:'
echo "a folder that is none:"
TARN_DIR=/proc/none tarn doctor | only ' folder:'
