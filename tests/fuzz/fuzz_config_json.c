/* tarn.json, once as the project's and once as the user's. */
#include "cli/config_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int project = 0; project < 2; project++) {
		struct error err = { 0 };
		struct config_json json;

		config_json_init(&json);
		config_json_parse(&json, "/p/tarn.json", project,
		    (const char *)data, size, &err);
		config_json_release(&json);
	}
	return 0;
}
