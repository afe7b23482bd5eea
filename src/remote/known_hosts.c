#include "remote/known_hosts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define SHA1_SIZE 20
#define KEY_MAX 16384 /* bytes of a key */

char *
known_hosts_name(const char *host, unsigned port)
{
	char *name =
	    port == 22 ? xstrdup(host) : xasprintf("[%s]:%u", host, port);

	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return name;
}

/* ---- base64 ---- */

/* Its size, 0 if it is none. `to` has room for 3 bytes per 4 characters. */
static size_t
decode(const char *text, size_t len, unsigned char *to)
{
	size_t padding = 0;
	int size;

	if (len == 0 || len % 4 || len > KEY_MAX)
		return 0;
	while (padding < 2 && text[len - 1 - padding] == '=')
		padding++;
	size = EVP_DecodeBlock(to, (const unsigned char *)text, (int)len);
	return size < 0 ? 0 : (size_t)size - padding;
}

static void
encode(struct buf *to, const unsigned char *data, size_t size)
{
	auto_free unsigned char *text = xmalloc(4 * (size / 3 + 1) + 1);
	int len = EVP_EncodeBlock(text, data, (int)size);

	buf_add(to, text, (size_t)len);
}

/* ---- names ---- */

static void
hash_name(const unsigned char *salt, const char *name, unsigned char *to)
{
	unsigned size = SHA1_SIZE;

	(void)HMAC(EVP_sha1(), salt, SHA1_SIZE, (const unsigned char *)name,
	    strlen(name), to, &size);
}

/* "|1|salt|hash" */
static bool
hash_fits(const char *text, size_t len, const char *name)
{
	unsigned char salt[32], hash[32], sum[SHA1_SIZE];
	const char *bar;

	if (len != 3 + 28 + 1 + 28 || memcmp(text, "|1|", 3) != 0)
		return false;
	bar = text + 3 + 28;
	if (*bar != '|' || decode(text + 3, 28, salt) != SHA1_SIZE ||
	    decode(bar + 1, 28, hash) != SHA1_SIZE)
		return false;
	hash_name(salt, name, sum);
	return memcmp(sum, hash, SHA1_SIZE) == 0;
}

static bool
pattern_fits(const char *text, size_t len, const char *name)
{
	const char *star = NULL, *from = NULL, *end = text + len;

	while (*name) {
		if (text < end && *text == '*') {
			star = text++;
			from = name;
		} else if (text < end &&
		    (*text == '?' || tolower((unsigned char)*text) == *name)) {
			text++;
			name++;
		} else if (star) {
			text = star + 1;
			name = ++from;
		} else {
			return false;
		}
	}
	while (text < end && *text == '*')
		text++;
	return text == end;
}

static bool
names_fit(const char *text, size_t len, const char *name)
{
	const char *end = text + len;
	bool found = false;

	if (len > 0 && *text == '|')
		return hash_fits(text, len, name);
	while (text < end) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		const char *stop = comma ? comma : end;
		bool negated = *text == '!';

		text += negated;
		if (pattern_fits(text, (size_t)(stop - text), name)) {
			if (negated)
				return false;
			found = true;
		}
		text = stop + (stop < end);
	}
	return found;
}

/* ---- lines ---- */

struct word {
	const char *text;
	size_t len;
};

static struct word
next_word(const char **p, const char *end)
{
	struct word word;

	while (*p < end && (**p == ' ' || **p == '\t'))
		++*p;
	word.text = *p;
	while (*p < end && **p != ' ' && **p != '\t' && **p != '\r')
		++*p;
	word.len = (size_t)(*p - word.text);
	return word;
}

static bool
is_word(struct word word, const char *text)
{
	return word.len == strlen(text) &&
	    memcmp(word.text, text, word.len) == 0;
}

/* The type that a key says it is of must be the one in front of it. */
static bool
type_fits(struct word type, const unsigned char *data, size_t size)
{
	return size > 4 + type.len && data[0] == 0 && data[1] == 0 &&
	    (size_t)(data[2] << 8 | data[3]) == type.len &&
	    memcmp(data + 4, type.text, type.len) == 0;
}

static void
add_key(struct known_hosts *known, struct word type, struct word text,
    bool revoked, char *where)
{
	auto_free unsigned char *data = xmalloc(text.len + 4);
	size_t size = decode(text.text, text.len, data);

	if (size == 0 || !type_fits(type, data, size)) {
		free(known->damaged);
		known->damaged = where;
		return;
	}
	known->keys =
	    xrealloc(known->keys, known->count + 1, sizeof(*known->keys));
	known->keys[known->count++] = (struct known_key){
		.type = xasprintf("%.*s", (int)type.len, type.text),
		.data = take(data),
		.size = size,
		.revoked = revoked,
		.where = where,
	};
}

