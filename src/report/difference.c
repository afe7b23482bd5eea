#include "report/difference.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CHUNK ((size_t)32 * 1024)
#define APART 8  /* equal bytes that end a place */
#define BACK 40  /* bytes that are looked at in front of a place ... */
#define AHEAD 40 /* ... and from it on */
#define YEARS (2 * 366 * 86400)

/* Bytes of both, around a place. */
struct window {
	const unsigned char *data[2];
	size_t size; /* of each */
	size_t at;   /* the first that differs */
};

struct tally {
	uint64_t bytes[256]; /* how often each byte is there */
	uint64_t line;       /* digest of the line so far */
	uint64_t lines;      /* sum over all lines, whatever their order */
};

struct comparison {
	struct difference *d;
	struct tally tally[2];
	unsigned char chunk[2][CHUNK];
	size_t len[2];
	uint64_t at;    /* offset of the chunks */
	uint64_t equal; /* bytes since the last that differed */
};

/* ---- what a place looks like ---- */

/* The word around it, of bytes that `fits` lets through. */
static void
word_at(const struct window *w, int side, int (*fits)(int), size_t *from,
    size_t *to)
{
	const unsigned char *data = w->data[side];

	*from = *to = w->at;
	while (*from > 0 && fits(data[*from - 1]))
		--*from;
	while (*to < w->size && fits(data[*to]))
		++*to;
}

static int
fits_path(int c)
{
	return c > ' ' && c < 127 && !strchr("\"'<>|", c);
}

static int
fits_time(int c)
{
	return isalnum(c) || (c && strchr(" :+-.,/", c));
}

static bool
is_path(const struct window *w)
{
	size_t from, to;

	for (int side = 0; side < 2; side++) {
		word_at(w, side, fits_path, &from, &to);
		if (to - from < 3 ||
		    !memchr(w->data[side] + from, '/', to - from))
			return false;
	}
	return true;
}

/* "12:34", "2026-11-22", "Nov 22", or ten digits in a row */
static bool
names_time(const char *text)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	size_t digits = 0;

	for (size_t i = 0; text[i]; i++) {
		digits = isdigit((unsigned char)text[i]) ? digits + 1 : 0;
		if (digits >= 10)
			return true;
		if (i >= 2 && digits >= 2 && (text[i - 2] == ':') && i >= 4 &&
		    isdigit((unsigned char)text[i - 3]))
			return true;
		if (i >= 4 && digits == 1 && text[i - 1] == '-' &&
		    isdigit((unsigned char)text[i - 2]) &&
		    isdigit((unsigned char)text[i - 4]))
			return true;
	}
	for (size_t i = 0; i < 12; i++) {
		if (strstr(text, months[i]) && strpbrk(text, "0123456789"))
			return true;
	}
	return false;
}

static bool
is_written_time(const struct window *w)
{
	char text[BACK + AHEAD + 1];
	size_t from, to;

	for (int side = 0; side < 2; side++) {
		word_at(w, side, fits_time, &from, &to);
		memcpy(text, w->data[side] + from, to - from);
		text[to - from] = '\0';
		if (!names_time(text))
			return false;
	}
	return true;
}

