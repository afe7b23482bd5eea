# What a compiler makes of the clock is not kept, wherever it is named.
export TARN_DIR="$PWD/.tarn"
unset SOURCE_DATE_EPOCH
twice() {
	for _ in 1 2; do tarn-exec --explain "$@"; done 2>&1 | sed "s|$PWD|.|g; s|, from .*||"
}
echo 'int main(void) { return __TIME__[7] > 53; }' >time.c
echo 'int main(void) { return NOW[7] > 53; }' >now.c
echo 'int main(void) { return __TIMESTAMP__[18] > 53; }' >stamp.c
twice gcc -O2 -c time.c -o time.o
twice gcc -O2 time.c -o time
twice sh -c 'gcc -O2 -c time.c -o time.o'
twice gcc -O2 -DNOW=__TIME__ -c now.c -o now.o
for _ in 1 2; do twice --stdin gcc -O2 -c -xc - -o in.o <time.c; done
gcc -c time.c -o time.o && twice gcc time.o -o time
# With a time given, only the time stamp of the file still counts.
export SOURCE_DATE_EPOCH=1
twice gcc -O2 -c time.c -o time.o
twice gcc -O2 -c stamp.c -o stamp.o
