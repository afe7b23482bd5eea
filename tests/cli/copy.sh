export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME=
unset TARN_TIERS TARN_CONFIG TARN_EVENTS
plain() { sed "s|$PWD|.|g; s/[0-9a-f]\{64\}/<key>/g; s/, \([0-9.]* [KM]iB\|[0-9]\{3,\} B\)/, <size>/; s/\"bytes\":[0-9]*/\"bytes\":0/"; }
copy() { tarn copy "$@" >all 2>&1; status=$?; plain <all | LC_ALL=C sort; echo "status $status"; }
list() { (cd "$1" && find . -type f ! -path './.tmp/*' ! -name size ! -name gc.lock | LC_ALL=C sort | xargs sha256sum); }
mkdir .git
PATH=$(dirname "$(command -v tarn)"):/usr/bin:/bin
for n in 1 2 3; do
	echo "$n" >in
	tarn-exec sh -c 'cat in; seq 20000 >big; cat in >>big; true'
done
cd /
copy "$OLDPWD/d/lake" "$OLDPWD/two" --dry-run | sed "s|$OLDPWD|.|g"
cd "$OLDPWD"
ls two
copy d/lake two
list d/lake >a; list two >b; cmp a b && echo same
copy d/lake two
copy --json d/lake two
echo "what was lost is brought again, and no more:"
rm -f two/??/* two/tools/tarn-exec/index/0*/* two/tools/tarn-exec/index/a*/*
tarn copy d/lake two >all; list two >b; cmp a b && echo same
echo "path sets are joined:"
rm -f in
TARN_TIERS="$PWD/three" tarn-exec sh -c 'cat in; seq 20000 >big; cat in >>big; true' 2>&1 | plain
copy three two
copy three two
TARN_TIERS="$PWD/two" tarn-exec --explain sh -c 'cat in; seq 20000 >big; cat in >>big; true' 2>&1 | plain
echo 2 >in
TARN_TIERS="$PWD/two" tarn-exec --explain sh -c 'cat in; seq 20000 >big; cat in >>big; true' 2>&1 | plain
echo "labels go along, also to what was there:"
echo labelled >f
key=$(tarn write f --label one)
copy d/lake two
tarn write f --label two >all
copy d/lake two
TARN_TIERS="$PWD/two" tarn show "$key" | plain
tarn rm "$key" >all
echo "damage stays behind:"
set -- d/lake/??/*
chmod u+w "$1" && printf x | dd of="$1" bs=1 seek=99 conv=notrunc 2>all
rm "$2"
copy d/lake four
tarn ls --json | wc -l
TARN_TIERS="$PWD/four" tarn ls | wc -l
echo "by name, and where nothing may be written:"
echo '{"locations": {"levels": [{"location": "d/lake", "name": "near"}, {"location": {"small": "five", "max_size": 100}, "name": "tiny"}]}}' >tarn.json
copy two tiny
copy near /proc/lake
copy nothere near
copy near 'gopher://x'
copy near; copy a b c
tarn copy --progress two near 2>&1 | plain
