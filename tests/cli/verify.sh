export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME=
unset TARN_TIERS TARN_CONFIG TARN_EVENTS
umask 022
plain() { sed "s|$PWD|.|g; s/[0-9a-f]\{64\}/<key>/g; s/, \([0-9.]* [KM]iB\|[0-9]\{3,\} B\)/, <size>/; s/ entries, [1-9][0-9]*:/ entries, <size>:/; s/\"bytes\":[0-9]*/\"bytes\":0/; s|/[0-9a-f]\{2\}/[0-9a-f]\{62\}|/<key>|g; s|lake/[0-9a-f]\{2\}:|lake/<2>:|; s|/[0-9a-f]\{2\}/[0-9a-f]\{2\}/[0-9a-f]\{60\}|/<2>/<2>/<60>|; s|/[0-9a-f]\{2\}/mine|/<2>/mine|; s/observe-[0-9a-f]*/observe-<sum>/"; }
verify() { tarn verify "$@" >all 2>&1; status=$?; plain <all | LC_ALL=C sort; echo "status $status"; }
mkdir .git
PATH=$(dirname "$(command -v tarn)"):/usr/bin:/bin
index=d/lake/tools/tarn-exec/index
flip() { chmod u+w "$1" && printf '\125' | dd of="$1" bs=1 seek=50 conv=notrunc 2>out; chmod 444 "$1"; }
verify
for n in 1 2 3; do
	echo "$n" >in
	tarn-exec sh -c 'seq 20000 >big; cat in >>big'
done
verify
verify --json
echo "a bit in a blob, one in a record, one in a list, and a blob gone:"
set -- d/lake/??/*
flip "$1"; rm -f "$2"
set -- $index/*/*
flip "$1"; flip "$2"; flip "$3"; flip "$4"
verify
verify --json | sed 's/,"key.*//'
verify --repair
verify
echo "fetched from the other level:"
export TARN_TIERS="$PWD/d/lake,$PWD/two"
for n in 1 2 3; do
	echo "$n" >in
	tarn-exec sh -c 'seq 20000 >big; cat in >>big'
done
verify
for f in d/lake/??/* $index/*/*; do flip "$f"; done
verify --location "$PWD/d/lake" | uniq -c
verify --location "$PWD/two"
verify --repair | uniq -c
verify
echo "how it is kept:"
unset TARN_TIERS
set -- d/lake/??/*
chmod 600 "$1"; chmod 700 "$(dirname "$2")"
touch d/lake/note.txt "$(dirname "$1")/mine"
touch -d '2 hours ago' d/lake/.tmp/aaaa; touch d/lake/.tmp/bbbb
three=$(basename "$3") && folder=$(dirname "$3")/$(echo "$three" | cut -c1-2)
mkdir "$folder" && mv "$3" "$folder/$(echo "$three" | cut -c3-)"
touch $index/junk
verify
verify --repair
verify; rm d/lake/??/mine
verify
echo "labels:"
key=$(tarn write in --label x)
for text in '' '["x"' '{}'; do
	printf '%s' "$text" >"$(echo d/lake/tools/labels/*/*)"
	verify
done
verify --repair
tarn show "$key" | grep label; verify; tarn rm "$key" >all
echo "config.yml:"
for text in '' 'levels:
- 1
- -3' 'lewels:
- 1
- -1
' 'levels:
- 3
- -1
'; do
	printf '%s' "$text" >d/lake/config.yml
	verify; verify --repair; verify
done
rm d/lake/config.yml; verify; verify --repair; verify; ls d/lake | grep -v '^..$'
echo "an object in another lake's place:"
mkdir -p three; printf 'levels:\n- 2\n- 30\n' >three/config.yml
set -- d/lake/??/*
cp -r "$(dirname "$1")" three
TARN_TIERS="$PWD/three" verify
TARN_TIERS="$PWD/three" verify --repair
printf 'levels:\n- 2\n- -1\nmax_size: 20 GB\nfree_disk_size: 4096\nusage: StatUsage\n' >three/config.yml
TARN_TIERS="$PWD/three" verify
TARN_TIERS="$PWD/three" verify --repair; cat three/config.yml
echo "not ours, or not as we think:"
mkdir -p four/93 && printf 'hash:\n  digest_size: 32\n  name: blake2b\nlevels:\n- 1\n- 31\n' >four/config.yml
echo hello >four/93/becc6e9882211c3ec3708c95bcd69baab7bb59c7f4bc84ce637b88a534b783
TARN_TIERS="$PWD/four" verify --repair | uniq; ls four four/93; cat four/config.yml
printf 'levels:\n- 1\n- -1\nusage: StatUsage\n' >three/config.yml
echo '{"locations": {"disk": "three", "levels": [2, 30]}}' >other.json
verify --repair --config other.json | uniq; cat three/config.yml
echo "a blob that may be where nobody can look now:"
mkdir -p six; ln -s loop loop; echo 4 >in
export TARN_TIERS="$PWD/six,$PWD/loop"
tarn-exec sh -c 'seq 20000 >big; cat in >>big'
rm -f six/??/*
verify --repair; ls six/tools/tarn-exec/index/*/* | wc -l
export TARN_TIERS="$PWD/six"; verify --repair
unset TARN_TIERS
echo "links out of a lake:"
mkdir -p five/tools/tarn-exec away/sub && printf 'levels:\n- 1\n- -1\n' >five/config.yml
echo dear >away/dear; chmod 600 away/dear; touch -d '2 days ago' away/dear
ln -s "$PWD/away" five/.tmp; ln -s "$PWD/away" five/tools/tarn-exec/index
ln -s "$PWD/away" five/ab; ln -s "$PWD/away/dear" five/tools/tarn-exec/config
ln -s "$PWD/away/dear" five/tools/tarn-exec/gc.lock
mkdir five/93; ln -s "$PWD/away/dear" five/93/becc6e9882211c3ec3708c95bcd69baab7bb59c7f4bc84ce637b88a534b783
TARN_TIERS="$PWD/five" verify --repair; stat -c '%a %n' away/*; cat away/dear
TARN_TIERS="$PWD/five" tarn gc --max-size 1 >all 2>&1; plain <all; cat away/dear
echo "an index of the Python library:"
mkdir -p index/ab && printf 'levels:\n- 1\n- -1\n' >index/config.yml
echo '{"value.json": "9ab2"}' >index/ab/$(printf '%062d' 1)
echo '{"value.json": "0396"}' >index/ab/$(printf '%062d' 2)
TARN_TIERS="$PWD/index" verify --repair; ls index/ab
echo "what only speeds things up:"
echo '{}' >tarn.json
tarn-exec gcc --version >out
printf 'x' | dd of="$(ls d/config/*.bin)" bs=1 seek=44 conv=notrunc 2>out
for f in d/lib/observe-*.so; do [ -e "$f" ] || continue; chmod u+w "$f"; echo >>"$f"; done
printf 'x' | dd of=d/digests bs=1 seek=3 conv=notrunc 2>out
verify; verify --repair; verify
echo "only read:"
echo '{"locations": {"levels": [{"location": "d/lake", "write": false, "replicate": false, "name": "ro"}]}}' >tarn.json
flip "$1"
verify --repair
verify --location none
verify x
