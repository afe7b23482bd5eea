export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME=
unset TARN_TIERS TARN_CONFIG TARN_EVENTS
rm() { tarn rm "$@" 2>&1 | sed "s|$PWD|.|"; }
echo '{"locations": {"levels": [{"location": "one", "name": "near"}, {"location": ["two"], "name": "far"},
  {"location": "seen", "write": false, "replicate": false, "name": "only read"}]}}' >tarn.json
echo hello >f
key=$(tarn write f)
mkdir -p seen/58 && cp "one/58/$(echo "$key" | cut -c3-)" seen/58/
rm --dry-run "$key"
tarn rm --dry-run "$key" >all; echo "status $?"
tarn read "$key"
rm "$key"
rm "$key"
tarn rm "$key" >all 2>&1; echo "status $?"
tarn read "$key"
rm -n --json "$(tarn write f)"
rm --json "$key"
echo "path sets and record of an action:"
unset TARN_TIERS; command rm tarn.json
tarn-exec true
tarn rm $(tarn ls --json | sed 's/.*"key":"//; s/".*//') | sed "s|$PWD|.|; s/[0-9a-f]\{64\}/<key>/"
tarn ls
other=$(echo "$key" | tr 5 6)
rm "$key" "$other"
rm abc; rm "$key" abc
tarn rm abc 2>/dev/null; echo "status $?"
rm
