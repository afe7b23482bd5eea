#ifndef SFTP_PROTOCOL_H
#define SFTP_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "remote/far.h"

/*
 * The bytes of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02),
 * and of OpenSSH's extensions to it. A packet is its length, a type, a number that
 * the answer repeats, and what the type has. Nothing in an answer is believed: all
 * lengths are held against the packet's.
 */
enum sftp_type {
	SFTP_INIT = 1,
	SFTP_VERSION = 2,
	SFTP_OPEN = 3,
	SFTP_CLOSE = 4,
	SFTP_READ = 5,
	SFTP_WRITE = 6,
	SFTP_FSTAT = 8,
	SFTP_SETSTAT = 9,
	SFTP_FSETSTAT = 10,
	SFTP_OPENDIR = 11,
	SFTP_READDIR = 12,
	SFTP_REMOVE = 13,
	SFTP_MKDIR = 14,
	SFTP_RMDIR = 15,
	SFTP_REALPATH = 16,
	SFTP_STAT = 17,
	SFTP_RENAME = 18,
	SFTP_STATUS = 101,
	SFTP_HANDLE = 102,
	SFTP_DATA = 103,
	SFTP_NAME = 104,
	SFTP_ATTRS = 105,
	SFTP_EXTENDED = 200,
	SFTP_EXTENDED_REPLY = 201,
};

enum sftp_status {
	SFTP_OK = 0,
	SFTP_EOF = 1,
	SFTP_NO_SUCH_FILE = 2,
	SFTP_PERMISSION_DENIED = 3,
	SFTP_FAILURE = 4,
	SFTP_BAD_MESSAGE = 5,
	SFTP_OP_UNSUPPORTED = 8,
};

enum {
	SFTP_O_READ = 1,
	SFTP_O_WRITE = 2,
	SFTP_O_CREAT = 8,
	SFTP_O_TRUNC = 16,
	SFTP_O_EXCL = 32,
};

#define SFTP_PACKET_MAX (256 * 1024) /* bytes, without the length */
#define SFTP_HANDLE_MAX 256          /* bytes, as the protocol has it */

/* ---- requests, built at the end of a buffer ---- */

/* Returns where it starts. */
size_t sftp_packet_begin(struct buf *to, enum sftp_type type, uint32_t id);
void sftp_packet_end(struct buf *to, size_t start);

void sftp_add_u32(struct buf *to, uint32_t number);
void sftp_add_u64(struct buf *to, uint64_t number);
void sftp_add_text(struct buf *to, const void *data, size_t size);

/* Attributes, as far as they are given: -1 is not. */
struct sftp_set {
	int64_t uid, gid; /* both or neither */
	int64_t mode;
	int64_t atime, mtime; /* both or neither */
};
#define SFTP_SET_NONE ((struct sftp_set){ -1, -1, -1, -1, -1 })
void sftp_add_set(struct buf *to, const struct sftp_set *set);

/* ---- answers ---- */

struct sftp_answer {
	uint8_t type;
	uint32_t id;      /* of SFTP_VERSION: the version */
	uint32_t status;  /* of SFTP_STATUS */
	const char *data; /* a handle, data, a status' message, names */
	size_t size;
	uint32_t names;     /* of SFTP_NAME: how many */
	struct far_stat st; /* of SFTP_ATTRS */
};

/* A packet without its length. 0, or -1 with ERROR_CORRUPT. */
int sftp_answer_parse(struct sftp_answer *answer, const void *packet,
    size_t size, struct error *err);

/* The next name of SFTP_NAME: 1, 0 after the last, -1 with ERROR_CORRUPT. */
struct sftp_name {
	const char *name; /* no NUL at its end */
	size_t len;
	struct far_stat st;
};
int sftp_next_name(
    struct sftp_answer *answer, struct sftp_name *name, struct error *err);

/* The next extension that SFTP_VERSION tells of, in the same way. */
int sftp_next_extension(
    struct sftp_answer *answer, struct sftp_name *name, struct error *err);

/* The u64 at `at` of SFTP_EXTENDED_REPLY; 0 if it isn't that long. */
uint64_t sftp_reply_u64(const struct sftp_answer *answer, size_t at);

#endif
