export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME=
here=$(pwd)
show() { "$@" 2>&1 | sed "s|$here|HERE|g"; }
mkdir -p h/.config/tarn p/sub
cat >h/.config/tarn/tarn.json <<'EOF'
{
	"locations": "redis://me:secret@cache:6379?ttl=60",
	"actions": [ { "match": "*.o" } ] // for all projects
}
EOF
echo '{ "actions": [ { "match": "gen/*.c", "unstable": ["t.py#x"] } ] }' >p/tarn.json
cd p/sub || exit
show tarn config
TARN_TIERS=/ssd show tarn config --json
tarn config --compile; echo "status $?"
echo '{ "locations": { "disk": "lake", "max_sise": 1 } }' >../tarn.json
show tarn config
tarn config >/dev/null 2>&1; echo "status $?"
TARN_CONFIG=none.json show tarn config
echo '{ "locations": ["a"] }' >own.json
show tarn config --config own.json
