/* Values that are kept compressed: base/pack.h, and what locations make of it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pack.h"
#include "support/check.h"
#include "support/subject.h"

static struct packer *
packer(const char *how)
{
	struct error err = { 0 };
	struct packer *packer = packer_new(how, &err);

	check_str(err.text, "");
	return packer;
}

/* What is kept of `data`; true: it is packed. */
static bool
pack(const char *how, const void *data, size_t size, struct buf *kept)
{
	struct packer *p = packer(how);
	auto_spool spool = SPOOL_INIT(1000);
	auto_source *in = source_memory(data, size);
	auto_source *packed = NULL;
	auto_sink *out = sink_buf(kept, SIZE_MAX);
	struct error err = { 0 };
	int rc = packer_pack(p, in, &spool, &err);

	check_str(err.text, "");
	packed = rc ? spool_source(&spool) : NULL;
	check_int(stream_copy(rc ? packed : in, out, &err), 0);
	check_int(sink_commit(out, &err), 0);
	packer_free(p);
	return rc;
}

/* In pieces of `step` bytes. */
static enum unpacked
unpack(const void *kept, size_t size, size_t step, size_t most,
    struct buf *value, struct error *err)
{
	struct packer *p = packer("zstd");
	auto_sink *out = sink_buf(value, most);
	struct sink *in = sink_unpack(p, out, NULL);
	enum unpacked outcome = UNPACK_WHOLE;

	for (size_t at = 0; at < size && outcome == UNPACK_WHOLE; at += step) {
		if (sink_write(in, (const char *)kept + at,
		        size - at < step ? size - at : step, err) < 0)
			outcome = UNPACK_FAILED;
	}
	if (outcome == UNPACK_WHOLE)
		outcome = sink_unpacked(in, err);
	(void)sink_commit(out, err);
	sink_close(in);
	packer_free(p);
	return outcome;
}

static void
check_unpacks(const struct buf *kept, const void *data, size_t size)
{
	static const size_t steps[] = { 1, 7, 24, 4096, 1 << 24 };

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		auto_buf value = BUF_INIT;
		struct error err = { 0 };

		if (kept->len / steps[i] > 200000)
			continue;
		check_int(unpack(kept->data, kept->len, steps[i], SIZE_MAX,
		              &value, &err),
		    UNPACK_WHOLE);
		check_int(value.len, size);
		check(memcmp(value.data, data, size) == 0);
	}
}

/* `bits` of each byte are random. */
static char *
some_data(size_t size, unsigned bits)
{
	char *data = xmalloc(size + 1);
	uint32_t seed = 5;

	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525 + 1013904223;
		data[i] = (char)((seed >> 24) & ((1u << bits) - 1));
	}
	return data;
}

Test(pack, takes_zstd_and_levels_of_it)
{
	static const char *const bad[] = { "", "1", "zst", "zstd:", "zstd:0",
		"zstd:20", "zstd:03", "zstd:-1", "zstd:3x", "zstd 3", "gzip",
		"zstd:99999999999999999999" };
	static const char *const good[] = { "zstd", "zstd:1", "zstd:9",
		"zstd:19" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error err = { 0 };

		check(!packer_new(bad[i], &err));
		check_int(err.kind, ERROR_USAGE);
		check(strstr(err.text, "zstd:LEVEL"));
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		packer_free(packer(good[i]));
}

Test(pack, gives_back_what_gains_and_what_does_not)
{
	static const size_t sizes[] = { 0, 1, 11, 12, 24, 511, 512, 513, 4096,
		131071, 131072, 131073, 262144, 3000000 };
	static const char *const hows[] = { "zstd", "zstd:1", "zstd:2",
		"zstd:12" };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		auto_free char *dense = some_data(sizes[i], 8);
		auto_free char *loose = some_data(sizes[i], 4);
		auto_buf raw = BUF_INIT;

		check(!pack("zstd", dense, sizes[i], &raw));
		check_int(raw.len, sizes[i]);
		check_unpacks(&raw, dense, sizes[i]);
		for (size_t k = 0; k < sizeof(hows) / sizeof(*hows); k++) {
			auto_buf kept = BUF_INIT;
			bool packed = pack(hows[k], loose, sizes[i], &kept);

			check_int(packed, sizes[i] >= 512);
			check(!packed || kept.len < sizes[i] * 3 / 4);
			check_unpacks(&kept, loose, sizes[i]);
		}
	}
}

