#ifndef WIRE_H
#define WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "locations/location.h"
#include "proto/daemon.pb-c.h"

/*
 * What goes over tarnd's socket: frames, in both directions.
 *
 *	4 bytes   size of what follows the head; the little end first
 *	4 bytes   0: a message of proto/daemon.proto; N: bytes of item N-1's value
 *
 * Values are no messages, so that nobody parses or copies them; they come in
 * pieces of at most WIRE_CHUNK bytes, pieces of different items in any order.
 *
 *	client                            tarnd
 *	greeting, first request   ->
 *	                          <-      greeting; a refusal is the end
 *	WIRE_READ with keys       ->
 *	                          <-      pieces; an answer for each key, when it is done
 *	WIRE_WRITE with keys      ->
 *	                          <-      for each key an answer: WIRE_SEND, or the last word
 *	pieces of those to send   ->
 *	                          <-      an answer for each of them
 *	others with keys          ->
 *	                          <-      an answer for each
 *
 * A side that meets what it doesn't understand closes the connection.
 */
#define WIRE_PROTOCOL 1
#define WIRE_CHUNK ((size_t)128 << 10) /* bytes of a value at once */
#define WIRE_MESSAGE ((size_t)1 << 20) /* bytes of a message at most */
#define WIRE_KEYS 1024                 /* of one request at most */
#define WIRE_SEND 3                    /* an outcome: go on, send it */

enum wire_request {
	WIRE_READ = 1,
	WIRE_WRITE,
	WIRE_CONTAINS,
	WIRE_REMOVE,
	WIRE_TOUCH,
	WIRE_EXPECT, /* how long would it take to fetch so much? */
	WIRE_FLUSH,  /* until nothing waits to be uploaded */
	WIRE_STATUS, /* the answer is a DaemonStatus */
	WIRE_STOP,
};

struct wire {
	int fd; /* -1: closed */
	struct buf in;
	size_t used; /* of `in`, by frames that were taken */
};
#define WIRE_INIT \
	{ \
		.fd = -1, .in = BUF_INIT \
	}

struct wire_frame {
	bool is_message;
	uint32_t item;    /* of a value */
	const char *data; /* valid until the next wire_next() */
	size_t size;
};

/* Of a socket, which is owned from now on. */
void wire_init(struct wire *wire, int fd);
void wire_close(struct wire *wire);

/*
 * All wait until `until` (CLOCK_MONOTONIC, microseconds; 0: forever), and fail
 * with ERROR_UNREACHABLE: too late, or the other side is gone; with ERROR_CORRUPT:
 * what it says makes no sense. Return 0 or -1; wire_next() 1, and 0 at the end.
 */
int wire_send(struct wire *wire, const ProtobufCMessage *message, int64_t until,
    struct error *err);
int wire_send_data(struct wire *wire, uint32_t item, const void *data,
    size_t size, int64_t until, struct error *err);
int wire_next(struct wire *wire, struct wire_frame *frame, int64_t until,
    struct error *err);

/* The next frame, which has to be a message of this type. NULL on failure; free it
 * with protobuf_c_message_free_unpacked(x, NULL). */
ProtobufCMessage *wire_receive(struct wire *wire,
    const ProtobufCMessageDescriptor *type, int64_t until, struct error *err);
ProtobufCMessage *wire_unpack(const struct wire_frame *frame,
    const ProtobufCMessageDescriptor *type, struct error *err);

/* A key and its form in messages, which borrows it. wire_key(): -1 if it is none. */
Tarn__DaemonKey wire_key_of(const struct key *key);
int wire_key(const Tarn__DaemonKey *from, struct key *key, struct error *err);

/* Is the other end of the Unix socket a process of our own user? */
bool wire_is_ours(int fd);

#endif
