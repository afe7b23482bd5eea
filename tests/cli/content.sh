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
