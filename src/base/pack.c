#include "base/pack.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/mem.h"

#define LEVEL 3
#define LEVEL_MOST 19
#define VERSION 1
#define WINDOW_LOG 21 /* of what we write, and will read */
#define BLOCK ((size_t)128 << 10)
#define LEAST 512 /* bytes: nothing is gained on less */
#define GAIN 16   /* this part of a value has to be gained */

struct head {
	unsigned char mark[PACK_MARK];
	uint32_t version;
	uint64_t size;
};
_Static_assert(sizeof(struct head) == PACK_HEAD, "no gaps");

struct packer {
	int level;
	ZSTD_CCtx *pack;   /* NULL: not needed so far */
	ZSTD_DCtx *unpack; /* one that nobody uses, or NULL */
	char *in, *out;    /* BLOCK bytes, once there is `pack` */
};

/* ---- how ---- */

static int
parse_level(const char *how)
{
	const char *name = "zstd", *at = how + strlen(name);
	int level = 0;

	if (strncmp(how, name, strlen(name)) != 0)
		return -1;
	if (!*at)
		return LEVEL;
	if (*at++ != ':' || *at < '1' || *at > '9')
		return -1;
	for (; *at >= '0' && *at <= '9' && level <= LEVEL_MOST; at++)
		level = level * 10 + (*at - '0');
	return *at || level > LEVEL_MOST ? -1 : level;
}

struct packer *
packer_new(const char *how, struct error *err)
{
	int level = parse_level(how);
	struct packer *packer;

	if (level < 0) {
		error_set(err, ERROR_USAGE,
		    "expected 'compress' to be zstd or zstd:LEVEL, 1 to %d, "
		    "got '%s'",
		    LEVEL_MOST, how);
		return NULL;
	}
	packer = xmalloc(sizeof(*packer));
	*packer = (struct packer){ .level = level };
	return packer;
}

void
packer_free(struct packer *packer)
{
	if (!packer)
		return;
	ZSTD_freeCCtx(packer->pack);
	ZSTD_freeDCtx(packer->unpack);
	free(packer->in);
	free(packer->out);
	free(packer);
}

/* ---- packing ---- */

struct packing {
	struct packer *packer;
	struct source *in;
	struct sink *out;
	uint64_t taken, kept; /* bytes */
};

/* 2 MiB are what level 3 has; what unpacks pays for more. */
static int
window_log(int level)
{
	return level < 3 ? 18 + level : WINDOW_LOG;
}

static int
prepare(struct packer *packer, uint64_t size, struct error *err)
{
	ZSTD_CCtx *ctx = packer->pack ? packer->pack : ZSTD_createCCtx();

	packer->pack = ctx;
	if (ctx && !packer->out)
		packer->out = xmalloc(BLOCK);
	if (!ctx ||
	    ZSTD_isError(
	        ZSTD_CCtx_reset(ctx, ZSTD_reset_session_and_parameters)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(
	        ctx, ZSTD_c_compressionLevel, packer->level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(
	        ctx, ZSTD_c_windowLog, window_log(packer->level))) ||
	    ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(ctx, size)))
		return error_set(
		    err, ERROR_SYSTEM, "cannot start to compress a value");
	return 0;
}

static int
put(struct packing *packing, const void *data, size_t size, struct error *err)
{
	packing->kept += size;
	return sink_write(packing->out, data, size, err);
}

static int
put_head(struct packing *packing, struct error *err)
{
	struct head head = {
		.mark = { 0x54, 0x2a, 0x4d, 0x18, 16, 0, 0, 0, 't', 'a', 'r',
		    'n' },
		.version = htole32(VERSION),
		.size = htole64(packing->in->size),
	};

	return put(packing, &head, sizeof(head), err);
}

