export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME="$PWD/c"
unset TARN_TIERS TARN_CONFIG TARN_EVENTS
plain() { sed "s|$PWD|.|g; s/[0-9.]* ms/<time>/g; s/_us\":[0-9]*/_us\":0/g"; }
tarn locations | plain
tarn locations --test | plain
find d -type f | sort
echo "a tree:"
cat >tarn.json <<'X'
{ "locations": { "levels": [
  { "location": { "small": { "disk": "tiny" }, "max_size": "1 KiB" }, "name": "hot" },
  { "location": { "disk": "ssd", "max_size": "20 GiB" }, "touch": true },
  { "location": ["one", "two"], "name": "hdd" },
  { "location": "nfs", "write": false, "replicate": false, "name": "nfs" } ], "writes": "first" } }
X
tarn locations | plain
tarn locations --test | plain
tarn locations --test --json | plain
find tiny ssd one two nfs -type f 2>/dev/null | sort
echo "one that is a file, one that is full of wrong bytes, one where nobody may write:"
rm -r two && echo >two
echo "levels: nonsense" >one/config.yml
TARN_TIERS="$PWD/one,$PWD/two/lake,/proc/lake" tarn locations --test >all; echo "status $?"
plain <all
mkdir c c/tarn
cat >c/tarn/tarn.json <<'X'
{ "locations": { "redis": "redis://user:secret@cache:6379" } }
X
rm tarn.json
tarn locations; echo "status $?"
tarn locations x; echo "status $?"
echo "the lake in TARN_DIR has its size wherever it is named:"
TARN_TIERS="$TARN_DIR/lake,$PWD/one" tarn locations | plain
