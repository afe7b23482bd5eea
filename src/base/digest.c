#include "base/digest.h"

#include <assert.h>
#include <openssl/sha.h>
#include <string.h>

static_assert(sizeof(SHA256_CTX) <= sizeof(struct hasher), "a hasher holds it");

bool
digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

char *
digest_hex(const struct digest *d, char hex[static DIGEST_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		hex[2 * i] = digits[d->bytes[i] >> 4];
		hex[2 * i + 1] = digits[d->bytes[i] & 15];
	}
	hex[DIGEST_HEX] = '\0';
	return hex;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool
digest_parse(struct digest *d, const char *hex)
{
	struct digest parsed;

	if (strlen(hex) != DIGEST_HEX)
		return false;
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		parsed.bytes[i] = (unsigned char)(hi << 4 | lo);
	}
	*d = parsed;
	return true;
}

void
digest_bytes(struct digest *d, const void *data, size_t size)
{
	struct hasher h;

	hasher_init(&h);
	hasher_add(&h, data, size);
	hasher_finish(&h, d);
}

void
hasher_init(struct hasher *h)
{
	SHA256_Init((SHA256_CTX *)(void *)h);
}

void
hasher_add(struct hasher *h, const void *data, size_t size)
{
	SHA256_Update((SHA256_CTX *)(void *)h, data, size);
}

void
hasher_finish(struct hasher *h, struct digest *d)
{
	SHA256_Final(d->bytes, (SHA256_CTX *)(void *)h);
}

void
hasher_add_number(struct hasher *h, uint64_t number)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(number >> (8 * i));
	hasher_add(h, bytes, sizeof(bytes));
}

void
hasher_add_bytes(struct hasher *h, const void *data, size_t size)
{
	hasher_add_number(h, size);
	hasher_add(h, data, size);
}

void
hasher_add_text(struct hasher *h, const char *text)
{
	hasher_add_bytes(h, text, strlen(text));
}
