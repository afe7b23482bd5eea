/* A web server's page of a folder: the same entries however it is cut into pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "remote/autoindex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static int
note(void *arg, const struct autoindex_entry *entry)
{
	struct buf *seen = arg;

	require(entry->name[0] && strlen(entry->name) < AUTOINDEX_NAME);
	require(!strchr(entry->name, '/'));
	require(entry->modified >= 0);
	buf_addf(seen, "%s %d %llu %lld\n", entry->name, entry->folder,
	    (unsigned long long)entry->size, (long long)entry->modified);
	return 0;
}

static int
parse(const char *data, size_t size, size_t piece, struct buf *seen)
{
	static struct autoindex index;
	struct error err = { 0 };
	int rc = 0;

	autoindex_init(&index, note, seen);
	for (size_t at = 0; rc == 0 && at < size; at += piece)
		rc = autoindex_feed(&index, data + at,
		    size - at < piece ? size - at : piece, &err);
	if (rc == 0)
		rc = autoindex_end(&index, &err);
	require((rc < 0) == (err.kind == ERROR_CORRUPT));
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf whole = BUF_INIT;
	auto_buf pieces = BUF_INIT;
	int rc = parse((const char *)data, size, size + 1, &whole);

	require(parse((const char *)data, size, 1, &pieces) == rc);
	require(strcmp(whole.data, pieces.data) == 0);
	return 0;
}
