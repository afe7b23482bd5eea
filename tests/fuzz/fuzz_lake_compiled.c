/*
 * The compiled form of a config.yml: the bytes as they are, then with a head and a
 * check that fit, as somebody who means harm would leave it. What is believed cuts a
 * key into all of its digits.
 */
#include <stdlib.h>
#include <string.h>

#include "locations/lake_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode(const void *data, size_t size)
{
	static const struct digest digest = { { 0xab, 0xcd } };
	struct lake_config config;
	struct lake_stamp stamp = { 0 };
	char *path;

	if (size >= 40)
		memcpy(&stamp, (const char *)data + 8, sizeof(stamp));
	if (!lake_config_decode(&config, &stamp, data, size))
		return;
	path = layout_path(&config.layout, "", &digest);
	if (strlen(path) != DIGEST_HEX + (size_t)config.layout.count)
		abort();
	free(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char file[LAKE_COMPILED_SIZE] = { 0 };
	struct lake_config config = { .layout = { 0 } };
	struct lake_stamp stamp = { 0 };
	struct digest check;
	size_t checked = LAKE_COMPILED_SIZE - 24;

	decode(data, size);
	lake_config_encode(&config, &stamp, file); /* for its head */
	memcpy(file + 8, data, size < checked - 8 ? size : checked - 8);
	digest_bytes(&check, file, checked);
	memcpy(file + checked, check.bytes, 24);
	decode(file, sizeof(file));
	return 0;
}
