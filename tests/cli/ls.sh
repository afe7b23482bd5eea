export TARN_DIR="$PWD/d" HOME="$PWD/h" XDG_CONFIG_HOME= TZ=UTC
unset TARN_TIERS TARN_CONFIG TARN_EVENTS
ls() { tarn ls "$@" | sed "s|$PWD|.|; s/....-..-..[ T]..:..:..Z*/<time>/" | LC_ALL=C sort; }
echo "nothing yet:"; ls
echo hello >f
key=$(tarn write f)
head -c 3000000 /dev/zero >zeros
tarn write zeros >all
touch -d 2026-01-02T03:04:05Z "d/lake/58/$(echo "$key" | cut -c3-)"
tarn ls 58 | sed "s|$PWD|.|"
ls
ls --json
ls 5891
tarn ls 59; echo "status $?"
tarn ls 5G; echo "status $?"
tarn ls 1 2; echo "status $?"
echo "labels:"
tarn write f --label one >all; tarn write f --label "two words" >all
ls 58; ls --json 58
ls --label one; ls --label other; tarn ls --label other; echo "status $?"
echo "levels:"
export TARN_TIERS="$PWD/one,$PWD/two"
tarn write f >all
ls
ls --location "$PWD/two"
tarn ls --location three 2>&1 | sed "s|$PWD|.|g"
echo '{"locations": {"levels": [{"location": "one", "name": "near"}, {"location": ["two", "three"], "name": "far"}]}}' >tarn.json
unset TARN_TIERS
ls --location far
tarn ls --location nowhere 2>&1 | sed "s|$PWD|.|g"; tarn ls --location nowhere 2>all; echo "status $?"
tarn ls --label x
tarn ls --progress --json 2>&1 >all | sed "s|$PWD|.|"
# a closed pipe ends it
tarn ls | true
