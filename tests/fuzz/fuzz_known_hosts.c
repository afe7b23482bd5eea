/* known_hosts: what is found is of this host, and its type is the key's own. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remote/known_hosts.h"

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
	struct known_hosts known = { 0 };
	const struct known_key *which;

	known_hosts_parse(
	    &known, "[cache]:2222", "known", (const char *)data, size);
	for (size_t i = 0; i < known.count; i++) {
		const struct known_key *key = &known.keys[i];

		require(key->size > 4 + strlen(key->type));
		require(
		    memcmp(key->data + 4, key->type, strlen(key->type)) == 0);
		require(known_hosts_check(
		            &known, key->data, key->size, &which) >= KNOWN);
	}
	require((known_hosts_check(&known, "", 0, &which) == KNOWN_NOT) ==
	    (which == NULL));
	known_hosts_release(&known);
	return 0;
}