/* Its start promised more than there was, or less. */
Test(pack, goes_by_the_first_block_but_keeps_nothing_larger)
{
	size_t size = 4 << 20;
	auto_free char *data = some_data(size, 8);
	auto_buf kept = BUF_INIT;
	auto_buf other = BUF_INIT;

	memset(data, 0, 128 << 10);
	check(!pack("zstd", data, size, &kept));
	check_int(kept.len, size);
	check(memcmp(kept.data, data, size) == 0);
	memset(data + (128 << 10), 0, size - (128 << 10));
	memcpy(data, kept.data + (1 << 20), 128 << 10);
	check(!pack("zstd", data, size, &other));
	check(memcmp(other.data, data, size) == 0);
}

Test(pack, packs_what_looks_packed)
{
	auto_free char *text = some_data(5000, 3);
	auto_buf once = BUF_INIT;
	auto_buf twice = BUF_INIT;
	auto_buf mark = BUF_INIT;

	check(pack("zstd", text, 5000, &once));
	check(pack_is_marked(once.data, once.len));
	check(pack("zstd", once.data, once.len, &twice));
	check_unpacks(&twice, once.data, once.len);
	/* However short it is, but not what only begins like it. */
	check(pack("zstd", once.data, PACK_MARK, &mark));
	check_unpacks(&mark, once.data, PACK_MARK);
	buf_reset(&mark);
	check(!pack("zstd", once.data, PACK_MARK - 1, &mark));
	check_unpacks(&mark, once.data, PACK_MARK - 1);
	buf_reset(&mark);
	once.data[PACK_MARK - 1] ^= 1;
	check(!pack("zstd", once.data, 100, &mark));
	check_unpacks(&mark, once.data, 100);
}

/* docs/formats.md, to the byte. */
Test(pack, lays_it_out_as_documented)
{
	static const unsigned char head[PACK_HEAD] = { 0x54, 0x2a, 0x4d, 0x18,
		16, 0, 0, 0, 't', 'a', 'r', 'n', 1, 0, 0, 0, 0xe8, 3 };
	auto_free char *text = some_data(1000, 2);
	auto_buf kept = BUF_INIT;
	char value[1000];

	check(pack("zstd", text, 1000, &kept));
	check(memcmp(kept.data, head, PACK_HEAD) == 0);
	check_int(ZSTD_decompress(value, 1000, kept.data, kept.len), 1000);
	check(memcmp(value, text, 1000) == 0);
	check_int(ZSTD_findFrameCompressedSize(
	              kept.data + PACK_HEAD, kept.len - PACK_HEAD),
	    kept.len - PACK_HEAD);
}

static void
check_damaged(const struct buf *kept, const char *data, size_t size)
{
	static const size_t steps[] = { 5, 1 << 20 };

	for (size_t i = 0; i < 2; i++) {
		auto_buf value = BUF_INIT;
		struct error err = { 0 };
		enum unpacked outcome = unpack(
		    kept->data, kept->len, steps[i], SIZE_MAX, &value, &err);

		/* A flipped bit may also make another value. */
		check(outcome != UNPACK_WHOLE || value.len != size ||
		    memcmp(value.data, data, size) != 0);
		check(outcome == UNPACK_WHOLE || err.text[0]);
		check(value.len <= kept->len || value.len <= size ||
		    outcome != UNPACK_DAMAGED);
	}
}

Test(pack, tells_what_is_cut_short_or_has_something_behind_it)
{
	auto_free char *text = some_data(3000, 3);
	auto_buf kept = BUF_INIT;
	size_t whole;

	check(pack("zstd", text, 3000, &kept));
	whole = kept.len;
	for (kept.len = PACK_MARK; kept.len < whole; kept.len++) {
		auto_buf value = BUF_INIT;
		struct error err = { 0 };

		check_int(
		    unpack(kept.data, kept.len, 100, SIZE_MAX, &value, &err),
		    UNPACK_DAMAGED);
		check_int(err.kind, ERROR_CORRUPT);
	}
	buf_add(&kept, "x", 1);
	check_damaged(&kept, text, 3000);
	kept.len = whole;
	buf_add(&kept, kept.data, whole);
	check_damaged(&kept, text, 3000);
}

