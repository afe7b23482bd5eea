/*
 * The digest table: any bytes around the place of a few entries, and any head. What
 * is found is what was put, or a slot of the input whose check holds.
 *
 * The first byte says what the rest is: 0 to 3, slots around that key's place;
 * anything else, the head of the file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEYS 4

struct slot {
	struct table_key key;
	struct digest digest;
	uint32_t flags, put;
	uint64_t check;
};

static char dir[64];
static off_t place[KEYS]; /* of each key's slot in the file */

static struct table_key
key_of(uint64_t n)
{
	return table_file_key(&(struct stamp){ 1, n * 1000, n, 5, 6 });
}

static struct digest
value_of(uint64_t n)
{
	struct digest digest;

	digest_bytes(&digest, &n, sizeof(n));
	return digest;
}

static struct table *
must_open(void)
{
	struct error err;
	struct table *table = table_open(dir, &err);

	if (!table)
		abort();
	return table;
}

static int
open_file(void)
{
	auto_free char *path = xasprintf("%s/digests", dir);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

static void
remove_file(void)
{
	auto_free char *path = xasprintf("%s/digests", dir);

	(void)unlink(path);
}

static void
remove_dir(void)
{
	remove_file();
	(void)rmdir(dir);
}

/* The file is empty but for its head and this entry. */
static off_t
find_place(int fd, const struct table_key *key)
{
	off_t at = lseek(fd, 4096, SEEK_DATA);
	struct slot slot;

	for (off_t end = at + 16384; at >= 4096 && at < end; at += 8) {
		if (pread(fd, &slot, sizeof(slot), at) == sizeof(slot) &&
		    memcmp(&slot.key, key, sizeof(*key)) == 0)
			return at;
	}
	abort();
}

static void
find_places(void)
{
	strcpy(dir, "/tmp/tarn-fuzz-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	atexit(remove_dir);
	for (uint64_t n = 0; n < KEYS; n++) {
		struct table *table;
		struct table_key key = key_of(n);
		struct digest value = value_of(n);
		auto_close int fd = -1;

		remove_file();
		table = must_open();
		table_put(table, &key, &value, 0);
		fd = open_file();
		place[n] = find_place(fd, &key);
		table_close(table);
	}
}

static bool
is_forged(const uint8_t *data, size_t size, const struct table_key *key,
    const struct digest *digest)
{
	struct slot slot;

	for (size_t at = 0; at + sizeof(slot) <= size; at += sizeof(slot)) {
		struct mixer m = MIXER_INIT;

		memcpy(&slot, data + at, sizeof(slot));
		mixer_add_bytes(&m, &slot, offsetof(struct slot, check));
		if (memcmp(&slot.key, key, sizeof(*key)) == 0 &&
		    digest_equal(&slot.digest, digest) &&
		    slot.check ==
		        ((m.lane[0] ^ m.lane[1] ^ m.lane[2] ^ m.lane[3]) | 1))
			return true;
	}
	return false;
}

/* What was put is found, whatever was there. */
static void
check_put(struct table *table, uint64_t n)
{
	struct table_key key = key_of(n);
	struct digest value = value_of(n + 100), found;
	uint32_t flags;

	table_put(table, &key, &value, 3);
	if (!table_get(table, &key, &found, &flags) ||
	    !digest_equal(&found, &value) || flags != 3)
		abort();
	value = value_of(n);
	table_put(table, &key, &value, 0);
}

static void
try_slots(uint64_t n, const uint8_t *data, size_t size)
{
	struct table *table = must_open();
	struct table_key key = key_of(n);
	struct digest value = value_of(n), found;
	auto_close int fd = open_file();
	off_t at = place[n] - 8 * (off_t)sizeof(struct slot);

	if (at < 4096)
		at = 4096;
	if (size > 24 * sizeof(struct slot))
		size = 24 * sizeof(struct slot);
	table_put(table, &key, &value, 0);
	if (pwrite(fd, data, size, at) != (ssize_t)size)
		abort();
	if (table_get(table, &key, &found, NULL) &&
	    !digest_equal(&found, &value) &&
	    !is_forged(data, size, &key, &found))
		abort();
	check_put(table, n);
	table_close(table);
}

static void
try_head(const uint8_t *data, size_t size)
{
	struct table *table = must_open();
	int fd = open_file();

	table_close(table);
	if (size > 4096)
		size = 4096;
	if (pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	close(fd);
	table = must_open();
	for (uint64_t n = 0; n < KEYS; n++)
		check_put(table, n);
	table_close(table);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!dir[0])
		find_places();
	if (size == 0)
		return 0;
	if (data[0] < KEYS)
		try_slots(data[0], data + 1, size - 1);
	else
		try_head(data + 1, size - 1);
	return 0;
}
