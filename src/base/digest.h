#ifndef DIGEST_H
#define DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SHA-256. A blob's digest is its name; an action's digest is its key. */
#define DIGEST_SIZE 32
#define DIGEST_HEX (2 * DIGEST_SIZE)

struct digest {
	unsigned char bytes[DIGEST_SIZE];
};

bool digest_equal(const struct digest *a, const struct digest *b);

/* Lower-case hexadecimal, NUL-terminated; returns `hex`. */
char *digest_hex(const struct digest *d, char hex[static DIGEST_HEX + 1]);

/* False, with *d untouched, unless `hex` is exactly DIGEST_HEX lower-case digits. */
bool digest_parse(struct digest *d, const char *hex);

void digest_bytes(struct digest *d, const void *data, size_t size);

/*
 * The same, for bytes that come in pieces. A hasher lives in the caller's memory
 * and needs no release. The low-level functions of libcrypto are used: they
 * load no provider and read no configuration, which would cost a hit more than
 * all the rest of it.
 */
struct hasher {
	uint64_t state[16]; /* a SHA256_CTX */
};

void hasher_init(struct hasher *h);
void hasher_add(struct hasher *h, const void *data, size_t size);
void hasher_finish(struct hasher *h, struct digest *d);

/* Length first, so that no two sequences of strings feed the same bytes. */
void hasher_add_bytes(struct hasher *h, const void *data, size_t size);
void hasher_add_text(struct hasher *h, const char *text);
void hasher_add_number(struct hasher *h, uint64_t number);

#endif
