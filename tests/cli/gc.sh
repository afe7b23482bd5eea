export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME= TZ=UTC
unset TARN_TIERS TARN_CONFIG
here=$(pwd -P)
gc() { tarn gc "$@" 2>&1 | sed "s,$here,.,g"; }
status() { tarn gc "$@" >/dev/null 2>&1; echo "status $?"; }
contents() { (cd "$1" && find . -type f ! -path './tools/tarn-exec/[a-z]*' | sort); }

# one a day; the first was used 1 day ago
put() {
	for i in $(seq "$2" "$3"); do
		printf '%01000d' "$i" >v
		key=$(TARN_TIERS=$1 tarn write v) || exit 1
		touch -d "$i days ago" "$1/$(echo "$key" | cut -c1-2)/$(echo "$key" | cut -c3-)"
	done
}
put "$here/d/lake" 1 20
gc
contents d/lake >before
gc --max-age 252h --dry-run
gc --max-age '252 h' -n --json
contents d/lake | diff before -
gc --max-age 252h
contents d/lake | wc -l
gc --max-size '5 KB' --dry-run
gc --max-size 5000 --json
gc --max-size 5000
gc --max-size 100GiB --max-age 1w
gc --max-size 0
contents d/lake

# the configured size; only what gets values
put "$here/a" 1 10 && put "$here/b" 1 10 && put "$here/c" 1 10 && put "$here/e" 1 10
cat >tarn.json <<'END'
{ "locations": { "levels": [
  { "location": { "disk": "a", "max_size": 5000 }, "name": "near" },
  { "location": { "fanout": ["b", { "disk": "c", "max_size": "8 KB" }] }, "write": false },
  { "location": { "disk": "e", "max_size": 1 }, "name": "far", "write": false }
] } }
END
gc --dry-run
gc
gc --location near --max-age 36h
gc --location far --max-age 36h
gc --location none
status --location none
contents a | wc -l

# a write that is too much makes room
printf 'tmp' >a/.tmp/left; touch -d '2 hours ago' a/.tmp/left
TARN_TIERS='' tarn copy "$here/b" near | sed "s,$here,.,g"
contents a | wc -l
gc --dry-run --location near | sed 's/: .*keep/: would keep/'
ls a/.tmp

# others are at it
flock a/tools/tarn-exec/gc.lock tarn gc --location near 2>&1 | sed "s,$here,.,g"
status --max-age 30
gc --max-age 30
gc --max-age 1.5x
gc --max-size big
gc more
rm -rf d tarn.json
gc
ls
