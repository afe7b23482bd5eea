/*
 * What a cluster of Redis servers says of itself: a redirection, and the slots of all,
 * as hiredis hands them on; and the head of a large value. What is taken from it names a server that could be there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remote/redis_link.h"
#include "remote/redis_slots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
check_host(const char *host, uint16_t port)
{
	require(strlen(host) <= REDIS_HOST_MAX && port > 0);
	for (; *host; host++)
		require(*host > ' ' && *host < 0x7f);
}

static void
see_range(
    void *arg, unsigned first, unsigned last, const char *host, uint16_t port)
{
	require(first <= last && last < REDIS_SLOTS);
	check_host(host, port);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redis_settings settings = { .max_reply = 1 << 20 };
	struct redis_link *link = redis_link_new(&settings, "h", 1);
	struct redis_call call = { 0 };
	redisReader *reader = redis_link_reader(link, &call);
	struct redis_redirect to;
	void *reply = NULL;
	size_t head = SIZE_MAX;

	if (redis_redirect_parse(&to, (const char *)data, size)) {
		require(redis_is_redirect((const char *)data, size));
		require(to.slot < REDIS_SLOTS);
		check_host(to.host, to.port);
	}
	require(redis_slot(data, size) < REDIS_SLOTS);
	if (redis_string_size((const char *)data, size, &head) >= 0)
		require(data[0] == '$' && head <= size);
	redisReaderFeed(reader, (const char *)data, size);
	if (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
		redis_slots_each(reply, see_range, NULL);
		freeReplyObject(reply);
	}
	redis_link_free(link);
	return 0;
}