Test(pack, tells_flipped_bits_from_the_value)
{
	auto_free char *text = some_data(2000, 3);
	auto_buf kept = BUF_INIT;

	check(pack("zstd", text, 2000, &kept));
	for (size_t bit = 0; bit < kept.len * 8; bit++) {
		auto_buf value = BUF_INIT;
		struct error err = { 0 };

		kept.data[bit / 8] ^= (char)(1 << bit % 8);
		if (bit < PACK_MARK * 8) /* any other value, then */
			check(unpack(kept.data, kept.len, 4096, SIZE_MAX,
			          &value, &err) == UNPACK_WHOLE &&
			    value.len == kept.len);
		else if (bit / 8 < 16) /* the version */
			check(unpack(kept.data, kept.len, 4096, SIZE_MAX,
			          &value, &err) == UNPACK_FAILED &&
			    err.kind == ERROR_USAGE &&
			    strstr(err.text, "newer tarn"));
		else if (bit / 8 < PACK_HEAD) /* the size */
			check(unpack(kept.data, kept.len, 4096, SIZE_MAX,
			          &value, &err) == UNPACK_DAMAGED);
		else if (unpack(kept.data, kept.len, 4096, SIZE_MAX, &value,
		             &err) == UNPACK_WHOLE)
			check_int(value.len, 2000);
		kept.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	check_unpacks(&kept, text, 2000);
}

/* ---- bombs ---- */

/* 1 GiB of zeros in some 32 KiB, which says that it is `size`. */
static void
make_bomb(struct buf *bomb, uint64_t size, int window_log)
{
	static char zeros[1 << 20], out[1 << 20];
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t left = 1;

	buf_add(bomb, "\x54\x2a\x4d\x18\x10\0\0\0tarn\1\0\0\0", 16);
	buf_add(bomb, &size, 8);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, window_log);
	for (size_t i = 0; i <= 1024 && left; i++) {
		ZSTD_inBuffer in = { zeros, i < 1024 ? sizeof(zeros) : 0, 0 };
		ZSTD_outBuffer to = { out, sizeof(out), 0 };

		left = ZSTD_compressStream2(
		    ctx, &to, &in, i < 1024 ? ZSTD_e_continue : ZSTD_e_end);
		check(!ZSTD_isError(left));
		check_int(in.pos, in.size);
		buf_add(bomb, out, to.pos);
		left = i < 1024 ? 1 : left;
	}
	ZSTD_freeCCtx(ctx);
	check(bomb->len < 200000);
}

Test(pack, stops_at_the_size_that_it_says)
{
	auto_buf bomb = BUF_INIT;
	auto_buf value = BUF_INIT;
	struct error err = { 0 };

	make_bomb(&bomb, 1000000, 20);
	check_int(unpack(bomb.data, bomb.len, 4096, SIZE_MAX, &value, &err),
	    UNPACK_DAMAGED);
	check(strstr(err.text, "more than it says"));
	check(value.len <= 1000000);
}

struct full {
	struct sink base;
	uint64_t bytes;
};

static int
full_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	container_of(base, struct full, base)->bytes += size;
	return 0;
}

static bool
full_is_full(struct sink *base)
{
	return container_of(base, struct full, base)->bytes > 5000;
}

static void
full_close(struct sink *base)
{
}

/* Who asked for 5000 bytes isn't kept waiting for a gigabyte. */
Test(pack, stops_where_no_more_is_wanted)
{
	static const struct sink_ops ops = { .write = full_write,
		.close = full_close,
		.is_full = full_is_full };
	struct full full = { { &ops }, 0 };
	struct digest any = { { 1 } };
	struct packer *p = packer("zstd");
	struct sink *verify = sink_verify(&full.base, &any);
	struct sink *in = sink_unpack(p, verify, NULL);
	auto_buf bomb = BUF_INIT;
	struct error err = { 0 };

	make_bomb(&bomb, 1 << 30, 20);
	check_int(sink_write(in, bomb.data, bomb.len, &err), 0);
	check(full.bytes < (1 << 20));
	check_int(sink_unpacked(in, &err), UNPACK_DAMAGED);
	check(strstr(err.text, "asked for"));
	sink_close(in);
	sink_close(verify);
	packer_free(p);
}

Test(pack, fails_when_the_time_is_over)
{
	struct packer *p = packer("zstd");
	int64_t deadline = 0;
	struct sink *in = sink_unpack(p, sink_null(), &deadline);
	auto_buf bomb = BUF_INIT;
	struct error err = { 0 };

	make_bomb(&bomb, 1 << 30, 20);
	check_int(sink_write(in, bomb.data, PACK_HEAD + 20, &err), 0);
	deadline = clock_us() - 1;
	check_int(sink_write(in, bomb.data + PACK_HEAD + 20,
	              bomb.len - PACK_HEAD - 20, &err),
	    -1);
	check_int(err.kind, ERROR_UNREACHABLE);
	sink_close(in);
	packer_free(p);
}

