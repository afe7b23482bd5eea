export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME= TZ=UTC
unset TARN_TIERS TARN_CONFIG TARN_EVENTS
plain() { sed "s|$PWD|.|g; s/[0-9a-f]\{64\}/<key>/g; s/took .*/took      <time>/; s/\"wall_us\":[0-9]*/\"wall_us\":0/; s/20..-..-..T[^ ]*Z/<time>/"; }
mkdir .git
PATH=$(dirname "$(command -v tarn)"):/usr/bin:/bin
# the first run finds no input, so that there are two path sets
run() { rm -f link; tarn-exec --label demo sh -c 'cat in; echo oops >&2; echo it >"a b"; ln -s there link; head -c 70000 /dev/zero >big' >all 2>&1; }
run
echo word >in
run
field() { tail -1 d/events.jsonl | sed "s/.*\"$1\":\"\([0-9a-f]*\)\".*/\1/"; }
record=$(field key) action=$(field action)
tarn show "$record" | plain
tarn show "$action" | plain | grep -E '^(action|in |record)|  (content|absent) +in$'
tarn show --json "$record" | plain
tarn show --json "$action" | plain | grep -o '{"type".*"path_sets":\|{"facets":\["[a-z]*"\],"place":"root","path":"in"}' 
echo "who owns a file, and how many names it has:"
tarn-exec stat -c '%U %h' in >all 2>&1
tarn show "$(field action)" | plain | grep ' in$'
echo "a blob:"
blob=$(tarn show "$record" | awk '$NF == "big" { print $(NF - 1) }')
tarn show "$blob" | plain
tarn show --json "$blob" | plain
echo one >f
tarn show "$(tarn write f --label first)" | plain
tarn show --json "$(tarn write f --label "the second")" | plain
tarn rm "$(tarn write f)" >all
echo "in two places:"
export TARN_TIERS="$PWD/d/lake,$PWD/two"
tarn read "$record" 2>/dev/null
mkdir -p two/tools/tarn-exec/index && cp -r d/lake/tools/tarn-exec/index/* two/tools/tarn-exec/index/
tarn show "$record" | plain | grep ^in
echo "gone, known by its event:"
unset TARN_TIERS
tarn rm "$record" >all
tarn show "$record" 2>&1 | plain
tarn show "$record" 2>all; echo "status $?"
tarn show "$action" | plain | grep ^record
echo "damaged:"
chmod u+w d/lake/*/* && for f in d/lake/??/* d/lake/tools/tarn-exec/index/*/*; do chmod u+w "$f"; echo x >>"$f"; done
tarn show "$blob" 2>&1 | plain
tarn show "$action" 2>&1 | plain
tarn show "$action" 2>all; echo "status $?"
tarn show "$(echo "$blob" | tr 0123 3210)" 2>&1 | plain
tarn show xyz; echo "status $?"
