/* A source: each name that is found stands in it, once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "actions/includes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct includes found = { .item = NULL };

	includes_scan(&found, (const char *)data, size, false);
	for (size_t i = 0; i < found.count; i++) {
		if (strpbrk(found.item[i].name, "\n"))
			abort();
		for (size_t j = 0; j < i; j++) {
			if (found.item[i].quoted == found.item[j].quoted &&
			    strcmp(found.item[i].name, found.item[j].name) == 0)
				abort();
		}
	}
	includes_release(&found);
	return 0;
}
