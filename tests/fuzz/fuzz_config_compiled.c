/*
 * The compiled configuration: the bytes as a whole file, then as what follows a
 * head that fits them, which is what a version of us with a mistake would leave.
 */
#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode(const void *data, size_t size)
{
	Tarn__Config *config = NULL;
	struct error err = { 0 };

	if (config_decode(data, size, &config, &err) < 0)
		return;
	config_current(config);
	tarn__config__free_unpacked(config, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf file = BUF_INIT;
	struct digest sum;

	decode(data, size);
	digest_bytes(&sum, data, size);
	buf_add(&file, "TRNC\1\0\0\0", 8);
	buf_add(&file, sum.bytes, sizeof(sum.bytes));
	buf_add(&file, data, size);
	decode(file.data, file.len);
	return 0;
}
