# Declaring sources: what tarn.json says before and after, and what it refuses.
export TARN_DIR="$PWD/d"
top=$PWD
mkdir -p p/.git p/tools p/sub
cd p || exit
echo x >tools/gen.py
printf 'tarn:begin one\n1\ntarn:end one\n' >sub/r.py
show() { echo "status $?"; sed "s|$top|TOP|g" tarn.json; }

tarn mark unstable tools/gen.py; show
tarn mark -m 'gen/*.c' unstable tools/gen.py 'tools/*.py'; show
tarn mark unstable tools/gen.py; show
(cd sub && tarn mark unstable r.py#one ../tools); show
tarn mark stable tools/gen.py 'tools/gen.py=cat tools/gen.py' package:gcc /bin/sh; show
chmod 600 tarn.json
cat >tarn.json <<'END'
{
  // where it is kept
  "locations": "/x",
  "actions": [
    /* generated */
    { "match": "*",      // all
      "unstable": [
        "tools/gen.py"   // the generator
      ] }
  ]
}
END
tarn mark unstable sub/r.py; show
stat -c %a tarn.json

echo '-- refused'
for words in 'unstable none' 'unstable sub/r.py#two' 'unstable package:gcc' 'odd x' 'unstable' 'unstable -x y'; do
	# shellcheck disable=SC2086
	tarn mark $words 2>&1; echo "status $?"
done
echo '{ "actions": 1 }' >tarn.json
tarn mark unstable sub 2>err; show; sed "s|$top|TOP|g" err
echo '{ "act\u0069ons": [] }' >tarn.json
tarn mark unstable sub 2>err; show; sed "s|$top|TOP|g" err
mkdir elsewhere; mv tarn.json elsewhere/it.json; echo '{}' >elsewhere/it.json; ln -s elsewhere/it.json tarn.json
tarn mark unstable sub; show
readlink tarn.json