static int
put_block(struct packing *packing, size_t size, ZSTD_EndDirective how,
    struct error *err)
{
	struct packer *packer = packing->packer;
	ZSTD_inBuffer in = { packer->in, size, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { packer->out, BLOCK, 0 };

		left = ZSTD_compressStream2(packer->pack, &out, &in, how);
		if (ZSTD_isError(left))
			return error_set(err, ERROR_SYSTEM,
			    "cannot compress a value: %s",
			    ZSTD_getErrorName(left));
		if (put(packing, out.dst, out.pos, err) < 0)
			return -1;
	} while (in.pos < in.size || (how != ZSTD_e_continue && left > 0));
	return 0;
}

/* A block, less only at the end. */
static ssize_t
take_block(struct packing *packing, struct error *err)
{
	char *data = packing->packer->in;
	size_t len = 0;
	ssize_t got = 1;

	while (len < BLOCK && got > 0) {
		got = source_read(packing->in, data + len, BLOCK - len, err);
		if (got > 0)
			len += (size_t)got;
	}
	packing->taken += len;
	return got < 0 ? -1 : (ssize_t)len;
}

static int
check_taken(const struct packing *packing, bool at_end, struct error *err)
{
	uint64_t size = packing->in->size;

	if (packing->taken <= size && (!at_end || packing->taken == size))
		return 0;
	return error_set(err, ERROR_CORRUPT,
	    "a value of %llu bytes has %s: it was changed meanwhile",
	    (unsigned long long)size, at_end ? "fewer" : "more");
}

static bool
gains(const struct packing *packing)
{
	return packing->kept <= packing->taken - packing->taken / GAIN;
}

/* The rest, beginning with the block of `len` bytes that was taken; what the first
 * one brings shows what the others will, if it isn't `forced`. */
static int
pack_blocks(
    struct packing *packing, ssize_t len, bool forced, struct error *err)
{
	bool first = true;

	for (; len == BLOCK; len = take_block(packing, err), first = false) {
		if (check_taken(packing, false, err) < 0 ||
		    put_block(packing, BLOCK,
		        first ? ZSTD_e_flush : ZSTD_e_continue, err) < 0)
			return -1;
		if (first && !forced && !gains(packing))
			return 0;
	}
	if (len < 0 || check_taken(packing, false, err) < 0 ||
	    check_taken(packing, true, err) < 0 ||
	    put_block(packing, (size_t)len, ZSTD_e_end, err) < 0)
		return -1;
	return forced || gains(packing);
}

int
packer_pack(struct packer *packer, struct source *in, struct spool *spool,
    struct error *err)
{
	auto_sink *out = sink_spool(spool);
	struct packing packing = { packer, in, out, 0, 0 };
	ssize_t len;
	bool forced;
	int rc = 0;

	if (!packer->in)
		packer->in = xmalloc(BLOCK);
	len = take_block(&packing, err);
	if (len < 0)
		return -1;
	forced = pack_is_marked(packer->in, (size_t)len);
	if (forced || len >= LEAST)
		rc = prepare(packer, in->size, err) < 0 ||
		        put_head(&packing, err) < 0
		    ? -1
		    : pack_blocks(&packing, len, forced, err);
	if (rc != 0)
		return rc;
	spool_release(spool);
	return source_rewind(in, err);
}

/* ---- unpacking ---- */

struct unpack {
	struct sink base;
	struct packer *packer;
	struct sink *next; /* borrowed */
	const int64_t *deadline;

	enum { AT_HEAD, AS_IT_IS, IN_FRAME, AT_END, DAMAGED, UNKNOWN } state;
	unsigned char head[PACK_HEAD];
	size_t held;           /* bytes of the head */
	uint64_t size, given;  /* of the value; so far */
	ZSTD_DCtx *ctx;        /* IN_FRAME */
	char *out;             /* BLOCK bytes, then */
	const char *damage;    /* DAMAGED: what it is */
	unsigned long version; /* UNKNOWN */
};

static struct unpack *
unpack_of(struct sink *base)
{
	return container_of(base, struct unpack, base);
}