/* Seconds since the epoch, in four bytes, little end first, in our years. */
static bool
is_recent(const unsigned char *data)
{
	int64_t then = (int64_t)(data[0] | (uint32_t)data[1] << 8 |
	    (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24);
	int64_t now = time(NULL);

	return then > now - YEARS && then < now + YEARS;
}

static bool
is_binary_time(const struct window *w)
{
	for (size_t back = 0; back < 4 && back <= w->at; back++) {
		size_t at = w->at - back;

		if (at + 4 <= w->size && is_recent(w->data[0] + at) &&
		    is_recent(w->data[1] + at))
			return true;
	}
	return false;
}

static bool
is_build_id(const struct window *w)
{
	static const unsigned char head[] = { 3, 0, 0, 0, 'G', 'N', 'U', 0 };
	const unsigned char *found =
	    memmem(w->data[0], w->at, head, sizeof(head));

	return found &&
	    (size_t)(w->data[0] + w->at - found) <= sizeof(head) + 20;
}

static uint32_t
cause_of(const struct window *w)
{
	if (is_build_id(w))
		return CAUSE_BUILD_ID;
	if (is_written_time(w))
		return CAUSE_TIME;
	if (is_path(w))
		return CAUSE_PATH;
	return is_binary_time(w) ? CAUSE_TIME : CAUSE_UNKNOWN;
}

/* ---- showing it ---- */

static void
show(char *to, size_t size, const unsigned char *data, size_t count)
{
	bool text = count > 0;

	for (size_t i = 0; i < count; i++)
		text &= data[i] >= ' ' && data[i] < 127;
	if (text) {
		snprintf(to, size, "%.*s", (int)count, (const char *)data);
		return;
	}
	*to = '\0';
	for (size_t i = 0; i < count && 2 * i + 2 < size; i++)
		snprintf(to + 2 * i, 3, "%02x", data[i]);
}

/* A few bytes in front of it, or the whole word if it is one. */
static void
take_sample(struct difference *d, const struct window *w)
{
	for (int side = 0; side < 2; side++) {
		size_t from, to;

		word_at(w, side, fits_path, &from, &to);
		if (to <= w->at + 1)
			from = w->at, to = from + 16;
		show(d->sample[side], sizeof(d->sample[side]),
		    w->data[side] + from, (to < w->size ? to : w->size) - from);
	}
}

/* ---- comparing ---- */

static void
take_place(struct comparison *c, size_t i)
{
	size_t from = i < BACK ? 0 : i - BACK;
	size_t end = c->len[0] < c->len[1] ? c->len[0] : c->len[1];
	size_t to = end - i < AHEAD ? end : i + AHEAD;
	const struct window w = { { c->chunk[0] + from, c->chunk[1] + from },
		to - from, i - from };

	if (c->d->places++ == 0) {
		c->d->first = c->at + i;
		take_sample(c->d, &w);
	}
	c->d->causes |= cause_of(&w);
}

static void
compare_chunks(struct comparison *c)
{
	size_t end = c->len[0] < c->len[1] ? c->len[0] : c->len[1];

	if (c->len[0] == c->len[1] &&
	    memcmp(c->chunk[0], c->chunk[1], end) == 0) {
		c->equal += end;
		return;
	}
	for (size_t i = 0; i < end; i++) {
		if (c->chunk[0][i] == c->chunk[1][i]) {
			c->equal++;
			continue;
		}
		if (c->equal >= APART || c->d->places == 0)
			take_place(c, i);
		c->d->bytes++;
		c->equal = 0;
	}
}

static void
count(struct tally *tally, const unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		tally->bytes[data[i]]++;
		tally->line = (tally->line ^ data[i]) * 0x100000001b3;
		if (data[i] == '\n') {
			tally->lines += tally->line * tally->line;
			tally->line = 0;
		}
	}
}

static int
fill(struct comparison *c, int side, struct source *src, struct error *err)
{
	c->len[side] = 0;
	while (c->len[side] < CHUNK) {
		ssize_t got = source_read(src, c->chunk[side] + c->len[side],
		    CHUNK - c->len[side], err);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		c->len[side] += (size_t)got;
	}
	c->d->size[side] += c->len[side];
	count(&c->tally[side], c->chunk[side], c->len[side]);
	return 0;
}

/* What only the whole tells. */
static void
conclude(struct comparison *c)
{
	struct difference *d = c->d;

	if (d->size[0] != d->size[1] && d->places == 0) { /* one goes on */
		d->first = d->size[0] < d->size[1] ? d->size[0] : d->size[1];
		d->causes |= CAUSE_UNKNOWN;
	}
	if ((d->causes & CAUSE_UNKNOWN) && d->size[0] == d->size[1] &&
	    (memcmp(c->tally[0].bytes, c->tally[1].bytes,
	         sizeof(c->tally[0].bytes)) == 0 ||
	        (c->tally[0].lines && c->tally[0].lines == c->tally[1].lines)))
		d->causes = CAUSE_ORDER;
}

int
difference_find(
    struct difference *d, struct source *a, struct source *b, struct error *err)
{
	static struct comparison c; /* too large for a stack */

	*d = (struct difference){ 0 };
	memset(&c, 0, sizeof(c));
	c.d = d;
	do {
		if (fill(&c, 0, a, err) < 0 || fill(&c, 1, b, err) < 0)
			return -1;
		compare_chunks(&c);
		c.at += CHUNK;
	} while (c.len[0] > 0 || c.len[1] > 0);
	conclude(&c);
	return 0;
}

const char *
difference_causes(uint32_t causes, char *to)
{
	static const char *const names[] = { "time stamp", "path", "build id",
		"order", "unknown" };
	size_t at = 0;

	to[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (causes & (1u << i))
			at += (size_t)snprintf(
			    to + at, 64 - at, "%s%s", at ? ", " : "", names[i]);
	}
	return to;
}
