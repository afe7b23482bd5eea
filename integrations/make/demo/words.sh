#!/bin/sh
# Make a table of the words in file $1.
echo '#include "words.h"'
echo 'const char *const words[] = {'
while read -r word; do
	printf '\t"%s",\n' "$word"
done <"$1"
echo '	0'
echo '};'
