/* A record as it is stored; what is read of it can be written again. */
#include <string.h>

#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf again = BUF_INIT;
	struct record record;
	struct digest key = { { 0 } };
	struct error err = { 0 };

	/* Its key stands in front. */
	if (size < DIGEST_SIZE)
		return 0;
	memcpy(key.bytes, data, DIGEST_SIZE);
	data += DIGEST_SIZE;
	size -= DIGEST_SIZE;
	if (record_decode(&record, &key, data, size, &err) < 0)
		return 0;
	record_encode(&record, &again);
	record_release(&record);
	return 0;
}
