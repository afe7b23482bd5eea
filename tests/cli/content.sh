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
# damage is found, and nothing comes out
blob=d/lake/58/$(echo "$key" | cut -c3-)
chmod u+w "$blob" && echo Hello >"$blob"
tarn read "$key"; echo "status $?"
tarn read "$key" -o new; echo "status $?"; ls new* 2>/dev/null