/* What it needed for its frame; the location's next one may want it. */
static void
leave_frame(struct unpack *unpack)
{
	if (unpack->packer->unpack)
		ZSTD_freeDCtx(unpack->ctx);
	else
		unpack->packer->unpack = unpack->ctx;
	free(unpack->out);
	unpack->ctx = NULL;
	unpack->out = NULL;
}

static void
damage(struct unpack *unpack, const char *what)
{
	unpack->state = DAMAGED;
	unpack->damage = what;
	leave_frame(unpack);
}

static int
enter_frame(struct unpack *unpack, struct error *err)
{
	struct head head;

	memcpy(&head, unpack->head, sizeof(head));
	unpack->version = le32toh(head.version);
	unpack->size = le64toh(head.size);
	unpack->state = unpack->version == VERSION ? IN_FRAME : UNKNOWN;
	if (unpack->state == UNKNOWN)
		return 0;
	unpack->ctx = unpack->packer->unpack ? take(unpack->packer->unpack)
	                                     : ZSTD_createDCtx();
	if (!unpack->ctx ||
	    ZSTD_isError(ZSTD_DCtx_reset(
	        unpack->ctx, ZSTD_reset_session_and_parameters)) ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(
	        unpack->ctx, ZSTD_d_windowLogMax, WINDOW_LOG)))
		return error_set(
		    err, ERROR_SYSTEM, "cannot start to decompress a value");
	unpack->out = xmalloc(BLOCK);
	return 0;
}

static int
check_time(const struct unpack *unpack, struct error *err)
{
	if (!unpack->deadline || !*unpack->deadline ||
	    clock_us() < *unpack->deadline)
		return 0;
	return error_set(
	    err, ERROR_UNREACHABLE, "a value takes too long to decompress");
}

static int
give(struct unpack *unpack, size_t size, struct error *err)
{
	if (size == 0)
		return 0;
	if (size > unpack->size - unpack->given) {
		damage(unpack, "it holds more than it says");
		return 0;
	}
	unpack->given += size;
	if (check_time(unpack, err) < 0 ||
	    sink_write(unpack->next, unpack->out, size, err) < 0)
		return -1;
	if (sink_is_full(unpack->next))
		damage(unpack, "it holds more than was asked for");
	return 0;
}

static int
unpack_frame(
    struct unpack *unpack, const void *data, size_t size, struct error *err)
{
	ZSTD_inBuffer in = { data, size, 0 };
	bool more = true; /* may come without more going in */

	while (unpack->state == IN_FRAME && (in.pos < in.size || more)) {
		ZSTD_outBuffer out = { unpack->out, BLOCK, 0 };
		size_t left = ZSTD_decompressStream(unpack->ctx, &out, &in);

		if (ZSTD_isError(left)) {
			damage(unpack, ZSTD_getErrorName(left));
			return 0;
		}
		more = out.pos == out.size && left > 0;
		if (give(unpack, out.pos, err) < 0)
			return -1;
		if (left == 0 && unpack->state == IN_FRAME) {
			unpack->state = AT_END;
			leave_frame(unpack);
		}
	}
	if (unpack->state == AT_END && in.pos < in.size)
		damage(unpack, "there is something behind it");
	return 0;
}

/* Bytes of the head are held back until they tell. How many were taken. */
static size_t
take_head(struct unpack *unpack, const char *data, size_t size)
{
	size_t room = PACK_HEAD - unpack->held;
	size_t len = size < room ? size : room;

	memcpy(unpack->head + unpack->held, data, len);
	unpack->held += len;
	return len;
}

static int
let_through(struct unpack *unpack, struct error *err)
{
	unpack->state = AS_IT_IS;
	return sink_write(unpack->next, unpack->head, unpack->held, err);
}

static int
look_at_head(struct unpack *unpack, struct error *err)
{
	if (unpack->held < PACK_MARK)
		return 0;
	if (!pack_is_marked(unpack->head, unpack->held))
		return let_through(unpack, err);
	return unpack->held == PACK_HEAD ? enter_frame(unpack, err) : 0;
}

