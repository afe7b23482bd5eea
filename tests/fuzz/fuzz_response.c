/* A response file; its words, quoted and read again, are the same words. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "actions/response.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_response(struct response *r, const void *data, size_t size)
{
	int fd = memfd_create("response", MFD_CLOEXEC);
	char word[64];
	char *argv[] = { word, word, NULL };

	if (fd < 0 || file_write_all(fd, data, size) < 0)
		abort();
	snprintf(word, sizeof(word), "@/proc/self/fd/%d", fd);
	response_init(r, argv, "/nowhere");
	close(fd);
}

static void
write_word(struct buf *to, const char *word)
{
	char quote = strchr(word, '"') ? '\'' : '"';

	for (; *word; word++) { /* each kind of quote in the other kind */
		if (*word == '"' || *word == '\'')
			quote = *word == '"' ? '\'' : '"';
		buf_addf(to, "%c%c%c", quote, *word, quote);
	}
	buf_addf(to, "\"\"\n");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct response once, again;
	auto_buf text = BUF_INIT;

	read_response(&once, data, size);
	if (once.understood) {
		for (size_t i = 0; i < once.count; i++)
			write_word(&text, once.word[i].text);
		read_response(&again, text.data, text.len);
		if (!again.understood || again.count != once.count)
			abort();
		for (size_t i = 0; i < once.count; i++) {
			if (strcmp(once.word[i].text, again.word[i].text) != 0)
				abort();
		}
		response_release(&again);
	}
	response_release(&once);
	return 0;
}
