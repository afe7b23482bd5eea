#include "locations/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const struct layout layout_default = { 2, true, { 1, DIGEST_SIZE - 1 } };

bool
layout_equal(const struct layout *a, const struct layout *b)
{
	return a->count == b->count &&
	    memcmp(a->bytes, b->bytes, a->count) == 0;
}

static int64_t
sum(const struct layout *layout)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < layout->count; i++)
		bytes += layout->bytes[i];
	return bytes;
}

bool
layout_add(struct layout *layout, int64_t level)
{
	int64_t left = DIGEST_SIZE - sum(layout);

	if (layout->rest || level == 0 || level < -1 || level > left ||
	    left == 0)
		return false;
	layout->rest = level == -1;
	layout->bytes[layout->count++] = (uint8_t)(level == -1 ? left : level);
	return true;
}

bool
layout_whole(const struct layout *layout)
{
	return layout->count > 0 && sum(layout) == DIGEST_SIZE;
}

bool
layout_parse(struct layout *layout, const char *text)
{
	char *end;

	*layout = (struct layout){ 0 };
	for (;;) {
		long level = strtol(text, &end, 10);

		if (end == text || !layout_add(layout, level))
			return false;
		if (*end != ',')
			return !*end && layout_whole(layout);
		text = end + 1;
	}
}

void
layout_show(const struct layout *layout, struct buf *to, const char *before,
    const char *between, const char *after)
{
	for (size_t i = 0; i < layout->count; i++) {
		bool last = i + 1 == layout->count;

		buf_addf(to, "%s%d", i ? between : before,
		    last && layout->rest ? -1 : layout->bytes[i]);
	}
	buf_addf(to, "%s", after);
}

char *
layout_path(
    const struct layout *layout, const char *root, const struct digest *digest)
{
	char *path = xmalloc(strlen(root) + DIGEST_HEX + layout->count + 1);
	char hex[DIGEST_HEX + 1], *to = stpcpy(path, root);
	const char *from = digest_hex(digest, hex);

	for (size_t i = 0; i < layout->count; i++) {
		size_t digits = 2 * (size_t)layout->bytes[i];

		*to++ = '/';
		memcpy(to, from, digits);
		to += digits;
		from += digits;
	}
	*to = '\0';
	return path;
}
