#include <stdio.h>

#include "words.h"

int
main(void)
{
	for (const char *const *word = words; *word; word++)
		printf("%s%c", *word, word[1] ? ' ' : '\n');
	return 0;
}