Test(pack, gives_no_memory_to_large_windows)
{
	auto_buf bomb = BUF_INIT;
	auto_buf value = BUF_INIT;
	struct error err = { 0 };

	make_bomb(&bomb, 1 << 30, 22);
	check_int(unpack(bomb.data, bomb.len, 4096, SIZE_MAX, &value, &err),
	    UNPACK_DAMAGED);
	check(strstr(err.text, "too much memory"));
	check_int(value.len, 0);
}

Test(pack, begins_anew_when_it_is_reset)
{
	auto_free char *text = some_data(600000, 3);
	struct packer *p = packer("zstd");
	auto_buf kept = BUF_INIT;
	auto_buf value = BUF_INIT;
	auto_sink *out = sink_buf(&value, SIZE_MAX);
	struct sink *in = sink_unpack(p, out, NULL);
	struct error err = { 0 };

	check(pack("zstd:5", text, 600000, &kept));
	for (size_t half = 0; half < 40; half++) {
		check_int(sink_write(in, kept.data, half, &err), 0);
		check_int(sink_reset(in, &err), 0);
	}
	check_int(sink_write(in, kept.data, kept.len / 2, &err), 0);
	check_int(sink_reset(in, &err), 0);
	check_int(sink_write(in, "raw", 3, &err), 0);
	check_int(sink_reset(in, &err), 0);
	check_int(sink_write(in, kept.data, kept.len, &err), 0);
	check_int(sink_unpacked(in, &err), UNPACK_WHOLE);
	check_int(sink_commit(in, &err), 0);
	check_int(value.len, 600000);
	check(memcmp(value.data, text, 600000) == 0);
	sink_close(in);
	packer_free(p);
}

/* ---- a source that is not as long as it says ---- */

static void
check_length(uint64_t announced)
{
	struct packer *p = packer("zstd");
	auto_free char *text = some_data(400000, 3);
	auto_spool spool = SPOOL_INIT(100);
	struct error err = { 0 };
	char path[] = "/tmp/tarn-test-XXXXXX";
	auto_close int fd = mkstemp(path);
	auto_source *file = source_file(fd, announced);

	check(unlink(path) == 0);
	check_int(write(fd, text, 400000), 400000);
	check_int(packer_pack(p, file, &spool, &err), -1);
	check_int(err.kind, ERROR_CORRUPT);
	packer_free(p);
}

Test(pack, refuses_a_source_that_is_not_as_long_as_announced)
{
	check_length(400001);
	check_length(399999);
	check_length(1000);
	check_length(1 << 30);
}

/* ---- locations ---- */

static uint64_t
size_of(struct subject *s)
{
	return (uint64_t)subject_shell(s,
	    "exit $(( ($(find a -type f -path '*/[0-9a-f][0-9a-f]/*' "
	    "-printf '%%s+')0) / 1000 ))");
}

Test(packed, takes_less_room_and_other_readers_say_why)
{
	struct key key;
	auto_free char *data = subject_value(3, 100000, &key);
	struct subject s;
	struct location *plain;
	auto_sink *verify = sink_verify(sink_null(), &key.digest);
	struct error why = { 0 };

	subject_open(&s, "packed(a)");
	check_int(put(s.loc, &key, data, 100000, WRITE_IF_ABSENT), STORED);
	check(size_of(&s) > 50 && size_of(&s) < 90);
	check_int(put(s.loc, &key, data, 100000, WRITE_IF_ABSENT), KEPT);
	check(has(s.loc, &key, data, 100000));
	plain = subject_again(&s, "disk(a)");
	check_outcome(location_read(plain, &key, verify, &err), HIT);
	check_int(sink_commit(verify, &why), -1);
	check_int(why.kind, ERROR_USAGE);
	check_str(why.text,
	    "it is stored compressed; set \"compress\" for this location");
	location_close(plain);
	subject_close(&s);
}

static bool
is_right(void *arg)
{
	struct digest sum;

	return sink_verified(arg, &sum);
}

/* What is packed is no damage to be removed by who has no `compress`. */
Test(packed, stays_where_it_is_read_without)
{
	struct key key;
	auto_free char *data = subject_value(3, 100000, &key);
	auto_sink *verify = sink_verify(sink_null(), &key.digest);
	struct location_check check = {
		.is_whole = is_right, .arg = verify, .mend = true
	};
	struct subject s;
	struct location *plain;
	struct error err = { 0 };

	subject_open(&s, "packed(a)");
	check_int(put(s.loc, &key, data, 100000, WRITE_IF_ABSENT), STORED);
	plain = subject_again(&s, "disk(a)");
	check_int(
	    location_read_checked(plain, &key, verify, &check, &err), FAILED);
	check_int(err.kind, ERROR_USAGE);
	check(strstr(err.text, "is stored compressed; set \"compress\""));
	check(has(s.loc, &key, data, 100000));
	location_close(plain);
	subject_close(&s);
}

