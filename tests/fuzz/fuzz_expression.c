/* A location in one word and the levels of TARN_TIERS, opened if they can be. */
#include <string.h>

#include "base/mem.h"
#include "locations/location.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
see(Tarn__Location *config)
{
	struct error err = { 0 };

	if (!config)
		return;
	location_close(location_open(config, &err));
	tarn__location__free_unpacked(config, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xasprintf("%.*s", (int)size, (const char *)data);
	struct error err = { 0 };

	see(location_from_word(text, "/nowhere", &err));
	see(location_from_tiers(text, "/nowhere", &err));
	return 0;
}
