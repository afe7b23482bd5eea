/* An encoded path set, gone through and looked at in an empty world. */
#include "base/digest.h"
#include "locations/location.h"
#include "store/pathset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
read_path(void *arg, enum place place, uint32_t facets, const char *path)
{
	size_t *sum = arg;

	for (; *path; path++)
		*sum += (unsigned char)*path;
	return 0;
}

static void
no_variables(const char *entry, struct buf *to)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const outputs[] = { NULL, NULL };
	static char *const environment[] = { NULL };
	const struct world world = {
		.root = "/nowhere/at/all",
		.cwd = "/nowhere/at/all",
		.outputs = outputs,
		.environment = environment,
		.add_variable = no_variables,
	};
	struct path_set_data set = { .data = data, .size = size };
	struct look look = LOOK_INIT;
	struct error err = { 0 };
	size_t sum = 0;

	(void)path_set_each(data, size, read_path, &sum, &err);
	digest_bytes(&set.name, data, size);
	(void)path_set_look(&set, &set.name, &world, NULL, &look, &err);
	look_release(&look);
	return 0;
}
