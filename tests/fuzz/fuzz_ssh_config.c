/* ~/.ssh/config, without the files that it includes; its errors say where. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remote/ssh_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ssh_host host;
	struct error err = { 0 };
	int rc;

	ssh_host_init(&host, "build.example", "/home/me", "me");
	rc = ssh_config_parse(
	    &host, "config", NULL, (const char *)data, size, &err);
	if (rc == 0)
		rc = ssh_host_finish(&host, &err);
	require((rc == 0) == (err.kind == ERROR_NONE));
	require(rc == 0 || err.kind == ERROR_USAGE);
	require(host.keys.count <= 100 && host.port <= UINT16_MAX);
	ssh_host_release(&host);
	return 0;
}
