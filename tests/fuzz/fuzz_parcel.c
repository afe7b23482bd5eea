/*
 * The start of a file in tarnd's spool. What is decoded is within the file. A file
 * with any digest of its head is tried, too, since nobody finds one by chance: the
 * bytes are taken as they are and with the right one put in.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/parcel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_file(const void *data, size_t size)
{
	struct parcel parcel;
	struct error err;

	if (parcel_decode(&parcel, data, size, size, &err) < 0)
		return;
	if (parcel.start + parcel.size != size || !parcel.upload->location ||
	    parcel.upload->key->digest.len != DIGEST_SIZE)
		abort();
	parcel_release(&parcel);
}

static void
put_digest(unsigned char *file, size_t size)
{
	uint64_t message = 0;
	struct hasher hasher;
	struct digest sum;

	for (size_t i = 8; i-- > 0;)
		message = message << 8 | file[8 + i];
	if (message > size - PARCEL_HEAD)
		return;
	hasher_init(&hasher);
	hasher_add(&hasher, file, 56);
	hasher_add(&hasher, file + PARCEL_HEAD, message);
	hasher_finish(&hasher, &sum);
	memcpy(file + 56, sum.bytes, DIGEST_SIZE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free unsigned char *copy = xmalloc(size + 1);

	try_file(data, size);
	if (size < PARCEL_HEAD)
		return 0;
	memcpy(copy, data, size);
	put_digest(copy, size);
	try_file(copy, size);
	return 0;
}
