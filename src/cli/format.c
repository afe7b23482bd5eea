#include "cli/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

void
format_duration(struct buf *to, uint64_t us)
{
	uint64_t minutes = us / 60000000;

	if (us < 1000000)
		buf_addf(to, "%" PRIu64 " ms", us / 1000);
	else if (minutes == 0)
		buf_addf(to, "%.1f s", (double)us / 1e6);
	else if (minutes < 60)
		buf_addf(to, "%" PRIu64 " min %02" PRIu64 " s", minutes,
		    us / 1000000 % 60);
	else
		buf_addf(to, "%" PRIu64 " h %02" PRIu64 " min", minutes / 60,
		    minutes % 60);
}

void
format_size(struct buf *to, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double number = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		buf_addf(to, "%" PRIu64 " B", bytes);
		return;
	}
	for (; number >= 1024 && units[unit + 1]; unit++)
		number /= 1024;
	buf_addf(to, "%.1f %ciB", number, units[unit]);
}

void
format_time(struct buf *to, time_t when)
{
	struct tm tm;
	char text[32];

	if (when == 0 || !localtime_r(&when, &tm)) {
		buf_addf(to, "-");
		return;
	}
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	buf_addf(to, "%s", text);
}

const char *
format_space(enum key_space space)
{
	return space == KEY_BLOB ? "blob" : "index";
}

static void
add_word(struct buf *to, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
	                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "0123456789@%+=:,./_-";

	if (*word && !word[strspn(word, plain)]) {
		buf_addf(to, "%s", word);
		return;
	}
	buf_add(to, "'", 1);
	for (; *word; word++)
		buf_addf(to, *word == '\'' ? "'\\''" : "%c", *word);
	buf_add(to, "'", 1);
}

void
format_words(struct buf *to, char *const *words)
{
	for (char *const *word = words; *word; word++) {
		buf_add(to, " ", word != words);
		add_word(to, *word);
	}
}

void
format_json_text(struct buf *to, const char *name, const char *value)
{
	json_name(to, name);
	json_text(to, value);
}

void
format_json_number(struct buf *to, const char *name, uint64_t value)
{
	json_name(to, name);
	buf_addf(to, "%" PRIu64, value);
}

void
format_json_flag(struct buf *to, const char *name, bool value)
{
	json_name(to, name);
	buf_addf(to, "%s", value ? "true" : "false");
}

void
format_json_key(struct buf *to, const char *name, const struct digest *key)
{
	char hex[DIGEST_HEX + 1];

	format_json_text(to, name, digest_hex(key, hex));
}

void
format_json_time(struct buf *to, const char *name, time_t when)
{
	struct tm tm;
	char text[32];

	if (when == 0 || !gmtime_r(&when, &tm)) {
		format_json_text(to, name, NULL);
		return;
	}
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	format_json_text(to, name, text);
}

void
format_harmless(struct buf *line)
{
	for (size_t i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->data[i];

		if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			line->data[i] = '?';
	}
}

void
format_print(struct buf *line)
{
	format_harmless(line);
	buf_add(line, "\n", 1);
	fwrite(line->data, 1, line->len, stdout);
	buf_reset(line);
}
