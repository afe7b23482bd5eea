#include "base/percent.h"

#include <string.h>

#include "base/mem.h"

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, c | 0x20) : NULL;

	return found ? (int)(found - digits) : -1;
}

char *
percent_decode(const char *text, size_t len)
{
	auto_free char *plain = xmalloc(len + 1);
	char *to = plain;

	for (size_t i = 0; i < len; i++) {
		int hi, lo;

		if (text[i] != '%') {
			*to++ = text[i];
			continue;
		}
		hi = i + 2 < len ? hex_digit(text[i + 1]) : -1;
		lo = i + 2 < len ? hex_digit(text[i + 2]) : -1;
		if (hi < 0 || lo < 0 || hi + lo == 0)
			return NULL;
		*to++ = (char)(hi << 4 | lo);
		i += 2;
	}
	*to = '\0';
	return take(plain);
}
