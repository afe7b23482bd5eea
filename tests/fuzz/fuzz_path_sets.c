/* The list of path sets under an action key. */
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct path_sets sets = { .count = 0 };
	struct error err = { 0 };
	auto_buf again = BUF_INIT;

	if (path_sets_decode(&sets, data, size, &err) == 0)
		path_sets_encode(&sets, &again);
	path_sets_release(&sets);
	return 0;
}
