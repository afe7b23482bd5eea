#ifndef AUTOINDEX_H
#define AUTOINDEX_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

/*
 * The names in a folder, from a page on which a web server lists them: nginx's
 * autoindex as JSON or HTML, and most others' HTML, as far as they give each name a
 * line and a link. The page is fed in pieces of any size; nothing is allocated.
 *
 * JSON is an array of flat objects with name, type, mtime and size; names hold the
 * bytes of the file system, which need not be UTF-8. In HTML the link counts, since
 * what is shown of a long name is cut.
 */
#define AUTOINDEX_UNKNOWN UINT64_MAX

struct autoindex_entry {
	const char *name; /* decoded; without the slash of a folder */
	bool folder;
	uint64_t size;   /* bytes, AUTOINDEX_UNKNOWN if they were not exact */
	time_t modified; /* 0: not said */
};

/* Return 0 to go on. */
typedef int autoindex_fn(void *arg, const struct autoindex_entry *entry);

#define AUTOINDEX_NAME 256  /* a longer one is passed over */
#define AUTOINDEX_LINE 4096 /* a longer line of HTML is passed over */

enum autoindex_state {
	AUTOINDEX_START,
	AUTOINDEX_HTML,
	AUTOINDEX_ITEM, /* an object or the end of the array */
	AUTOINDEX_KEY,  /* a key or the end of the object */
	AUTOINDEX_COLON,
	AUTOINDEX_VALUE,
	AUTOINDEX_STRING, /* in one, of a key or a value */
	AUTOINDEX_BARE,   /* in a number, true, false, null */
	AUTOINDEX_AFTER_VALUE,
	AUTOINDEX_AFTER_ITEM,
	AUTOINDEX_DONE,
};

struct autoindex {
	autoindex_fn *fn;
	void *arg;
	enum autoindex_state state;
	uint64_t at; /* bytes before this */

	/* HTML: a line. JSON: a string or bare word, and how its escape goes on. */
	char text[AUTOINDEX_LINE];
	size_t len;
	bool cut;        /* it was longer than that */
	bool ended;      /* HTML: </html> was there */
	char escape;     /* 0, '\\', or 'u' */
	unsigned digits; /* after u */
	uint32_t code;
	char key[8];
	bool in_key;
	bool after_comma;

	/* JSON: the entry so far. */
	char name[AUTOINDEX_NAME];
	bool named;
	struct autoindex_entry entry;
};

void autoindex_init(struct autoindex *index, autoindex_fn *fn, void *arg);

/* 0, what fn returned if that is something else, or -1 with ERROR_CORRUPT. */
int autoindex_feed(
    struct autoindex *index, const char *data, size_t size, struct error *err);

/* The same for the end of the page, which has to be one. */
int autoindex_end(struct autoindex *index, struct error *err);

/* "Sun, 22 Nov 2026 22:18:38 GMT", as in headers; 0 if it is no such date. */
time_t autoindex_date(const char *text);

#endif
