export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME=
unset TARN_TIERS TARN_CONFIG TARN_EVENTS
mkdir .git
fetch() { TARN_TIERS="$PWD/near,$PWD/far" tarn fetch "$@" >all 2>&1; status=$?; sed "s|$PWD|.|g; s/[0-9a-f]\{64\}/<key>/g; s/, \([0-9.]* [KM]iB\|[0-9]\{3,\} B\)/, <size>/; s/\"bytes\":[0-9]\{3,\}/\"bytes\":<size>/" all; echo "status $status"; }
files() { find near -type f ! -path '*/.tmp/*' ! -name config.yml ! -path '*/tools/tarn-exec/[a-z]*' | wc -l; find near -path '*/index/*' -type f | wc -l; }
echo hello >f
key=$(TARN_TIERS="$PWD/far" tarn write f)
fetch "$key"
fetch --json "$key"
files
echo "a record and what it names:"
TARN_TIERS="$PWD/far" TARN_EVENTS="$PWD/events" tarn-exec sh -c 'seq 20000 >big; seq 30000; seq 20001 >bigger'  >printed
record=$(sed 's/.*"key":"//; s/".*//' events)
action=$(sed 's/.*"action":"//; s/".*//' events)
fetch "$record"
fetch --json "$action" "$key"
files
rm -f big bigger; mv far gone
TARN_TIERS="$PWD/near,$PWD/far" tarn-exec --explain sh -c 'seq 20000 >big; seq 30000; seq 20001 >bigger' 2>&1 >printed2 | sed "s|$PWD|.|"
cmp printed printed2 && wc -l big bigger
mv gone far
echo "what is not there, or not whole:"
fetch "$(echo "$key" | tr 5 6)" "$key"
rm -rf near; blob=$(sha256sum <big | cut -c1-64)
rm -f "far/$(echo "$blob" | cut -c1-2)/$(echo "$blob" | cut -c3-)"
fetch "$record"
fetch abc
fetch
