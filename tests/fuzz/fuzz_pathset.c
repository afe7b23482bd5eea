/* An encoded path set, gone through and looked at in an empty world. */
#include "base/buf.h"
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
add_variable(const char *entry, struct buf *to)
{
	buf_addf(to, "%s", entry);
}

static void
add_value(const char *name, const char *value, struct buf *to)
{
	buf_addf(to, "%s=%s", name, value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const none[] = { NULL, NULL };
	static const char *const outputs[] = { "/nowhere/at/all/out", NULL };
	static char variable[] = "A=b";
	static char *const environment[] = { variable, NULL };
	const struct world world = {
		.root = "/nowhere/at/all",
		.cwd = "/nowhere/at/all",
		.outputs = size % 2 ? outputs : none,
		.environment = environment,
		.add_variable = add_variable,
		.add_value = add_value,
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
