#include "daemon/parcel.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/mem.h"
#include "locations/channel.h"

static const char magic[8] = { 't', 'a', 'r', 'n', 'u', 'p', '1', '\n' };

#define SIZES 24 /* bytes of magic and sizes */
#define SUM 56   /* where the head's own digest is */

/* ---- writing ---- */

static void
encode_head(struct parcel_writer *writer, const Tarn__DaemonUpload *upload)
{
	size_t size = tarn__daemon_upload__get_packed_size(upload);
	auto_free uint8_t *message = xmalloc(size + 1);
	unsigned char number[8];
	char digests[2 * DIGEST_SIZE] = { 0 };

	tarn__daemon_upload__pack(upload, message);
	buf_add(&writer->head, magic, sizeof(magic));
	bytes_put(number, size);
	buf_add(&writer->head, number, sizeof(number));
	bytes_put(number, writer->parcel.size);
	buf_add(&writer->head, number, sizeof(number));
	buf_add(&writer->head, digests, sizeof(digests));
	buf_add(&writer->head, message, size);
	writer->parcel.start = writer->head.len;
}

int
parcel_start(struct parcel_writer *writer, const char *path,
    const Tarn__DaemonUpload *upload, uint64_t size, struct error *err)
{
	*writer = (struct parcel_writer){
		.file = ASIDE_INIT, .head = BUF_INIT, .parcel.size = size
	};
	hasher_init(&writer->hasher);
	encode_head(writer, upload);
	if (aside_start(&writer->file, path, 0600, err) < 0)
		return -1;
	if (file_write_all(
	        writer->file.fd, writer->head.data, writer->head.len) < 0)
		return error_errno(err, "cannot write to the spool");
	return 0;
}

int
parcel_add(struct parcel_writer *writer, const void *data, size_t size,
    struct error *err)
{
	writer->got += size;
	if (writer->got > writer->parcel.size)
		return error_set(
		    err, ERROR_CORRUPT, "more bytes than were announced");
	hasher_add(&writer->hasher, data, size);
	if (file_write_all(writer->file.fd, data, size) < 0)
		return error_errno(err, "cannot write to the spool");
	return 0;
}

static void
sum_of_head(const char *head, size_t size, struct digest *sum)
{
	struct hasher hasher;

	hasher_init(&hasher);
	hasher_add(&hasher, head, SUM);
	hasher_add(&hasher, head + PARCEL_HEAD, size - PARCEL_HEAD);
	hasher_finish(&hasher, sum);
}

int
parcel_finish(struct parcel_writer *writer, const char *path, struct error *err)
{
	struct digest sum;
	int put;

	if (writer->got != writer->parcel.size)
		return error_set(
		    err, ERROR_CORRUPT, "fewer bytes than were announced");
	hasher_finish(&writer->hasher, &writer->parcel.digest);
	memcpy(writer->head.data + SIZES, writer->parcel.digest.bytes,
	    DIGEST_SIZE);
	sum_of_head(writer->head.data, writer->head.len, &sum);
	memcpy(writer->head.data + SUM, sum.bytes, DIGEST_SIZE);
	if (pwrite(writer->file.fd, writer->head.data + SIZES, 2 * DIGEST_SIZE,
	        SIZES) != 2 * DIGEST_SIZE)
		return error_errno(err, "cannot write to the spool");
	put = aside_put_new(&writer->file, path, err);
	if (put == 0)
		return error_set(err, ERROR_SYSTEM, "'%s' is there", path);
	return put < 0 ? -1 : 0;
}

void
parcel_drop(struct parcel_writer *writer)
{
	aside_release(&writer->file);
	buf_release(&writer->head);
}

/* ---- reading ---- */

static int
is_none(struct error *err, const char *why)
{
	return error_set(err, ERROR_CORRUPT, "no upload of ours: %s", why);
}

static bool
is_complete(const Tarn__DaemonUpload *upload)
{
	struct error err;
	struct key key;

	return upload->location && *upload->location->kind &&
	    channel_key(upload->key, &key, &err) == 0;
}

