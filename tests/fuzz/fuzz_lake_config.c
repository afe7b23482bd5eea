/* A lake's config.yml; what was understood survives writing and compiling it. */
#include <stdlib.h>

#include "locations/lake_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
check_written(const struct lake_config *config)
{
	struct lake_config again;
	struct error err = { 0 };
	auto_buf text = BUF_INIT;

	lake_config_format(config, &text);
	require(lake_config_parse(&again, text.data, text.len, &err) == 0);
	require(layout_equal(&config->layout, &again.layout));
	require(config->hash == again.hash && config->usage == again.usage &&
	    config->labels == again.labels &&
	    config->max_size == again.max_size &&
	    config->free_disk_size == again.free_disk_size);
}

static void
check_compiled(const struct lake_config *config)
{
	struct lake_stamp stamp = { 1, 2, 3, 4 };
	unsigned char compiled[LAKE_COMPILED_SIZE];
	struct lake_config again;

	lake_config_encode(config, &stamp, compiled);
	require(lake_config_decode(&again, &stamp, compiled, sizeof(compiled)));
	require(layout_equal(&config->layout, &again.layout));
	require(config->max_size == again.max_size &&
	    config->free_disk_size == again.free_disk_size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lake_config config;
	struct error err = { 0 };

	if (lake_config_parse(&config, (const char *)data, size, &err) == 0) {
		require(layout_whole(&config.layout));
		check_written(&config);
		check_compiled(&config);
	} else {
		/* Another hash is no damage. */
		require(
		    (err.kind == ERROR_CORRUPT || err.kind == ERROR_USAGE) &&
		    err.text[0]);
	}
	return 0;
}
