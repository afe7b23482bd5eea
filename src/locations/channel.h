#ifndef CHANNEL_H
#define CHANNEL_H

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
 * pieces of at most CHANNEL_CHUNK bytes, pieces of different items in any order. One
 * without bytes is a sign of life: tarnd sends it while a server lets it wait.
 *
 *	client                            tarnd
 *	greeting, first request   ->
 *	                          <-      greeting; a refusal is the end
 *	CHANNEL_READ with keys       ->
 *	                          <-      pieces; an answer for each key, when it is done
 *	CHANNEL_WRITE with keys      ->
 *	                          <-      for each key an answer: CHANNEL_SEND, or the last word
 *	pieces of those to send   ->
 *	                          <-      an answer for each of them
 *	others with keys          ->
 *	                          <-      an answer for each
 *
 * A side that meets what it doesn't understand closes the connection.
 */
#define CHANNEL_PROTOCOL 1
#define CHANNEL_CHUNK ((size_t)128 << 10) /* bytes of a value at once */
#define CHANNEL_MESSAGE ((size_t)1 << 20) /* bytes of a message at most */
#define CHANNEL_KEYS 1024                 /* of one request at most */
#define CHANNEL_SEND 3                    /* an outcome: go on, send it */

enum channel_request {
	CHANNEL_READ = 1,
	CHANNEL_WRITE,
	CHANNEL_CONTAINS,
	CHANNEL_REMOVE,
	CHANNEL_TOUCH,
	CHANNEL_EXPECT, /* how long would it take to fetch so much? */
	CHANNEL_FLUSH,  /* until nothing waits to be uploaded */
	CHANNEL_STATUS, /* the answer is a DaemonStatus */
	CHANNEL_STOP,
};

struct channel {
	int fd; /* -1: closed */
	struct buf in;
	size_t used; /* of `in`, by frames that were taken */
};
#define CHANNEL_INIT \
	{ \
		.fd = -1, .in = BUF_INIT \
	}

struct channel_frame {
	bool is_message;
	uint32_t item;    /* of a value */
	const char *data; /* valid until the next channel_next() */
	size_t size;
};

/* Of a socket, which is owned from now on. */
void channel_init(struct channel *channel, int fd);
void channel_close(struct channel *channel);

/*
 * All wait until `until` (CLOCK_MONOTONIC, microseconds; 0: forever), and fail
 * with ERROR_UNREACHABLE: too late, or the other side is gone; with ERROR_CORRUPT:
 * what it says makes no sense. Return 0 or -1; channel_next() 1, and 0 at the end.
 */
int channel_send(struct channel *channel, const ProtobufCMessage *message,
    int64_t until, struct error *err);
int channel_send_data(struct channel *channel, uint32_t item, const void *data,
    size_t size, int64_t until, struct error *err);
int channel_next(struct channel *channel, struct channel_frame *frame,
    int64_t until, struct error *err);

/* The next frame, which has to be a message of this type. NULL on failure; free it
 * with protobuf_c_message_free_unpacked(x, NULL). */
ProtobufCMessage *channel_receive(struct channel *channel,
    const ProtobufCMessageDescriptor *type, int64_t until, struct error *err);
ProtobufCMessage *channel_unpack(const struct channel_frame *frame,
    const ProtobufCMessageDescriptor *type, struct error *err);

/* A key and its form in messages, which borrows it. channel_key(): -1 if it is none. */
Tarn__DaemonKey channel_key_of(const struct key *key);
int channel_key(
    const Tarn__DaemonKey *from, struct key *key, struct error *err);

/* Is the other end of the Unix socket a process of our own user? */
bool channel_is_ours(int fd);

#endif
