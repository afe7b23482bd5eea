# What a command learned in unusual ways must count: no hit after it changed.
export TARN_DIR=$PWD/cache
umask 022
mkdir -p p/.git p/src && cd p || exit
twice() { # what changes in between, then the command
	name=$1 change=$2
	shift 2
	tarn-exec "$@" >../first 2>&1 </dev/null
	eval "$change"
	tarn-exec "$@" >../second 2>&1 </dev/null
	echo "$name: $(cat ../first) -> $(cat ../second)"
}
echo a >src/f
twice link 'echo b >src/f; rm l' sh -c 'ln -s src/f l; cat l'
rm l
twice 'linked folder' 'echo c >src/f; rm -r b' \
	sh -c 'mkdir b; ln -s ../src b/src; cat b/src/f'
: >out
twice size 'echo user >out' sh -c '[ -s out ] || echo gen >out'
cat out
echo x >mode
chmod 600 mode
twice mode 'rm mode' sh -c 'echo x >mode'
stat -c %a mode
touch -d 2001-01-01 in
touch -d 2000-01-01 made
printf 'made: in\n\t@echo making; touch made\n' >Makefile
twice time : make -s
echo a >g
twice 'through /proc' 'echo b >g' sh -c 'cat /proc/self/cwd/g'
chmod 644 g
twice fstat 'chmod 600 g' \
	perl -e 'open F, "g"; printf "%o", (stat F)[2] & 07777'
mkdir d
touch -d 2001-01-01 d
twice 'folder time' 'touch -d 2002-01-01 d' stat -c %Y d
for word in one two; do
	echo $word | tarn-exec bash -c 'exec 3<&0; read -u 3 x; echo $x'
done
for word in one two; do
	tarn-exec sh -c "echo $word >&5" 5>>log
	tarn-exec sh -c "echo $word >&5" 5>>log
done
cat log
mkdir h1 h2 h3
echo 'int old;' >h2/a.h
ln -s ../h3/a.h h1/a.h
for n in b c d e; do
	: >h2/$n.h
	echo "#include <$n.h>"
done >a.c
echo '#include <a.h>' >>a.c
tarn-exec gcc -Ih1 -Ih2 -c a.c
tarn-exec gcc -Ih1 -Ih2 -c a.c
tarn-exec gcc -Ih1 -Ih2 -c a.c
echo 'int new;' >h3/a.h
tarn-exec gcc -Ih1 -Ih2 -c a.c
nm a.o
