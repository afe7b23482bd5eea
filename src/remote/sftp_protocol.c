#include "remote/sftp_protocol.h"

#include <string.h>

enum {
	WITH_SIZE = 1,
	WITH_OWNER = 2,
	WITH_MODE = 4,
	WITH_TIMES = 8,
};
#define WITH_EXTENDED 0x80000000U

/* ---- requests ---- */

void
sftp_add_u32(struct buf *to, uint32_t number)
{
	unsigned char bytes[4];

	for (size_t i = 4; i-- > 0; number >>= 8)
		bytes[i] = (unsigned char)number;
	buf_add(to, bytes, sizeof(bytes));
}

void
sftp_add_u64(struct buf *to, uint64_t number)
{
	sftp_add_u32(to, (uint32_t)(number >> 32));
	sftp_add_u32(to, (uint32_t)number);
}

void
sftp_add_text(struct buf *to, const void *data, size_t size)
{
	sftp_add_u32(to, (uint32_t)size);
	buf_add(to, data, size);
}

void
sftp_add_set(struct buf *to, const struct sftp_set *set)
{
	bool owner = set->gid >= 0, mode = set->mode >= 0;
	bool times = set->mtime >= 0;

	sftp_add_u32(to,
	    (owner ? WITH_OWNER : 0U) | (mode ? WITH_MODE : 0U) |
	        (times ? WITH_TIMES : 0U));
	if (owner) {
		sftp_add_u32(to, (uint32_t)set->uid);
		sftp_add_u32(to, (uint32_t)set->gid);
	}
	if (mode)
		sftp_add_u32(to, (uint32_t)set->mode);
	if (times) {
		sftp_add_u32(to, (uint32_t)set->atime);
		sftp_add_u32(to, (uint32_t)set->mtime);
	}
}

size_t
sftp_packet_begin(struct buf *to, enum sftp_type type, uint32_t id)
{
	size_t start = to->len;

	sftp_add_u32(to, 0);
	buf_add(to, &(char){ (char)type }, 1);
	sftp_add_u32(to, id);
	return start;
}

void
sftp_packet_end(struct buf *to, size_t start)
{
	size_t size = to->len - start - 4;

	for (size_t i = 4; i-- > 0; size >>= 8)
		to->data[start + i] = (char)(size & 0xff);
}

/* ---- answers ---- */

struct cursor {
	const unsigned char *at, *end;
	bool bad; /* something was longer than the packet */
};

static uint32_t
take_u32(struct cursor *c)
{
	uint32_t number = 0;

	if (c->end - c->at < 4) {
		c->bad = true;
		return 0;
	}
	for (int i = 0; i < 4; i++)
		number = number << 8 | *c->at++;
	return number;
}

static uint64_t
take_u64(struct cursor *c)
{
	uint64_t high = take_u32(c);

	return high << 32 | take_u32(c);
}

static const char *
take_text(struct cursor *c, size_t *size)
{
	const unsigned char *text;

	*size = take_u32(c);
	if (c->bad || (size_t)(c->end - c->at) < *size) {
		c->bad = true;
		*size = 0;
		return "";
	}
	text = c->at;
	c->at += *size;
	return (const char *)text;
}

static void
take_attributes(struct cursor *c, struct far_stat *st)
{
	uint32_t with = take_u32(c), more;
	size_t ignored;

	*st = (struct far_stat){ 0 };
	if (with & WITH_SIZE)
		st->size = take_u64(c);
	if (with & WITH_OWNER) {
		st->uid = take_u32(c);
		st->gid = take_u32(c);
	}
	if (with & WITH_MODE)
		st->mode = take_u32(c);
	if (with & WITH_TIMES) {
		st->atime = take_u32(c);
		st->mtime = take_u32(c);
	}
	more = with & WITH_EXTENDED ? take_u32(c) : 0;
	while (more-- > 0 && !c->bad) {
		(void)take_text(c, &ignored);
		(void)take_text(c, &ignored);
	}
}

static void
take_rest(struct cursor *c, struct sftp_answer *answer)
{
	answer->data = (const char *)c->at;
	answer->size = (size_t)(c->end - c->at);
}

static void
take_body(struct cursor *c, struct sftp_answer *answer)
{
	switch (answer->type) {
	case SFTP_STATUS:
		answer->status = take_u32(c);
		if (c->at < c->end) /* old servers say no more */
			answer->data = take_text(c, &answer->size);
		break;
	case SFTP_HANDLE:
	case SFTP_DATA: answer->data = take_text(c, &answer->size); break;
	case SFTP_ATTRS: take_attributes(c, &answer->st); break;
	case SFTP_NAME:
		answer->names = take_u32(c);
		take_rest(c, answer);
		break;
	case SFTP_VERSION:
	case SFTP_EXTENDED_REPLY: take_rest(c, answer); break;
	default: c->bad = true; break;
	}
}

int
sftp_answer_parse(struct sftp_answer *answer, const void *packet, size_t size,
    struct error *err)
{
	const unsigned char *start = packet;
	struct cursor c = { start, start + size, false };

	*answer = (struct sftp_answer){ .data = "" };
	if (size < 1)
		return error_set(
		    err, ERROR_CORRUPT, "the server sent an empty packet");
	answer->type = *c.at++;
	answer->id = take_u32(&c);
	take_body(&c, answer);
	if (answer->type == SFTP_HANDLE &&
	    (answer->size == 0 || answer->size > SFTP_HANDLE_MAX))
		c.bad = true;
	if (!c.bad)
		return 0;
	return error_set(err, ERROR_CORRUPT,
	    "the server sent %zu bytes of type %d that are no SFTP", size,
	    answer->type);
}

static int
next(struct sftp_answer *answer, struct sftp_name *name, bool attributes,
    struct error *err)
{
	const unsigned char *data = (const unsigned char *)answer->data;
	struct cursor c = { data, data + answer->size, false };
	size_t ignored;

	*name = (struct sftp_name){ 0 };
	name->name = take_text(&c, &name->len);
	(void)take_text(&c, &ignored); /* a line of ls -l, or a value */
	if (attributes)
		take_attributes(&c, &name->st);
	if (c.bad)
		return error_set(err, ERROR_CORRUPT,
		    "the server sent a list that is cut short");
	take_rest(&c, answer);
	return 1;
}

int
sftp_next_name(
    struct sftp_answer *answer, struct sftp_name *name, struct error *err)
{
	if (answer->names == 0)
		return 0;
	answer->names--;
	return next(answer, name, true, err);
}

int
sftp_next_extension(
    struct sftp_answer *answer, struct sftp_name *name, struct error *err)
{
	return answer->size == 0 ? 0 : next(answer, name, false, err);
}

uint64_t
sftp_reply_u64(const struct sftp_answer *answer, size_t at)
{
	const unsigned char *data = (const unsigned char *)answer->data;
	struct cursor c = { data + at, data + answer->size, false };

	return answer->size < at + 8 ? 0 : take_u64(&c);
}
