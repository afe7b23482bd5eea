#include "remote/redis_slots.h"

#include <string.h>

/* CRC-16/XMODEM, by the bit: keys are short. */
static unsigned
crc16(const unsigned char *data, size_t size)
{
	unsigned crc = 0;

	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned)data[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
	}
	return crc & 0xffff;
}

unsigned
redis_slot(const void *key, size_t size)
{
	const unsigned char *data = key, *open, *close = NULL;

	open = memchr(data, '{', size);
	if (open)
		close = memchr(open, '}', size - (size_t)(open - data));
	if (close && close > open + 1)
		return crc16(open + 1, (size_t)(close - open - 1)) %
		    REDIS_SLOTS;
	return crc16(data, size) % REDIS_SLOTS;
}

/* ---- redirections ---- */

/* The number in text[0,len), all of it; -1: it is none, or more than `most`. */
static long
parse_number(const char *text, size_t len, long most)
{
	long number = 0;

	if (len == 0 || len > 6)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		number = number * 10 + (text[i] - '0');
	}
	return number <= most ? number : -1;
}

/* What a name or an address is made of; the rest would only be for terminals. */
static bool
set_host(char *host, const char *text, size_t len)
{
	if (len > REDIS_HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	}
	memcpy(host, text, len);
	host[len] = '\0';
	return true;
}

static size_t
kind_len(const char *text, size_t len)
{
	if (len > 6 && memcmp(text, "MOVED ", 6) == 0)
		return 6;
	return len > 4 && memcmp(text, "ASK ", 4) == 0 ? 4 : 0;
}

bool
redis_is_redirect(const char *text, size_t len)
{
	return kind_len(text, len) > 0;
}

bool
redis_redirect_parse(
    struct redis_redirect *redirect, const char *text, size_t len)
{
	size_t at = kind_len(text, len);
	const char *end = text + len, *slot = text + at, *host, *colon;
	long number, port;

	host = at ? memchr(slot, ' ', (size_t)(end - slot)) : NULL;
	if (!host)
		return false;
	number = parse_number(slot, (size_t)(host - slot), REDIS_SLOTS - 1);
	host++;
	colon = memrchr(host, ':', (size_t)(end - host));
	if (!colon)
		return false;
	port = parse_number(colon + 1, (size_t)(end - colon - 1), UINT16_MAX);
	if (number < 0 || port < 1 ||
	    !set_host(redirect->host, host, (size_t)(colon - host)))
		return false;
	redirect->ask = at == 4;
	redirect->slot = (unsigned)number;
	redirect->port = (uint16_t)port;
	return true;
}

/* ---- all slots ---- */

/* [first, last, [host, port, ...], replicas ...] */
static bool
is_range(const redisReply *range)
{
	const redisReply *node;

	if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
	    range->element[0]->type != REDIS_REPLY_INTEGER ||
	    range->element[1]->type != REDIS_REPLY_INTEGER ||
	    range->element[2]->type != REDIS_REPLY_ARRAY)
		return false;
	node = range->element[2];
	return range->element[0]->integer >= 0 &&
	    range->element[0]->integer <= range->element[1]->integer &&
	    range->element[1]->integer < REDIS_SLOTS && node->elements >= 2 &&
	    node->element[1]->type == REDIS_REPLY_INTEGER &&
	    node->element[1]->integer > 0 &&
	    node->element[1]->integer <= UINT16_MAX;
}

int
redis_slots_each(const redisReply *reply, redis_range_fn *fn, void *arg)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements > REDIS_SLOTS)
		return -1;
	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *range = reply->element[i], *node, *name;
		char host[REDIS_HOST_MAX + 1] = "";

		if (!is_range(range))
			return -1;
		node = range->element[2];
		name = node->element[0];
		if (name->type == REDIS_REPLY_STRING &&
		    !set_host(host, name->str, (size_t)name->len))
			return -1;
		if (strcmp(host, "?") == 0)
			continue; /* its own name is unknown to it */
		fn(arg, (unsigned)range->element[0]->integer,
		    (unsigned)range->element[1]->integer, host,
		    (uint16_t)node->element[1]->integer);
	}
	return (int)reply->elements;
}