Test(packed, reads_what_was_raw)
{
	struct key key;
	auto_free char *data = subject_value(3, 100000, &key);
	struct subject s;
	struct location *packed;

	subject_open(&s, "disk(a)");
	check_int(put(s.loc, &key, data, 100000, WRITE_IF_ABSENT), STORED);
	check_int(size_of(&s), 100);
	packed = subject_again(&s, "packed(a)");
	check(has(packed, &key, data, 100000));
	location_close(packed);
	subject_close(&s);
}

static void
check_mended(const char *damage)
{
	struct key key;
	auto_free char *data = subject_value(3, 100000, &key);
	auto_buf got = BUF_INIT;
	auto_sink *out = sink_buf(&got, SIZE_MAX);
	auto_sink *verify = sink_verify(out, &key.digest);
	struct location_check check = {
		.is_whole = is_right, .arg = verify, .mend = true
	};
	struct subject s;
	struct error err = { 0 };

	subject_open(&s, "levels(packed(a),disk(b))");
	check_int(put(s.loc, &key, data, 100000, WRITE_IF_ABSENT), STORED);
	check_int(
	    subject_shell(&s,
	        "f=$(find a -type f -size +10) && chmod u+w $f && %s", damage),
	    0);
	check_int(
	    location_read_checked(s.loc, &key, verify, &check, &err), HIT);
	check_int(sink_commit(verify, &err), 0);
	check_int(got.len, 100000);
	check(memcmp(got.data, data, 100000) == 0);
	check(strstr(check.damage.text, "is damaged"));
	/* Its place was taken by a whole one. */
	check(has(subject_leaf(&s, 0), &key, data, 100000));
	subject_close(&s);
}

Test(packed, heals_like_any_other_damage)
{
	check_mended("truncate -s -1 $f");
	check_mended("truncate -s 20 $f");
	check_mended("printf XXXX | dd of=$f bs=1 seek=5000 conv=notrunc "
	             "status=none");
	check_mended("printf XXXX | dd of=$f bs=1 seek=20 conv=notrunc "
	             "status=none && truncate -s -9 $f");
}

Test(packed, offers_what_is_too_large_as_it_is)
{
	struct key key;
	auto_free char *data = subject_value(3, 100000, &key);
	struct subject s;

	subject_open(&s, "packed(95000,a)");
	check_int(put(s.loc, &key, data, 100000, WRITE_IF_ABSENT), STORED);
	check(has(s.loc, &key, data, 100000));
	subject_close(&s);
	subject_open(&s, "packed(50000,a)");
	check_int(put(s.loc, &key, data, 100000, WRITE_IF_ABSENT), DECLINED);
	subject_close(&s);
}

/* What is in the index stays as it is, so that a lake's records are read by all. */
Test(packed, leaves_the_index_alone)
{
	static const struct key record = { KEY_INDEX, { { 7 } } };
	struct key key;
	auto_free char *data = subject_value(3, 100000, &key);
	struct subject s;
	struct location *plain;

	subject_open(&s, "packed(a)");
	check_int(put(s.loc, &record, data, 100000, WRITE_IF_ABSENT), STORED);
	plain = subject_again(&s, "disk(a)");
	check(has(plain, &record, data, 100000));
	location_close(plain);
	subject_close(&s);
}

Test(packed, refuses_what_it_does_not_understand)
{
	static const struct {
		const char *place, *wrong;
	} bad[] = {
		{ "redis://h/1?compress=gzip",
		    "expected 'compress' to be zstd or zstd:LEVEL, 1 to 19, "
		    "got "
		    "'gzip'" },
		{ "s3://b/p?endpoint=http://h&compress=zstd:0",
		    "expected 'compress' to be zstd or zstd:LEVEL, 1 to 19, "
		    "got "
		    "'zstd:0'" },
		{ "http://h/x?layout=bazel&put=1&compress=zstd",
		    "'compress' does not go with 'layout=bazel': its servers "
		    "and "
		    "clients take values as they are" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error err = { 0 };
		Tarn__Location *config =
		    location_from_word(bad[i].place, "/", &err);

		check_str(err.text, "");
		check(!location_open(config, &err));
		check_int(err.kind, ERROR_USAGE);
		check_str(err.text, bad[i].wrong);
		tarn__location__free_unpacked(config, NULL);
	}
}
