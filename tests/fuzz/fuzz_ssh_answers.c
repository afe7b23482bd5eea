/*
 * What a server, or an agent, sends: the first byte says which of them it is.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "remote/scp_protocol.h"
#include "remote/sftp_protocol.h"
#include "remote/ssh_agent.h"
#include "remote/ssh_login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
try_sftp(const char *data, size_t size)
{
	struct sftp_answer answer;
	struct sftp_name name;
	struct error err = { 0 };
	size_t names = 0;
	int rc;

	if (sftp_answer_parse(&answer, data, size, &err) < 0) {
		require(err.kind == ERROR_CORRUPT);
		return;
	}
	require(answer.size <= size);
	(void)sftp_reply_u64(&answer, 8);
	while ((rc = answer.type == SFTP_VERSION
	               ? sftp_next_extension(&answer, &name, &err)
	               : sftp_next_name(&answer, &name, &err)) > 0) {
		require(name.len <= size);
		names++;
	}
	require(names <= size / 4);
	require(rc == 0 || err.kind == ERROR_CORRUPT);
}

static void
try_agent(const char *data, size_t size)
{
	struct buf answer = { .data = (char *)(uintptr_t)data, .len = size };
	auto_buf signature = BUF_INIT;
	struct ssh_agent_key key;
	struct error err;
	size_t at = 0;

	while (ssh_agent_next(&answer, &at, &key) > 0)
		require(key.size <= size && key.type_len < key.size);
	if (ssh_agent_parse_signature(&answer, &signature, &err) == 0)
		require(signature.len < size);
}

static void
try_scp(const char *text, size_t size)
{
	char hex[DIGEST_HEX + 1];
	enum scp_line what;
	struct far_stat st;
	const char *name;
	struct error err = { 0 };

	require((scp_parse_line(text, size, &what, &st, &err) == 0) ==
	    (err.kind == ERROR_NONE));
	if (scp_parse_stat(text, &st, &name))
		require(name >= text && name < text + size && st.mtime >= 0);
	if (scp_parse_key(text, hex))
		require(strlen(hex) == DIGEST_HEX);
	(void)scp_parse_df(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xmalloc(size + 1);

	if (size == 0)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 4) {
	case 0: try_sftp(text, size - 1); break;
	case 1: try_agent(text, size - 1); break;
	case 2: try_scp(text, size - 1); break;
	default: (void)ssh_key_look(text, size - 1); break;
	}
	return 0;
}
