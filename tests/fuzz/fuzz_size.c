/* A size as people write it; what is read is not more than what fits. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xasprintf("%.*s", (int)size, (const char *)data);
	uint64_t bytes = 12345;
	struct error err = { 0 };
	int status = size_parse(text, &bytes, &err);

	if (status < 0 && (bytes != 12345 || !err.text[0]))
		abort();
	if (status == 0 && text[strspn(text, "0123456789")] == '\0' &&
	    bytes != strtoull(text, NULL, 10))
		abort();
	return 0;
}
