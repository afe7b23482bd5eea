/* A file of labels; what was understood is the same when it was written anew. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "locations/labels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_labels labels = LABELS_INIT;
	auto_labels again = LABELS_INIT;
	auto_buf json = BUF_INIT;
	struct error err = { 0 };

	if (labels_parse(&labels, (const char *)data, size, &err) < 0) {
		require(err.kind == ERROR_CORRUPT);
		return 0;
	}
	labels_sort(&labels);
	labels_format(&labels, &json);
	for (size_t i = 0; i < json.len; i++)
		require(json.data[i] >= ' ' && json.data[i] < 0x7f);
	require(labels_parse(&again, json.data, json.len, &err) == 0);
	labels_sort(&again);
	require(labels_equal(&labels, &again));
	return 0;
}