int
parcel_decode(struct parcel *parcel, const void *data, size_t len,
    uint64_t size, struct error *err)
{
	const char *head = data;
	const unsigned char *sizes = data;
	uint64_t message;
	struct digest sum;

	*parcel = (struct parcel){ .upload = NULL };
	if (len < PARCEL_HEAD || memcmp(head, magic, sizeof(magic)) != 0)
		return is_none(err, "another format");
	message = bytes_get(sizes + 8);
	parcel->size = bytes_get(sizes + 16);
	if (message > PARCEL_MESSAGE || message > len - PARCEL_HEAD)
		return is_none(err, "its head is cut short");
	parcel->start = PARCEL_HEAD + message;
	if (parcel->size != size - parcel->start)
		return is_none(err, "its size is another");
	sum_of_head(head, parcel->start, &sum);
	if (memcmp(sum.bytes, head + SUM, DIGEST_SIZE) != 0)
		return is_none(err, "its head is damaged");
	memcpy(parcel->digest.bytes, head + SIZES, DIGEST_SIZE);
	parcel->upload = tarn__daemon_upload__unpack(
	    NULL, message, (const uint8_t *)head + PARCEL_HEAD);
	if (parcel->upload && is_complete(parcel->upload))
		return 0;
	parcel_release(parcel);
	return is_none(err, "it does not say where to");
}

int
parcel_open(struct parcel *parcel, int fd, struct error *err)
{
	auto_free char *head = xmalloc(PARCEL_HEAD + PARCEL_MESSAGE);
	ssize_t got = pread(fd, head, PARCEL_HEAD, 0);
	uint64_t message;
	struct stat st;

	*parcel = (struct parcel){ .upload = NULL };
	/* Not more than the head: with a full spool that is little of it. */
	if (got == PARCEL_HEAD) {
		message = bytes_get((const unsigned char *)head + 8);
		if (message <= PARCEL_MESSAGE)
			got = pread(fd, head, PARCEL_HEAD + message, 0);
	}
	if (got < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "cannot read it");
	return parcel_decode(
	    parcel, head, (size_t)got, (uint64_t)st.st_size, err);
}

void
parcel_release(struct parcel *parcel)
{
	if (parcel->upload)
		tarn__daemon_upload__free_unpacked(parcel->upload, NULL);
	parcel->upload = NULL;
}

int
parcel_is_whole(const struct parcel *parcel, int fd, struct error *err)
{
	auto_source *in = parcel_source(fd, parcel->start, parcel->size);
	char chunk[64 * 1024];
	struct hasher hasher;
	struct digest sum;
	ssize_t got;

	hasher_init(&hasher);
	while ((got = source_read(in, chunk, sizeof(chunk), err)) > 0)
		hasher_add(&hasher, chunk, (size_t)got);
	if (got < 0)
		return -1;
	hasher_finish(&hasher, &sum);
	return digest_equal(&sum, &parcel->digest);
}

/* ---- the value ---- */

struct value {
	struct source base;
	int fd;
	uint64_t start, at;
};

static ssize_t
value_read(struct source *base, void *data, size_t size, struct error *err)
{
	struct value *value = container_of(base, struct value, base);
	uint64_t left = base->size - value->at;
	ssize_t got;

	if (size > left)
		size = (size_t)left;
	got = pread(value->fd, data, size, (off_t)(value->start + value->at));
	if (got < 0)
		return error_errno(err, "cannot read from the spool");
	if (got == 0 && size > 0)
		return error_set(
		    err, ERROR_CORRUPT, "a file of the spool is cut short");
	value->at += (uint64_t)got;
	return got;
}

static int
value_rewind(struct source *base, struct error *err)
{
	container_of(base, struct value, base)->at = 0;
	return 0;
}

static void
value_close(struct source *base)
{
	free(container_of(base, struct value, base));
}

struct source *
parcel_source(int fd, uint64_t start, uint64_t size)
{
	static const struct source_ops ops = { value_read, value_rewind,
		value_close };
	struct value *value = xmalloc(sizeof(*value));

	*value = (struct value){
		.base = { .ops = &ops, .size = size, .fd = -1 },
		.fd = fd,
		.start = start,
	};
	return &value->base;
}
