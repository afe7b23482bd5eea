# A link with a compiler's name in front of it on PATH.
export TARN_DIR="$PWD/.tarn" TARN_EVENTS="$PWD/events" LC_ALL=C
mkdir bin && ln -s "$(command -v tarn-exec)" bin/gcc && ln -s gcc bin/g++
PATH="$PWD/bin:$PATH"
echo 'int main(void) { return 0; }' >a.c
gcc -c a.c && gcc a.c -o a && ./a && g++ -x c++ -c a.c -o b.o && echo built
gcc -c a.c && gcc -c none.c
sed -E 's/.*"outcome":"([a-z]*)","kind":"([a-z]*)".*/\1 \2/' events
