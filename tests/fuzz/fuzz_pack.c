/*
 * What is kept by a location with `compress`: the bytes as a far end may send them, in
 * pieces and at once, which come to the same; and the bytes as a value, which comes back
 * as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/pack.h"

#define MOST (4 << 20) /* of a value: nobody asked for more */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taker {
	struct sink base;
	struct hasher hasher;
	uint64_t size;
};

static struct taker *
taker_of(struct sink *base)
{
	return container_of(base, struct taker, base);
}

static int
taker_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	hasher_add(&taker_of(base)->hasher, data, size);
	taker_of(base)->size += size;
	return 0;
}

static int
taker_reset(struct sink *base, struct error *err)
{
	hasher_init(&taker_of(base)->hasher);
	taker_of(base)->size = 0;
	return 0;
}

static bool
taker_is_full(struct sink *base)
{
	return taker_of(base)->size > MOST;
}

static enum unpacked
unpack(struct sink *in, const uint8_t *data, size_t size, size_t step)
{
	struct error err = { 0 };
	enum unpacked outcome;

	for (size_t at = 0; at < size; at += step) {
		if (sink_write(in, data + at,
		        size - at < step ? size - at : step, &err) < 0)
			abort();
	}
	outcome = sink_unpacked(in, &err);
	if ((outcome == UNPACK_WHOLE) != !err.text[0])
		abort();
	return outcome;
}

static void
try_sent(struct packer *packer, const uint8_t *data, size_t size, size_t step)
{
	static const struct sink_ops ops = { .write = taker_write,
		.reset = taker_reset,
		.is_full = taker_is_full };
	struct taker taker = { .base = { &ops } };
	struct sink *in = sink_unpack(packer, &taker.base, NULL);
	struct digest sums[2];
	struct error err;
	enum unpacked outcome;

	hasher_init(&taker.hasher);
	outcome = unpack(in, data, size, size + 1);
	hasher_finish(&taker.hasher, &sums[0]);
	if (taker.size > MOST + (128 << 10) && outcome != UNPACK_WHOLE)
		abort();
	if (sink_reset(in, &err) < 0 || unpack(in, data, size, step) != outcome)
		abort();
	hasher_finish(&taker.hasher, &sums[1]);
	if (outcome == UNPACK_WHOLE && !digest_equal(&sums[0], &sums[1]))
		abort();
	sink_close(in);
}

static void
try_value(struct packer *packer, const uint8_t *data, size_t size)
{
	auto_spool spool = SPOOL_INIT(MOST);
	auto_source *in = source_memory(data, size);
	auto_buf value = BUF_INIT;
	auto_sink *out = sink_buf(&value, size);
	struct sink *unpack_sink = sink_unpack(packer, out, NULL);
	struct error err;
	int packed = packer_pack(packer, in, &spool, &err);
	auto_source *kept = packed > 0 ? spool_source(&spool) : NULL;

	if (packed < 0 || (pack_is_marked(data, size) && !packed) ||
	    stream_copy(kept ? kept : in, unpack_sink, &err) < 0 ||
	    sink_unpacked(unpack_sink, &err) != UNPACK_WHOLE)
		abort();
	if (value.len != size || memcmp(value.data, data, size) != 0)
		abort();
	sink_close(unpack_sink);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err;
	struct packer *packer = packer_new("zstd:1", &err);

	if (size > 0)
		try_sent(packer, data + 1, size - 1, 1 + data[0]);
	try_value(packer, data, size);
	packer_free(packer);
	return 0;
}
