#ifndef BYTES_H
#define BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Numbers in files: eight bytes, the little end first. */

static inline void
bytes_put(unsigned char *to, uint64_t number)
{
	for (size_t i = 0; i < 8; i++)
		to[i] = (unsigned char)(number >> (8 * i));
}

static inline uint64_t
bytes_get(const unsigned char *from)
{
	uint64_t number = 0;

	for (size_t i = 8; i-- > 0;)
		number = number << 8 | from[i];
	return number;
}

#endif
