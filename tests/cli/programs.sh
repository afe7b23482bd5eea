# A source that becomes a program at once is a compile, also in another folder.
export TARN_DIR="$PWD/.tarn" TARN_EVENTS="$PWD/events"
unset SOURCE_DATE_EPOCH
source='int main(void) { return 0; }'
make_program() {
	mkdir -p "$1" && echo "$source" >"$1/a.c"
	(cd "$1" && TARN_ROOT=$PWD && export TARN_ROOT && shift && tarn-exec "$@") || echo failed
}
make_program one --map-root gcc -g a.c -o a
make_program the-other --map-root gcc -g a.c -o a && cmp one/a the-other/a
make_program bare sh -c 'gcc -g -ffile-prefix-map="$PWD"=. a.c -o a' && cmp one/a bare/a && echo same
make_program one gcc -g a.c -Wl,-Map=map -o a
make_program the-other gcc -g a.c -Wl,-Map=map -o a
# Each of many has its own list of path sets, as configure scripts need it.
for header in assert complex ctype errno fenv float inttypes iso646 limits locale \
	math setjmp signal stdarg stdbool stddef stdint stdio stdlib string; do
	source="#include <$header.h>
int main(void) { return 0; }"
	make_program one gcc a.c -o a
done
source='#include <assert.h>
int main(void) { return 0; }'
make_program one gcc a.c -o a
sed -E 's/.*"outcome":"([a-z]*)","kind":"([a-z]*)".*/\1 \2/' events | uniq -c
# The build's own cc is not what it looks for, where PATH has its folder, too.
build=$(dirname "$(dirname "$(command -v tarn)")")
PATH="$build:$PATH" timeout 60 cc --version >/dev/null && echo found
