export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME=
unset TARN_TIERS TARN_CONFIG
echo hello >f
key=$(tarn write f)
echo "$key"
tarn write f
tarn read "$key"
tarn read -o out "$key" && cmp f out
: >empty
tarn read "$(tarn write empty)" | wc -c
tarn read 00aa; echo "status $?"
tarn read "$(echo "$key" | tr 5 6)"; echo "status $?"
tarn write none; echo "status $?"
tarn write .; echo "status $?"
tarn write f --label x; echo "status $?"
tarn write f --label 'a "b"' --label=é --label x; echo "status $?"
cat "d/lake/tools/labels/58/$(echo "$key" | cut -c3-).json"; echo
tarn write f --label ''; echo "status $?"
tarn write f --label; echo "status $?"
# a lake that says how it is cut, whose sizes are its own
echo '{ "locations": { "disk": "lake", "levels": [2, -1], "permissions": "2750", "free_disk_size": 1 } }' >two.json
tarn write --config two.json f && tarn read --config two.json "$key"
cat lake/config.yml; stat -c '%a %n' lake lake/5891 lake/5891/*
tarn config --config two.json | grep -v '^//' | tr -d '\n\t' | sed "s|$PWD|.|g"; echo
sed 's/-1/30/' two.json >same.json && tarn read --config same.json "$key"
sed 's/2, -1/1, -1/' two.json >other.json
tarn read --config other.json "$key" 2>&1 | sed "s|$PWD|.|g"
sed 's/"levels".*/"free_disk_size": "1000 PB" } }/' two.json >full.json
echo more >g
tarn write --config full.json g 2>&1 | sed "s|$PWD|.|g;s/[0-9][0-9]* bytes free/N bytes free/"
tarn read; echo "status $?"
# damage is found, nothing comes out, and it is gone
lake() { sed "s#'.*/\(d/lake\|one\|two\)'#'\1'#"; }
blob=d/lake/58/$(echo "$key" | cut -c3-)
chmod u+w "$blob" && echo Hello >"$blob"
tarn read "$key" -o new 2>&1 | lake; ls new* 2>/dev/null
tarn read "$key"; echo "status $?"
# of two levels the other one is asked, and the first gets its copy back
export TARN_TIERS="$PWD/one,$PWD/two"
tarn write f
blob=one/58/$(echo "$key" | cut -c3-)
chmod u+w "$blob" && echo Hello >"$blob"
tarn read "$key" 2>&1 | lake
cmp f "$blob"
# where it may not be removed, too
chmod u+w "$blob" && echo Hello >"$blob"
export TARN_TIERS=
cat >tarn.json <<END
{"locations": {"levels": [{"location": "one", "write": false, "replicate": false}, "two"]}}
END
tarn read "$key" --config tarn.json 2>&1 | lake
cat "$blob"