static void
parse_line(struct known_hosts *known, const char *name, const char *path,
    size_t number, const char *p, const char *end)
{
	struct word names = next_word(&p, end), type;
	bool revoked = is_word(names, "@revoked");

	if (names.len == 0 || *names.text == '#' ||
	    (*names.text == '@' && !revoked))
		return;
	if (revoked)
		names = next_word(&p, end);
	if (!names_fit(names.text, names.len, name))
		return;
	type = next_word(&p, end);
	add_key(known, type, next_word(&p, end), revoked,
	    xasprintf("'%s' line %zu", path, number));
}

void
known_hosts_parse(struct known_hosts *known, const char *name, const char *path,
    const char *text, size_t size)
{
	const char *end = text + size;

	for (size_t number = 1; text < end; number++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		stop = stop ? stop : end;
		parse_line(known, name, path, number, text, stop);
		text = stop + (stop < end);
	}
}

int
known_hosts_read(struct known_hosts *known, const char *name, const char *path,
    struct error *err)
{
	auto_buf text = BUF_INIT;

	if (buf_read_file(&text, path, err) < 0) {
		bool absent = err->sys == ENOENT || err->sys == ENOTDIR;

		err->kind = absent ? ERROR_NONE : err->kind;
		return absent ? 0 : -1;
	}
	known_hosts_parse(known, name, path, text.data, text.len);
	return 0;
}

void
known_hosts_release(struct known_hosts *known)
{
	for (size_t i = 0; i < known->count; i++) {
		free(known->keys[i].type);
		free(known->keys[i].data);
		free(known->keys[i].where);
	}
	free(known->keys);
	free(known->damaged);
	*known = (struct known_hosts){ 0 };
}

/* ---- questions ---- */

enum known
known_hosts_check(const struct known_hosts *known, const void *key, size_t size,
    const struct known_key **which)
{
	enum known found = KNOWN_NOT;

	*which = NULL;
	for (size_t i = 0; i < known->count; i++) {
		const struct known_key *one = &known->keys[i];
		bool same =
		    one->size == size && memcmp(one->data, key, size) == 0;

		if (one->revoked && !same)
			continue;
		if (same || found == KNOWN_NOT) {
			*which = one;
			found = one->revoked ? KNOWN_REVOKED
			    : same           ? KNOWN
			                     : KNOWN_OTHER;
		}
		if (found == KNOWN_REVOKED)
			return found;
	}
	return found;
}

bool
known_hosts_has(const struct known_hosts *known, const char *type)
{
	for (size_t i = 0; i < known->count; i++) {
		if (!known->keys[i].revoked &&
		    strcmp(known->keys[i].type, type) == 0)
			return true;
	}
	return false;
}

/* ---- adding ---- */

static void
add_name(struct buf *line, const char *name, bool hash)
{
	unsigned char salt[SHA1_SIZE], sum[SHA1_SIZE];

	if (!hash || RAND_bytes(salt, sizeof(salt)) != 1) {
		buf_addf(line, "%s", name);
		return;
	}
	hash_name(salt, name, sum);
	buf_addf(line, "|1|");
	encode(line, salt, sizeof(salt));
	buf_addf(line, "|");
	encode(line, sum, sizeof(sum));
}

/* A last line without an end gets one. */
static bool
lacks_newline(int fd)
{
	char last = '\n';
	off_t size = lseek(fd, 0, SEEK_END);

	return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

int
known_hosts_add(const char *path, const char *name, const void *key,
    size_t size, bool hash, struct error *err)
{
	const unsigned char *data = key;
	auto_close int fd = -1;
	auto_buf line = BUF_INIT;
	size_t type = size > 4 ? (size_t)(data[2] << 8 | data[3]) : 0;

	if (type == 0 || type + 4 > size)
		return error_set(
		    err, ERROR_CORRUPT, "the server's key is damaged");
	if (file_make_parents(path, err) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "cannot open '%s'", path);
	if (lacks_newline(fd))
		buf_addf(&line, "\n");
	add_name(&line, name, hash);
	buf_addf(&line, " %.*s ", (int)type, (const char *)data + 4);
	encode(&line, data, size);
	buf_addf(&line, "\n");
	if (file_write_all(fd, line.data, line.len) < 0)
		return error_errno(err, "cannot write '%s'", path);
	return 0;
}
