/* Lines of an event file, added up; what `tarn stats --json` prints is JSON. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "cli/totals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct totals totals = { 0 };
	const char *at = (const char *)data, *end = at + size;
	auto_buf text = BUF_INIT;
	auto_buf json = BUF_INIT;
	uint64_t lines = 0;
	cJSON *back;

	for (; at < end; lines++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((stop ? stop : end) - at);

		totals_add_line(&totals, at, len);
		at += len + 1;
	}
	if (totals.actions + totals.unreadable != lines)
		abort();
	totals_sort(&totals);
	totals_text(&totals, &text);
	totals_json(&totals, &json);
	back = cJSON_ParseWithLength(json.data, json.len);
	if (!back)
		abort();
	cJSON_Delete(back);
	totals_release(&totals);
	return 0;
}