static int
unpack_write(
    struct sink *base, const void *data, size_t size, struct error *err)
{
	struct unpack *unpack = unpack_of(base);
	size_t len = 0;

	if (unpack->state == AT_HEAD && unpack->held == 0 &&
	    size >= PACK_MARK && !pack_is_marked(data, size))
		unpack->state = AS_IT_IS;
	if (unpack->state == AT_HEAD) {
		len = take_head(unpack, data, size);
		if (look_at_head(unpack, err) < 0)
			return -1;
	}
	if (len == size)
		return 0;
	if (unpack->state == AS_IT_IS)
		return sink_write(
		    unpack->next, (const char *)data + len, size - len, err);
	if (unpack->state == IN_FRAME)
		return unpack_frame(
		    unpack, (const char *)data + len, size - len, err);
	if (unpack->state == AT_END)
		damage(unpack, "there is something behind it");
	return 0;
}

/* One that is no packed one goes on as a file. */
static int
unpack_write_file(struct sink *base, int fd, struct error *err)
{
	struct unpack *unpack = unpack_of(base);
	char chunk[64 * 1024];
	ssize_t got = pread(fd, chunk, PACK_MARK, 0);
	off_t at = 0;

	if (got >= 0 && !pack_is_marked(chunk, (size_t)got)) {
		unpack->state = AS_IT_IS;
		return sink_write_file(unpack->next, fd, err);
	}
	while (unpack->state != DAMAGED &&
	    (got = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		if (unpack_write(base, chunk, (size_t)got, err) < 0)
			return -1;
		at += got;
	}
	return got < 0 ? error_errno(err, "cannot read a file") : 0;
}

static void
start_over(struct unpack *unpack)
{
	leave_frame(unpack);
	unpack->state = AT_HEAD;
	unpack->held = 0;
	unpack->given = 0;
}

static int
unpack_reset(struct sink *base, struct error *err)
{
	start_over(unpack_of(base));
	return sink_reset(unpack_of(base)->next, err);
}

static int
unpack_commit(struct sink *base, struct error *err)
{
	return sink_commit(unpack_of(base)->next, err);
}

static void
unpack_close(struct sink *base)
{
	leave_frame(unpack_of(base));
	free(unpack_of(base));
}

static bool
unpack_is_full(struct sink *base)
{
	return sink_is_full(unpack_of(base)->next);
}

struct sink *
sink_unpack(struct packer *packer, struct sink *next, const int64_t *deadline)
{
	static const struct sink_ops ops = {
		.write = unpack_write,
		.reset = unpack_reset,
		.commit = unpack_commit,
		.close = unpack_close,
		.write_file = unpack_write_file,
		.is_full = unpack_is_full,
	};
	struct unpack *unpack = xmalloc(sizeof(*unpack));

	*unpack = (struct unpack){ .base = { &ops },
		.packer = packer,
		.next = next,
		.deadline = deadline };
	return &unpack->base;
}

enum unpacked
sink_unpacked(struct sink *base, struct error *err)
{
	struct unpack *unpack = unpack_of(base);
	bool marked = pack_is_marked(unpack->head, unpack->held);

	if (unpack->state == AT_HEAD && !marked)
		return let_through(unpack, err) < 0 ? UNPACK_FAILED
		                                    : UNPACK_WHOLE;
	if (unpack->state == AS_IT_IS ||
	    (unpack->state == AT_END && unpack->given == unpack->size))
		return UNPACK_WHOLE;
	if (unpack->state == UNKNOWN) {
		error_set(err, ERROR_USAGE,
		    "it is stored compressed in a way of its own, version "
		    "%lu, which takes a newer tarn",
		    unpack->version);
		return UNPACK_FAILED;
	}
	error_set(err, ERROR_CORRUPT,
	    "what is stored compressed is damaged: %s",
	    unpack->state == DAMAGED      ? unpack->damage
	        : unpack->state == AT_END ? "it holds less than it says"
	                                  : "it is cut short");
	return UNPACK_DAMAGED;
}
