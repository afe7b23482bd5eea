#include "base/digest.h"
#include "support/check.h"

static const struct {
	const char *text, *hex;
} known[] = {
	{ "",
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"
	    "5" },
	{ "abc",
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a"
	    "d" },
};

Test(digest, matches_published_vectors)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		char hex[DIGEST_HEX + 1];
		struct digest d;

		digest_bytes(&d, known[i].text, strlen(known[i].text));
		check_str(digest_hex(&d, hex), known[i].hex);
	}
}

Test(digest, refuses_what_is_not_a_digest)
{
	static const char *const bad[] = {
		"",
		"e3b0",
		"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B8"
		"55",
		"g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8"
		"55",
	};
	struct digest d;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		check(!digest_parse(&d, bad[i]));
}
