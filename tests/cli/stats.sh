export TARN_DIR="$PWD/d"
tarn stats
mkdir d
cat >d/events.1.jsonl <<'EOF'
{"time":"2026-01-02T03:04:05.000Z","outcome":"miss","kind":"compile","command":["gcc","-c","a.c"],"cwd":"/p","status":0,"wall_us":900000,"key":null,"reason":"never seen","tier":null,"bytes":2048,"build":null,"locations":[{"name":"ssd","reads":2,"hits":0,"writes":3,"errors":0,"us":5000}]}
torn line {
EOF
cat >d/events.jsonl <<'EOF'
{"time":"2026-01-02T03:05:05.000Z","outcome":"hit","kind":"compile","command":["gcc","-c","a.c"],"cwd":"/p","status":0,"wall_us":1000,"key":null,"reason":null,"tier":"ssd","bytes":2048,"build":null,"saved_us":3725000000,"locations":[{"name":"ssd","reads":2,"hits":2,"writes":0,"errors":0,"us":1000},{"name":"far","reads":0,"hits":0,"writes":0,"errors":1,"us":10}]}
{"time":"2026-01-02T03:05:06.000Z","outcome":"uncacheable","kind":"command","reason":"network","bytes":0}
EOF
printf '{"outcome":"hit","ki' >>d/events.jsonl
tarn stats
tarn stats --json
tarn stats --reset && ls d
tarn stats --json
tarn stats --jsn
echo "status $?"
tarn stats now
echo "status $?"
