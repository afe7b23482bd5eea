/* A depfile: what loses its root gets it back to the byte. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "actions/depfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
ignore(void *arg, const char *path)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	auto_buf plain = BUF_INIT;
	auto_buf again = BUF_INIT;
	auto_buf other = BUF_INIT;

	(void)depfile_each(text, size, ignore, NULL);
	if (!depfile_unroot(text, size, "/p", &plain))
		return 0;
	if (!depfile_rewrite(plain.data, plain.len, "/p", &again) ||
	    again.len != size || memcmp(again.data, text, size) != 0)
		abort();
	(void)depfile_rewrite(plain.data, plain.len, "/other/root", &other);
	return 0;
}
